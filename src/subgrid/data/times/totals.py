"""Running totals on a plain axis of times, which are no amounts of a time step.

WRF sums its rain up from the start of the run, or until a bucket is full, ERA5-Land from midnight on, ERA-Interim twice
a day, others from the first of a month. All are in units of an amount, as sums over each step are, so only values tell:
a total never falls, except where it begins anew. One that begins anew at every second or third time cannot be told from
amounts; `inspect` says of every amount that it is taken for one of each step.
"""

import numpy as np
import xarray as xr
from jaxtyping import Float

from subgrid.data.fields import DataError
from subgrid.data.variables.units import is_amount

AT_MOST, AT_LEAST = 400, 50
"""Consecutive times that are looked at: as many as fit `SAMPLE_BYTES`, in these limits."""
SAMPLE_BYTES = 128 * 2**20
CELLS = 16
RISES = 8
"""How often a cell must rise while none falls: amounts rise eight times in a row nowhere."""
NOISE = 5e-5
"""Part of the largest value that packing may take from a total."""
ENOUGH, SELDOM = 40, 0.2
"""A total is told by as many changes, of which no larger part is a fall: in amounts each rise is made up for by falls,
in a total the falls are its beginnings."""
FALLS = 12
"""Times of a fall from which on their hours tell of a total that begins anew several times a day."""
STEPS_PER_DAY = {"precipitation": 4, "radiation": 8, "net radiation": 8}
"""From which on totals of days are told from amounts: radiation may fall at one hour only where steps are long."""


def refuse_totals(field: xr.DataArray, quantity: str, units: str, *, file: str) -> None:
    """Passes for amounts of each time step, and for all that is no amount; a few cells and times are looked at.

    Args:
        field: canonical, in the order of time.
        quantity: what it is.
        units: in the file.
        file: for messages.

    Raises:
        DataError: for totals that run on, or begin anew at some hours, in each month or when a bucket is full, with
            both readings.

    Examples:
        >>> refuse_totals(open_climate("wrf.nc").RAINNC, "precipitation", "mm", file="wrf.nc")
    """
    if "time" not in field.dims or field.sizes["time"] <= RISES or not is_amount(quantity, units):
        return
    values, time = _sample(field)
    if values.size == 0:
        return
    seconds = np.array([t.total_seconds() for t in np.diff(time.values)]) if time.dtype == object else (
        np.diff(time.values) / np.timedelta64(1, "s")
    )  # fmt: skip
    found = _reading(values, seconds, np.asarray(time.dt.hour), quantity)
    if found is None:
        return
    rate = f"{units} day-1"
    raise DataError(
        f"{file}: {field.name} in {units!r} {found}, so it looks like a running total and not like an amount of each "
        "time step; if it is a total, take differences along its time dimension first (where it begins anew, the value "
        f"itself); if it is a rate that its units leave out, say so: variables = {{{field.name} = {{units = "
        f"{rate!r}}}}}."
    )


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
    values: Float[np.ndarray, "time cell"], seconds: np.ndarray, hours: np.ndarray, quantity: str
) -> str | None:
    """How values go on as only totals do, in words; None where they do not."""
    noise = NOISE * float(np.nanmax(np.abs(values), initial=0.0))
    change, usual = np.diff(values, axis=0), np.round(seconds) == np.round(np.median(seconds))
    rises = int((change > noise).sum(0).max(initial=0))
    if rises < RISES or np.sum(seconds) < 86_400:
        return None
    falls, looked = (change < -noise).any(1), f"({len(values)} times looked at)"
    if not falls.any():
        return f"never decreases from one time to the next {looked}"
    if falls.sum() > 1 and np.median(seconds) * STEPS_PER_DAY[quantity] <= 86_400 and usual.mean() > 0.9:
        at, risen = np.unique(hours[1:][falls]), np.unique(hours[1:][(change > noise).any(1)])
        if len(at) == 1 and len(risen) > 1:
            return f"decreases at {at[0]:02d}:00 only, once a day {looked}"
        if quantity == "precipitation" and falls.sum() >= FALLS and len(risen) > 1 and _evenly(at, np.unique(hours)):
            return f"decreases at {', '.join(f'{hour:02d}:00' for hour in at)} only {looked}"
    return _seldom(change, noise, looked)


def _evenly(at: np.ndarray, hours: np.ndarray) -> bool:
    """Whether some hours of the day, at most half of all, are as far from each other, as new beginnings are."""
    apart = np.diff(np.append(at, at[0] + 24))
    return 2 * len(at) <= len(hours) and bool((apart == apart[0]).all())


def _seldom(change: Float[np.ndarray, "time cell"], noise: float, looked: str) -> str | None:
    """Falls that are too few to make up for the rises."""
    rises, falls = int((change > noise).sum()), int((change < -noise).sum())
    if rises + falls < ENOUGH or falls > SELDOM * (rises + falls):
        return None
    return f"increases {rises} times and decreases {falls} times only, as what begins anew now and then {looked}"
