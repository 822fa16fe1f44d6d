"""Which sample of the reference each sample of an ensemble belongs to, by dates, or by numbers that prove true."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Int

from subgrid.data.fields import DataError
from subgrid.data.times.calendars import calendar_of
from subgrid.downscaling.verifying.field_sets import FieldSet
from subgrid.downscaling.verifying.time_steps import date_coordinate, of_other_steps, unit_of_dates
from subgrid.numerics.evenly import evenly_spaced

REAL_WORLD = frozenset(("standard", "gregorian", "proleptic_gregorian"))
"""Calendars whose dates since 1582 are the same."""
TRIED = 128
"""Pairs that are looked at to find out whether they are pairs; evenly spaced."""
FEWEST_TRIED = 8
LONGEST_MONTH = 31
CLOSER = 0.8
"""Mean squared distance of anomalies of pairs over that of others, at most: of fields without any relation it is 1 ± .1
for as many as are tried, and of members of one condition a half or much less. *Merely convenient.*"""
UNTOLD = (
    "; nothing tells whether the coarse fields follow the reference's own days: those of a free-running model do not, "
    "and paired=False (--unpaired) is right for it"
)


@dataclass(frozen=True)
class Pairing:
    """Samples that belong together.

    Args:
        ensemble: samples of the ensemble, rising.
        reference: the sample of the reference of each.
        segment: stretch of consecutive samples that each belongs to; None where samples are apart from each other.
        because: what says so, a sentence for the result.
    """

    ensemble: Int[np.ndarray, " n"]
    reference: Int[np.ndarray, " n"]
    segment: Int[np.ndarray, " n"] | None
    because: str

    def __len__(self) -> int:
        return len(self.ensemble)


def pair(ensemble: FieldSet, reference: FieldSet, *, wanted: bool | None) -> tuple[Pairing | None, tuple[str, ...]]:
    """The samples that both have.

    Args:
        ensemble: the ensemble.
        reference: on its grid and in its unit.
        wanted: True if there must be pairs, False if none are to be made; None looks.

    Returns:
        The pairs, or None, and notes.

    Raises:
        DataError: for calendars or time steps that differ, dates that the reference has twice, and if there are no
            pairs that are wanted.
    """
    dates = date_coordinate(ensemble), date_coordinate(reference)
    if wanted is False:
        return None, ("paired scores were not asked for", *of_other_steps(ensemble, reference))
    if None not in dates and len(reference.lead) == 1:
        found, why = _by_dates(ensemble, reference, (str(dates[0]), str(dates[1])), wanted=wanted)
    else:
        found, why = _by_numbers(ensemble, reference, wanted=wanted)
    if found is None and wanted:
        raise DataError(
            f"{ensemble.source} and {reference.source}: {why}; without paired=True (--paired) distributions are "
            "compared."
        )
    said = () if found is not None else (f"{why}: distributions are compared",)
    return found, (*said, *of_other_steps(ensemble, reference))


def _by_dates(
    ensemble: FieldSet, reference: FieldSet, names: tuple[str, str], *, wanted: bool | None
) -> tuple[Pairing | None, str]:
    ours, theirs = ensemble.array[names[0]], reference.array[names[1]]
    unit = unit_of_dates(ensemble, reference, ours, theirs)
    keys = [_keys(np.asarray(values), unit) for values in (ensemble.coordinate(names[0]), theirs.values)]
    place = _places(keys[1], reference, names[1])
    chosen = np.array([i for i, key in enumerate(keys[0]) if key in place], np.int64)
    if not len(chosen):
        return None, "they share no dates"
    _require_one_calendar(ensemble, reference, ours, theirs)
    found = np.array([place[keys[0][i]] for i in chosen], np.int64)
    days = _days(np.asarray(ensemble.coordinate(names[0]))[chosen])
    dates = len({keys[0][i] for i in chosen})
    told = wanted or _go_together(ensemble, reference, chosen, found, _other_years([keys[0][i] for i in chosen]))
    if told is False:
        return None, (
            f"they share {dates} dates, but the ensemble is no nearer to the reference of a date than to that of other "
            "years, as that of a free-running model (paired=True, or --paired, insists)"
        )
    of = f"{dates} dates from {min(keys[0][i] for i in chosen)} to {max(keys[0][i] for i in chosen)}"
    return Pairing(
        chosen, found, _segments(days), f"paired by {of}, which both have{UNTOLD if told is None else ''}"
    ), ""


def _keys(times: np.ndarray, unit: str) -> list[str]:
    """Dates as text, up to a year, month, day or second."""
    length = {"year": 4, "month": 7, "day": 10, "second": 19}[unit]
    if times.dtype.kind == "M":
        return [text[:length].replace("T", " ") for text in np.datetime_as_string(times, unit="s")]
    return [time.strftime("%Y-%m-%d %H:%M:%S").strip().rjust(19, "0")[:length] for time in times]


def _places(keys: list[str], reference: FieldSet, name: str) -> dict[str, int]:
    place = {key: i for i, key in enumerate(keys)}
    if len(place) < len(keys):
        twice = next(key for i, key in enumerate(keys) if place[key] != i)
        raise DataError(f"{reference.source}: {name} has {twice} twice; drop one of the two.")
    return place


def _require_one_calendar(ensemble: FieldSet, reference: FieldSet, ours: xr.DataArray, theirs: xr.DataArray) -> None:
    first, second = calendar_of(ours), calendar_of(theirs)
    if first != second and not {first, second} <= REAL_WORLD:
        raise DataError(
            f"{ensemble.source} is in the calendar {first!r} and {reference.source} in {second!r}, so their dates are "
            f"not the same days; bring one to the other's with .convert_calendar({first!r}), or compare distributions "
            "only with paired=False (--unpaired)."
        )


def _days(times: np.ndarray) -> np.ndarray:
    """Days since the first time."""
    differences = times - times[0]
    if differences.dtype.kind == "m":
        return differences / np.timedelta64(1, "D")
    return np.array([difference.total_seconds() / 86400 for difference in differences])


def _segments(days: np.ndarray) -> Int[np.ndarray, " n"]:
    """Labels of stretches without a gap; where time goes back, as between members of a model, the next one begins."""
    steps = np.diff(days)
    usual = np.median(steps[steps > 0]) if np.any(steps > 0) else 0.0
    return np.concatenate([[0], np.cumsum((steps <= 0) | (steps > 1.5 * usual))]).astype(np.int64)


def _by_numbers(ensemble: FieldSet, reference: FieldSet, *, wanted: bool | None) -> tuple[Pairing | None, str]:
    """Pairs by the coordinates that count samples, or by position; believed where truth and members go together."""
    columns = [(ensemble.coordinate(d), reference.coordinate(d)) for d in reference.lead]
    if all(ours is not None and theirs is not None for ours, theirs in columns):
        keys = [list(zip(*(_texts(c[side]) for c in columns), strict=True)) for side in (0, 1)]
        place = {key: i for i, key in enumerate(keys[1])}
        chosen = np.array([i for i, key in enumerate(keys[0]) if key in place], np.int64)
        found, by = np.array([place[keys[0][i]] for i in chosen], np.int64), " and ".join(reference.lead)
    elif ensemble.n_samples == reference.n_samples:
        chosen = found = np.arange(ensemble.n_samples)
        by = "position"
    else:
        return None, "they have neither dates nor numbers of samples in common"
    if len(chosen) < (1 if wanted else 2):
        return None, f"they have {len(chosen) or 'no'} {by} in common"
    other = np.roll(np.arange(len(chosen)), len(chosen) // 2)
    if not wanted and not _go_together(ensemble, reference, chosen, found, other):
        return None, f"samples of one {by} are no nearer to each other than others, so they are no pairs"
    return Pairing(chosen, found, _runs(ensemble, chosen), f"paired by {by}: {len(chosen)} samples that both have"), ""


def _texts(values: Any) -> list[str]:
    return [f"{v:.9g}" if isinstance(v, float) else str(v) for v in np.asarray(values).tolist()]


def _runs(ensemble: FieldSet, chosen: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"] | None:
    """The run that each sample is of; None where samples do not follow each other in time."""
    if "time" not in ensemble.lead:
        return None
    outer = np.unravel_index(chosen, ensemble.counts)[:-1]
    return np.ravel_multi_index(outer, ensemble.counts[:-1]).astype(np.int64)


def _other_years(keys: list[str]) -> Int[np.ndarray, " n"]:
    """For each date one of another year and the same month, the nearest in day; −1 where there is none."""
    first: dict[tuple[str, int], dict[str, int]] = {}  # of a month and day, the first date of each of two years
    for i, key in enumerate(keys):
        years = first.setdefault((key[5:7], _day(key)), {})
        if len(years) < 2:  # whatever the year of a date is, one of two is another
            years.setdefault(key[:4], i)

    def other(key: str) -> int:
        year, month, day = key[:4], key[5:7], _day(key)
        for distance in range(LONGEST_MONTH):
            found = [first.get((month, near), {}) for near in {day - distance, day + distance}]
            if others := [i for years in found for y, i in years.items() if y != year]:
                return min(others)
        return -1

    return np.array([other(key) for key in keys], np.int64)


def _day(key: str) -> int:
    return int(key[8:10] or 1)


def _go_together(
    ensemble: FieldSet,
    reference: FieldSet,
    chosen: Int[np.ndarray, " n"],
    found: Int[np.ndarray, " n"],
    other: Int[np.ndarray, " n"],
) -> bool | None:
    """Whether the ensemble mean is nearer to its own truth than to another one; None where too few have another.

    Anomalies from the mean over all that are tried are compared, so that a bias does not hide a relation.
    """
    known = np.flatnonzero(other >= 0)
    tried = known[evenly_spaced(len(known), TRIED)]
    if len(tried) < min(FEWEST_TRIED, len(chosen)):
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of cells without any value
        means = _anomalies(np.stack([np.nanmean(ensemble.read(chosen[[i]])[0], axis=0) for i in tried]))
        own, others = (
            _anomalies(np.stack([reference.read(index[[i]])[0, 0] for i in tried])) for index in (found, found[other])
        )
        near, far = np.nanmean((means - own) ** 2), np.nanmean((means - others) ** 2)
    return bool(near < CLOSER * far)


def _anomalies(fields: np.ndarray) -> np.ndarray:
    return fields - np.nanmean(fields, axis=0)
