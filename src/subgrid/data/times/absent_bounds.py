"""Times whose bounds are named and not there, as where one variable was copied out of a file: what their span tells.

A series that was cut at years, months or days shows where its intervals lie: stamps from 2 January to 1 January are
whole years if each marks the end of its day, and nothing if it marks the beginning.
"""

import re
from datetime import timedelta
from typing import Any

import numpy as np
import xarray as xr

from subgrid.data.times.calendars import equal_step_days, is_monthly, starts_of

UNITS = ("times of day", "days", "months", "years")
"""Where both ends of a series may lie, the rarest by chance last."""


def named_bounds(coordinate: xr.DataArray) -> str | None:
    """The name of the bounds of a coordinate, whether they are there or not."""
    name = coordinate.encoding.get("bounds", coordinate.attrs.get("bounds"))
    return None if name is None else str(name)


def intervals_by_span(time: xr.DataArray, name: str, methods: str) -> tuple[np.ndarray | None, list[str]]:
    """The intervals of stamps whose bounds are missing, where their first and last tell that they are ends.

    Args:
        time: dates in order, as they are in the file.
        name: of the bounds.
        methods: of the variable, in lower case: instants have no intervals.

    Returns:
        Beginnings and ends (time, 2), None where stamps stay what they are taken for; and what is said.
    """
    if re.search(r"\btime: point\b", methods):
        return None, []
    absent = f"the bounds {name!r} are named, but are not in the file"
    neighbours = _neighbours(time)
    if neighbours is None:
        return None, [f"{absent}: each stamp is taken for the interval that it lies in"]
    before, after = neighbours
    first, last = time.values[0], time.values[-1]
    as_ends, as_starts = _cuts(before[0], last, time), _cuts(first, after[-1], time)
    if _speaks_for(as_ends, as_starts):
        unit = UNITS[max(as_ends)]
        return np.stack([before, time.values], 1), [
            f"{absent}; as the ends of their intervals, the stamps {_day(first)} to {_day(last)} begin or end with "
            f"whole {unit}, so they are taken for that, and moved to the middle; if they are the beginnings, drop the "
            "attribute 'bounds'"
        ]
    why = f", as these begin or end with whole {UNITS[max(as_starts)]}" if _speaks_for(as_starts, as_ends) else ""
    return None, [
        f"{absent}: the stamps {_day(first)} to {_day(last)} are taken for the beginnings of their intervals{why}; if "
        "they are the ends, write the bounds"
    ]


def _speaks_for(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether both ends are cut at least as well, and one of them better."""
    return one[0] >= other[0] and one[1] >= other[1] and one != other


def _cuts(begin: Any, end: Any, like: xr.DataArray) -> tuple[int, int]:
    """Of what both ends of a series are the beginning: 3 for a year, 2 for a month, 1 for a day, else 0."""
    dates = xr.DataArray(np.array([begin, end], like.dtype), dims="time")
    midnight = dates.values == starts_of(dates, "day")
    month = midnight & (np.asarray(dates.dt.day) == 1)
    year = month & (np.asarray(dates.dt.month) == 1)
    return tuple(int(n) for n in midnight.astype(int) + month + year)  # pyright: ignore[reportReturnType]


def _neighbours(time: xr.DataArray) -> tuple[np.ndarray, np.ndarray] | None:
    """The stamps one step before and after each; None where they are no edges of months, days or parts of a day."""
    if time.size < 2 or bool(time.isnull().any()):
        return None
    values = time.values
    if is_monthly(time):
        if not (values == starts_of(time, "month")).all():
            return None
        moved = (xr.DataArray(values + _days(n, time), dims="time") for n in (-1.0, 32.0))
        before, after = (starts_of(each, "month") for each in moved)
        return before, after
    step = equal_step_days(time)
    if step is None or step > 1 or round(86_400 * step) == 0 or 86_400 % round(86_400 * step):
        return None
    since = values - starts_of(time, "day")
    seconds = (
        np.array([each.total_seconds() for each in since]) if since.dtype == object else since / np.timedelta64(1, "s")
    )
    if (np.round(seconds) % round(86_400 * step)).any():
        return None
    return values - _days(step, time), values + _days(step, time)


def _days(n: float, like: xr.DataArray) -> Any:
    seconds = round(86_400 * n)
    return np.timedelta64(seconds, "s") if like.dtype.kind == "M" else timedelta(seconds=seconds)


def _day(time: Any) -> str:
    return str(time)[:10]
