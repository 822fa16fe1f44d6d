"""Conversion of climate variables to the canonical units of what they measure.

Temperatures become K, precipitation mm day-1, pressures Pa and so on (`quantities.py`), as float32; what Subgrid does
not know keeps its units. What a variable measures decides, not its units alone: m s-1 is a wind as well as a rain rate.
"""

import re
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import xarray as xr

from subgrid.data.fields import DataError
from subgrid.data.variables.directions import refuse_direction
from subgrid.data.variables.quantities import QUANTITIES, Described, Quantity
from subgrid.data.variables.unit_spellings import (
    DIMENSIONLESS,
    ZEROS,
    Unit,
    UnknownUnit,
    is_angle,
    parse_unit,
    registry,
)

WATER_DENSITY = 1000.0
"""In kg m-3."""
NOISE = 1e-3
"""Precipitation in mm day-1 that packing and interpolation leave below zero; it is taken as zero."""
AMOUNTS = {
    "precipitation": ("[length]", "[mass] / [length] ** 2"),
    "radiation": ("[mass] / [time] ** 2",),
    "net radiation": ("[mass] / [time] ** 2",),
}
"""Dimensions of what is summed up over a time step, by the quantity whose canonical units are a rate."""


OF_WATER_NAMES = re.compile(
    r"(lwe_)?(thickness_of_)?(?P<what>((convective|stratiform)_)?(precipitation|rainfall|snowfall))_(flux|amount)"
)
"""CF standard names of precipitation in kg m-2 s-1, and of amounts in kg m-2 or m; those in mm day-1 end in "rate" and
begin with "lwe" but for rain, which is water."""


@dataclass(frozen=True)
class Conversion:
    """canonical = factor · value + offset, computed in float64 and stored as float32.

    Args:
        factor: canonical units in one unit; (time,) for amounts over steps of unequal length.
        offset: canonical value of 0.
        quantity: what the variable measures.
        units: canonical units.
    """

    factor: float | xr.DataArray
    offset: float
    quantity: str
    units: str

    def __call__(self, field: xr.DataArray) -> xr.DataArray:
        """The field in canonical units, lazily where it is lazy; attributes kept, units renewed."""
        values = field.astype(np.float64) * self.factor + self.offset
        if self.quantity == "precipitation":
            values = values.where((values >= 0) | (values < -NOISE) | values.isnull(), 0.0)
        values = values.astype(np.float32)
        values.attrs = _of_rates({**field.attrs, "units": self.units}, self.quantity)
        return values

    def back(self, value: float) -> float:
        """The value of the file that became a canonical one; NaN where steps have unequal lengths."""
        return (value - self.offset) / self.factor if isinstance(self.factor, float) else float("nan")


def _of_rates(attributes: dict[Any, Any], quantity: str) -> dict[Any, Any]:
    """Attributes that hold of canonical values: not of other units, and not of sums where these became rates."""
    kept = {key: value for key, value in attributes.items() if key != "GRIB_units"}
    if quantity not in AMOUNTS:
        return kept
    methods, name = (str(kept.get(key, "")) for key in ("cell_methods", "standard_name"))
    if methods:
        kept["cell_methods"] = re.sub(r"\btime\s*:\s*sum\b", "time: mean", methods)
    if water := OF_WATER_NAMES.fullmatch(name):
        rate = f"{water['what']}_rate"
        kept["standard_name"] = rate if "rainfall" in rate else f"lwe_{rate}"
    elif name.startswith("integral_wrt_time_of_"):
        kept["standard_name"] = name.removeprefix("integral_wrt_time_of_")
    return kept


