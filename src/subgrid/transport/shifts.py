"""Pairing fields up to translation, where both distributions are invariant under it.

If x₁ is shifted to where it is closest to x₀, and both are then shifted by one random offset, x₀ and x₁ keep their
distributions: the common offset is uniform and independent of all else. But the pair is closer than one drawn as it
comes, and the velocity of a transport between closer pairs has less to average over. On Kuramoto–Sivashinsky (24
points, 8 times coarser) the mean squared distance falls from 2.1 variances (independent) to 1.1 by alignment alone, and
in batches of 512 from .69 (assignment) to .41 (assignment of aligned fields).
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, Int

from subgrid.transport.couplings import Indices, assignment
from subgrid.transport.ends import Pairs
from subgrid.types import Key


class ExactTransportUpToShifts(eqx.Module):
    """The assignment of least Σ min_s ‖x₀ − shift_s x₁‖² over shifts s of each pair: a coupling to be aligned after.

    Args:
        n_space: how many of the last axes are shifted.

    Examples:
        >>> drawn = draw_pairs(ends, 256, coupling=ExactTransportUpToShifts(1), key=k1)
        >>> pairs = align_pairs(drawn, 1, key=k2)
    """

    n_space: int = eqx.field(static=True)

    def __call__(self, x0: Float[Array, "n *shape"], x1: Float[Array, "n *shape"], *, key: Key) -> Indices:
        gain = jax.lax.map(lambda a: jax.vmap(lambda b: jnp.max(correlation(a, b, self.n_space)))(x1), x0)
        return jnp.arange(len(x0)), assignment(-gain)  # Σ‖x₀‖² + Σ‖x₁‖² is the same for all assignments


def correlation(
    x0: Float[Array, "channel *space"], x1: Float[Array, "channel *space"], n_space: int
) -> Float[Array, "*offset"]:
    """⟨x₀, shift_s x₁⟩ for all offsets s, summed over channels, by the fast Fourier transform.

    Args:
        x0: a periodic field.
        x1: another on the same grid.
        n_space: how many of the last axes are shifted.

    Returns:
        The products, one for each offset.
    """
    axes = tuple(range(-n_space, 0))
    products = jnp.fft.rfftn(x0, axes=axes) * jnp.conj(jnp.fft.rfftn(x1, axes=axes))
    lead = tuple(range(x0.ndim - n_space))
    return jnp.fft.irfftn(jnp.sum(products, lead), s=x0.shape[x0.ndim - n_space :])


def nearest_shift(
    x0: Float[Array, "channel *space"], x1: Float[Array, "channel *space"], n_space: int
) -> Int[Array, " axis"]:
    """The offset s that minimises ‖x₀ − shift_s x₁‖.

    Args:
        x0: a periodic field.
        x1: another on the same grid.
        n_space: how many of the last axes are shifted.

    Returns:
        The offset in points, one number an axis, as `jnp.roll` takes it.
    """
    values = correlation(x0, x1, n_space)
    return jnp.stack(jnp.unravel_index(jnp.argmax(values), values.shape))


def align_pairs(pairs: Pairs, n_space: int, *, key: Key) -> Pairs:
    """Every x₁ shifted to where it is closest to its x₀, then both by one random offset.

    A context is left where it is: use this for pairs without one.

    Args:
        pairs: of periodic fields on one grid, without context.
        n_space: how many of the last axes are shifted.
        key: random key, of the common offsets.

    Returns:
        The shifted pairs.

    Raises:
        ValueError: pairs with a context.
    """
    if pairs.context is not None:
        raise ValueError("pairs with a context cannot be aligned, as shifts would part them from it.")
    space = pairs.x0.shape[pairs.x0.ndim - n_space :]
    axes = tuple(range(-n_space, 0))
    common = jr.randint(key, (len(pairs.x0), n_space), 0, jnp.asarray(space))

    def align(x0, x1, offset):
        nearest = jnp.roll(x1, nearest_shift(x0, x1, n_space), axes)
        return jnp.roll(x0, offset, axes), jnp.roll(nearest, offset, axes)

    return Pairs(*jax.vmap(align)(pairs.x0, pairs.x1, common))
