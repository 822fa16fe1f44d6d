"""Batches drawn inside the compiled step from a device-resident set."""

import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float

from subgrid.types import Key


def draw_batch(samples: Float[Array, "n *shape"], size: int, *, key: Key) -> Float[Array, "batch *shape"]:
    """Samples drawn uniformly with replacement.

    Args:
        samples: from which to draw.
        size: of the batch.
        key: random key.

    Returns:
        The batch.

    Examples:
        >>> draw_batch(samples, 128, key=key)
    """
    return samples[jr.randint(key, (size,), 0, samples.shape[0])]


def random_shifts(fields: Float[Array, "n *shape"], n_space: int, *, key: Key) -> Float[Array, "n *shape"]:
    """Each field rolled by its own uniform offset along every space axis.

    Free samples where the distribution of the field is invariant under translation of a periodic domain, and wrong
    elsewhere.

    Args:
        fields: space axes last.
        n_space: number of space axes.
        key: random key.

    Returns:
        The rolled fields.

    Examples:
        >>> random_shifts(draw_batch(samples, 128, key=draw_key), 2, key=shift_key)
    """
    space = fields.shape[fields.ndim - n_space :]
    offsets = jr.randint(key, (fields.shape[0], n_space), 0, jnp.asarray(space))
    axes = tuple(range(-n_space, 0))
    return jax.vmap(lambda field, offset: jnp.roll(field, offset, axes))(fields, offsets)
