"""A run on Kolmogorov flow: its random streams, and what its stages read."""

from functools import cached_property

from subgrid.experiments.navier_stokes.archives import CoarseArchive, FineArchive, load_coarse, load_fine
from subgrid.experiments.navier_stokes.config import NavierStokesConfig
from subgrid.numerics.operators import Subsample
from subgrid.runs.run import Run


class NavierStokesRun(Run[NavierStokesConfig]):
    """A run on two archives of vorticity, for one factor or several.

    RUN/fine.zarr, coarse.zarr        the archives
    RUN/debiased/FACTOR.NAME.npz      held-out coarse fields, debiased
    RUN/debias/FACTOR.NAME            checkpoints of debiasers that are trained
    RUN/models/NAME, NAME.FACTOR      the prior, and models that are trained for one C′
    RUN/unpaired/FACTOR.METHOD.npz    fine ensembles of debiased coarse fields
    RUN/perfect/FACTOR.UPSAMPLER.npz  fine ensembles of coarsened reference fields
    """

    root = "navier_stokes"
    streams = (
        "fine",
        "coarse",
        "images of the reference",
        "images of the independent reference",
        "images of the coarse fields",
        "debias",
        "model",
        "conditions of the ensemble",
        "conditions of the perfect model",
        "conditions of the noise floor",
        "ensemble",
        "perfect model",
        "ranks",
        "calibration",
        "reverse diffusion",
        "images of the generated",
        "images of the scan",
        "images for BCSD",
    )

    @cached_property
    def fine(self) -> FineArchive:
        """The fine archive."""
        return load_fine(
            self.config,
            self.path("fine.zarr"),
            reference=self.key("images of the reference"),
            independent=self.key("images of the independent reference"),
        )

    @cached_property
    def coarse(self) -> CoarseArchive:
        """The coarse archive."""
        return load_coarse(self.config, self.path("coarse.zarr"), key=self.key("images of the coarse fields"))

    def operator(self, factor: int) -> Subsample:
        """C′ of this factor."""
        return Subsample((self.config.navier_stokes.n_fine,) * 2, factor)
