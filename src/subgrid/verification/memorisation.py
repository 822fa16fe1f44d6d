"""How near samples are to the fields that a model was trained on."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int

ROWS_AT_ONCE = 256
"""Samples compared with all of the set at a time: the products are this many rows of its length."""


class NearestFields(NamedTuple):
    """Of each sample, the nearest field of a set.

    Args:
        distance: relative root mean square difference.
        place: of it in the set, on axis 0.
    """

    distance: Float[Array, " n"]
    """0 for a copy, about √2 for a field that is independent of all of a small set."""
    place: Int[Array, " n"]
    """On axis 0 of the set."""


def nearest_fields(
    samples: Float[np.ndarray | Array, "n channel *space"], given: Float[np.ndarray | Array, "m given *places"]
) -> NearestFields:
    """The distance of each sample to a set, and the field that it is nearest to.

    d_i = min_j √(⟨(x_i − y_j)²⟩ / ⟨(y − ȳ)²⟩), means over channels and points, the lower one over the set too and ȳ its
    mean field. Samples nearer to the training set than fields of an independent reference are: memorised. Always print
    that floor beside it, with as many samples; images by a symmetry that the training used belong to the set.

    Args:
        samples: x, any unit; n ≥ 1.
        given: y, same unit, channels and grid; m ≥ 2.

    Returns:
        A distance and an index for each sample. A copy is at distance 0, to the bit.

    Raises:
        ValueError: for different channels or grids, and for fewer than two fields in the set.

    Examples:
        >>> found, floor = nearest_fields(samples, training), nearest_fields(reference, training)
        >>> jnp.median(found.distance) / jnp.median(floor.distance)  # well below 1: memorised
    """
    if samples.shape[1:] != given.shape[1:] or len(given) < 2 or not len(samples):
        raise ValueError(
            "needs samples and at least two fields of the same channels and grid, got shapes "
            f"{samples.shape} and {given.shape}."
        )
    return _nearest(jnp.asarray(samples), jnp.asarray(given))


@jax.jit
def _nearest(samples: Float[Array, "n channel *space"], given: Float[Array, "m channel *space"]) -> NearestFields:
    centre = jnp.mean(given, axis=0)  # distances from squared norms cancel badly far from the origin
    x, y = ((fields - centre).reshape(len(fields), -1) for fields in (samples, given))
    own = jnp.sum(y**2, axis=1)
    index = lax.map(partial(_index_of_nearest, y, own), x, batch_size=min(len(x), ROWS_AT_ONCE))
    # From the difference itself: of a copy the products leave the rounding of squared norms.
    squared = jnp.mean((samples - given[index]).reshape(x.shape) ** 2, axis=1)
    return NearestFields(jnp.sqrt(squared / jnp.mean(y**2)), index)


def _index_of_nearest(y: Float[Array, "m d"], own: Float[Array, " m"], x: Float[Array, " d"]) -> Int[Array, ""]:
    return jnp.argmin(own - 2 * jnp.matmul(y, x, precision=lax.Precision.HIGHEST))
