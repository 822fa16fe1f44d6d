"""Time steps: what an archive has, and averages over days and months on request.

Averages are made of complete days or months only. Rates and states are averaged; a daily maximum is one of its hours,
and its monthly value is the mean of the daily maxima, as CMIP has it.
"""

import re
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import dask.array as da
import numpy as np
import xarray as xr

from subgrid.data.blocks import BLOCK_BYTES
from subgrid.data.fields import DataError
from subgrid.data.times.calendars import is_monthly, middle_of_months, starts_of, step_days, step_name
from subgrid.data.times.ends import earlier
from subgrid.data.variables.quantities import describe, extreme_of
from subgrid.data.variables.units import is_amount

Step: TypeAlias = Literal["day", "month"]
How: TypeAlias = Literal["mean", "maximum", "minimum", "sum"]
STEPS: tuple[Step, ...] = ("day", "month")
NAMES = {"day": "daily", "month": "monthly"}
DAY = 86_400
"""In seconds."""


def name_of_step(time: xr.DataArray) -> str | None:
    """The time step in words, such as "3-hourly"; None for fewer than 2 times."""
    days = step_days(time)
    return None if days is None else step_name(days)


def common_step(*names: str | None) -> Step | None:
    """The shortest of "day" and "month" to which archives of these steps can be averaged; None where there is none."""
    daily = all(name is None or name == "daily" or name.endswith("hourly") for name in names)
    if daily:
        return "day"
    return "month" if all(n is None or n in ("daily", "monthly") or n.endswith("hourly") for n in names) else None


def check_one_step(datasets: Sequence[xr.Dataset], files: Sequence[str]) -> None:
    """Passes if the parts of an archive have one time step: what daily and monthly times have in common is chance.

    Args:
        datasets: canonical, each with its variables.
        files: that each of them is from.

    Raises:
        DataError: with two files of different steps, and the step to which both can be averaged.
    """
    known: dict[str, int] = {}
    for i, data in enumerate(datasets):
        if "time" in data.dims and data.sizes["time"] > 2:
            known.setdefault(name_of_step(data["time"]) or "", i)
    if len(known) < 2:
        return
    (one, i), (two, j) = list(known.items())[:2]
    names = [", ".join(map(str, datasets[k].data_vars)) for k in (i, j)]
    raise DataError(
        f"{files[i]} holds {names[0]} {one}, and {files[min(j, len(files) - 1)]} holds {names[1]} {two}; "
        f"{advice(one, two)}, or bring files of one time step."
    )


def advice(*names: str | None) -> str:
    """How archives of these steps can be brought to one.

    Args:
        names: of their steps, from `name_of_step`.

    Returns:
        A clause.
    """
    step = common_step(*names)
    if step is None:
        return "average the finer one before, for instance with dataset.resample(time='YS').mean()"
    return (
        f"average both with step = '{step}' (climate.step in a configuration, --step {step} of "
        f"`subgrid inspect` and `subgrid verify`, --set step={step} of `subgrid fit`)"
    )


def how_to_average(field: xr.DataArray) -> How:
    """How the values of a day become one, by the cell methods, else by the name.

    "maximum" and "minimum" for extremes, "sum" for sums that have no rate, else "mean".
    """
    return said_how(field) or "mean"


def said_how(field: xr.DataArray) -> How | None:
    """How the values of a day become one, where the cell methods or the name say it; None where nothing does."""
    methods = _methods(field)
    for how in ("maximum", "minimum"):
        if re.search(rf"\btime\s*:\s*{how}\b", methods):
            return how
    if (named := extreme_of(str(field.name))) is not None:
        return named
    if re.search(r"\btime\s*:\s*sum\b", methods):
        return "sum" if describe(field).kind.units is None else None
    return "mean" if re.search(r"\btime\s*:\s*mean\b", methods) else None


def _methods(field: xr.DataArray) -> str:
    return str(field.attrs.get("cell_methods", "")).lower()


