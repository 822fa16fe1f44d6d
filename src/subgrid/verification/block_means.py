"""Means over some days of members and truth: does the ensemble know how errors of single days add up?

Members that are drawn day by day are independent from one day to the next. Where the truth is not, means over several
days have too little spread, however right that of single days is.
"""

from typing import Any

import numpy as np
from jaxtyping import Float, Int, Shaped

from subgrid.verification.cells import spread_skill_per_channel
from subgrid.verification.masks import AnyFloat, Mask


def unbroken_stretches(
    days: Float[np.ndarray, " time"], *labels: Shaped[np.ndarray, " time"]
) -> Int[np.ndarray, " time"]:
    """Labels 0, 1, … of the stretches of equal steps in time with equal labels: season years, members.

    Args:
        days: times in days (or any unit) since an origin in the archive's own calendar; they rise within equal labels.
        labels: one a time each; a stretch ends where any of them changes.

    Returns:
        One label a time. A step that differs by more than half from the median step within labels starts the next
        stretch.

    Examples:
        >>> unbroken_stretches(np.array([0.0, 1.0, 2.0, 5.0, 6.0, 7.0]), np.array([1, 1, 1, 1, 1, 2]))  # 0 0 0 1 1 2
    """
    steps = np.diff(days)
    if not steps.size:
        return np.zeros(days.size, int)
    same = np.logical_and.reduce([np.ones(steps.size, bool), *(each[1:] == each[:-1] for each in labels)])
    usual = np.median(steps[same]) if same.any() else 0.0
    return np.concatenate([[0], np.cumsum(~(same & (np.abs(steps - usual) <= 0.5 * abs(usual))))])


def block_means(fields: AnyFloat, stretch: Int[np.ndarray, " time"], length: int) -> Float[np.ndarray, "block *shape"]:
    """Means over blocks of `length` consecutive times that no change of stretch cuts; what is left over is left out.

    Args:
        fields: times on axis 0, any unit; members, channels and space behind.
        stretch: of each time (`unbroken_stretches`).
        length: times a block.

    Returns:
        The means, in the order of time; no block at all where every stretch is shorter.

    Raises:
        ValueError: a length below 1, or another number of labels than times.

    Examples:
        >>> block_means(np.arange(5.0), np.zeros(5, int), 2)  # [0.5, 2.5]
    """
    if length < 1 or stretch.shape != fields.shape[:1]:
        raise ValueError(
            f"needs a length of 1 or more and one label a time, got {length} and {stretch.shape[0]} labels for "
            f"{fields.shape[0]} times."
        )
    ends = np.flatnonzero(np.diff(stretch, append=stretch[-1:] + 1)) + 1
    bounds = zip(np.concatenate([[0], ends[:-1]]), ends, strict=True)
    starts = np.concatenate([np.arange(first, end - length + 1, length) for first, end in bounds]).astype(int)
    values: Any = np.asarray(fields)
    total = np.zeros((len(starts), *values.shape[1:]))
    for day in range(length):
        total += values[starts + day]
    return (total / length).astype(np.float32)


def spread_skill_of_means(
    ensemble: AnyFloat, truth: AnyFloat, stretch: Int[np.ndarray, " time"], length: int, *, mask: Mask | None = None
) -> Float[np.ndarray, " channel"]:
    """Spread over skill (`spread_skill_per_channel`) of means over `length` consecutive times.

    For many members that are reliable time by time but independent from one time to the next, and a truth whose
    departures from what they share have the autocorrelation ρ_j, the ratio of means over k times is 1/√v with
    v = 1 + 2 Σ_{j<k} (1 − j/k) ρ_j: below 1 wherever the truth persists.

    Args:
        ensemble: axes "time member channel *space", at least 2 members, any unit.
        truth: axes "time channel *space", same unit.
        stretch: of each time (`unbroken_stretches`).
        length: times a block; 1 gives the ratio of single times.
        mask: cells that count, default all.

    Returns:
        1 for a reliable ensemble, below for too little spread; one number a channel, NaN where no stretch holds a
        block.

    Raises:
        ValueError: as `block_means` and `spread_skill_per_channel`.

    Examples:
        >>> spread_skill_of_means(ensemble, truth, stretch, 5)  # of 5-day means
    """
    means, wanted = (block_means(fields, stretch, length) for fields in (ensemble, truth))
    if not len(means):
        return np.full(truth.shape[1], np.nan, np.float32)
    return spread_skill_per_channel(means, wanted, mask=mask)
