"""How near samples are to the fields that a model was trained on."""

import math
from functools import partial
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int

from subgrid.numerics.symmetries import Symmetry, SymmetryGroup

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


def nearest_images(
    samples: Float[np.ndarray | Array, "n channel *space"],
    given: Float[np.ndarray | Array, "m channel *space"],
    group: SymmetryGroup,
) -> Float[Array, " n"]:
    """The distance of each sample to a set and all images of it: min over g of that of g(x) to the fields as they are.

    Symmetries keep distances, d(x, g y) = d(g⁻¹x, y), so that images of samples say what images of the set would.
    Shifts along the last axis come together, by one correlation: <x, S_a y> for all a is a transform of x̂* ŷ.

    Args:
        samples: x, any unit; n ≥ 1.
        given: y, same unit, channels and grid; m ≥ 1.
        group: whose images count; it holds all shifts along the last axis, and these need not be told.

    Returns:
        Relative root mean square distances, as `nearest_fields`, of which a copy's is below 1e-3: here it is a
            difference of products.

    Raises:
        ValueError: for different channels or grids, and a grid that the group does not act on.

    Examples:
        >>> nearest_images(samples, training, kolmogorov_symmetries(4))
    """
    if samples.shape[1:] != given.shape[1:] or not len(given) or not len(samples):
        raise ValueError(f"needs fields of the same channels and grid, got shapes {samples.shape} and {given.shape}.")
    return _nearest_images(jnp.asarray(samples), jnp.asarray(given), group.elements())


@eqx.filter_jit
def _nearest_images(samples: Array, given: Array, elements: Symmetry) -> Float[Array, " n"]:
    size, n_rows = given.shape[-1], _rows(given.shape)[0]
    modes = _waves_first(given)
    squares = jnp.mean(given**2, axis=tuple(range(1, given.ndim)))

    def one(x: Array) -> Array:
        """Σ conj(x̂) ŷ over rows, of real parts: as products of matrices, wave by wave, of all images at once."""
        own = jnp.swapaxes(_waves_first(jax.vmap(lambda g: g(x))(elements)), 1, 2)
        real, imaginary = jnp.split(own, 2, axis=1)
        turned = jnp.concatenate([-imaginary, real], axis=1)
        products = lax.complex(*(jnp.matmul(modes, part, precision=lax.Precision.HIGHEST) for part in (own, turned)))
        along = jnp.fft.irfft(jnp.moveaxis(products, 0, -1), n=size)
        largest = jnp.max(along, axis=(1, 2)) / n_rows / size
        return jnp.min(jnp.mean(x**2) + squares - 2 * largest)

    squared = lax.map(one, samples)
    return jnp.sqrt(jnp.maximum(squared, 0.0) / jnp.mean((given - jnp.mean(given, axis=0)) ** 2))


def _waves_first(fields: Float[Array, "n channel *space"]) -> Float[Array, "wave n part"]:
    """Waves along the last axis, those of all other axes as real parts, then imaginary ones."""
    modes = jnp.fft.rfft(fields).reshape(-1, *_rows(fields.shape), fields.shape[-1] // 2 + 1)
    return jnp.moveaxis(jnp.concatenate([modes.real, modes.imag], axis=1), -1, 0)


def _rows(shape: tuple[int, ...]) -> tuple[int]:
    """All axes of a field but the last, in one."""
    return (math.prod(shape[1:-1]),)


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
