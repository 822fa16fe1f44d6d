"""How much of a fine region the cells of a coarse grid cover, and where they do not."""

from dataclasses import dataclass

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float

from subgrid.data.fields import DataError
from subgrid.data.grids.cells import CurvilinearGrid, curvilinear_grid, grid_of

MOST_POINTS = 20_000
"""Fine cells looked at: a share of them is known to half a per cent, and an inspection is quick."""


@dataclass(frozen=True)
class Coverage:
    """The fine cells whose centres lie inside coarse cells.

    Args:
        share: of the area, from 0 to 1.
        outside: where the others lie, in words; empty where there are none.
    """

    share: float
    outside: str


def coverage(coarse: xr.Dataset | xr.DataArray, fine: xr.Dataset | xr.DataArray) -> Coverage | None:
    """How much of the fine region a curvilinear coarse grid covers, by its outline and not by its box.

    Args:
        coarse: a canonical dataset with two-dimensional coordinates.
        fine: a canonical dataset.

    Returns:
        The coverage; None where the outline tells nothing: a regular grid, which is its own box, or one round a pole.

    Examples:
        >>> coverage(open_climate("cordex.nc"), open_climate("eobs.nc")).share
    """
    if coarse["lat"].ndim != 2:
        return None
    outline = _outline(coarse)
    if outline is None:
        return None
    lat, lon = _some_centres(fine)
    inside = np.zeros(lat.shape, bool)
    for turn in (-360.0, 0.0, 360.0):
        inside |= _in_polygon(np.stack([lon + turn, np.sin(np.radians(lat))], 1), outline)
    weights = np.cos(np.radians(lat))
    return Coverage(float(weights[inside].sum() / weights.sum()), _where(lat[~inside], lon[~inside]))


def _some_centres(fine: xr.Dataset | xr.DataArray) -> tuple[np.ndarray, np.ndarray]:
    lat, lon = (np.asarray(fine[name].values, np.float64) for name in ("lat", "lon"))
    if lat.ndim == 1:
        lat, lon = np.meshgrid(lat, lon, indexing="ij")
    stride = int(np.ceil(np.sqrt(lat.size / MOST_POINTS)))
    return lat[::stride, ::stride].ravel(), lon[::stride, ::stride].ravel()


def _outline(coarse: xr.Dataset | xr.DataArray) -> Float[np.ndarray, "corner 2"] | None:
    """Around the outer corners, longitudes without jumps, as (degrees, sine of latitude)."""
    try:
        given = grid_of(coarse)
        guess = curvilinear_grid(*(np.asarray(coarse[name].values, np.float64) for name in ("lat", "lon")))
    except DataError:
        return None
    lat_corners, lon_corners = _in_order_of(guess, given if isinstance(given, CurvilinearGrid) else guess)
    sides = [
        (slice(0, 1), slice(None), 0),
        (slice(None), slice(-1, None), 1),
        (slice(-1, None), slice(None, None, -1), 2),
        (slice(None, None, -1), slice(0, 1), 3),
    ]
    lat, lon = (
        np.concatenate([corners[rows, columns, k].ravel() for rows, columns, k in sides])
        for corners in (lat_corners, lon_corners)
    )
    closed = np.unwrap(np.append(lon, lon[0]), period=360.0)
    if abs(closed[-1] - closed[0]) > 180.0:
        return None
    return np.stack([closed[:-1], np.sin(np.radians(lat))], 1)


def _in_order_of(guess: CurvilinearGrid, grid: CurvilinearGrid) -> tuple[np.ndarray, np.ndarray]:
    """The corners of a grid, in the order in which those between its centres go round: files begin at any of them."""
    ways = [np.roll(np.arange(4)[::turn], k) for turn in (1, -1) for k in range(4)]
    away = [_distance(grid.lat_corners[..., way], grid.lon_corners[..., way], guess) for way in ways]
    best = ways[int(np.argmin(away))]
    return grid.lat_corners[..., best], grid.lon_corners[..., best]


def _distance(lat: np.ndarray, lon: np.ndarray, guess: CurvilinearGrid) -> float:
    east = (lon - guess.lon_corners + 180.0) % 360.0 - 180.0
    return float(np.mean((lat - guess.lat_corners) ** 2 + (east * np.cos(np.radians(guess.lat_corners))) ** 2))


def _in_polygon(points: Float[np.ndarray, "n 2"], corners: Float[np.ndarray, "corner 2"]) -> Bool[np.ndarray, " n"]:
    """Whether a ray to the east crosses the polygon an odd number of times."""
    inside = np.zeros(len(points), bool)
    for (x1, y1), (x2, y2) in zip(corners, np.roll(corners, -1, 0), strict=True):
        between = (y1 > points[:, 1]) != (y2 > points[:, 1])
        if between.any():
            crossing = x1 + (points[between, 1] - y1) / (y2 - y1) * (x2 - x1)
            inside[between] ^= points[between, 0] < crossing
    return inside


def _where(lat: np.ndarray, lon: np.ndarray) -> str:
    if not lat.size:
        return ""
    return (
        f"cells between {lat.min():.1f} and {lat.max():.1f} N, {lon.min():.1f} and {lon.max():.1f} E, such as "
        f"{lat[0]:.1f} N, {lon[0]:.1f} E"
    )
