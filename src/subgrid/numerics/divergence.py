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
    """A field and its divergence at a point, (v(x), tr ∂v/∂x), exactly.

    One Jacobian–vector product a dimension: for small fields.

    Args:
        field: v, from a point to a vector of the same shape.
        x: the point.

    Returns:
        v(x) and the divergence there, a scalar.

    Examples:
        >>> exact_divergence(lambda x: 2 * x, jnp.ones(3))[1]  # 6
    """
    basis = jnp.eye(x.size, dtype=x.dtype).reshape(x.size, *x.shape)
    value, push = jax.linearize(field, x)
    return value, jnp.sum(jax.vmap(push)(basis) * basis)


def hutchinson_divergence(n_probes: int = 1, *, key: Key) -> Divergence:
    """A random estimate of the divergence, mean_i εᵢᵀ (∂v/∂x) εᵢ with random signs ε: unbiased, for large fields.

    Args:
        n_probes: number of ε, each of which costs a Jacobian–vector product.
        key: random key; the same ε are used at every call of the result.

    Returns:
        A function of field v and point x, which returns v(x) and the estimate.

    References:
        Hutchinson (1989), doi:10.1080/03610918908812806.

    Examples:
        >>> value, estimate = hutchinson_divergence(8, key=key)(velocity, x)
    """

    def divergence(field, x):
        probes = jr.rademacher(key, (n_probes, *x.shape), x.dtype)
        value, push = jax.linearize(field, x)
        return value, jnp.sum(jax.vmap(push)(probes) * probes) / n_probes

    return divergence
