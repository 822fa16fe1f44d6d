"""Bilinear interpolation from any coarse grid to any fine grid, aware of coarse cells without values."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.sparse import csr_array, diags_array
from scipy.spatial import KDTree

from subgrid.downscaling.interpolation.curvilinear import curvilinear_weights, unit_vectors
from subgrid.verification.masks import AnyFloat


@dataclass(frozen=True)
class Bilinear:
    """Bilinear interpolation from the coarse to the fine grid, renormalised over the coarse cells that hold values.

    Fine cells whose four coarse neighbours are all invalid take the nearest valid one. It maps fields
    `(..., *coarse)` to `(..., *fine)`, float32.

    Args:
        weights: sparse (fine cell, coarse cell); rows sum to 1.
        inside: (*fine), cells enclosed by coarse centres, so that nothing was extrapolated: those that reference
            figures count.
        coarse_shape: of the coarse grid.
    """

    weights: csr_array
    inside: Bool[np.ndarray, "*fine"]
    coarse_shape: tuple[int, ...]

    def __call__(self, fields: AnyFloat) -> Float[np.ndarray, "..."]:
        lead = fields.shape[: fields.ndim - len(self.coarse_shape)]
        if fields.shape[len(lead) :] != self.coarse_shape:
            raise ValueError(f"coarse fields must end in the grid {self.coarse_shape}, got shape {fields.shape}.")
        # Invalid cells have no weight, but 0 · NaN is NaN.
        flat = np.nan_to_num(np.asarray(fields, np.float32).reshape(-1, math.prod(self.coarse_shape)))
        return np.asarray((self.weights @ flat.T).T).reshape(*lead, *self.inside.shape)


def bilinear(
    coarse_lat: Float[np.ndarray, "*coarse_lat"],
    coarse_lon: Float[np.ndarray, "*coarse_lon"],
    lat: Float[np.ndarray, "*fine_lat"],
    lon: Float[np.ndarray, "*fine_lon"],
    *,
    valid: Bool[np.ndarray, "i j"] | None = None,
) -> Bilinear:
    """Bilinear interpolation in latitude and longitude between the centres of a coarse grid.

    On regular grids along both axes; on rotated, projected and other curvilinear ones inside the quadrilaterals of
    centres. Both are exact for fields that are linear in latitude and longitude. Beyond the outermost centres the value
    there is held, except around the globe, where the last meridian of a regular grid is followed by the first.

    Args:
        coarse_lat: (i,), rising latitudes of the coarse cells, at least 2; or (i, j) on a curvilinear grid; degrees.
        coarse_lon: (j,), rising longitudes, at least 2; or (i, j).
        lat: fine latitudes: one axis of a regular grid, or two on a curvilinear one.
        lon: fine longitudes, of as many axes, any turn.
        valid: (i, j), coarse cells that hold values, default all.

    Returns:
        A linear operator on the trailing axes; `inside` marks fine cells between coarse centres.

    Raises:
        ValueError: coarse axes that do not rise, axes that do not match, or no valid cell.

    Examples:
        >>> bilinear(lat_c, lon_c, lat_f, lon_f)(coarse).shape  # (..., len(lat_f), len(lon_f))
    """
    _check_axes(coarse_lat, coarse_lon, lat, lon)
    lat2, lon2 = np.meshgrid(lat, lon, indexing="ij") if lat.ndim == 1 else (lat, lon)
    points = np.asarray(lat2.ravel(), np.float64), np.asarray(lon2.ravel(), np.float64)
    weights_of = _bilinear_weights if coarse_lat.ndim == 1 else curvilinear_weights
    weights, inside = weights_of(coarse_lat, coarse_lon, *points)
    centres = np.meshgrid(coarse_lat, coarse_lon, indexing="ij") if coarse_lat.ndim == 1 else (coarse_lat, coarse_lon)
    if valid is not None:
        weights = _renormalised(weights, valid, unit_vectors(*centres), unit_vectors(*points))
    return Bilinear(csr_array(weights.astype(np.float32)), inside.reshape(lat2.shape), centres[0].shape)


def _check_axes(coarse_lat: np.ndarray, coarse_lon: np.ndarray, lat: np.ndarray, lon: np.ndarray) -> None:
    for name, axis in (("coarse_lat", coarse_lat), ("coarse_lon", coarse_lon)):
        if axis.ndim == 1 and (axis.size < 2 or np.any(np.diff(axis) <= 0)):
            raise ValueError(f"{name} must rise and hold at least 2 values, got {axis}.")
        if axis.ndim > 1 and (axis.ndim > 2 or min(axis.shape) < 2 or coarse_lat.shape != coarse_lon.shape):
            raise ValueError(
                "coarse_lat and coarse_lon must have one axis each or the same two, of at least 2 cells, got shapes "
                f"{coarse_lat.shape} and {coarse_lon.shape}."
            )
    if lat.ndim != lon.ndim or lat.ndim > 2:
        raise ValueError(f"lat and lon must both have one axis, or both two, got {lat.ndim} and {lon.ndim}.")


def _bilinear_weights(
    coarse_lat: np.ndarray, coarse_lon: np.ndarray, lat: np.ndarray, lon: np.ndarray
) -> tuple[csr_array, Bool[np.ndarray, " point"]]:
    n, closed = coarse_lon.size, _closed(coarse_lon)
    # The turn in which a point is nearest to the middle of the grid.
    middle = (closed[0] + closed[-1]) / 2
    lon = middle + (lon - middle + 180.0) % 360.0 - 180.0
    i, v = _cell_and_fraction(coarse_lat, lat)
    j, u = _cell_and_fraction(closed, lon)
    corners = [(i, j, (1 - v) * (1 - u)), (i, j + 1, (1 - v) * u), (i + 1, j, v * (1 - u)), (i + 1, j + 1, v * u)]
    columns = np.concatenate([row * n + column % n for row, column, _ in corners])
    values = np.clip(np.concatenate([weight for *_, weight in corners]), 0, 1)
    index = np.tile(np.arange(lat.size), 4)
    inside = (lat >= coarse_lat[0]) & (lat <= coarse_lat[-1]) & (lon >= closed[0]) & (lon <= closed[-1])
    return csr_array((values, (index, columns)), shape=(lat.size, coarse_lat.size * n)), inside


def _closed(lon: np.ndarray) -> np.ndarray:
    """Longitudes with the first once more after the last, if no cell lacks between them around the globe."""
    gap = lon[0] + 360.0 - lon[-1]
    return np.append(lon, lon[0] + 360.0) if 0 < gap < 1.5 * np.diff(lon).max() else lon


def _cell_and_fraction(nodes: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Index of the node below each point, and how far it lies towards the next: 0 or 1 beyond the outermost."""
    below = np.clip(np.searchsorted(nodes, points, side="right") - 1, 0, nodes.size - 2)
    fraction = (points - nodes[below]) / (nodes[below + 1] - nodes[below])
    return below, np.clip(fraction, 0.0, 1.0)


def _renormalised(
    weights: csr_array, valid: np.ndarray, centres: Float[np.ndarray, "i j 3"], points: Float[np.ndarray, "point 3"]
) -> csr_array:
    if not valid.any():
        raise ValueError("valid marks no coarse cell at all.")
    kept = weights @ diags_array(valid.ravel().astype(np.float64))
    total = np.asarray(kept.sum(axis=1))
    alone = np.flatnonzero(total < 1e-6)
    nearest_valid = np.asarray(KDTree(centres[valid]).query(points[alone])[1], int)
    column = np.flatnonzero(valid.ravel())[nearest_valid]
    nearest = csr_array((np.ones(alone.size), (alone, column)), shape=weights.shape)
    scale = np.where(total < 1e-6, 0.0, 1 / np.where(total < 1e-6, 1.0, total))
    return csr_array(diags_array(scale) @ kept + nearest)
