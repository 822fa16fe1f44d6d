"""The smooth day-of-year climatology of an archive, and the change of a climate model's climatology between periods.

    c(φ) = β₀ + Σ_k (a_k cos 2πkφ + b_k sin 2πkφ),    φ ∈ [0, 1) the phase of the year,
    β = argmin  (1/n) Σ_i (y_i − c(φ_i))² + λ Σ_k k⁴ (a_k² + b_k²).

The penalty is the mean squared curvature of c up to (2π)⁴/2: a smoothing spline on the circle (Wahba 1990,
doi:10.1137/1.9781611970128, ch. 2). An archive that holds a season only leaves the rest of the year open; the penalty
then continues c in the smoothest way instead of letting nearly collinear harmonics run away. β₀ is free, so the
residuals add up to zero: the mean of c over the days of the archive *is* the mean of the archive.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.ndimage import distance_transform_edt

from subgrid.downscaling.debiasing.series import SeriesDebiaser
from subgrid.numerics.from_numpy import from_numpy

ROUGHNESS = 1e-4
"""λ. Over a whole year it takes .02 % off the first harmonic and 1.6 % off the third; over one season it leaves a mean,
a slope and a curvature, and damps what 90 days cannot determine."""
CHUNK = 1024
"""Time steps brought to float64 at once: memory does not grow with the archive."""

ChangeKind: TypeAlias = Literal["additive", "multiplicative"]
DRY = 0.01
"""Added to both sides of a ratio, in mm/day: where it hardly ever rains a ratio of climatologies is noise."""
LARGEST_RATIO = 10.0


class Climatology(eqx.Module):
    """Smooth seasonal mean of every channel at every point, as coefficients of harmonics."""

    mean_coefficients: Float[Array, "basis channel *space"]

    def mean(self, phase: Float[Array, " time"]) -> Float[Array, "time channel *space"]:
        """c(φ)."""
        return _evaluate(self.mean_coefficients, phase)

    def remove(
        self, values: Float[Array, "time channel *space"], phase: Float[Array, " time"]
    ) -> Float[Array, "time channel *space"]:
        """Anomalies y − c(φ)."""
        return values - self.mean(phase)

    def restore(
        self, anomalies: Float[Array, "time channel *space"], phase: Float[Array, " time"]
    ) -> Float[Array, "time channel *space"]:
        """c(φ) + anomaly: the inverse of `remove`."""
        return anomalies + self.mean(phase)

    def on(self, interpolate: Callable[[Array], Array]) -> "Climatology":
        """The mean on another grid: the coefficients go through a linear map of one field (channel, *space)."""
        return Climatology(jax.vmap(interpolate)(self.mean_coefficients))


def fit_climatology(
    values: Float[np.ndarray, "time channel *space"],
    phase: Float[np.ndarray, " phase"],
    *,
    n_harmonics: int = 3,
    roughness: float = ROUGHNESS,
) -> Climatology:
    """The smooth seasonal mean, by harmonic regression with a penalty on curvature.

    c(φ) = β₀ + Σ_k (a_k cos 2πkφ + b_k sin 2πkφ), which minimises (1/n) Σ_i (y_i − c(φ_i))² + λ Σ_k k⁴ (a_k² + b_k²).

    Args:
        values: (time, channel, *space), any calendar, any part of the year, NaN at masked points (they stay NaN).
        phase: (time,), φ of the year, in [0, 1).
        n_harmonics: default 3: a yearly course and its asymmetry, and no weather.
        roughness: λ, default 10⁻⁴.

    Returns:
        The climatology. Outside the seasons of the archive it is a smooth guess.

    Raises:
        ValueError: for phases outside [0, 1), of another length than the values, or fewer than 2 time steps.

    References:
        Wahba (1990), doi:10.1137/1.9781611970128, ch. 2.

    Examples:
        >>> climatology = fit_climatology(tas, phase)
        >>> anomalies = climatology.remove(tas, phase)
    """
    _check(values, phase, n_harmonics)
    return Climatology(from_numpy(_regress(values, phase, n_harmonics, roughness)))


class ChangeSignal(eqx.Module):
    """A model's own smoothed change between two periods, per point and phase of the year.

    Additive (temperature): Δ = c₂ − c₁. Multiplicative (precipitation): r = (c₂ + δ)/(c₁ + δ), within [1/10, 10]; it
    keeps dry days dry and amounts non-negative.
    """

    first: Climatology
    second: Climatology
    kinds: tuple[ChangeKind, ...] = eqx.field(static=True)

    @eqx.filter_jit
    def difference(self, phase: Float[Array, " time"]) -> Float[Array, "time channel *space"]:
        """Δ, zero for multiplicative channels."""
        return jnp.where(self._multiplicative(), 0.0, self.second.mean(phase) - self.first.mean(phase))

    @eqx.filter_jit
    def ratio(self, phase: Float[Array, " time"]) -> Float[Array, "time channel *space"]:
        """r, one for additive channels."""
        above, below = (jnp.maximum(c.mean(phase), 0.0) + DRY for c in (self.second, self.first))
        return jnp.where(self._multiplicative(), jnp.clip(above / below, 1 / LARGEST_RATIO, LARGEST_RATIO), 1.0)

    def remove(
        self, values: Float[Array, "time channel *space"], phase: Float[Array, " time"]
    ) -> Float[Array, "time channel *space"]:
        """(y − Δ)/r: the second period in the climate of the first."""
        return (values - self.difference(phase)) / self.ratio(phase)

    def add(
        self, values: Float[Array, "time channel *space"], phase: Float[Array, " time"]
    ) -> Float[Array, "time channel *space"]:
        """r·y + Δ: the inverse of `remove`, on the grid of the signal."""
        return values * self.ratio(phase) + self.difference(phase)

    def on(self, interpolate: Callable[[Array], Array]) -> "ChangeSignal":
        """The signal on another grid, by a linear map of one field (channel, *space).

        Cells without a value in one of the periods have the change of the nearest cell, counted in cells.

        Examples:
            >>> fine = signal.on(interpolate).add(fine, phase)
        """
        first, second = _filled(self.first.mean_coefficients, self.second.mean_coefficients)
        return ChangeSignal(Climatology(first).on(interpolate), Climatology(second).on(interpolate), self.kinds)

    def _multiplicative(self) -> Array:
        flags = jnp.asarray([kind == "multiplicative" for kind in self.kinds])
        return flags.reshape(-1, *(1,) * (self.first.mean_coefficients.ndim - 2))


def fit_change_signal(
    first: Float[np.ndarray, "time1 channel *space"],
    first_phase: Float[np.ndarray, " phase1"],
    second: Float[np.ndarray, "time2 channel *space"],
    second_phase: Float[np.ndarray, " phase2"],
    *,
    kinds: Sequence[ChangeKind],
    n_harmonics: int = 1,
    roughness: float = ROUGHNESS,
) -> ChangeSignal:
    """The change of the smooth climatology from the first (historical) to the second period (the one to downscale).

    Args:
        first: (time1, channel, *space), series of the first period, physical units.
        first_phase: (time1,), of the year, in [0, 1).
        second: (time2, channel, *space), series of the second period, of the same model.
        second_phase: (time2,), of the year.
        kinds: "additive" or "multiplicative", one a channel.
        n_harmonics: default 1: a change varies less over the year than the climatology does and 20 years of it are
            noisier (with 3 the ratio of winter rain over Iberia swings between .4 and 2.3 within one season).
        roughness: as in `fit_climatology`.

    Returns:
        The signal, on the grid of the series.

    Raises:
        ValueError: as `fit_climatology`, and for kinds that do not match the channels.

    Examples:
        >>> signal = fit_change_signal(historical, phase1, rcp85, phase2, kinds=["additive"])
        >>> debiased = signal.add(debias(signal.remove(rcp85, phase2)), phase2)
    """
    for kind in kinds:
        if kind not in get_args(ChangeKind):
            raise ValueError(f"kinds must be among {get_args(ChangeKind)}, got {kind!r}.")
    if not len(kinds) == first.shape[1] == second.shape[1]:
        raise ValueError(
            f"there are {len(kinds)} kinds of change for {first.shape[1]} channels of the first and "
            f"{second.shape[1]} of the second period; give one a channel."
        )
    fit = lambda y, phase: fit_climatology(y, phase, n_harmonics=n_harmonics, roughness=roughness)  # noqa: E731
    return ChangeSignal(fit(first, first_phase), fit(second, second_phase), tuple(kinds))


@dataclass(frozen=True)
class ChangePreserving:
    """A debiaser for another period than its own: the model's change is taken out before and the debiaser's after.

    With S the model's signal, T the debiaser and D the change that T itself leaves between T(y₁) and T(S⁻¹y₂),

        stationary = D⁻¹ T(S⁻¹ y₂),    output = S · stationary.

    T is not linear and the second period differs from the first in more than its mean, so D is not zero; without it the
    mean change of the output would not be that of the input.
    """

    debiaser: SeriesDebiaser
    signal: ChangeSignal
    drift: ChangeSignal

    def adjust(
        self, fields: Float[np.ndarray, "time channel *coarse"], phase: Float[np.ndarray, " time"]
    ) -> Float[np.ndarray, "time channel *coarse"]:
        """Debiased fields *without* the change: what an upsampler trained on the first period is conditioned on."""
        when = jnp.asarray(phase, jnp.float32)
        moved = self.debiaser.adjust(np.asarray(self.signal.remove(jnp.asarray(fields), when)))
        return np.asarray(self.drift.remove(jnp.asarray(moved), when))

    def restore(
        self, fields: Float[np.ndarray, "time channel *coarse"], phase: Float[np.ndarray, " time"]
    ) -> Float[np.ndarray, "time channel *coarse"]:
        """The change put back on the coarse grid; on the fine one, use `signal.on(interpolate).add`."""
        return np.asarray(self.signal.add(jnp.asarray(fields), jnp.asarray(phase, jnp.float32)))


def fit_change_preserving(
    debiaser: SeriesDebiaser,
    first: Float[np.ndarray, "time1 channel *coarse"],
    first_phase: Float[np.ndarray, " phase1"],
    second: Float[np.ndarray, "time2 channel *coarse"],
    second_phase: Float[np.ndarray, " phase2"],
    *,
    kinds: Sequence[ChangeKind],
    n_harmonics: int = 1,
    drift_harmonics: int = 0,
) -> ChangePreserving:
    """Fits the model's change from the first to the second period, and the change that the debiaser adds to it.

    Args:
        debiaser: fitted on the first period, in physical units.
        first: as for `fit_change_signal`.
        first_phase: as for `fit_change_signal`.
        second: as for `fit_change_signal`.
        second_phase: as for `fit_change_signal`.
        kinds: as for `fit_change_signal`.
        n_harmonics: of the model's change, default 1.
        drift_harmonics: of the change that the debiaser adds; default 0, one value a point: it is small, and a seasonal
            one would be noise in dry places.

    Returns:
        The debiaser of the second period.

    Raises:
        ValueError: as `fit_change_signal`.

    Examples:
        >>> preserving = fit_change_preserving(debiaser, historical, phase1, rcp85, phase2, kinds=["additive"])
        >>> stationary = preserving.adjust(rcp85, phase2)
    """
    signal = fit_change_signal(first, first_phase, second, second_phase, kinds=kinds, n_harmonics=n_harmonics)
    without = np.asarray(signal.remove(jnp.asarray(second), jnp.asarray(second_phase, jnp.float32)))
    pair = (debiaser.adjust(np.asarray(first)), first_phase, debiaser.adjust(without), second_phase)
    return ChangePreserving(debiaser, signal, fit_change_signal(*pair, kinds=kinds, n_harmonics=drift_harmonics))


def _filled(*coefficients: Array) -> list[Array]:
    """(basis, channel, *space), whose NaN have the values of the nearest cell that has some in all of them."""
    valid = np.all([np.isfinite(each).all((0, 1)) for each in map(np.asarray, coefficients)], axis=0)
    if valid.all() or not valid.any():
        return list(coefficients)
    nearest: Any = distance_transform_edt(~valid, return_distances=False, return_indices=True)
    return [each[(slice(None), slice(None), *nearest)] for each in coefficients]


def _basis(phase, n_harmonics: int):
    """1, cos 2πφ, sin 2πφ, cos 4πφ, …: (time, 2·n_harmonics + 1), NumPy or JAX as the phase is."""
    numpy = np if isinstance(phase, np.ndarray) else jnp
    angles = 2 * np.pi * phase[:, None] * np.arange(1, n_harmonics + 1)
    waves = numpy.stack([numpy.cos(angles), numpy.sin(angles)], -1).reshape(len(phase), -1)
    return numpy.concatenate([numpy.ones((len(phase), 1), waves.dtype), waves], 1)


@jax.jit  # a dozen small operations, each of which would be compiled for every length of a series
def _evaluate(coefficients: Array, phase: Array) -> Array:
    return jnp.tensordot(_basis(phase, len(coefficients) // 2), coefficients, axes=1)


def _regress(values: np.ndarray, phase: np.ndarray, n_harmonics: int, roughness: float) -> np.ndarray:
    """β in float64; a column with NaN gives NaN."""
    X = _basis(np.asarray(phase, np.float64), n_harmonics)
    n, order = len(X), np.repeat(np.arange(n_harmonics + 1), [1] + [2] * n_harmonics)
    right = np.zeros((X.shape[1], *values.shape[1:]))
    for start in range(0, n, CHUNK):
        block = slice(start, start + CHUNK)
        right += np.tensordot(X[block].T, np.asarray(values[block], np.float64), axes=1)
    left = X.T @ X / n + roughness * np.diag(order.astype(float) ** 4)
    return np.linalg.solve(left, right.reshape(len(right), -1) / n).reshape(right.shape)


def _check(values: np.ndarray, phase: np.ndarray, n_harmonics: int) -> None:
    if n_harmonics < 0:
        raise ValueError(f"n_harmonics must not be negative, got {n_harmonics}; 3 is usual.")
    if len(values) < 2 or len(phase) != len(values):
        raise ValueError(
            f"a climatology needs at least 2 time steps, each with a phase; got {len(values)} and {len(phase)} phases."
        )
    if not ((phase >= 0) & (phase < 1)).all():
        raise ValueError(f"phase must be in [0, 1), got {phase.min()} to {phase.max()}; use day_of_year_phase.")
