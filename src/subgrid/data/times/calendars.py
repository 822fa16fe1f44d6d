"""Time in any CF calendar: phase of the year, season years, seasons and steps.

Times are datetime64 or cftime; nothing is converted to another calendar, so no day is invented or dropped.
"""

from datetime import timedelta
from typing import Literal, TypeVar

import numpy as np
import xarray as xr
from jaxtyping import Float, Int

from subgrid.data.fields import DataError

CALENDARS = frozenset(
    ("standard", "gregorian", "proleptic_gregorian", "noleap", "365_day", "all_leap", "366_day", "360_day", "julian")
)
"""Those of the CF conventions 1.11, section 4.4.1."""
SEASONS = "JFMAMJJASOND"
XarrayObject = TypeVar("XarrayObject", xr.Dataset, xr.DataArray)


def check_calendar(calendar: str, *, file: str) -> None:
    """Passes for a calendar that CF knows.

    Args:
        calendar: its name.
        file: for messages.

    Raises:
        DataError: for any other calendar.
    """
    if calendar.lower() not in CALENDARS:
        raise DataError(
            f"{file}: time has the unknown calendar {calendar!r}; set its attribute 'calendar' to one of "
            f"{', '.join(sorted(CALENDARS))}."
        )


def calendar_of(time: xr.DataArray) -> str:
    """The calendar of decoded times, such as "noleap"; datetime64 is "proleptic_gregorian".

    Args:
        time: decoded times of any CF calendar.

    Returns:
        Its CF name.

    Raises:
        DataError: if the times are not decoded.

    Examples:
        >>> calendar_of(dataset.time)
        'noleap'
    """
    _check_decoded(time)
    return str(time.dt.calendar)


def day_of_year_phase(time: xr.DataArray) -> Float[np.ndarray, " time"]:
    """Where in the year a time is: φ = (days since 1 January) / (days of that year), in [0, 1).

    The same season has the same phase, to a day, in a year of 360, 365 or 366 days.

    Args:
        time: decoded times of any CF calendar.

    Returns:
        φ of each time, float64.

    Raises:
        DataError: if the times are not decoded.

    Examples:
        >>> phase = day_of_year_phase(dataset.time)
        >>> anomalies = climatology.remove(values, phase)
    """
    _check_decoded(time)
    hours = time.dt.hour + time.dt.minute / 60 + time.dt.second / 3600
    days = time.dt.dayofyear - 1 + hours / 24
    return np.asarray(days / time.dt.days_in_year, np.float64)


def season_years(time: xr.DataArray) -> Int[np.ndarray, " time"]:
    """The season year that a time belongs to: December counts to the following year.

    So a winter (DJF) has one label, and whole years are cut between November and December.

    Args:
        time: decoded times of any CF calendar.

    Returns:
        The season year of each time.

    Raises:
        DataError: if the times are not decoded.

    Examples:
        >>> season_years(dataset.time)  # 1983 for December 1982 to November 1983
    """
    _check_decoded(time)
    return np.asarray(time.dt.year + (time.dt.month == 12), np.int64)


def split_by_parity(dataset: XarrayObject) -> tuple[XarrayObject, XarrayObject]:
    """(odd season years, even season years): two halves of an archive that share the trend but no season.

    Args:
        dataset: with times.

    Returns:
        Both halves.

    Raises:
        DataError: if one of the halves would be empty.

    Examples:
        >>> training, test = split_by_parity(open_climate("tas.nc"))
    """
    labels = season_years(dataset.coords["time"])
    odd = labels % 2 == 1
    if odd.all() or not odd.any():
        years = sorted(set(labels.tolist()))
        raise DataError(
            f"cannot split into odd and even season years: the archive holds only {years}; bring 2 or more."
        )
    return dataset.isel(time=np.flatnonzero(odd)), dataset.isel(time=np.flatnonzero(~odd))


def step_days(time: xr.DataArray) -> float | None:
    """The time step in days: the most frequent difference.

    Archives that hold only a season have gaps between the seasons, which the most frequent difference ignores.

    Args:
        time: decoded times of any CF calendar.

    Returns:
        The step; None for fewer than 2 times.

    Raises:
        DataError: if the times are not decoded.

    Examples:
        >>> step_days(dataset.time)  # 0.25 for 6-hourly times
    """
    days = _differences(time)
    if len(days) == 0:
        return None
    values, counts = np.unique(days, return_counts=True)
    return float(values[np.argmax(counts)])


