"""Where a value of an archive is, in words: its file, time, member and place."""

from typing import Any

import numpy as np
import xarray as xr

from subgrid.data.pooling.pooling import file_of


def show_time(time: Any) -> str:
    """A date, with the hour where it is not midnight."""
    text = str(np.datetime_as_string(time, unit="s") if isinstance(time, np.datetime64) else time).replace("T", " ")
    return text.removesuffix(" 00:00:00")


def place(field: xr.DataArray | xr.Dataset, where: dict[str, int]) -> str:
    """Time and place of an index, by the coordinates."""
    words = []
    if "realization" in where:
        members = field["realization"].values if "realization" in field.coords else np.arange(where["realization"] + 1)
        words.append(f"realization = {members[where['realization']]}")
    if "time" in where:
        times = field["time"].values if "time" in field.coords else np.arange(where["time"] + 1)
        words.append(f"time = {show_time(times[where['time']])}")
    axes = [axis for axis in ("lat", "lon") if axis in field.coords and {*map(str, field[axis].dims)} <= {*where}]
    for axis in axes:
        index = {d: where[str(d)] for d in field[axis].dims}
        words.append(f"{axis} = {float(field[axis].isel(index)):.4g}")
    told = {"realization", "time", *(str(d) for axis in axes for d in field[axis].dims)}
    for dim in (d for d in where if d not in told):  # of plain arrays and stations
        words.append(f"{dim} = {field[dim].values[where[dim]] if dim in field.coords else where[dim]}")
    return ", ".join(words)


def file_at(block: xr.DataArray, field: xr.DataArray, where: dict[str, int], name: str) -> str:
    at = {d: block[d].values[where[d]] for d in ("time", "realization") if d in where and d in block.coords}
    return file_of(field, name, time=at.get("time"), member=at.get("realization"))
