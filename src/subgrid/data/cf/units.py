"""Units of climate variables: what a variable measures, and its conversion to canonical units.

Temperatures become K, precipitation mm day-1 and pressures Pa, as float32; other variables keep their units. The CF
standard name or the name says what a variable measures, not its units alone: m s-1 is a wind as well as a rain rate.
"""

import functools
import logging
import re
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import xarray as xr

from subgrid.data.fields import DataError

Quantity: TypeAlias = Literal["temperature", "temperature difference", "precipitation", "pressure", "other"]

CANONICAL_UNITS: dict[str, str] = {
    "temperature": "K",
    "temperature difference": "K",
    "precipitation": "mm day-1",
    "pressure": "Pa",
}
NAMES: dict[Quantity, str] = {
    "temperature": "tas|tasmax|tasmin|ta|ts|tos|sst|t2m|2t|mx2t|mn2t|tg|tx|tn|tdps|temp|temperature",
    "temperature difference": "dtr|tasrange|diurnal_temperature_range",
    "precipitation": "pr|prc|prsn|prl|rr|tp|rain|precip|precipitation|pre|ppt",
    "pressure": "ps|psl|slp|msl|mslp|sp|pressure",
}
"""Names in CMIP, CORDEX, E-OBS, ERA5 and CRU files, for variables without a standard name."""
PLAUSIBLE: dict[str, tuple[float, float]] = {
    "temperature": (150.0, 350.0),
    "precipitation": (0.0, 3000.0),
    "pressure": (0.0, 120_000.0),
}
"""Limits in canonical units. Records at the surface are 184 and 330 K, 1825 mm in a day and 108,500 Pa; the lower limit
of temperature leaves room for the stratosphere, that of pressure for upper levels."""
WATER_DENSITY = "1000 kg / m**3"
NOISE = 1e-3
"""Precipitation in mm day-1 that packing and interpolation leave below zero; it is taken as zero."""


@dataclass(frozen=True)
class Conversion:
    """canonical = factor · value + offset, computed in float64 and stored as float32.

    Args:
        factor: canonical units in one unit.
        offset: canonical value of 0.
        quantity: what the variable measures.
        units: canonical units.
    """

    factor: float
    offset: float
    quantity: Quantity
    units: str

    def __call__(self, field: xr.DataArray) -> xr.DataArray:
        """The field in canonical units, lazily where it is lazy; attributes kept, units renewed."""
        values = field.astype(np.float64) * self.factor + self.offset
        if self.quantity == "precipitation":
            values = values.where((values >= 0) | (values < -NOISE) | values.isnull(), 0.0)
        attributes = {**field.attrs, "units": self.units}
        if self.quantity == "precipitation" and attributes.get("standard_name") == "precipitation_flux":
            attributes["standard_name"] = "lwe_precipitation_rate"  # the CF name of mm per day; a flux is kg m-2 s-1
        return values.astype(np.float32).assign_attrs(attributes)


def quantity_of(field: xr.DataArray) -> Quantity:
    """What a variable measures, by its standard name, else by its name."""
    standard_name = str(field.attrs.get("standard_name", "")).lower()
    described = f"{standard_name} {field.attrs.get('cell_methods', '')} {field.attrs.get('long_name', '')}".lower()
    by_name = _quantity_named(str(field.name).lower())
    if "temperature" in standard_name or by_name.startswith("temperature"):
        differs = re.search(r"\brange\b|anomal|difference|tendency", described) or by_name == "temperature difference"
        return "temperature difference" if differs else "temperature"
    if re.search(r"number_of|probability|duration|ratio", standard_name):
        return "other"
    if re.search(r"precipitation|rainfall|snowfall", standard_name):
        return "precipitation"
    return "pressure" if "air_pressure" in standard_name else by_name


