"""Fourier neural operators that are the same map at every resolution.

All layers work on the coefficients of a fixed band of waves, stated in modes. Pointwise activations are evaluated on a
grid of their own, several times finer than the band, and cut back to it: the grid of the input is met at the first and
the last step alone. What lies above the band passes by a local branch.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Scalar

from subgrid.networks.band import from_band, to_band, wave_table, without_nyquist
from subgrid.networks.extension import Extension
from subgrid.networks.layers import NoiseEmbedding, initial_weights
from subgrid.types import Key


@dataclass(frozen=True)
class FNOSettings:
    """The size of an `FNO`; the defaults are for 1-D fields of some ten scales of motion.

    Args:
        width: channels of every layer, default 64.
        n_layers: default 4; each is a spectral product, a product of channels and an activation.
        n_modes: M, the largest wavenumber along each axis that the layers see, default 16; grids need 2M + 1 points.
        oversampling: points of the grid of activations over the coefficients of the band, default 4: the
            activation folds 2e-5 of itself back into the band where features are white, 5e-9 where they fall as 1/k
            (measured; twice: 6e-3 and 9e-5).
        extension: how far the domain is continued before it is taken as periodic, as a fraction of each side: 0, the
            default, for periodic fields, 1 for a full mirror image. A fraction, not points: it is the same at any grid.
        coordinates: whether the network is shown where a point lies, default not: without, a translated periodic input
            gives a translated output.
        embedding: width of the embedding of time, default 64.
    """

    width: int = 64
    n_layers: int = 4
    n_modes: int = 16
    oversampling: int = 4
    extension: float = 0.0
    coordinates: bool = False
    embedding: int = 64

    def __post_init__(self):
        if min(self.width, self.n_layers, self.n_modes, self.oversampling, self.embedding) < 1:
            raise ValueError(f"width, n_layers, n_modes, oversampling and embedding are at least 1, got {self}.")
        if not 0 <= self.extension <= 1:
            raise ValueError(f"extension is a fraction of the domain, from 0 to 1, got {self.extension}.")


class Channels(eqx.Module):
    """The same matrix at every point, W v, and a constant field b: on coefficients, b is added to the mean alone.

    Args:
        fan_in: channels of the input.
        fan_out: channels of the output.
        gain: 1 by default; with 0 the weights start at zero.
        key: random key.
    """

    weight: Float[Array, "fan_out fan_in"]
    """W, N(0, gain²/fan_in) at first."""
    bias: Float[Array, " fan_out"]
    """b, 0 at first."""

    def __init__(self, fan_in: int, fan_out: int, *, gain: float = 1.0, key: Key):
        self.weight = initial_weights((fan_out, fan_in), gain / math.sqrt(fan_in), key=key)
        self.bias = jnp.zeros(fan_out)

    def __call__(self, x: Float[Array, "fan_in *coefficient"]) -> Float[Array, "fan_out *coefficient"]:
        mixed = jnp.tensordot(self.weight.astype(x.dtype), x, axes=1)
        return add_constant(mixed, self.bias.astype(x.dtype))


class SpectralProduct(eqx.Module):
    """K v: every wave of the band multiplied by a complex matrix of channels of its own.

    In one dimension (a − ib)′ = W_k (a − ib) for the coefficients a of cosines and b of sines. In two, the waves
    e^{i(kx + ly)} and e^{i(−kx + ly)} have a matrix each, made of the four products of cosines and sines.

    Args:
        channels: of input and output.
        n_modes: M of the band.
        n_space: number of space axes, 1 or 2.
        key: random key.

    References:
        Li et al. (2021), arXiv:2010.08895.
    """

    weight: Array
    """Real and imaginary parts, (2, waves of one k, *(M + 1), channels, channels), N(0, 1/2·channels) at first."""

    def __init__(self, channels: int, n_modes: int, n_space: int, *, key: Key):
        shape = (2, n_space, *(n_modes + 1,) * n_space, channels, channels)
        self.weight = initial_weights(shape, 1 / math.sqrt(2 * channels), key=key)

    def __call__(self, x: Float[Array, "channel *coefficient"]) -> Float[Array, "channel *coefficient"]:
        real, imaginary = self.weight.astype(x.dtype)
        if x.ndim == 2:
            cosines, sines = jnp.split(x, 2, axis=1)
            return jnp.concatenate(_rotate(cosines, sines, real[0], imaginary[0]), axis=1)
        (cc, cs), (sc, ss) = (jnp.split(half, 2, axis=2) for half in jnp.split(x, 2, axis=1))
        p, q = _rotate(cc - ss, cs + sc, real[0], imaginary[0])
        r, s = _rotate(cc + ss, cs - sc, real[1], imaginary[1])
        top = jnp.concatenate([p + r, q + s], axis=2)
        bottom = jnp.concatenate([q - s, r - p], axis=2)
        return jnp.concatenate([top, bottom], axis=1) / 2


class SpectralLayer(eqx.Module):
    """v + P σ((1 + γ(t)) (K + W) v̂ + β(t)), v̂ = v over its root mean square, P the cut to the band, σ the SiLU.

    Args:
        channels: of the field, in and out.
        n_modes: M of the band.
        n_space: number of space axes.
        embedding: width of the embedding of time, from which γ and β are made.
        key: random key.
    """

    spectral: SpectralProduct
    """K."""
    local: Channels
    """W, with the bias."""
    film: Channels
    """From the embedding to γ and β."""

    def __init__(self, channels: int, n_modes: int, n_space: int, embedding: int, *, key: Key):
        keys = jr.split(key, 3)
        self.spectral = SpectralProduct(channels, n_modes, n_space, key=keys[0])
        self.local = Channels(channels, channels, key=keys[1])
        self.film = Channels(embedding, 2 * channels, gain=0.5, key=keys[2])

    def __call__(
        self,
        v: Float[Array, "channel *coefficient"],
        embedding: Float[Array, " e"],
        waves: Float[Array, "point coefficient"],
    ) -> Float[Array, "channel *coefficient"]:
        unit = v * jax.lax.rsqrt(jnp.sum(v**2) / len(v) + 1e-5)
        scale, shift = jnp.split(self.film(embedding), 2)
        mixed = self.spectral(unit) + self.local(unit)
        return v + activation(add_constant(per_channel(1 + scale, mixed) * mixed, shift), waves)


class FNO(eqx.Module):
    """lift → layers → projection on the coefficients of the band, and a local branch for what lies above it.

    y = project(h) + g(h, t)·(x − P x): the second term multiplies what the band does not hold, at each point, by
    matrices made of the features h of the band. Both ends start at zero, so that an untrained network is silent.

    Called with a field on any grid and a time, which is embedded as it is. When called, it raises `ValueError` for a
    grid that does not hold the band, or whose points the extension does not divide.

    Args:
        in_channels: of the field, with all that is concatenated to it.
        out_channels: of the result.
        n_space: number of space axes, 1 or 2.
        settings: width, depth, band, extension and coordinates.
        key: random key.

    References:
        Li et al. (2021), arXiv:2010.08895; Bartolucci et al. (2023), arXiv:2305.19913, on aliasing.

    Examples:
        >>> network = FNO(1, 1, 1, FNOSettings(n_modes=16), key=key)
        >>> network(x_of_64_points, time).shape, network(x_of_1024_points, time).shape
    """

    embed: NoiseEmbedding
    """Of time."""
    lift: Channels
    """To the width of the layers."""
    layers: SpectralLayer
    """All layers, stacked along the first axis of every weight."""
    hidden: Channels
    """Before the last activation."""
    project: Channels
    """To the output, starting at zero."""
    gate: Channels
    """From the features to the matrices of the local branch, starting at zero."""
    settings: FNOSettings = eqx.field(static=True)
    """Its size."""

    def __init__(
        self, in_channels: int, out_channels: int, n_space: int, settings: FNOSettings = FNOSettings(), *, key: Key
    ):
        require_dimension(n_space)
        width, keys = settings.width, jr.split(key, 6)
        extra = Extension(settings.extension).n_coordinates(n_space) if settings.coordinates else 0
        make = eqx.filter_vmap(lambda k: SpectralLayer(width, settings.n_modes, n_space, settings.embedding, key=k))
        self.embed = NoiseEmbedding(settings.embedding, key=keys[0])
        self.lift = Channels(in_channels + extra, width, key=keys[1])
        self.layers = make(jr.split(keys[2], settings.n_layers))
        self.hidden = Channels(width, 2 * width, key=keys[3])
        self.project = Channels(2 * width, out_channels, gain=0.0, key=keys[4])
        self.gate = Channels(2 * width, out_channels * in_channels, gain=0.0, key=keys[5])
        self.settings = settings

    def __call__(self, x: Float[Array, "channel *space"], time: Scalar) -> Float[Array, "out *space"]:
        settings, extension = self.settings, Extension(self.settings.extension)
        known: list[Array] = []
        if settings.coordinates:
            known.append(to_band(extension.coordinates(x.shape[1:], x.dtype), settings.n_modes))

        def ends(shown: Array) -> tuple[Array, Array]:
            features = self.features(jnp.concatenate([shown, *known]), time)
            return self.project(features), self.gate(features)

        return on_any_grid(x, ends, settings.n_modes, extension)

    def features(self, x: Float[Array, "channel *coefficient"], time: Scalar) -> Float[Array, "feature *coefficient"]:
        """The last hidden layer, on the coefficients of the band.

        Args:
            x: coefficients of the input.
            time: as it is embedded.

        Returns:
            Coefficients of twice the width.
        """
        embedding = self.embed(time).astype(x.dtype)
        waves = activation_waves(self.settings.n_modes, self.settings.oversampling, x.dtype)
        stacked, static = eqx.partition(self.layers, eqx.is_array)
        layer = lambda v, weights: (eqx.combine(weights, static)(v, embedding, waves), None)  # noqa: E731
        v, _ = jax.lax.scan(layer, self.lift(x), stacked)
        return activation(self.hidden(v), waves)


def on_any_grid(
    x: Float[Array, "channel *space"],
    ends: Callable[[Array], tuple[Array, Array]],
    n_modes: int,
    extension: Extension,
) -> Float[Array, "out *space"]:
    """P y + g·(x − P x) on the grid of x, from functions of the band alone.

    Args:
        x: a field.
        ends: from the coefficients of P x to those of P y, and to those of g, a matrix for each point row by row.
        n_modes: M of the band.
        extension: of the domain.

    Returns:
        The field y, without Nyquist waves.

    Raises:
        ValueError: for a grid that does not hold the band, or whose points the extension does not divide.
    """
    wide = extension.extend(x)
    shape = wide.shape[1:]
    known = to_band(wide, n_modes)
    y, gates = ends(known)
    above = wide - from_band(known, shape)
    matrices = from_band(gates, shape).reshape(len(y), len(x), *shape)
    passed = jnp.sum(matrices * above, axis=1)
    return extension.restrict(without_nyquist(from_band(y, shape) + passed), x.shape[1:])


def activation(
    coefficients: Float[Array, "channel *coefficient"], waves: Float[Array, "point coefficient"]
) -> Float[Array, "channel *coefficient"]:
    """P silu(v): the activation on the grid of the waves, cut back to their band.

    Args:
        coefficients: of v.
        waves: of `activation_waves`; the same along each axis.

    Returns:
        Coefficients of the same band.
    """
    values = jax.nn.silu(_along_axes(coefficients, waves))
    return _along_axes(values, waves.T / len(waves))


def activation_waves(n_modes: int, oversampling: int, dtype: DTypeLike) -> Float[Array, "point coefficient"]:
    """The waves of a band on the grid of its activations.

    Args:
        n_modes: M of the band.
        oversampling: points over the 2M + 1 coefficients.
        dtype: of the arithmetic.

    Returns:
        A table, see `wave_table`.
    """
    return jnp.asarray(wave_table(oversampling * (2 * n_modes + 1), n_modes), dtype)


def add_constant(
    x: Float[Array, "channel *coefficient"], constant: Float[Array, " channel"]
) -> Float[Array, "channel *coefficient"]:
    """v + b on coefficients: the mean alone changes.

    Args:
        x: coefficients of v, or one number a channel.
        constant: b of each channel.

    Returns:
        Coefficients of the sum.
    """
    return x.at[(slice(None), *(0,) * (x.ndim - 1))].add(constant)


def per_channel(
    factor: Float[Array, " channel"], x: Float[Array, "channel *coefficient"]
) -> Float[Array, "channel *#one"]:
    """A number for each channel with the axes that a field has.

    Args:
        factor: one a channel.
        x: of which it is to be a factor.

    Returns:
        The factors, with an axis of length 1 for each other axis of x.
    """
    return factor.reshape(-1, *(1,) * (x.ndim - 1))


def require_dimension(n_space: int) -> None:
    """Passes the numbers of space axes that spectral layers are written for.

    Args:
        n_space: number of space axes.

    Raises:
        ValueError: for any but 1 and 2.
    """
    if n_space not in (1, 2):
        raise ValueError(f"n_space must be 1 or 2, got {n_space}.")


def _rotate(
    a: Float[Array, "channel *mode"], b: Float[Array, "channel *mode"], real: Array, imaginary: Array
) -> tuple[Float[Array, "channel *mode"], Float[Array, "channel *mode"]]:
    """a′ − ib′ = W (a − ib), mode by mode."""
    times = lambda w, v: jnp.moveaxis(jnp.einsum("...io,i...->...o", w, v), -1, 0)  # noqa: E731
    return times(real, a) + times(imaginary, b), times(real, b) - times(imaginary, a)


def _along_axes(x: Float[Array, "channel *axis"], table: Float[Array, "new old"]) -> Float[Array, "channel *other"]:
    """The product with one matrix along each space axis; axes turn round once, for each product to be of rows."""
    if x.ndim == 2:
        return x @ table.T
    return jnp.swapaxes(jnp.swapaxes(x @ table.T, 1, 2) @ table.T, 1, 2)
