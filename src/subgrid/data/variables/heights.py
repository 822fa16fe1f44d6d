"""The height of the ground: how a static field is known to be one, and its units in metres."""

import re

import xarray as xr

from subgrid.data.variables.unit_spellings import UnknownUnit, parse_unit, registry

GRAVITY = 9.80665
"""Standard gravity in m s-2, by which ECMWF divides geopotential."""
STANDARD_NAMES = re.compile(
    r"surface_altitude|altitude|surface_geopotential|height_above_(mean_sea_level|geoid|reference_ellipsoid)"
)
NAMES = re.compile(
    r"orog(raphy)?|topo(graphy)?|elev(ation)?|z|z0|zs|zsurf|hgt(_m)?|hsurf|h_?surf(ace)?|phis?|fis|height|alt(itude)?|"
    r"dem|relief|geopotential|gh|surface_(height|altitude|geopotential)|terrain(_height)?|mterh|ht",
    re.IGNORECASE,
)


def by_standard_name(field: xr.DataArray) -> bool:
    """Whether the standard name of a field is that of the height of the ground."""
    return bool(STANDARD_NAMES.fullmatch(str(field.attrs.get("standard_name", ""))))


def by_name(field: xr.DataArray) -> bool:
    """Whether a field has such a name, and no units of something else."""
    units = str(field.attrs.get("units", ""))
    return bool(NAMES.fullmatch(str(field.name))) and (not units.strip() or metres_in(units) is not None)


def by_units(field: xr.DataArray) -> bool:
    """Whether its units are those of a height or a geopotential."""
    return metres_in(str(field.attrs.get("units", ""))) is not None


def metres_in(units: str) -> float | None:
    """Metres in a unit of length or, by standard gravity, of geopotential; None for another dimension."""
    try:
        unit = parse_unit(units)
    except UnknownUnit:
        return None
    amount = registry().Quantity(unit.scale, unit.unit)
    if amount.check("[length]"):
        return float(amount.to("meter").magnitude)
    if amount.check("[length] ** 2 / [time] ** 2"):
        return float(amount.to("meter ** 2 / second ** 2").magnitude) / GRAVITY
    return None


def role_of(field: xr.DataArray) -> str:
    """What a static field is for, in words; empty where its names do not tell that it is the height of the ground."""
    known = "standard name" if by_standard_name(field) else "name" if by_name(field) else ""
    if not known:
        return ""
    return f"the height of the ground (by its {known}), of use as a predictor: orography = FILE, and not as a variable"