def conversion(
    field: xr.DataArray, described: Described, *, file: str, step_days: float | xr.DataArray | None = None
) -> Conversion:
    """The conversion of a variable to canonical units.

    Args:
        field: with its attribute "units".
        described: what it is taken to be.
        file: for messages.
        step_days: the length of a time step, or of each (time,), which turns amounts (mm, m or kg m-2 of precipitation,
            J m-2 of radiation) into rates.

    Returns:
        A function of the field.

    Raises:
        DataError: for units that are missing, unknown or of something else, and for directions.

    Examples:
        >>> conversion(dataset.tas, describe(dataset.tas), file="tas.nc")(dataset.tas)
    """
    refuse_direction(field, described, file=file)
    found, kind = field.attrs.get("units"), described.kind
    text = "" if found is None else str(found)
    if kind.units is None:
        _known(text, field, file, None)
        return Conversion(1.0, 0.0, described.quantity, text)
    if not text.strip():
        if described.quantity in ("fraction", "relative humidity"):
            raise DataError(
                f"{file}: {field.name} has no attribute 'units', so it may be from 0 to 1 or from 0 to 100; set it to "
                "'1' or '%'" + or_say_so("units", field.name, "'%'")
            )
        raise DataError(
            f"{file}: {field.name} has no attribute 'units'; set it to what the values are in, for instance "
            f"{kind.units!r}" + or_say_so("units", field.name, repr(kind.units))
        )
    unit = _known(text, field, file, kind.units)
    factor, offset = _line(unit, kind, described.quantity, step_days) or (None, 0.0)
    if factor is None:
        raise DataError(
            f"{file}: {field.name} is {kind.about} ({described.because}), in units {text!r}, which cannot become "
            f"{kind.units}{_way_out(unit, described.quantity)} without changing the file: variables = "
            f"{{{field.name} = {{{_instead(unit, text, described.quantity)}}}}}."
        )
    if _may_be_of_a_day(unit, described.quantity) and _is_months(step_days):
        raise DataError(
            f"{file}: {field.name} is in {text!r} at monthly steps: a sum over each month, or of a day as in ERA5's "
            f"monthly means; say which: variables = {{{field.name} = {{units = '{text} day-1'}}}}, or units = '{text} "
            "month-1'."
        )
    return Conversion(factor, offset, described.quantity, kind.units)


def _may_be_of_a_day(unit: Unit, quantity: str) -> bool:
    """Whether an amount of a month may be one of its mean day: ERA5 has metres of rain and joules so."""
    if quantity == "precipitation":
        return str(unit.unit) == "meter"
    return unit.dimensionality in AMOUNTS.get(quantity, ())


def or_say_so(option: str, name: Any, value: str) -> str:
    """The end of an advice: how to say something of a variable without a change of its file."""
    return f", or say so without changing the file: variables = {{{name} = {{{option} = {value}}}}}."


def _instead(unit: Unit, text: str, quantity: str) -> str:
    """What to say of a variable whose units do not fit: those of a rate for amounts, else another quantity."""
    if unit.dimensionality in AMOUNTS.get(quantity, ()):
        return f"units = '{text} day-1'"
    if is_angle(unit):
        return "units = " + repr("degC" if quantity.startswith("temperature") else QUANTITIES[quantity].units)
    fitting = (name for name, kind in QUANTITIES.items() if name != quantity and kind.units and can_be(text, name))
    return f"quantity = {next(fitting, 'other')!r}"


def can_be(units: str, quantity: str) -> bool:
    """Whether a variable in some units could be of a quantity.

    Args:
        units: the attribute; an empty text could be anything.
        quantity: a key of `QUANTITIES`.

    Returns:
        False where the units are not known, or of another dimension.

    Examples:
        >>> can_be("hPa", "precipitation")
        False
    """
    kind = QUANTITIES[quantity]
    if kind.units is None or not units.strip():
        return True
    try:
        return _line(parse_unit(units), kind, quantity, 1.0) is not None
    except UnknownUnit:
        return False


def is_amount(quantity: str, units: str) -> bool:
    """Whether units are those of what is summed up over a time step: mm of precipitation, J m-2 of radiation."""
    try:
        return parse_unit(units).dimensionality in AMOUNTS.get(quantity, ())
    except UnknownUnit:
        return False


