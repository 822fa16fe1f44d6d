"""Post-processing of draws: the spread that left-out years ask for, and the marginals of censored variables.

MODEL/post_processing.zarr   plain arrays: scales of the spread, quantiles of draws and of training fields
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array, Bool, Float

from subgrid.data.fields import DataError
from subgrid.data.store import write_zarr
from subgrid.diffusion.gaussian_conditional import ConditionalGaussian
from subgrid.downscaling.climate.conditions import Conditions
from subgrid.downscaling.climate.prior import ClimatePrior, prior_taper
from subgrid.downscaling.debiasing.static import QuantileMapping, fit_quantile_mapping
from subgrid.downscaling.spread.calibration import (
    SpreadCalibration,
    conditional_means,
    fit_spread_calibration,
    leave_out,
    widths,
)
from subgrid.downscaling.spread.dispersion import Dispersion
from subgrid.downscaling.spread.shape import Departures, Shape, match_shape

POST_PROCESSING = "post_processing.zarr"
FORMAT = 3
"""2 was draw_law.zarr, of censored variables alone."""
CALIBRATION = (
    "component_scale", "cell_std", "cell_scale", "day_level", "day_scale", "expected_level", "expected_scale",
    "shape_quantile", "shape", "shape_level", "kind",
)  # fmt: skip
"""Its arrays, in the order of its leaves."""
N_QUANTILES = 200
MEMBERS = 4
"""Draws for every training day that spread and marginals are fitted on."""
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


def fit_post_processing(
    prior: ClimatePrior,
    conditional: ConditionalGaussian,
    conditions: Conditions,
    fields: Float[np.ndarray, "n channel y x"],
    groups: np.ndarray,
    mask: Bool[np.ndarray, "y x"],
    draws: Callable[[SpreadCalibration], Float[np.ndarray, "n m channel y2 x2"]],
) -> PostProcessing:
    """Calibrates the spread by left-out years, then the shape of draws, then the marginals of bounded variables.

    Args:
        prior: of `fields`.
        conditional: of all targets, from `gaussian_conditional`.
        conditions: that the prior was trained with.
        fields: (n, channel, y, x), training anomalies, 0 outside the mask.
        groups: (n,), season year of each.
        mask: (y, x), cells with values.
        draws: m draws for every field, conditioned on its own coarse values, with a calibration of their spread;
            normalised, on the prior's grid.

    Returns:
        The calibration, and the marginals where a variable is bounded.

    Raises:
        ValueError: with fewer than two groups.
    """
    base = prior.denoiser.base
    support = np.asarray(base.support)
    normal = prior.normalised(fields * mask)
    left_out = leave_out(
        normal, groups, conditional.operator, (len(support), *conditions.operator.coarse_shape),
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
    for _ in range(PASSES):
        away = draws(calibration) - means[:, None]
        drawn = _departures(calibration, away, means, distances, climatology)
        shape = match_shape(calibration.shape, errors, drawn, support=support > 0, active=conditions.censored)
        calibration = eqx.tree_at(lambda c: c.shape, calibration, shape)
    if not any(conditions.bounded):
        return PostProcessing(calibration, None)
    drawn = draws(as_if_left_out(calibration, distances, left_out.distance))
    inside = support[0] > 0
    drawn, training = (x.reshape(-1, *support.shape)[..., inside] for x in (drawn, normal))
    scale = prior.scale[:, None]
    return PostProcessing(calibration, fit_marginals(drawn * scale, training * scale))


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


def save_post_processing(folder: Path, found: PostProcessing) -> None:
    """Writes FOLDER/post_processing.zarr, which `load_post_processing` reads.

    Args:
        folder: of the prior, MODEL or RUN/model.
        found: from `fit_post_processing`.
    """
    leaves = jax.tree.leaves(found.calibration)
    arrays: dict[str, Any] = {
        name: (tuple(f"{name}_{axis}" for axis in range(leaf.ndim)), np.asarray(leaf))
        for name, leaf in zip(CALIBRATION, leaves, strict=True)
    }
    if found.marginals is not None:
        arrays["source"] = (("quantile", "point"), np.asarray(found.marginals.source_quantiles))
        arrays["target"] = (("quantile", "point"), np.asarray(found.marginals.target_quantiles))
    write_zarr(xr.Dataset(arrays, attrs={"format": FORMAT}), folder / POST_PROCESSING, overwrite=True)


def load_post_processing(folder: Path) -> PostProcessing:
    """What `save_post_processing` wrote.

    Args:
        folder: of the prior, MODEL or RUN/model.

    Returns:
        The post-processing.

    Raises:
        DataError: if it is not there, or an earlier version wrote it.
    """
    path = folder / POST_PROCESSING
    if not path.exists():
        raise DataError(f"{folder}: has no {POST_PROCESSING}; training was not finished: the same command goes on.")
    with xr.open_zarr(path, chunks=None) as stored:
        if stored.attrs.get("format") != FORMAT:
            raise DataError(f"{path}: of an earlier version; remove it and all ensembles drawn with it, and run again.")
        found = {str(name): jnp.asarray(values.values) for name, values in stored.items()}
    parts = [found[name] for name in CALIBRATION]
    by_day, by_expected = Dispersion(parts[3], parts[4]), Dispersion(parts[5], parts[6])
    shape = Shape(parts[7], parts[8], parts[9], parts[10])
    calibration = SpreadCalibration(parts[0], parts[1], parts[2], by_day, by_expected, shape)
    marginals = QuantileMapping(found["source"], found["target"]) if "source" in found else None
    return PostProcessing(calibration, marginals)


def apply_marginals(
    mapping: QuantileMapping, fields: Float[np.ndarray, "n channel y x"], mask: np.ndarray, bounded: Sequence[bool]
) -> Float[np.ndarray, "n channel y x"]:
    """The mapping on the bounded channels; the others stay as they are.

    Args:
        mapping: of every cell and channel.
        fields: (n, channel, y, x), anomalies.
        mask: (y, x), cells with values.
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
