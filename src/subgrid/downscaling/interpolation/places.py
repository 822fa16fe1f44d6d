"""Fields at places on a grid: which cells each place is a mean of, and with which weights."""

from typing import Literal, TypeAlias

import equinox as eqx
import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.spatial import KDTree

from subgrid.downscaling.interpolation.curvilinear import unit_vectors
from subgrid.downscaling.interpolation.linear import bilinear

PlaceRule: TypeAlias = Literal["interpolated", "nearest"]
"""How a place gets its value."""


class AtPoints(eqx.Module):
    """Fields at places, each a weighted mean of cells.

    Args:
        cells: (place, corner), numbers of the cells in the flattened grid.
        weights: (place, corner), adding up to 1.
        n_space: dimensions of space.
    """

    cells: np.ndarray
    weights: Float[np.ndarray, "place corner"]
    n_space: int

    def __call__(self, fields: Float[np.ndarray, "*fields"]) -> Float[np.ndarray, "*given place"]:
        flat = fields.reshape(*fields.shape[: fields.ndim - self.n_space], -1)
        return np.einsum("...pc,pc->...p", flat[..., self.cells], self.weights).astype(np.float32)


def place_weights(
    grid: tuple[Float[np.ndarray, "..."], Float[np.ndarray, "..."]],
    valid: Bool[np.ndarray, "i j"],
    lat: Float[np.ndarray, " place"],
    lon: Float[np.ndarray, " place"],
    *,
    rule: PlaceRule = "interpolated",
) -> tuple[Int[np.ndarray, "place corner"], Float[np.ndarray, "place corner"]]:
    """The cells of each place and their weights.

    Args:
        grid: latitudes and longitudes of the cells, degrees: two rising axes, or two dimensions each.
        valid: cells with values.
        lat: of the places, degrees.
        lon: of the places, degrees, any turn.
        rule: "interpolated", the default: bilinear between the four cells around it, without those that have no value;
            "nearest": the nearest cell with a value.

    Returns:
        Numbers of cells in the flattened grid, and weights that add up to 1; to 0 for a place outside of the grid, and
        for one with no value around it. A cell without weight has a number of the same place that has some, so that
        no missing value is multiplied by 0.
    """
    cells, weights = _nearest(grid, valid, lat, lon) if rule == "nearest" else _between(grid, valid, lat, lon)
    total = weights.sum(1, keepdims=True)
    heaviest = np.take_along_axis(cells, weights.argmax(1)[:, None], axis=1)
    return np.where(weights > 0, cells, heaviest), weights / np.where(total > 0, total, 1.0)


def _between(
    grid: tuple[np.ndarray, np.ndarray], valid: np.ndarray, lat: np.ndarray, lon: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The cells around each place and their weights, 0 for those without values and for places outside."""
    found = bilinear(*grid, lat[None], lon[None])
    matrix = found.weights.tocsr()
    n = max(int(np.diff(matrix.indptr).max()), 1)
    cells, weights = np.zeros((len(lat), n), int), np.zeros((len(lat), n))
    flat = valid.ravel()
    for i in range(len(lat)):
        own = slice(matrix.indptr[i], matrix.indptr[i + 1])
        k = own.stop - own.start
        cells[i, :k], weights[i, :k] = matrix.indices[own], matrix.data[own] * flat[matrix.indices[own]]
    weights[~np.asarray(found.inside).ravel()] = 0.0
    return cells, weights


def _nearest(
    grid: tuple[np.ndarray, np.ndarray], valid: np.ndarray, lat: np.ndarray, lon: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The nearest cell with values along a great circle; none for places further than the cells' spacing off."""
    axes = grid if grid[0].ndim == 2 else np.meshgrid(*grid, indexing="ij")
    cells = np.flatnonzero(valid.ravel())
    everywhere = unit_vectors(axes[0].ravel(), axes[1].ravel())
    distance, which = KDTree(everywhere[cells]).query(unit_vectors(lat, lon))
    spacing = KDTree(everywhere).query(everywhere, k=2)[0][:, 1].max()
    near = distance <= 2 * spacing
    return cells[which][:, None], near.astype(float)[:, None]
