"""Batches drawn inside the compiled step from a device-resident set."""

import jax.random as jr
from jaxtyping import Array, Float

from subgrid.numerics.symmetries import random_images, shifts
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
    """Each field rolled by its own uniform offset along every space axis: `random_images` of the group of all shifts.

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
    return random_images(fields, shifts(fields.shape[fields.ndim - n_space :]), key=key)
