"""Bias correction and spatial disaggregation (BCSD) of plain fields; and interpolation alone, as an upsampler.

    y′ = quantile map of y onto C′x, point by point;   x = f̄ + I(y′ − c̄),   or of positive fields f̄ · I(y′/c̄)

with f̄ and c̄ the means of the fine fields and of the coarsened ones. `anomaly` and `upon` are the same for climate
series (`climate/baselines.py`), whose grids, masks and interpolation differ.
"""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from subgrid.downscaling.debiasing.static import QuantileMapping, fit_quantile_mapping
from subgrid.downscaling.interpolation.cubic import keys_weights, linear_weights
from subgrid.downscaling.upsampling.starts import CubicStart, local_start
from subgrid.types import Coarsening, Key, Spatial


def anomaly(y: Any, mean: Any, *, ratio: Any) -> Any:
    """y − c̄, or y/c̄ where `ratio` says so.

    Args:
        y: coarse fields, of NumPy or of JAX.
        mean: c̄, positive where it divides.
        ratio: whether each value is divided, which broadcasts.

    Returns:
        Anomalies, of the shape of y.
    """
    xp = y.__array_namespace__()
    return xp.where(ratio, y / xp.where(ratio, mean, 1.0), y - mean)


def upon(mean: Any, anomalies: Any, *, ratio: Any) -> Any:
    """f̄ + a, or f̄ · a where `ratio` says so: anomalies upon the fine mean.

    Args:
        mean: f̄.
        anomalies: a, on the fine grid, of NumPy or of JAX.
        ratio: whether each value is multiplied, which broadcasts.

    Returns:
        Fine fields.
    """
    return anomalies.__array_namespace__().where(ratio, anomalies * mean, anomalies + mean)


class BCSD(eqx.Module):
    """A fine field from a raw coarse one: debiased point by point, interpolated, upon the mean of the fine fields.

    It has no draws, whatever the key.

    Args:
        mapping: of raw coarse values onto those of coarsened fine fields.
        interpolate: I.
        coarse_mean: c̄.
        fine_mean: f̄.
        multiplicative: whether anomalies are ratios.

    References:
        Wood, Leung, Sridhar & Lettenmaier (2004), doi:10.1023/B:CLIM.0000013685.99609.9e.
    """

    mapping: QuantileMapping
    interpolate: CubicStart
    coarse_mean: Float[Array, "channel *coarse"]
    fine_mean: Float[Array, "channel *fine"]
    multiplicative: bool = eqx.field(static=True)

    def __call__(self, y: Float[Array, "channel *coarse"], *, key: Key) -> Float[Array, "channel *fine"]:
        debiased = self.mapping(y)
        if self.multiplicative:  # beyond its table the map keeps a difference, which leads below zero
            debiased = jnp.maximum(debiased, self.mapping.target_quantiles[0].reshape(y.shape))
        anomalies = anomaly(debiased, self.coarse_mean, ratio=self.multiplicative)
        return upon(self.fine_mean, self.interpolate(anomalies), ratio=self.multiplicative)


def fit_bcsd(
    coarse: Float[np.ndarray, "n channel *coarse"],
    fine: Float[np.ndarray, "m channel *fine"],
    operator: Coarsening,
    *,
    periodic: bool,
    centred: bool,
    n_quantiles: int = 1000,
    multiplicative: bool = False,
) -> BCSD:
    """BCSD of a whole archive, for fields without a calendar.

    Differences are interpolated by cubic convolution. Ratios are interpolated linearly: cubic weights are negative
    beyond the next point, and would make some positive fields negative.

    Args:
        coarse: (n, channel, *coarse), raw coarse fields, physical units; they share no dates with `fine`.
        fine: (m, channel, *fine), same unit.
        operator: C′, whose factor is a whole number along each axis.
        periodic: whether all space axes wrap around.
        centred: whether a coarse value lies in the middle of its fine points (block means) or on the first
            (subsampling).
        n_quantiles: of the map at each point, default 1000; at most the number of fields.
        multiplicative: whether anomalies are ratios, which keep positive fields positive; default False.

    Returns:
        An upsampler of raw coarse fields.

    Raises:
        ValueError: for a factor that is no whole number, fewer fields than quantiles, and ratios of means that are not
            positive.

    References:
        Wood, Leung, Sridhar & Lettenmaier (2004), doi:10.1023/B:CLIM.0000013685.99609.9e.

    Examples:
        >>> upsample = fit_bcsd(coarse, fine, Subsample((64, 64), 4), periodic=True, centred=False)
        >>> upsample(y).shape  # (1, 64, 64) of (1, 16, 16)
    """
    coarsened = np.asarray(operator(jnp.asarray(fine)))
    coarse_mean, fine_mean = (np.mean(each, axis=0, dtype=np.float64) for each in (coarsened, fine))
    if multiplicative and min(coarse_mean.min(), fine_mean.min()) <= 0:
        raise ValueError(
            "ratios need positive means at every point; use multiplicative=False for fields of both signs."
        )
    rule = linear_weights if multiplicative else keys_weights
    factors = whole_factors(operator)
    return BCSD(
        fit_quantile_mapping(jnp.asarray(coarse), jnp.asarray(coarsened), n_quantiles=n_quantiles),
        local_start(rule, operator.coarse_shape, factors, centred=centred, periodic=periodic),
        jnp.asarray(coarse_mean, jnp.float32),
        jnp.asarray(fine_mean, jnp.float32),
        multiplicative,
    )


class Interpolated(eqx.Module):
    """Interpolation of a debiased coarse field, behind the contract of upsamplers; it has no draws.

    Args:
        interpolate: I.
    """

    interpolate: CubicStart

    def __call__(self, y: Float[Array, "channel *coarse"], *, key: Key) -> Float[Array, "channel *fine"]:
        return self.interpolate(y)


def cubic_upsampler(operator: Coarsening, *, periodic: bool, centred: bool) -> Interpolated:
    """Cubic convolution, a = −½, along each axis: the baseline "cubic" of Wan et al. (2023).

    Args:
        operator: C′, whose factor is a whole number along each axis.
        periodic: whether all space axes wrap around.
        centred: whether a coarse value lies in the middle of its fine points (block means) or on the first
            (subsampling).

    Returns:
        An upsampler of debiased coarse fields.

    Raises:
        ValueError: for a factor that is no whole number.

    References:
        Keys (1981), doi:10.1109/TASSP.1981.1163711; Wan et al. (2023), arXiv:2305.15618.

    Examples:
        >>> upsample = cubic_upsampler(Subsample((64, 64), 4), periodic=True, centred=False)
    """
    factors = whole_factors(operator)
    return Interpolated(local_start(keys_weights, operator.coarse_shape, factors, centred=centred, periodic=periodic))


def whole_factors(operator: Coarsening) -> Spatial:
    """Fine points for each coarse one along each axis.

    Args:
        operator: C′.

    Returns:
        The factors.

    Raises:
        ValueError: if one is no whole number.
    """
    axes = list(zip(operator.fine_shape, operator.coarse_shape, strict=True))
    if any(fine % coarse for fine, coarse in axes):
        raise ValueError(
            f"needs whole factors: the fine grid {operator.fine_shape} is no multiple of the coarse one "
            f"{operator.coarse_shape}."
        )
    return tuple(fine // coarse for fine, coarse in axes)
