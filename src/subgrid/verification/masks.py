"""Fields on a mask: the cells out of the grid, and values of the cells back onto it."""

from typing import Any, TypeAlias

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Float

Mask: TypeAlias = Bool[np.ndarray, "*space"]
AnyFloat: TypeAlias = Float[np.ndarray, "..."] | Float[Array, "..."]


def valid_cells(*sets: Any) -> Bool[np.ndarray, "..."]:
    """Cells that hold a finite value in every sample of every set.

    Args:
        sets: arrays with samples on axis 0 and the same space axes after it.

    Returns:
        True where a cell can be compared; the axes of a sample.

    Raises:
        ValueError: no sets, or sets on different grids.

    Examples:
        >>> valid_cells(np.array([[1.0, np.nan], [2.0, 3.0]]))  # [True, False]
    """
    shapes = {np.shape(fields)[1:] for fields in sets}
    if len(shapes) != 1:
        raise ValueError(f"the sets must share their space axes, got {sorted(shapes)}; regrid them to one grid.")
    return np.asarray(np.logical_and.reduce([np.isfinite(np.asarray(fields)).all(axis=0) for fields in sets]))


def select_cells(fields: AnyFloat, mask: Mask | None = None, *, name: str = "fields") -> Float[Array, "*lead cell"]:
    """The cells of the mask in one flat axis, in the order of the grid.

    Args:
        fields: values whose trailing axes are those of the mask; without a mask every axis but the first is space.
        mask: cells that count; None takes all.
        name: what the fields are called in an error.

    Returns:
        float32 values, leading axes kept.

    Raises:
        ValueError: a mask of another shape or without a cell, or a value within it that is not finite.

    Examples:
        >>> select_cells(np.ones((3, 2, 2)), np.array([[True, False], [True, True]])).shape  # (3, 3)
    """
    mask = np.ones(fields.shape[1:], bool) if mask is None else mask
    if fields.shape[fields.ndim - mask.ndim :] != mask.shape or mask.ndim > fields.ndim:
        raise ValueError(
            f"the mask has shape {mask.shape}, but {name} have shape {fields.shape}; it goes on the last axes."
        )
    if not mask.any():
        raise ValueError(f"the mask of {name} leaves no cell; True marks the cells that count.")
    flat = fields.reshape(*fields.shape[: fields.ndim - mask.ndim], mask.size)
    cells = jnp.asarray(flat[..., np.flatnonzero(mask)], jnp.float32)
    _require_finite(cells, mask, name)
    return cells


def _require_finite(cells: Array, mask: Mask, name: str) -> None:
    if isinstance(cells, Tracer):
        return
    bad = ~np.isfinite(np.asarray(cells))
    if bad.any():
        *lead, cell = (int(i) for i in np.argwhere(bad)[0])
        place = tuple(int(i) for i in np.argwhere(mask)[cell])
        raise ValueError(
            f"{name} hold {np.asarray(cells)[(*lead, cell)]} at index {(*lead, *place)}, within the mask; "
            "take such cells out of the mask (see valid_cells) or such samples out of the set."
        )


def restore_cells(values: AnyFloat, mask: Mask) -> Float[np.ndarray, "..."]:
    """Values of the cells of a mask, back on the grid, NaN elsewhere: the inverse of `select_cells`.

    Args:
        values: cells on the last axis.
        mask: cells that the values belong to.

    Returns:
        float32, the last axis replaced by those of the mask.

    Raises:
        ValueError: another number of values than cells.

    Examples:
        >>> restore_cells(np.array([1.0, 2.0]), np.array([True, False, True]))  # [1, nan, 2]
    """
    if values.shape[-1] != mask.sum():
        raise ValueError(f"got {values.shape[-1]} values for the {mask.sum()} cells of the mask.")
    grid = np.full((*values.shape[:-1], mask.size), np.nan, np.float32)
    grid[..., np.flatnonzero(mask)] = values
    return grid.reshape(*values.shape[:-1], *mask.shape)
