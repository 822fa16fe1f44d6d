"""Directions, in which numbers go round: their means over north are none, so that they are not modelled as numbers."""

import re

import xarray as xr

from subgrid.data.fields import DataError
from subgrid.data.variables.quantities import Described
from subgrid.data.variables.unit_spellings import UnknownUnit, is_angle, parse_unit

STANDARD_NAMES = re.compile(r".*_(from|to)_direction(_.*)?|direction_of_.*")
NAMES = re.compile(
    r"wd(ir)?\d*m?|dd|w(in)?d_?dir\w*|winddirection\w*|wind_(from|to)_direction\w*|mwd|mdww", re.IGNORECASE
)


def refuse_direction(field: xr.DataArray, described: Described, *, file: str) -> None:
    """Passes for all but directions: 359 and 1 degree are neighbours, and their mean is not 180.

    Args:
        field: with its name and attributes.
        described: what it is taken to be.
        file: for messages.

    Raises:
        DataError: with both ways out, for a direction of which nothing was said.
    """
    if described.is_told or described.quantity != "other" or not _is_direction(field):
        return
    raise DataError(
        f"{file}: {field.name} is a direction, whose numbers go round: the mean of 359 and 1 degrees is not 180; bring "
        "its eastward and northward components in its place, leave it out by naming the variables that you want, or "
        f"have its numbers taken as they are: variables = {{{field.name} = {{quantity = 'other'}}}}."
    )


def _is_direction(field: xr.DataArray) -> bool:
    """By its standard name, or by a name or long name with units of an angle."""
    if STANDARD_NAMES.fullmatch(str(field.attrs.get("standard_name", ""))):
        return True
    words = re.search(r"\bdirection\b", str(field.attrs.get("long_name", "")).lower().replace("_", " "))
    return bool(words or NAMES.fullmatch(str(field.name))) and _has_angles(str(field.attrs.get("units", "")))


def _has_angles(units: str) -> bool:
    if re.match(r"(deg(ree)?s?|°)([ _]?true|[ _]?\(?from north\)?)?$", units.strip(), re.IGNORECASE):
        return True
    try:
        return is_angle(parse_unit(units))
    except UnknownUnit:
        return False
