"""Running totals against amounts of each step: refused, and no false alarm."""

import numpy as np
import pytest
import xarray as xr

from subgrid.data.canonical import open_climate
from subgrid.data.fields import DataError
from subgrid.data.inspection.inspection import inspect

from ...cases import few
from ..climate_files import archive


def amounts(values, hours: float, *, name: str = "pr", units: str = "mm", start: str = "2001-01-01T01") -> xr.Dataset:
    """An archive of values (time, cell) at 20 cells."""
    file = archive("pr", n_times=len(values)).rename(pr=name)
    step = np.timedelta64(round(hours * 3600), "s")
    file = file.assign_coords(time=np.datetime64(start, "ns") + step * np.arange(len(values)))
    shaped = np.broadcast_to(np.reshape(values, (len(values), -1)), (len(values), 20)).reshape(-1, 4, 5)
    file[name] = (file[name].dims, shaped.astype(np.float32), {"units": units})
    return file


def rain(n: int, *, wet: float = 0.2, seed: int = 0) -> np.ndarray:
    """Spells of rain at 20 cells that mostly rain together."""
    random = np.random.default_rng(seed)
    spell = np.convolve(random.random(n + 5) < wet / 3, np.ones(3), "valid")[:n, None] > 0
    return np.where(spell & (random.random((n, 20)) < 0.9), random.exponential(1.0, (n, 20)), 0.0)


def sun(n: int, hours: float) -> np.ndarray:
    """J m-2 of each step under clouds."""
    at = (1 + hours * np.arange(n)) % 24
    clouds = np.random.default_rng(0).uniform(0.3, 1, (n, 20))
    return 3e6 * np.maximum(np.sin((at - 6) / 12 * np.pi), 0)[:, None] * clouds


def since_midnight(each: np.ndarray, steps: int) -> np.ndarray:
    """Totals that begin anew every so many steps."""
    return np.cumsum(each.reshape(-1, steps, 20), axis=1).reshape(-1, 20)


@pytest.mark.parametrize("name", ["RAINNC", "pr"])
def test_totals_since_the_start_of_a_run_are_refused_and_each_advice_works(name):
    each = rain(300)
    file = amounts(np.cumsum(each, axis=0), 1, name=name)
    with pytest.raises(DataError, match=f"{name} in 'mm' never decreases .*running total.*units = 'mm day-1'"):
        open_climate(file)
    with pytest.raises(DataError, match="running total"):
        open_climate(file, step="day")
    with pytest.raises(DataError, match="running total"):
        open_climate([file.isel(time=slice(i, i + 5)) for i in range(0, 300, 5)][::-1])
    found = open_climate(file.diff("time"))
    np.testing.assert_allclose(found[name].values.reshape(-1, 20), 24 * each[1:], atol=1e-2)
    assert open_climate(file, {name: {"units": "mm day-1"}})[name].attrs["units"] == "mm day-1"


@pytest.mark.parametrize("hours", [1, 3, 6])
def test_totals_since_midnight_are_refused(hours):
    n = 24 // hours
    file = amounts(since_midnight(rain(40 * n, wet=0.6), n), hours, name="tp", units="m", start="2001-01-01T01")
    file = file.assign(tp=(file.tp / 1000).assign_attrs(units="m"))
    with pytest.raises(DataError, match="tp in 'm' decreases at 01:00 only, once a day"):
        open_climate(file)


def test_totals_of_radiation_since_midnight_are_refused():
    file = amounts(since_midnight(sun(20 * 24, 1), 24), 1, name="ssrd", units="J m-2")
    with pytest.raises(DataError, match="ssrd in 'J m-2' decreases at 01:00 only"):
        open_climate(file)


@pytest.mark.parametrize("hours", few([1, 24, 3, 6, 12], 2))
@pytest.mark.parametrize("wet", [0.0, 0.005, 0.05, 0.3, 1.0])
@pytest.mark.parametrize("n", few([30, 5, 300]))
def test_ordinary_rain_is_no_total(hours, wet, n):
    for seed in range(3):
        each = rain(n, wet=wet, seed=seed)
        found = open_climate(amounts(each, hours))
        np.testing.assert_allclose(found.pr.values.reshape(-1, 20), each * 24 / hours, rtol=1e-5)


