"""Grids of cells on the sphere, from the coordinates of a canonical dataset: centres, bounds, areas, extent.

All geometry happens in the plane of longitude (radians) and sine of latitude, an equal-area projection of the unit
sphere. There the cells of a regular grid are rectangles, exactly. The edges of curvilinear cells are taken as straight
in that plane; great circles instead would change cell areas by a part of the order of the squared cell size.
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float

from subgrid.data.fields import DataError
from subgrid.data.grids.bounds import bounds_of, check_bounds, check_corners

POLAR, WIDE = 60.0, 3.0
"""Degrees of latitude beyond which, and of longitude over which, a straight edge here is far from a great circle."""
NEARLY = 1e-7
"""Of an edge."""
PARTS = 8
"""Of an edge there: its points, so that the area between chord and great circle is 1/64 of that of the whole edge."""


@dataclass(frozen=True, eq=False)
class RegularGrid:
    """Cells between parallels and meridians. Made by `regular_grid` or `grid_of`.

    Cells may come in any order; longitudes may run over ±180 (bounds lie around their own centre).

    Args:
        lat: centres, degrees.
        lon: centres, degrees.
        lat_bounds: lower and upper, degrees.
        lon_bounds: lower and upper, degrees.
        source: names the grid in messages.
    """

    lat: Float[np.ndarray, " lat"]
    lon: Float[np.ndarray, " lon"]
    lat_bounds: Float[np.ndarray, "lat 2"]
    lon_bounds: Float[np.ndarray, "lon 2"]
    source: str

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of latitudes and of longitudes."""
        return len(self.lat), len(self.lon)

    @property
    def areas(self) -> Float[np.ndarray, "lat lon"]:
        """Δλ·(sin φ₂ − sin φ₁) of every cell, in steradians."""
        height = np.diff(np.sin(np.radians(self.lat_bounds)))
        return height * np.diff(np.radians(self.lon_bounds)).T

    @property
    def polygons(self) -> Float[np.ndarray, "cell 4 2"]:
        """Corners of all cells as (longitude in radians, sine of latitude), counter-clockwise."""
        u, v = np.radians(self.lon_bounds), np.sin(np.radians(self.lat_bounds))
        corners = [np.broadcast_arrays(u[None, :, i], v[:, None, j]) for i, j in ((0, 0), (1, 0), (1, 1), (0, 1))]
        return np.moveaxis(np.asarray(corners), (0, 1), (2, 3)).reshape(-1, 4, 2)

    @property
    def spacing(self) -> str:
        """The median cell in words."""
        height, width = np.median(np.diff(self.lat_bounds)), np.median(np.diff(self.lon_bounds))
        return f"{height:.3g} x {width:.3g} degrees"

    @property
    def extent(self) -> str:
        """The outer bounds in words."""
        return _extent(self.lat_bounds, self.lon_bounds)


