"""Periodic fields by the fast Fourier transform: more points, fewer waves, and the statistics of every wave."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

EMPTY = 1e-13
"""Of the largest variance of a mode: less is rounding of the transform, in a mode that no field has."""


def refine(fields: Float[np.ndarray, "*lead m m"], n_points: int) -> Float[np.ndarray, "*lead n n"]:
    """The field of n_points a side with the same waves and no others: Fourier interpolation.

    What nearest-neighbour upsampling and a low-pass at the coarse cut-off aim at. Those two also damp the waves that
    they keep, by a factor near sinc(kx/m) sinc(ky/m), and shift the field by half a coarse cell less half a fine one; a
    field without waves at the coarse Nyquist wavenumber, as a dealiased one is, needs neither.

    Args:
        fields: periodic along the last two axes.
        n_points: points a side of the result, at least m.

    Returns:
        The fields on n_points × n_points, float32.

    Raises:
        ValueError: for fewer points than the fields have.

    Examples:
        >>> refine(coarse, 128)[..., ::4, ::4]  # coarse again, if it has 32 points a side
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


def translate(fields: Float[Array, "*lead y x"], offset: tuple[float, float]) -> Float[Array, "*lead y x"]:
    """Periodic fields between their points: the trigonometric interpolant at i + offset for every point i.

    An orthogonal map but for the Nyquist waves, which no offset of half a point can see.

    Args:
        fields: periodic along the last two axes.
        offset: in points, along y and along x.

    Returns:
        The interpolated values, as many as there are points.

    Examples:
        >>> translate(coarse, (0.5, 0.5))  # at the centres of cells whose corners the values belong to
        >>> translate(coarse, ((f - 1) / (2 * f),) * 2)  # at the middles of the blocks of f × f fine points
    """
    ny, nx = fields.shape[-2:]
    phase_y, phase_x = _phase(np.fft.fftfreq(ny, 1 / ny), offset[0], ny), _phase(np.arange(nx // 2 + 1), offset[1], nx)
    modes = jnp.fft.rfft2(fields, norm="forward") * (phase_y[:, None] * phase_x)
    return jnp.fft.irfft2(modes, s=(ny, nx), norm="forward")


def _phase(wavenumbers: np.ndarray, offset: float, n: int) -> np.ndarray:
    """Factors of the modes under a shift; of the Nyquist wave the part that is real."""
    phase = np.exp(2j * np.pi * wavenumbers * offset / n)
    return np.where(2 * np.abs(wavenumbers) == n, np.real(phase), phase)


def low_pass(fields: Float[np.ndarray, "*lead n n"], wavenumber: float | int) -> Float[np.ndarray, "*lead n n"]:
    """The part of periodic fields with |κ| ≤ wavenumber.

    Args:
        fields: periodic along the last two axes.
        wavenumber: the cut-off, in waves a side.

    Returns:
        The filtered fields, float32.

    Examples:
        >>> low_pass(fine, 8)
    """
    n = fields.shape[-1]
    kept = np.hypot(np.fft.fftfreq(n, 1 / n)[:, None], np.fft.rfftfreq(n, 1 / n)) <= wavenumber
    modes = np.fft.rfft2(fields, norm="forward") * kept
    return np.fft.irfft2(modes, s=(n, n), norm="forward").astype(np.float32)


class ModeStatistics(NamedTuple):
    """Mean and variance of every mode of periodic fields: all that a Gaussian of independent modes needs."""

    mean: Array | np.ndarray
    """m, a field (channel, y, x)."""
    variance: Array | np.ndarray
    """E|x̂ − m̂|² of the modes of `rfft2(..., norm="forward")`, (channel, ky, kx)."""

    def fixed(self) -> "DeviceStatistics":
        """The same on the device, with no gradient: what a network refines is not trained.

        Returns:
            The statistics as JAX arrays.
        """
        return DeviceStatistics(*map(lax.stop_gradient, map(jnp.asarray, self)))


class DeviceStatistics(NamedTuple):
    """`ModeStatistics` as formulas use them: JAX arrays."""

    mean: Array
    """m, a field (channel, y, x)."""
    variance: Array
    """E|x̂ − m̂|² of the modes of `rfft2(..., norm="forward")`, (channel, ky, kx)."""


def mode_statistics(
    fields: Float[np.ndarray, "n channel m m"], pattern: Float[np.ndarray, "channel m m"] | None = None
) -> ModeStatistics:
    """Mean and variance of the modes of homogeneous and isotropic fields on a square grid.

    One mean a channel, and one variance for all modes of `rfft2(..., norm="forward")` of a modulus |κ| that any field
    has. Both symmetries are imposed, because the largest waves are few and slow: a mean field, or a variance for each
    of the four waves of |κ| = 1, is made of as many numbers as there are independent runs. What differs from point to
    point by accident would be taken from every field of one archive and given to every field of the other.

    Args:
        fields: the samples, periodic along the last two axes.
        pattern: of zero mean, where homogeneity is known to be broken. The mean is a constant plus a multiple of it, by
            least squares; channels where it is zero are homogeneous.

    Returns:
        Mean field and variances, float32.

    Examples:
        >>> statistics = mode_statistics(fine)
    """
    n, mean = fields.shape[-1], fields.mean(0)
    flat = mean.mean((1, 2), keepdims=True) + np.zeros_like(mean)
    if pattern is not None:
        flat = flat + pattern * amplitude(mean, pattern)[:, None, None]
    power = np.mean(np.abs(np.fft.rfft2(fields - flat, norm="forward")) ** 2, axis=0)
    square = np.rint(np.fft.fftfreq(n, 1 / n)[:, None] ** 2 + np.arange(n // 2 + 1) ** 2).astype(int)
    variance = np.stack([_mean_of_shells(channel, square) for channel in power])
    return ModeStatistics(flat.astype(np.float32), variance.astype(np.float32))


def amplitude(
    fields: Float[np.ndarray, "*lead y x"], pattern: Float[np.ndarray, "*#lead y x"]
) -> Float[np.ndarray, "*lead"]:
    """The amplitude a of a·pattern in each field, by least squares: a = Σ x p / Σ p².

    Args:
        fields: x.
        pattern: p, of the shape of one field, or one for each.

    Returns:
        One a for each field; 0 for a pattern of zeros.

    Examples:
        >>> amplitude(3 * np.sin(x), np.sin(x))  # 3, for x of two axes
    """
    norm = np.sum(pattern**2, axis=(-2, -1))
    return np.asarray(np.sum(fields * pattern, axis=(-2, -1)) / np.maximum(norm, np.finfo(np.float32).tiny))


def _mean_of_shells(power: Float[np.ndarray, "n kx"], square: np.ndarray) -> Float[np.ndarray, "n kx"]:
    """Power averaged over the occupied modes of the same |κ|²; 0 where no field has any."""
    occupied = power > EMPTY * power.max()
    counts = occupied * _multiplicity(len(power))
    total, number = (np.bincount(square.ravel(), weights.ravel()) for weights in (counts * power, counts))
    return np.where(occupied, (total / np.maximum(number, 1))[square], 0)


def filtered(
    fields: Float[Array, "channel y x"], gain: Float[Array | np.ndarray, "channel ky kx"]
) -> Float[Array, "channel y x"]:
    """A periodic field with every mode multiplied by its gain.

    Args:
        fields: on a grid, periodic in y and x.
        gain: of the modes of `rfft2`.

    Returns:
        The filtered field.

    Examples:
        >>> filtered(x, jnp.ones((1, 32, 17)))  # x, of shape (1, 32, 32)
    """
    modes = gain * jnp.fft.rfft2(fields, norm="forward")
    return jnp.fft.irfft2(modes, s=fields.shape[-2:], norm="forward")


def root_mean_square(variance: Float[Array | np.ndarray, "channel n kx"]) -> Float[Array, ""]:
    """Root mean square of a value at one point of a square grid, from the variances of modes (Parseval).

    √(mean over channels of Σ_κ variance), the sum over wavenumbers of both signs.

    Args:
        variance: of the modes of `rfft2(..., norm="forward")`, as in `ModeStatistics`.

    Returns:
        A scalar, in the unit of the fields.

    Examples:
        >>> root_mean_square(mode_statistics(fine).variance)
    """
    return jnp.sqrt(jnp.mean(jnp.sum(variance * _multiplicity(variance.shape[-2]), axis=(-2, -1))))


def _multiplicity(n: int) -> Float[np.ndarray, " kx"]:
    """The number of the n wavenumbers of a full transform that each column of `rfft2` stands for."""
    counts = np.full(n // 2 + 1, 2.0, np.float32)
    counts[0] = 1
    if n % 2 == 0:
        counts[-1] = 1
    return counts
