"""A UNet for fields on 1-D and 2-D grids."""

import math
from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, Scalar

from subgrid.networks.correlation import per_axis
from subgrid.networks.layers import (
    Convolution,
    Linear,
    NoiseEmbedding,
    Padding,
    ResidualBlock,
    RootMeanSquareNorm,
    SelfAttention,
    depth_to_space,
    space_to_depth,
)
from subgrid.types import Key, Spatial


class UNetStage(eqx.Module):
    """Residual blocks of equal width, their weights stacked; then attention.

    Args:
        channels: of the field, in and out.
        embedding: width of the noise embedding.
        n_blocks: number of residual blocks.
        padding: the rule of each space axis.
        attention: whether the stage ends in self-attention.
        heads: of the attention.
        checkpoint: whether blocks are computed again in the backward pass, for memory.
        key: random key.
    """

    blocks: ResidualBlock
    """All residual blocks, stacked along the first axis of every weight."""
    attention: SelfAttention | None
    """None where the stage has none."""
    checkpoint: bool = eqx.field(static=True)
    """Whether blocks are computed again in the backward pass."""

    def __init__(self, channels, embedding, n_blocks, *, padding, attention, heads, checkpoint, key):
        block_key, attention_key = jr.split(key)
        make = eqx.filter_vmap(lambda k: ResidualBlock(channels, embedding, padding=padding, key=k))
        self.blocks = make(jr.split(block_key, n_blocks))
        self.attention = SelfAttention(channels, heads=heads, key=attention_key) if attention else None
        self.checkpoint = checkpoint

    def __call__(
        self, x: Float[Array, "*space channel"], embedding: Float[Array, " e"]
    ) -> Float[Array, "*space channel"]:
        stacked, static = eqx.partition(self.blocks, eqx.is_array)

        def body(h, parameters):
            return eqx.combine(parameters, static)(h, embedding), None

        # Unrolled: XLA runs a fifth faster on CPUs outside a loop, and stages are short.
        x, _ = jax.lax.scan(jax.checkpoint(body) if self.checkpoint else body, x, stacked, unroll=True)
        return x if self.attention is None else self.attention(x)


@dataclass(frozen=True)
class UNetSettings:
    """The size of a `UNet`; the defaults are for Kuramoto–Sivashinsky fields of 192 points.

    Args:
        channels: width of each level, finest first, default (64, 128); every further level halves the grid.
        n_blocks: residual blocks a level, on the way down and on the way up; default 2.
        patch: points an axis gathered by the stem, default 4: it makes a step cheaper, and the finest level coarser.
        padding: "periodic", the default, "reflect" or "zero", for all axes or for each.
        attention_levels: levels that end in self-attention, 0 the finest; none by default.
        heads: of the attention, default 4; they divide the channels of its levels.
        embedding: width of the noise embedding, default 128.
        dtype: of the arithmetic inside, "float32", the default, or "bfloat16"; parameters stay float32.
        checkpoint: whether blocks are computed again in the backward pass, for memory; default False.
    """

    channels: tuple[int, ...] = (64, 128)
    n_blocks: int = 2
    patch: int = 4
    padding: Padding | tuple[Padding, ...] = "periodic"
    attention_levels: tuple[int, ...] = ()
    heads: int = 4
    embedding: int = 128
    dtype: str = "float32"
    checkpoint: bool = False


def smallest_grid(space: Spatial, *, patch: int, n_levels: int) -> Spatial:
    """The smallest grid that holds another and can go through a UNet, which halves it from level to level.

    Args:
        space: points along each axis.
        patch: points an axis gathered by the stem.
        n_levels: of the network.

    Returns:
        Points along each axis, multiples of patch·2^(levels − 1).

    Examples:
        >>> smallest_grid((19, 29), patch=2, n_levels=2)  # (20, 32)
    """
    unit = patch * 2 ** (n_levels - 1)
    return tuple(math.ceil(n / unit) * unit for n in space)


