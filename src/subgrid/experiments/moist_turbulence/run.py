"""One run on moist turbulence: what its stages read, each once."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from subgrid.experiments.moist_turbulence.archives import Archives, Fields, contexts, load_archives
from subgrid.experiments.moist_turbulence.config import TurbulenceConfig, TurbulenceMethod
from subgrid.networks.context import Context
from subgrid.runs.run import Run


@dataclass(frozen=True)
class HeldOutCases:
    """What is downscaled: held-out coarse fields, each with every context. Normalised, on the fine grid."""

    coarse: Fields
    """Each under the wavenumber of its context."""
    context: Context


@dataclass
class TurbulenceRun(Run[TurbulenceConfig]):
    """A run: archives and cases.

    RUN/coarse.zarr, fine.zarr   the two archives, training runs first
    RUN/models/NAME/             networks of one method, and the state of its training
    RUN/downscaled/METHOD.zarr   held-out coarse fields, downscaled with every context
    """

    root = "turbulence"
    streams = ("coarse", "fine", "fits", "cases", "downscale")

    @cached_property
    def archives(self) -> Archives:
        """Both archives, normalised, on the fine grid."""
        config = self.config
        return load_archives(config.turbulence, config.normalisation, self.path("fine.zarr"), self.path("coarse.zarr"))

    @cached_property
    def cases(self) -> HeldOutCases:
        """The configured number of held-out coarse fields, spread over all runs and times."""
        held_out, table = self.archives.held_out_coarse, self.config.turbulence
        chosen = np.linspace(0, len(held_out.values) - 1, self.config.evaluation.n_cases).round().astype(int)
        n = len(table.wavenumbers)
        k = np.repeat(np.asarray(table.wavenumbers), len(chosen))
        fields = Fields(np.tile(held_out.values[chosen], (n, 1, 1, 1)), k, np.tile(held_out.runs[chosen], n))
        return HeldOutCases(fields, contexts(table.n_fine, k, self.archives.wavenumbers))

    def downscaled(self, method: TurbulenceMethod) -> Path:
        """Where the cases are, downscaled by a method."""
        return self.path(f"downscaled/{method}.zarr")
