"""Shares from 0 to 1 that are called per cent, and humidities that are none: units that values contradict.

A fraction taken for per cent stays within its bounds, so that no limit of what is plausible tells.
"""

import xarray as xr

from subgrid.data.fields import DataError
from subgrid.data.pooling.pooling import UNITS_FOUND, UNITS_GIVEN, file_of
from subgrid.data.variables.quantities import describe
from subgrid.data.variables.units import is_number

DRIEST = 3.0
"""Per cent that relative humidity exceeds somewhere in every archive of the troposphere: deserts have 5."""
ONE = 1.001, 0.5
"""The largest value of an archive of shares from 0 to 1, with its rounding, is in this range; the largest of per cent
is above, as clouds and ice cover some cell, or 0 where they are absent."""


def check_share(field: xr.DataArray, high: float, name: str) -> None:
    """Passes for shares whose largest value is one of their units.

    Args:
        field: canonical.
        high: its largest value, in per cent.
        name: of the archive, where the file is not known.

    Raises:
        DataError: with both readings and how to choose, for per cent that never exceed 1, and relative humidities that
            look like specific ones; not where the units are given.
    """
    quantity = describe(field).quantity
    if quantity not in ("fraction", "relative humidity") or field.encoding.get(UNITS_GIVEN) is not None:
        return
    units = str(field.encoding.get(UNITS_FOUND, field.attrs.get("units", "")))
    begins = f"{file_of(field, name)}: {field.name} in {units!r}"
    if is_number(units):
        if quantity == "relative humidity" and high <= DRIEST:
            raise DataError(
                f"{begins} never exceeds {high / 100:.3g}, too little for a relative humidity; if it is a specific "
                f"humidity, say so: variables = {{{field.name} = {{quantity = 'mass fraction'}}}}, if it is a relative "
                f"one from 0 to 1: variables = {{{field.name} = {{units = '1'}}}}."
            )
        return
    if ONE[1] < high <= ONE[0] or (quantity == "relative humidity" and high <= DRIEST):
        raise DataError(
            f"{begins} never exceeds {high:.3g}, so it looks like a share from 0 to 1; if it is one, say so: variables "
            f"= {{{field.name} = {{units = '1'}}}}, if it is in per cent: variables = {{{field.name} = {{units = "
            "'%'}}."
        )
