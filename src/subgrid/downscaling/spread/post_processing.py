"""Post-processing of draws: the spread that left-out fields ask for, and the marginals of censored variables.

MODEL/post_processing.zarr   as kind and arrays: scales of the spread, quantiles of draws and of training fields
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from subgrid.data.fields import DataError
from subgrid.diffusion.gaussian_conditional import ConditionalGaussian
from subgrid.downscaling.debiasing.static import QuantileMapping, fit_quantile_mapping
from subgrid.downscaling.refined.conditions import Conditions, TrainingAnomalies
from subgrid.downscaling.refined.prior import RefinedPrior, prior_taper
from subgrid.downscaling.spread.calibration import (
    SpreadCalibration,
    conditional_means,
    fit_spread_calibration,
    leave_out,
    widths,
)
from subgrid.downscaling.spread.shape import Departures, match_shape
from subgrid.downscaling.stored.part import load_part, save_part

POST_PROCESSING = "post_processing.zarr"
N_QUANTILES = 200
MEMBERS = 4
"""Draws for every training day that spread and marginals are fitted on."""
MOST_DRAWN_FOR = 2048
"""Fields, evenly over the archive, whose draws the shape of a variable without bounds is found from: one table of 101
quantiles a channel, from some hundred thousand values."""
PASSES = 2
"""Of matching the draws' distribution: after two it is right to some parts in a thousand."""


@dataclass(frozen=True)
class PostProcessing:
    """What is done to draws.

    Args:
        calibration: of their spread.
        marginals: quantile mapping of every cell and channel; None where no variable is bounded.
    """

    calibration: SpreadCalibration
    marginals: QuantileMapping | None


DrawsFor: TypeAlias = Callable[[SpreadCalibration, Int[np.ndarray, " k"]], Float[np.ndarray, "k m channel *padded"]]
"""m draws with a calibration for each of some training fields, by their numbers."""


def fit_post_processing(
    prior: RefinedPrior,
    conditional: ConditionalGaussian,
    conditions: Conditions,
    training: TrainingAnomalies,
    draws: DrawsFor,
) -> PostProcessing:
    """Calibrates the spread by left-out groups, then the shape of draws, then the marginals of bounded variables.

    Args:
        prior: of the anomalies.
        conditional: of all targets, from `gaussian_conditional`.
        conditions: that the prior was trained with.
        training: the anomalies, and their groups.
        draws: `draws(calibration, chosen)`, m draws with a calibration of their spread for each of the chosen fields,
            conditioned on its own coarse values; normalised, on the prior's grid.

    Returns:
        The calibration, and the marginals where a variable is bounded.

    Raises:
        ValueError: with fewer than two groups.
    """
    base = prior.denoiser.base
    support = np.asarray(base.support)
    normal = prior.normalised(training.values * (training.mask > 0))
    left_out = leave_out(
        normal, training.groups, conditional.operator, (len(support), *conditions.operator.coarse_shape),
        n_components=len(base.variances), support=support,
        taper=prior_taper(conditions.distances, len(support), prior.choice.support),
    )  # fmt: skip
    constrained = np.zeros(support.shape[1:], bool)
    constrained[support[0] > 0] = (conditions.rows != 0).any(0)
    climatology = prior.normalised(conditions.climatology)
    calibration = fit_spread_calibration(
        left_out, conditional.spread, climatology, constrained=constrained, active=conditions.censored
    )
    errors = _departures(calibration, left_out.error[:, None], left_out.mean, left_out.distance, climatology)
    means, distances = conditional_means(conditional, normal)
    some = _drawn_for(len(normal), conditions)
    for _ in range(PASSES):
        away = draws(calibration, some) - means[some, None]
        drawn = _departures(calibration, away, means[some], distances[some], climatology[some])
        shape = match_shape(calibration.shape, errors, drawn, support=support > 0, active=conditions.censored)
        calibration = eqx.tree_at(lambda c: c.shape, calibration, shape)
    if not any(conditions.bounded):
        return PostProcessing(calibration, None)
    drawn = draws(as_if_left_out(calibration, distances, left_out.distance), some)
    inside = support[0] > 0
    drawn, trained = (x.reshape(-1, *support.shape)[..., inside] for x in (drawn, normal))
    scale = prior.scale[:, None]
    return PostProcessing(calibration, fit_marginals(drawn * scale, trained * scale))


