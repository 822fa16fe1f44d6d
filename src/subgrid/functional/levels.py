"""Noise levels in function space. A level is a variance s, of noise N(0, sC); no standard deviation is called so."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from subgrid.functional.gaussian_field import GaussianField
from subgrid.types import Spatial

ABOVE, BELOW = 10.0, 1e-2
"""The largest level is 10 times the largest λ₁/λ₂, the smallest .01 of the smallest."""
RESOLVED = 1e-7
"""Ratios λ₁/λ₂ below this part of the largest are not resolved in float32, and do not set the smallest level."""


def level_range(data: GaussianField, noise: GaussianField, grid: Spatial) -> tuple[float, float]:
    """The largest level that data need, which hides all of their modes, and the smallest, which uncovers them.

        s₁ = 10 max λ₁/λ₂,      s_L = .01 min λ₁/λ₂,      over the modes of the training grid

    Args:
        data: N(0, C₁), of the measured spectrum.
        noise: N(0, C₂).
        grid: of the training.

    Returns:
        s₁ and s_L.

    Raises:
        ValueError: if data or noise have no variance at all.

    Examples:
        >>> level_range(GaussianField(2.0, 5.0), GaussianField(1.0, 5.0), (64,))  # .4, 2.6e-7
    """
    first, second = np.broadcast_arrays(data.mode_variances(grid), noise.mode_variances(grid))
    used = (second > 0) & (first > 0) & (noise.box.weights(grid) > 0)
    if not used.any():
        raise ValueError(
            "data and noise vary in no mode together, so that no level of noise suits; are the fields all 0?"
        )
    ratios = first[used] / second[used]
    resolved = ratios[ratios > RESOLVED * ratios.max()]
    return float(ABOVE * ratios.max()), float(BELOW * resolved.min())


def variance_levels(n_levels: int, *, largest: float, smallest: float) -> Float[Array, " level"]:
    """Levels with equal steps in log s, from the largest down to the smallest.

    Args:
        n_levels: ≥ 2.
        largest: s₁.
        smallest: s_L > 0.

    Returns:
        n decreasing variances.

    Raises:
        ValueError: n < 2, or not 0 < s_L < s₁.

    Examples:
        >>> variance_levels(3, largest=100.0, smallest=0.01)  # 100, 1, .01
    """
    if n_levels < 2:
        raise ValueError(f"n_levels must be at least 2, got {n_levels}.")
    if not 0 < smallest < largest:
        raise ValueError(f"levels need 0 < smallest < largest, got {smallest} and {largest}.")
    return jnp.geomspace(largest, smallest, n_levels)
