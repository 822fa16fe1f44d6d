"""The stages of the gallery: the paths of each set, an animation of each, the page that plays them all.

RUN/SET.npz, SET.gif, transport.html
"""

from functools import partial
from pathlib import Path

import numpy as np

from subgrid.data.store import write_whole
from subgrid.experiments.gallery.animation import gif_plate, write_gif, write_page
from subgrid.experiments.gallery.config import GalleryConfig, GalleryTable
from subgrid.experiments.gallery.paths import TITLES, make_paths
from subgrid.report.plates import Section
from subgrid.runs.experiment import Recipe
from subgrid.runs.page import Page, report_stage
from subgrid.runs.run import Run
from subgrid.runs.stage import Stage, Update, all_but

LEAD = (
    "The same points of a Gaussian, moved onto a set by the probability flow of a diffusion, by flow matching, by the "
    "same after one reflow, and by a Schrödinger bridge."
)


class GalleryRun(Run[GalleryConfig]):
    """A run of all sets."""

    root = "gallery"
    streams = ("8gaussians", "moons", "scurve", "checkerboard", "pinwheel")

    def paths(self, target: str) -> dict[str, np.ndarray]:
        """What was kept of a set, by title."""
        with np.load(self.path(f"{target}.npz")) as file:
            return {title: file[title] for title in TITLES}


def stages(config: GalleryConfig) -> list[Stage]:
    """All stages of a configuration, in order."""
    table = config.gallery
    moved = [
        Stage(
            f"move {target}",
            partial(move, target),
            (f"{target}.npz",),
            depends_on={"run": ("seed",), "gallery": all_but(GalleryTable, "targets")},
            work=table.n_steps,
        )
        for target in table.targets
    ]
    needs = tuple(stage.name for stage in moved)
    parts = (*(f"{target}.gif" for target in table.targets), "transport.html")
    animated = Stage("animate", animate, parts, needs, {"gallery": ("targets",)}, if_changed="remake")
    return [*moved, animated, report_stage(page, config, needs=("animate",))]


def move(target: str, run: GalleryRun, update: Update) -> None:
    """Trains all four ways to one set, and keeps the paths of the points."""
    found = make_paths(run.config.gallery, target, report=update, key=run.key(target))
    write_whole(run.path(f"{target}.npz"), lambda partial: _save(partial, found), kind="file", overwrite=True)


def _save(path: Path, arrays: dict[str, np.ndarray]) -> None:
    with path.open("wb") as file:  # np.savez would add a suffix to a name
        np.savez_compressed(file, **arrays)  # pyright: ignore[reportArgumentType]


def animate(run: GalleryRun, update: Update) -> None:
    """A GIF of each set, and the page that plays them."""
    targets = run.config.gallery.targets
    for i, target in enumerate(targets):
        update(i, len(targets), target)
        write_gif(run.path(f"{target}.gif"), run.paths(target))
    write_page(run.path("transport.html"), {target: run.paths(target) for target in targets})
    update(len(targets), len(targets))


def page(run: GalleryRun) -> Page:
    """The animations."""
    targets = run.config.gallery.targets
    plates = [gif_plate(target, run.path(f"{target}.gif")) for target in targets]
    section = Section("sets", "Four ways from noise to a set", LEAD, plates)
    return Page(f"From noise to a set: {run.config.run.name}", [("Sets", ", ".join(targets))], [section])


RECIPE = Recipe(GalleryRun, stages, page)