@dataclass(frozen=True, eq=False)
class CurvilinearGrid:
    """Cells with four corners anywhere, a pole inside one or not. Made by `curvilinear_grid` or `grid_of`.

    Args:
        lat: centres, degrees.
        lon: centres, degrees.
        lat_corners: in order around each cell, degrees.
        lon_corners: in order around each cell, degrees.
        source: names the grid in messages.
    """

    lat: Float[np.ndarray, "y x"]
    lon: Float[np.ndarray, "y x"]
    lat_corners: Float[np.ndarray, "y x 4"]
    lon_corners: Float[np.ndarray, "y x 4"]
    source: str

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of cells along y and x."""
        return self.lat.shape

    @property
    def areas(self) -> Float[np.ndarray, "y x"]:
        """Areas in steradians, edges straight in longitude and sine of latitude: neighbours add up exactly."""
        return polygon_areas(self.polygons).reshape(self.shape)

    @property
    def polygons(self) -> Float[np.ndarray, "cell corner 2"]:
        """Corners of all cells as (longitude in radians, sine of latitude), counter-clockwise.

        Near a pole, edges between meridians are great circles with points in between, and a cell that holds a pole ends
        at the line that the pole is in this plane.
        """
        lat, lon = self.lat_corners.reshape(-1, 4), self.lon_corners.reshape(-1, 4)
        if np.abs(lat).max() > POLAR or round_a_pole(lon).any():
            lat, lon = _with_great_circles(lat, lon)
        corners = np.stack([np.radians(lon), np.sin(np.radians(lat))], -1)
        clockwise = polygon_areas(corners) < 0
        corners[clockwise] = corners[clockwise, ::-1]
        return corners

    @property
    def spacing(self) -> str:
        """The side of a square of the median area, in words."""
        return f"about {np.degrees(np.sqrt(np.median(self.areas))):.3g} degrees"

    @property
    def extent(self) -> str:
        """The outer corners in words."""
        return _extent(self.lat_corners, self.lon_corners)


Grid: TypeAlias = RegularGrid | CurvilinearGrid


def grid_of(dataset: xr.Dataset | xr.DataArray, *, source: str = "the dataset") -> Grid:
    """The grid of a canonical dataset, by its coordinates lat and lon.

    CF bounds are used where the dataset holds the variable that the attribute `bounds` names; otherwise a bound is the
    middle between two centres.

    Args:
        dataset: with lat and lon of one dimension each or of two in common.
        source: the file, for messages.

    Returns:
        A `RegularGrid` or a `CurvilinearGrid`.

    Raises:
        DataError: for missing coordinates, and those of `regular_grid` and `curvilinear_grid`.

    Examples:
        >>> grid = grid_of(xr.open_dataset("eobs.nc"), source="eobs.nc")
        >>> grid.areas.sum()  # steradians
    """
    for name in ("lat", "lon"):
        if name not in dataset.coords:
            raise DataError(f"{source}: has no coordinate {name!r}, only {', '.join(map(str, dataset.coords))}.")
    lat, lon = dataset["lat"], dataset["lon"]
    lat_bounds, lon_bounds = bounds_of(dataset, "lat"), bounds_of(dataset, "lon")
    if lat.ndim == lon.ndim == 1:
        return regular_grid(
            lat.values.astype(np.float64),
            lon.values.astype(np.float64),
            lat_bounds=lat_bounds,
            lon_bounds=lon_bounds,
            source=source,
        )
    if lat.ndim == 2 and lat.dims == lon.dims:
        return curvilinear_grid(
            lat.values.astype(np.float64),
            lon.values.astype(np.float64),
            lat_corners=lat_bounds,
            lon_corners=lon_bounds,
            source=source,
        )
    raise DataError(
        f"{source}: lat has dimensions {lat.dims} and lon {lon.dims}; both need one dimension of their own (a regular "
        "grid) or two in common (a rotated or curvilinear one)."
    )


def regular_grid(
    lat: Float[np.ndarray, " lat"],
    lon: Float[np.ndarray, " lon"],
    *,
    lat_bounds: Float[np.ndarray, "lat 2"] | None = None,
    lon_bounds: Float[np.ndarray, "lon 2"] | None = None,
    source: str = "the grid",
) -> RegularGrid:
    """A grid of parallels and meridians from centres, with bounds half-way between where none are given.

    Outermost cells are symmetric about their centre, but no latitude passes a pole and no longitude goes round more
    than once. Longitudes are one run of neighbours around the circle, broken at its largest gap.

    Args:
        lat: centres, degrees.
        lon: centres, degrees.
        lat_bounds: lower and upper, degrees.
        lon_bounds: lower and upper, degrees.
        source: names the grid in messages.

    Returns:
        The grid.

    Raises:
        DataError: for coordinates that are not finite, repeated, beyond the poles, or fewer than 2 without bounds, and
            for bounds that do not hold their centre.

    Examples:
        >>> regular_grid(np.array([-45.0, 45.0]), np.array([-90.0, 90.0])).areas.sum()  # 4π
    """
    _check_centres(lat, lon, source)
    rows = _latitude_bounds(lat, source) if lat_bounds is None else lat_bounds
    columns = _longitude_bounds(lon, source) if lon_bounds is None else lon_bounds
    columns = _around(lon, columns)
    rows, columns = np.sort(np.clip(rows, -90.0, 90.0), axis=1), np.sort(columns, axis=1)
    for name, centres, bounds in (("lat", lat, rows), ("lon", lon, columns)):
        check_bounds(name, centres, bounds, source)
    return RegularGrid(lat, lon, rows, columns, source)


def curvilinear_grid(
    lat: Float[np.ndarray, "y x"],
    lon: Float[np.ndarray, "y x"],
    *,
    lat_corners: Float[np.ndarray, "y x 4"] | None = None,
    lon_corners: Float[np.ndarray, "y x 4"] | None = None,
    source: str = "the grid",
) -> CurvilinearGrid:
    """A grid of quadrilaterals from two-dimensional centres.

    Where no corners are given, one is the mean of the four centres around it (as unit vectors, so longitudes may wrap);
    at the rim the centres are first continued linearly by one cell.

    Args:
        lat: centres, degrees.
        lon: centres, degrees.
        lat_corners: in order around each cell, degrees.
        lon_corners: in order around each cell, degrees.
        source: names the grid in messages.

    Returns:
        The grid.

    Raises:
        DataError: for coordinates that are not finite or beyond the poles, fewer than 2 cells a side without corners,
            and cells without area.

    Examples:
        >>> curvilinear_grid(lat, lon, source="cordex.nc").areas
    """
    _check_centres(lat, lon, source)
    if lat_corners is None or lon_corners is None:
        if min(lat.shape) < 2:
            raise DataError(f"{source}: {lat.shape} cells are too few to tell their corners from; give bounds.")
        lat_corners, lon_corners = _corners_between(lat, lon)
    else:
        check_corners(lat, lon, lat_corners, lon_corners, source)
    # Round each cell, every longitude within 180 degrees of the one before.
    steps = np.diff(lon_corners, axis=-1, append=lon_corners[..., :1])
    steps -= 360.0 * np.round(steps / 360.0)
    first = lon_corners[..., :1]
    first = first + 360.0 * np.round((lon[..., None] - first) / 360.0)
    unwrapped = np.concatenate([first, first + np.cumsum(steps[..., :-1], -1)], -1)
    grid = CurvilinearGrid(lat, lon, np.asarray(lat_corners, np.float64), unwrapped, source)
    areas = grid.areas
    real = areas > 1e-9 * max(float(np.median(areas)), 1e-12)  # what is less is rounding
    if not real.all():
        j, i = (int(k) for k in np.argwhere(~real)[0])
        raise DataError(f"{source}: the cell at y = {j}, x = {i} has no area; are coordinates repeated?")
    return grid


def round_a_pole(lon_corners: Float[np.ndarray, "*cells 4"]) -> Bool[np.ndarray, "*cells"]:
    """Whether the longitudes of each cell's corners go all the way round, as they do if it holds a pole."""
    steps = np.diff(lon_corners, axis=-1, append=lon_corners[..., :1])
    return np.abs((steps - 360.0 * np.round(steps / 360.0)).sum(-1)) > 180.0


