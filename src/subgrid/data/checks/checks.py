"""Checks of canonical climate data: times, missing values, magnitudes. One clear sentence for each fault.

Values are read in blocks of time, so memory does not grow with the length of the archive.
"""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field as field_
from typing import Any, Literal, TypeAlias

import numpy as np
import xarray as xr

from subgrid.data.blocks import BLOCK_BYTES
from subgrid.data.checks.extremes import check_extremes, check_outside, check_suspects, note_outside
from subgrid.data.checks.fills import Suspect
from subgrid.data.checks.missing import NoNumber
from subgrid.data.checks.places import file_at, place, show_time
from subgrid.data.checks.shares import check_share
from subgrid.data.fields import DataError
from subgrid.data.pooling.pooling import AVAILABLE, NOTES, file_of
from subgrid.data.sources.sources import first_line
from subgrid.data.variables.quantities import describe

Gaps: TypeAlias = Literal["refuse", "mask", "drop"]


LOOKED_AT = "looked_at"
"""Key of a variable's encoding: how many of its times it holds, where these are not all."""


class NoValue(DataError):
    """A variable without any value.

    Args:
        text: that says so.
        looked_at: how many of its times were, where not all were.
    """

    def __init__(self, text: str, looked_at: int | None = None) -> None:
        super().__init__(text)
        self.looked_at = looked_at


@dataclass
class Census:
    """Counts over all times read so far.

    Args:
        missing: how often each cell had no value.
        first_missing: index of the first time at which it had none, −1 if it always had one.
        total: number of times, over all members.
        low: smallest value that is no known fill value.
        high: largest value that is no known fill value.
        suspects: known fill values among the extremes, by canonical value.
        per_time: of each time, the largest number of needed cells that one member has no value at.
        needed: cells that must have values; None for all.
        outside: extremes of what lies beyond the bounds, by canonical value.
        below_zero: number of negative values of precipitation, which regridding leaves.
        empty: (member, time) indices of fields without any value.
    """

    missing: np.ndarray
    first_missing: np.ndarray
    total: int
    low: float
    high: float
    suspects: dict[float, Suspect] = field_(default_factory=dict)
    outside: dict[float, Suspect] = field_(default_factory=dict)
    per_time: list[int] = field_(default_factory=list)
    below_zero: int = 0
    needed: np.ndarray | None = None
    empty: list[tuple[int, int]] = field_(default_factory=list)

    @property
    def partly(self) -> np.ndarray:
        """Cells that have values at some times only."""
        return (self.missing > 0) & (self.missing < self.total)

    @property
    def apart(self) -> np.ndarray:
        """Cells with gaps of their own, at times that have values elsewhere."""
        return (self.missing > len(self.empty)) & (self.missing < self.total)

    @property
    def gappy(self) -> np.ndarray:
        """Those of them that are needed."""
        return self.partly if self.needed is None else self.partly & self.needed

    @property
    def bridges(self) -> tuple[str, ...]:
        """The settings of `gaps` that leave something of a variable with gaps; none where it has none."""
        if not self.partly.any():
            return ()
        left = {"mask": (self.missing == 0).any(), "drop": not self.times_with_gaps.all()}
        return tuple(setting for setting, some in left.items() if some)

    @property
    def times_with_gaps(self) -> np.ndarray:
        """Times at which a needed cell has no value that has one at others."""
        never = self.missing == self.total
        return np.array(self.per_time) > int((never if self.needed is None else never & self.needed).sum())


def check_times(time: xr.DataArray, *, file: str, dim: str | None = None) -> None:
    """Passes for times that ascend, each once."""
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
            f"{file}: time = {show_time(twice[0])} comes twice ({len(twice)} such times); keep one of each"
            + (f", for instance with dataset.drop_duplicates({dim!r})." if dim else " along its time dimension.")
        )
    if len(backwards):
        k = int(backwards[0])
        raise DataError(
            f"{file}: times are out of order, {show_time(values[k + 1])} follows {show_time(values[k])}; sort them "
            + (f"with dataset.sortby({dim!r})" if dim else "along its time dimension")
            + " and look why they were not."
        )


def check_sample(dataset: xr.Dataset, *, name: str, n_times: int = 3) -> None:
    """Magnitudes and infinities at a few times, evenly spread: wrong units show at once, as a `DataError`."""
    for variable in dataset.data_vars:
        field = dataset[variable]
        if "time" in field.dims:
            last = field.sizes["time"] - 1
            chosen = np.unique(np.linspace(0, last, min(n_times, last + 1)).astype(int))
            field = field.isel(time=chosen)
        check_extremes(field, dataset[variable], read_values(field, dataset[variable], name), name, {})


