"""One field on one axes, whatever its grid: a line, a plane, parallels and meridians, or a curvilinear grid."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, QuadMesh
from matplotlib.colorbar import Colorbar
from matplotlib.colors import Normalize
from matplotlib.ticker import FuncFormatter, MaxNLocator

from subgrid.downscaling.verifying.field_sets import FieldSet
from subgrid.downscaling.verifying.matching import place_of
from subgrid.report import style
from subgrid.report.style import Number

NOTHING = "#eceef1"
"""Cells without a value: lighter than any colour of a field, darker than the page."""
STEEPEST = 80.0
"""Degrees of latitude beyond which maps are stretched no further: a plane map breaks down there anyway."""


@dataclass(frozen=True)
class Grid:
    """Where the cells of a field lie, for an axes.

    Args:
        x: across, one or two dimensions.
        y: upwards; None for fields on a line.
        labels: of both axes; empty on maps, whose ticks say it.
        is_map: whether x and y are degrees of longitude and latitude.
        across_first: whether the first axis of a field is x, which is then turned.
    """

    x: Float[np.ndarray, "..."]
    y: Float[np.ndarray, "..."] | None
    labels: tuple[str, str]
    is_map: bool
    across_first: bool = False

    @property
    def stretch(self) -> float:
        """Height of a unit of y over the width of one of x: 1/cos(latitude) on maps."""
        if not self.is_map or self.y is None:
            return 1.0
        return float(1 / np.cos(np.radians(min(abs(self.y.min() + self.y.max()) / 2, STEEPEST))))

    @property
    def ratio(self) -> float:
        """Height over width of a panel."""
        if self.y is None:
            return 0.5
        width, height = (float(np.ptp(axis)) or 1.0 for axis in (self.x, self.y))
        return float(np.clip(height / width * self.stretch, 0.4, 1.6))


def grid_of(fields: FieldSet) -> Grid:
    """The grid of a set of fields.

    Args:
        fields: with one or two axes of space.

    Returns:
        Its cells, by their coordinates where there are some, else by number.

    Raises:
        ValueError: for fields of three axes or more.
    """
    if len(fields.space) > 2:
        raise ValueError(
            f"{fields.source}: {fields.name} has {len(fields.space)} axes of space, {fields.space}; select one of the "
            "last, so that two are left."
        )
    if len(fields.space) == 1:
        x, label = _axis(fields, fields.space[0])
        return Grid(x, None, (label, ""), False)
    position = place_of(fields)
    if position is None:
        (y, upwards), (x, across) = (_axis(fields, d) for d in fields.space)
        return Grid(x, y, (across, upwards), False)
    lat, lon = position.lat, position.lon
    if lat.degrees.ndim == 1:
        x = np.unwrap(lon.degrees, period=360.0)
        return Grid(x, lat.degrees, ("", ""), True, across_first=lon.dims == fields.space[:1])
    x = np.unwrap(np.unwrap(lon.degrees, axis=0, period=360.0), axis=1, period=360.0)
    return Grid(x, lat.degrees, ("", ""), True, across_first=lat.dims != fields.space)


def draw_field(axes: Axes, grid: Grid, field: Float[np.ndarray, "a b"], *, cmap: str, norm: Normalize) -> QuadMesh:
    """A field of two axes in its cells; those without a value are grey, and apart by a line.

    Args:
        axes: to draw on.
        grid: of the field.
        field: as `FieldSet.read` orders it.
        cmap: of colours.
        norm: their limits.

    Returns:
        The mesh, for a colour bar.
    """
    if grid.y is None:
        raise ValueError("a field on a line has no map; plot it against grid.x.")
    shown = np.ma.masked_invalid(field.T if grid.across_first else field)
    axes.set_facecolor(NOTHING)
    mesh = axes.pcolormesh(grid.x, grid.y, shown, cmap=cmap, norm=norm, shading="nearest", rasterized=True)
    missing = np.ma.getmaskarray(shown)
    axes.add_collection(LineCollection(_outline(mesh, missing), colors="#374151", linewidths=0.6), autolim=False)
    axes.set_aspect(grid.stretch if grid.is_map or _alike(grid) else "auto")
    axes.set(xlabel=grid.labels[0], ylabel=grid.labels[1])
    for axis, words in ((axes.xaxis, _east), (axes.yaxis, _north)):
        axis.set_major_locator(MaxNLocator(4))
        if grid.is_map:
            axis.set_major_formatter(FuncFormatter(words))
    axes.tick_params(length=2, labelsize=7.5, pad=1.5)
    axes.grid(False)
    axes.spines[:].set(visible=True, color="#d1d5db", linewidth=0.6)
    return mesh


def colour_bar(mesh: QuadMesh, beside: list[Axes], label: str, *fields: np.ndarray) -> Colorbar:
    """A bar below the panels that share its colours, with arrows where a field has values beyond.

    Args:
        mesh: of one of the panels.
        beside: the panels.
        label: with the unit.
        *fields: all that are drawn in these colours.

    Returns:
        The bar.
    """
    low, high = mesh.get_clim()
    values = np.concatenate([field[np.isfinite(field)] for field in fields])
    ends = bool(np.any(values < low)), bool(np.any(values > high))
    extend = {(False, False): "neither", (True, False): "min", (False, True): "max", (True, True): "both"}[ends]
    place: dict[str, Any] = {"location": "bottom", "aspect": 24 * len(beside), "pad": 0.03, "shrink": 0.92}
    figure = beside[0].get_figure(root=False)
    if figure is None:
        raise ValueError("the axes are of no figure, so there is no place for a colour bar.")
    bar = figure.colorbar(mesh, ax=beside, extend=extend, **place)
    bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
    bar.set_label(label, fontsize=8.5, labelpad=2)
    bar.ax.tick_params(length=2, labelsize=7.5, pad=1.5)
    bar.ax.xaxis.set_major_locator(MaxNLocator(4))
    bar.ax.grid(False)
    return bar


def _outline(mesh: QuadMesh, missing: Bool[np.ndarray, "y x"]) -> list[np.ndarray]:
    """The edges between cells with and without a value."""
    corners = np.asarray(mesh.get_coordinates())
    i, j = np.nonzero(missing[:, 1:] != missing[:, :-1])
    upright = np.stack([corners[i, j + 1], corners[i + 1, j + 1]], axis=1)
    i, j = np.nonzero(missing[1:] != missing[:-1])
    level = np.stack([corners[i + 1, j], corners[i + 1, j + 1]], axis=1)
    return list(np.concatenate([upright, level]))


def _axis(fields: FieldSet, dim: str) -> tuple[np.ndarray, str]:
    """Values along an axis, and what it is called."""
    coordinate = fields.array.coords.get(dim)
    if coordinate is None or coordinate.dtype.kind not in "fiu":
        return np.arange(fields.array.sizes[dim], dtype=np.float64), f"{dim} (cell)"
    return np.asarray(coordinate.values, np.float64), style.with_units(dim, str(coordinate.attrs.get("units", "")))


def _alike(grid: Grid) -> bool:
    """Whether both axes of a plane can have one scale, without a panel that is a strip."""
    width, height = (float(np.ptp(axis)) for axis in (grid.x, grid.y) if axis is not None)
    return bool(width > 0 and 0.25 < height / width < 4)


def _east(degrees: Number, _: int) -> str:
    shown = (float(degrees) + 180) % 360 - 180
    return f"{abs(shown):g}°{'E' if shown > 0 else 'W' if shown < 0 else ''}"


def _north(degrees: Number, _: int) -> str:
    return f"{abs(float(degrees)):g}°{'N' if degrees > 0 else 'S' if degrees < 0 else ''}"
