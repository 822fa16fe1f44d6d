"""What a refined Gaussian is trained on: anomalies of archives with dates, departures of plain fields from their mean.

Both leave out whole groups of neighbouring fields. Neighbours of an archive are alike, a day and the next, a snapshot
of a simulation and the next; a field that is left out alone is still half known from them, and too many components,
too little spread and a network that memorises all look good. Dates tell season years, months apart from each other; an
archive without dates is cut into as many stretches as can be left out one by one.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from subgrid.downscaling.climate.domain import Domain
from subgrid.downscaling.preparation.chain import Chain
from subgrid.downscaling.preparation.series import Series
from subgrid.downscaling.preparation.steps import expected
from subgrid.downscaling.preparation.transforms import ChannelTransforms, Unchanged
from subgrid.downscaling.refined.conditions import Conditions, TrainingAnomalies
from subgrid.downscaling.refined.prior_choice import MOST_VALUES
from subgrid.downscaling.spread.calibration import FOLDS
from subgrid.types import Coarsening

N_STRETCHES = FOLDS
"""Of an archive without dates: as many as the calibration leaves out, one at a time; more would have more ends, beside
which fields are left out that have a neighbour among the others."""


@dataclass(frozen=True)
class FineAnomalies:
    """What a refined Gaussian is trained on, and what it will be conditioned on.

    Args:
        training: anomalies, their groups and their mask.
        conditions: C′ and what else the choices are made on.
    """

    training: TrainingAnomalies
    conditions: Conditions


def dated_anomalies(
    domain: Domain, anomalies: Chain, series: Series, predictors: Float[np.ndarray, "p y x"] | None = None
) -> FineAnomalies:
    """Of an archive with dates: anomalies from its climatology, left out by season years.

    Args:
        domain: mask and C′.
        anomalies: from fine fields to their anomalies.
        series: the fine fields to train on.
        predictors: (p, y, x), static fields for the network; None for none.

    Returns:
        What to train on.
    """
    fields = np.nan_to_num(anomalies.forward(series.values, series.phase))
    few = domain.mask.sum() * len(domain.variables) <= MOST_VALUES
    conditions = Conditions(
        domain.regridding.operator,
        domain.rows,
        domain.distances if few else None,
        expected(anomalies, series.phase, len(series), fields.shape[1:]),
        domain.transforms,
    )
    training = TrainingAnomalies(fields, series.season_year, domain.mask.astype(np.float32), predictors)
    return FineAnomalies(training, conditions)


def plain_anomalies(
    fields: Float[np.ndarray, "n channel *space"],
    trajectory: Int[np.ndarray, " n"],
    operator: Coarsening,
    mask: Bool[np.ndarray, "*space"],
    *,
    periodic: bool,
) -> FineAnomalies:
    """Of an archive without dates: departures from its mean field, left out by stretches.

    Args:
        fields: departures, 0 outside the mask.
        trajectory: number of the run of each.
        operator: C′ of them.
        mask: points with values.
        periodic: whether space wraps around.

    Returns:
        What to train on.
    """
    n_channels = fields.shape[1]
    few = mask.sum() * n_channels <= MOST_VALUES
    conditions = Conditions(
        operator,
        dense_rows(operator)[:, mask.ravel()],
        point_distances(mask, periodic=periodic) if few else None,
        np.broadcast_to(np.float32(0), fields.shape),
        ChannelTransforms((Unchanged(),) * n_channels),
    )
    return FineAnomalies(TrainingAnomalies(fields, stretches_of(trajectory), mask.astype(np.float32)), conditions)


def stretches_of(trajectory: Int[np.ndarray, " n"], *, n_stretches: int = N_STRETCHES) -> Int[np.ndarray, " n"]:
    """The stretch of an archive that each field belongs to: consecutive fields, no run cut where there are many.

    Args:
        trajectory: number of the run of each field, in the order of the archive; of one run every field is its own.
        n_stretches: wanted, default 10.

    Returns:
        Numbers from 0, `n_stretches` of them or some more; fewer where there are fewer fields.

    Examples:
        >>> stretches_of(np.repeat([0, 1, 2, 3], 5), n_stretches=2)  # 0, ten times, then 1
    """
    runs, run, sizes = np.unique(trajectory, return_inverse=True, return_counts=True)
    if len(runs) >= n_stretches:
        return run * n_stretches // len(runs)
    of_each = -(-n_stretches // len(runs))
    within = np.arange(len(run)) - np.searchsorted(run, np.arange(len(runs)))[run]
    return np.unique(run * of_each + within * of_each // sizes[run], return_inverse=True)[1]


def dense_rows(operator: Coarsening) -> Float[np.ndarray, "coarse cell"]:
    """C′ of one channel as a dense matrix, on the flattened grid.

    Args:
        operator: C′.

    Returns:
        A row for each coarse value.
    """
    shape, n = tuple(operator.coarse_shape), int(np.prod(operator.coarse_shape))
    return np.asarray(jax.vmap(operator.adjoint)(jnp.eye(n).reshape(n, *shape)), np.float64).reshape(n, -1)


def point_distances(mask: Bool[np.ndarray, "*space"], *, periodic: bool) -> Float[np.ndarray, "cell cell"]:
    """Distances between the points of a mask, in steps of the grid, as axes may be of different units.

    Where space wraps around, each axis is a circle, and distances are those along chords: a taper is positive definite
    in straight distances. On a torus of two axes, which lies in four dimensions, that is not proven of `gaspari_cohn`;
    at the supports that are tried its least eigenvalue is positive.

    Args:
        mask: points that are meant.
        periodic: whether all axes wrap around.

    Returns:
        Distances between all pairs, in the order of the flattened grid.
    """
    square = np.zeros((mask.sum(),) * 2)
    for at, size in zip(np.nonzero(mask), mask.shape, strict=True):
        apart = np.abs(at[:, None] - at[None]).astype(np.float64)
        square += (size / np.pi * np.sin(np.pi * apart / size) if periodic else apart) ** 2
    return np.sqrt(square)
