"""The extremes of a block of values: infinite, implausible, or fill values that nothing declares."""

from typing import Any

import numpy as np
import xarray as xr

from subgrid.data.checks.fills import (
    ABSURD,
    AS_READ,
    COARSE,
    COMMON,
    OFTEN,
    STORED,
    Stored,
    Suspect,
    beyond,
    fill_number,
    fill_sentence,
    keep_sentence,
    limits,
    may_be_fill,
    set_apart,
)
from subgrid.data.checks.places import file_at, place
from subgrid.data.fields import DataError, sample_dims
from subgrid.data.pooling.pooling import UNITS_FOUND
from subgrid.data.variables.quantities import Bounds, describe
from subgrid.data.variables.units import likely_units

MOST_FILLS = 6
"""Different fill values looked for at either end of one block."""
SATURATED = 1.05
"""Times an upper bound, from where on one whole number is no supersaturation that was rounded."""
BEYOND = 10.0
"""Times the limits of what is plausible, from where on a number that is no known fill value may be one; what is nearer
may be a value, such as a storm."""


def check_extremes(
    block: xr.DataArray, field: xr.DataArray, values: np.ndarray, name: str, suspects: dict[float, Suspect]
) -> tuple[float, float]:
    """Passes for a block whose extremes the variable can have; known fill values that it could have are noted.

    Args:
        block: part of a canonical variable.
        field: the variable.
        values: of the block.
        name: of the archive, where the file is not known.
        suspects: those of earlier blocks, by canonical value; new ones are put there.

    Returns:
        The smallest and the largest value that is no known fill value, NaN if there is none.

    Raises:
        DataError: for infinite and implausible values, and for fill values that the variable cannot have.
    """
    infinite = np.isinf(values)
    if infinite.any():
        _refuse_infinite(block, field, values, infinite, name)
    if np.isnan(values).all():
        return np.nan, np.nan
    possible, rest = limits(field), values
    edges = [float(np.nanmin(values)), float(np.nanmax(values))]
    for side, extreme in enumerate((np.nanmin, np.nanmax)):
        for _ in range(MOST_FILLS):
            worst = edges[side]
            if beyond(possible, worst) is None and not may_be_fill(field, worst):
                break
            where = rest == worst
            found = fill_number(field, worst, _time_of(block, where))
            if found is None and beyond(possible, worst) is None:
                break
            if found is None or beyond(possible, worst) is not None:
                raise DataError(_sentence(block, field, rest, where, name, possible, found))
            _note(suspects, worst, found[0], block, where)
            rest = np.where(where, np.nan, rest)
            if np.isnan(rest).all():
                return np.nan, np.nan
            edges[side] = float(extreme(rest))
    return min(edges), max(edges)


def check_suspects(
    field: xr.DataArray, suspects: dict[float, Suspect], extremes: tuple[float, float], name: str
) -> tuple[float, float]:
    """Passes if no known fill value lies apart from all other values of a variable.

    Args:
        field: the variable.
        suspects: known fill values among its extremes.
        extremes: of all other values.
        name: of the archive, where the file is not known.

    Returns:
        The extremes of all values.

    Raises:
        DataError: with the number, place, share of cells and how to declare it.
    """
    single = [value for value in suspects if _says_nothing(field, value, suspects[value])]
    extremes = min([*single, extremes[0]]), max([*single, extremes[1]])
    found, low, high = set_apart({v: each for v, each in suspects.items() if v not in single}, *extremes)
    if not found:
        return low, high
    raise DataError(_declare_sentence(field, found[0], suspects[found[0]], name))


def _declare_sentence(field: xr.DataArray, found: float, suspect: Suspect, name: str) -> str:
    """Of a fill value that the variable could have: number, place, share, how to declare and how to keep it."""
    where = dict(zip((str(d) for d in suspect.block.dims), suspect.at, strict=True))
    stored = _stored_of(field, found, _time_at(suspect.block, suspect.at))
    share = f"({_share(suspect.cells)} of the cells, {suspect.count} such values)"
    words = f"at {place(suspect.block, where)} {share}"
    value = f"{found:.6g} {field.attrs.get('units', '')}"
    number = _exact(suspect.block, where, suspect.number, stored)
    said = fill_sentence(field.name, number, stored.packing, value, words)
    return f"{file_at(suspect.block, field, where, name)}: {said}{keep_sentence(field.name)}"


