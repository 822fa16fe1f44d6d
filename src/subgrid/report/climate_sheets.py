"""Sheets of maps, one figure each: a statistic and its error, distances, stamps of one day, a change."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize, PowerNorm
from matplotlib.figure import Figure

from subgrid.report import style
from subgrid.report.climate_maps import (
    DISTANCE,
    Frame,
    colour_bar,
    common_range,
    difference_scale,
    draw_map,
    outer_labels,
    readable_limit,
)

MEMBERS_STAMPED = 6
TITLE, BARS, LABELS = 0.24, 0.62, 0.4
"""Inches: height of a map's title and of the bars below a sheet, width of the latitudes' labels."""


def sheet(frame: Frame, n_rows: int, n_columns: int, *, bars: float = BARS) -> tuple[Figure, np.ndarray]:
    """An empty figure one tile wide, as high as its maps need, and its axes (row, column)."""
    width = (style.TILE_WIDTH - LABELS) / n_columns
    # Wide regions make low maps: a title and half an inch at least.
    figure = style.tile(n_rows * (max(0.95 * width * frame.ratio, 0.5) + TITLE) + bars)
    figure.set_layout_engine("constrained", w_pad=0.03, h_pad=0.03, wspace=0.01, hspace=0.01)
    axes = figure.subplots(n_rows, n_columns, squeeze=False, sharex=True, sharey=True)
    return figure, axes.astype(object)


def statistic_sheet(
    frame: Frame,
    reference: np.ndarray,
    maps: dict[str, np.ndarray],
    *,
    label: str,
    units: str,
    precipitation: bool,
    floor: np.ndarray | None = None,
) -> Figure:
    """A statistic of each set on one scale, left, and its difference from the reference's on another, right.

    **Arguments:** maps (y, x) with NaN outside the mask; `floor`, the statistic of a second reference set, whose
    difference stands beside the reference.
    """
    figure, axes = sheet(frame, len(maps) + 1, 2)
    values = {"reference": reference, **maps}
    differences = {role: field - reference for role, field in maps.items()}
    beside = {"floor": floor - reference} if floor is not None else {}
    norm = common_range(*values.values())
    cmap, error_norm = difference_scale(differences | beside, precipitation=precipitation)
    for row, (role, field) in enumerate(values.items()):
        mesh = draw_map(axes[row, 0], field, frame, cmap=style.SEQUENTIAL, norm=norm, note=f"mean {_mean(field)}")
        axes[row, 0].set_title(style.LABELS[role])
        _difference(axes, row, {**differences, **({"reference": beside["floor"]} if beside else {})}.get(role), role)
        if axes[row, 1] is not None:
            shown = beside["floor"] if role == "reference" else differences[role]
            error = draw_map(axes[row, 1], shown, frame, cmap=cmap, norm=error_norm, note=f"rms {_rms(shown)}")
    left, right = ([a for a in axes[:, column] if a is not None] for column in (0, 1))
    colour_bar(figure, mesh, left, label=_with_units(label, units))
    colour_bar(figure, error, right, label=_with_units("difference", units))
    outer_labels(axes)
    return figure
