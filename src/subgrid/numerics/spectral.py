"""Periodic fields by the fast Fourier transform: more points, fewer waves, and the statistics of every wave."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float


def refine(fields: Float[np.ndarray, "*lead m m"], n_points: int) -> Float[np.ndarray, "*lead n n"]:
    """The field of n_points a side with the same waves and no others: Fourier interpolation.

    What nearest-neighbour upsampling and a low-pass at the coarse cut-off aim at. Those two also damp the waves that
    they keep, by a factor near sinc(kx/m) sinc(ky/m), and shift the field by half a coarse cell less half a fine one; a
    field without waves at the coarse Nyquist wavenumber, as a dealiased one is, needs neither.

    **Arguments:** `fields`, periodic along the last two axes; `n_points`, at least m.

    **Returns:** float32. **Raises:** `ValueError` for fewer points.

        refine(coarse, 128)[..., ::4, ::4]  # coarse again
    """
    m = fields.shape[-1]
    if n_points < m:
        raise ValueError(f"n_points must be at least the {m} that the fields have, got {n_points}.")
    half = (m + 1) // 2  # wavenumbers below the Nyquist one, of which even sizes have a half on either side
    modes = np.fft.rfft2(fields, norm="forward")
    wide = np.zeros((*fields.shape[:-2], n_points, n_points // 2 + 1), complex)
    wide[..., :half, :half] = modes[..., :half, :half]
    wide[..., n_points - half + 1 :, :half] = modes[..., m - half + 1 :, :half]
    return np.fft.irfft2(wide, s=(n_points, n_points), norm="forward").astype(np.float32)


def low_pass(fields: Float[np.ndarray, "*lead n n"], wavenumber: float | int) -> Float[np.ndarray, "*lead n n"]:
    """The part of periodic fields with |κ| ≤ wavenumber, in float32.

    low_pass(fine, 8)
    """
    n = fields.shape[-1]
    kept = np.hypot(np.fft.fftfreq(n, 1 / n)[:, None], np.fft.rfftfreq(n, 1 / n)) <= wavenumber
    modes = np.fft.rfft2(fields, norm="forward") * kept
    return np.fft.irfft2(modes, s=(n, n), norm="forward").astype(np.float32)


class ModeStatistics(NamedTuple):
    """Mean field and variance E|x̂ − m̂|² of every mode of an archive of periodic fields: all that a Gaussian law of
    independent modes and channels needs."""

    mean: Array | np.ndarray
    variance: Array | np.ndarray

    def fixed(self) -> "DeviceStatistics":
        """The same on the device, with no gradient: what a network refines is not trained."""
        return DeviceStatistics(*map(lax.stop_gradient, map(jnp.asarray, self)))


class DeviceStatistics(NamedTuple):
    """`ModeStatistics` as formulas use them."""

    mean: Array
    variance: Array


def mode_statistics(fields: Float[np.ndarray, "n channel y x"]) -> ModeStatistics:
    """Of every mode, over samples, of `rfft2(..., norm="forward")`.

    law = mode_statistics(fine)
    """
    mean = fields.mean(0)
    variance = np.mean(np.abs(np.fft.rfft2(fields - mean, norm="forward")) ** 2, axis=0)
    return ModeStatistics(mean.astype(np.float32), variance.astype(np.float32))


def filtered(
    fields: Float[Array, "channel y x"], gain: Float[Array | np.ndarray, "channel ky kx"]
) -> Float[Array, "channel y x"]:
    """Every mode multiplied by its gain."""
    modes = gain * jnp.fft.rfft2(fields, norm="forward")
    return jnp.fft.irfft2(modes, s=fields.shape[-2:], norm="forward")


def root_mean_square(variance: Float[Array | np.ndarray, "channel ky kx"]) -> Float[Array, ""]:
    """Of a value at one point, from the variances of modes (Parseval), over channels: columns but the first and the
    last stand for two modes each."""
    n_columns = variance.shape[-1]
    counts = np.full(n_columns, 2.0, np.float32)
    counts[[0, -1]] = 1
    return jnp.sqrt(jnp.mean(jnp.sum(variance * counts, axis=(-2, -1))))
