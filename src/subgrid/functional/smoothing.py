"""Data smoothed by the heat equation, A_σ = e^{σΔ}: a way to make any data admissible for any noise.

    ν = (A_σ)♯μ * N(0, sC),      Σ a_k² λ₁/λ₂ < ∞ with a_k = e^{−σκ²}, whatever λ₁

White data too lie in the Cameron–Martin space of the noise once they are smoothed. What is generated is as smooth; the
last step divides a_k out again.
"""

import numpy as np
from jaxtyping import Array, Float

from subgrid.functional.gaussian_field import as_gain
from subgrid.numerics.modes import Box
from subgrid.types import Spatial

SMALLEST = 1e-2
"""Modes that are damped more than this are not restored: their errors would be multiplied by more than its inverse."""


def heat_factors(box: Box, shape: Spatial, sigma: float) -> Float[np.ndarray, "*mode"]:
    """a_k = exp(−σκ²), by which the heat equation has damped each mode after the time σ.

    Args:
        box: of the modes.
        shape: of their grid.
        sigma: σ ≥ 0, in length²; features below about √σ are gone.

    Returns:
        Factors of the stored modes, from 1 down to 0.

    Raises:
        ValueError: for a negative σ.

    Examples:
        >>> heat_factors(Box((1.0,)), (64,), 1e-3)[1]  # exp(-4π²/1000) = .961
    """
    if sigma < 0:
        raise ValueError(f"sigma, the time of the heat equation, must not be negative, got {sigma}.")
    return np.exp(-sigma * box.squared_wavenumbers(shape))


def smooth(v: Float[Array, "channel *space"], box: Box, sigma: float) -> Float[Array, "channel *space"]:
    """A_σ v.

    Args:
        v: a field.
        box: where it lives.
        sigma: σ ≥ 0, in length².

    Returns:
        The smoothed field.
    """
    return box.multiply(v, as_gain(heat_factors(box, v.shape[1:], sigma)))


def sharpen(
    v: Float[Array, "channel *space"], box: Box, sigma: float, *, smallest: float = SMALLEST
) -> Float[Array, "channel *space"]:
    """A_σ⁻¹ v on the modes that are left, a_k ≥ smallest; beyond them the field stays as smooth as it is.

    Args:
        v: a smoothed field.
        box: where it lives.
        sigma: σ ≥ 0, in length².
        smallest: damping beyond which a mode is not restored, default .01.

    Returns:
        The sharpened field.

    Examples:
        >>> sharpen(smooth(v, box, 1e-4), box, 1e-4)  # v, where its waves are not damped hundredfold
    """
    factors = heat_factors(box, v.shape[1:], sigma)
    return box.multiply(v, as_gain(np.where(factors >= smallest, 1 / np.maximum(factors, smallest), 1.0)))
