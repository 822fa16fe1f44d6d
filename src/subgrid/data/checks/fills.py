"""Fill values that nothing declares: numbers that libraries and archives write where there is no value.

They are looked for among the extremes of what is read, as the numbers that the file holds: −9999 in degC is one in K
too. A known fill value is taken for one only where the variable cannot have it, or where it lies far from all others:
−99 m of orography, or an anomaly of −9.99 K, is a value like others.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field as dataclass_field
from typing import Any, Literal

import numpy as np
import xarray as xr

from subgrid.data.checks.missing import NOTHING, SINGLE, Packing
from subgrid.data.times.calendars import step_days
from subgrid.data.variables.quantities import Bounds, describe
from subgrid.data.variables.units import Conversion

STORED = "stored"
"""Key of a variable's encoding that keeps how its files keep its values; it is not written."""
STEP_DAYS = "step_days"
"""Key of a variable's encoding that keeps the time step where only some of its times are left; it is not written."""
KNOWN = np.array(sorted({
    *(sign * size for size in (
        9.969209968386869e36,  # netCDF: floats
        1e15, 1e20, 9e20, 9.999e20, 1e30, 1.267651e30, 9e33, 1e34, 1e35, 1e36, 1e37, 1.70141e38, 1.7e38,
        3.4028234663852886e38, 3.4e38, 1.7976931348623157e308, 9.99e8, 1e10, 9.999e10,
        9999.0, 9999.9, 9999.99, 99999.0, 99999.9, 999999.0, 9999999.0, 99999999.0, 999.0, 999.9, 999.99, 8888.0, 888.0,
    ) for sign in (-1, 1)),
    -99.0, -99.9, -99.99, -990.0, -7777.0, -1000.0, -28672.0,
    -127.0, -128.0, 255.0, -32768.0, -32767.0, -32766.0, 32767.0, 32766.0, 65535.0, 65534.0,
    -2147483648.0, -2147483647.0, 2147483647.0, 4294967295.0, -(2.0**63), 2.0**63, 2.0**64,
}))  # fmt: skip
"""Defaults of netCDF, HDF, GDAL, CDO (−9e33), NCL, GrADS (9.999e20), GRIB (9999), Ferret (−1e34), and conventions of
archives: CRU −999, PRISM −9999, GPM −9999.9, NCEP 32766, HadISST −1000, MODIS −28672, models 1e20."""
ABSURD = 1e10
"""Beyond it a value of any variable that has plausible limits is none."""
COARSE = 1e-3
"""Part of a fill value to which it must be known."""
COMMON = frozenset({-127.0, -128.0, 255.0, 888.0, 999.0})
"""Known fill values that are ordinary numbers too: one of them alone says nothing, unless the file packs bytes or
shorts."""
GAUGE = 0.1
"""Precipitation in mm day-1 that regridding leaves below zero, at most: the resolution of gauges."""
FEW_TIMES = 1000
"""From which the time step is found."""
OFTEN, NEAR = 10, 0.25
"""A known fill value that comes ten times lies apart if a quarter of the range of all others is between."""


@dataclass(frozen=True)
class Stored:
    """From canonical values back to the numbers in a file.

    Args:
        conversion: of units.
        packing: in the file.
        values: in the units of the file, unpacked, on the canonical grid, not read; None where they are not known.
        is_declared: whether it is said that all that is missing is declared: then no value is a fill value.
        at_end: what says that times are stamped at the end of their steps, "" where bounds say where they are.
    """

    conversion: Conversion | None
    packing: Packing
    values: xr.DataArray | None = dataclass_field(default=None, compare=False, repr=False)
    is_declared: bool = False
    at_end: str | None = None

    def number(self, value: float, time: Any = None) -> tuple[float, float]:
        """The number in the file that became a canonical value, and how far rounding may have moved it."""
        factor, offset = 1.0, 0.0
        if self.conversion is not None:
            factor, offset = self._factor(time), self.conversion.offset
        physical = (value - offset) / factor
        rounding = SINGLE * max(abs(value), abs(offset)) / abs(factor)
        rounding = max(rounding, SINGLE * abs(physical)) + SINGLE * abs(self.packing.shift)
        if not self.packing.is_packed:
            return physical, rounding
        return self.packing.packed(physical), rounding / abs(self.packing.scale)

    def fill(self, value: float, time: Any = None) -> float | None:
        """The known fill value that a canonical value is in the file; None if it is none."""
        number, rounding = self.number(value, time)
        if self.is_declared or not np.isfinite(number):
            return None
        nearest = float(KNOWN[np.argmin(np.abs(KNOWN - number))])
        return nearest if abs(nearest - number) <= rounding <= COARSE * abs(nearest) else None

    def number_at(self, place: Mapping[str, Any]) -> float | None:
        """The number that the file holds at a place, read again; None if it has no such place.

        Args:
            place: index along each dimension of space, and the coordinates "time" and "realization" themselves.

        Returns:
            It, packed where the file packs.
        """
        if self.values is None:
            return None
        labels = {dim: place[dim] for dim in ("time", "realization") if dim in self.values.dims and dim in place}
        indices = {dim: at for dim, at in place.items() if dim in self.values.dims and dim not in labels}
        try:
            value = float(self.values.isel(indices).sel(labels))
        except (KeyError, IndexError, ValueError, TypeError):
            return None
        number = self.packing.packed(value)
        if self.packing.is_integer:
            return float(np.round(number))
        return float(str(self.packing.dtype.type(number)))  # the shortest that is the same in the precision of the file

    def _factor(self, time: Any) -> float:
        factor = 1.0 if self.conversion is None else self.conversion.factor
        if not isinstance(factor, xr.DataArray):
            return float(factor)
        if self.values is None or time is None:
            return float("nan")
        at = np.flatnonzero(self.values["time"].values == time)
        return float(factor.values[at[0]]) if len(at) else float("nan")


