"""Fine fields as a prior is trained on them, whatever their preparation, and the form that all trainings have."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from subgrid.data.stream import StreamedFields
from subgrid.downscaling.model.anomalies import FineAnomalies
from subgrid.downscaling.model.sides import CoarseSide
from subgrid.downscaling.prior.training import Fields
from subgrid.networks.correlation import Padding
from subgrid.training.cost import Cost
from subgrid.types import Coarsening, Key


@dataclass(frozen=True)
class InnerFields:
    """What a prior is trained on.

    Args:
        values: (n, channel, *space), inner fields, or `StreamedFields` where they stay on disk.
        operator: C′ of them.
        edges: what a network takes to lie beyond the grid, "periodic", "reflect" or "zero". Grids that it cannot take
            are padded with zeros at their far ends, but for periodic ones, which have none.
        anomalies: makes what a refined Gaussian is trained on.
        raw: makes inner coarse fields (n, channel, *coarse) as they are before they are debiased, of the coarse side.
        n_predictors: static fields that a refining network sees: the mask, 1 by default, and others.
    """

    values: Fields
    operator: Coarsening
    edges: Padding
    anomalies: Callable[[], FineAnomalies]
    raw: Callable[[CoarseSide], Float[np.ndarray, "n channel *coarse"]]
    n_predictors: int = 1

    @property
    def shape(self) -> tuple[int, ...]:
        """(channel, *space), of a field."""
        return tuple(self.values.shape[1:])

    def in_memory(self, kind: str) -> Float[np.ndarray, "n channel *space"]:
        """The values, for a prior that needs them all at once.

        Raises:
            ValueError: if they stay on disk.
        """
        if isinstance(self.values, StreamedFields):
            raise ValueError(
                f"{kind} is fitted on fine fields in memory, and these are read from the disk; give stream=False, a "
                "part of the archive, or another prior."
            )
        return self.values


@runtime_checkable
class PriorFit(Protocol):
    """A prior before it is trained: all that can be wrong with its settings has been said."""

    def cost(self) -> Cost:
        """What the training will take, in time and memory."""
        ...

    def train(self, folder: Path, coarse: CoarseSide, *, key: Key) -> None:
        """The prior, in FOLDER/model; shows its progress, and resumes.

        Args:
            folder: of the model.
            coarse: the coarse side, fitted.
            key: of everything random in the fit.
        """
        ...
