"""Batches drawn inside the compiled step from a device-resident set."""

import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float

from subgrid.types import Key


def draw_batch(samples: Float[Array, "n *shape"], size: int, *, key: Key) -> Float[Array, "batch *shape"]:
    """`size` samples, uniformly with replacement."""
    return samples[jr.randint(key, (size,), 0, samples.shape[0])]


def random_shifts(fields: Float[Array, "n *shape"], n_space: int, *, key: Key) -> Float[Array, "n *shape"]:
    """Each field rolled by its own uniform offset along every space axis.

    Free samples where the law of the field is invariant under translation of a periodic domain, and wrong elsewhere.
    """
    space = fields.shape[fields.ndim - n_space :]
    offsets = jr.randint(key, (fields.shape[0], n_space), 0, jnp.asarray(space))
    axes = tuple(range(-n_space, 0))
    return jax.vmap(lambda field, offset: jnp.roll(field, offset, axes))(fields, offsets)