def _with_great_circles(
    lat: Float[np.ndarray, "cell 4"], lon: Float[np.ndarray, "cell 4"]
) -> tuple[Float[np.ndarray, "cell corner"], Float[np.ndarray, "cell corner"]]:
    """Corners with points along each polar edge, longitudes without jumps, and the pole where a cell holds one."""
    phi, lam = np.radians(lat), np.radians(lon)
    points = np.stack([np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)], -1)
    turn = np.abs((np.roll(lon, -1, 1) - lon + 180.0) % 360.0 - 180.0)
    highest = np.maximum(np.abs(lat), np.abs(np.roll(lat, -1, 1)))
    polar = (highest > POLAR) & (turn > WIDE)  # of an edge, for both cells beside it
    inner = np.clip(np.arange(PARTS + 1) / PARTS, NEARLY, 1 - NEARLY)  # a pole itself has no longitude
    part = polar[:, :, None, None] * inner[:, None]
    along = points[:, :, None] * (1 - part) + np.roll(points, -1, 1)[:, :, None] * part
    x, y, z = np.moveaxis(along.reshape(len(lat), -1, 3), -1, 0)
    fine_lat, fine_lon = np.degrees(np.arctan2(z, np.hypot(x, y))), np.degrees(np.arctan2(y, x))
    fine_lon = np.unwrap(fine_lon, period=360.0)
    fine_lon += 360.0 * np.round((lon[:, :1] - fine_lon[:, :1]) / 360.0)
    # Back at the start, a full turn on if the cell holds a pole: the last corners go there and home along the pole.
    end = fine_lon[:, -1:] + (fine_lon[:, :1] - fine_lon[:, -1:] + 180.0) % 360.0 - 180.0
    holds = np.abs(end - fine_lon[:, :1]) > 180.0
    pole = np.where(holds, np.sign(fine_lat.mean(1, keepdims=True)) * 90.0, fine_lat[:, :1])
    back = np.where(holds, fine_lon[:, :1], end)
    return np.concatenate([fine_lat, fine_lat[:, :1], pole, pole], 1), np.concatenate([fine_lon, end, end, back], 1)


