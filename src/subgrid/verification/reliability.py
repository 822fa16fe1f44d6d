"""Does an ensemble mean what it says? Spread against error, and probabilities of an event against its frequency."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from subgrid.verification.masks import AnyFloat, Mask, select_cells


@dataclass(frozen=True)
class SpreadErrorCurve:
    """Mean spread and root-mean-square error of the ensemble mean, in bins of equally many entries of rising spread.

    Args:
        spread: root mean square of the corrected spread in a bin, in the unit of the data.
        error: root mean square error of the ensemble mean in it.
    """

    spread: Float[np.ndarray, " bin"]
    error: Float[np.ndarray, " bin"]


def spread_error_curve(
    ensemble: AnyFloat, truth: AnyFloat, *, mask: Mask | None = None, n_bins: int = 10
) -> SpreadErrorCurve:
    """Does the error grow with the spread? On the diagonal for a reliable ensemble.

    Entries (case, channel, cell) are sorted by their corrected spread √((M + 1)/M s²) into bins of equal number; a flat
    curve means that the spread says nothing about the day, even if its mean is right.

    Args:
        ensemble: axes "case member channel *space", at least 2 members, any unit: give one channel at a time where
            units differ.
        truth: axes "case channel *space".
        mask: cells that count, default all.
        n_bins: default 10.

    Returns:
        Root mean square of spread and error in every bin, in the unit of the data.

    Raises:
        ValueError: shapes that do not match, more bins than entries, or as `masks.select_cells`.

    References:
        Leutbecher & Palmer (2008), Sect. 5, doi:10.1016/j.jcp.2007.02.014.

    Examples:
        >>> curve = spread_error_curve(ensemble, truth)
        >>> curve.error / curve.spread  # about 1 in every bin
    """
    if truth.shape != ensemble.shape[:1] + ensemble.shape[2:] or ensemble.shape[1] < 2:
        raise ValueError(f"truth must have the shape of 2 or more members, got {truth.shape} and {ensemble.shape}.")
    mask = np.ones(truth.shape[2:], bool) if mask is None else mask
    x, y = (np.asarray(select_cells(values, mask)) for values in (ensemble, truth))
    n_members = x.shape[1]
    variance = ((n_members + 1) / n_members * x.var(axis=1, ddof=1)).ravel()
    squared_error = ((x.mean(axis=1) - y) ** 2).ravel()
    if not 1 <= n_bins <= variance.size:
        raise ValueError(f"n_bins must lie between 1 and the {variance.size} entries, got {n_bins}.")
    bins = np.array_split(np.argsort(variance, kind="stable"), n_bins)
    spread, error = (np.sqrt([values[chosen].mean() for chosen in bins]) for values in (variance, squared_error))
    return SpreadErrorCurve(spread.astype(np.float32), error.astype(np.float32))


@dataclass(frozen=True)
class ReliabilityDiagram:
    """Forecast probability against observed frequency, and the parts of the Brier score; empty bins hold NaN."""

    probability: Float[np.ndarray, " bin"]
    """m/M of each bin."""
    frequency: Float[np.ndarray, " bin"]
    """How often the event happened."""
    count: Int[np.ndarray, " bin"]
    """Number of entries in each bin."""
    reliability: float
    """Mean squared distance to the diagonal: 0 is best."""
    resolution: float
    """Mean squared distance of the frequencies to the climatological one: large is best."""
    uncertainty: float
    """Variance of the event; Brier score = reliability − resolution + uncertainty."""


def reliability_diagram(
    member_has_event: Bool[np.ndarray, "case member *rest"], truth_has_event: Bool[np.ndarray, "case *rest"]
) -> ReliabilityDiagram:
    """How often an event happens when m of the M members show it, m = 0 … M.

    For a reliable ensemble of M exchangeable members the frequency is (m + θ)/(M + 1) averaged over the event's own
    uncertainty, so it lies on the diagonal but for 1/M: compare with the floor, one member in the place of the truth.

    Args:
        member_has_event: for instance `ensemble >= 1.0`, members on axis 1. Take cells of the mask only.
        truth_has_event: the same of the truth.

    Returns:
        M + 1 bins, and the decomposition of the Brier score, exact since no probabilities are pooled.

    Raises:
        ValueError: shapes that do not match.

    References:
        Murphy (1973), doi:10.1175/1520-0450(1973)012<0595:ANVPOT>2.0.CO;2.

    Examples:
        >>> reliability_diagram(ensemble >= 1.0, truth >= 1.0).frequency  # rising from near 0 to near 1
    """
    if truth_has_event.shape != member_has_event.shape[:1] + member_has_event.shape[2:]:
        raise ValueError(
            f"truth must have the members' shape without them, got {truth_has_event.shape} for "
            f"{member_has_event.shape}; select the cells of the mask in both."
        )
    n_members = member_has_event.shape[1]
    bins, happened = member_has_event.sum(axis=1).ravel(), truth_has_event.ravel().astype(np.float64)
    count = np.bincount(bins, minlength=n_members + 1)
    frequency = np.bincount(bins, weights=happened, minlength=n_members + 1) / np.where(count, count, np.nan)
    probability = np.arange(n_members + 1) / n_members
    base, weight = happened.mean(), count / count.sum()
    return ReliabilityDiagram(
        probability.astype(np.float32),
        frequency.astype(np.float32),
        count,
        reliability=float(np.nansum(weight * (probability - frequency) ** 2)),
        resolution=float(np.nansum(weight * (frequency - base) ** 2)),
        uncertainty=float(base * (1 - base)),
    )
