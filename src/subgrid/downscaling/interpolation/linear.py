"""Bilinear interpolation from a regular coarse grid to any fine grid, aware of coarse cells without values."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from scipy.sparse import csr_array, diags_array

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
    coarse_lat: Float[np.ndarray, " i"],
    coarse_lon: Float[np.ndarray, " j"],
    lat: Float[np.ndarray, "*fine_lat"],
    lon: Float[np.ndarray, "*fine_lon"],
    *,
    valid: Bool[np.ndarray, "i j"] | None = None,
) -> Bilinear:
    """Bilinear interpolation in latitude and longitude from the centres of a regular coarse grid.

    Beyond the outermost centres the value there is held. No wrap around the globe: *merely convenient*.

    Args:
        coarse_lat: (i,), rising latitudes of the coarse cells, at least 2; degrees.
        coarse_lon: (j,), rising longitudes, at least 2, in the convention of the fine ones.
        lat: fine latitudes: one axis of a regular grid, or two on a curvilinear one.
        lon: fine longitudes, of as many axes.
        valid: (i, j), coarse cells that hold values, default all.

    Returns:
        A linear operator on the trailing axes; `inside` marks fine cells between coarse centres.

    Raises:
        ValueError: coarse axes that do not rise, fine axes that do not match, or no valid cell.

    Examples:
        >>> bilinear(lat_c, lon_c, lat_f, lon_f)(coarse).shape  # (..., len(lat_f), len(lon_f))
    """
    for name, axis in (("coarse_lat", coarse_lat), ("coarse_lon", coarse_lon)):
        if axis.size < 2 or np.any(np.diff(axis) <= 0):
            raise ValueError(f"{name} must rise and hold at least 2 values, got {axis}.")
    if lat.ndim != lon.ndim or lat.ndim > 2:
        raise ValueError(f"lat and lon must both have one axis, or both two, got {lat.ndim} and {lon.ndim}.")
    lat2, lon2 = np.meshgrid(lat, lon, indexing="ij") if lat.ndim == 1 else (lat, lon)
    points = lat2.ravel(), lon2.ravel()
    weights, inside = _bilinear_weights(coarse_lat, coarse_lon, *points)
    if valid is not None:
        weights = _renormalised(weights, valid, coarse_lat, coarse_lon, *points)
    shape = (coarse_lat.size, coarse_lon.size)
    return Bilinear(csr_array(weights.astype(np.float32)), inside.reshape(lat2.shape), shape)


def _bilinear_weights(
    coarse_lat: np.ndarray, coarse_lon: np.ndarray, lat: np.ndarray, lon: np.ndarray
) -> tuple[csr_array, Bool[np.ndarray, " point"]]:
    i, v = _cell_and_fraction(coarse_lat, lat)
    j, u = _cell_and_fraction(coarse_lon, lon)
    corners = [(i, j, (1 - v) * (1 - u)), (i, j + 1, (1 - v) * u), (i + 1, j, v * (1 - u)), (i + 1, j + 1, v * u)]
    columns = np.concatenate([row * coarse_lon.size + column for row, column, _ in corners])
    values = np.clip(np.concatenate([weight for *_, weight in corners]), 0, 1)
    index = np.tile(np.arange(lat.size), 4)
    inside = (lat >= coarse_lat[0]) & (lat <= coarse_lat[-1]) & (lon >= coarse_lon[0]) & (lon <= coarse_lon[-1])
    return csr_array((values, (index, columns)), shape=(lat.size, coarse_lat.size * coarse_lon.size)), inside


def _cell_and_fraction(nodes: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Index of the node below each point, and how far it lies towards the next: 0 or 1 beyond the outermost."""
    below = np.clip(np.searchsorted(nodes, points, side="right") - 1, 0, nodes.size - 2)
    fraction = (points - nodes[below]) / (nodes[below + 1] - nodes[below])
    return below, np.clip(fraction, 0.0, 1.0)


def _renormalised(
    weights: csr_array, valid: np.ndarray, coarse_lat: np.ndarray, coarse_lon: np.ndarray, lat: Any, lon: Any
) -> csr_array:
    if not valid.any():
        raise ValueError("valid marks no coarse cell at all.")
    kept = weights @ diags_array(valid.ravel().astype(np.float64))
    total = np.asarray(kept.sum(axis=1))
    alone = np.flatnonzero(total < 1e-6)
    lat_c, lon_c = (axis[valid] for axis in np.meshgrid(coarse_lat, coarse_lon, indexing="ij"))
    narrowing = np.cos(np.radians(lat[alone]))[:, None]
    distance = np.hypot(lat[alone, None] - lat_c, narrowing * (lon[alone, None] - lon_c))
    column = np.flatnonzero(valid.ravel())[distance.argmin(axis=1)]
    nearest = csr_array((np.ones(alone.size), (alone, column)), shape=weights.shape)
    scale = np.where(total < 1e-6, 0.0, 1 / np.where(total < 1e-6, 1.0, total))
    return csr_array(diags_array(scale) @ kept + nearest)
