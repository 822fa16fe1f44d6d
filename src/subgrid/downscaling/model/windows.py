"""A part of the fine grid, or places on it, on which an ensemble is given out: draws are those of the whole grid."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import equinox as eqx
import numpy as np
import xarray as xr
from jaxtyping import Float

from subgrid.data.fields import DataError
from subgrid.downscaling.interpolation.places import AtPoints, PlaceRule, place_weights
from subgrid.downscaling.model.sides import FineSide

PLACE = "point"
"""The dimension of places."""
RULE = "at_points"
"""The attribute of variables at places that says how these got their values, for `verify` to do the same."""


class Cut(eqx.Module):
    """Fields inside a box of the grid.

    Args:
        bounds: first and last + 1 cell along each dimension of space.
    """

    bounds: tuple[tuple[int, int], ...]

    def __call__(self, fields: Float[np.ndarray, "*fields"]) -> Float[np.ndarray, "*given"]:
        return fields[(..., *(slice(*each) for each in self.bounds))]


def cut_to(fine: FineSide, region: Sequence[float]) -> FineSide:
    """The fine side, given out inside a region.

    Args:
        fine: of a model with latitudes and longitudes.
        region: south, west, north, east, degrees.

    Returns:
        The side; on curvilinear grids the smallest box of cells that holds the region.

    Raises:
        DataError: for a region in which no cell lies, or a grid without latitudes.
    """
    south, west, north, east = map(float, region)
    lat, lon = _places(fine.grid)
    lon = (lon - west) % 360 + west  # so that a region may cross the date line
    inside = (lat >= south) & (lat <= north) & (lon >= west) & (lon <= east + 360 * (east < west))
    if not inside.any():
        raise DataError(
            f"region: no fine cell lies between {south:g} and {north:g} north, {west:g} and {east:g} east; the grid "
            f"runs from {lat.min():.4g} to {lat.max():.4g} and from {float(fine.grid['lon'].min()):.4g} to "
            f"{float(fine.grid['lon'].max()):.4g}. Give south, west, north, east."
        )
    bounds = tuple((int(where.min()), int(where.max()) + 1) for where in np.nonzero(inside))
    box = {dim: slice(*each) for dim, each in zip(fine.grid.attrs["space"], bounds, strict=True)}
    return fine.given_out(fine.grid.isel(box), Cut(bounds))


def at_points(fine: FineSide, points: xr.Dataset, *, nearest: bool = False) -> FineSide:
    """The fine side, given out at places.

    Args:
        fine: of a model with latitudes and longitudes.
        points: `lat` and `lon` (point,), degrees, and names or whatever else is known of them.
        nearest: the nearest cell with values; else bilinear between the four around it, without those that have none.

    Returns:
        The side, with the dimension "point".

    Raises:
        DataError: for a place outside of the grid, or with no value around it, by its name.
    """
    rule: PlaceRule = "nearest" if nearest else "interpolated"
    lat, lon = (np.atleast_1d(np.asarray(points[name].values, np.float64)) for name in ("lat", "lon"))
    _places(fine.grid)  # complains of a grid without latitudes
    axes = fine.grid["lat"].values, fine.grid["lon"].values
    cells, weights = place_weights(axes, fine.mask, lat, lon, rule=rule)
    lost = ~(weights.sum(1) > 0)
    if lost.any():
        i = int(np.argmax(lost))
        name = str(points["name"].values[i]) if "name" in points else f"number {i}"
        raise DataError(
            f"points: {name} (lat = {lat[i]:.4g}, lon = {lon[i]:.4g}) lies outside of the fine grid, or has no value "
            f"around it ({int(lost.sum())} of {lost.size} such places); leave it out, or take the nearest cell."
        )
    coordinates = {n: (PLACE, np.atleast_1d(points[n].values), points[n].attrs) for n in (*points.coords, *points)}
    empty = {name: fine.grid[name].variable.copy() for name in fine.grid.data_vars}
    for each in empty.values():
        each.attrs = {**each.attrs, RULE: rule}
    attributes = {**fine.grid.attrs, "space": [PLACE]}
    grid = xr.Dataset(empty, coordinates, attributes)
    step = AtPoints(cells, weights.astype(np.float32), len(fine.space))
    return fine.given_out(grid, step)


def read_points(path: str | Path) -> xr.Dataset:
    """Places from a CSV file with the columns lat and lon (or latitude, longitude), and name if they have names.

    Args:
        path: of the file; the first line names its columns.

    Returns:
        A dataset along "point"; every other column is kept.

    Raises:
        DataError: for a missing file or column, and values that are no numbers.
    """
    import csv

    try:
        with Path(path).open(newline="", encoding="utf-8-sig") as stream:
            rows = list(csv.DictReader(stream, skipinitialspace=True))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}).") from error
    columns = {name.strip().lower(): name for name in (rows[0] if rows else {}) if name}
    found: dict[str, Any] = {}
    for short, names in {"lat": ("lat", "latitude"), "lon": ("lon", "longitude", "long")}.items():
        column = next((columns[name] for name in names if name in columns), None)
        if column is None:
            held = ", ".join(columns) or "nothing"
            raise DataError(f"{path}: has no column {short!r}, but {held}; the first line must name lat and lon.")
        try:
            found[short] = np.array([float(row[column]) for row in rows])
        except (TypeError, ValueError) as error:
            raise DataError(f"{path}: in the column {column!r}, {error}.") from error
    others = {key: name for key, name in columns.items() if key not in ("lat", "latitude", "lon", "longitude", "long")}
    found |= {key: _column([str(row[name] or "").strip() for row in rows]) for key, name in others.items()}
    return xr.Dataset(coords={name: (PLACE, values) for name, values in found.items()})


def _column(texts: list[str]) -> np.ndarray:
    """Numbers where all are, else texts."""
    try:
        return np.array([float(text) for text in texts])
    except ValueError:
        return np.array(texts)


def _places(grid: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Latitude and longitude of every cell."""
    if "lat" not in grid or "lon" not in grid:
        raise DataError("the model's grid has no latitudes and longitudes, so there are no regions and points on it.")
    lat, lon = grid["lat"].values, grid["lon"].values
    return (lat, lon) if lat.ndim == 2 else tuple(np.meshgrid(lat, lon, indexing="ij"))  # pyright: ignore[reportReturnType]
