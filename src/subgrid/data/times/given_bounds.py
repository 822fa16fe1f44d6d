"""Bounds of times as files give them: named by an attribute, or lying beside the times with a name that says it.

A file whose attribute `bounds` was lost still has them, as numbers that nothing decodes; and of monthly means stamped
at the end of their month nothing else tells which month they are of.
"""

from datetime import timedelta
from typing import Any

import numpy as np
import xarray as xr

from subgrid.data.times.absent_bounds import named_bounds
from subgrid.data.times.calendars import starts_of

ENDINGS = ("_bnds", "_bounds", "_bound", "_edges")
"""Of a name after that of the times, or after "time"."""
ALIKE = 0.1
"""Part by which an interval may be longer or shorter than one beside it: months of 28 and of 31 days are told by their
beginnings."""
LONGEST_MONTH = timedelta(days=31)


def time_bounds_of(dataset: xr.Dataset, name: str) -> tuple[xr.DataArray | None, list[str]]:
    """The intervals of times.

    Args:
        dataset: decoded.
        name: of the times in it.

    Returns:
        (time, 2), decoded, None where there are none that can be used; and what is said of them.

    Examples:
        >>> bounds, said = time_bounds_of(dataset, "time")
    """
    time = dataset[name]
    source = named_bounds(time)
    if source is None or source not in dataset.variables:
        return _unnamed(dataset, time)
    found = _pairs(dataset, source, time)
    return (None, []) if found is None else _mended(found, time)


def _pairs(dataset: xr.Dataset, source: str, time: xr.DataArray) -> xr.DataArray | None:
    """A variable that has two values for each time."""
    if source not in dataset.variables or not {*time.dims} <= {*dataset[source].dims}:
        return None
    bounds = dataset[source].transpose(*time.dims, ...)
    return bounds if bounds.ndim == time.ndim + 1 and bounds.shape[-1] == 2 else None


def _unnamed(dataset: xr.Dataset, time: xr.DataArray) -> tuple[xr.DataArray | None, list[str]]:
    """Bounds by their name alone: used where each stamp lies in its own, or at an end of it."""
    for source in (f"{stem}{ending}" for stem in dict.fromkeys((str(time.name), "time")) for ending in ENDINGS):
        found = _pairs(dataset, source, time) if time.ndim == 1 else None
        bounds = None if found is None else _decoded(found, time)
        if bounds is None or is_missing(bounds.values) or bounds.dtype.kind != time.dtype.kind:
            continue
        early, late = bounds.values.min(-1), bounds.values.max(-1)
        if (early < late).all() and ((early <= time.values) & (time.values <= late)).all():
            return bounds, [f"{source!r} is taken for the bounds, though no attribute 'bounds' names it"]
    return None, []


def _decoded(bounds: xr.DataArray, time: xr.DataArray) -> xr.DataArray | None:
    """Numbers as dates in the units of their times; None for what is none."""
    if bounds.dtype.kind not in "fiu":
        return bounds
    axis = {key: bounds.attrs.get(key, time.encoding.get(key)) for key in ("units", "calendar")}
    named = {key: value for key, value in axis.items() if value is not None}
    coder = xr.coders.CFDatetimeCoder(use_cftime=time.dtype.kind == "O")
    try:
        whole = xr.Dataset({"bounds": (bounds.dims, bounds.values, named)})
        return xr.decode_cf(whole, decode_times=coder)["bounds"]
    except Exception:  # numbers that are no dates in these units
        return None


def _mended(bounds: xr.DataArray, time: xr.DataArray) -> tuple[xr.DataArray | None, list[str]]:
    """Bounds with what is missing between others filled; none where they hold nothing, or no interval at all.

    What is filled begins and ends with its neighbours, holds its stamp and is as long as one of them: an archive of
    winters has months between its intervals that belong to none.
    """
    from subgrid.data.checks.checks import counted  # which knows of pooling, as that of times

    values = np.array(bounds.values)
    if time.ndim != 1 or values.dtype.kind not in "MO" or not values.size:
        return bounds, []
    lacking = np.array([is_missing(pair) for pair in values] if is_missing(values) else [False] * len(values))
    for k in np.flatnonzero(lacking):
        if 0 < k < len(values) - 1 and not lacking[k - 1 : k + 2 : 2].any():
            between = np.array([values[k - 1].max(), values[k + 1].min()], values.dtype)
            values[k] = between if _fits(between, time.values[k], values[[k - 1, k + 1]]) else values[k]
    if is_missing(values):
        left = "" if lacking.all() else ", and their neighbours do not tell them all"
        return None, [f"the bounds {bounds.name!r} are not used: {lacking.sum()} of {len(values)} are missing{left}"]
    filled = [f"bounds are missing at {counted(lacking.sum(), 'time')}, and are taken from their neighbours"]
    empty = values[:, 0] == values[:, 1]
    if empty.any() and not (empty & (values[:, 0] == time.values)).all():
        return None, [f"the bounds {bounds.name!r} are not used: {empty.sum()} of {len(values)} are empty"]
    return bounds.copy(data=values), filled if lacking.any() else []


def _fits(pair: np.ndarray, stamp: Any, neighbours: np.ndarray) -> bool:
    """Whether an interval holds its stamp, and is as long as one beside it or a whole month."""
    if not pair[0] <= stamp <= pair[1] or not pair[0] < pair[1]:
        return False
    length, others = pair[1] - pair[0], neighbours.max(-1) - neighbours.min(-1)
    if any(abs(length - other) <= ALIKE * other for other in others):
        return True
    begin, end = (xr.DataArray(np.array([each], pair.dtype), dims="time") for each in (pair[0], pair[1]))
    middle = xr.DataArray(begin.values + length / 2, dims="time")
    starts = [begin.values == starts_of(begin, "month"), begin.values == starts_of(middle, "month")]
    return bool(all(starts) and end.values == starts_of(end, "month") and length <= LONGEST_MONTH)


def is_missing(pairs: np.ndarray) -> bool:
    """Whether some date is none."""
    return bool(np.isnat(pairs).any()) if pairs.dtype.kind == "M" else any(p is None or p != p for p in pairs.flat)
