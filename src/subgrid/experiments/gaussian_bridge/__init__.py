"""A Schrödinger bridge between Gaussians by iterative Markovian fitting, against its closed form."""

from subgrid.experiments.gaussian_bridge.config import GaussianBridgeConfig
from subgrid.runs.experiment import Experiment, Recipe


def _recipe() -> Recipe:
    from subgrid.experiments.gaussian_bridge.stages import RECIPE

    return RECIPE


EXPERIMENT = Experiment(
    table="gaussian_bridge",
    config=GaussianBridgeConfig,
    recipe=_recipe,
    example={"gaussian_bridge": {"dimensions": [5]}},
)
