"""From noise to a set of points by denoising, flow, reflow and bridge, as an animation."""

from subgrid.experiments.gallery.config import GalleryConfig
from subgrid.runs.experiment import Experiment, Recipe


def _recipe() -> Recipe:
    from subgrid.experiments.gallery.stages import RECIPE

    return RECIPE


EXPERIMENT = Experiment(
    table="gallery",
    config=GalleryConfig,
    recipe=_recipe,
    example={"gallery": {"targets": ["8gaussians"]}},
)
