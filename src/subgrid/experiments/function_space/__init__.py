"""Models of functions: trained on one grid, sampled on finer ones, beside models of vectors and the truth there."""

from subgrid.experiments.function_space.config import FunctionsConfig, check, resolve, without_folders
from subgrid.runs.experiment import Experiment, Recipe


def _recipe() -> Recipe:
    from subgrid.experiments.function_space.stages import RECIPE

    return RECIPE


EXPERIMENT = Experiment(
    table="functions",
    config=FunctionsConfig,
    recipe=_recipe,
    check=check,
    resolve=resolve,
    public=without_folders,
    example={"functions": {"system": "ramp-mixture", "candidates": ["diffusion", "diffusion-white"]}},
)
