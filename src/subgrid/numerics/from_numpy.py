"""NumPy arrays handed to JAX as they are."""

import jax
import numpy as np
from jaxtyping import Array, ArrayLike, DTypeLike


def from_numpy(values: ArrayLike, dtype: DTypeLike = np.float32) -> Array:
    """The same numbers as a JAX array, rounded by NumPy: nothing is compiled.

    `jax.numpy.asarray` compiles a program for each new shape (jax 0.10: some 28 ms), an identity or a cast.

    Args:
        values: an array, or a number.
        dtype: float32 by default.

    Returns:
        An array of the same shape.

    Examples:
        >>> from_numpy(np.linspace(0, 1, 5)).dtype
        dtype('float32')
    """
    return jax.device_put(np.asarray(values, dtype))
