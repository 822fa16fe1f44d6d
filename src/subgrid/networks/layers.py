"""Layers on channels-last fields, (*space, channel): the layout in which convolutions are plain matrix products.

Public networks take (channel, *space) and turn the axes once at each end.
"""

import functools
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, Scalar

from subgrid.networks.correlation import Padding, correlation
from subgrid.numerics.noise import standard_normal
from subgrid.types import Key


def initial_weights(shape: tuple[int, ...], scale: float, *, key: Key) -> Array:
    """Random weights, scale · N(0, 1): the bits of `scale * jr.normal(key, shape)`.

    Numbers are drawn flat, as many as the next power of two, and cut: the random generator takes an eighth of a second
    to compile, and a network has weights of twenty shapes. A scale of 0 draws none.

    Args:
        shape: of the weights.
        scale: their standard deviation.
        key: random key.

    Returns:
        Weights of this shape, float32.

    Examples:
        >>> initial_weights((3, 3, 64, 64), 0.04, key=key)
    """
    if scale == 0:
        return jnp.zeros(shape)
    n = math.prod(shape)
    return _cut(standard_normal((1 << (n - 1).bit_length(),), key=key), shape, scale)


@functools.partial(jax.jit, static_argnums=1)
def _cut(flat: Float[Array, " n"], shape: tuple[int, ...], scale: Scalar | float) -> Array:
    return scale * flat[: math.prod(shape)].reshape(shape)


class Linear(eqx.Module):
    """x·W + b on the last axis, W ~ N(0, gain²/fan_in) and b = 0 at first.

    Args:
        fan_in: channels of the input.
        fan_out: channels of the output.
        gain: 1 by default; with 0 the weights start at zero.
        key: random key.

    Examples:
        >>> Linear(64, 128, key=key)(x).shape  # (..., 128)
    """

    weight: Float[Array, "fan_in fan_out"]
    """W."""
    bias: Float[Array, " fan_out"]
    """b."""

    def __init__(self, fan_in: int, fan_out: int, *, gain: float = 1.0, key: Key):
        self.weight = initial_weights((fan_in, fan_out), gain / math.sqrt(fan_in), key=key)
        self.bias = jnp.zeros(fan_out)

    def __call__(self, x: Float[Array, "*lead fan_in"]) -> Float[Array, "*lead fan_out"]:
        return x @ self.weight.astype(x.dtype) + self.bias.astype(x.dtype)


class Convolution(eqx.Module):
    """Stride-one convolution with an odd kernel, padded by its own rule on each space axis.

    Weights start as N(0, gain²/(fan_in·taps)), the bias at 0. Computed as shifts and one matrix product
    (`correlation`): XLA's own convolution has no fast gradient on CPUs inside the loops (`lax.scan`) that blocks and
    training steps run in, while a matrix product is fast everywhere.

    Args:
        fan_in: channels of the input.
        fan_out: channels of the output.
        padding: the rule of each space axis, "periodic", "reflect" or "zero"; as many as there are space axes.
        kernel: taps along each axis, odd, 3 by default.
        gain: 1 by default; with 0 the weights start at zero.
        key: random key.

    Examples:
        >>> Convolution(16, 32, padding=("reflect", "periodic"), key=key)(x).shape  # (64, 64, 32)
    """

    weight: Array
    """The kernel, (*taps, fan_in, fan_out)."""
    bias: Float[Array, " fan_out"]
    """One number a channel of the output."""
    padding: tuple[Padding, ...] = eqx.field(static=True)
    """The rule of each space axis."""

    def __init__(
        self, fan_in: int, fan_out: int, *, padding: tuple[Padding, ...], kernel: int = 3, gain: float = 1.0, key: Key
    ):
        taps = (kernel,) * len(padding)
        scale = gain / math.sqrt(fan_in * math.prod(taps))
        self.weight = initial_weights((*taps, fan_in, fan_out), scale, key=key)
        self.bias = jnp.zeros(fan_out)
        self.padding = padding

    def __call__(self, x: Float[Array, "*space fan_in"]) -> Float[Array, "*space fan_out"]:
        return correlation(x, self.weight.astype(x.dtype), self.padding) + self.bias.astype(x.dtype)


class RootMeanSquareNorm(eqx.Module):
    """Unit mean square over space and channels together, x/√(mean x² + 1e-5), computed in float32.

    One scale a field: group normalisation made a training step half as long again and learned no faster.

    References:
        Zhang & Sennrich (2019), arXiv:1910.07467.
    """

    def __call__(self, x: Float[Array, "*space channel"]) -> Float[Array, "*space channel"]:
        wide = x.astype(jnp.float32)
        return (wide * jax.lax.rsqrt(jnp.mean(wide**2) + 1e-5)).astype(x.dtype)


