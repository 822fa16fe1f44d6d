"""Latitudes and longitudes of a file made canonical: regular axes that ascend, or two-dimensional coordinates."""

from dataclasses import dataclass, replace

import numpy as np
import xarray as xr
from jaxtyping import Float

from subgrid.data.fields import DataError
from subgrid.data.grids.cells import curvilinear_grid
from subgrid.data.grids.positions import Axis, Position

SEPARABLE = 1e-3
"""Of a cell: rows whose latitudes differ by less are parallels; files keep them in single precision."""
TURN = 1e-6
"""Degrees within which two meridians are the same one."""


@dataclass(frozen=True)
class Placed:
    """A field with canonical coordinates.

    Args:
        dataset: of the one variable.
        notes: what was converted or dropped, a sentence each.
    """

    dataset: xr.Dataset
    notes: tuple[str, ...]


def as_regular(position: Position) -> Position:
    """Two-dimensional coordinates that are parallels and meridians as two axes; others as they are.

    Args:
        position: of a variable.

    Returns:
        The position, with a note where it changed.
    """
    lat, lon = position.lat, position.lon
    if lat.degrees.ndim != 2:
        return position
    unwrapped = np.unwrap(np.unwrap(lon.degrees, axis=0, period=360.0), axis=1, period=360.0)
    for along_lat, along_lon in ((0, 1), (1, 0)):
        if _one_axis(lat.degrees, along_lat) and _one_axis(unwrapped, along_lon):
            axes = _reduced(lat, along_lat), _reduced(lon, along_lon)
            note = f"{lat.name} and {lon.name} have two dimensions but are parallels and meridians: read as regular"
            return Position(*axes, (*position.notes, note))
    return position


def place_regular(field: xr.Dataset, position: Position, *, file: str) -> Placed:
    """A field on latitudes and longitudes that ascend, each meridian once."""
    lat, lon = position.lat, position.lon
    wrapped = in_one_piece(lon.degrees)
    _check_axis("latitude", lat.degrees, (-90.0, 90.0), file)
    _check_axis("longitude", lon.degrees, (-360.0, 540.0), file)
    placed = field.assign_coords(
        lat=("lat", lat.degrees, {**lat.attributes, "standard_name": "latitude", "units": "degrees_north"}),
        lon=("lon", wrapped, {**lon.attributes, "standard_name": "longitude", "units": "degrees_east"}),
    )
    for name, axis, shift in (("lat", lat, np.zeros(lat.degrees.size)), ("lon", lon, wrapped - lon.degrees)):
        if axis.bounds is not None and axis.bounds.shape == (axis.degrees.size, 2):
            placed = _with_bounds(placed, name, (name, "bnds"), np.sort(axis.bounds + shift[:, None], axis=-1))
    notes, repeats = list(position.notes), len(wrapped) > 2 and abs(abs(lon.degrees[-1] - lon.degrees[0]) - 360) < TURN
    if repeats:  # files for plotting repeat the first meridian at the end, and may cut its cell in two
        if "lon_bnds" in placed.coords:
            placed["lon_bnds"][0] = [placed["lon_bnds"][[0, -1], 0].min(), placed["lon_bnds"][[0, -1], 1].max()]
        placed = placed.isel(lon=slice(0, -1))
        notes.append(f"{lon.name}: the last meridian repeats the first and was dropped")
    placed = placed.sortby(["lat", "lon"])
    for name in ("lat", "lon"):
        if (np.diff(placed[name].values) < 1e-9).any():
            raise DataError(f"{file}: {name} holds the same value twice; remove the repeated row or column.")
    return Placed(placed, tuple(notes))


def place_curvilinear(field: xr.Dataset, position: Position) -> Placed:
    """A field on two-dimensional coordinates, repeated columns left out."""
    lat, lon = position.lat, position.lon
    degrees = in_one_piece(lon.degrees.ravel()).reshape(lon.degrees.shape)
    placed = field.assign_coords(
        lat=(("y", "x"), lat.degrees, {**lat.attributes, "standard_name": "latitude", "units": "degrees_north"}),
        lon=(("y", "x"), degrees, {**lon.attributes, "standard_name": "longitude", "units": "degrees_east"}),
    )
    notes = list(position.notes)
    if all(axis.bounds is not None and axis.bounds.shape == (*axis.degrees.shape, 4) for axis in (lat, lon)):
        corners, n_lost = _whole_corners(lat, lon)
        for name, values in zip(("lat", "lon"), corners, strict=True):
            placed = _with_bounds(placed, name, ("y", "x", "vertices"), values)
        if n_lost:
            notes.append(f"{n_lost} of {degrees.size} cells have no corners; those between centres are taken for them")
    again = _repeated_columns(lat.degrees, degrees)
    if not again:
        return Placed(placed, tuple(notes))
    notes.append(f"{lon.name}: the last {again} columns repeat the first around the globe and were dropped")
    return Placed(placed.isel(x=slice(0, -again)), tuple(notes))


