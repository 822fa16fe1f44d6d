"""Baselines that every result stands beside: interpolation of the coarse field, without any learning.

| rule | a fine value depends on | order on waves | white noise in the middle between two coarse points keeps |
|---|---|---|---|
| splines | all coarse values, smooth to the second derivative | 4 | .756 of its variance along an axis |
| Keys' convolution | the 4 nearest an axis, smooth to the first | 3 | .641 |
| hats | the 2 nearest an axis, never beyond them | 2 | .5 |
"""

from collections.abc import Callable, Sequence

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


def fine_positions(n: int, factor: int, *, centred: bool) -> Float[np.ndarray, " fine"]:
    """Where the fine points of an axis lie, in units of coarse points.

    Args:
        n: coarse points.
        factor: fine points for each.
        centred: whether a coarse point lies in the middle of its fine points, or on the first.

    Returns:
        n · factor positions; 0 is the first coarse point.
    """
    return (np.arange(n * factor) - ((factor - 1) / 2 if centred else 0.0)) / factor


def keys_weights(
    n: int, factor: int, *, centred: bool, periodic: bool, a: float = -0.5
) -> Float[np.ndarray, "fine coarse"]:
    """Cubic convolution along one axis: each fine value as a sum of its four nearest coarse ones.

        w(d) = (a + 2)|d|³ − (a + 3)|d|² + 1  up to |d| = 1,   a(|d|³ − 5|d|² + 8|d| − 4)  up to 2,   0 beyond

    Args:
        n: coarse points.
        factor: fine points for each.
        centred: whether a coarse point lies in the middle of its fine points, or on the first.
        periodic: whether the axis wraps around; on others the outermost values are repeated beyond.
        a: the slope of w at 1, default −½, the only one of third order.

    Returns:
        (fine, coarse) weights, rows of which sum to 1.

    References:
        Keys (1981), doi:10.1109/TASSP.1981.1163711.

    Examples:
        >>> fine = keys_weights(24, 8, centred=False, periodic=True) @ coarse
    """

    def kernel(d: np.ndarray) -> np.ndarray:
        near, far = (a + 2) * d**3 - (a + 3) * d**2 + 1, a * (d**3 - 5 * d**2 + 8 * d - 4)
        return np.where(d <= 1, near, np.where(d < 2, far, 0.0))

    return _local_weights(kernel, 2, n, factor, centred, periodic)


def linear_weights(n: int, factor: int, *, centred: bool, periodic: bool) -> Float[np.ndarray, "fine coarse"]:
    """Linear interpolation along one axis: positive fields stay positive, and no value leaves the range of its two.

    Args:
        n: coarse points.
        factor: fine points for each.
        centred: whether a coarse point lies in the middle of its fine points, or on the first.
        periodic: whether the axis wraps around; on others the outermost values are held beyond.

    Returns:
        (fine, coarse) weights, not negative, rows of which sum to 1.

    Examples:
        >>> fine = linear_weights(24, 8, centred=False, periodic=True) @ coarse
    """
    return _local_weights(lambda d: np.maximum(1 - d, 0.0), 1, n, factor, centred, periodic)


def _local_weights(
    kernel: Callable[[np.ndarray], np.ndarray], reach: int, n: int, factor: int, centred: bool, periodic: bool
) -> Float[np.ndarray, "fine coarse"]:
    """Σ over the coarse points within `reach`, those beyond the ends being images or copies of others."""
    positions = fine_positions(n, factor, centred=centred)
    neighbours = np.floor(positions).astype(int)[:, None] + np.arange(1 - reach, reach + 1)
    weights = np.zeros((len(positions), n))
    columns = neighbours % n if periodic else np.clip(neighbours, 0, n - 1)
    np.add.at(weights, (np.arange(len(positions))[:, None], columns), kernel(np.abs(positions[:, None] - neighbours)))
    return weights


def _interpolate_axis(values: np.ndarray, axis: int, factor: int, centred: bool, periodic: bool) -> np.ndarray:
    n = values.shape[axis]
    positions = fine_positions(n, factor, centred=centred)
    if periodic:
        closed = np.concatenate([values, np.take(values, [0], axis)], axis)
        return CubicSpline(np.arange(n + 1), closed, axis=axis, bc_type="periodic")(positions % n)
    return CubicSpline(np.arange(n), values, axis=axis)(np.clip(positions, 0, n - 1))
