"""Bounds of times as files give them: named by an attribute, or lying beside the times with a name that says it.

A file whose attribute `bounds` was lost still has them, as numbers that nothing decodes; and of monthly means stamped
at the end of their month nothing else tells which month they are of.
"""

import numpy as np
import xarray as xr

from subgrid.data.times.absent_bounds import named_bounds

ENDINGS = ("_bnds", "_bounds", "_bound", "_edges")
"""Of a name after that of the times, or after "time"."""


def bounds_of(dataset: xr.Dataset, name: str) -> tuple[xr.DataArray | None, list[str]]:
    """The intervals of times.

    Args:
        dataset: decoded.
        name: of the times in it.

    Returns:
        (time, 2), decoded, None where there are none that can be used; and what is said of them.

    Examples:
        >>> bounds, said = bounds_of(dataset, "time")
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
    """Bounds with what is missing between others filled; none where they hold nothing, or no interval at all."""
    values = np.array(bounds.values)
    if time.ndim != 1 or values.dtype.kind not in "MO" or not values.size:
        return bounds, []
    lacking = np.array([is_missing(pair) for pair in values] if is_missing(values) else [False] * len(values))
    for k in np.flatnonzero(lacking):
        if 0 < k < len(values) - 1 and not lacking[k - 1 : k + 2 : 2].any():
            values[k] = values[k - 1].max(), values[k + 1].min()
    if is_missing(values):
        return None, [f"the bounds {bounds.name!r} are not used: {lacking.sum()} of {len(values)} are missing"]
    filled = [f"bounds are missing at {lacking.sum()} times, and are taken from their neighbours"]
    empty = values[:, 0] == values[:, 1]
    if empty.any() and not (empty & (values[:, 0] == time.values)).all():
        return None, [f"the bounds {bounds.name!r} are not used: {empty.sum()} of {len(values)} are empty"]
    return bounds.copy(data=values), filled if lacking.any() else []


def is_missing(pairs: np.ndarray) -> bool:
    """Whether some date is none."""
    return bool(np.isnat(pairs).any()) if pairs.dtype.kind == "M" else any(p is None or p != p for p in pairs.flat)
