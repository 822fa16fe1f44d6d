"""Times that CF does not know, made ones that it does: dates written as numbers, and months or years since a date.

CDO's absolute axis has the units "day as %Y%m%d.%f" and values such as 20010131.5; other archives store 20010131
without units. Both are dates to be read, not lengths of time to be counted.
"""

import re
from collections.abc import Callable
from typing import Any

import cftime
import numpy as np
import xarray as xr

from subgrid.data.fields import DataError

TIME_NAMES = re.compile(r"(valid_?|forecast_)?(time|times|date|dates|month|months|year|years|day|days|t)\d*", re.I)
LAYOUTS = {"yyyymmddhh": 10, "yyyymmdd": 8, "yyyymm": 6, "yyyy": 4}
"""Of dates that are written as numbers, with their digits."""
PLAUSIBLE_YEARS = (1000, 3000)
REFERENCE, SECONDS = "1850-01-01", 86_400
FORTRAN = {"360": "360_day", "365": "365_day", "366": "366_day"}
"""Names of calendars before CF, as in archives of the IRI."""


def with_readable_times(dataset: xr.Dataset, *, file: str) -> tuple[xr.Dataset, tuple[str, ...]]:
    """A dataset that is not decoded yet, whose times all count from a date, as CF has it.

    Args:
        dataset: as it is in the file.
        file: for messages.

    Returns:
        The dataset, and what was read in which way, a sentence each.

    Raises:
        DataError: for numbers that should be dates and are none.

    Examples:
        >>> with_readable_times(xr.open_dataset("cdo.nc", decode_cf=False), file="cdo.nc")
    """
    notes: list[str] = []
    for name, variable in dataset.variables.items():
        if variable.dtype.kind not in "iuf" or variable.ndim > 1:
            continue
        if str(variable.attrs.get("calendar")) in FORTRAN:
            known = FORTRAN[str(variable.attrs["calendar"])]
            notes.append(f"{name}: calendar {variable.attrs['calendar']!r} is read as {known}")
            dataset = dataset.assign({name: variable.copy(deep=False)})
            dataset[name].attrs["calendar"] = known
        reader = _reader_of(dataset, str(name), file)
        if reader is not None:
            read, note = reader
            dataset = _replaced(dataset, str(name), read, file)
            notes.append(f"{name}: {note}")
    return dataset, tuple(notes)


Reader = Callable[[np.ndarray, str], np.ndarray]
"""From values and a calendar to seconds since `REFERENCE`."""


def _reader_of(dataset: xr.Dataset, name: str, file: str) -> tuple[Reader, str] | None:
    """How the values of a variable are to be read, if CF does not know it, and what to say of it."""
    variable = dataset.variables[name]
    units = str(variable.attrs.get("units", "")).strip()
    since = re.fullmatch(r"(month|year)s?\s+since\s+(.+)", units, re.I)
    if since:
        unit, start = since.group(1).lower(), since.group(2)
        return _counted(unit, start), f"{units!r} is read as {unit}s of the calendar, not of equal length"
    layout = _layout_of(units)
    if layout is not None:
        _refuse_single_precision(variable, name, file)
        return _written(layout), f"dates of the form {units!r} are read"
    if not _is_time(dataset, name) or re.search(r"\bsince\b", units) or variable.size == 0:
        return None
    layout = _layout_of_values(np.atleast_1d(variable.values))
    if layout is None:
        return None
    _refuse_single_precision(variable, name, file)
    first = np.ravel(variable.values)[0]
    return _written(layout), f"numbers such as {first:.10g} in units {units!r} are read as dates {layout.upper()}"


def _layout_of(units: str) -> str | None:
    """ "yyyymmdd" for "day as %Y%m%d.%f", "%Y%m%d" and "YYYY-MM-DD"; None for all else."""
    text = re.sub(r"^(second|hour|day|month|year)s?\s+as\s+", "", units.lower()).removesuffix(".%f")
    text = re.sub(r"\.[fd]+$", "", text)
    for code, letters in (("%y", "yyyy"), ("%m", "mm"), ("%d", "dd"), ("%h", "hh")):
        text = text.replace(code, letters)
    text = re.sub(r"[-_/ ]", "", text)
    return text if text in LAYOUTS else None


def _is_time(dataset: xr.Dataset, name: str) -> bool:
    attributes = dataset.variables[name].attrs
    if attributes.get("axis") == "T" or attributes.get("standard_name") == "time":
        return True
    return (bool(TIME_NAMES.fullmatch(name)) and "units" not in attributes) or name in ("time", "valid_time", "date")


