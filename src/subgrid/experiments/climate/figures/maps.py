"""Maps: one field on its grid and coasts, axes in, axes out; and the colour scales that a row of maps shares."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, QuadMesh
from matplotlib.colorbar import Colorbar
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from subgrid.report import style
from subgrid.report.style import Number

SEA = "#eceef1"
"""Outside the mask: lighter than any colour of a field, darker than the page."""
DISTANCE = "YlOrBr"
WET, WETTER = "YlGnBu", "BrBG"


@dataclass(frozen=True)
class Frame:
    """Where a map lies: its cell centres and the cells that hold values."""

    lat: Float[np.ndarray, "..."]
    lon: Float[np.ndarray, "..."]
    mask: Bool[np.ndarray, "y x"]

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """West, east, south, north of the cells that hold values, and one cell more on each side."""
        lat, lon = self.lat, self.lon
        if lat.ndim == 1:
            lat, lon = np.meshgrid(lat, lon, indexing="ij")
        step_lat, step_lon = (float(np.ptp(axis)) / max(max(axis.shape) - 1, 1) or 1.0 for axis in (self.lat, self.lon))
        inside_lat, inside_lon = lat[self.mask], lon[self.mask]
        return (
            float(inside_lon.min()) - step_lon,
            float(inside_lon.max()) + step_lon,
            max(float(inside_lat.min()) - step_lat, -90.0),
            min(float(inside_lat.max()) + step_lat, 90.0),
        )

    @property
    def stretch(self) -> float:
        """A degree of latitude over one of longitude, at the middle latitude: 1/cos(latitude)."""
        _, _, south, north = self.extent
        # Near the poles the plane map breaks down anyway: 80° bounds the figure's height. *Merely convenient.*
        return 1 / np.cos(np.radians(min(abs(south + north) / 2, 80.0)))

    @property
    def ratio(self) -> float:
        """Height over width of a map."""
        west, east, south, north = self.extent
        return float(np.clip((north - south) / (east - west) * self.stretch, 0.3, 2.0))


def draw_map(axes: Axes, field: np.ndarray, frame: Frame, *, cmap: str, norm: Normalize, note: str = "") -> QuadMesh:
    """A field in its cells with coasts; the note goes into the lower right corner."""
    axes.set_facecolor(SEA)
    shown = np.ma.masked_invalid(np.where(frame.mask, field, np.nan))
    mesh = axes.pcolormesh(frame.lon, frame.lat, shown, cmap=cmap, norm=norm, shading="nearest", rasterized=True)
    _draw_coasts(axes, frame)
    west, east, south, north = frame.extent
    axes.set(xlim=(west, east), ylim=(south, north), aspect=frame.stretch)
    axes.xaxis.set(major_locator=MaxNLocator(3), major_formatter=FuncFormatter(_east))
    axes.yaxis.set(major_locator=MaxNLocator(3), major_formatter=FuncFormatter(_north))
    axes.tick_params(length=2, labelsize=7.5, pad=1.5)
    axes.grid(False)
    axes.spines[:].set(visible=True, color="#d1d5db", linewidth=0.6)
    if note:
        box = {"facecolor": "white", "alpha": 0.85, "edgecolor": "none", "pad": 1.5}
        axes.text(0.98, 0.03, note, transform=axes.transAxes, ha="right", va="bottom", fontsize=7.5, bbox=box, zorder=6)
    return mesh


def outer_labels(grid: np.ndarray) -> None:
    """Ticks' labels on the left column and below the lowest map of each column only."""
    for column in range(grid.shape[1]):
        used = [row for row in range(grid.shape[0]) if grid[row, column] is not None]
        for row in used:
            grid[row, column].tick_params(labelleft=column == 0, labelbottom=row == used[-1])


def colour_bar(figure: Figure, meshes: Sequence[QuadMesh], *, label: str, cax: Axes | None = None) -> Colorbar:
    """A flat bar for maps of one scale, with arrows where any of them has values beyond it.

    **Arguments:** `cax`, the axes to draw it in; by default it lies below the axes of the maps.
    """
    place: dict[str, Any] = {"cax": cax, "orientation": "horizontal"}
    if cax is None:
        place = {"ax": [mesh.axes for mesh in meshes], "location": "bottom", "aspect": 22, "pad": 0.02, "shrink": 0.92}
    bar = figure.colorbar(meshes[0], extend=_beyond(meshes), **place)
    bar.outline.set_visible(False)
    bar.set_label(label, fontsize=8.5, labelpad=2)
    bar.ax.tick_params(length=2, labelsize=7.5, pad=1.5)
    bar.ax.xaxis.set_major_locator(MaxNLocator(4))
    bar.minorticks_off()
    bar.ax.grid(False)
    return bar


