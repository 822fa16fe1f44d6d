"""Climate baselines: interpolation after quantile mapping, BCSD, analogues, local Gaussian noise, the noise floor.

Series have axes "time channel *space". Cells outside a mask hold NaN in what goes in and in what comes out. Everything
here is fitted on training days, and works on days it has not seen.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Bool, Float
from scipy.optimize import minimize_scalar
from scipy.special import ndtr

from subgrid.downscaling.baselines.bcsd import anomaly, upon
from subgrid.downscaling.debiasing.static import fit_quantile_mapping
from subgrid.downscaling.interpolation.linear import Bilinear
from subgrid.numerics.noise import standard_normal
from subgrid.types import Key
from subgrid.verification.masks import AnyFloat, restore_cells, select_cells, valid_cells

Anomaly = Literal["difference", "ratio"]
SMALLEST_MEAN = 0.01
"""mm/day below which a climatological mean is raised before dividing by it: a hundredth of a wet day."""


@dataclass(frozen=True)
class InterpolatedQuantileMapping:
    """Interpolation to the fine grid, then quantile mapping of every fine cell: x = F_fine⁻¹(F_interp(I y))."""

    interpolate: Bilinear
    mapping: Callable[[Any], Any]
    mask: Bool[np.ndarray, "*fine"]

    def __call__(self, coarse: Float[np.ndarray, "time channel *coarse"]) -> Float[np.ndarray, "time channel *fine"]:
        cells = select_cells(self.interpolate(coarse), self.mask)
        return restore_cells(np.asarray(jax.lax.map(self.mapping, cells, batch_size=64)), self.mask)


def fit_interpolated_quantile_mapping(
    coarse: Float[np.ndarray, "n channel *coarse"],
    fine: Float[np.ndarray, "m channel *fine"],
    interpolate: Bilinear,
    *,
    mask: Bool[np.ndarray, "*fine"],
    n_quantiles: int = 200,
) -> InterpolatedQuantileMapping:
    """The baseline "per-cell quantile mapping": interpolation, then x = F_fine⁻¹(F_interp(I y)) at every fine cell.

    Marginals are as good as can be, dependence is left as interpolation has it.

    Args:
        coarse: (n, channel, *coarse), raw coarse training days, canonical units; they share no dates with `fine`.
        fine: (m, channel, *fine), fine training days.
        interpolate: I, to the fine grid.
        mask: (*fine), fine cells that count.
        n_quantiles: levels (i + ½)/n, default 200; at most the number of days.

    Returns:
        A map of coarse to fine days, NaN outside the mask.

    Raises:
        ValueError: shapes that do not match, NaN within the mask, or fewer days than quantiles.

    References:
        Maraun (2013), doi:10.1175/JCLI-D-12-00821.1 (and why its variability is inflated).

    Examples:
        >>> baseline = fit_interpolated_quantile_mapping(coarse_train, fine_train, interpolate, mask=mask)
        >>> fine_like = baseline(coarse_test)
    """
    source = select_cells(interpolate(coarse), mask, name="interpolated fields")
    target = select_cells(fine, mask, name="fine fields")
    return InterpolatedQuantileMapping(interpolate, fit_quantile_mapping(source, target, n_quantiles=n_quantiles), mask)


@dataclass(frozen=True)
class SpatialDisaggregation:
    """x = f̄ + I(y′ − c̄), or f̄ · I(y′/c̄): the debiased coarse anomaly upon the fine climatology."""

    interpolate: Bilinear
    coarse_mean: Float[np.ndarray, "channel *coarse"]
    fine_mean: Float[np.ndarray, "channel *fine"]
    anomaly: tuple[Anomaly, ...]

    def __call__(self, debiased: Float[np.ndarray, "time channel *coarse"]) -> Float[np.ndarray, "time channel *fine"]:
        ratio = np.array([kind == "ratio" for kind in self.anomaly])[:, None, None]
        coarse_mean, fine_mean = (_divisible(mean, ratio) for mean in (self.coarse_mean, self.fine_mean))
        anomalies = self.interpolate(anomaly(debiased, coarse_mean, ratio=ratio))
        return upon(fine_mean, anomalies, ratio=ratio).astype(np.float32)


def fit_spatial_disaggregation(
    coarsened: Float[np.ndarray, "n channel *coarse"],
    fine: Float[np.ndarray, "n channel *fine"],
    interpolate: Bilinear,
    *,
    anomaly: tuple[Anomaly, ...],
) -> SpatialDisaggregation:
    """The second half of BCSD: debiased coarse anomalies, interpolated, upon the fine climatology.

    x = f̄ + I(y′ − c̄), or f̄ · I(y′/c̄), with f̄ and c̄ the means of fine and coarsened days. Debias first, by any
    debiaser.

    Args:
        coarsened: (n, channel, *coarse), the fine training days, coarsened by C′ (NaN in coarse cells without
            reference).
        fine: (n, channel, *fine), the fine training days.
        interpolate: I, to the fine grid, made with `valid` where coarse cells are missing.
        anomaly: of each channel, "difference" (temperature) or "ratio" (precipitation: stays non-negative).

    Returns:
        A map of debiased coarse to fine days; NaN where the fine climatology is.

    Raises:
        ValueError: another number of channels.

    References:
        Wood, Leung, Sridhar & Lettenmaier (2004), doi:10.1023/B:CLIM.0000013685.99609.9e.

    Examples:
        >>> baseline = fit_spatial_disaggregation(operator(fine), fine, interpolate, anomaly=("difference",))
        >>> fine_like = baseline(debias(coarse_test))
    """
    if not coarsened.shape[1] == fine.shape[1] == len(anomaly):
        raise ValueError(f"{len(anomaly)} anomalies for {coarsened.shape[1]} coarse and {fine.shape[1]} fine channels.")
    return SpatialDisaggregation(interpolate, _mean(coarsened), _mean(fine), anomaly)


def _divisible(mean: np.ndarray, ratio: np.ndarray) -> np.ndarray:
    return np.where(ratio, np.maximum(mean, SMALLEST_MEAN), mean)


def _mean(fields: np.ndarray) -> np.ndarray:
    return np.asarray(np.mean(fields, axis=0, dtype=np.float64), np.float32)


@dataclass(frozen=True)
class Analogues:
    """Fine fields of the training days whose coarse fields come nearest."""

    library: Float[Array, "day feature"]
    scale: Float[np.ndarray, " feature"]
    valid: Bool[np.ndarray, "channel *coarse"]
    fine: Float[np.ndarray, "day channel *fine"]

    def nearest(self, debiased: Float[np.ndarray, "time channel *coarse"], k: int) -> np.ndarray:
        """Indices of the k nearest training days, nearest first, (time, k)."""
        if not 1 <= k <= len(self.fine):
            raise ValueError(f"k must lie between 1 and the {len(self.fine)} days of the library, got {k}.")
        queries = select_cells(debiased, self.valid, name="debiased fields") / self.scale

        def nearest_of(query: Array) -> Array:
            return jax.lax.top_k(-jnp.sum((self.library - query) ** 2, axis=1), k)[1]

        return np.asarray(jax.lax.map(nearest_of, queries, batch_size=16))

    def __call__(self, debiased: Float[np.ndarray, "time channel *coarse"]) -> Float[np.ndarray, "time channel *fine"]:
        return self.fine[self.nearest(debiased, 1)[:, 0]]

    def ensemble(
        self, debiased: Float[np.ndarray, "time channel *coarse"], n_members: int, *, k: int = 10, key: Key
    ) -> Float[np.ndarray, "time member channel *fine"]:
        """Members drawn with replacement from the k nearest, the j-th with probability ∝ 1/j (Lall & Sharma 1996)."""
        indices = self.nearest(debiased, k)
        log_weights = -jnp.log(jnp.arange(1.0, k + 1))
        drawn = np.asarray(jr.categorical(key, log_weights, shape=(len(indices), n_members)))
        return self.fine[np.take_along_axis(indices, drawn, axis=1)]


def fit_analogues(
    coarsened: Float[np.ndarray, "n channel *coarse"], fine: Float[np.ndarray, "n channel *fine"]
) -> Analogues:
    """Analogues: perfect spatial structure, but only days that happened, and none beyond the record.

    Distance: Euclidean over the coarse cells that hold values, each divided by its standard deviation over the training
    days, so that channels of different units weigh alike.

    Args:
        coarsened: (n, channel, *coarse), the fine training days, coarsened by C′; NaN in coarse cells without
            reference.
        fine: (n, channel, *fine), the fine training days, the same in the same order.

    Returns:
        A map of debiased coarse to fine days, with `.ensemble` for members.

    Raises:
        ValueError: different numbers of days, or no coarse cell with values.

    References:
        Zorita & von Storch (1999), doi:10.1175/1520-0442(1999)012<2474:TAMAAS>2.0.CO;2; resampling among neighbours:
            Lall & Sharma (1996), doi:10.1029/95WR02966.

    Examples:
        >>> analogues = fit_analogues(operator(fine), fine)
        >>> analogues(debias(coarse_test)).shape  # (time, channel, lat, lon)
    """
    if len(coarsened) != len(fine):
        raise ValueError(f"needs the same training days, got {len(coarsened)} coarse and {len(fine)} fine ones.")
    valid = valid_cells(coarsened)
    cells = select_cells(coarsened, valid, name="coarsened fields")
    deviation = np.asarray(jnp.std(cells, axis=0))
    scale = np.where(deviation > 0, deviation, 1.0).astype(np.float32)
    return Analogues(cells / scale, scale, valid, np.asarray(fine, np.float32))


@dataclass(frozen=True)
class LocalNoise:
    """A fine field plus independent Gaussian noise at every cell, of one width a channel: x = μ + σ ε."""

    width: Float[np.ndarray, " channel"]

    def ensemble(
        self, mean: Float[np.ndarray, "time channel *fine"], n_members: int, *, key: Key, lower: float | None = None
    ) -> Float[np.ndarray, "time member channel *fine"]:
        """Members around a field; `lower` cuts them off (0 for precipitation, which helps this baseline)."""
        space = (1,) * (mean.ndim - 2)
        noise = np.asarray(standard_normal((len(mean), n_members, *mean.shape[1:]), key=key))
        members = mean[:, None] + self.width.reshape(-1, *space) * noise
        return (members if lower is None else np.maximum(members, lower)).astype(np.float32)

    def crps(
        self, mean: Float[np.ndarray, "time channel *fine"], truth: Float[np.ndarray, "time channel *fine"]
    ) -> Float[np.ndarray, " channel"]:
        """Exact CRPS of N(μ, σ²) of each channel, averaged over days and the cells that hold values."""
        scores = [gaussian_crps(truth[:, c] - mean[:, c], float(w)) for c, w in enumerate(self.width)]
        return np.array([np.nanmean(each) for each in scores], np.float32)


def gaussian_crps(
    error: Float[np.ndarray, "*shape"], width: float | Float[np.ndarray, "*widths"]
) -> Float[np.ndarray, "*shape"]:
    """CRPS of N(μ, σ²) at an error e = y − μ: σ (z (2Φ(z) − 1) + 2φ(z) − 1/√π), z = e/σ.

    Args:
        error: truth less mean, any unit.
        width: σ > 0, same unit: one number, or an array that broadcasts to the errors.

    Returns:
        One score an entry.

    Raises:
        ValueError: a width that is not positive.

    References:
        Gneiting, Raftery, Westveld & Goldman (2005), Eq. 5, doi:10.1175/MWR2904.1.

    Examples:
        >>> gaussian_crps(np.array([0.0]), 1.0)  # (√2 − 1)/√π = .2337
    """
    if not np.all(np.asarray(width) > 0):
        raise ValueError(f"width must be positive, got {np.min(width)}.")
    z = error / width
    density = np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
    return np.asarray(width * (z * (2 * ndtr(z) - 1) + 2 * density - 1 / np.sqrt(np.pi)))


def fit_local_noise(
    mean: Float[np.ndarray, "n channel *fine"], truth: Float[np.ndarray, "n channel *fine"]
) -> LocalNoise:
    """The width σ that minimises the mean CRPS of N(μ, σ²) over the training days, one constant a channel.

    Args:
        mean: (n, channel, *fine), μ, interpolated coarsened training days.
        truth: (n, channel, *fine), the fine training days themselves, paired; NaN outside the mask.

    Returns:
        The baseline, which a downscaling should beat by 15 % in perfect-model mode.

    Raises:
        ValueError: shapes that do not match, or a channel without an error to fit.

    References:
        Gneiting, Raftery, Westveld & Goldman (2005), Eq. 5, doi:10.1175/MWR2904.1, of the CRPS.

    Examples:
        >>> noise = fit_local_noise(interpolate(operator(fine)), fine)
        >>> noise.crps(interpolate(operator(test)), test)
    """
    if mean.shape != truth.shape:
        raise ValueError(f"mean and truth must be paired, got shapes {mean.shape} and {truth.shape}.")
    return LocalNoise(np.array([_best_width(truth[:, c] - mean[:, c]) for c in range(mean.shape[1])], np.float32))


def _best_width(error: np.ndarray) -> float:
    known = error[np.isfinite(error)].astype(np.float64)
    rms = float(np.sqrt(np.mean(known**2))) if known.size else 0.0
    if rms == 0:
        raise ValueError("the interpolated fields equal the truth or hold no value: there is no width to fit.")
    # At σ → 0 the score is the mean absolute error; no width above 3 rms can be best, as σ = rms is for Gaussians.
    found: Any = minimize_scalar(
        lambda log_width: gaussian_crps(known, float(np.exp(log_width))).mean(),
        bounds=(np.log(1e-3 * rms), np.log(3 * rms)),
        method="bounded",
    )
    return float(np.exp(found.x))


def noise_floor(metrics: Mapping[str, Callable[[Any, Any], Any]], train: AnyFloat, test: AnyFloat) -> dict[str, float]:
    """Every metric between the reference's training and its test seasons: nothing can be expected below.

    Args:
        metrics: functions of (prediction, reference) by name.
        train: reference days of the training seasons, in the place of the prediction.
        test: reference days of the test seasons.

    Returns:
        Means over whatever each metric returns, NaN left out.

    Examples:
        >>> noise_floor({"W1": wasserstein_1_per_cell}, fine_train, fine_test)
    """
    return {name: float(np.nanmean(np.asarray(metric(train, test)))) for name, metric in metrics.items()}
