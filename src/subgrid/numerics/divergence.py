"""The divergence of a vector field, exactly or by random probes."""

from collections.abc import Callable
from typing import TypeAlias

import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, Scalar

from subgrid.types import Key

Divergence: TypeAlias = Callable[[Callable[[Array], Array], Array], tuple[Array, Array]]
"""From a field v and a point x to v(x) and an estimate of tr ∂v/∂x there."""


def exact_divergence(field: Callable, x: Float[Array, "*shape"]) -> tuple[Float[Array, "*shape"], Scalar]:
    """(v(x), tr ∂v/∂x) with one Jacobian–vector product a dimension: exact, for small fields."""
    basis = jnp.eye(x.size, dtype=x.dtype).reshape(x.size, *x.shape)
    value, push = jax.linearize(field, x)
    return value, jnp.sum(jax.vmap(push)(basis) * basis)


def hutchinson_divergence(n_probes: int = 1, *, key: Key) -> Divergence:
    """The estimate mean_i εᵢᵀ (∂v/∂x) εᵢ with random signs ε (Hutchinson 1989): unbiased, for large fields."""

    def divergence(field, x):
        probes = jr.rademacher(key, (n_probes, *x.shape), x.dtype)
        value, push = jax.linearize(field, x)
        return value, jnp.sum(jax.vmap(push)(probes) * probes) / n_probes

    return divergence
