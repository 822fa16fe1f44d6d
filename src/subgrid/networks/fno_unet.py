"""A UNet whose levels are bands: going down cuts coefficients, going up widens them by zeros."""

from dataclasses import dataclass

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, Scalar

from subgrid.networks.band import cut, widen
from subgrid.networks.extension import Extension
from subgrid.networks.fno import Channels, SpectralLayer, activation, activation_waves, on_any_grid, require_dimension
from subgrid.networks.layers import NoiseEmbedding
from subgrid.types import Key


@dataclass(frozen=True)
class FNOUNetSettings:
    """The size of an `FNOUNet`; the defaults are for 32 × 32 fields.

    Args:
        n_modes: M of each level, falling, default (15, 7, 3): the grid of the data, a half and a quarter of it.
        widths: channels of each level, default (32, 64, 64): what is left out of the band may go into channels.
        n_layers: of each level, on the way down and on the way up; default 1.
        oversampling: as of `FNOSettings`, default 4.
        extension: as of `FNOSettings`, default 0.
        embedding: width of the embedding of time, default 64.

    Raises:
        ValueError: for levels whose bands do not fall, or numbers of levels that differ.
    """

    n_modes: tuple[int, ...] = (15, 7, 3)
    widths: tuple[int, ...] = (32, 64, 64)
    n_layers: int = 1
    oversampling: int = 4
    extension: float = 0.0
    embedding: int = 64

    def __post_init__(self):
        if len(self.n_modes) != len(self.widths) or not self.widths:
            raise ValueError(f"n_modes and widths need one number a level, got {self.n_modes} and {self.widths}.")
        if any(fine <= coarse for fine, coarse in zip(self.n_modes, self.n_modes[1:], strict=False)):
            raise ValueError(f"n_modes must fall from level to level, got {self.n_modes}.")
        if min(*self.n_modes, *self.widths, self.n_layers, self.oversampling) < 1:
            raise ValueError(f"every level needs a mode, a channel and a layer, got {self}.")


class FNOUNet(eqx.Module):
    """Spectral layers on bands that narrow and widen again, with the features of the way down joined on the way up.

    Called as an `FNO` is, with a field on any grid that holds its widest band; what lies above that band is passed by
    the local branch of `FNO`. When called, it raises `ValueError` for a grid that does not hold the band.

    Args:
        in_channels: of the field, with all that is concatenated to it.
        out_channels: of the result.
        n_space: number of space axes, 1 or 2.
        settings: bands, widths and depth.
        key: random key.

    References:
        Rahman, Ross & Azizzadenesheli (2022), arXiv:2204.11127.

    Examples:
        >>> network = FNOUNet(1, 1, 2, FNOUNetSettings(n_modes=(15, 7), widths=(32, 64)), key=key)
        >>> network(x_32, time).shape, network(x_128, time).shape
    """

    embed: NoiseEmbedding
    """Of time."""
    lift: Channels
    """To the width of the first level."""
    down: list[list[SpectralLayer]]
    """Layers of each level, widest band first."""
    narrow: list[Channels]
    """From each level to the next."""
    grow: list[Channels]
    """From the next level, joined with what was kept, back to each."""
    up: list[list[SpectralLayer]]
    """Layers of each level but the last, on the way up."""
    project: Channels
    """To the output, starting at zero."""
    gate: Channels
    """To the matrices of the local branch, starting at zero."""
    settings: FNOUNetSettings = eqx.field(static=True)
    """Its size."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        n_space: int,
        settings: FNOUNetSettings = FNOUNetSettings(),
        *,
        key: Key,
    ):
        require_dimension(n_space)
        widths, last = settings.widths, len(settings.widths) - 1
        keys = iter(jr.split(key, 4 + len(widths) * (2 * settings.n_layers + 2)))

        def layers(level: int) -> list[SpectralLayer]:
            make = lambda k: SpectralLayer(widths[level], settings.n_modes[level], n_space, settings.embedding, key=k)  # noqa: E731
            return [make(next(keys)) for _ in range(settings.n_layers)]

        self.embed = NoiseEmbedding(settings.embedding, key=next(keys))
        self.lift = Channels(in_channels, widths[0], key=next(keys))
        self.down = [layers(level) for level in range(last + 1)]
        self.narrow = [Channels(widths[i], widths[i + 1], key=next(keys)) for i in range(last)]
        self.grow = [Channels(widths[i + 1] + widths[i], widths[i], key=next(keys)) for i in range(last)]
        self.up = [layers(level) for level in range(last)]
        self.project = Channels(widths[0], out_channels, gain=0.0, key=next(keys))
        self.gate = Channels(widths[0], out_channels * in_channels, gain=0.0, key=next(keys))
        self.settings = settings

    def __call__(self, x: Float[Array, "channel *space"], time: Scalar) -> Float[Array, "out *space"]:
        def ends(shown: Array) -> tuple[Array, Array]:
            features = self.features(shown, time)
            return self.project(features), self.gate(features)

        return on_any_grid(x, ends, self.settings.n_modes[0], Extension(self.settings.extension))

    def features(self, x: Float[Array, "channel *coefficient"], time: Scalar) -> Float[Array, "feature *coefficient"]:
        """The last hidden layer, on the coefficients of the widest band.

        Args:
            x: coefficients of the input.
            time: as it is embedded.

        Returns:
            Coefficients, as many channels as the first level has.
        """
        settings, embedding = self.settings, self.embed(time).astype(x.dtype)
        waves = [activation_waves(m, settings.oversampling, x.dtype) for m in settings.n_modes]
        v, kept = self.lift(x), []
        for level, layers in enumerate(self.down):
            for layer in layers:
                v = layer(v, embedding, waves[level])
            if level < len(self.narrow):
                kept.append(v)
                v = cut(self.narrow[level](v), settings.n_modes[level + 1])
        for level in reversed(range(len(self.up))):
            joined = jnp.concatenate([widen(v, settings.n_modes[level]), kept[level]])
            v = self.grow[level](joined)
            for layer in self.up[level]:
                v = layer(v, embedding, waves[level])
        return activation(v, waves[0])
