"""Points and their paths from one distribution to another, side by side: as GIF, and as a page that plays offline."""

import base64
import json
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from subgrid.data.store import write_text
from subgrid.report import animation, style
from subgrid.report.plates import Plate

PlottedPaths = Float[np.ndarray, "frame n 2"]

PANEL = 2.1
"""Inches of one panel; at `DPI` four of them are 840 pixels, the width of a text column."""
DPI = 100
N_TRACED = 24
"""Points whose whole path is drawn."""
COLOURS = 32
"""Of the GIF's palette: two hues, a grey and their blends with the paper."""
QUANTUM = 32_000
"""Coordinates of the page are integers up to this, two bytes each: a thirtieth of a pixel."""

SOURCE, POINT, TRACE = style.COLOURS["floor"], style.COLOURS["debiased"], style.COLOURS["raw"]


def limits_of(paths: Mapping[str, PlottedPaths]) -> float:
    """Half the side of a square about the origin that holds nearly all points at all times."""
    return 1.15 * float(np.quantile([np.abs(path).max(-1) for path in paths.values()], 0.99))


def draw_panel(axes: Axes, title: str, path: PlottedPaths, frame: int, limit: float) -> None:
    """The points at one frame, where some of them have been, and faintly where all came from."""
    axes.set(xlim=(-limit, limit), ylim=(-limit, limit), xticks=[], yticks=[], title=title, aspect="equal")
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.scatter(*path[0].T, s=2.0, color=SOURCE, alpha=0.35, linewidths=0)
    traces = list(np.swapaxes(path[: frame + 1, :N_TRACED], 0, 1))
    axes.add_collection(LineCollection(traces, colors=TRACE, linewidths=0.6, alpha=0.6))
    axes.scatter(*path[frame].T, s=4.0, color=POINT, linewidths=0, zorder=3)  # over the lines


def draw_frame(paths: Mapping[str, PlottedPaths], frame: int) -> Figure:
    """All panels at one frame, in the house style."""
    with style.context():
        figure = Figure(figsize=(PANEL * len(paths), PANEL + 0.25), dpi=DPI, layout="constrained")
        limit = limits_of(paths)
        for axes, (title, path) in zip(np.ravel(figure.subplots(1, len(paths))), paths.items(), strict=True):
            draw_panel(axes, title, path, frame, limit)
    return figure


def write_gif(path: str | Path, paths: Mapping[str, PlottedPaths]) -> Path:
    """An animation of all panels, looping, the end held for a second; replaced if it is there.

    **Arguments:** `path` of the file; `paths`, points at every frame by title: as many frames in each.

    **Raises:** `ValueError` for panels of different length.

        write_gif("moons.gif", {"flow": flow_paths, "bridge": bridge_paths})
    """
    frames = [draw_frame(paths, frame) for frame in range(_number_of_frames(paths))]
    return animation.write_gif(path, frames, colours=COLOURS)


def gif_plate(name: str, path: Path) -> Plate:
    """A GIF as a figure of a report."""
    caption = "Grey: where all came from. Orange: the paths of some."
    alt = f"Points moving from a Gaussian onto {name}, four ways."
    return animation.gif_plate(name, name, path, alt=alt, caption=caption)


def write_page(path: str | Path, sets: Mapping[str, Mapping[str, PlottedPaths]]) -> Path:
    """One HTML file that plays the paths of every set, with a slider; it needs no network.

    **Arguments:** `path` of the file; `sets`, panels by title by name of the set.
    """
    data = {name: _packed(paths) for name, paths in sets.items()}
    colours = {"source": SOURCE, "point": POINT, "trace": TRACE}
    template = resources.files("subgrid.experiments.gallery").joinpath("animation.html").read_text(encoding="utf-8")
    # "</" would end the script that holds the data.
    content = json.dumps({"sets": data, "traced": N_TRACED, "colours": colours}).replace("</", "<\\/")
    return write_text(path, template.replace("{{ data }}", content))


def _packed(paths: Mapping[str, PlottedPaths]) -> dict[str, Any]:
    """Coordinates as base64 of little-endian 16-bit integers, frame by frame, point by point."""
    _number_of_frames(paths)
    limit = limits_of(paths)
    panels = []
    for title, path in paths.items():
        whole = np.clip(np.round(path / limit * QUANTUM), -32_768, 32_767).astype("<i2")
        n_frames, n_points, _ = path.shape
        text = base64.b64encode(whole.tobytes()).decode("ascii")
        panels.append({"title": title, "frames": n_frames, "points": n_points, "data": text})
    return {"quantum": QUANTUM, "panels": panels}


def _number_of_frames(paths: Mapping[str, PlottedPaths]) -> int:
    lengths = {title: len(path) for title, path in paths.items()}
    if len(set(lengths.values())) != 1:
        raise ValueError(f"all panels must have as many frames, got {lengths}.")
    return next(iter(lengths.values()))