def common_range(*fields: np.ndarray) -> Normalize:
    """Limits that hold all but the outermost half per cent of the values."""
    values = np.concatenate([np.asarray(field)[np.isfinite(field)] for field in fields])
    low, high = (float(q) for q in np.quantile(values, [0.005, 0.995])) if values.size else (0.0, 1.0)
    return Normalize(low, high if high > low else low + 1)


def readable_limit(fields: dict[str, np.ndarray]) -> float:
    """Largest magnitude that a common scale should reach: raw fields, far off, may exceed it so that others are read.

    It is 1.5 times the 98 % quantile of what is not raw, or the largest value of all if that is less.
    """
    finite = {role: np.abs(field[np.isfinite(field)]) for role, field in fields.items()}
    everything = np.concatenate(list(finite.values()))
    largest = float(everything.max()) if everything.size else 0.0
    near = [values for role, values in finite.items() if role != "raw" and values.size]
    wanted = 1.5 * float(np.quantile(np.concatenate(near), 0.98)) if near else largest
    return min(wanted, largest) if min(wanted, largest) > 0 else largest or 1.0


def value_colours(*, precipitation: bool) -> str:
    """Colours of the values themselves: the darker, the wetter; else the brighter, the larger."""
    return WET if precipitation else style.SEQUENTIAL


def difference_scale(fields: dict[str, np.ndarray], *, precipitation: bool) -> tuple[str, Normalize]:
    """Diverging colours about zero: red is warmer, green is wetter."""
    return WETTER if precipitation else style.DIVERGING, style.symmetric(readable_limit(fields))


@cache
def coastlines() -> tuple[np.ndarray, ...]:
    """Coasts as (lon, lat) lines, where cartopy is installed and has them on disk already; else none.

    Nothing is downloaded: a report must not wait for a network. `cartopy_feature_download.py physical` fetches them.
    """
    try:
        import cartopy  # pyright: ignore[reportMissingImports]
        from cartopy.io.shapereader import Reader  # pyright: ignore[reportMissingImports]
    except ImportError:
        return ()
    for key in ("pre_existing_data_dir", "data_dir"):
        folder = Path(cartopy.config.get(key) or ".") / "shapefiles" / "natural_earth" / "physical"
        for scale in ("50m", "110m", "10m"):
            if (path := folder / f"ne_{scale}_coastline.shp").is_file():
                lines = (part for shape in Reader(path).geometries() for part in getattr(shape, "geoms", [shape]))
                return tuple(np.asarray(line.coords)[:, :2] for line in lines)
    return ()


def _draw_coasts(axes: Axes, frame: Frame) -> None:
    """Coastlines if there are any, else the outline of the mask."""
    look: dict[str, Any] = {"colors": "#374151", "linewidths": 0.6, "zorder": 5}
    if lines := coastlines():
        axes.add_collection(LineCollection(list(lines), **look), autolim=False)
    elif not frame.mask.all() and min(frame.mask.shape) > 1:
        axes.contour(frame.lon, frame.lat, frame.mask.astype(float), levels=[0.5], **look)


def _beyond(meshes: Sequence[QuadMesh]) -> str:
    values = np.concatenate([np.ma.compressed(np.ma.asarray(mesh.get_array())) for mesh in meshes])
    low, high = meshes[0].get_clim()
    ends = bool(np.any(values < low)), bool(np.any(values > high))
    return {(False, False): "neither", (True, False): "min", (False, True): "max", (True, True): "both"}[ends]


def _east(degrees: Number, _: int) -> str:
    shown = (float(degrees) + 180) % 360 - 180
    return f"{abs(shown):g}°{'E' if shown > 0 else 'W' if shown < 0 else ''}"


def _north(degrees: Number, _: int) -> str:
    return f"{abs(float(degrees)):g}°{'N' if degrees > 0 else 'S' if degrees < 0 else ''}"