def _whole_corners(lat: Axis, lon: Axis) -> tuple[tuple[np.ndarray, np.ndarray], int]:
    """Corners of both, those that ocean models leave out over land guessed; and how many those are."""
    rows, columns = np.asarray(lat.bounds), np.asarray(lon.bounds)
    with np.errstate(invalid="ignore"):
        places = (np.isfinite(rows) & np.isfinite(columns) & (np.abs(rows) <= 90.0 + 1e-6)).all(-1)
    lost = ~places | ((np.ptp(rows, axis=-1) == 0) & (np.ptp(columns, axis=-1) == 0))
    if not lost.any() or lost.all() or min(lost.shape) < 2:
        return (rows, columns), 0
    guess = curvilinear_grid(lat.degrees, lon.degrees)
    rows = np.where(lost[..., None], guess.lat_corners, rows)
    return (rows, np.where(lost[..., None], guess.lon_corners, columns)), int(lost.sum())


def in_one_piece(degrees: Float[np.ndarray, " lon"]) -> Float[np.ndarray, " lon"]:
    """Longitudes in [-180, 180), or going on past 180 where that range would tear a region apart.

    A region is torn if the widest gap on the circle lies inside the range and not at the date line.
    """
    wrapped = (degrees + 180.0) % 360.0 - 180.0
    ascending = np.unique(wrapped)
    gaps = np.diff(ascending, append=ascending[0] + 360.0)
    if gaps.max() <= 1.5 * gaps[-1]:
        return wrapped
    west = ascending[np.argmax(gaps) + 1]
    return np.where(wrapped < west, wrapped + 360.0, wrapped)


def _one_axis(degrees: np.ndarray, axis: int) -> bool:
    """Whether values change along one axis only, to a part of its step."""
    across = np.ptp(degrees, axis=1 - axis).max()
    along = np.abs(np.diff(degrees, axis=axis))
    return min(degrees.shape) > 1 and bool(across <= SEPARABLE * np.median(along))


def _reduced(axis: Axis, along: int) -> Axis:
    """One dimension of two, its bounds the outermost of the corners."""
    middle = axis.degrees.take(0, axis=1 - along)
    bounds = None
    if axis.bounds is not None:
        corners = axis.bounds.take(0, axis=1 - along)
        corners = middle[:, None] + (corners - middle[:, None] + 180.0) % 360.0 - 180.0
        bounds = np.stack([corners.min(1), corners.max(1)], 1)
    return replace(axis, dims=(axis.dims[along],), degrees=middle, bounds=bounds)


def _repeated_columns(lat: np.ndarray, lon: np.ndarray) -> int:
    """How many of the last columns are the first again: ocean models keep one or two around the globe."""
    for n in (2, 1):
        if lat.shape[1] > 2 * n + 1:
            turn = (lon[:, -n:] - lon[:, :n] + 180.0) % 360.0 - 180.0
            if np.abs(turn).max() < 1e-4 and np.abs(lat[:, -n:] - lat[:, :n]).max() < 1e-4:
                return n
    return 0


def _with_bounds(placed: xr.Dataset, name: str, dims: tuple[str, ...], bounds: np.ndarray) -> xr.Dataset:
    placed = placed.assign_coords({f"{name}_bnds": (dims, bounds)})
    placed[name].attrs["bounds"] = f"{name}_bnds"
    return placed


def _check_axis(what: str, degrees: np.ndarray, limits: tuple[float, float], file: str) -> None:
    bad = ~np.isfinite(degrees) | (degrees < limits[0] - 1e-6) | (degrees > limits[1] + 1e-6)
    if bad.any():
        raise DataError(
            f"{file}: {what} is {degrees[bad][0]} at position {int(np.argmax(bad))}; it must be degrees between "
            f"{limits[0]:g} and {limits[1]:g}."
        )
