"""Climatologies, whose times are no dates: CF marks them by the attribute `climatology` in place of `bounds`."""

import re

import numpy as np
import xarray as xr

from subgrid.data.fields import DataError

YEAR = 366.0
"""Days, the longest of a year: bounds further apart are of several."""


def refuse_climatology(dataset: xr.Dataset, variable: str, time: xr.DataArray, *, file: str) -> None:
    """Passes for a series: each time of a climatology stands for the same month or hour of many years.

    Args:
        dataset: decoded.
        variable: in it.
        time: its times.
        file: for messages.

    Raises:
        DataError: for times whose climatological bounds are more than a year apart, or that are said to be means over
            years.
    """
    marked = str(time.attrs.get("climatology", time.encoding.get("climatology", "")))
    methods = str(dataset[variable].attrs.get("cell_methods", ""))
    if re.search(r"\bover\s+years\b", methods.lower()):
        said = f"cell_methods = {methods!r}"
    elif _spans_years(dataset, marked):
        said = f"climatology = {marked!r}, an attribute of {time.name}"
    else:
        return
    raise DataError(
        f"{file}: {variable} is a climatology ({said}): each of its {time.size} times stands for many years, and none "
        "is a date; bring the series that it was made of, or correct that attribute if the times are dates."
    )


def _spans_years(dataset: xr.Dataset, name: str) -> bool:
    """Whether bounds are more than a year apart, where they are dates."""
    if name not in dataset.variables or dataset[name].ndim != 2 or dataset[name].dtype.kind not in "MO":
        return False
    first, last = dataset[name].values[:, 0], dataset[name].values[:, -1]
    length = last - first
    if length.dtype.kind == "m":
        return bool((length > np.timedelta64(round(YEAR * 86_400), "s")).any())
    return any(each.total_seconds() > YEAR * 86_400 for each in length if hasattr(each, "total_seconds"))
