"""The inverse transform: X = F⁻¹(U) has the distribution function F, if U is uniform."""

from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, DTypeLike, Float

from subgrid.mcmc.driver import Position, Transition, always_accepted
from subgrid.types import Key, Sample


class InverseTransform(eqx.Module):
    """The kernel of independent draws X = F⁻¹(U), in every component of the position.

    Args:
        quantile: F⁻¹ of an array of numbers between 0 and 1, both excluded: a closed form, or what `tabulate_quantile`
            makes of a density.

    References:
        Devroye (1986), Non-Uniform Random Variate Generation, chapter II.2, doi:10.1007/978-1-4613-8643-8.

    Examples:
        >>> kernel = InverseTransform(lambda u: -jnp.log1p(-u))  # exponential
        >>> run_chain(kernel, kernel.init(jnp.zeros(())), 1000, key=key).positions.mean()  # about 1
    """

    quantile: Callable[[Sample], Sample]

    def init(self, position: Sample) -> Position:
        """The position, of which the next draw takes the shape alone."""
        return Position(position)

    def step(self, state: Position, *, key: Key) -> tuple[Position, Transition]:
        """An independent draw."""
        x = state.position
        return Position(self.quantile(open_uniform(x.shape, x.dtype, key=key))), always_accepted()


def open_uniform(shape: tuple[int, ...], dtype: DTypeLike = jnp.float32, *, key: Key) -> Float[Array, "..."]:
    """Uniform numbers of (0, 1) without both ends, where quantiles are infinite.

    `jr.uniform` gives the left ends of 2^23 equal cells (2^52 in double precision); these are their middles.

    Args:
        shape: of the result.
        dtype: float32 by default.
        key: random key.

    Returns:
        Numbers from 2^−24 to 1 − 2^−24, in float32.
    """
    return jr.uniform(key, shape, dtype) + jnp.finfo(dtype).eps / 2
