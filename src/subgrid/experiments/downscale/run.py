"""One run on two archives of fields: what its stages read, each once."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import xarray as xr

from subgrid.data.fields import DataError, Samples, hold_out, open_field, samples_of
from subgrid.data.plain import check_plain, open_plain
from subgrid.data.sources.sources import is_there
from subgrid.experiments.downscale import build
from subgrid.experiments.downscale.config import DownscaleConfig
from subgrid.numerics.symmetries import augmented, shifts
from subgrid.runs.run import Run
from subgrid.types import Coarsening


@dataclass
class DownscaleRun(Run[DownscaleConfig]):
    """A run on two archives: the archives, each opened once, and C′.

    RUN/fine.zarr, coarse.zarr   the simulated archives (if data.source is a simulator)
    RUN/debias/                  checkpoints of a debiaser that is trained
    RUN/preparation.zarr         the debiaser, C′ and both grids: with RUN/model what `subgrid.load` finds
    RUN/debiased.zarr            every held-out coarse field, raw and debiased
    RUN/model/                   the prior, the conditional model, or the bridge
    RUN/ensemble.zarr            fine ensembles of debiased coarse fields (unpaired)
    RUN/perfect_model.zarr       fine ensembles of coarsened reference fields, with the truth
    """

    root = "run"
    streams = (
        "fine",
        "coarse",
        "prior",
        "debias",
        "shifts of the reference",
        "shifts of the independent reference",
        "shifts of the coarse fields",
        "conditions of the ensemble",
        "conditions of the perfect model",
        "conditions of the noise floor",
        "ensemble",
        "perfect model",
        "ranks",
    )

    def archive_path(self, which: str) -> Path:
        """Where the "fine" or the "coarse" archive is: in the run folder if it is simulated."""
        data = self.config.data
        return Path(str(getattr(data, which))) if data.source == "files" else self.path(f"{which}.zarr")

    @cached_property
    def fine(self) -> tuple[Samples, Samples, Samples]:
        """The fine archive: training, reference, and an independent reference, whose distance is the noise floor."""
        fraction = self.config.data.training_fraction
        training, reference, independent = hold_out(
            self._archive("fine"), (fraction, (1 - fraction) / 2, (1 - fraction) / 2)
        )
        return (
            training,
            self._shifted(reference, "shifts of the reference"),
            self._shifted(independent, "shifts of the independent reference"),
        )

    @cached_property
    def coarse(self) -> tuple[Samples, Samples]:
        """The coarse archive: training and held out."""
        fraction = self.config.data.training_fraction
        training, held_out = hold_out(self._archive("coarse"), (fraction, (1 - fraction) / 2))
        return training, self._shifted(held_out, "shifts of the coarse fields")

    @cached_property
    def operator(self) -> Coarsening:
        fine, coarse = self.fine[0], self.coarse[0]
        shapes = fine.values.shape[2:], coarse.values.shape[2:]
        return build.operator_of(self.config.coarsening, *shapes, source=coarse.source)

    def field(self, which: str) -> xr.DataArray:
        """The variable of the "fine" or the "coarse" archive, nothing of it read."""
        data, path = self.config.data, self.archive_path(which)
        if data.source == "files" and not is_there(path):
            raise DataError(f"data.{which} = {str(path)!r}: no such file or store (paths are taken from {Path.cwd()}).")
        return open_field(path, data.variable if data.source == "files" else "u")

    def _archive(self, which: str) -> Samples:
        field, name = self.field(which), str(self.archive_path(which))
        if self.config.data.source == "files":
            check_plain(open_plain(field, name=name), name=name)
        return samples_of(field, source=name)

    def _shifted(self, samples: Samples, stream: str) -> Samples:
        """Random shifts of held-out fields, where their distribution allows it: free samples, as many for every set."""
        if not self.config.data.translation_invariant:
            return samples
        repeated = samples.take(np.tile(np.arange(len(samples)), self.config.evaluation.n_shifts))
        group = shifts(samples.values.shape[2:])
        images = augmented(jnp.asarray(samples.values), len(repeated), group, key=self.key(stream))
        return replace(repeated, values=np.asarray(images))
