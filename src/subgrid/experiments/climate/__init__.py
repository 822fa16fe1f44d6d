"""Climate downscaling of CF archives: units, calendars, masks, changes of climate, maps."""

from subgrid.experiments.climate.config import ClimateConfig, check, resolve, without_folders
from subgrid.runs.experiment import Experiment, Recipe


def _recipe() -> Recipe:
    from subgrid.experiments.climate.stages import RECIPE

    return RECIPE


EXPERIMENT = Experiment(
    table="climate",
    config=ClimateConfig,
    recipe=_recipe,
    check=check,
    resolve=resolve,
    public=without_folders,
    example={"climate": {"fine": "fine.nc", "coarse": "coarse.nc", "variables": ["tas"]}},
)
