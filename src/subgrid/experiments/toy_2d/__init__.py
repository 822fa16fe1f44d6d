"""Transports between sets of points in the plane: distance and path energy, as published."""

from subgrid.experiments.toy_2d.config import ToyConfig
from subgrid.runs.experiment import Experiment, Recipe


def _recipe() -> Recipe:
    from subgrid.experiments.toy_2d.stages import RECIPE

    return RECIPE


EXPERIMENT = Experiment(
    table="toy",
    config=ToyConfig,
    recipe=_recipe,
    example={"toy": {"tasks": ["moons"], "methods": ["dsbm-imf", "ot-cfm"], "n_seeds": 1}},
)
