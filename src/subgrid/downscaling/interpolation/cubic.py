"""Baselines that every result stands beside: interpolation of the coarse field, without any learning."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy.interpolate import CubicSpline


def cubic_interpolation(
    coarse: Float[np.ndarray, "*lead_and_coarse"],
    factors: Sequence[int],
    *,
    centred: bool,
    periodic: bool,
) -> Float[np.ndarray, "*lead_and_fine"]:
    """Cubic splines along each of the last `len(factors)` axes, from the coarse points to all fine points.

    Args:
        coarse: `(*lead, *coarse)`, any unit.
        factors: fine points for each coarse one, along each space axis.
        centred: whether a coarse value sits at the middle of its block (block means) or on its first point
            (subsampling).
        periodic: the boundary rule of all axes; otherwise not-a-knot, held constant outside.

    Returns:
        The fine fields, axis sizes multiplied by `factors`, float32.

    Examples:
        >>> cubic_interpolation(coarse, (8,), centred=False, periodic=True).shape  # (..., 192) of (..., 24)
    """
    fine = np.asarray(coarse, np.float64)
    for axis, factor in zip(range(-len(factors), 0), factors, strict=True):
        fine = _interpolate_axis(fine, axis, factor, centred, periodic)
    return fine.astype(np.float32)


def _interpolate_axis(values: np.ndarray, axis: int, factor: int, centred: bool, periodic: bool) -> np.ndarray:
    n = values.shape[axis]
    offset = (factor - 1) / 2 if centred else 0.0
    positions = (np.arange(n * factor) - offset) / factor
    if periodic:
        closed = np.concatenate([values, np.take(values, [0], axis)], axis)
        return CubicSpline(np.arange(n + 1), closed, axis=axis, bc_type="periodic")(positions % n)
    return CubicSpline(np.arange(n), values, axis=axis)(np.clip(positions, 0, n - 1))
