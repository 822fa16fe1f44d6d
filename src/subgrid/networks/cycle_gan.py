"""The two networks of a cycleGAN for fields: a generator from one kind of field to another, and a critic of patches."""

from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float

from subgrid.networks.correlation import per_axis
from subgrid.networks.layers import Convolution, Linear, Padding, depth_to_space, space_to_depth
from subgrid.types import Key

LEAK = 0.2
"""Slope of the critic's rectifier below zero, of Radford, Metz & Chintala (2016), arXiv:1511.06434."""


class InstanceNorm(eqx.Module):
    """Every channel of one field by itself with mean 0 and variance 1 over space, (x − m)/√(v + 1e-5).

    References:
        Ulyanov, Vedaldi & Lempitsky (2016), arXiv:1607.08022.
    """

    def __call__(self, x: Float[Array, "*space channel"]) -> Float[Array, "*space channel"]:
        axes = tuple(range(x.ndim - 1))
        centred = x - jnp.mean(x, axes)
        return centred * jax.lax.rsqrt(jnp.mean(centred**2, axes) + 1e-5)


class InstanceNormBlock(eqx.Module):
    """x + conv(relu(norm(conv(relu(norm(x)))))), the last convolution starting at zero.

    The norm stands before the convolutions and not behind them: what runs past the blocks keeps the amplitude of the
    field, which a normalised stream would lose.

    Args:
        channels: of the field, in and out.
        padding: the rule of each space axis.
        key: random key.

    References:
        He et al. (2016), arXiv:1603.05027, on the order.
    """

    norm: InstanceNorm
    """Before each convolution."""
    conv_in: Convolution
    """The first convolution."""
    conv_out: Convolution
    """The last convolution."""

    def __init__(self, channels: int, *, padding: tuple[Padding, ...], key: Key):
        in_key, out_key = jr.split(key)
        self.norm = InstanceNorm()
        self.conv_in = Convolution(channels, channels, padding=padding, key=in_key)
        self.conv_out = Convolution(channels, channels, padding=padding, gain=0.0, key=out_key)

    def __call__(self, x: Float[Array, "*space channel"]) -> Float[Array, "*space channel"]:
        h = self.conv_in(jax.nn.relu(self.norm(x)))
        return x + self.conv_out(jax.nn.relu(self.norm(h)))


@dataclass(frozen=True)
class TranslationSettings:
    """The size of a `Translation`; the defaults are for fields of 64 × 64 points on two cores.

    Args:
        channels: width of the stem, default 64; every level doubles it.
        n_blocks: residual blocks on the coarsest grid, default 4.
        patch: points an axis gathered by the stem, default 4.
        n_levels: halvings of the grid after the stem, default 0.
        kernel: taps of stem and head along each axis, odd, default 3.
        padding: "periodic", the default, "reflect" or "zero", for all axes or for each.
    """

    channels: int = 64
    n_blocks: int = 4
    patch: int = 4
    n_levels: int = 0
    kernel: int = 3
    padding: Padding | tuple[Padding, ...] = "periodic"


PUBLISHED_TRANSLATION = TranslationSettings(channels=32, n_blocks=6, patch=1, n_levels=2, kernel=7)
"""A stem of 7 × 7, two levels, six blocks: that of Zhu et al. (2017) at half its width."""


