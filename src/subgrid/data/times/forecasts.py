"""Forecasts in files: starts and steps, as cfgrib writes them, as one series of valid times."""

import re
from typing import Any

import numpy as np
import xarray as xr

from subgrid.data.blocks import BLOCK_BYTES
from subgrid.data.fields import TEXT_KINDS, DataError
from subgrid.data.pooling.members import member_dim

TEXT_DATE = re.compile(r"(\d{4})-?(\d\d)-?(\d\d)(?:[T_ ]?(\d\d):?(\d\d)?(?::?(\d\d))?)?(?:\.0*)?Z?")
NANOSECONDS = {
    "week": 604_800e9, "day": 86_400e9, "hour": 3_600e9, "minute": 60e9, "second": 1e9, "millisecond": 1e6,
    "microsecond": 1e3, "nanosecond": 1.0,
}  # fmt: skip
"""In the units of forecast steps."""
SHORT_UNITS = {"h": "hour", "hr": "hour", "d": "day", "min": "minute", "sec": "second", "": "second", "s": "second"}
"""Without the plural s: that of seconds, "s", is none."""
LOOKED_AT = {"starts": 5, "steps": 400, "across": 8}
"""Of an amount: at most so many starts, steps, and cells along each dimension of space; at most 0.5 MiB."""


def as_one_series(dataset: xr.Dataset, variable: str, file: str) -> tuple[xr.Dataset, tuple[str, ...]]:
    """Forecasts (start, step) as a series of their valid times, where each comes once and in order.

    Args:
        dataset: decoded.
        variable: in it.
        file: for messages.

    Returns:
        The dataset with the variable along "valid_time", as it is where it holds no forecasts of several steps; and
        what was done.

    Raises:
        DataError: for forecasts that overlap, and sums since the start of a forecast.

    Examples:
        >>> as_one_series(xr.open_dataset("seas5.nc"), "t2m", file="seas5.nc")
    """
    field = dataset[variable]
    pair = _forecast_dims(dataset, field, file)
    if pair is None:
        return dataset, ()
    start, step, valid = pair
    times = np.asarray(valid.transpose(start, step).values).reshape(-1)
    _refuse_running_sums(field, start, step, file)
    field = _lazy(field, start, step)
    ordered = len(times) < 2 or bool((times[1:] > times[:-1]).all())
    if not ordered:
        raise DataError(
            f"{file}: {variable} holds forecasts of {field.sizes[step]} steps from {field.sizes[start]} starts, whose "
            f"valid times overlap; choose what is one series: one step of each forecast, dataset.isel({step}=0), or "
            f"one forecast, dataset.isel({start}=0)."
        )
    lead = [d for d in field.dims if d not in (start, step)]
    flat = field.transpose(start, step, *lead).stack(valid_time=(start, step), create_index=False)
    flat = flat.drop_vars([n for n in flat.coords if {start, step, "valid_time"} & {n, *flat[n].dims}])
    kept = dataset.drop_vars(
        [n for n in dataset.variables if {start, step} & {n, *dataset[n].dims}] + [variable], errors="ignore"
    )
    merged = kept.drop_vars("valid_time", errors="ignore").assign(
        {variable: flat.transpose("valid_time", *lead).variable}
    )
    merged = merged.assign_coords(valid_time=("valid_time", times, {"standard_name": "time"}))
    return merged, (f"time: {field.sizes[step]} steps of {field.sizes[start]} forecasts are one series of valid times",)


def _forecast_dims(dataset: xr.Dataset, field: xr.DataArray, file: str) -> tuple[str, str, xr.DataArray] | None:
    """The dimensions of starts and of steps of forecasts, and the valid times (start, step)."""
    for valid in dataset.variables.values():
        if valid.ndim == 2 and set(valid.dims) <= set(field.dims) and valid.dtype.kind in "MO":
            dims = [str(d) for d in valid.dims]
            dated = [d for d in dims if d in dataset.variables and is_dated(dataset.variables[d])]
            if len(dated) == 1:
                step = next(d for d in dims if d != dated[0])
                return dated[0], step, xr.DataArray(valid)
    steps = [str(d) for d in field.dims if d in field.coords and _is_step(field[d])]
    starts = [str(d) for d in field.dims if d in field.coords and is_dated(field[d].variable)]
    if len(steps) != 1 or len(starts) != 1:
        return None
    after = _as_timedelta(field[steps[0]], file)
    return starts[0], steps[0], field[starts[0]].reset_coords(drop=True) + after.reset_coords(drop=True)


