"""Debiasers T of one coarse field beside transport: none, quantile mapping point by point, and compositions."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from subgrid.types import Debiaser


class NoDebiasing(eqx.Module):
    """T(y) = y."""

    def __call__(self, y: Float[Array, "*coarse"]) -> Float[Array, "*coarse"]:
        return y


class Composed(eqx.Module):
    """T(y) = T_n(… T₁(y)): each transport takes up what the one before left."""

    parts: tuple[Debiaser, ...]

    def __call__(self, y: Float[Array, "*coarse"]) -> Float[Array, "*coarse"]:
        for part in self.parts:
            y = part(y)
        return y


class QuantileMapping(eqx.Module):
    """T(y)_i = F′_i⁻¹(F_i(y_i)) at every point i, on a table of quantiles, linear between them.

    Beyond the outermost quantiles the correction found there is kept: T(y) = y + (q′ − q). Corrects each marginal and
    leaves the dependence between points as the coarse model has it (Maraun 2013, doi:10.1175/JCLI-D-12-00821.1).
    """

    source_quantiles: Float[Array, "quantile point"]
    target_quantiles: Float[Array, "quantile point"]

    def __call__(self, y: Float[Array, "*coarse"]) -> Float[Array, "*coarse"]:
        mapped = jax.vmap(_map_point, in_axes=(0, 1, 1))(y.reshape(-1), self.source_quantiles, self.target_quantiles)
        return mapped.reshape(y.shape)


def fit_quantile_mapping(
    source: Float[Array, "n *coarse"], target: Float[Array, "m *target_coarse"], *, n_quantiles: int = 100
) -> QuantileMapping:
    """Quantile tables of both sets at every point.

    **Arguments:** `n_quantiles`, levels (i + ½)/n: 100 keeps some hundred samples a level for archives of 10⁴.

    **Raises:** `ValueError` if the shapes differ or a set has fewer samples than quantiles.
    """
    if source.shape[1:] != target.shape[1:]:
        raise ValueError(
            f"source fields have shape {source.shape[1:]}, target fields {target.shape[1:]}; they must agree."
        )
    if min(len(source), len(target)) < n_quantiles:
        raise ValueError(
            f"{n_quantiles} quantiles need as many samples; got {len(source)} coarse and {len(target)} fine. "
            "Lower n_quantiles or bring more data."
        )
    levels = (jnp.arange(n_quantiles) + 0.5) / n_quantiles
    tables = (jnp.quantile(samples.reshape(len(samples), -1), levels, axis=0) for samples in (source, target))
    return QuantileMapping(*tables)


def _map_point(value: Array, source: Float[Array, " q"], target: Float[Array, " q"]) -> Array:
    inside = jnp.interp(value, source, target)
    below, above = value + target[0] - source[0], value + target[-1] - source[-1]
    return jnp.where(value < source[0], below, jnp.where(value > source[-1], above, inside))
