"""Time stamps at the end of their steps: sums, means and extremes of forecasts and of ERA5 are stamped there.

A day is then made of what ends from 01:00 to 24:00 of it, not of what is stamped from 00:00 to 23:00. Bounds of the
times tell it for every archive; without them the attributes of GRIB do, and the names and units of ERA5.
"""

import re
from datetime import timedelta

import numpy as np
import xarray as xr

STEP_TYPES = ("accum", "avg", "max", "min")
"""Values of `GRIB_stepType`, which GRIB's readers write: over the step that ends at the valid time, not at it."""
ERA5_SUMS = re.compile(
    r"tp|cp|lsp|sf|csf|lsf|e|pev|ro|sro|ssro|smlt|ssrd?c?|strd?c?|tsrc?|ttrc?|tisr|fdir|cdir|uvb|sshf|slhf"
)
ERA5_OTHERS = re.compile(r"mx2t|mn2t|fg10|10fg|mtpr|avg_tprate|msdw[sl]wrf|avg_sd[sl]wrf")
"""Names of ERA5 over the hour before their stamps: sums, in units of a sum; extremes and mean rates."""
ERA5_UNITS = re.compile(r"m|J m\*\*-2|m of water equivalent")


def stamped_at_end(field: xr.DataArray, units: str, *, bounded: bool) -> str | None:
    """What says, in words, that a variable is stamped at the end of its steps, such as "as in ERA5".

    An empty text where bounds have put the stamps into their steps, None where nothing is known.
    """
    if bounded:
        return ""
    kind, name = str(field.attrs.get("GRIB_stepType", "")), str(field.name)
    if kind in STEP_TYPES:
        return f"GRIB_stepType = {kind!r}"
    summed = ERA5_SUMS.fullmatch(name) and ERA5_UNITS.fullmatch(units.strip())
    return "as in ERA5" if kind != "instant" and (summed or ERA5_OTHERS.fullmatch(name)) else None


def earlier(time: xr.DataArray, seconds: float) -> xr.DataArray:
    """Times before others, without coordinates.

    Args:
        time: (time,), decoded.
        seconds: how long before.

    Returns:
        (time,).
    """
    before = timedelta(seconds=seconds)
    shift = np.timedelta64(before) if time.dtype.kind == "M" else before
    return xr.DataArray(time.values - shift, dims="time")
