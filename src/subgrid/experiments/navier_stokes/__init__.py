"""Kolmogorov flow from a biased finite-volume solver to a spectral one: every method and baseline in one table."""

from subgrid.experiments.navier_stokes.config import NavierStokesConfig, check
from subgrid.runs.experiment import Experiment, Recipe


def _recipe() -> Recipe:
    from subgrid.experiments.navier_stokes.stages import RECIPE

    return RECIPE


EXPERIMENT = Experiment(
    table="navier_stokes",
    config=NavierStokesConfig,
    recipe=_recipe,
    check=check,
    example={
        "navier_stokes": {"n_fine": 64, "n_coarse": 32, "factors": [4, 8]},
        "comparison": {"methods": ["entropic-ot+guided", "none+guided", "entropic-ot+cubic"]},
    },
)
