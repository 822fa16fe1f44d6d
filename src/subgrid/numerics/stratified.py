"""Random numbers that are spread evenly over their range."""

import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float

from subgrid.types import Key


def stratified_uniforms(n: int, *, key: Key) -> Float[Array, " n"]:
    """Uniform numbers that are spread evenly over [0, 1): u_i = (i + U)/n with one common U.

    Each is uniform, and a mean over them varies less than over independent ones.

    Args:
        n: how many.
        key: random key.

    Returns:
        The numbers, ascending.

    Examples:
        >>> jnp.diff(stratified_uniforms(4, key=key))  # 1/4 each
    """
    return (jnp.arange(n) + jr.uniform(key)) / n
