"""Fields as coefficients of the waves of a band: what a network knows of them, whatever grid they came from.

    f(x) = Σ a_k φ_k(x),      φ_0 = 1,  φ = √2 cos 2πkx and √2 sin 2πkx for k ≤ M,  along each axis

The sum of a² is the mean square of f. Coefficients of an axis are its M + 1 cosines, then its M + 1 sines, of which the
first is no wave and stays 0. Channels come first.
"""

import math
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from subgrid.types import Spatial


def to_band(x: Float[Array, "channel *space"], n_modes: int) -> Float[Array, "channel *coefficient"]:
    """The coefficients of a field's waves up to a wavenumber; those above are left out.

    Args:
        x: a field on a periodic grid, its points at i/N along each axis.
        n_modes: M, the largest wavenumber along each axis.

    Returns:
        2(M + 1) coefficients along each axis.

    Raises:
        ValueError: for a grid that does not hold the band; it needs 2M + 1 points along each axis.
    """
    require_grid(x.shape[1:], n_modes)
    for axis in range(1, x.ndim):
        waves = jnp.moveaxis(jnp.fft.rfft(x, axis=axis, norm="forward"), axis, -1)[..., : n_modes + 1]
        both = jnp.concatenate([waves.real, -waves.imag], axis=-1) * _root_two(n_modes).astype(x.dtype)
        x = jnp.moveaxis(both, -1, axis)
    return x


def from_band(coefficients: Float[Array, "channel *coefficient"], shape: Spatial) -> Float[Array, "channel *space"]:
    """The field of given coefficients on a grid.

    Args:
        coefficients: as of `to_band`.
        shape: of the grid.

    Returns:
        The field.

    Raises:
        ValueError: for a grid that does not hold the band.
    """
    n_modes = coefficients.shape[-1] // 2 - 1
    require_grid(shape, n_modes)
    x = coefficients
    for axis, n in enumerate(shape, start=1):
        cosines, sines = jnp.split(jnp.moveaxis(x, axis, -1) * (_root_two(n_modes) / 2).astype(x.dtype), 2, axis=-1)
        cosines = cosines.at[..., 0].multiply(2)  # the mean has no conjugate
        waves = jnp.pad(cosines - 1j * sines, [*[(0, 0)] * (x.ndim - 1), (0, n // 2 - n_modes)])
        x = jnp.moveaxis(jnp.fft.irfft(waves, n, axis=-1, norm="forward"), -1, axis)
    return x


def wave_table(n_points: int, n_modes: int) -> Float[np.ndarray, "point coefficient"]:
    """φ_k(i/n): coefficients times its transpose are the field, the field times it and over n the coefficients.

    Args:
        n_points: n, at least 2M + 1.
        n_modes: M.

    Returns:
        The waves at the points; the column of the sine of wavenumber 0 is 0.
    """
    phase = 2 * np.pi * np.outer(np.arange(n_points) / n_points, np.arange(n_modes + 1))
    return np.concatenate([np.cos(phase), np.sin(phase)], axis=1) * _root_two(n_modes)


def cut(coefficients: Float[Array, "channel *coefficient"], n_modes: int) -> Float[Array, "channel *narrow"]:
    """The coefficients of a narrower band: a low-pass, which also is the whole of a coarser level.

    Args:
        coefficients: of a band of at least M.
        n_modes: M, of the narrower band.

    Returns:
        Its coefficients.
    """
    for axis in range(1, coefficients.ndim):
        cosines, sines = jnp.split(coefficients, 2, axis=axis)
        kept = [jnp.take(part, np.arange(n_modes + 1), axis=axis) for part in (cosines, sines)]
        coefficients = jnp.concatenate(kept, axis=axis)
    return coefficients


def widen(coefficients: Float[Array, "channel *coefficient"], n_modes: int) -> Float[Array, "channel *wide"]:
    """The coefficients of a wider band, zero where there were none.

    Args:
        coefficients: of a band of at most M.
        n_modes: M, of the wider band.

    Returns:
        Its coefficients.
    """
    for axis in range(1, coefficients.ndim):
        parts = jnp.split(coefficients, 2, axis=axis)
        more = [(0, 0)] * coefficients.ndim
        more[axis] = (0, n_modes + 1 - parts[0].shape[axis])
        coefficients = jnp.concatenate([jnp.pad(part, more) for part in parts], axis=axis)
    return coefficients


def without_nyquist(x: Float[Array, "channel *space"]) -> Float[Array, "channel *space"]:
    """A field without the waves of half the number of points, which another grid cannot take over.

    Args:
        x: a field; nothing is taken away along axes of an odd number of points.

    Returns:
        The field less its alternating part along each even axis.
    """
    for axis, n in enumerate(x.shape[1:], start=1):
        if n % 2 == 0:
            sign = jnp.expand_dims((-1.0) ** np.arange(n), [i for i in range(x.ndim) if i != axis])
            x = x - sign * jnp.mean(sign * x, axis=axis, keepdims=True)
    return x


def require_grid(shape: Sequence[int], n_modes: int) -> None:
    """Passes a grid that holds a band.

    Args:
        shape: of the grid.
        n_modes: M, the largest wavenumber of the band.

    Raises:
        ValueError: for less than 2M + 1 points along an axis.
    """
    if min(shape) < 2 * n_modes + 1:
        raise ValueError(
            f"a grid of {' × '.join(map(str, shape))} points does not hold the {n_modes} modes of the network; "
            f"give {2 * n_modes + 1} points or more along each axis, or train with n_modes <= {(min(shape) - 1) // 2}."
        )


def _root_two(n_modes: int) -> Float[np.ndarray, " coefficient"]:
    """√2 for each wave, 1 for the mean, 0 for the sine that is none."""
    half = np.full(n_modes + 1, math.sqrt(2))
    cosines, sines = half.copy(), half.copy()
    cosines[0], sines[0] = 1.0, 0.0
    return np.concatenate([cosines, sines])
