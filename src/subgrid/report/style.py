"""One colour and one line for each role, in every figure and on the page.

The hues are those of Okabe and Ito (2008) and a violet, distinct to any colour vision; line patterns say the same
once more.
"""

import re
from contextlib import AbstractContextManager
from typing import Any, TypeAlias

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

Number: TypeAlias = float | int | np.number

COLOURS = {
    "reference": "#111827",
    "raw": "#D55E00",
    "debiased": "#0072B2",
    "cubic": "#CC79A7",
    "quantile mapping": "#56B4E9",
    "bcsd": "#8C6BB1",
    "analogues": "#E69F00",
    "generated": "#009E73",
    "floor": "#9CA3AF",
}
LABELS = {
    "reference": "reference",
    "raw": "raw",
    "debiased": "debiased",
    "cubic": "cubic",
    "quantile mapping": "quantile mapping",
    "bcsd": "BCSD",
    "analogues": "analogues",
    "generated": "generated",
    "floor": "noise floor",
}
PATTERNS = {
    "raw": (0, (4, 1.6)),
    "cubic": (0, (5, 1.4, 1.2, 1.4)),
    "bcsd": (0, (5, 1.4, 1.2, 1.4)),
    "analogues": (0, (1.4, 1.2)),
}
INK, MUTED, HAIRLINE = "#1f2937", "#6b7280", "#e5e7eb"

DIVERGING, SEQUENTIAL, SPREAD = "RdBu_r", "cividis", "magma"

EXPONENTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")

TILE_WIDTH = 4.8
"""Inches: 460 pixels on a page, so that two tiles stand side by side and one still reads well on a phone."""
LEGEND_WIDTH = 0.82
"""Of a figure, right of what its ordinate takes."""

SETTINGS: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlecolor": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": "#9ca3af",
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": HAIRLINE,
    "grid.linewidth": 0.6,
    "xtick.color": "#9ca3af",
    "ytick.color": "#9ca3af",
    "xtick.labelcolor": "#4b5563",
    "ytick.labelcolor": "#4b5563",
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "legend.labelcolor": INK,
    "legend.handlelength": 2.0,
    "legend.columnspacing": 1.2,
    "lines.solid_capstyle": "round",
    "svg.hashsalt": "subgrid",
}


def context() -> AbstractContextManager[None]:
    """The house style, for the length of a `with` block; matplotlib's settings come back afterwards."""
    return matplotlib.rc_context(SETTINGS)


def line(role: str, **changes: Any) -> dict[str, Any]:
    """Keywords of `Axes.plot` for one role, with changes."""
    return {
        "color": COLOURS[role],
        "linestyle": PATTERNS.get(role, "-"),
        "linewidth": {"reference": 2.2, "floor": 1.0}.get(role, 1.6),
        "label": LABELS[role],
        # The reference lies below, wide, so that a line upon it is still seen; the floor lies below everything.
        "zorder": {"floor": 2, "reference": 3}.get(role, 4),
        **changes,
    }


def tile(height: Number) -> Figure:
    """An empty figure, one tile wide, height in inches."""
    return Figure(figsize=(TILE_WIDTH, float(height)), layout="constrained")


def legend_above(axes: Axes, columns: int = 4) -> None:
    """The legend in a row over the axes, where it can hide no line; in smaller letters where its names are too long."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    options: dict[str, Any] = {"loc": "lower left", "bbox_to_anchor": (-0.02, 1.0), "ncols": columns}
    legend = axes.legend(borderaxespad=0.2, **options)
    wide = legend.get_window_extent().width / (LEGEND_WIDTH * figure.bbox.width)
    if wide > 1:
        size = legend.get_texts()[0].get_fontproperties().get_size_in_points() / wide
        axes.legend(borderaxespad=0.2, fontsize=size, **options)


def field_scale(*fields: np.ndarray) -> tuple[str, Normalize]:
    """Colour map and limits common to all fields: diverging about zero where values have both signs."""
    values = np.concatenate([field[np.isfinite(field)] for field in fields])
    # The outermost thousandth would otherwise set the scale for everyone.
    low, high = np.quantile(values, [0.001, 0.999])
    if low < 0 < high and min(-low, high) > 0.2 * max(-low, high):
        return DIVERGING, symmetric(max(-low, high))
    return SEQUENTIAL, Normalize(low, high if high > low else low + 1)


def symmetric(largest: Number) -> Normalize:
    """Limits ±largest, so that the middle of a diverging map is zero."""
    largest = float(largest) if np.isfinite(largest) and largest > 0 else 1.0
    return Normalize(-largest, largest)


def with_units(name: str, units: str) -> str:
    """A label as axes carry it, "tas [K]"; the name alone where the quantity has no unit."""
    return f"{name} [{raised(units)}]" if units not in ("", "1") else name


def raised(units: str) -> str:
    """Exponents of a CF unit as raised figures: mm day⁻¹ for "mm day-1"."""
    return re.sub(r"(?<=[A-Za-z])-?\d+", lambda found: found.group().translate(EXPONENTS), units)


def squared(units: str) -> str:
    """The unit of a variance, in the same notation: K2, (mm day-1)²."""
    return units if units in ("", "1") else f"{units}2" if units.isalpha() else f"({units})²"
