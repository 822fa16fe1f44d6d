"""Hours at which daily series are stamped: variables of one day meet, whatever their hours."""

from datetime import timedelta

import numpy as np
import xarray as xr

from subgrid.data.times.calendars import step_days


def same_hours(series: list[xr.Dataset]) -> list[xr.Dataset]:
    """Daily series that are stamped at different hours of the day, all stamped as the first; others as they are.

    Args:
        series: canonical datasets of one variable each.

    Returns:
        Them, in their order.
    """
    timed = [s for s in series if "time" in s.dims]
    if len(timed) < 2 or any(step_days(s["time"]) != 1.0 for s in timed):
        return series
    hour = _hour(timed[0]["time"])
    return [_moved(s, hour - _hour(s["time"])) if "time" in s.dims else s for s in series]


def _moved(dataset: xr.Dataset, shift: timedelta) -> xr.Dataset:
    times = dataset["time"].values
    moved = times + (np.timedelta64(shift) if times.dtype.kind == "M" else shift)
    return dataset.assign_coords(time=("time", moved, dataset["time"].attrs))


def _hour(time: xr.DataArray) -> timedelta:
    first = time[0].dt
    return timedelta(hours=int(first.hour), minutes=int(first.minute), seconds=int(first.second))
