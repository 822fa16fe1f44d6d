"""The one contract behind which every bias adjustment stands: a whole series in, a series of the same shape out.

A debiaser `T(y) -> y′` of one field satisfies it through `Fieldwise`; methods that rank a value within its series
(quantile delta mapping, dOTC: see `bias_adjustment`) satisfy it as they are and cannot be had field by field.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from subgrid.downscaling.preparation.transforms import ChannelTransforms
from subgrid.types import Debiaser


@runtime_checkable
class SeriesDebiaser(Protocol):
    """Moves the distribution of a series of biased coarse fields; made by a `fit_…` function."""

    def adjust(self, fields: Float[np.ndarray, "time *coarse"]) -> Float[np.ndarray, "time *coarse"]: ...


@dataclass(frozen=True)
class Fieldwise:
    """A debiaser of one field, applied to each of a series, `batch_size` at a time.

    Examples:
        >>> series = Fieldwise(fit_quantile_mapping(coarse, target))
        >>> debiased = series.adjust(coarse)
    """

    debiaser: Debiaser
    batch_size: int = 256

    def adjust(self, fields: Float[np.ndarray, "time *coarse"]) -> Float[np.ndarray, "time *coarse"]:
        n = len(fields)
        whole = np.arange(-(-n // self.batch_size) * self.batch_size) % n  # a few shapes, a few compilations
        return np.asarray(_move(self.debiaser, jnp.asarray(fields[whole], jnp.float32), self.batch_size))[:n]


@eqx.filter_jit
def _move(debiaser: Debiaser, fields: Float[Array, "n *coarse"], batch_size: int) -> Float[Array, "n *coarse"]:
    return jax.lax.map(debiaser, fields, batch_size=batch_size)


@dataclass(frozen=True)
class Weakened:
    """y + s (T(y) − y): an adjustment of which a part is made, for methods that have no strength of their own."""

    debiaser: SeriesDebiaser
    strength: float

    def adjust(self, fields: Float[np.ndarray, "time *coarse"]) -> Float[np.ndarray, "time *coarse"]:
        return (fields + self.strength * (self.debiaser.adjust(fields) - fields)).astype(np.float32)


@dataclass(frozen=True)
class InTransformedSpace:
    """g⁻¹ ∘ T ∘ g: an adjustment fitted on transformed fields, applied to fields in physical units.

    Precipitation so adjusted is never negative, whatever T does.
    """

    transforms: ChannelTransforms
    debiaser: SeriesDebiaser

    def adjust(self, fields: Float[np.ndarray, "time channel *coarse"]) -> Float[np.ndarray, "time channel *coarse"]:
        moved = self.debiaser.adjust(np.asarray(self.transforms.forward_series(fields)))
        return np.asarray(self.transforms.inverse_series(moved))
