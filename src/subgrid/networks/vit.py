"""A vision transformer from coarse to fine fields on 1-D and 2-D grids: every point sees every other one."""

import math
from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float

from subgrid.networks.layers import Linear, RootMeanSquareNorm, SelfAttention, depth_to_space, space_to_depth
from subgrid.types import Key, Spatial


@dataclass(frozen=True)
class ViTSettings:
    """The size of a `ViT`; the defaults are for 16 × 16 coarse points.

    Args:
        patch: coarse points an axis that make one token, default 1; 2 for 32 × 32 points, as attention costs the square
            of the number of tokens.
        width: of a token, default 256.
        n_layers: pairs of attention and perceptron, default 8.
        heads: of each attention, default 8; they divide the width.

    Raises:
        ValueError: for numbers below 1.

    References:
        Dosovitskiy et al. (2021), arXiv:2010.11929.
    """

    patch: int = 1
    width: int = 256
    n_layers: int = 8
    heads: int = 8

    def __post_init__(self):
        for name in ("patch", "width", "n_layers", "heads"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}.")


class TransformerBlock(eqx.Module):
    """h + attention, then h + W₂ gelu(W₁ norm(h)) token by token; W₂ starts at zero, as the attention's last map does.

    Args:
        width: of a token; the perceptron is four times as wide.
        heads: of the attention.
        key: random key.

    References:
        Xiong et al. (2020), arXiv:2002.04745: norms before each part need no warm-up of the rate.
    """

    attention: SelfAttention
    """Over all tokens, with its norm before it."""
    norm: RootMeanSquareNorm
    """Before the perceptron."""
    hidden: Linear
    """W₁."""
    out: Linear
    """W₂."""

    def __init__(self, width: int, heads: int, *, key: Key):
        attention_key, hidden_key, out_key = jr.split(key, 3)
        self.attention, self.norm = SelfAttention(width, heads=heads, key=attention_key), RootMeanSquareNorm()
        self.hidden = Linear(width, 4 * width, key=hidden_key)
        self.out = Linear(4 * width, width, gain=0.0, key=out_key)

    def __call__(self, h: Float[Array, "*token width"]) -> Float[Array, "*token width"]:
        h = self.attention(h)
        return h + self.out(jax.nn.gelu(self.hidden(self.norm(h))))


class ViT(eqx.Module):
    """Patches of a coarse field as tokens, their positions, transformer blocks, and a head that shuffles pixels.

    Positions are waves of all wavenumbers along each axis, through a learned linear map. A product of two tokens'
    waves depends on their distance alone, cos k(p − q), so attention to a neighbour is the same everywhere without
    being learned at every place; and waves fit the periodic axes of most of our fields. On other axes they still tell
    any two tokens apart.

    There is no norm before the head: the amplitude of the field has to reach the output. The head starts at zero.

    Args:
        in_channels: of the coarse field.
        out_channels: of the fine field.
        coarse: points of the coarse grid along each axis.
        factor: fine points for each coarse one, the same along all axes.
        settings: patch, width, depth and heads.
        key: random key.

    Raises:
        ValueError: if the patch does not divide the grid, or the heads the width.

    References:
        Dosovitskiy et al. (2021), arXiv:2010.11929; the head: Shi et al. (2016), arXiv:1609.05158.

    Examples:
        >>> network = ViT(1, 1, (16, 16), 16, key=key)
        >>> network(y).shape  # (1, 256, 256) of (1, 16, 16)
    """

    stem: Linear
    """From the points of a patch to a token."""
    position: Linear
    """From the waves of a place to what is added to its token."""
    blocks: TransformerBlock
    """All blocks, stacked along the first axis of every weight."""
    head: Linear
    """From a token to its fine points."""
    coarse: Spatial = eqx.field(static=True)
    """Points of the coarse grid."""
    factor: int = eqx.field(static=True)
    """Fine points for each coarse one."""
    patch: int = eqx.field(static=True)
    """Coarse points an axis of a token."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        coarse: Spatial,
        factor: int,
        settings: ViTSettings = ViTSettings(),
        *,
        key: Key,
    ):
        patch, width, n_space = settings.patch, settings.width, len(coarse)
        if any(n % patch for n in coarse):
            raise ValueError(f"a coarse grid of {coarse} points is not divisible into patches of {patch}.")
        stem_key, position_key, block_key, head_key = jr.split(key, 4)
        n_waves = sum(2 * (n // patch // 2) for n in coarse)
        self.stem = Linear(in_channels * patch**n_space, width, key=stem_key)
        self.position = Linear(max(n_waves, 1), width, key=position_key)
        make = eqx.filter_vmap(lambda k: TransformerBlock(width, settings.heads, key=k))
        self.blocks = make(jr.split(block_key, settings.n_layers))
        self.head = Linear(width, out_channels * (patch * factor) ** n_space, gain=0.0, key=head_key)
        self.coarse, self.factor, self.patch = tuple(coarse), factor, patch

    def __call__(self, y: Float[Array, "channel *coarse"]) -> Float[Array, "out *fine"]:
        tokens = self.stem(space_to_depth(jnp.moveaxis(y, 0, -1), self.patch))
        waves = position_waves(tuple(n // self.patch for n in self.coarse))
        stacked, static = eqx.partition(self.blocks, eqx.is_array)

        def body(h, parameters):
            return eqx.combine(parameters, static)(h), None

        h, _ = jax.lax.scan(body, tokens + self.position(waves).astype(tokens.dtype), stacked)
        return jnp.moveaxis(depth_to_space(self.head(h), self.patch * self.factor), -1, 0)


def position_waves(space: Spatial) -> Float[Array, "*space wave"]:
    """cos 2πk p/n and sin 2πk p/n of each axis, k = 1 … n/2, scaled to a mean square of 1 a place.

    Args:
        space: tokens along each axis.

    Returns:
        The waves of every place, those of one axis after those of the other; a single 0 where there is one token.

    Examples:
        >>> position_waves((16, 16)).shape
        (16, 16, 32)
    """
    waves = []
    for axis, n in enumerate(space):
        along = [m if a == axis else 1 for a, m in enumerate(space)]
        phase = 2 * math.pi / n * jnp.outer(jnp.arange(n), jnp.arange(1, n // 2 + 1))
        both = jnp.concatenate([jnp.cos(phase), jnp.sin(phase)], axis=-1).reshape(*along, -1)
        waves.append(jnp.broadcast_to(both, (*space, both.shape[-1])))
    every = jnp.concatenate(waves, axis=-1)
    return math.sqrt(2) * every if every.shape[-1] else jnp.zeros((*space, 1))
