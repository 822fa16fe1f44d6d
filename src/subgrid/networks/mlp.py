"""A multilayer perceptron for fields without a grid: points of a plane, principal components, cells of a masked map."""

import math
from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, Scalar

from subgrid.networks.layers import Linear
from subgrid.types import Key

N_WAVES = 4


class MLP(eqx.Module):
    """A multilayer perceptron of a point x and a time t, W_n silu(… silu(W₁ [x, t, cos πkt, sin πkt])), k = 1 … 4.

    The last layer starts at zero.

    Args:
        in_shape: of the field with all that is concatenated to it.
        out_shape: of the result.
        hidden: widths of the hidden layers, by default two of 256, as in the Gaussian test of Shi et al. (2023).
        key: random key.

    References:
        Shi et al. (2023), arXiv:2303.16852.

    Examples:
        >>> network = MLP((2,), (2,), key=key)
        >>> network(x, t).shape
        (2,)
    """

    layers: list[Linear]
    """From the first to the last."""
    out_shape: tuple[int, ...] = eqx.field(static=True)
    """Shape of the result."""

    def __init__(
        self, in_shape: tuple[int, ...], out_shape: tuple[int, ...], *, hidden: Sequence[int] = (256, 256), key: Key
    ):
        widths = [math.prod(in_shape) + 1 + 2 * N_WAVES, *hidden, math.prod(out_shape)]
        keys = jr.split(key, len(widths) - 1)
        last = len(keys) - 1
        self.layers = [
            Linear(widths[i], widths[i + 1], gain=0.0 if i == last else math.sqrt(2), key=keys[i])
            for i in range(len(keys))
        ]
        self.out_shape = tuple(out_shape)

    def __call__(self, x: Float[Array, "*shape"], t: Scalar) -> Float[Array, "*out"]:
        phase = jnp.pi * jnp.arange(1, N_WAVES + 1) * t
        h = jnp.concatenate([x.reshape(-1), jnp.asarray(t)[None], jnp.cos(phase), jnp.sin(phase)])
        for layer in self.layers[:-1]:
            h = jax.nn.silu(layer(h))
        return self.layers[-1](h).reshape(self.out_shape)