class ResidualBlock(eqx.Module):
    """x + conv(silu(FiLM(norm(conv(silu(norm(x)))), e))), the last convolution starting at zero.

    FiLM scales and shifts each channel by numbers made from the embedding e of the noise level.

    Args:
        channels: of the field, in and out.
        embedding: width of e.
        padding: the rule of each space axis.
        key: random key.

    References:
        Perez et al. (2018), arXiv:1709.07871.
    """

    norm_in: RootMeanSquareNorm
    """Before the first convolution."""
    conv_in: Convolution
    """The first convolution."""
    modulation: Linear
    """From the embedding to a scale and a shift a channel."""
    norm_out: RootMeanSquareNorm
    """Before the modulation."""
    conv_out: Convolution
    """The last convolution."""

    def __init__(self, channels: int, embedding: int, *, padding: tuple[Padding, ...], key: Key):
        in_key, out_key, film_key = jr.split(key, 3)
        self.norm_in, self.norm_out = RootMeanSquareNorm(), RootMeanSquareNorm()
        self.conv_in = Convolution(channels, channels, padding=padding, key=in_key)
        self.conv_out = Convolution(channels, channels, padding=padding, gain=0.0, key=out_key)
        self.modulation = Linear(embedding, 2 * channels, key=film_key)

    def __call__(
        self, x: Float[Array, "*space channel"], embedding: Float[Array, " embedding"]
    ) -> Float[Array, "*space channel"]:
        scale, shift = jnp.split(self.modulation(embedding), 2)
        h = self.conv_in(jax.nn.silu(self.norm_in(x)))
        h = self.norm_out(h) * (1 + scale) + shift
        return x + self.conv_out(jax.nn.silu(h))


class SelfAttention(eqx.Module):
    """Residual multi-head attention over all space points; the output projection starts at zero.

    Args:
        channels: of the field, in and out.
        heads: among which the channels are divided, 4 by default.
        key: random key.

    Raises:
        ValueError: if the heads do not divide the channels.

    References:
        Vaswani et al. (2017), arXiv:1706.03762.
    """

    norm: RootMeanSquareNorm
    """Before the projection."""
    project_in: Linear
    """To queries, keys and values."""
    project_out: Linear
    """From the attended values."""
    heads: int = eqx.field(static=True)
    """Among which the channels are divided."""

    def __init__(self, channels: int, *, heads: int = 4, key: Key):
        if channels % heads:
            raise ValueError(f"{channels} channels cannot be divided among {heads} attention heads.")
        in_key, out_key = jr.split(key)
        self.norm, self.heads = RootMeanSquareNorm(), heads
        self.project_in = Linear(channels, 3 * channels, key=in_key)
        self.project_out = Linear(channels, channels, gain=0.0, key=out_key)

    def __call__(self, x: Float[Array, "*space channel"]) -> Float[Array, "*space channel"]:
        channels = x.shape[-1]
        projected = self.project_in(self.norm(x)).reshape(-1, 3, self.heads, channels // self.heads)
        query, key, value = projected[:, 0], projected[:, 1], projected[:, 2]
        attended = jax.nn.dot_product_attention(query[None], key[None], value[None])[0]
        return x + self.project_out(attended.reshape(x.shape))


class NoiseEmbedding(eqx.Module):
    """An embedding of the noise coordinate c_noise, through fixed sinusoids and a two-layer perceptron.

    Frequencies are geometric from ½ to 64 radians, which resolves c_noise = ¼ ln σ ∈ [−1.6, 1.3] without aliasing.

    Args:
        width: of the embedding.
        n_frequencies: each gives a cosine and a sine; 32 by default, at least 2.
        key: random key.

    Examples:
        >>> NoiseEmbedding(128, key=key)(jnp.log(sigma) / 4).shape
        (128,)
    """

    hidden: Linear
    """The first layer."""
    out: Linear
    """The second layer."""
    frequencies: tuple[float, ...] = eqx.field(static=True)
    """In radians a unit of c_noise, ascending."""

    def __init__(self, width: int, *, n_frequencies: int = 32, key: Key):
        hidden_key, out_key = jr.split(key)
        ratio = (64.0 / 0.5) ** (1 / (n_frequencies - 1))
        self.frequencies = tuple(0.5 * ratio**i for i in range(n_frequencies))
        self.hidden = Linear(2 * n_frequencies, width, key=hidden_key)
        self.out = Linear(width, width, key=out_key)

    def __call__(self, noise: Scalar) -> Float[Array, " width"]:
        phase = noise * jnp.asarray(self.frequencies)
        waves = jnp.concatenate([jnp.cos(phase), jnp.sin(phase)])
        return jax.nn.silu(self.out(jax.nn.silu(self.hidden(waves))))


def space_to_depth(x: Float[Array, "*space channel"], factor: int) -> Float[Array, "*coarse deep"]:
    """A field with each block of `factor` points an axis gathered into channels.

    Args:
        x: the field, channels last.
        factor: points of a block along each axis, a divisor of every space axis.

    Returns:
        The coarse field, channels · factor^n_space deep.

    Examples:
        >>> space_to_depth(x, 4).shape  # (16, 16, 32) for x of shape (64, 64, 2)
    """
    n_space = x.ndim - 1
    blocks = [size for n in x.shape[:-1] for size in (n // factor, factor)]
    order = [*range(0, 2 * n_space, 2), *range(1, 2 * n_space, 2), 2 * n_space]
    coarse = [n // factor for n in x.shape[:-1]]
    return x.reshape(*blocks, x.shape[-1]).transpose(order).reshape(*coarse, -1)


def depth_to_space(x: Float[Array, "*coarse deep"], factor: int) -> Float[Array, "*space channel"]:
    """A field with its channels scattered over blocks of points: the inverse of `space_to_depth`.

    Args:
        x: the coarse field, channels last, a multiple of factor^n_space of them.
        factor: points of a block along each axis.

    Returns:
        The fine field.

    Examples:
        >>> depth_to_space(space_to_depth(x, 4), 4)  # x
    """
    n_space = x.ndim - 1
    coarse = x.shape[:-1]
    split = x.reshape(*coarse, *(factor,) * n_space, -1)
    order = [axis for pair in zip(range(n_space), range(n_space, 2 * n_space), strict=True) for axis in pair]
    return split.transpose(*order, 2 * n_space).reshape(*(n * factor for n in coarse), -1)
