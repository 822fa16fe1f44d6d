"""Sheets of maps, one figure each: a statistic and its error, distances, stamps of one day, a change."""

import numpy as np
from matplotlib.collections import QuadMesh
from matplotlib.colors import Normalize, PowerNorm
from matplotlib.figure import Figure

from subgrid.experiments.climate.figures.maps import (
    DISTANCE,
    WETTER,
    Frame,
    colour_bar,
    common_range,
    difference_scale,
    draw_map,
    outer_labels,
    readable_limit,
    value_colours,
)
from subgrid.report import style

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
    frame: Frame, maps: dict[str, np.ndarray], *, label: str, units: str, precipitation: bool
) -> Figure:
    """A statistic of each set on one scale, left, and its difference from the reference's on another, right.

    **Arguments:** `maps` (y, x) by role, NaN outside the mask: "reference", then at least one other; the difference of
    "floor" stands beside the reference, and its own map is not shown.
    """
    reference = maps["reference"]
    shown = {role: field for role, field in maps.items() if role != "floor"}
    differences = {role: field - reference for role, field in maps.items() if role != "reference"}
    figure, axes = sheet(frame, len(shown), 2)
    colours, values = value_colours(precipitation=precipitation), common_range(*shown.values())
    cmap, norm = difference_scale(differences, precipitation=precipitation)
    meshes: tuple[list[QuadMesh], list[QuadMesh]] = ([], [])
    for row, (role, field) in enumerate(shown.items()):
        note = f"mean {_number(np.nanmean(field))}"
        meshes[0].append(draw_map(axes[row, 0], field, frame, cmap=colours, norm=values, note=note))
        axes[row, 0].set_title(style.LABELS[role])
        other = "floor" if role == "reference" else role
        if other not in differences:
            _remove(axes, row, 1)
            continue
        note = f"rms {_number(_rms(differences[other]))}"
        meshes[1].append(draw_map(axes[row, 1], differences[other], frame, cmap=cmap, norm=norm, note=note))
        axes[row, 1].set_title(f"{style.LABELS[other]} − reference", fontsize=8)
    for drawn, name in zip(meshes, (label, "difference"), strict=True):
        colour_bar(figure, drawn, label=style.with_units(name, units))
    outer_labels(axes)
    return figure


def distance_sheet(frame: Frame, maps: dict[str, np.ndarray], *, label: str, units: str) -> Figure:
    """A distance from the reference, zero at best, of each set on one scale, two maps a row."""
    n_rows = (len(maps) + 1) // 2
    figure, axes = sheet(frame, n_rows, 2)
    norm = Normalize(0, readable_limit(maps))
    meshes = []
    for panel, (role, field) in zip(axes.flat, maps.items(), strict=False):
        note = f"mean {_number(np.nanmean(field))}"
        meshes.append(draw_map(panel, field, frame, cmap=DISTANCE, norm=norm, note=note))
        panel.set_title(style.LABELS[role])
    if len(maps) % 2:
        _remove(axes, n_rows - 1, 1)
    colour_bar(figure, meshes, label=style.with_units(label, units))
    outer_labels(axes)
    return figure


