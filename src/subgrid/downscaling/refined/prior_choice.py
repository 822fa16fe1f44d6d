"""How far the covariances of the prior reach: the support of their taper, chosen by what is left out.

A sample covariance of some hundred independent fields, conditioned on as many coarse values, fits the accidents of its
training fields: its mean errs by more than its variance says. Damping the covariances of far points
(`numerics/localisation.py`) lowers the error, and the variance says more of it. How much to damp is asked of fields
that are left out, whole years or stretches of an archive: the support under which they, given their own coarse values,
have the lowest CRPS.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from jaxtyping import Float

from subgrid.diffusion.gaussian_prior import choose_n_components, left_out_folds
from subgrid.downscaling.climate.baselines import gaussian_crps
from subgrid.numerics.localisation import gaspari_cohn

SUPPORTS = (0.5, 1.0, 2.0, 4.0)
"""Supports to choose from, in units of the largest distance between two cells, beside none at all. Over Iberia the
CRPS of left-out years is lowest at 2, for every variable and reference, and within 1 % from 1 to 4."""
MOST_VALUES = 4096
"""Beyond as many values callers give no distances, and no taper is tried: a tapered covariance is dense, and its
eigenvectors cost its size cubed. *Merely convenient.*"""
CountReport: TypeAlias = Callable[[int, int], None]
RIDGE = 1e-5
"""Of the mean variance, on the diagonal: without a taper fewer fields than values leave a covariance singular."""


@dataclass(frozen=True)
class PriorChoice:
    """A support, a number of components, and what they were chosen on.

    Args:
        support: of the taper, in units of the largest distance between two cells; None for covariances as they are.
        n_components: components with a variance of their own.
        crps: of left-out fields, conditioned on their own coarse values, by support.
        log_likelihoods: of left-out fields, by number of components, with that support.
    """

    support: float | None
    n_components: int
    crps: dict[float | None, float]
    log_likelihoods: dict[int, float]


def choose_prior(
    values: Float[np.ndarray, "n d"],
    rows: Float[np.ndarray, "k d"],
    groups: np.ndarray,
    *,
    distances: Float[np.ndarray, "d d"] | None,
    supports: Sequence[float] = SUPPORTS,
    n_components: Sequence[int],
    report: CountReport = lambda done, total: None,
) -> PriorChoice:
    """The support by the CRPS of left-out fields, then the number of components by their likelihood.

    Args:
        values: fields as vectors, one row a sample, in units of their standard deviation.
        rows: C′ as a dense matrix.
        groups: a label a sample, which is left out as a whole: the season year, or the stretch of the archive.
        distances: between the places of the d values, any unit; None to choose no taper.
        supports: to choose from, in units of the largest distance; none at all is always tried.
        n_components: numbers of leading components to choose from.
        report: called as report(done, total) after each choice that was looked at.

    Raises:
        ValueError: as `choose_n_components`.
    """
    tried: dict[float | None, float] = {}
    total = 1
    if distances is not None:
        centred, choices = values.astype(np.float64), (None, *supports)
        total += len(choices)
        for support in choices:
            tried[support] = _left_out_crps(centred, rows, groups, taper_of(distances, support))
            report(len(tried), total)
    support = min(tried, key=tried.__getitem__) if tried else None
    taper = None if distances is None else taper_of(distances, support)
    rank, likelihoods = choose_n_components(values, groups, candidates=n_components, taper=taper)
    report(total, total)
    return PriorChoice(support, rank, tried, likelihoods)


def taper_of(distances: Float[np.ndarray, "d d"], support: float | None) -> Float[np.ndarray, "d d"] | None:
    """The taper of a support in units of the largest distance; None without one."""
    return None if support is None else gaspari_cohn(distances, support * float(distances.max()))


def _left_out_crps(values: np.ndarray, rows: np.ndarray, groups: np.ndarray, taper: np.ndarray | None) -> float:
    scores = []
    for left_out in left_out_folds(groups):
        kept, unseen = values[~left_out], values[left_out]
        mean = kept.mean(0)
        covariance = (kept - mean).T @ (kept - mean) / len(kept)
        if taper is not None:
            covariance *= taper
        covariance[np.diag_indices_from(covariance)] += RIDGE * np.trace(covariance) / len(covariance)
        crossed = rows @ covariance  # C′Σ
        gain = np.linalg.solve(crossed @ rows.T, crossed)
        variance = np.diag(covariance) - np.einsum("kd,kd->d", gain, crossed)
        width = np.sqrt(np.maximum(variance, RIDGE * covariance.diagonal().mean()))
        error = unseen - mean - ((unseen - mean) @ rows.T) @ gain
        scores.append(gaussian_crps(error, width).mean())
    return float(np.mean(scores))