def averaged(dataset: xr.Dataset, step: Step, *, file: str) -> tuple[xr.Dataset, tuple[str, ...]]:
    """A canonical dataset of one variable at another time step, lazily; of complete days or months only.

    Args:
        dataset: of one variable, its times in order.
        step: "day" or "month".
        file: for messages.

    Returns:
        The dataset, the times of days at their start and those of months in their middle, and what was done.

    Raises:
        DataError: for an archive of longer steps, of steps that do not fill a day, or without a complete day or month,
            and for a single time that nothing says the step of.
        ValueError: for an unknown step.

    Examples:
        >>> averaged(open_climate("hourly.nc"), "day", file="hourly.nc")
    """
    if step not in STEPS:
        raise ValueError(f"step must be 'day' or 'month', got {step!r}.")
    (name,) = dataset.data_vars
    field = dataset[name]
    if "time" not in field.dims or _is_of(field, step):
        return dataset, ()
    days, how = _step_of(field, step, file), how_to_average(field)
    if step == "month" and days < 1 and how in ("maximum", "minimum"):
        within, notes = averaged(dataset, "day", file=file)
        whole, said = averaged(within, "month", file=file)
        return whole, (*notes, *said)
    over = "mean" if step == "month" and how in ("maximum", "minimum") else how
    at_end = _at_end(field) if days < 1 else ""
    within = earlier(field["time"], days * DAY / 2) if at_end else field["time"]
    first, count, dropped = _complete(within, step, days)
    if not len(first):
        raise DataError(f"{file}: {name} is {step_name(days)} and holds no complete {step}; bring more of it.")
    starts = within.isel(time=first)
    times = middle_of_months(starts) if step == "month" else starts_of(starts, "day")
    result = dataset.isel(time=first).assign_coords(time=("time", times, dataset["time"].attrs))
    values = _reduced(field, first, count, over, file)
    methods = f"time: {how} within days time: mean over days" if over != how else f"time: {over}"
    result[name] = (field.dims, values, {**field.attrs, "cell_methods": methods})
    result[name].encoding = dict(field.encoding)
    said = _sentence(str(name), step, step_name(days), how, over, len(first), dropped)
    return result, (said + _of_stamps(at_end, field),)


def _is_of(field: xr.DataArray, step: Step) -> bool:
    """Whether a variable has a step already; of a single time its bounds tell, or the cell methods of a day."""
    from subgrid.data.checks.fills import STEP_DAYS

    if field.sizes["time"] > 1:
        return name_of_step(field["time"]) == NAMES[step]
    days = field.encoding.get(STEP_DAYS)
    if days is not None:
        return step_name(days) == NAMES[step]
    return step == "day" and re.search(r"\bwithin days\b(?!.*\bover\b)", _methods(field)) is not None


def _at_end(field: xr.DataArray) -> str | None:
    """What says that the stamps of an archive are at the end of their steps; None where nothing is known of them."""
    from subgrid.data.checks.fills import STORED

    said = [stored.at_end for stored in field.encoding.get(STORED) or []]
    return next((each for each in said if each is not None), None)


def _of_stamps(at_end: str | None, field: xr.DataArray) -> str:
    """Where stamps are taken to be in their steps, which is a choice where values are of steps and no bounds say it."""
    from subgrid.data.pooling.pooling import UNITS_FOUND, UNITS_GIVEN

    if at_end:
        return f"; stamps are taken for the ends of their steps ({at_end})"
    units = field.encoding.get(UNITS_GIVEN) or field.encoding.get(UNITS_FOUND) or ""
    if at_end is None and is_amount(describe(field).quantity, str(units)):
        return "; stamps are taken for the beginnings of their steps: if they are the ends, write bounds of the times"
    return ""