def polygon_areas(corners: Float[np.ndarray, "*cells corner 2"]) -> Float[np.ndarray, "*cells"]:
    """Areas of polygons in a plane, ½ Σ (xᵢ yᵢ₊₁ − xᵢ₊₁ yᵢ), positive if counter-clockwise."""
    x, y = np.moveaxis(corners - corners[..., :1, :], -1, 0)  # small numbers lose fewer digits
    return 0.5 * (x * np.roll(y, -1, -1) - np.roll(x, -1, -1) * y).sum(-1)


def _latitude_bounds(lat: np.ndarray, source: str) -> np.ndarray:
    steps = np.diff(lat)
    if len(lat) < 2:
        raise DataError(f"{source}: one latitude alone ({lat[0]:g}) does not tell the height of its cell; give bounds.")
    if not ((steps > 0).all() or (steps < 0).all()):
        raise DataError(f"{source}: latitudes repeat or are out of order; sort them (sortby('lat')) and drop repeats.")
    middles = (lat[1:] + lat[:-1]) / 2
    edges = np.concatenate([[2 * lat[0] - middles[0]], middles, [2 * lat[-1] - middles[-1]]])
    return np.stack([edges[:-1], edges[1:]], 1)


def _longitude_bounds(lon: np.ndarray, source: str) -> np.ndarray:
    """Middles between neighbours around the circle, broken at its largest gap: a region may lie across ±180."""
    if len(lon) < 2:
        raise DataError(f"{source}: one longitude alone ({lon[0]:g}) does not tell the width of its cell; give bounds.")
    order = np.argsort(lon % 360.0)
    gaps = np.diff(lon[order] % 360.0, append=lon[order][0] % 360.0 + 360.0)
    if gaps.min() < 1e-9:
        raise DataError(f"{source}: longitude {lon[order][np.argmin(gaps)]:g} comes twice; drop one of the two.")
    order = np.roll(order, -int(np.argmax(gaps)) - 1)
    run = lon[order] % 360.0
    run = run + 360.0 * (run < run[0])
    middles = (run[1:] + run[:-1]) / 2
    west = min(middles[0] - run[0], gaps.max() / 2)
    east = min(run[-1] - middles[-1], gaps.max() / 2)
    edges = np.concatenate([[run[0] - west], middles, [run[-1] + east]])
    bounds = np.empty((len(lon), 2))
    bounds[order] = np.stack([edges[:-1], edges[1:]], 1)
    return bounds


def _around(lon: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Bounds on the turn of their centres: each by itself, as files mix 359 and 1; a cell round the globe as one."""
    whole = np.abs(np.abs(np.diff(columns)) - 360.0) < 1e-6
    west = columns.min(1, keepdims=True)
    west = west + 360.0 * np.floor((lon[:, None] - west) / 360.0)
    each = columns + 360.0 * np.round((lon[:, None] - columns) / 360.0)
    return np.where(whole, np.concatenate([west, west + 360.0], 1), each)


def _corners_between(lat: np.ndarray, lon: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    phi, lam = np.radians(lat), np.radians(lon)
    centres = np.stack([np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)])
    wide = np.pad(centres, ((0, 0), (1, 1), (1, 1)), mode="reflect", reflect_type="odd")  # 2·p₀ − p₁ at the rim
    x, y, z = (wide[:, :-1, :-1] + wide[:, :-1, 1:] + wide[:, 1:, :-1] + wide[:, 1:, 1:]) / 4
    lat_nodes, lon_nodes = np.degrees(np.arctan2(z, np.hypot(x, y))), np.degrees(np.arctan2(y, x))
    around = [(slice(None, -1), slice(None, -1)), (slice(None, -1), slice(1, None))]
    around += [(slice(1, None), slice(1, None)), (slice(1, None), slice(None, -1))]
    return np.stack([lat_nodes[k] for k in around], -1), np.stack([lon_nodes[k] for k in around], -1)


def _check_centres(lat: np.ndarray, lon: np.ndarray, source: str) -> None:
    for name, values in (("lat", lat), ("lon", lon)):
        if not np.isfinite(values).all():
            raise DataError(f"{source}: {name} holds NaN or infinite values; drop those cells.")
    if np.abs(lat).max() > 90.0:
        raise DataError(
            f"{source}: lat runs to {lat.flat[np.abs(lat).argmax()]:g}; latitudes are degrees from -90 to 90."
        )


def _extent(lat: np.ndarray, lon: np.ndarray) -> str:
    return f"{lat.min():.4g}..{lat.max():.4g} N, {lon.min():.4g}..{lon.max():.4g} E"
