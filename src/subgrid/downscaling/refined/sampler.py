"""Draws of the anomalies of fine fields, from a Gaussian prior that a network may refine, on the grid of C′."""

from typing import Any

import numpy as np
from jaxtyping import Float, PRNGKeyArray, Shaped

from subgrid.diffusion.gaussian_conditional import ConditionalGaussian, condition
from subgrid.downscaling.refined.prior import RefinedPrior
from subgrid.downscaling.refined.refinement import along
from subgrid.downscaling.spread.calibration import SpreadCalibration
from subgrid.downscaling.spread.draws import conditional_draws
from subgrid.numerics.operators import PaddedCoarsening
from subgrid.types import Coarsening


def gaussian_conditional(prior: RefinedPrior, operator: Coarsening) -> ConditionalGaussian:
    """The prior's Gaussian under C′, on the prior's own grid; made once for all targets.

    Args:
        prior: of the fine anomalies.
        operator: C′, of fields on their own grid.

    Returns:
        N(m_y, Σ_y) for any y, of normalised, padded fields.
    """
    shape = prior.denoiser.base.mean.shape
    coarse = (shape[0], *operator.coarse_shape)
    return condition(prior.denoiser.base, PaddedCoarsening(operator, shape[1:]), coarse)


def draw_anomalies(
    prior: RefinedPrior,
    conditional: ConditionalGaussian,
    targets: Float[np.ndarray, "n channel *coarse"],
    keys: Shaped[PRNGKeyArray, " n"],
    *,
    n_levels: int,
    calibration: tuple[SpreadCalibration, Float[np.ndarray, "n channel *space"]] | None = None,
    chunk: int | None = None,
) -> Float[np.ndarray, "n channel *space"]:
    """One draw of p(x | C′x = y) for every target and key, cut to the grid of C′.

    A Gaussian prior's draws are exact and need no levels; where a network refines it, its residual is discretised.
    With a `calibration` its distance from the conditional mean is scaled (see `spread/calibration.py`).

    Args:
        prior: of the fine anomalies.
        conditional: its Gaussian under C′, from `gaussian_conditional`.
        targets: (n, channel, *coarse), y, in the units of the anomalies.
        keys: (n,), one for each draw.
        n_levels: of noise, where a network refines the Gaussian.
        calibration: of the spread, and (n, channel, *space), what is expected at the time of every target; none by
            default.
        chunk: draws at a time; by default as for `conditional_draws`.

    Returns:
        Anomalies (n, channel, *space), in their units.
    """
    normal = None if calibration is None else (calibration[0], prior.normalised(calibration[1]))
    drawn = conditional_draws(
        prior.denoiser if prior.refined else None,
        conditional,
        targets / along(prior.scale, targets.ndim - 2),
        keys,
        n_levels=n_levels,
        trained=(prior.settings.sigma_min, prior.settings.sigma_max),
        calibration=normal,
        chunk=chunk,
    )
    padded: Any = conditional.operator
    cells = tuple(slice(0, size) for size in padded.operator.fine_shape)
    return drawn[(slice(None), slice(None), *cells)] * along(prior.scale, len(cells))
