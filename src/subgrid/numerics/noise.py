"""Standard normal numbers, drawn flat."""

import functools
import math

import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, DTypeLike

from subgrid.types import Key


def standard_normal(shape: tuple[int, ...], dtype: DTypeLike = jnp.float32, *, key: Key) -> Array:
    """Independent draws of N(0, 1): the numbers of `jr.normal(key, shape)`, to the bit, compiled several times faster.

    The generator numbers its outputs, and for an array of several axes works out each output's number from its indices:
    half a second of compilation for three axes, an eighth for one (jax 0.10 on a CPU). They run equally fast.

    Args:
        shape: of the result.
        dtype: float32 by default.
        key: random key.

    Returns:
        An array of this shape.

    Examples:
        >>> standard_normal((4, 64, 64), key=key)
    """
    return _drawn(key, shape, dtype)


@functools.partial(jax.jit, static_argnums=(1, 2))
def _drawn(key: Key, shape: tuple[int, ...], dtype) -> Array:
    return jr.normal(key, (math.prod(shape),), dtype).reshape(shape)