def note_outside(
    block: xr.DataArray, field: xr.DataArray, values: np.ndarray, outside: dict[float, Suspect], bounds: Bounds
) -> None:
    """Notes the extremes of what lies beyond the bounds of a variable: up to two values a side, as one alone tells.

    Args:
        block: part of a canonical variable.
        field: the variable.
        values: of the block.
        outside: those of earlier blocks, by canonical value; new ones are put there.
        bounds: of the variable.
    """
    for edge, beyond_it in zip(bounds, (np.less, np.greater), strict=True):
        if edge is None or sum(bool(beyond_it(value, edge)) for value in outside) > 1:
            continue  # so that memory does not grow with the archive
        where = beyond_it(values, edge)
        if where.any():
            for value in {float(values[where].min()), float(values[where].max())}:
                at = values == value
                number, _ = _stored_of(field, value, _time_of(block, at)).number(value, _time_of(block, at))
                _note(outside, value, number, block, at)


def check_outside(field: xr.DataArray, outside: dict[float, Suspect], bounds: Bounds, name: str) -> None:
    """Passes if what lies beyond a bound, from where it would be moved to the bound, is not one whole number.

    Rounding and supersaturation leave many different values there, or 101 % where values are whole numbers; −1 % over
    the sea, or a byte of 127, are fill values.

    Args:
        field: the variable.
        outside: from `note_outside`.
        bounds: of the variable.
        name: of the archive, where the file is not known.

    Raises:
        DataError: with the number, place, share of cells and how to declare or keep it.
    """
    low, high = bounds
    below = [value for value in outside if low is not None and value < low]
    above = [value for value in outside if high is not None and value > high]
    single = below if len(below) == 1 else []
    if high is not None and len(above) == 1 and above[0] > SATURATED * high:
        single = [*single, *above]
    for value in single:
        suspect = outside[value]
        stored = _stored_of(field, value, _time_at(suspect.block, suspect.at))
        number = float(np.round(suspect.number))
        whole = abs(suspect.number - number) <= COARSE and number != 0  # False for NaN
        if whole and suspect.count >= OFTEN and not stored.is_declared:
            suspect.number = number
            raise DataError(_declare_sentence(field, value, suspect, name))


def _says_nothing(field: xr.DataArray, value: float, suspect: Suspect) -> bool:
    """Whether a known fill value is an ordinary number that came once, in a file that packs no bytes or shorts."""
    packing = _stored_of(field, value, _time_at(suspect.block, suspect.at)).packing
    packs = packing.is_integer and packing.dtype.itemsize <= 2
    return suspect.count == 1 and suspect.number in COMMON and not packs


def _note(suspects: dict[float, Suspect], value: float, number: float, block: xr.DataArray, where: np.ndarray) -> None:
    at = tuple(int(i) for i in np.unravel_index(int(np.argmax(where)), where.shape))
    cells = _per_cell(block, where)
    if value in suspects:
        suspects[value].count += int(where.sum())
        suspects[value].cells |= cells
    else:
        suspects[value] = Suspect(number, int(where.sum()), cells, block, at)


def _per_cell(block: xr.DataArray, where: np.ndarray) -> np.ndarray:
    lead = sample_dims(block)
    return where.any(tuple(i for i, d in enumerate(block.dims) if d in lead)).reshape(-1)


def _sentence(
    block: xr.DataArray,
    field: xr.DataArray,
    values: np.ndarray,
    where: np.ndarray,
    name: str,
    possible: Bounds,
    found: tuple[float, Stored] | None,
) -> str:
    """Of a value that the variable cannot have: a fill value, or wrong units."""
    first = tuple(int(i) for i in np.unravel_index(int(np.argmax(where)), where.shape))
    indices = dict(zip((str(d) for d in block.dims), first, strict=True))
    value = f"{values[first]:.6g} {field.attrs.get('units', '')}"
    begins, at = file_at(block, field, indices, name), f"at {place(block, indices)}"
    found = found or _unknown_fill(field, values, where, possible, _time_at(block, first))
    if found is not None:
        number, stored = _exact(block, indices, *found), found[1]
        share = f"({_share(_per_cell(block, where))} of the cells, "
        at = f"{at} {share}{int(where.sum())} such values at the times looked at)"
        return f"{begins}: {fill_sentence(field.name, number, stored.packing, value, at)}"
    described, (lowest, highest) = describe(field), possible
    units = str(field.encoding.get(UNITS_FOUND, field.attrs.get("units", "")))
    likely = likely_units(described.quantity, units, float(values[first]))
    advice = (
        f"the attribute 'units' says {units!r} but the values look like {likely}; correct the attribute."
        if likely
        else f"check these values and the attribute 'units' ({units!r})."
    )
    room = " to ".join("…" if edge is None else f"{edge:g}" for edge in (lowest, highest))
    return (
        f"{begins}: {field.name} is {value} {at}, which is implausible, outside {room} "
        f"{described.kind.units or ''}".rstrip()
        + f": {advice}"
    )


