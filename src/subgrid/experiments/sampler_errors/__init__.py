"""What samplers cost in accuracy, with exact denoisers and no network."""

from subgrid.experiments.sampler_errors.config import SamplerErrorsConfig, check
from subgrid.runs.experiment import Experiment, Recipe


def _recipe() -> Recipe:
    from subgrid.experiments.sampler_errors.stages import RECIPE

    return RECIPE


EXPERIMENT = Experiment(
    table="sampler_errors",
    config=SamplerErrorsConfig,
    recipe=_recipe,
    check=check,
    example={"sampler_errors": {"evaluations": [4, 8, 16, 32]}},
)
