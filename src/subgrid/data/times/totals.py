"""Running totals on a plain axis of times, which are no amounts of a time step.

WRF sums its rain up from the start of the run, ERA5-Land from midnight on. Both are in units of an amount, as sums over
each step are, so only values tell: a total never falls, except where it begins anew.
"""

import numpy as np
import xarray as xr
from jaxtyping import Float

from subgrid.data.fields import DataError
from subgrid.data.variables.unit_spellings import UnknownUnit, parse_unit
from subgrid.data.variables.units import AMOUNTS

AT_MOST, AT_LEAST = 400, 50
"""Consecutive times that are looked at: as many as fit `SAMPLE_BYTES`, in these limits."""
SAMPLE_BYTES = 128 * 2**20
CELLS = 16
RISES = 8
"""How often a cell must rise while none falls: amounts rise eight times in a row nowhere."""
NOISE = 5e-5
"""Part of the largest value that packing may take from a total."""
STEPS_PER_DAY = {"precipitation": 4, "radiation": 8}
"""From which on totals of days are told from amounts: radiation may fall at one hour only where steps are long."""


def refuse_totals(field: xr.DataArray, quantity: str, units: str, *, file: str) -> None:
    """Passes for amounts of each time step, and for all that is no amount; a few cells and times are looked at.

    Args:
        field: canonical, in the order of time.
        quantity: what it is.
        units: in the file.
        file: for messages.

    Raises:
        DataError: for totals that run on, or begin anew once a day, with both readings.

    Examples:
        >>> refuse_totals(open_climate("wrf.nc").RAINNC, "precipitation", "mm", file="wrf.nc")
    """
    if "time" not in field.dims or field.sizes["time"] <= RISES or not _is_amount(quantity, units):
        return
    values, time = _sample(field)
    if values.size == 0:
        return
    seconds = np.array([t.total_seconds() for t in np.diff(time.values)]) if time.dtype == object else (
        np.diff(time.values) / np.timedelta64(1, "s")
    )  # fmt: skip
    found = _reading(values, seconds, np.asarray(time.dt.hour), STEPS_PER_DAY[quantity])
    if found is None:
        return
    rate = f"{units} day-1"
    raise DataError(
        f"{file}: {field.name} in {units!r} {found}, so it looks like a running total and not like an amount of each "
        "time step; if it is a total, take differences along its time dimension first (where it begins anew, the value "
        f"itself); if it is a rate that its units leave out, say so: variables = {{{field.name} = {{units = "
        f"{rate!r}}}}}."
    )


def _is_amount(quantity: str, units: str) -> bool:
    try:
        return parse_unit(units).dimensionality in AMOUNTS.get(quantity, ())
    except UnknownUnit:
        return False


def _sample(field: xr.DataArray) -> tuple[Float[np.ndarray, "time cell"], xr.DataArray]:
    """Consecutive times from the middle, at cells from the driest to the wettest."""
    lead = {d: 0 for d in field.dims if d == "realization"}
    n = field.sizes["time"]
    alone = field.isel(lead)
    length = min(n, int(np.clip(SAMPLE_BYTES * n // max(4 * alone.size, 1), AT_LEAST, AT_MOST)))
    part = alone.isel(time=slice((n - length) // 2, (n - length) // 2 + length))
    last = np.asarray(part.isel(time=-1).values)
    order = np.argsort(last, axis=None, kind="stable")
    order = order[: int(np.isfinite(last).sum())]
    chosen = order[np.unique(np.linspace(0, len(order) - 1, CELLS).astype(int))] if len(order) else order
    space = [d for d in part.dims if d != "time"]
    places = np.unravel_index(chosen, last.shape)
    indices = {d: xr.DataArray(i, dims="cell") for d, i in zip(space, places, strict=True)}
    return np.asarray(part.isel(indices).transpose("time", "cell").values, np.float64), part["time"]


def _reading(
    values: Float[np.ndarray, "time cell"], seconds: np.ndarray, hours: np.ndarray, steps_per_day: int
) -> str | None:
    """How values go on as only totals do, in words; None where they do not."""
    noise = NOISE * float(np.nanmax(np.abs(values), initial=0.0))
    change, usual = np.diff(values, axis=0), np.round(seconds) == np.round(np.median(seconds))
    rises = int((change > noise).sum(0).max(initial=0))
    if rises < RISES or np.sum(seconds) < 86_400:
        return None
    falls = (change < -noise).any(1)
    if not falls.any():
        return f"never decreases from one time to the next ({len(values)} times looked at)"
    at = np.unique(hours[1:][falls])
    many = falls.sum() > 1 and np.median(seconds) * steps_per_day <= 86_400
    if many and len(at) == 1 and usual.mean() > 0.9:
        return f"decreases at {at[0]:02d}:00 only, once a day ({len(values)} times looked at)"
    return None