def equal_step_days(time: xr.DataArray) -> float | None:
    """The time step in days where it never is shorter, and longer only across gaps; None for months and the like."""
    days, step = _differences(time), step_days(time)
    if step is None or np.mean(days == step) < 0.9 or days.min() < step:
        return None
    return step


def is_monthly(time: xr.DataArray) -> bool:
    """Whether times are a month apart: each month once, at its start, middle or end, as 30-day steps are not."""
    days = _differences(time)
    if len(days) == 0 or days.min() < 27 or not 28 <= (step_days(time) or 0) <= 31:
        return False
    months = np.asarray(12 * time.dt.year + time.dt.month)
    day = np.asarray(time.dt.day)
    from_end = np.asarray(time.dt.days_in_month) - day
    return len(np.unique(months)) == len(months) and bool(min(np.ptp(day), np.ptp(from_end)) <= 3)


def middle_of_months(time: xr.DataArray) -> np.ndarray:
    """The middle of the month that each time lies in, in its own calendar."""
    half = np.asarray(time.dt.days_in_month) * 12
    return starts_of(time, "month") + _hours(half, time)


def starts_of(time: xr.DataArray, period: Literal["day", "month"]) -> np.ndarray:
    """The beginning of the day or month that each time lies in.

    Args:
        time: decoded times of any CF calendar.
        period: "day" or "month".

    Returns:
        datetime64 or cftime, as the times are.
    """
    _check_decoded(time)
    if time.dtype.kind == "M":
        unit = "D" if period == "day" else "M"
        return time.values.astype(f"datetime64[{unit}]").astype(time.dtype)
    zero = {"hour": 0, "minute": 0, "second": 0, "microsecond": 0} | ({"day": 1} if period == "month" else {})
    return np.array([date.replace(**zero) for date in time.values], object)


def _hours(hours: np.ndarray, time: xr.DataArray) -> np.ndarray:
    if time.dtype.kind == "M":
        return hours.astype("timedelta64[h]")
    return np.array([timedelta(hours=int(each)) for each in hours], object)


def count_years(time: xr.DataArray) -> int:
    """How many years an archive holds: how often its most frequent month comes.

    Season years count December to the next year, so two calendar years touch three of them; they are two years.
    """
    _check_decoded(time)
    years = np.unique(np.stack([time.dt.month.values, time.dt.year.values]), axis=1)
    return int(np.bincount(years[0]).max())


def months_of(time: xr.DataArray) -> tuple[int, ...]:
    """The calendar months (1 to 12) that occur."""
    _check_decoded(time)
    return tuple(int(month) for month in np.unique(time.dt.month.values))


def season_name(months: tuple[int, ...]) -> str:
    """ "DJF" for (1, 2, 12), "all months" for twelve; months that do not follow each other are listed."""
    if len(months) == 12:
        return "all months"
    chosen = set(months)
    starts = [month for month in months if (month - 2) % 12 + 1 not in chosen]
    if len(starts) != 1 or not months:
        return "months " + ", ".join(map(str, months))
    letters = (SEASONS + SEASONS)[starts[0] - 1 :][: len(months)]
    return letters if len(months) > 1 else f"month {starts[0]}"


def step_name(days: float | None) -> str:
    """ "daily", "6-hourly", "monthly" and so on."""
    match days:
        case None:
            return "one time"
        case 1.0:
            return "daily"
        case _ if 28 <= days <= 31:
            return "monthly"
        case _ if 360 <= days <= 366:
            return "yearly"
        case _ if days < 1:
            return f"{days * 24:.3g}-hourly"
        case _:
            return f"every {days:.4g} days"


def _differences(time: xr.DataArray) -> np.ndarray:
    _check_decoded(time)
    differences = np.diff(time.values)
    if differences.dtype == object:
        seconds = np.array([d.total_seconds() for d in differences], np.float64)
    else:
        seconds = differences / np.timedelta64(1, "s")
    return np.round(seconds) / 86_400  # whole seconds: decoded to microseconds, not exactly


def _check_decoded(time: xr.DataArray) -> None:
    if not (np.issubdtype(time.dtype, np.datetime64) or time.dtype == object):
        raise DataError(
            f"time holds numbers ({time.dtype}), not dates; give it the attributes 'units' (such as "
            "'days since 1950-01-01') and 'calendar', or open the file with decode_times=True."
        )