def _drawn_for(n: int, conditions: Conditions) -> Int[np.ndarray, " k"]:
    """The fields that are drawn for: all where tables by what is expected, or marginals, need them; else enough."""
    most = n if any(conditions.bounded) or any(conditions.censored) else min(n, MOST_DRAWN_FOR)
    return np.linspace(0, n - 1, most).round().astype(int)


def as_if_left_out(
    calibration: SpreadCalibration, own: Float[np.ndarray, " n"], left_out: Float[np.ndarray, " n"]
) -> SpreadCalibration:
    """The calibration whose draws of training days are as wide as if the prior had not seen those days.

    A prior finds the coarse values of the days that it was fitted on too usual: their distances q are smaller than
    those of other days, and so is δ(q). Marginals that are fitted on such draws widen what needs no widening.

    Args:
        calibration: of left-out days.
        own: q of training days, to the prior of all of them.
        left_out: q of the same days, to priors that were fitted without them.
    """
    nearer = np.median(np.log(own)) - np.median(np.log(left_out))
    return eqx.tree_at(lambda c: c.by_day.levels, calibration, calibration.by_day.levels + nearer)


def _departures(
    calibration: SpreadCalibration, away: np.ndarray, means: np.ndarray, distances: np.ndarray, climatology: np.ndarray
) -> Departures:
    """From their means, over their widths."""
    width = np.maximum(widths(calibration, means, distances, climatology), np.finfo(np.float32).tiny)
    return Departures(away / width[:, None], climatology + means)


def fit_marginals(
    drawn: Float[np.ndarray, "n channel cell"], training: Float[np.ndarray, "m channel cell"]
) -> QuantileMapping:
    """Quantile mapping of draws, conditioned on coarsened *training* fields, onto the training fields.

    What a Gaussian cannot hold, an atom at zero and a heavy tail, is put into every cell's marginal; the order of the
    values, and so their dependence, stays the prior's.
    """
    levels = min(N_QUANTILES, len(drawn), len(training))
    return fit_quantile_mapping(jnp.asarray(drawn), jnp.asarray(training), n_quantiles=levels)


def save_post_processing(folder: Path, found: PostProcessing | None) -> None:
    """Writes FOLDER/post_processing.zarr, which `load_post_processing` reads.

    Args:
        folder: of the prior, MODEL or RUN/model.
        found: from `fit_post_processing`; None where draws are left as they are, which is then known to be meant.
    """
    save_part(folder / POST_PROCESSING, found)


def load_post_processing(folder: Path) -> PostProcessing | None:
    """What `save_post_processing` wrote.

    Args:
        folder: of the prior, MODEL or RUN/model.

    Returns:
        The post-processing, to the same bits; None where draws are left as they are.

    Raises:
        DataError: if it is not there, an earlier version wrote it, or it is damaged.
    """
    path = folder / POST_PROCESSING
    if not path.exists():
        raise DataError(f"{folder}: has no {POST_PROCESSING}; training was not finished: the same command goes on.")
    return load_part(path)


def apply_marginals(
    mapping: QuantileMapping, fields: Float[np.ndarray, "n channel *space"], mask: np.ndarray, bounded: Sequence[bool]
) -> Float[np.ndarray, "n channel *space"]:
    """The mapping on the bounded channels; the others stay as they are.

    Args:
        mapping: of every cell and channel.
        fields: (n, channel, *space), anomalies.
        mask: (*space), cells with values.
        bounded: which channels are, from `is_bounded`.

    Returns:
        New fields, same shape; those outside the mask unchanged.
    """
    moved = np.asarray(_map_each(mapping, jnp.asarray(fields[:, :, mask])))
    result = fields.copy()
    for c in np.flatnonzero(bounded):
        result[:, c, mask] = moved[:, c]
    return result


@eqx.filter_jit
def _map_each(mapping: QuantileMapping, cells: Float[Array, "n channel cell"]) -> Float[Array, "n channel cell"]:
    """Compiled once, not once a work item."""
    return jax.lax.map(mapping, cells, batch_size=min(64, len(cells)))