@pytest.mark.parametrize("hours", few([1, 6, 3, 12, 24], 2))
@pytest.mark.parametrize("n", [12, 24, 300])
@pytest.mark.parametrize("start", ["2001-01-01T00", "2001-01-01T06", "2001-01-01T18"])
def test_ordinary_radiation_is_no_total(hours, n, start):
    each = sun(n, hours)
    found = open_climate(amounts(each, hours, name="ssrd", units="J m-2", start=start))
    np.testing.assert_allclose(found.ssrd.values.reshape(-1, 20), each / (3600 * hours), rtol=1e-5)


def test_monthly_amounts_are_no_totals():
    year = 50 * (1.2 - np.cos(2 * np.pi * np.arange(12) / 12))[:, None] * np.ones(20)
    months = xr.date_range("2001-01-01", periods=12, freq="MS")
    found = open_climate(amounts(year, 24).assign_coords(time=months))
    np.testing.assert_allclose(
        found.pr.values.reshape(-1, 20), year / months.days_in_month.to_numpy()[:, None], rtol=1e-5
    )


def test_joules_at_monthly_steps_may_be_of_a_day_and_each_advice_works():
    """ERA5's monthly means hold the mean sum of a day: 1.5e7 J m-2 are 173.6 W m-2."""
    months = xr.date_range("2001-01-01", periods=12, freq="MS")
    file = amounts(np.full((12, 20), 1.5e7), 24, name="ssrd", units="J m**-2").assign_coords(time=months)
    with pytest.raises(DataError, match=r"a sum over each month, or of a day .*'J m\*\*-2 day-1'.*'J m\*\*-2 month-1'"):
        open_climate(file)
    daily = open_climate(file, {"ssrd": {"units": "J m**-2 day-1"}})
    np.testing.assert_allclose(daily.ssrd, 1.5e7 / 86_400, rtol=1e-6)
    monthly = open_climate(file, {"ssrd": {"units": "J m**-2 month-1"}})
    np.testing.assert_allclose(monthly.ssrd[0], 1.5e7 / (31 * 86_400), rtol=1e-6)


def test_packing_takes_a_little_from_a_total():
    total = np.cumsum(rain(300, wet=0.4), axis=0)
    total -= 3e-5 * total.max() * np.random.default_rng(1).random(total.shape)
    with pytest.raises(DataError, match="never decreases"):
        open_climate(amounts(total, 1))


def beginning_anew(each: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Totals that begin anew where `first` is true."""
    parts = np.split(each, np.flatnonzero(first)[1:])
    return np.concatenate([np.cumsum(part, axis=0) for part in parts])


def test_totals_of_a_bucket_that_is_emptied_when_it_is_full_are_refused():
    with pytest.raises(DataError, match="as what begins anew now and then"):
        open_climate(amounts(np.cumsum(rain(400, wet=0.4), axis=0) % 20, 1, name="RAINNC"))


@pytest.mark.parametrize("name", ["pr", "ssrd"])
def test_totals_of_months_are_refused(name):
    days = np.arange("2001-01-01", "2002-02-01", dtype="M8[D]")
    first = days.astype("M8[M]").astype("M8[D]") == days
    each = rain(len(days), wet=0.6) if name == "pr" else 1e6 + sun(len(days), 24)
    file = amounts(
        beginning_anew(each, first), 24, name=name, units="mm" if name == "pr" else "J m-2", start="2001-01-01"
    )
    with pytest.raises(DataError, match="as what begins anew now and then"):
        open_climate(file)


@pytest.mark.parametrize(("hours", "steps", "at"), [(3, 4, "01:00, 13:00"), (1, 6, "01:00, 07:00, 13:00, 19:00")])
def test_totals_that_begin_anew_several_times_a_day_are_refused(hours, steps, at):
    with pytest.raises(DataError, match=f"decreases at {at} only"):
        open_climate(amounts(since_midnight(rain(480, wet=0.6), steps), hours, name="tp"))


@pytest.mark.parametrize("hour", [3, 15])
def test_rain_of_every_afternoon_is_no_total(hour):
    each = np.where((np.arange(400) % 8 == hour // 3)[:, None], rain(400, wet=1.0), 0.0)
    assert float(open_climate(amounts(each, 3)).pr.max()) > 0


def test_it_is_said_what_amounts_are_taken_for():
    said = inspect(amounts(rain(30), 6)).files[0].notes
    assert said == ("pr: 'mm' are amounts of each time step (6-hourly), not running totals",)
