"""Downscaling between two archives of fields, from files or simulated: debiasing, prior, ensembles, scores."""

from subgrid.experiments.downscale.config import DownscaleConfig, check
from subgrid.runs.experiment import Experiment, Recipe


def _recipe() -> Recipe:
    from subgrid.experiments.downscale.stages import RECIPE

    return RECIPE


EXPERIMENT = Experiment(
    table="data",
    config=DownscaleConfig,
    recipe=_recipe,
    check=check,
    example={
        "data": {"source": "files", "fine": "fine.nc", "coarse": "coarse.nc", "periodic": False,
                 "translation_invariant": False},
        "coarsening": {"kind": "block-mean", "factor": 4},
    },
)  # fmt: skip
