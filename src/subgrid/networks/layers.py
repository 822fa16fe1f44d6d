"""Layers on channels-last fields, ``(*space, channel)``: the layout in which convolutions are plain matrix products.

Public networks speak ``(channel, *space)`` and turn the axes once at each end.
"""

import functools
import itertools
import math
from collections.abc import Sequence
from typing import Literal, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, Scalar

from subgrid.numerics.noise import standard_normal
from subgrid.types import Key

Padding: TypeAlias = Literal["periodic", "reflect", "zero"]
_PAD_MODES = {"periodic": "wrap", "reflect": "reflect", "zero": "constant"}


def initial_weights(shape: tuple[int, ...], scale: float, *, key: Key) -> Array:
    """scale · N(0, 1) of this shape: the bits of `scale * jr.normal(key, shape)`, of which 0 draws none.

    Numbers are drawn flat, as many as the next power of two, and cut: the random generator takes an eighth of a second
    to compile, and a network has weights of twenty shapes.
    """
    if scale == 0:
        return jnp.zeros(shape)
    n = math.prod(shape)
    return _cut(standard_normal((1 << (n - 1).bit_length(),), key=key), shape, scale)


@functools.partial(jax.jit, static_argnums=1)
def _cut(flat: Float[Array, " n"], shape: tuple[int, ...], scale: Scalar | float) -> Array:
    return scale * flat[: math.prod(shape)].reshape(shape)


class Linear(eqx.Module):
    """x·W + b on the last axis, W ~ N(0, gain²/fan_in)."""

    weight: Float[Array, "fan_in fan_out"]
    bias: Float[Array, " fan_out"]

    def __init__(self, fan_in: int, fan_out: int, *, gain: float = 1.0, key: Key):
        self.weight = initial_weights((fan_in, fan_out), gain / math.sqrt(fan_in), key=key)
        self.bias = jnp.zeros(fan_out)

    def __call__(self, x: Float[Array, "*lead fan_in"]) -> Float[Array, "*lead fan_out"]:
        return x @ self.weight.astype(x.dtype) + self.bias.astype(x.dtype)


class Convolution(eqx.Module):
    """Stride-one convolution with an odd kernel, padded by its own rule on each space axis.

    Computed as shifts and one matrix product: XLA's own convolution has no fast gradient on CPUs inside the loops
    (`lax.scan`) that blocks and training steps run in, while a matrix product is fast everywhere.
    """

    weight: Array
    bias: Float[Array, " fan_out"]
    padding: tuple[Padding, ...] = eqx.field(static=True)

    def __init__(
        self, fan_in: int, fan_out: int, *, padding: tuple[Padding, ...], kernel: int = 3, gain: float = 1.0, key: Key
    ):
        taps = (kernel,) * len(padding)
        scale = gain / math.sqrt(fan_in * math.prod(taps))
        self.weight = initial_weights((*taps, fan_in, fan_out), scale, key=key)
        self.bias = jnp.zeros(fan_out)
        self.padding = padding

    def __call__(self, x: Float[Array, "*space fan_in"]) -> Float[Array, "*space fan_out"]:
        taps = self.weight.shape[: len(self.padding)]
        padded = x
        for axis, (rule, width) in enumerate(zip(self.padding, taps, strict=True)):
            reach = [(width // 2, width // 2) if a == axis else (0, 0) for a in range(x.ndim)]
            padded = jnp.pad(padded, reach, mode=_PAD_MODES[rule])
        offsets = itertools.product(*(range(width) for width in taps))
        windows = [padded[tuple(slice(o, o + n) for o, n in zip(offset, x.shape, strict=False))] for offset in offsets]
        weight = self.weight.reshape(-1, self.weight.shape[-1]).astype(x.dtype)
        return jnp.concatenate(windows, axis=-1) @ weight + self.bias.astype(x.dtype)


class RootMeanSquareNorm(eqx.Module):
    """Unit mean square over space and channels together (Zhang & Sennrich 2019), computed in float32.

    One scale a field: group normalisation made a training step half as long again and learned no faster.
    """

    def __call__(self, x: Float[Array, "*space channel"]) -> Float[Array, "*space channel"]:
        wide = x.astype(jnp.float32)
        return (wide * jax.lax.rsqrt(jnp.mean(wide**2) + 1e-5)).astype(x.dtype)


class ResidualBlock(eqx.Module):
    """x + conv(silu(FiLM(norm(conv(silu(norm(x)))), e))), the last convolution starting at zero.

    The feature-wise scale and shift come from the embedding e of the noise level (Perez et al. 2018).
    """

    norm_in: RootMeanSquareNorm
    conv_in: Convolution
    modulation: Linear
    norm_out: RootMeanSquareNorm
    conv_out: Convolution

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
    """Residual multi-head attention over all space points; the output projection starts at zero."""

    norm: RootMeanSquareNorm
    project_in: Linear
    project_out: Linear
    heads: int = eqx.field(static=True)

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
    """The noise coordinate c_noise through fixed sinusoids and a two-layer perceptron.

    Frequencies are geometric from ½ to 64 radians, which resolves c_noise = ¼ ln σ ∈ [−1.6, 1.3] without aliasing.
    """

    hidden: Linear
    out: Linear
    frequencies: tuple[float, ...] = eqx.field(static=True)

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
    """Gathers each block of `factor` points an axis into channels."""
    n_space = x.ndim - 1
    blocks = [size for n in x.shape[:-1] for size in (n // factor, factor)]
    order = [*range(0, 2 * n_space, 2), *range(1, 2 * n_space, 2), 2 * n_space]
    coarse = [n // factor for n in x.shape[:-1]]
    return x.reshape(*blocks, x.shape[-1]).transpose(order).reshape(*coarse, -1)


def depth_to_space(x: Float[Array, "*coarse deep"], factor: int) -> Float[Array, "*space channel"]:
    """The inverse of `space_to_depth`."""
    n_space = x.ndim - 1
    coarse = x.shape[:-1]
    split = x.reshape(*coarse, *(factor,) * n_space, -1)
    order = [axis for pair in zip(range(n_space), range(n_space, 2 * n_space), strict=True) for axis in pair]
    return split.transpose(*order, 2 * n_space).reshape(*(n * factor for n in coarse), -1)


def per_axis(padding: str | Sequence[str], n_space: int) -> tuple[Padding, ...]:
    """One padding rule an axis, from one rule for all or a sequence."""
    rules = (padding,) * n_space if isinstance(padding, str) else tuple(padding)
    if len(rules) != n_space or not set(rules) <= set(_PAD_MODES):
        raise ValueError(
            f"padding must be one of {sorted(_PAD_MODES)}, or one of them for each of {n_space} axes; got {padding!r}."
        )
    return rules  # pyright: ignore[reportReturnType]
