"""What a refined Gaussian is trained on, and what it will be conditioned on."""

from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from subgrid.downscaling.preparation.transforms import ChannelTransforms, is_bounded, is_censored
from subgrid.types import Coarsening


@dataclass(frozen=True)
class Conditions:
    """What the prior will be conditioned on, by which it is chosen.

    Args:
        operator: C′, of fields on their own grid.
        rows: (kept, cell), the same as a dense matrix on the cells of the mask, of one channel.
        distances: (cell, cell), between the cells of the mask; None where they are too many for a taper.
        climatology: (n, channel, *space), of every training field: what 0 stands for; 0 of fields without dates.
        transforms: of the channels: the spread of censored ones grows with what is expected, the marginals of bounded
            ones are fitted.
    """

    operator: Coarsening
    rows: Float[np.ndarray, "kept cell"]
    distances: Float[np.ndarray, "cell cell"] | None
    climatology: Float[np.ndarray, "n channel *space"]
    transforms: ChannelTransforms

    def coarsen(self, anomalies: Float[np.ndarray, "n channel *space"]) -> Float[np.ndarray, "n channel *coarse"]:
        """C′ of fields that are 0 outside the mask."""
        return np.asarray(coarsen_each(self.operator, jnp.asarray(anomalies, jnp.float32)))

    @property
    def censored(self) -> tuple[bool, ...]:
        """Channels whose spread grows with what is expected."""
        return is_censored(self.transforms)

    @property
    def bounded(self) -> tuple[bool, ...]:
        """Channels whose marginals are fitted."""
        return is_bounded(self.transforms)


@dataclass(frozen=True)
class TrainingAnomalies:
    """What the prior is trained on.

    Args:
        values: (n, channel, *space), of the fine fields, 0 outside the mask.
        groups: (n,), a label a sample, left out as a whole: the season year, or the stretch of the archive.
        mask: (*space), 1 where fields have values.
        predictors: (p, *space), fixed fields for the network, which always sees the mask; default none.
    """

    values: Float[np.ndarray, "n channel *space"]
    groups: np.ndarray
    mask: Float[np.ndarray, "*space"]
    predictors: Float[np.ndarray, "p *space"] | None = None


@eqx.filter_jit
def coarsen_each(operator: Coarsening, fields: Float[Array, "n channel *space"]) -> Float[Array, "n channel *coarse"]:
    """C′ of every field, some at a time.

    Args:
        operator: C′.
        fields: (n, channel, *space).

    Returns:
        Coarse fields (n, channel, *coarse).
    """
    return jax.lax.map(operator, fields, batch_size=min(64, len(fields)))
