"""Checks of canonical climate data: times, missing values, magnitudes. One clear sentence for each fault.

Values are read in blocks of time, so memory does not grow with the length of the archive.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import xarray as xr

from subgrid.data.cf.quantities import describe
from subgrid.data.cf.sources import first_line
from subgrid.data.cf.units import implausible, likely_units
from subgrid.data.fields import DataError
from subgrid.data.grids.pooling import AVAILABLE, UNITS_FOUND, file_of

Gaps: TypeAlias = Literal["refuse", "mask"]

BLOCK_BYTES = 32 * 2**20
"""Size of a block; a check holds a few copies of it."""


@dataclass
class Census:
    """Counts over all times read so far.

    Args:
        missing: how often each cell had no value.
        first_missing: index of the first time at which it had none, −1 if it always had one.
        total: number of times, over all members.
        low: smallest value.
        high: largest value.
    """

    missing: np.ndarray
    first_missing: np.ndarray
    total: int
    low: float
    high: float


def check_times(time: xr.DataArray, *, file: str) -> None:
    """Passes for times that ascend, each once.

    Args:
        time: decoded times.
        file: for messages.

    Raises:
        DataError: for no times, and for times that are missing, come twice or are out of order.
    """
    values = time.values
    if len(values) == 0:
        raise DataError(f"{file}: holds no time at all; choose another file.")
    if time.isnull().any():
        at = int(np.argmax(time.isnull().values))
        raise DataError(f"{file}: time number {at} is missing (NaT); give it a date or drop it.")
    again = np.flatnonzero(values[1:] == values[:-1])
    ordered, backwards = np.sort(values), np.flatnonzero(values[1:] < values[:-1])
    if len(again) or (ordered[1:] == ordered[:-1]).any():
        twice = ordered[:-1][ordered[1:] == ordered[:-1]]
        raise DataError(
            f"{file}: time = {show_time(twice[0])} comes twice ({len(twice)} such times); keep one of each, for "
            "instance with dataset.drop_duplicates('time')."
        )
    if len(backwards):
        k = int(backwards[0])
        raise DataError(
            f"{file}: times are out of order, {show_time(values[k + 1])} follows {show_time(values[k])}; sort them "
            "with dataset.sortby('time') and look why they were not."
        )


def check_sample(dataset: xr.Dataset, *, name: str, n_times: int = 3) -> None:
    """Magnitudes and infinities at a few times, evenly spread: wrong units show at once.

    Args:
        dataset: canonical.
        name: of the archive, where the file is not known.
        n_times: at how many times to look.

    Raises:
        DataError: for data that cannot be read, and infinite or implausible values.
    """
    for variable in dataset.data_vars:
        field = dataset[variable]
        if "time" in field.dims:
            last = field.sizes["time"] - 1
            chosen = np.unique(np.linspace(0, last, min(n_times, last + 1)).astype(int))
            field = field.isel(time=chosen)
        _check_block(field, dataset[variable], _values(field, dataset[variable], name), name)


def check_values(field: xr.DataArray, *, name: str, gaps: Gaps = "refuse") -> Census:
    """All values of a canonical variable, block by block.

    Args:
        field: the variable.
        name: of the archive, where the file is not known.
        gaps: whether a cell with values at some times only is refused ("refuse") or counted ("mask").

    Returns:
        The census of its cells.

    Raises:
        DataError: for data that cannot be read, infinite or implausible values, a time without any value, and cells
            with gaps.

    Examples:
        >>> check_values(dataset.tas, name="tas.nc").missing
    """
    n_cells = int(np.prod([field.sizes[d] for d in horizontal_dims(field)]))
    census = Census(np.zeros(n_cells, int), np.full(n_cells, -1), 0, np.inf, -np.inf)
    empty: list[tuple[int, int]] = []
    for start, block in blocks(field):
        values = _values(block, field, name)
        _check_block(block, field, values, name)
        present = _available(block)
        empty += _count(census, values.reshape(*present.shape, n_cells), present, start)
    _check_census(field, census, empty, name, gaps)
    return census


def blocks(field: xr.DataArray, *, n_bytes: int = BLOCK_BYTES) -> Iterator[tuple[int, xr.DataArray]]:
    """The parts of a field that fit a block, lazily; whole chunks where the field is chunked by time.

    Args:
        field: canonical.
        n_bytes: of a block, in float32.

    Yields:
        The index of the first time, and the part.
    """
    if "time" not in field.dims:
        yield 0, field
        return
    n = field.sizes["time"]
    step = max(1, n_bytes * n // max(4 * field.size, 1))
    if field.chunks is not None:
        chunk = max(field.chunksizes["time"])
        step = max(chunk, step // chunk * chunk)
    for start in range(0, n, step):
        yield start, field.isel(time=slice(start, start + step))


def horizontal_dims(field: xr.DataArray) -> tuple[str, ...]:
    """The dimensions of a canonical field that are neither member nor time."""
    return tuple(str(d) for d in field.dims if d not in ("realization", "time"))


def show_time(time: Any) -> str:
    """A date, with the hour where it is not midnight."""
    text = str(np.datetime_as_string(time, unit="s") if isinstance(time, np.datetime64) else time).replace("T", " ")
    return text.removesuffix(" 00:00:00")


def _values(block: xr.DataArray, field: xr.DataArray, name: str) -> np.ndarray:
    try:
        return np.asarray(block.values)
    except Exception as error:
        times = list(block["time"].values) if "time" in block.dims else []
        file = file_of(field, name, time=times[0] if times else None)
        span = f" between {show_time(times[0])} and {show_time(times[-1])}" if times else ""
        raise DataError(
            f"{file}: {field.name} cannot be read{span} ({first_line(error)}); the file is damaged: "
            "fetch or write it again."
        ) from error


def _check_block(block: xr.DataArray, field: xr.DataArray, values: np.ndarray, name: str) -> None:
    infinite = np.isinf(values)
    if infinite.any():
        raise DataError(
            _sentence(block, field, values, infinite, name) + "fill or remove such values before downscaling."
        )
    if np.isnan(values).all():
        return
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    described, found = describe(field), str(field.encoding.get(UNITS_FOUND, field.attrs.get("units", "")))
    quantity, side = described.quantity, implausible(described, low, high)
    if side is None or described.kind.plausible is None:
        return
    worst = values == (low if side == "too low" else high)
    lowest, highest = described.kind.plausible
    likely = likely_units(quantity, found, low if side == "too low" else high)
    advice = (
        f"the attribute 'units' says {found!r} but the values look like {likely}; correct the attribute."
        if likely
        else f"check these values and the attribute 'units' ({found!r})."
    )
    raise DataError(
        _sentence(block, field, values, worst, name, count=False)
        + f"outside {lowest:g} to {highest:g} {described.kind.units}: {advice}"
    )


def _sentence(block, field, values: np.ndarray, bad: np.ndarray, name: str, *, count: bool = True) -> str:
    """ "tas.nc: tas is inf K at time = …, lat = …, lon = … (2 such values); " """
    first = tuple(int(i) for i in np.unravel_index(int(np.argmax(bad)), bad.shape))
    where = dict(zip((str(d) for d in block.dims), first, strict=True))
    number = f" ({int(bad.sum())} such values at the times looked at); " if count else ", "
    value = f"{values[first]:.6g} {field.attrs.get('units', '')}"
    return f"{_file(block, field, where, name)}: {field.name} is {value} at {place(block, where)}{number}"


def _file(block: xr.DataArray, field: xr.DataArray, where: dict[str, int], name: str) -> str:
    at = {d: block[d].values[where[d]] for d in ("time", "realization") if d in where and d in block.coords}
    return file_of(field, name, time=at.get("time"), member=at.get("realization"))


def place(field: xr.DataArray, where: dict[str, int]) -> str:
    """Time and place of an index, by the coordinates."""
    words = []
    if "realization" in where:
        members = field["realization"].values if "realization" in field.coords else np.arange(where["realization"] + 1)
        words.append(f"realization = {members[where['realization']]}")
    if "time" in where:
        words.append(f"time = {show_time(field['time'].values[where['time']])}")
    for axis in ("lat", "lon"):
        index = {d: where[str(d)] for d in field[axis].dims}
        words.append(f"{axis} = {float(field[axis].isel(index)):.4g}")
    return ", ".join(words)


def _available(block: xr.DataArray) -> np.ndarray:
    """Which (realization, time) pairs of a block exist, in the order of its dimensions."""
    lead = [d for d in ("realization", "time") if d in block.dims]
    if AVAILABLE in block.coords and lead:
        return np.asarray(block[AVAILABLE].transpose(*lead).values, bool)
    return np.ones([block.sizes[d] for d in lead], bool)


def _count(census: Census, values: np.ndarray, present: np.ndarray, start: int) -> list[tuple[int, int]]:
    """Adds a block to the census; returns the (realization, time) pairs that hold no value."""
    missing = np.isnan(values)
    per_pair = missing.all(-1) & present
    times = np.arange(values.shape[-2] if values.ndim > 1 else 1) + start
    flat, chosen = missing.reshape(-1, missing.shape[-1]), present.reshape(-1)
    when = np.broadcast_to(times, present.shape).reshape(-1) if present.ndim else times
    census.total += int(chosen.sum())
    census.missing += flat[chosen].sum(0)
    new = (census.first_missing < 0) & flat[chosen].any(0)
    census.first_missing[new] = when[chosen][np.argmax(flat[chosen], 0)[new]]
    if not missing.all():
        census.low = min(census.low, float(np.nanmin(values)))
        census.high = max(census.high, float(np.nanmax(values)))
    pairs = np.argwhere(per_pair) if per_pair.ndim else np.empty((0, 0), int)
    return [(int(pair[0]) if len(pair) > 1 else 0, int(pair[-1]) + start) for pair in pairs]


def _check_census(field: xr.DataArray, census: Census, empty: list, name: str, gaps: Gaps) -> None:
    file = file_of(field, name)
    if (census.missing == census.total).all():
        raise DataError(f"{file}: {field.name} holds no value at all, only NaN; choose another file or variable.")
    if empty:
        member, at = empty[0]
        when = field["time"].values[at]
        label = field["realization"].values[member] if "realization" in field.coords else None
        words = f" of realization {label}" if label is not None else ""
        raise DataError(
            f"{file_of(field, name, time=when, member=label)}: {field.name} has no value (NaN) anywhere at time = "
            f"{show_time(when)}{words} ({len(empty)} such times); drop these times, for instance with "
            "dataset.dropna('time', how='all'), or fill them."
        )
    partly = (census.missing > 0) & (census.missing < census.total)
    if gaps == "refuse" and partly.any():
        cell = int(np.argmax(partly))
        space = horizontal_dims(field)
        indices = np.unravel_index(cell, [field.sizes[d] for d in space])
        where = {"time": int(census.first_missing[cell]), **{d: int(i) for d, i in zip(space, indices, strict=True)}}
        raise DataError(
            f"{_file(field, field, where, name)}: {field.name} has no value (NaN) at {place(field, where)}, but this "
            f"cell has values at other times ({int(partly.sum())} such cells, {int(census.missing[partly].sum())} such "
            "values); fill them, or leave these cells out with gaps = 'mask'."
        )
