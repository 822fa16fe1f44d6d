"""Fourier modes of fields on the periodic square, those beyond two thirds of the resolved ones removed."""

from functools import cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float


@jax.jit
def to_grid(modes: Complex[Array, "*lead ky kx"]) -> Float[Array, "*lead y x"]:
    """Fields of modes; imaginary parts that a real field cannot have are dropped.

    Args:
        modes: amplitudes, kx ≥ 0 only.

    Returns:
        The fields on the grid.
    """
    return jnp.fft.irfft2(modes, norm="forward")


@jax.jit
def to_modes(fields: Float[Array, "*lead y x"]) -> Complex[Array, "*lead ky kx"]:
    """Modes of fields, those beyond n/3 removed: the start of a run from given fields.

    Args:
        fields: on the grid.

    Returns:
        The amplitudes, kx ≥ 0 only.
    """
    return jnp.fft.rfft2(fields, norm="forward") * grid_of(fields.shape[-1]).kept


def velocity_modes(zeta: Complex[Array, "ky kx"]) -> Complex[Array, "2 ky kx"]:
    """Modes of the velocity of a vorticity: u = −∂ψ/∂y, v = ∂ψ/∂x with ψ = −ζ/|k|², so (iκ_y, −iκ_x) ζ/|k|².

    Args:
        zeta: modes of ζ.

    Returns:
        The modes of u and v.
    """
    grid = grid_of(zeta.shape[0])
    rotated = 1j * zeta * grid.inverse_square
    return jnp.stack([grid.ky * rotated, -grid.kx * rotated])


class ModeGrid(NamedTuple):
    """Wavenumbers of the half-plane, in double precision; JAX rounds them to the precision of the state."""

    kx: np.ndarray
    ky: np.ndarray
    square: np.ndarray
    inverse_square: np.ndarray
    kept: np.ndarray
    mean: np.ndarray


@cache
def grid_of(n: int) -> ModeGrid:
    kx, ky = np.arange(n // 2 + 1.0), np.fft.fftfreq(n, 1 / n)[:, None]
    square = kx**2 + ky**2
    inverse = np.divide(1.0, square, out=np.zeros_like(square), where=square > 0)
    largest = largest_kept(n)
    kept = (kx <= largest) & (abs(ky) <= largest)
    return ModeGrid(kx, ky, square, inverse, kept.astype(float), (square == 0).astype(float))


def largest_kept(n: int) -> int:
    """The largest K with 3K < n: products of two kept modes alias onto removed ones only."""
    return (n - 1) // 3
