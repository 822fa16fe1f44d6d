"""The preparations that chains are made of: each knows its way back, and is kept as kind and arrays."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from subgrid.downscaling.preparation.chain import Chain
from subgrid.downscaling.preparation.climatology import ChangeSignal, Climatology
from subgrid.downscaling.preparation.transforms import ChannelTransforms

Phase = Float[Array, " n"] | None
Fields = Float[np.ndarray | Array, "n channel *space"]
"""Steps hand on what they have, of NumPy or JAX."""


class Cells(eqx.Module):
    """The cells that are kept, as a vector; the way back has NaN elsewhere.

    Args:
        kept: (*space).
    """

    kept: Bool[np.ndarray, "*space"]

    def forward(self, x: Fields, phase: Phase) -> Float[np.ndarray, "n channel cell"]:
        return np.asarray(x)[:, :, self.kept]

    def inverse(self, z: Float[np.ndarray, "n channel cell"], phase: Phase) -> Float[np.ndarray, "n channel *space"]:
        whole = np.full((*z.shape[:2], *self.kept.shape), np.nan, np.float32)
        whole[:, :, self.kept] = z
        return whole


class Masked(eqx.Module):
    """0 where fields have no values; the way back has NaN there.

    Args:
        mask: (*space), True where fields have values.
    """

    mask: Bool[np.ndarray, "*space"]

    def forward(self, x: Fields, phase: Phase) -> Float[np.ndarray, "n channel *space"]:
        return np.where(self.mask, x, 0.0).astype(np.float32)

    def inverse(self, z: Fields, phase: Phase) -> Float[np.ndarray, "n channel *space"]:
        return np.where(self.mask, z, np.nan).astype(np.float32)


class Filled(eqx.Module):
    """A value for each channel where fields have none; the way back has NaN there.

    Args:
        mask: (*space), True where fields have values.
        values: (channel,), such as the means of the channels: 0 after they are standardised.
    """

    mask: Bool[np.ndarray, "*space"]
    values: Float[np.ndarray, " channel"]

    def forward(self, x: Fields, phase: Phase) -> Float[np.ndarray, "n channel *space"]:
        along = (slice(None), *([None] * self.mask.ndim))
        return np.where(self.mask, x, self.values[along]).astype(np.float32)

    def inverse(self, z: Fields, phase: Phase) -> Float[np.ndarray, "n channel *space"]:
        return np.where(self.mask, z, np.nan).astype(np.float32)


class Centred(eqx.Module):
    """Departures from a mean field: anomalies of fields without dates.

    Args:
        mean: (channel, *space).
    """

    mean: Float[np.ndarray, "channel *space"]

    def forward(self, x: Fields, phase: Phase) -> Float[np.ndarray, "n channel *space"]:
        return (np.asarray(x) - self.mean).astype(np.float32)

    def inverse(self, z: Fields, phase: Phase) -> Float[np.ndarray, "n channel *space"]:
        return (np.asarray(z) + self.mean).astype(np.float32)


class Bounded(eqx.Module):
    """Nothing on the way in; on the way back values beyond what is possible are taken to the nearest that is.

    A change that is put back knows no bounds, and a transform may know one of two.

    Args:
        lowest: (channel,), −∞ where there is none.
        highest: (channel,), ∞ where there is none.
    """

    lowest: Float[np.ndarray, " channel"]
    highest: Float[np.ndarray, " channel"]

    def forward(self, x: Fields, phase: Phase) -> Fields:
        return x

    def inverse(self, z: Fields, phase: Phase) -> Float[np.ndarray, "n channel *space"]:
        along = (slice(None), *([None] * (z.ndim - 2)))
        return np.clip(np.asarray(z), self.lowest[along], self.highest[along])


class Transformed(eqx.Module):
    """A transform of each channel to a scale on which linear maps and Gaussian noise make sense.

    Args:
        transforms: one a channel.
    """

    transforms: ChannelTransforms

    def forward(self, x: Fields, phase: Phase) -> Float[Array, "n channel *space"]:
        return self.transforms.forward_series(x)

    def inverse(self, z: Fields, phase: Phase) -> Float[Array, "n channel *space"]:
        return self.transforms.inverse_series(z)


class Anomaly(eqx.Module):
    """Anomalies from a smooth day-of-year climatology.

    Args:
        climatology: c(φ).
    """

    climatology: Climatology

    def forward(self, x: Fields, phase: Phase) -> Float[Array, "n channel *space"]:
        return self.climatology.remove(jnp.asarray(x), phase)  # pyright: ignore[reportArgumentType]

    def inverse(self, z: Fields, phase: Phase) -> Float[Array, "n channel *space"]:
        return self.climatology.restore(jnp.asarray(z, jnp.float32), phase)  # pyright: ignore[reportArgumentType]


class Changed(eqx.Module):
    """A model's own change of climate, taken out on the way in and put back on the way out.

    Args:
        signal: on the grid of the fields.
    """

    signal: ChangeSignal

    def forward(self, x: Fields, phase: Phase) -> Float[Array, "n channel *space"]:
        return self.signal.remove(jnp.asarray(x), phase)  # pyright: ignore[reportArgumentType]

    def inverse(self, z: Fields, phase: Phase) -> Float[Array, "n channel *space"]:
        return self.signal.add(jnp.asarray(z), phase)  # pyright: ignore[reportArgumentType]


def expected(
    chain: Chain, phase: Float[np.ndarray, " n"] | None, n: int, shape: tuple[int, ...]
) -> Float[np.ndarray, "n channel *space"]:
    """What 0 stands for, before anomalies were taken: the climatology of the chain, 0 where there is none.

    Args:
        chain: of preparations.
        phase: (n,), of the year; None for fields without dates.
        n: of the fields.
        shape: of one field, (channel, *space).

    Returns:
        The climatology at these times, 0 outside the mask.
    """
    anomaly = chain.find(Anomaly)
    if anomaly is None or phase is None:
        return np.zeros((n, *shape), np.float32)
    return np.nan_to_num(anomaly.climatology.mean(jnp.asarray(phase, jnp.float32)))
