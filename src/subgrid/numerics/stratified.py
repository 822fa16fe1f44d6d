"""Random numbers that are spread evenly over their range."""

import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float

from subgrid.types import Key


def stratified_uniforms(n: int, *, key: Key) -> Float[Array, " n"]:
    """u_i = (i + U)/n with one common U: uniform each, evenly spread together, so that a mean over them varies less."""
    return (jnp.arange(n) + jr.uniform(key)) / n