def _layout_of_values(values: np.ndarray) -> str | None:
    """The layout by which every value is a plausible date; years alone could be anything."""
    if not np.isfinite(values).all():
        return None
    for layout, digits in list(LAYOUTS.items())[:-1]:
        parts = _parts(np.floor(values), layout)
        lowest, highest = PLAUSIBLE_YEARS
        year, month, day, hour = parts
        fits = (year >= lowest) & (year < highest) & (month >= 1) & (month <= 12) & (day >= 1) & (day <= 31)
        if (fits & (hour < 24) & (values < 10**digits)).all():
            return layout
    return None


def _parts(whole: np.ndarray, layout: str) -> tuple[np.ndarray, ...]:
    """Year, month, day and hour."""
    number, found = whole.astype(np.int64), {}
    for code in ("hh", "dd", "mm"):
        found[code] = number % 100 if code in layout else np.full_like(number, 0 if code == "hh" else 1)
        number = number // 100 if code in layout else number
    return number, found["mm"], found["dd"], found["hh"]


def _written(layout: str) -> Reader:
    """Of numbers that are dates; what follows the point is a part of the last of day, month and year."""

    def read(values: np.ndarray, calendar: str) -> np.ndarray:
        whole = np.floor(values + 1e-9)
        parts = np.stack(_parts(whole, layout), -1)
        starts = [cftime.datetime(*map(int, each), calendar=calendar) for each in parts]
        unit = {"yyyymm": "month", "yyyy": "year"}.get(layout, "day")
        return _with_fraction(starts, values - whole, unit, calendar)

    return read


def _counted(unit: str, start: str) -> Reader:
    """Of months or years since a date, counted on the calendar; a part is one of the month or year that it is in."""

    def read(values: np.ndarray, calendar: str) -> np.ndarray:
        first: Any = cftime.num2date(0, f"days since {start}", calendar, only_use_cftime_datetimes=True)
        whole = np.floor(values + 1e-9)
        starts = [_later(first, int(n) * (12 if unit == "year" else 1)) for n in whole]
        return _with_fraction(starts, values - whole, unit, calendar)

    return read


def _with_fraction(starts: list[Any], fraction: np.ndarray, unit: str, calendar: str) -> np.ndarray:
    number = lambda dates: np.asarray(cftime.date2num(dates, f"days since {REFERENCE}", calendar), float)  # noqa: E731
    begin = number(starts)
    months = {"day": 0, "month": 1, "year": 12}[unit]
    length = number([_later(each, months) for each in starts]) - begin if months else 1.0
    return np.round((begin + np.clip(fraction, 0, 1) * length) * SECONDS).astype(np.int64)


def _later(date: Any, months: int) -> Any:
    """The same day some months on, or the last of that month."""
    year, month = divmod(12 * date.year + date.month - 1 + months, 12)
    first = date.replace(year=year, month=month + 1, day=1)
    return first.replace(day=min(date.day, first.daysinmonth))


def _replaced(dataset: xr.Dataset, name: str, read: Reader, file: str) -> xr.Dataset:
    """The variable and its bounds as seconds since a date."""
    attributes = dataset.variables[name].attrs
    calendar = str(attributes.get("calendar", "standard")).lower()
    renewed = {"units": f"seconds since {REFERENCE}", "calendar": calendar}
    bounds = attributes.get("bounds")
    for each in (name, *((bounds,) if bounds in dataset.variables else ())):
        variable = dataset.variables[each]
        values = np.asarray(variable.values, np.float64)
        try:
            seconds = read(values.reshape(-1), calendar).reshape(values.shape)
        except (ValueError, OverflowError) as error:
            raise DataError(
                f"{file}: {each} in units {attributes.get('units', '')!r} holds {values.reshape(-1)[0]:.10g} and other "
                f"numbers that are no dates of the calendar {calendar}; set its attributes 'units' (such as "
                "'days since 1950-01-01') and 'calendar' to what they are."
            ) from error
        kept = {k: v for k, v in variable.attrs.items() if k not in ("_FillValue", "missing_value")}
        dataset = dataset.assign({each: (variable.dims, seconds, {**kept, **(renewed if each == name else {})})})
        dataset[each].encoding = {}
    return dataset.set_coords(name) if name in dataset.data_vars else dataset


def _refuse_single_precision(variable: xr.Variable, name: str, file: str) -> None:
    if variable.dtype == np.float32 and np.nanmax(np.abs(variable.values)) > 2**24:
        raise DataError(
            f"{file}: {name} holds dates such as {float(np.ravel(variable.values)[0]):.0f} in single precision, which "
            "cannot tell one day from the next; write its times in double precision or as integers."
        )
