"""Spread against error in bins of rising spread, from blocks: no list of all entries is ever made."""

from collections.abc import Iterable

import numpy as np
from jaxtyping import Float

from subgrid.downscaling.verifying.paired_scores import Block
from subgrid.verification.reliability import SpreadErrorCurve

FINE_BINS = 800
"""Over eight decades of variance: 2 % wide each, of which the bins that are shown are put together."""
DECADES = 4
"""On either side of the mean variance of the first block."""


def binned_spread(blocks: Iterable[Block], *, n_bins: int = 10, own: bool = False) -> SpreadErrorCurve:
    """`spread_error_curve` of blocks: bins of equally many entries, to the width of a fine bin.

    Args:
        blocks: of members and truth.
        n_bins: at most; fewer where many entries have the same spread.
        own: whether the first member plays the truth, which is the floor.

    Returns:
        Root mean square of corrected spread and of the error of the mean, in each bin.

    Raises:
        ValueError: without any entry that has a spread.

    Examples:
        >>> binned_spread(paired_blocks(ensemble, reference, pairing)).error
    """
    sums = np.zeros((3, FINE_BINS + 2))
    edges = None
    for _, members, truth in blocks:
        x, y = (members[:, 1:], members[:, 0]) if own else (members, truth)
        if x.shape[1] < 2:
            continue
        variance, square = _entries(x, y)
        if edges is None and variance.any():
            edges = variance.mean() * np.logspace(-DECADES, DECADES, FINE_BINS + 1)
        if edges is not None:
            place = np.searchsorted(edges, variance)
            for row, weights in enumerate((np.ones_like(variance), variance, square)):
                sums[row] += np.bincount(place, weights, FINE_BINS + 2)
    if not sums.any():
        raise ValueError("no member differs from another, so there is no spread to show.")
    return _merged(sums, n_bins)


def _entries(x: np.ndarray, y: np.ndarray) -> tuple[Float[np.ndarray, " entry"], Float[np.ndarray, " entry"]]:
    """Corrected variance and squared error of all entries that have every value."""
    n_members, deviation = x.shape[1], x - y[:, None]
    variance = deviation.var(axis=1, ddof=1, dtype=np.float64) * (n_members + 1) / n_members
    square = deviation.mean(axis=1, dtype=np.float64) ** 2
    known = np.isfinite(variance)
    return variance[known], square[known]


def _merged(sums: Float[np.ndarray, "three fine"], n_bins: int) -> SpreadErrorCurve:
    """Neighbouring fine bins put together, until each holds its share of the entries."""
    share = np.cumsum(sums[0]) / sums[0].sum()
    label = np.minimum((share - sums[0] / sums[0].sum() / 2) * n_bins, n_bins - 1).astype(int)
    count, variance, square = (np.bincount(label, row, n_bins) for row in sums)
    kept = count > 0
    spread, error = (np.sqrt(row[kept] / count[kept]).astype(np.float32) for row in (variance, square))
    return SpreadErrorCurve(spread, error)