def _unknown_fill(
    field: xr.DataArray, values: np.ndarray, where: np.ndarray, possible: Bounds, time: Any
) -> tuple[float, Stored] | None:
    """A number of the file that is absurd, comes often and lies apart from all others, as fill values do."""
    worst, rest = float(values[where][0]), values[~where & ~np.isnan(values)]
    stored = _stored_of(field, worst, time)
    number, _ = stored.number(worst, time)
    if abs(number) >= ABSURD:
        return number, stored
    if where.sum() < 2 or not rest.size or abs(worst) <= BEYOND * max(abs(edge or 0.0) for edge in possible):
        return None
    low, high = float(rest.min()), float(rest.max())
    apart = max(low - worst, worst - high) > high - low and beyond(possible, low) == beyond(possible, high)
    whole = abs(number - round(number, 2)) <= 1e-6 * abs(number)
    return (round(number, 2), stored) if apart and whole and beyond(possible, low) is None else None


def _refuse_infinite(
    block: xr.DataArray, field: xr.DataArray, values: np.ndarray, infinite: np.ndarray, name: str
) -> None:
    """Raises `DataError`: of a fill value that is too large to be converted, or of what is infinite in the file."""
    first = tuple(int(i) for i in np.unravel_index(int(np.argmax(infinite)), infinite.shape))
    where = dict(zip((str(d) for d in block.dims), first, strict=True))
    value, at = f"{values[first]:.6g} {field.attrs.get('units', '')}", f"at {place(block, where)}"
    begins = file_at(block, field, where, name)
    for stored in field.encoding.get(STORED) or []:
        number = stored.number_at(_coordinates(block, where))
        if number is not None and np.isfinite(number):
            at = f"{at} ({_share(_per_cell(block, infinite))} of the cells)"
            raise DataError(f"{begins}: {fill_sentence(field.name, number, stored.packing, value, at)}")
    raise DataError(
        f"{begins}: {field.name} is {value} {at} ({int(infinite.sum())} such values at the times looked at); fill or "
        "remove such values before downscaling."
    )


def _coordinates(block: xr.DataArray, where: dict[str, int]) -> dict[str, Any]:
    """Time and member of a place by their labels, the rest by its index."""
    labels = {d: block[d].values[where[d]] for d in ("time", "realization") if d in where and d in block.coords}
    return {**where, **labels}


def _exact(block: xr.DataArray, where: dict[str, int], number: float, stored: Stored) -> float:
    """A number as the file holds it; the given one, known to float32, where that cannot be read."""
    found = stored.number_at(_coordinates(block, where))
    return found if found is not None and abs(found - number) <= 1e-3 * abs(number) else number


def _stored_of(field: xr.DataArray, value: float, time: Any) -> Stored:
    """How the file keeps a value: of several ways the one in which it is a fill value."""
    found = fill_number(field, value, time)
    return found[1] if found is not None else (field.encoding.get(STORED) or [AS_READ])[0]


def _time_of(block: xr.DataArray, where: np.ndarray) -> Any:
    return _time_at(block, tuple(int(i) for i in np.unravel_index(int(np.argmax(where)), where.shape)))


def _time_at(block: xr.DataArray, at: tuple[int, ...]) -> Any:
    return block["time"].values[at[block.dims.index("time")]] if "time" in block.dims else None


def _share(cells: np.ndarray) -> str:
    """How many of all cells, in per cent."""
    share = 100 * float(np.mean(cells))
    return f"{share:.0f} %" if share >= 1 else f"{share:.2g} %"
