"""Time stamps: where the times of a variable are in a file, and which instant of its interval a stamp stands for.

Afterwards a variable has the dimension "time" with one date each, whatever its times were called, whether they were a
single one, those of forecasts, or texts. Means of a day or less keep their stamps where these lie in the interval that
they are for; those of longer intervals have them in the middle, so that a climatology has the right phase.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import xarray as xr

from subgrid.data.fields import TEXT_KINDS, DataError
from subgrid.data.times.absent_bounds import intervals_by_span, named_bounds
from subgrid.data.times.calendars import equal_step_days, is_monthly, middle_of_months
from subgrid.data.times.climatologies import refuse_climatology
from subgrid.data.times.forecasts import TEXT_DATE, as_one_series, is_dated
from subgrid.data.times.given_bounds import is_missing, time_bounds_of

TIME_DIMS = (
    "time",
    "valid_time",
    "t",
    "date",
    "day",
    "Time",
    "Times",
    "time_counter",
    "month",
    "year",
    "forecast_time",
)
REFERENCE_TIMES = ("forecast_reference_time",)
FIXED_NAMES = re.compile(
    r"orog\w*|topo\w*|elev\w*|altitude|dem|hgt|lsm|sftlf|sftgif|land_?(sea)?_?mask|landmask|mask|z|areacell[ao]", re.I
)
FIXED_STANDARD_NAMES = re.compile(
    r"surface_altitude|surface_geopotential(_height)?|land(_ice)?_(binary_mask|area_fraction)|cell_area"
)
"""Of fields that one time says nothing of."""
DATED_STANDARD_NAMES = re.compile(r"(?!land|surface).*(_area_fraction|_binary_mask)|geopotential_height")
"""Of fields that change, whatever their names."""
LEVELS = re.compile(r"p|plev|lev(el)?|pressure(_level)?|pres|isobaric\w*|height|model_level\w*|hybrid", re.I)
"""Coordinates of what is no field of the surface: the geopotential of 500 hPa is not that of the ground."""
MIDDLE = 1.6
"""Days from the middle of a month within which a stamp stands for it: the 15th of 31 days is one and a half away."""
FEWEST_STAMPS = 3
"""Of files of one time each, that tell a step of a day or less: two may be any two days."""
CutStep: TypeAlias = Literal["month"] | float
LONG = 1.5
"""Days from which on a mean is stamped in the middle of its interval: below, a phase is right to less than a day."""


@dataclass(frozen=True)
class Stamped:
    """A dataset whose variable has canonical times.

    Args:
        dataset: with the dimension "time", where the variable has times.
        lengths: of the intervals in days: one number, or one each (time,); None where they are not known.
        notes: what was moved, flattened or read in which way, a sentence each.
        dim: the dimension of time in the file, if it has one whose dates are its coordinate.
        bounded: whether bounds say which interval each time is of.
    """

    dataset: xr.Dataset
    lengths: float | xr.DataArray | None
    notes: tuple[str, ...]
    dim: str | None = None
    bounded: bool = False

    @property
    def only_length(self) -> float | None:
        """Days that a single time is for, where that is known; None for several, whose distance tells."""
        if self.lengths is None or self.dataset.sizes.get("time") != 1:
            return None
        return float(np.ravel(self.lengths)[0])


def with_canonical_times(dataset: xr.Dataset, variable: str, *, file: str, step: CutStep | None = None) -> Stamped:
    """A variable with the dimension "time" and a date for each, in the middle of its interval where that is long.

    Args:
        dataset: decoded.
        variable: in it.
        file: for messages.
        step: of the series that it is a part of, as `step_of_parts` finds it: one time alone does not tell.

    Returns:
        The dataset, the lengths of the intervals, and notes.

    Raises:
        DataError: for a dimension of time without dates, forecasts whose valid times come twice, bounds that do not
            belong to their stamps, and climatologies.

    Examples:
        >>> with_canonical_times(xr.open_dataset("cesm.nc"), "TREFHT", file="cesm.nc").lengths
    """
    own, held = dataset[variable].dims, [*dataset.variables]
    dataset, notes = as_one_series(dataset, variable, file)
    found = _axis(dataset, variable, file)
    if found is None:
        return Stamped(dataset, None, notes)
    dim, name = found
    time, (bounds, told) = dataset[name], time_bounds_of(dataset, name)
    refuse_climatology(dataset, variable, time, file=file)
    values, said = _dates(time, file)
    dataset, moved, absent = _renamed(dataset, dim, name, values), [], named_bounds(time)
    absent = absent if bounds is None and absent not in held else None
    if absent is not None:
        bounds, told = _by_span(dataset["time"], absent, _cell_methods(dataset, variable))
    if bounds is not None and values.dtype.kind == bounds.dtype.kind and dataset["time"].size:
        centred, lengths, moved = _centred(dataset["time"], bounds.values, _cell_methods(dataset, variable), file)
        moved = moved if absent is None else []
    elif (step == "month" or is_monthly(dataset["time"])) and not dataset["time"].isnull().any():
        centred, lengths, moved = _middle_of_months(dataset["time"])
    else:
        centred, lengths = values, _equal_step(dataset["time"]) or (None if step == "month" else step)
    dataset = dataset.assign_coords(time=("time", centred, dataset["time"].attrs))
    said = (*notes, *(f"time: {each}" for each in (*said, *told, *moved)))
    own_dim = dim if dim == name and dim in own else None
    return Stamped(dataset, _along(lengths, dataset), said, own_dim, bounds is not None)


def step_of_parts(parts: Sequence[tuple[xr.Dataset, str, str]]) -> CutStep | None:
    """The time step of a variable that is cut into files of one time, which no file can tell alone.

    Args:
        parts: a decoded dataset, the name of the variable in it and the file, for each file that holds the variable.

    Returns:
        "month" or a number of days up to 1, if some file has one time without bounds and the times of all without
        bounds are so far apart; else None.

    Examples:
        >>> step_of_parts([(january, "tas", "tas_200101.nc"), (february, "tas", "tas_200102.nc")])
        'month'
    """
    stamps = [values for part in parts if (values := _own_stamps(*part)) is not None and values.size]
    if len(stamps) < 2 or min(map(len, stamps)) > 1 or len({values.dtype.kind for values in stamps}) > 1:
        return None
    every = np.concatenate(stamps)
    if is_missing(every) or len({getattr(each, "calendar", "") for each in every}) > 1:
        return None
    time = xr.DataArray(np.unique(every), dims="time")
    if is_monthly(time):
        return "month"
    days = equal_step_days(time) if time.size >= FEWEST_STAMPS else None
    return days if days is not None and days <= 1 else None


def has_dates(dataset: xr.Dataset, variable: str) -> bool:
    """Whether a variable has a date for each of its fields; times that are numbers are none."""
    return dated_by(dataset, variable) is not None


def dated_by(dataset: xr.Dataset, variable: str) -> str | None:
    """The coordinate that holds the date of each field of a variable; None for a variable without dates."""
    try:
        found = _axis(dataset, variable, variable)
    except DataError:
        return None
    return found[1] if found is not None and is_dated(dataset[found[1]].variable) else None


def _own_stamps(dataset: xr.Dataset, variable: str, file: str) -> np.ndarray | None:
    """The dates of a variable as they are in a file; None where bounds or forecasts say what they stand for."""
    try:
        found = _axis(dataset, variable, file)
        if found is None or dataset[found[1]].ndim > 1 or time_bounds_of(dataset, found[1])[0] is not None:
            return None
        if as_one_series(dataset, variable, file)[1]:
            return None
        return _dates(dataset[found[1]], file)[0]
    except DataError:  # said where the file itself is opened
        return None


def _axis(dataset: xr.Dataset, variable: str, file: str) -> tuple[str | None, str] | None:
    """The dimension of time, None for a single time, and the coordinate that dates it; None for a field without."""
    field = dataset[variable]
    dated = [str(n) for n, c in dataset.variables.items() if is_dated(c) and set(c.dims) <= set(field.dims)]
    along = sorted((n for n in dated if dataset[n].ndim == 1), key=lambda n: _rank(dataset, n, n in field.dims))
    if along:
        return str(dataset[along[0]].dims[0]), along[0]
    named = [str(d) for d in field.dims if d in field.coords and field[d].attrs.get("axis") == "T"]
    named += [d for d in TIME_DIMS if d in field.dims and d not in named]
    if named and named[0] not in field.coords:
        raise DataError(f"{file}: {variable} has a dimension {named[0]!r} without dates; add them as a coordinate.")
    if named:
        return named[0], named[0]
    single = sorted((n for n in dated if dataset[n].ndim == 0), key=lambda n: _rank(dataset, n, n == "time"))
    if not single or _is_fixed(field) or _rank(dataset, single[0], True)[0] > 1:
        return None
    return None, single[0]


def _rank(dataset: xr.Dataset, name: str, of_dimension: bool) -> tuple[int, bool]:
    """Valid times before others, those that forecasts start from last."""
    described = str(dataset[name].attrs.get("standard_name", ""))
    if name == "valid_time":
        return 0, not of_dimension
    if described in REFERENCE_TIMES or name in REFERENCE_TIMES:
        return 3, not of_dimension
    return (1 if described == "time" or of_dimension else 2), not of_dimension


def _is_fixed(field: xr.DataArray) -> bool:
    described = str(field.attrs.get("standard_name", ""))
    if FIXED_STANDARD_NAMES.fullmatch(described):
        return True
    if DATED_STANDARD_NAMES.fullmatch(described) or not FIXED_NAMES.fullmatch(str(field.name)):
        return False
    aloft = any(LEVELS.fullmatch(str(name)) or c.attrs.get("axis") == "Z" for name, c in field.coords.items())
    return not (aloft and str(field.name).lower() in ("z", "hgt"))


def _renamed(dataset: xr.Dataset, dim: str | None, name: str, values: np.ndarray) -> xr.Dataset:
    """The dates as the coordinate "time" of a dimension "time", of size 1 where there was none."""
    attributes = {k: v for k, v in dataset[name].attrs.items() if k not in ("bounds", "units", "calendar")}
    dataset = dataset.drop_vars([n for n in {"time", dim, name} if n in dataset.variables])
    if dim != "time" and "time" in dataset.dims:
        dataset = dataset.drop_dims("time")
    if dim is None:
        return dataset.expand_dims("time").assign_coords(time=("time", values.reshape(1), attributes))
    return dataset.rename({dim: "time"} if dim != "time" else {}).assign_coords(time=("time", values, attributes))


def _dates(time: xr.DataArray, file: str) -> tuple[np.ndarray, list[str]]:
    """Decoded times as they are, texts read; a `DataError` for numbers."""
    try:
        values = np.atleast_1d(time.values)
    except Exception as error:  # times that are decoded when they are read
        units, calendar = (time.encoding.get(k, time.attrs.get(k)) for k in ("units", "calendar"))
        raise DataError(
            f"{file}: {time.name} holds values that are no dates in its units {units!r} and its calendar {calendar!r}, "
            "or is damaged; correct these attributes, or write the file again."
        ) from error
    if values.dtype.kind == "M" or (values.dtype == object and hasattr(values[0], "calendar")):
        return values, []
    if values.dtype.kind in TEXT_KINDS:
        texts = [v.decode(errors="replace") if isinstance(v, bytes) else str(v) for v in values]
        return np.array([_date_of(text.strip(), str(time.name), file) for text in texts], "datetime64[ns]"), [
            f"the texts of {time.name}, such as {texts[0]!r}, are read as dates"
        ]
    units = time.attrs.get("units")
    raise DataError(
        f"{file}: time holds numbers ({time.dtype}{'' if units is None else f' in units {units!r}'}), not dates, such "
        f"as {values[0]}; give {time.name} the attributes 'units' (such as 'days since 1950-01-01') and 'calendar'."
    )


def _date_of(text: str, name: str, file: str) -> np.datetime64:
    found = TEXT_DATE.fullmatch(text)
    if found is None:
        raise DataError(f"{file}: {name} holds the text {text!r}, which is no date such as '2001-01-31T12:00:00'.")
    year, month, day, hour, minute, second = (part or "00" for part in found.groups())
    return np.datetime64(f"{year}-{month}-{day}T{hour}:{minute}:{second}")


def _by_span(time: xr.DataArray, name: str, methods: str) -> tuple[xr.DataArray | None, list[str]]:
    pairs, told = intervals_by_span(time, name, methods)
    return None if pairs is None else xr.DataArray(pairs, dims=("time", "bnds")), told


def _cell_methods(dataset: xr.Dataset, variable: str) -> str:
    return str(dataset[variable].attrs.get("cell_methods", "")).lower()


def _centred(
    time: xr.DataArray, bounds: np.ndarray, methods: str, file: str
) -> tuple[np.ndarray, np.ndarray | float | None, list[str]]:
    """Stamps in the middle of intervals, or as they are, the lengths in days, and what was moved."""
    stamps, pairs = time.values, bounds.reshape(-1, 2)
    if is_missing(pairs) or re.search(r"\btime: point\b", methods):
        return stamps, _equal_step(time), []
    early, late = np.minimum(*pairs.T), np.maximum(*pairs.T)
    lengths = _days(late - early)
    if (lengths == 0).all():  # of instants
        return stamps, _equal_step(time), []
    _require_near(time, early, late, lengths, file)
    middle = early + (late - early) / 2
    outside = (stamps < early) | (stamps >= late)
    moves = (lengths > LONG) | outside
    really = moves & (np.abs(_days(middle - stamps)) > 1e-6)
    moved = int(really.sum())
    centred = np.where(moves, middle, stamps) if moved else stamps
    length = float(lengths[0]) if np.allclose(lengths, lengths[0]) else lengths
    if not moved:
        return stamps, length, []
    ends = " at the end of" if (stamps == late)[really].mean() > 0.5 else " not in the middle of"
    which = "stamps are" if moved == len(stamps) else f"{moved} of {len(stamps)} stamps are"
    first = int(np.argmax(really))
    return centred, length, [
        f"{which} moved to the middle of their bounds ({_show(stamps[first])} to {_show(centred[first])}): they were"
        f"{ends} the intervals"
    ]  # fmt: skip


def _require_near(time: xr.DataArray, early: np.ndarray, late: np.ndarray, lengths: np.ndarray, file: str) -> None:
    """A `DataError` for stamps further from their intervals than these are long."""
    stamps = time.values
    away = np.maximum(_days(early - stamps), _days(stamps - late))
    if (away > lengths + 1e-6).any():
        k = int(np.argmax(away > lengths + 1e-6))
        raise DataError(
            f"{file}: time {_show(stamps[k])} is far from its bounds, {_show(early[k])} to {_show(late[k])}, so one of "
            "them is wrong: if it is the bounds, remove them from the file; if it is the time, set it to a time within "
            "its bounds."
        )


def _middle_of_months(time: xr.DataArray) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Monthly stamps without bounds: each is taken for the month that it lies in."""
    middle = middle_of_months(time)
    away, lengths = np.abs(_days(middle - time.values)), np.asarray(time.dt.days_in_month, np.float64)
    notes = []
    if away.max() > MIDDLE:
        notes.append(
            "monthly stamps without bounds are moved to the middle of the months that they lie in "
            f"({_show(time.values[0])} to {_show(middle[0])}); if they mark the end of the month before, write bounds "
            "of the times"
        )
    return middle, lengths, notes


def _equal_step(time: xr.DataArray) -> float | None:
    return equal_step_days(time) if time.size > 1 and not time.isnull().any() else None


def _along(lengths: Any, dataset: xr.Dataset) -> float | xr.DataArray | None:
    return xr.DataArray(lengths, dims="time") if isinstance(lengths, np.ndarray) else lengths


def _days(differences: np.ndarray) -> np.ndarray:
    if differences.dtype == object:
        return np.array([each.total_seconds() / 86_400 for each in differences], np.float64)
    return differences / np.timedelta64(1, "D")


def _show(time: Any) -> str:
    text = str(np.datetime_as_string(time, unit="s") if isinstance(time, np.datetime64) else time).replace("T", " ")
    return text.removesuffix(" 00:00:00").removesuffix(":00")