class UNet(eqx.Module):
    """Encoder and decoder with skip connections, conditioned on a noise coordinate.

    The stem gathers `patch` points an axis into channels, so the first level already works on a coarser grid with
    wide, fast convolutions; every further level halves the grid. The head scatters them back. When called, it raises
    the `ValueError` of `check`.

    Args:
        in_channels: of the field, with all that is concatenated to it.
        out_channels: of the result.
        n_space: number of space axes, 1 or 2.
        settings: widths, depths, padding, attention and arithmetic.
        key: random key.

    Raises:
        ValueError: for a padding that is not known, or heads that do not divide the channels of an attention level.

    References:
        Ronneberger et al. (2015), arXiv:1505.04597; Song et al. (2021), arXiv:2011.13456.

    Examples:
        >>> network = UNet(1, 1, 1, UNetSettings(channels=(64, 128)), key=key)
        >>> network(x, noise).shape == x.shape
        True
    """

    stem: Convolution
    """The first convolution, of gathered points."""
    embed: NoiseEmbedding
    """Of the noise coordinate."""
    down: list[UNetStage]
    """Stages of the encoder, finest first, without the coarsest level."""
    shrink: list[Linear]
    """From each of them to the next level."""
    middle: UNetStage
    """The stage of the coarsest level."""
    grow: list[Linear]
    """From the next level back to each."""
    merge: list[Linear]
    """Of what has grown and the skipped features."""
    up: list[UNetStage]
    """Stages of the decoder, finest first."""
    norm: RootMeanSquareNorm
    """Before the head."""
    head: Convolution
    """The last convolution, starting at zero."""
    patch: int = eqx.field(static=True)
    """Points an axis gathered by the stem."""
    dtype: str = eqx.field(static=True)
    """Of the arithmetic inside."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        n_space: int,
        settings: UNetSettings = UNetSettings(),
        *,
        key: Key,
    ):
        channels, n_blocks, patch = settings.channels, settings.n_blocks, settings.patch
        rules = per_axis(settings.padding, n_space)
        cells, quarter = patch**n_space, 2**n_space
        keys = iter(jr.split(key, 6 * len(channels) + 4))

        def stage(level: int, n: int = n_blocks) -> UNetStage:
            return UNetStage(
                channels[level],
                settings.embedding,
                n,
                padding=rules,
                attention=level in settings.attention_levels,
                heads=settings.heads,
                checkpoint=settings.checkpoint,
                key=next(keys),
            )

        levels = range(len(channels))
        self.stem = Convolution(in_channels * cells, channels[0], padding=rules, key=next(keys))
        self.embed = NoiseEmbedding(settings.embedding, key=next(keys))
        self.down = [stage(level) for level in levels[:-1]]
        self.shrink = [Linear(quarter * channels[i], channels[i + 1], key=next(keys)) for i in levels[:-1]]
        self.middle = stage(levels[-1], 2 * n_blocks)
        self.grow = [Linear(channels[i + 1], quarter * channels[i], key=next(keys)) for i in levels[:-1]]
        self.merge = [Linear(2 * channels[i], channels[i], key=next(keys)) for i in levels[:-1]]
        self.up = [stage(level) for level in levels[:-1]]
        self.norm = RootMeanSquareNorm()
        self.head = Convolution(channels[0], out_channels * cells, padding=rules, gain=0.0, key=next(keys))
        self.patch, self.dtype = patch, settings.dtype

    def __call__(self, x: Float[Array, "channel *space"], noise: Scalar) -> Float[Array, "out *space"]:
        self.check(x.shape[1:])
        h = self.stem(space_to_depth(jnp.moveaxis(x, 0, -1).astype(self.dtype), self.patch))
        embedding = self.embed(noise).astype(self.dtype)
        skips = []
        for stage, shrink in zip(self.down, self.shrink, strict=True):
            h = stage(h, embedding)
            skips.append(h)
            h = shrink(space_to_depth(h, 2))
        h = self.middle(h, embedding)
        for level in reversed(range(len(self.up))):
            h = depth_to_space(self.grow[level](h), 2)
            h = self.merge[level](jnp.concatenate([h, skips[level]], axis=-1))
            h = self.up[level](h, embedding)
        h = self.head(jax.nn.silu(self.norm(h)))
        return jnp.moveaxis(depth_to_space(h, self.patch), -1, 0).astype(x.dtype)

    def check(self, space: tuple[int, ...]) -> None:
        """Passes if fields on a grid can go through the network.

        Args:
            space: points along each axis.

        Raises:
            ValueError: if a space axis is not divisible by patch·2^(levels − 1).
        """
        unit = self.patch * 2 ** len(self.down)
        if any(size % unit for size in space):
            raise ValueError(
                f"a grid of {space} points is not divisible by patch x 2^(levels - 1) = {unit}; "
                "lower patch, or name fewer levels (one for each of channels)."
            )
