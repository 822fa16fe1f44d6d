"""Spectra: the variance of every mode of a box, on any grid.

A spectrum is called with a box and the shape of a grid and gives E|c_k|² of the modes that `Box` stores, computed on
the host in float64: λ_k/|L| for a covariance of eigenvalues λ_k on a box of volume |L|. The variance at a point is the
sum over modes, the same at every resolution if the sum converges.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import scipy.fft
from jaxtyping import Float
from scipy.special import gammaln

from subgrid.numerics.modes import Box
from subgrid.types import Spatial

FIELDS_AT_ONCE = 256
"""Transformed together on the host: bounds its memory."""
EMPTY = 1e-13
"""Of the largest variance of a mode: less is rounding of float32 fields, in a mode that none of them has."""


@runtime_checkable
class Spectrum(Protocol):
    """The variances of the modes of a box."""

    def __call__(self, box: Box, shape: Spatial) -> Float[np.ndarray, "..."]:
        """E|c_k|² of the stored modes of a grid, of all channels alike or with an axis of channels first."""
        ...


@dataclass(frozen=True)
class PowerLaw:
    """λ_k = s² (κ² + τ²)^{−α}: the covariance C = s² (−Δ + τ²)^{−α}, of Matérn's kind.

    Args:
        alpha: α; fields have a variance at points where α > d/2, and α − d/2 square-integrable derivatives (nearly).
        tau: τ ≥ 0, the inverse of the correlation length, in 1/length.
        scale: s, default 1.
        zero_mean: whether the mean over the box is 0 in every field, default not; needed where τ = 0.

    Raises:
        ValueError: a negative τ or scale, or τ = 0 with a mean.

    Examples:
        >>> PowerLaw(2.0, 5.0)(Box((1.0,)), (64,))[:2]  # 1.6e-3, 2.40531e-4
    """

    alpha: float
    tau: float
    scale: float = 1.0
    zero_mean: bool = False

    def __post_init__(self):
        if self.tau < 0 or self.scale < 0:
            raise ValueError(f"tau and scale must not be negative, got {self.tau} and {self.scale}.")
        if self.tau == 0 and not self.zero_mean:
            raise ValueError("tau = 0 leaves the mean of the fields without bounds; give tau > 0, or zero_mean=True.")

    def __call__(self, box: Box, shape: Spatial) -> Float[np.ndarray, "*mode"]:
        squared = box.squared_wavenumbers(shape)
        drawn = (squared > 0) | (not self.zero_mean)
        return self.scale**2 / box.volume * np.where(drawn, squared + self.tau**2, np.inf) ** -self.alpha


@dataclass(frozen=True)
class Flat:
    """White noise, λ_k = s²: the same variance of every mode. Its variance at a point grows with the number of points.

    Args:
        scale: s, default 1.
    """

    scale: float = 1.0

    def __call__(self, box: Box, shape: Spatial) -> Float[np.ndarray, "*mode"]:
        return np.full(box.weights(shape).shape, self.scale**2 / box.volume)


@dataclass(frozen=True, eq=False)
class MeasuredSpectrum:
    """Variances measured on one grid, continued beyond its modes by a power law.

    Args:
        variances: E|c_k|² of the stored modes of `grid`, for each channel.
        grid: on which they were measured.
        exponents: p of each channel: beyond the grid the variance is a κ^{−p}.
        levels: a of each channel.
    """

    variances: Float[np.ndarray, "channel *mode"]
    grid: Spatial
    exponents: Float[np.ndarray, " channel"]
    levels: Float[np.ndarray, " channel"]

    def __call__(self, box: Box, shape: Spatial) -> Float[np.ndarray, "channel *mode"]:
        squared = box.squared_wavenumbers(shape)
        squared[(0,) * box.n_space] = 1.0  # the mean is always measured
        extra = (slice(None), *(None,) * box.n_space)
        result = self.levels[extra] * squared ** (-self.exponents[extra] / 2)
        here, there = _shared(box, shape, self.grid)
        result[(slice(None), *here)] = self.variances[(slice(None), *there)]
        return result


def measure_spectrum(fields: Float[np.ndarray, "n channel *space"], box: Box) -> MeasuredSpectrum:
    """The mean squares of the modes of fields about zero, and the power law that continues them.

    The law is a line through log variance over log κ in the last octave of wavenumbers that the grid holds along every
    axis. It never rises.

    Args:
        fields: samples, of zero mean over box and samples.
        box: in which they live.

    Returns:
        The spectrum; float64.

    Raises:
        ValueError: for fields of another dimension, of less than 4 points along an axis, or not finite.

    Examples:
        >>> spectrum = measure_spectrum(fields, Box((1.0,)))
        >>> spectrum(Box((1.0,)), (256,))  # of fields of 64 points, continued
    """
    grid = box.require_shape(fields.shape[2:], "the fields' grid")
    if min(grid) < 4:
        raise ValueError(f"a spectrum needs 4 points along each axis, got {grid}.")
    if not np.isfinite(fields).all():
        raise ValueError("the fields hold NaN or infinite values, of which no spectrum can be measured.")
    variances = np.zeros((fields.shape[1], *box.weights(grid).shape))
    for first in range(0, len(fields), FIELDS_AT_ONCE):
        some = np.asarray(fields[first : first + FIELDS_AT_ONCE], np.float64)
        variances += np.sum(np.abs(_modes(some, box)) ** 2, axis=0) / len(fields)
    laws = np.array([_last_octave(np.asarray(own), box, grid) for own in variances])
    return MeasuredSpectrum(variances, grid, laws[:, 0], laws[:, 1])


def point_variance(variances: Float[np.ndarray, "..."], box: Box, shape: Spatial) -> np.ndarray | np.floating:
    """Σ_k E|c_k|², the variance at a point (between walls, its mean over points).

    Args:
        variances: of the stored modes, with or without an axis of channels.
        box: of the modes.
        shape: of their grid.

    Returns:
        A number, or one for each channel.
    """
    axes = tuple(range(-box.n_space, 0))
    return np.sum(box.weights(shape) * variances, axis=axes)


def limit_variance(law: PowerLaw, box: Box) -> float:
    """Σ_k λ_k/|L| over all modes, the variance at a point as the grid is refined without end.

        Σ (κ² + τ²)^{−α} = 1/Γ(α) ∫₀^∞ t^{α−1} e^{−τ²t} Π_i θ_i(t) dt,      θ_i(t) = Σ_k e^{−κ_i²t}

    Args:
        law: with α > d/2.
        box: in which it is summed.

    Returns:
        The variance, to about ten digits.

    Examples:
        >>> limit_variance(PowerLaw(2.0, 5.0), Box((1.0,)))  # .0021637
    """
    shortest, d = min(box.length), box.n_space
    smallest = np.max(box.squared_wavenumbers((2,) * d if box.boundary == "neumann" else (3,) * d))
    first = 1e-11 * min(shortest**2, 1 / max(law.tau**2, 1 / shortest**2))
    last = 50 / (law.tau**2 if law.tau else min(smallest, 1 / shortest**2))
    log_t = np.linspace(np.log(first), np.log(last), 4001)
    t = np.exp(log_t)
    modes = np.prod([_theta(t, side, box) for side in box.length], axis=0) - float(law.zero_mean)
    integrand = t**law.alpha * np.exp(-(law.tau**2) * t) * modes
    below = integrand[0] / (law.alpha - d / 2)  # ∫ of t^{α − d/2 − 1}, to which the integrand tends at 0
    total = (np.trapezoid(integrand, log_t) + below) / np.exp(gammaln(law.alpha))
    return float(law.scale**2 * total / box.volume)


def _theta(t: Float[np.ndarray, " t"], side: float, box: Box) -> Float[np.ndarray, " t"]:
    """Σ_k e^{−κ²t} of one axis, directly for large t and by Poisson's formula for small."""
    period = side if box.boundary == "periodic" else 2 * side
    n = np.arange(1, 9)[:, None]
    direct = 1 + 2 * np.sum(np.exp(-((2 * np.pi * n / period) ** 2) * t), axis=0)
    swapped = period / np.sqrt(4 * np.pi * t) * (1 + 2 * np.sum(np.exp(-((n * period) ** 2) / (4 * t)), axis=0))
    both_signs = np.where(t > period**2 / (4 * np.pi), direct, swapped)
    return both_signs if box.boundary == "periodic" else (1 + both_signs) / 2