def stamp_sheet(
    frame: Frame, fields: dict[str, np.ndarray], spread: np.ndarray, *, label: str, units: str, precipitation: bool
) -> Figure:
    """Departures or rain of one day on one scale, three a row; below, the spread on its own beside both bars."""
    n_rows = -(-len(fields) // 3) + 1
    figure, axes = sheet(frame, n_rows, 3, bars=0.1)
    cmap, norm = _day_scale(list(fields.values()), precipitation=precipitation)
    meshes = []
    for panel, (title, field) in zip(axes.flat, fields.items(), strict=False):
        meshes.append(draw_map(panel, field, frame, cmap=cmap, norm=norm))
        panel.set_title(title, fontsize=8)
    largest = float(np.nanmax(spread)) if np.isfinite(spread).any() else 0.0
    spread_mesh = draw_map(axes[-1, 0], spread, frame, cmap=style.SPREAD, norm=Normalize(0, largest or 1.0))
    axes[-1, 0].set_title("spread", fontsize=8)
    for place in list(np.ndindex(n_rows - 1, 3))[len(fields) :]:
        _remove(axes, *place)
    labels = style.with_units(label, units), style.with_units("spread", units)
    _bars_in_slots(figure, axes, 1, dict(zip(labels, (meshes, [spread_mesh]), strict=True)))
    outer_labels(axes)
    return figure


def change_sheet(frame: Frame, given: np.ndarray, found: np.ndarray, *, units: str, precipitation: bool) -> Figure:
    """The change that the coarse model asks for, the change of the output, and what one is off the other."""
    figure, axes = sheet(frame, 2, 2, bars=0.1)
    cmap, norm = _signed_scale(common_range(given, found), precipitation=precipitation)
    meshes = []
    for column, (title, field) in enumerate({"input": given, "output": found}.items()):
        note = f"mean {_number(np.nanmean(field))}"
        meshes.append(draw_map(axes[0, column], field, frame, cmap=cmap, norm=norm, note=note))
        axes[0, column].set_title(title)
    error = found - given
    cmap, norm = difference_scale({"change": error}, precipitation=precipitation)
    error_mesh = draw_map(axes[1, 0], error, frame, cmap=cmap, norm=norm, note=f"rms {_number(_rms(error))}")
    axes[1, 0].set_title("output − input")
    labels = style.with_units("change", units), style.with_units("output − input", units)
    _bars_in_slots(figure, axes, 1, dict(zip(labels, (meshes, [error_mesh]), strict=True)))
    outer_labels(axes)
    return figure


def spread_sheet(frame: Frame, spread: np.ndarray, factor: np.ndarray, outside: np.ndarray) -> Figure:
    """Spread of members on a usual day, and by what left-out years multiplied it; hatched where nothing constrains."""
    figure, axes = sheet(frame, 1, 2, bars=BARS + TITLE)
    limit = max(float(np.nanquantile(np.abs(factor - 1), 0.98)), 0.1)
    scales = (
        ("standard deviation", spread, style.SPREAD, common_range(spread)),
        ("factor", factor, style.DIVERGING, Normalize(1 - limit, 1 + limit)),
    )
    for panel, (title, field, cmap, norm) in zip(axes[0], scales, strict=True):
        note = f"mean {_number(np.nanmean(field))}"
        mesh = draw_map(panel, field, frame, cmap=cmap, norm=norm, note=note)
        if outside.any():
            hatched = {"levels": [0.5, 1.5], "hatches": ["////"], "colors": "none"}
            panel.contourf(frame.lon, frame.lat, outside.astype(float), **hatched)
        panel.set_title(title)
        colour_bar(figure, [mesh], label=title)
    return figure


def _bars_in_slots(figure: Figure, axes: np.ndarray, column: int, bars: dict[str, list[QuadMesh]]) -> None:
    """Flat bars, one over another, in place of the maps of the last row from a column on."""
    for unused in range(column, axes.shape[1]):
        _remove(axes, -1, unused)
    slot = figure.add_subplot(axes[0, 0].get_gridspec()[-1, column:])
    slot.set_axis_off()
    for i, (label, meshes) in enumerate(bars.items()):
        colour_bar(figure, meshes, cax=slot.inset_axes((0.06, 0.68 - 0.5 * i, 0.88, 0.1)), label=label)


def _signed_scale(norm: Normalize, *, precipitation: bool) -> tuple[str, Normalize]:
    """Diverging about zero where a range has both signs, else the range as it is."""
    low, high = float(norm.vmin or 0.0), float(norm.vmax or 0.0)
    if low < 0 < high:
        return WETTER if precipitation else style.DIVERGING, style.symmetric(max(-low, high))
    return value_colours(precipitation=precipitation), norm


def _day_scale(fields: list[np.ndarray], *, precipitation: bool) -> tuple[str, Normalize]:
    """Limits common to all fields of a day: about zero; for precipitation its root, so that drizzle is seen too."""
    norm = common_range(*fields)
    if precipitation:
        return value_colours(precipitation=True), PowerNorm(0.5, 0, max(float(norm.vmax or 1), 1.0))
    return style.DIVERGING, style.symmetric(max(abs(float(norm.vmin or 0)), abs(float(norm.vmax or 0))))


def _remove(axes: np.ndarray, row: int, column: int) -> None:
    axes[row, column].remove()
    axes[row, column] = None


def _rms(field: np.ndarray) -> float:
    return float(np.sqrt(np.nanmean(np.square(field, dtype=np.float64))))


def _number(value: float | np.number) -> str:
    text = f"{float(value):.3g}"
    return text.replace("-", "−")