def _step_of(field: xr.DataArray, step: Step, file: str) -> float:
    days = step_days(field["time"])
    if days is None:
        raise DataError(
            f"{file}: {field.name} has one time, and nothing says that it is a {NAMES[step]} value; write bounds of "
            f"the times if it is one, else leave step = {step!r} out or bring more times."
        )
    if days > (1 if step == "day" else 27) or is_monthly(field["time"]):
        raise DataError(
            f"{file}: {field.name} is {step_name(days)}, which no average makes {NAMES[step]}; ask for a longer step, "
            "or bring a finer archive."
        )
    seconds = round(days * DAY)
    if seconds < 1 or DAY % seconds:
        raise DataError(
            f"{file}: {field.name} has steps of {24 * days:.4g} hours, which do not fill a day; average it before, for "
            f"instance with dataset.resample(time='{'D' if step == 'day' else 'MS'}').mean()."
        )
    return days


def _complete(time: xr.DataArray, step: Step, days: float) -> tuple[np.ndarray, np.ndarray, int]:
    """The first index and the number of times of each complete day or month, and how many others there are."""
    starts = starts_of(time, step)
    first = np.flatnonzero(np.concatenate([[True], starts[1:] != starts[:-1]]))
    count = np.diff(np.append(first, time.size))
    length = np.asarray(time.dt.days_in_month)[first] if step == "month" else 1
    complete = count == np.round(length / days)
    return first[complete], count[complete], int((~complete).sum())


def _reduced(field: xr.DataArray, first: np.ndarray, count: np.ndarray, how: How, file: str) -> Any:
    """One value a period, block by block of whole periods, each checked before."""
    from subgrid.data.checks.unaveraged import Unaveraged  # which knows of pooling, as that of steps

    watch = Unaveraged(field, file)
    axis, array = field.dims.index("time"), field.data
    array = array if isinstance(array, da.Array) else da.from_array(array)
    per_time = max(4 * field.size // field.sizes["time"], 1)
    parts, at = [], 0
    while at < len(first):
        end = at + 1
        while (
            end < len(first)
            and first[end] == first[end - 1] + count[end - 1]
            and ((first[end] + count[end] - first[at]) * per_time <= BLOCK_BYTES)
        ):
            end += 1
        chosen = [slice(None)] * field.ndim
        chosen[axis] = slice(int(first[at]), int(first[end - 1] + count[end - 1]))
        block: Any = array[tuple(chosen)]
        block = block.rechunk({axis: -1})
        chunks = [*block.chunks]
        chunks[axis] = (end - at,)
        options = {"starts": first[at:end] - first[at], "count": count[at:end], "axis": axis, "how": how}
        options |= {"watch": watch, "begin": int(first[at])}
        parts.append(
            block.map_blocks(
                _reduce_block, chunks=tuple(chunks), dtype=np.float32, meta=np.empty(0, np.float32), **options
            )
        )
        at = end
    return da.concatenate(parts, axis)


def _reduce_block(
    block: np.ndarray,
    *,
    starts: np.ndarray,
    count: np.ndarray,
    axis: int,
    how: How,
    watch: Any,
    begin: int,
    block_info: Any = None,
) -> np.ndarray:
    """A period with a missing value has none: its average would be of other hours than its neighbours'."""
    at = [slice(*edges) for edges in block_info[0]["array-location"]]
    at[axis] = slice(begin, begin + block.shape[axis])
    watch.check(block, at)
    if how == "maximum":
        return np.maximum.reduceat(block, starts, axis).astype(np.float32)
    if how == "minimum":
        return np.minimum.reduceat(block, starts, axis).astype(np.float32)
    total = np.add.reduceat(block, starts, axis, dtype=np.float64)
    if how == "mean":
        total = total / count.reshape([-1 if d == axis else 1 for d in range(block.ndim)])
    return total.astype(np.float32)


def _sentence(name: str, step: Step, before: str, how: How, over: How, n: int, dropped: int) -> str:
    what = {"mean": "means", "maximum": "maxima", "minimum": "minima", "sum": "sums"}[over]
    of = f" of its daily {'maxima' if how == 'maximum' else 'minima'}" if over != how else ""
    lost = f"; {dropped} incomplete {step}{'s are' if dropped > 1 else ' is'} dropped" if dropped else ""
    return f"{name}: {before} values become {n} {NAMES[step]} {what}{of}, each {step} from 00:00 on{lost}"