def _modes(fields: Float[np.ndarray, "n channel *space"], box: Box) -> np.ndarray:
    axes = tuple(range(-box.n_space, 0))
    if box.boundary == "periodic":
        return np.fft.rfftn(fields, axes=axes, norm="forward")
    return scipy.fft.dctn(fields, axes=axes, norm="ortho") / np.sqrt(np.prod(fields.shape[2:]))


def _last_octave(variances: Float[np.ndarray, "*mode"], box: Box, grid: Spatial) -> tuple[float, float]:
    """(p, a) of a κ^{−p} through the shells of the last octave, each counted as often as there are waves in it.

    A shell is one wave wide: between walls two cosines share one, of which symmetric fields have only every other.
    """
    weights, unit = box.weights(grid), 2 * np.pi / min(box.length)
    kappa = np.sqrt(box.squared_wavenumbers(grid))
    shells = np.floor(kappa / unit + 0.5).astype(int)
    half = 0.5 if box.boundary == "neumann" else 0.0  # the last cosine is the first of a shell that is not whole
    last = int(np.sqrt(box.largest_wavenumber(grid)) / unit - half + 1e-9)
    used = (2 * shells > last) & (shells <= last) & (weights > 0)
    shell = shells[used]
    counts, sums, places = (
        np.bincount(shell, weights[used] * each) for each in (1.0, variances[used], np.log(kappa[used]))
    )
    kept = counts > 0
    means, x, w = sums[kept] / counts[kept], places[kept] / counts[kept], counts[kept]
    kept = means > EMPTY * variances.max()
    if kept.sum() < 2:
        return 0.0, 0.0
    means, x, w = means[kept], x[kept], w[kept] / w[kept].sum()
    y = np.log(means)
    spread = np.sum(w * (x - w @ x) ** 2)
    slope = min(0.0, float(np.sum(w * (x - w @ x) * (y - w @ y)) / spread)) if spread > 0 else 0.0
    # The level keeps the mean of the variances: that of their logarithms is biased where samples are few.
    return -slope, float(w @ (means * np.exp(-slope * x)))


def _shared(box: Box, shape: Spatial, grid: Spatial) -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
    """Places of the modes that two grids share, in the one and in the other."""
    both = [
        np.intersect1d(_held(box, n, i), _held(box, m, i)) for i, (n, m) in enumerate(zip(shape, grid, strict=True))
    ]
    here, there = (np.ix_(*(k % n for k, n in zip(both, sizes, strict=True))) for sizes in (shape, grid))
    return here, there


def _held(box: Box, n: int, axis: int) -> np.ndarray:
    """Wavenumbers stored along an axis, without that of Nyquist."""
    sizes = [1] * box.n_space
    sizes[axis] = n
    numbers = box.numbers(tuple(sizes))[axis]
    return numbers if box.boundary == "neumann" else numbers[2 * np.abs(numbers) != n]
