"""Cells of two-dimensional coordinates that have no place: ocean models leave 0, a fill value or NaN over land."""

from dataclasses import replace

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float
from scipy import sparse
from scipy.sparse.linalg import spsolve

from subgrid.data.fields import DataError
from subgrid.data.grids.positions import Axis, Position

REPEATED = 3
"""Cells at one place are a fill value: two may be a seam of the grid."""
LONELY = 5.0
"""Spacings of the grid by which one cell at 0 N, 0 E lies away from the others, so that it is no place of theirs."""


def without_place(lat: Float[np.ndarray, "y x"], lon: Float[np.ndarray, "y x"]) -> Bool[np.ndarray, "y x"]:
    """Which cells (y, x) have a fill value for their coordinates, in degrees.

    Not finite, no latitude or longitude at all, the same place as two cells or more, or 0 N, 0 E far from all others.
    """
    with np.errstate(invalid="ignore"):
        lost = ~np.isfinite(lat) | ~np.isfinite(lon) | (np.abs(lat) > 90.0 + 1e-6) | (np.abs(lon) > 540.0)
    places, which, counts = np.unique(
        np.stack([lat[~lost], lon[~lost]], 1), axis=0, return_inverse=True, return_counts=True
    )
    polar = np.abs(places[:, 0]) > 90.0 - 1e-6  # all meridians meet there
    repeated = np.zeros(lost.shape, bool)
    repeated[~lost] = ((counts >= REPEATED) & ~polar)[which.ravel()]
    return lost | repeated | (_lonely_zero(lat, lon, lost | repeated) if not repeated.any() else False)


def with_places(position: Position, field: xr.DataArray, *, file: str) -> Position:
    """Two-dimensional coordinates continued smoothly into cells that have none, which hold no values either.

    The squared second differences along rows and columns are least, so that coordinates that are linear in the indices
    go on exactly. The corners of cells with values, between them and their neighbours, are right for that; what lies
    deeper inside takes part in nothing.

    Args:
        position: of a variable.
        field: the variable.
        file: for messages.

    Returns:
        The position; where cells lacked a place, its corners dropped, with a note.

    Raises:
        DataError: if such a cell holds a value, or too few have a place.
    """
    lat, lon = position.lat, position.lon
    if lat.degrees.ndim != 2:
        return position
    lost = without_place(lat.degrees, lon.degrees)
    if not lost.any():
        return position
    what = f"{int(lost.sum())} of {lost.size} cells have no place ({_values(lat, lon, lost)})"
    _refuse_values(field, lat.dims, lost, f"{file}: {what}")
    if (~lost).sum() < max(4, lost.size // 50) or not _has_block(~lost):
        raise DataError(
            f"{file}: {what}, and what is left is no grid; take latitude and longitude from the model's own grid file."
        )
    degrees = [_continued(lat.degrees, lost), _continued_longitude(lon.degrees, lost)]
    note = f"{what} and no values; their places were continued from their neighbours"
    north, east = (replace(a, degrees=d, bounds=None) for a, d in zip((lat, lon), degrees, strict=True))
    return Position(north, east, (*position.notes, note))


def _values(lat: Axis, lon: Axis, lost: np.ndarray) -> str:
    pairs = {(f"{a:g}", f"{b:g}") for a, b in zip(lat.degrees[lost][:1000], lon.degrees[lost][:1000], strict=True)}
    if len(pairs) > 1:
        return "fill values"
    a, b = pairs.pop()
    return f"{lat.name} = {a}, {lon.name} = {b}"


def _lonely_zero(lat: np.ndarray, lon: np.ndarray, lost: np.ndarray) -> np.ndarray:
    zero = (lat == 0) & (lon == 0) & ~lost
    others = ~zero & ~lost
    if not 0 < zero.sum() < REPEATED or others.sum() < 4:
        return np.zeros(lost.shape, bool)
    steps = np.abs(np.diff(lat, axis=1)) + np.abs((np.diff(lon, axis=1) + 180.0) % 360.0 - 180.0)
    spacing = float(np.median(steps[np.isfinite(steps)]))
    east = (lon[others] + 180.0) % 360.0 - 180.0
    return zero if float(np.hypot(lat[others], east).min()) > LONELY * spacing else np.zeros(lost.shape, bool)


def _refuse_values(field: xr.DataArray, space: tuple[str, ...], lost: np.ndarray, what: str) -> None:
    """Raises `DataError` if cells without a place hold values at the first or last time."""
    lead = [dim for dim in field.dims if dim not in space]
    for at in (0, -1) if lead else (0,):
        here = field.isel(dict.fromkeys(lead, at)).transpose(*space).values
        n = int(np.isfinite(here[lost]).sum())
        if n:
            raise DataError(
                f"{what}, but {field.name} has values in {n} of them; take latitude and longitude from the model's own "
                f"grid file, or set {field.name} to missing there."
            )


def _has_block(known: np.ndarray) -> bool:
    """Whether any two by two neighbours have a place."""
    return bool((known[:-1, :-1] & known[1:, :-1] & known[:-1, 1:] & known[1:, 1:]).any())


def _continued_longitude(lon: np.ndarray, lost: np.ndarray) -> np.ndarray:
    known = (lon[~lost] + 180.0) % 360.0 - 180.0
    ascending = np.unique(known)
    gaps = np.diff(ascending, append=ascending[0] + 360.0)
    if gaps.max() < 60.0:  # around the globe: as a direction, which has no seam
        parts = [_continued(wave(np.radians(lon)), lost) for wave in (np.cos, np.sin)]
        return np.where(lost, np.degrees(np.arctan2(parts[1], parts[0])), lon)
    west = ascending[(int(np.argmax(gaps)) + 1) % ascending.size]
    return _continued(west + (lon - west) % 360.0, lost)


def _continued(values: np.ndarray, lost: np.ndarray) -> np.ndarray:
    """argmin Σ (second differences)² over the values that are lost."""
    index = np.arange(values.size).reshape(values.shape)
    triples = [
        np.stack([index[:-2].ravel(), index[1:-1].ravel(), index[2:].ravel()], 1),
        np.stack([index[:, :-2].ravel(), index[:, 1:-1].ravel(), index[:, 2:].ravel()], 1),
    ]
    rows = np.concatenate(triples)
    rows = rows[lost.ravel()[rows].any(1)]
    count = np.arange(len(rows)).repeat(3)
    difference = sparse.csr_array(
        (np.tile([1.0, -2.0, 1.0], len(rows)), (count, rows.ravel())), shape=(len(rows), values.size)
    )
    known = np.where(lost, 0.0, values).ravel()
    unknown = np.flatnonzero(lost.ravel())
    left = sparse.csr_array(difference[:, unknown])
    normal = left.T @ left + 1e-10 * sparse.eye_array(unknown.size)
    found = values.astype(np.float64).copy()
    found[lost] = np.asarray(spsolve(sparse.csc_array(normal), -left.T @ (difference @ known))).reshape(-1)
    return found