def conversion(field: xr.DataArray, *, file: str, step_days: float | None = None) -> Conversion:
    """The conversion of a variable to canonical units.

    Args:
        field: with its attribute "units".
        file: for messages.
        step_days: the time step, which turns amounts of precipitation (mm, m or kg m-2 a step) into rates.

    Returns:
        A function of the field.

    Raises:
        DataError: for units that are missing, unknown or of something else.

    Examples:
        >>> conversion(dataset.tas, file="tas.nc")(dataset.tas)
    """
    quantity, found = quantity_of(field), field.attrs.get("units")
    if quantity == "other":
        unit = "" if found is None else str(found)
        _known(unit, field, file)
        return Conversion(1.0, 0.0, quantity, unit)
    if found is None or not str(found).strip():
        raise DataError(
            f"{file}: {field.name} has no attribute 'units'; set it to what the values are in, "
            f"for instance {CANONICAL_UNITS[quantity]!r}."
        )
    unit, canonical = _known(str(found), field, file), CANONICAL_UNITS[quantity]
    try:
        factor, offset = _line(unit, quantity, step_days)
    except Exception as error:  # pint raises its own classes for units that do not agree
        raise DataError(
            f"{file}: {field.name} is {_article(quantity)} in units {str(found)!r}, which cannot become {canonical}"
            f"{_hint(quantity, unit, step_days)}; correct the attribute 'units' or choose another variable."
        ) from error
    return Conversion(factor, offset, quantity, canonical)


def implausible(quantity: str, low: float, high: float) -> Literal["too low", "too high"] | None:
    """Whether the extremes of a field in canonical units leave what nature allows."""
    if quantity not in PLAUSIBLE:
        return None
    lowest, highest = PLAUSIBLE[quantity]
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
        case "precipitation" if value > PLAUSIBLE["precipitation"][1] and ("s-1" in found or "/s" in found):
            return "mm day-1"
        case "pressure" if value > PLAUSIBLE["pressure"][1] and "h" in found:
            return "Pa"
        case _:
            return ""


def _quantity_named(name: str) -> Quantity:
    for quantity, names in NAMES.items():
        if re.fullmatch(names, name):
            return quantity
    return "other"


def same_unit(first: str, second: str) -> bool:
    """Whether two spellings are of one unit; False where one is not known.

    Args:
        first: a unit as UDUNITS spells it.
        second: another.

    Returns:
        True if they are equal.

    Examples:
        >>> same_unit("m s-1", "m/s")
        True
    """
    try:
        return bool(_parsed(first) == _parsed(second))
    except Exception:  # pint has a dozen kinds for what it cannot read
        return False


@functools.cache
def _registry():
    """pint's units with the spellings of CF and UDUNITS, which cf-xarray adds.

    It defines some of pint's anew ("d" is a day, "h" an hour): this is meant, and pint's warnings of it are not shown.
    """
    logger = logging.getLogger("pint.util")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        from cf_xarray.units import units
    finally:
        logger.setLevel(level)
    return units


@functools.cache
def _parsed(text: str):
    spelled = re.sub(r"\s+of\s+(water|w\.?e\.?)(\s+equivalent)?|\s+water\s+equivalent", "", text.strip())
    return _registry().Unit("" if spelled == "1" else spelled)


def _known(text: str, field: xr.DataArray, file: str):
    try:
        return _parsed(text)
    except Exception as error:
        raise DataError(
            f"{file}: {field.name} has the unknown units {text!r}; set its attribute 'units' to something that "
            "UDUNITS knows, such as 'K', 'mm day-1' or 'Pa'."
        ) from error


def _line(unit, quantity: Quantity, step_days: float | None) -> tuple[float, float]:
    """(factor, offset) of the conversion, from where 0 and 1 go."""
    ureg: Any = _registry()  # pint's stubs leave magnitudes open
    canonical = CANONICAL_UNITS[quantity]
    if quantity.startswith("temperature"):
        zero, one = (float(ureg.Quantity(x, unit).to(canonical).magnitude) for x in (0.0, 1.0))
        return one - zero, zero if quantity == "temperature" else 0.0
    amount = ureg.Quantity(1.0, unit)
    if quantity == "precipitation" and "[mass]" in unit.dimensionality:
        amount = amount / ureg.Quantity(WATER_DENSITY)
    if quantity == "precipitation" and step_days is not None and amount.check("[length]"):
        amount = amount / ureg.Quantity(step_days, "day")
    return float(amount.to(canonical).magnitude), 0.0


def _article(quantity: Quantity) -> str:
    return quantity if quantity in ("precipitation", "pressure") else f"a {quantity}"


def _hint(quantity: Quantity, unit, step_days: float | None) -> str:
    amount = str(unit.dimensionality) in ("[length]", "[mass] / [length] ** 2")
    if quantity == "precipitation" and amount and step_days is None:
        return " (an amount needs equal time steps to become a rate)"
    return ""
