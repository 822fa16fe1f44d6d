"""Debiasers T of one coarse field beside transport: none, scaling and quantile mapping by points, and compositions."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from subgrid.numerics.from_numpy import from_numpy
from subgrid.transport.unpaired import require_same_fields
from subgrid.types import Debiaser


class NoDebiasing(eqx.Module):
    """T(y) = y."""

    def __call__(self, y: Float[Array, "*coarse"]) -> Float[Array, "*coarse"]:
        return y


class Composed(eqx.Module):
    """T(y) = T_n(… T₁(y)): each transport takes up what the one before left.

    Args:
        parts: T₁, …, T_n.
    """

    parts: tuple[Debiaser, ...]

    def __call__(self, y: Float[Array, "*coarse"]) -> Float[Array, "*coarse"]:
        for part in self.parts:
            y = part(y)
        return y


class VarianceScaling(eqx.Module):
    """T(y)_i = m′_i + a_i (y_i − m_i) at every point i.

    Args:
        scale: a, the standard deviation of the target over that of the source.
        source_mean: m.
        target_mean: m′.
    """

    scale: Float[Array, "*coarse"]
    source_mean: Float[Array, "*coarse"]
    target_mean: Float[Array, "*coarse"]

    @eqx.filter_jit
    def __call__(self, y: Float[Array, "*coarse"]) -> Float[Array, "*coarse"]:
        return self.target_mean + self.scale * (y - self.source_mean)


def fit_variance_scaling(
    source: Float[Array, "n *coarse"], target: Float[Array, "m *target_coarse"]
) -> VarianceScaling:
    """The map that moves mean m and standard deviation s of the source to those of the target, point by point.

        T(y)_i = m′_i + (s′_i / s_i) (y_i − m_i)

    Between Gaussians it is quantile mapping; it leaves the dependence between points as the coarse model has it. A
    point whose source is constant, to what float32 resolves, has no s to divide by and is only shifted, by m′ − m:
    linear scaling.

    Args:
        source: (n, *coarse), samples to map, n ≥ 2.
        target: (m, *coarse), samples to map them onto, same unit, m ≥ 2.

    Returns:
        A map of one field, in float32.

    Raises:
        ValueError: if the shapes differ or a set has a single sample, of which there is no standard deviation.

    References:
        Teutschbein & Seibert (2012), doi:10.1016/j.jhydrol.2012.05.052.

    Examples:
        >>> scaling = fit_variance_scaling(coarse, coarsened)
        >>> debiased = jax.vmap(scaling)(coarse)
    """
    require_same_fields(source, target)
    if min(len(source), len(target)) < 2:
        raise ValueError(
            f"a standard deviation needs at least 2 samples; got {len(source)} coarse and {len(target)} fine. "
            "Bring more data."
        )
    (m1, s1), (m2, s2) = _mean_and_deviation(source), _mean_and_deviation(target)
    varies = s1 > np.finfo(np.float32).eps * np.abs(m1)
    scale = np.divide(s2, s1, out=np.ones_like(s1), where=varies)
    return VarianceScaling(*map(from_numpy, (scale, m1, m2)))


def _mean_and_deviation(samples: Array) -> tuple[Float[np.ndarray, "*coarse"], Float[np.ndarray, "*coarse"]]:
    values = np.asarray(samples, np.float64)
    return values.mean(0), values.std(0, ddof=1)


class QuantileMapping(eqx.Module):
    """T(y)_i = F′_i⁻¹(F_i(y_i)) at every point i, on a table of quantiles, linear between them.

    Beyond the outermost quantiles the correction found there is kept: T(y) = y + (q′ − q). Corrects each marginal and
    leaves the dependence between points as the coarse model has it (Maraun 2013, doi:10.1175/JCLI-D-12-00821.1).

    Args:
        source_quantiles: (quantile, point), rising, of F; points are those of the flattened field.
        target_quantiles: (quantile, point), rising, of F′.
    """

    source_quantiles: Float[Array, "quantile point"]
    target_quantiles: Float[Array, "quantile point"]

    @eqx.filter_jit
    def __call__(self, y: Float[Array, "*coarse"]) -> Float[Array, "*coarse"]:
        mapped = jax.vmap(_map_point, in_axes=(0, 1, 1))(y.reshape(-1), self.source_quantiles, self.target_quantiles)
        return mapped.reshape(y.shape)


def fit_quantile_mapping(
    source: Float[Array, "n *coarse"], target: Float[Array, "m *target_coarse"], *, n_quantiles: int = 100
) -> QuantileMapping:
    """Quantile tables of both sets at every point, and the map between them.

    Where the source has an atom — dry days, censored values — several levels share one source quantile, and no map of
    the value alone can tell them apart; they get the mean of their target quantiles, the best such map in the square
    and the one that keeps the mean.

    Args:
        source: (n, *coarse), samples to map.
        target: (m, *coarse), samples to map them onto, same unit.
        n_quantiles: levels (i + ½)/n, default 100: that keeps some hundred samples a level for archives of 10⁴.

    Returns:
        A map of one field.

    Raises:
        ValueError: if the shapes differ or a set has fewer samples than quantiles.

    References:
        Maraun (2013), doi:10.1175/JCLI-D-12-00821.1.

    Examples:
        >>> debiased = jax.vmap(fit_quantile_mapping(coarse, coarsened))(coarse)
    """
    require_same_fields(source, target)
    if min(len(source), len(target)) < n_quantiles:
        raise ValueError(
            f"{n_quantiles} quantiles need as many samples; got {len(source)} coarse and {len(target)} fine. "
            "Lower n_quantiles or bring more data."
        )
    before, after = _quantile_table(source, n_quantiles), _quantile_table(target, n_quantiles)
    after = np.stack([_mean_where_tied(q, r) for q, r in zip(before.T, after.T, strict=True)], axis=1)
    return QuantileMapping(jnp.asarray(before), jnp.asarray(after))


def _quantile_table(samples: Array, n_quantiles: int) -> Float[np.ndarray, "quantile point"]:
    # NumPy's interpolation between two equal values returns that value to the bit, so ties stay ties; XLA's does not.
    levels = (np.arange(n_quantiles) + 0.5) / n_quantiles
    return np.quantile(np.asarray(samples).reshape(len(samples), -1), levels, axis=0).astype(np.float32)


def _mean_where_tied(source: Float[np.ndarray, " q"], target: Float[np.ndarray, " q"]) -> Float[np.ndarray, " q"]:
    """Target quantiles, those that share a source quantile replaced by their mean."""
    _, group, count = np.unique(source, return_inverse=True, return_counts=True)
    return (np.bincount(group, target) / count)[group].astype(np.float32)


def _map_point(value: Array, source: Float[Array, " q"], target: Float[Array, " q"]) -> Array:
    inside = jnp.interp(value, source, target)
    below, above = value + target[0] - source[0], value + target[-1] - source[-1]
    return jnp.where(value < source[0], below, jnp.where(value > source[-1], above, inside))