def check_values(field: xr.DataArray, *, name: str, gaps: Gaps = "refuse", needed: np.ndarray | None = None) -> Census:
    """All values of a canonical variable, block by block.

    Args:
        field: the variable.
        name: of the archive, where the file is not known.
        gaps: whether a cell with values at some times only is refused ("refuse") or counted ("mask", "drop"); with
            "drop", times without any value are counted too.
        needed: (*space), the cells whose gaps are refused; None for all.

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
    census.needed = None if needed is None else np.asarray(needed, bool).reshape(-1)
    described = describe(field)
    for start, block in blocks(field):
        values = read_values(block, field, name)
        low, high = check_extremes(block, field, values, name, census.suspects)
        census.low, census.high = np.fmin(census.low, low), np.fmax(census.high, high)
        note_outside(block, field, values, census.outside, described.bounds)
        census.below_zero += int((values < 0).sum()) if described.quantity == "precipitation" else 0
        present = _available(block)
        census.empty += _count(census, values.reshape(*present.shape, n_cells), present, start)
    census.low, census.high = check_suspects(field, census.suspects, (census.low, census.high), name)
    check_outside(field, census.outside, described.bounds, name)
    _check_census(field, census, name, gaps)
    check_share(field, census.high, name)
    return census


def blocks(field: xr.DataArray, *, n_bytes: int = BLOCK_BYTES) -> Iterator[tuple[int, xr.DataArray]]:
    """The parts of a field that fit a block, each after its first time, lazily; whole chunks where it is chunked."""
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


def read_values(block: xr.DataArray, field: xr.DataArray, name: str) -> np.ndarray:
    """The values of a part of a variable; a `DataError` names file and times of what cannot be read."""
    try:
        with warnings.catch_warnings():  # of values too large for 32 bits, which are refused in words
            warnings.filterwarnings("ignore", message="overflow encountered in cast", category=RuntimeWarning)
            return np.asarray(block.values)
    except (MemoryError, DataError):  # of values that are averaged, checked before
        raise
    except Exception as error:
        times = list(block["time"].values) if "time" in block.dims else []
        file = file_of(field, name, time=times[0] if times else None)
        span = f" between {show_time(times[0])} and {show_time(times[-1])}" if times else ""
        if isinstance(error, NoNumber):
            text = str(error)
            raise DataError(
                f"{file}: {field.name} holds the text {text!r}{span}, which is no number; write a number in its place "
                f"(0 where it is a trace, say), or say that it stands for no value: variables = {{{field.name} = "
                f"{{missing = {text!r}}}}}."
            ) from error
        advice = (
            "the file is damaged: fetch or write it again."
            if isinstance(error, (OSError, RuntimeError, EOFError))
            else "read it with xarray.open_dataset to see why."
        )
        raise DataError(f"{file}: {field.name} cannot be read{span} ({first_line(error)}); {advice}") from error


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
    counts = (missing if census.needed is None else missing & census.needed).sum(-1)
    counts = np.where(present, counts, 0)
    census.per_time += np.atleast_1d(counts.max(0) if counts.ndim > 1 else counts).tolist()
    pairs = np.argwhere(per_pair) if per_pair.ndim else np.empty((0, 0), int)
    return [(int(pair[0]) if len(pair) > 1 else 0, int(pair[-1]) + start) for pair in pairs]


def _check_census(field: xr.DataArray, census: Census, name: str, gaps: Gaps) -> None:
    if (census.missing == census.total).all():
        raise NoValue(f"{file_of(field, name)}: {field.name} {_why_empty(field)}", field.encoding.get(LOOKED_AT))
    if census.empty and gaps != "drop":
        member, at = census.empty[0]
        when = field["time"].values[at]
        label = field["realization"].values[member] if "realization" in field.coords else None
        file = file_of(field, name, time=when, member=label)
        raise DataError(f"{file}: {field.name} {empty_times(field, census)}")
    if gaps == "refuse" and census.gappy.any():
        advice = (
            "fill them, drop the times that lack them with gaps = 'drop', or leave these cells out with gaps = 'mask'."
            if census.needed is None
            else "fill them, or drop the times that lack them with gaps = 'drop'."
        )
        raise DataError(gap_sentence(field, census, name) + advice)


def empty_times(field: xr.DataArray, census: Census) -> str:
    """That a variable has no value anywhere at some times: the first of them, how many, and what to do."""
    member, at = census.empty[0]
    words = f" of realization {field['realization'].values[member]}" if "realization" in field.coords else ""
    such = counted(len(census.empty), "such time") + _of_those_looked_at(field)
    return (
        f"has no value (NaN) anywhere at time = {show_time(field['time'].values[at])}{words} ({such}); drop these "
        "times with gaps = 'drop', or fill them."
    )


def _of_those_looked_at(field: xr.DataArray) -> str:
    n = field.encoding.get(LOOKED_AT)
    return "" if n is None else f" of the {counted(n, 'time')} looked at"


def gap_sentence(field: xr.DataArray, census: Census, name: str) -> str:
    """Where a variable has no value though it has some at other times: file, place, numbers; without advice."""
    partly, space = census.gappy, horizontal_dims(field)
    cell = int(np.argmax(partly))
    indices = np.unravel_index(cell, [field.sizes[d] for d in space])
    where = {"time": int(census.first_missing[cell]), **{d: int(i) for d, i in zip(space, indices, strict=True)}}
    return (
        f"{file_at(field, field, where, name)}: {field.name} has no value (NaN) at {place(field, where)}, but this "
        f"cell has values at other times ({counted(partly.sum(), 'such cell')}, "
        f"{counted(census.missing[partly].sum(), 'such value')}); "
    )


def counted(number: Any, what: str) -> str:
    """A number of things, in words."""
    return f"{int(number)} {what}{'' if int(number) == 1 else 's'}"


def _why_empty(field: xr.DataArray) -> str:
    ranged = next((note for note in field.encoding.get(NOTES, ()) if "valid_" in note and "are missing" in note), None)
    if ranged is None and LOOKED_AT in field.encoding:
        n = field.encoding[LOOKED_AT]
        return (
            f"holds no value, only NaN, at any of the {counted(n, 'time')} looked at; choose another file or variable."
        )
    if ranged is None:
        return "holds no value at all, only NaN; choose another file or variable."
    return (
        f"holds no value that its attributes call valid ({ranged}); correct or remove that attribute if it is of other "
        "units than the values, else choose another file."
    )
