"""How long events last: wet, dry and warm spells, never joined across the boundary of a season.

Time stands on axis 0. `segment` labels the stretch of consecutive days that each day belongs to (a season year), so a
spell ends where the label changes. A spell that a season cuts is counted with the length it has inside: *mathematical*
as long as the archive holds one season alone.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from subgrid.verification.masks import AnyFloat

WET_DAY = 1.0
"""Wet-day threshold in mm/day (ETCCDI; Zhang et al. 2011, doi:10.1002/wcc.147)."""


def segments_by_gap(days: Float[np.ndarray, " time"]) -> Int[np.ndarray, " time"]:
    """Labels 0, 1, … of the stretches of time without a gap, whatever the calendar.

    Args:
        days: rising times, in days (or any unit) since an origin in the archive's own calendar.

    Returns:
        One label a time; a step of more than 1.5 × the median step starts the next stretch.

    Raises:
        ValueError: times that do not rise.

    Examples:
        >>> segments_by_gap(np.array([0.0, 1.0, 2.0, 300.0, 301.0]))  # [0, 0, 0, 1, 1]
    """
    steps = np.diff(days)
    if np.any(steps <= 0):
        raise ValueError(f"times must rise; they do not after index {int(np.argmax(steps <= 0))}: sort them first.")
    return np.concatenate([[0], np.cumsum(steps > 1.5 * np.median(steps))]) if steps.size else np.zeros(days.size, int)


def spell_lengths(
    occurs: Bool[np.ndarray, "time *space"], segment: Int[np.ndarray, " time"]
) -> Int[np.ndarray, "time *space"]:
    """Length of every run of True, written on its last day; 0 elsewhere.

    Args:
        occurs: whether the event happens.
        segment: stretch that each day belongs to; runs do not cross a change of label.

    Returns:
        Days, one entry a spell. So sums over time are days with the event, and counts of non-zeros are spells.

    Raises:
        ValueError: another number of labels than days.

    Examples:
        >>> spell_lengths(np.array([True, True, False, True]), np.zeros(4, int))  # [0, 2, 0, 1]
    """
    _require_segments(occurs, segment)
    n_time = len(occurs)
    running = np.zeros(occurs.shape, np.int32)
    for day in range(n_time):
        running[day] = occurs[day]
        if day and segment[day] == segment[day - 1]:
            running[day] *= running[day - 1] + 1
    goes_on = np.zeros_like(occurs)
    same = segment[1:] == segment[:-1]
    goes_on[:-1] = occurs[1:] & same.reshape(-1, *(1,) * (occurs.ndim - 1))
    return np.where(goes_on, 0, running).astype(np.int64)


@dataclass(frozen=True)
class SpellStatistics:
    """What spells look like in each cell; NaN where a cell is masked, or has no spell to take a mean of."""

    mean: Float[np.ndarray, "*space"]
    """Mean length in days."""
    maximum: Float[np.ndarray, "*space"]
    """Length of the longest in days."""
    count: Float[np.ndarray, "*space"]
    """Number of spells."""
    distribution: Float[np.ndarray, " length"]
    """Share of all spells, pooled over cells, that last 1, 2, … days."""


def spell_statistics(occurs: Bool[np.ndarray, "time *space"], segment: Int[np.ndarray, " time"]) -> SpellStatistics:
    """Mean, maximum, number and distribution of the lengths of an event's spells.

    For a two-state Markov chain with P(on → on) = p, lengths are geometric, p^(l−1) (1 − p), of mean 1/(1 − p).

    Args:
        occurs: whether the event happens.
        segment: stretch that each day belongs to; spells do not cross a change of label.

    Returns:
        The statistics of each cell, and the distribution over all.

    Raises:
        ValueError: another number of labels than days.

    Examples:
        >>> spell_statistics(np.array([True, True, False, True]), np.zeros(4, int)).mean  # 1.5
    """
    lengths = spell_lengths(occurs, segment)
    count = (lengths > 0).sum(axis=0)
    mean = np.where(count > 0, lengths.sum(axis=0) / np.maximum(count, 1), np.nan)
    pooled = np.bincount(lengths[lengths > 0])[1:]
    return SpellStatistics(
        mean=np.asarray(mean, np.float32),
        maximum=np.asarray(lengths.max(axis=0), np.float32),
        count=np.asarray(count, np.float32),
        distribution=(pooled / max(pooled.sum(), 1)).astype(np.float32),
    )


def wet_and_dry_spells(
    precipitation: AnyFloat, segment: Int[np.ndarray, " time"], *, threshold: float = WET_DAY
) -> tuple[SpellStatistics, SpellStatistics]:
    """Spells of wet days (precipitation ≥ threshold) and of dry days (below it).

    Args:
        precipitation: days on axis 0, mm/day; a cell with a NaN at any time counts as masked.
        segment: stretch that each day belongs to.
        threshold: mm/day, default 1.

    Returns:
        (wet, dry).

    Raises:
        ValueError: another number of labels than days.

    References:
        Zhang et al. (2011), doi:10.1002/wcc.147 (consecutive wet and dry days, CWD and CDD).

    Examples:
        >>> wet_and_dry_spells(np.array([0.0, 3.0, 2.0, 0.5]), np.zeros(4, int))[0].maximum  # 2
    """
    values = np.asarray(precipitation)
    valid = np.isfinite(values).all(axis=0)
    wet = values >= threshold
    wet_spells, dry_spells = (_masked(spell_statistics(event & valid, segment), valid) for event in (wet, ~wet))
    return wet_spells, dry_spells


def _masked(statistics: SpellStatistics, valid: Any) -> SpellStatistics:
    def blank(field: np.ndarray) -> np.ndarray:
        return np.where(valid, field, np.nan).astype(np.float32)

    return SpellStatistics(
        blank(statistics.mean), blank(statistics.maximum), blank(statistics.count), statistics.distribution
    )


@dataclass(frozen=True)
class WarmSpells:
    """Warm spells of each segment (season, in the order of their labels) and cell; NaN where masked."""

    count: Float[np.ndarray, "segment *space"]
    """Number of warm spells."""
    days: Float[np.ndarray, "segment *space"]
    """Days that belong to a warm spell (the warm spell duration index, WSDI)."""


def warm_spells(
    temperature: AnyFloat,
    threshold: AnyFloat,
    segment: Int[np.ndarray, " time"],
    *,
    minimum_days: int = 6,
) -> WarmSpells:
    """Spells of at least `minimum_days` days warmer than a threshold of each cell.

    Args:
        temperature: days on axis 0, any unit; a cell with a NaN at any time counts as masked.
        threshold: of each cell, or of each day and cell, same unit; for instance
            `np.quantile(reference, 0.9, axis=0)`. Use the reference's threshold for both sets to see biases, each
            set's own to see persistence alone.
        segment: stretch that each day belongs to.
        minimum_days: ≥ 1, default 6 as in the warm spell duration index.

    Returns:
        Number of spells, and days in them, in each segment.

    Raises:
        ValueError: minimum_days < 1, or another number of labels than days.

    References:
        Zhang et al. (2011), doi:10.1002/wcc.147 (WSDI).

    Examples:
        >>> warm_spells(np.array([0.0, 5.0, 5.0, 5.0]), np.array(1.0), np.zeros(4, int), minimum_days=3).count  # [1]
    """
    if minimum_days < 1:
        raise ValueError(f"minimum_days must be at least 1, got {minimum_days}; 3 and 6 are usual.")
    values = np.asarray(temperature)
    valid = np.isfinite(values).all(axis=0)
    lengths = spell_lengths(np.asarray((values > np.asarray(threshold)) & valid), segment)
    long = np.where(lengths >= minimum_days, lengths, 0)
    per_segment = np.stack(
        [[(long[segment == label] > 0).sum(0), long[segment == label].sum(0)] for label in np.unique(segment)]
    )
    masked = np.where(valid, per_segment, np.nan).astype(np.float32)
    return WarmSpells(masked[:, 0], masked[:, 1])


def _require_segments(values: np.ndarray, segment: np.ndarray) -> None:
    if segment.shape != values.shape[:1]:
        raise ValueError(f"needs one segment label a day, got {segment.shape[0]} labels for {values.shape[0]} days.")