AS_READ = Stored(None, Packing(np.dtype(np.float32)))
"""Of data that say nothing of a file."""


@dataclass
class Suspect:
    """A known fill value among the extremes of an archive.

    Args:
        number: as it is in the file.
        count: how often it came.
        cells: where it came, over the flattened cells.
        block: in which it was found first.
        at: its place in the block.
    """

    number: float
    count: int
    cells: np.ndarray
    block: xr.DataArray
    at: tuple[int, ...]


def fill_number(field: xr.DataArray, value: float, time: Any = None) -> tuple[float, Stored] | None:
    """The fill value that a canonical value is in one of its files, and how that keeps it; None if it is none."""
    for stored in field.encoding.get(STORED) or [AS_READ]:
        number = stored.fill(value, time)
        if number is not None:
            return number, stored
    return None


def may_be_fill(field: xr.DataArray, value: float) -> bool:
    """Whether a canonical value is a known fill value, or could be at some time where the conversion depends on it."""
    stored = field.encoding.get(STORED) or [AS_READ]
    by_time = any(each.conversion is not None and isinstance(each.conversion.factor, xr.DataArray) for each in stored)
    return bool(by_time) or fill_number(field, value) is not None


def limits(field: xr.DataArray) -> Bounds:
    """Lowest and highest value of a variable, by what is plausible, else by its bounds; None for an open end.

    Precipitation within less than a day can be stronger, as the root of the time: the records are 1825 mm in a day and
    401 mm in an hour, and the limits 3000 mm and 612 mm. The time step is that of its times, or is among its encoding.
    """
    described = describe(field)
    low, high = described.kind.plausible or described.bounds
    if described.quantity != "precipitation" or high is None:
        return low, high
    days = field.encoding.get(STEP_DAYS)
    if days is None and "time" in field.dims:
        days = step_days(field["time"][:FEW_TIMES])
    return -GAUGE, high if days is None or not 0 < days < 1 else high * days**-0.5


def beyond(limits: Bounds, value: float) -> Literal["too low", "too high"] | None:
    """Whether a variable cannot have a value."""
    low, high = limits
    if low is not None and value < low:
        return "too low"
    return "too high" if high is not None and value > high else None


def set_apart(suspects: dict[float, Suspect], low: float, high: float) -> tuple[list[float], float, float]:
    """The known fill values that lie apart from all other values, and the extremes of all that are none."""
    found = []
    distance = lambda value: max(low - value, value - high, 0.0)  # noqa: E731
    for value in sorted(suspects, key=lambda value: distance(value) if np.isfinite(low) else 0.0):
        far, width = distance(value) if np.isfinite(low) else np.inf, high - low
        if far > width or (suspects[value].count >= OFTEN and far > NEAR * width):
            found.append(value)
        else:
            low, high = min(low, value), max(high, value)
    return found, low, high


def fill_sentence(name: Any, number: float, packing: Packing, value: str, where: str) -> str:
    """What is said of an undeclared fill value, and how to declare it."""
    said = number_text(number)
    also = "" if _reads(value, number) else f" ({'packed; ' if packing.is_packed else ''}{value} as it is read)"
    return (
        f"{name} is {said} in the file{also} {where}, which looks like a fill value that no attribute declares; give "
        f"the variable the attribute missing_value = {said} (_FillValue = {said} when the file is written), or say so "
        f"without changing the file: variables = {{{name} = {{missing = {said}}}}}."
    )


def keep_sentence(name: Any) -> str:
    """How to keep a value that only looks like a fill value."""
    return f" If it is a value, keep it: variables = {{{name} = {{missing = {NOTHING!r}}}}}."


def number_text(number: float) -> str:
    """A number as it is written into an attribute."""
    return str(int(number)) if abs(number) < 1e15 and number == int(number) else f"{number:.9g}"


def _reads(value: str, number: float) -> bool:
    first = float(value.split()[0])
    return abs(first - number) <= 1e-5 * abs(number)
