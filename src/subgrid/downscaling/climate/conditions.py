"""What a climate prior is trained on, and what it will be conditioned on."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from subgrid.downscaling.preparation.transforms import ChannelTransforms, is_bounded, is_censored
from subgrid.types import Coarsening


@dataclass(frozen=True)
class Conditions:
    """What the prior will be conditioned on, by which it is chosen.

    Args:
        operator: C′, of fields on their own grid.
        rows: (kept, cell), the same as a dense matrix on the cells of the mask, of one channel.
        distances: (cell, cell), between the cells of the mask; None where they are too many for a taper.
        climatology: (n, channel, y, x), of every training field.
        transforms: of the channels: the spread of censored ones grows with what is expected, the marginals of bounded
            ones are fitted.
    """

    operator: Coarsening
    rows: Float[np.ndarray, "kept cell"]
    distances: Float[np.ndarray, "cell cell"] | None
    climatology: Float[np.ndarray, "n channel y x"]
    transforms: ChannelTransforms

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
        values: (n, channel, y, x), of the fine fields, 0 outside the mask.
        groups: (n,), a label a sample, the season year, left out as a whole.
        mask: (y, x), 1 where fields have values.
        predictors: (p, y, x), fixed fields for the network, which always sees the mask; default none.
    """

    values: Float[np.ndarray, "n channel y x"]
    groups: np.ndarray
    mask: Float[np.ndarray, "y x"]
    predictors: Float[np.ndarray, "p y x"] | None = None