def is_number(units: str) -> bool:
    """Whether units are those of a pure number, such as "1" or "0-1", and neither missing nor per cent."""
    return bool(units.strip()) and re.fullmatch(DIMENSIONLESS, units.strip().lower()) is not None


def implausible(described: Described, low: float, high: float) -> Literal["too low", "too high"] | None:
    """Whether the extremes of a field in canonical units leave what nature allows."""
    if described.kind.plausible is None:
        return None
    lowest, highest = described.kind.plausible
    if low < lowest:
        return "too low"
    return "too high" if high > highest else None


def likely_units(quantity: str, units_found: str, value: float) -> str:
    """A guess at the true units of an implausible value (in canonical units), or "" where there is none."""
    found = units_found.lower()
    match quantity:
        case "temperature" if found in ("k", "kelvin", "") and -90 < value < 60:
            return "degC"
        case "temperature" if "c" in found and 150 <= value - 273.15 <= 350:
            return "K"
        case "precipitation" if value > 3000.0 and ("s-1" in found or "/s" in found):
            return "mm day-1"
        case "pressure" if value > 120_000.0 and "h" in found:
            return "Pa"
        case "fraction" | "relative humidity" if value > 130.0 and found in ("1", ""):
            return "%"
        case _:
            return ""


def _known(text: str, field: xr.DataArray, file: str, usual: str | None) -> Unit:
    """The unit that a variable has; never the canonical one in its place, as values are in another."""
    try:
        return parse_unit(text)
    except UnknownUnit:
        into = f"to {usual!r} (and say that too)" if usual else "to a unit that UDUNITS knows"
        raise DataError(
            f"{file}: {field.name} has the unknown units {text!r}; say what the values are in, spelled as in UDUNITS "
            f"(such as 'mm h-1' or 'hPa'), with its attribute 'units', or without changing the file: variables = "
            f"{{{field.name} = {{units = '…'}}}}. If UDUNITS has no word for it, convert the values {into}."
        ) from None


def _line(
    unit: Unit, kind: Quantity, quantity: str, step_days: float | xr.DataArray | None
) -> tuple[float | xr.DataArray, float] | None:
    """(factor, offset) of the conversion; None if the dimensions do not agree."""
    if is_angle(unit):
        return None  # pint takes it for a number, and a degree for .017
    ureg = registry()
    amount, days = ureg.Quantity(unit.scale, unit.unit), 1.0
    if quantity in AMOUNTS and "common_month" in str(unit.unit) and _is_months(step_days):
        amount = amount * ureg.Quantity(1.0, "common_month")  # a sum over each month, whose own length divides
    if str(amount.dimensionality) in AMOUNTS.get(quantity, ()):
        if step_days is None:
            return None
        amount, days = amount / ureg.Quantity(1.0, "day"), step_days
    if quantity == "precipitation" and "[mass]" in amount.dimensionality:
        amount = amount / ureg.Quantity(WATER_DENSITY, "kilogram / meter ** 3")
    if unit.offset is not None and not quantity.startswith("temperature"):
        return None
    canonical = parse_unit(kind.units or "").unit
    try:
        factor = float(amount.to(canonical).magnitude)
    except Exception:  # pint has several kinds for what does not go together
        return None
    offset = ZEROS[unit.offset] if unit.offset is not None and quantity == "temperature" else 0.0
    return factor / days, offset


def _is_months(step_days: float | xr.DataArray | None) -> bool:
    return step_days is not None and bool(np.all((np.asarray(step_days) > 27) & (np.asarray(step_days) < 32)))


def _way_out(unit: Unit, quantity: str) -> str:
    """What to do about units that do not fit, up to what can be said of the variable."""
    if unit.dimensionality in AMOUNTS.get(quantity, ()):
        return (
            " (an amount needs time steps of known length to become a rate); write bounds of its times, which tell the "
            "length of each step; or, only where each value is that of one day, say so"
        )
    return "; correct the attribute 'units', or say so"