class Translation(eqx.Module):
    """The generator of a cycleGAN: stem, levels down, residual blocks, levels up, and a linear head.

    The head has no tanh, which would clip extremes, and the stream from stem to head no norm, which would take away the
    amplitude of each field.

    Args:
        n_channels: of the field, in and out.
        n_space: number of space axes, 1 or 2.
        settings: widths, depths, padding.
        key: random key.

    References:
        Zhu, Park, Isola & Efros (2017), arXiv:1703.10593.

    Examples:
        >>> to_fine = Translation(1, 2, TranslationSettings(), key=key)
        >>> to_fine(y).shape == y.shape
        True
    """

    stem: Convolution
    """The first convolution, of gathered points."""
    shrink: list[Linear]
    """To each next level, finest first."""
    blocks: InstanceNormBlock
    """All residual blocks, stacked along the first axis of every weight."""
    grow: list[Linear]
    """Back from each level, finest first."""
    head: Convolution
    """The last convolution."""
    patch: int = eqx.field(static=True)
    """Points an axis gathered by the stem."""

    def __init__(
        self, n_channels: int, n_space: int, settings: TranslationSettings = TranslationSettings(), *, key: Key
    ):
        rules, kernel = per_axis(settings.padding, n_space), settings.kernel
        cells, quarter = n_channels * settings.patch**n_space, 2**n_space
        widths = [settings.channels * 2**level for level in range(settings.n_levels + 1)]
        stem_key, head_key, block_key, *keys = jr.split(key, 3 + 2 * settings.n_levels)
        levels = range(settings.n_levels)
        self.stem = Convolution(cells, widths[0], padding=rules, kernel=kernel, key=stem_key)
        self.shrink = [Linear(quarter * widths[i], widths[i + 1], key=keys[2 * i]) for i in levels]
        make = eqx.filter_vmap(lambda k: InstanceNormBlock(widths[-1], padding=rules, key=k))
        self.blocks = make(jr.split(block_key, settings.n_blocks))
        self.grow = [Linear(widths[i + 1], quarter * widths[i], key=keys[2 * i + 1]) for i in levels]
        self.head = Convolution(widths[0], cells, padding=rules, kernel=kernel, key=head_key)
        self.patch = settings.patch

    def __call__(self, x: Float[Array, "channel *space"]) -> Float[Array, "channel *space"]:
        h = self.stem(space_to_depth(jnp.moveaxis(x, 0, -1), self.patch))
        for shrink in self.shrink:
            h = shrink(space_to_depth(jax.nn.relu(h), 2))
        stacked, static = eqx.partition(self.blocks, eqx.is_array)
        step = lambda h, block: (eqx.combine(block, static)(h), None)  # noqa: E731
        h, _ = jax.lax.scan(step, h, stacked, unroll=True)  # as in the UNet: quicker on CPUs outside a loop
        for grow in reversed(self.grow):
            h = jax.nn.relu(depth_to_space(grow(h), 2))
        return jnp.moveaxis(depth_to_space(self.head(h), self.patch), -1, 0)


@dataclass(frozen=True)
class CriticSettings:
    """The size of a `PatchCritic`; the defaults see some 40 of 64 points an axis at once.

    Args:
        channels: width of the stem, default 64; every level doubles it.
        patch: points an axis gathered by the stem, default 4.
        n_levels: halvings of the grid after the stem, default 1.
        padding: "periodic", the default, "reflect" or "zero", for all axes or for each.
    """

    channels: int = 64
    patch: int = 4
    n_levels: int = 1
    padding: Padding | tuple[Padding, ...] = "periodic"


class PatchCritic(eqx.Module):
    """One score for every patch of a field: high where it looks like the data.

    It has no norm: with one, fields that are right up to their amplitude would look right.

    Args:
        n_channels: of the field.
        n_space: number of space axes, 1 or 2.
        settings: width, depth, padding.
        gain: of the first scores, default 1.
        key: random key.

    References:
        Isola, Zhu, Zhou & Efros (2017), arXiv:1611.07004, section 3.2.2.

    Examples:
        >>> PatchCritic(1, 2, CriticSettings(), key=key)(x).shape  # (8, 8) for x of shape (1, 64, 64)
    """

    stem: Convolution
    """The first convolution, of gathered points."""
    shrink: list[Linear]
    """To each next level, finest first."""
    head: Convolution
    """To one score a patch."""
    patch: int = eqx.field(static=True)
    """Points an axis gathered by the stem."""

    def __init__(
        self,
        n_channels: int,
        n_space: int,
        settings: CriticSettings = CriticSettings(),
        *,
        gain: float = 1.0,
        key: Key,
    ):
        rules, quarter = per_axis(settings.padding, n_space), 2**n_space
        widths = [settings.channels * 2**level for level in range(settings.n_levels + 1)]
        stem_key, head_key, *keys = jr.split(key, 2 + settings.n_levels)
        self.stem = Convolution(n_channels * settings.patch**n_space, widths[0], padding=rules, key=stem_key)
        self.shrink = [Linear(quarter * widths[i], widths[i + 1], key=k) for i, k in enumerate(keys)]
        self.head = Convolution(widths[-1], 1, padding=rules, gain=gain, key=head_key)
        self.patch = settings.patch

    def __call__(self, x: Float[Array, "channel *space"]) -> Float[Array, "*patches"]:
        h = jax.nn.leaky_relu(self.stem(space_to_depth(jnp.moveaxis(x, 0, -1), self.patch)), LEAK)
        for shrink in self.shrink:
            h = jax.nn.leaky_relu(shrink(space_to_depth(h, 2)), LEAK)
        return self.head(h)[..., 0]
