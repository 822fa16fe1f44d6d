"""Moist turbulence: bridges, flows and diffusion bridges between a coarse and a fine model, in five contexts."""

from subgrid.experiments.moist_turbulence.config import TurbulenceConfig, check
from subgrid.runs.experiment import Experiment, Recipe


def _recipe() -> Recipe:
    from subgrid.experiments.moist_turbulence.stages import RECIPE

    return RECIPE


EXPERIMENT = Experiment(
    table="turbulence",
    config=TurbulenceConfig,
    recipe=_recipe,
    check=check,
    example={
        "turbulence": {"n_coarse": 32, "n_fine": 128},
        "evaluation": {"methods": ["diffusion-bridge", "flow-matching", "dsbm-ipf"]},
    },
)