def _is_step(coordinate: xr.DataArray) -> bool:
    return coordinate.attrs.get("standard_name") == "forecast_period" or coordinate.dtype.kind == "m"


def _as_timedelta(step: xr.DataArray, file: str) -> xr.DataArray:
    """Steps as lengths of time; a `DataError` for units of no fixed length, or that are not known."""
    if step.dtype.kind == "m":
        return step
    units = str(step.attrs.get("units", "")).strip() or "hours"
    unit = units.lower().rstrip("s")
    nanoseconds = NANOSECONDS.get(SHORT_UNITS.get(unit, unit))
    if nanoseconds is None:
        raise DataError(
            f"{file}: the forecast steps {step.name} are in {units!r}, which is no fixed length of time; give them in "
            "days, hours or weeks, or add a coordinate 'valid_time' of starts and steps with the dates."
        )
    return step.copy(data=np.round(step.values.astype(np.float64) * nanoseconds).astype("timedelta64[ns]"))


def _lazy(field: xr.DataArray, start: str, step: str) -> xr.DataArray:
    if field.chunks is not None:
        return field
    block = max(1, BLOCK_BYTES * field.sizes[start] // max(4 * field.size, 1))
    return field.chunk(dict.fromkeys(field.dims, -1) | {start: block})


def _refuse_running_sums(field: xr.DataArray, start: str, step: str, file: str) -> None:
    """A `DataError` for amounts that never decrease along the steps of a forecast: they are sums since its start."""
    from subgrid.data.variables.quantities import describe
    from subgrid.data.variables.unit_spellings import UnknownUnit, parse_unit
    from subgrid.data.variables.units import AMOUNTS

    try:
        dimension = parse_unit(str(field.attrs.get("units", ""))).dimensionality
    except UnknownUnit:
        return
    if dimension not in AMOUNTS.get(describe(field).quantity, ()) or field.sizes[step] < 2:
        return
    looked_at = _few(field, start, step)
    change = np.diff(looked_at.transpose(..., step).values, axis=-1)
    if not (change < 0).any() and (change > 0).any():
        raise DataError(
            f"{file}: {field.name} never decreases along {step!r}: it is summed up since the start of each forecast, "
            f"not over each step; take differences first, dataset.diff('{step}')."
        )


def _few(field: xr.DataArray, start: str, step: str) -> xr.DataArray:
    """A few starts, steps and cells, and one of all else, such as members."""
    lead = [str(d) for d in field.dims if d not in (start, step)]
    member, n = member_dim(field), LOOKED_AT
    space = [d for d in lead if d != member][-2:]
    chosen: dict[str, Any] = dict.fromkeys((d for d in lead if d not in space), 0)
    for dim in space:
        size = field.sizes[dim]
        chosen[dim] = slice(size // (2 * n["across"]), None, max(1, -(-size // n["across"])))
    starts = np.unique(np.linspace(0, field.sizes[start] - 1, n["starts"]).astype(int))
    return field.isel({**chosen, start: starts, step: slice(n["steps"])})


def is_dated(variable: xr.Variable) -> bool:
    """Whether a variable holds dates, decoded or as text.

    Args:
        variable: decoded.

    Returns:
        False for numbers.
    """
    if variable.dtype.kind == "M":
        return True
    if variable.dtype.kind in TEXT_KINDS and variable.ndim <= 1 and variable.size:
        first = variable.values.reshape(-1)[0]
        text = first.decode(errors="replace") if isinstance(first, bytes) else first
        return hasattr(first, "calendar") or (isinstance(text, str) and TEXT_DATE.fullmatch(text.strip()) is not None)
    return False
