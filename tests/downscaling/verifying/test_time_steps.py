"""Ensembles and references of other time steps: averaged on request by what `fit` averages with, else refused."""

import cftime
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from subgrid.data.fields import DataError
from subgrid.downscaling.verifying.time_steps import of_other_steps
from subgrid.downscaling.verifying.verify import match, verify

from .test_verify import LAT, LON, ensemble_of, reference_of, value

pytestmark = pytest.mark.usefixtures("pairs_alone")


@pytest.fixture
def pairs_alone(monkeypatch):
    """Without the scores of distributions, which know no pairs and take as long as all others."""
    monkeypatch.setattr("subgrid.downscaling.verifying.verify.set_rows", lambda *_, **__: ([], ()))


def drawn(n, seed=0, members=None):
    """Independent values around 280 K: (time, lat, lon), or with members after the time."""
    shape = (n, LAT.size, LON.size) if members is None else (n, members, LAT.size, LON.size)
    return (280 + np.random.default_rng(seed).normal(size=shape)).astype(np.float32)


def error(ensemble, reference, **settings):
    return value(verify(ensemble, reference, progress=False, paired=True, **settings), "MAE of the mean")


def mean_error(ensemble, reference):
    """Mean absolute error of fields (time, lat, lon)."""
    return float(np.abs(ensemble.astype(np.float64) - reference).mean())


def monthly(first, n):
    return pd.date_range(first, periods=n, freq="MS") + pd.Timedelta("15D")


def test_a_daily_reference_is_averaged_to_the_months_of_an_ensemble_and_its_incomplete_ones_are_dropped():
    days = pd.date_range("2001-01-20", "2002-04-10")  # 14 whole months between two that are not
    truth, months = drawn(len(days)), monthly("2001-01-01", 16)
    of_month = np.stack([truth[(days.year == t.year) & (days.month == t.month)].mean(0) for t in months])
    ensemble = ensemble_of(drawn(16, 1, members=1), months)
    with pytest.raises(DataError, match=r"step='month'\) \(--step month\)"):
        error(ensemble, reference_of(truth, days))
    found = verify(ensemble, reference_of(truth, days), progress=False, paired=True, step="month")
    assert found.n_pairs == 14
    wanted = mean_error(ensemble.tas.values[1:15, 0], of_month[1:15])
    assert value(found, "MAE of the mean") == pytest.approx(wanted, rel=1e-5)  # 280 K in 32 bits are known to 3·10⁻⁵ K
    said = [note for note in found.notes if "14 monthly means" in note]
    assert len(said) == 1
    assert "2 incomplete months are dropped" in said[0]


@pytest.mark.parametrize("hours", [3, 1])
def test_a_reference_of_hours_is_averaged_to_the_days_of_an_ensemble(tmp_path, hours):
    per_day, days = 24 // hours, pd.date_range("2001-01-01", periods=12)
    times = pd.date_range("2001-01-01", periods=12 * per_day - 1, freq=f"{hours}h")  # the last day is not whole
    truth = drawn(len(times))
    cycle = 50 * np.cos(2 * np.pi * np.asarray(times.hour) / 24)[:, None, None]  # what midnight alone would be off by
    reference_of((truth + cycle).astype(np.float32), times).to_netcdf(tmp_path / "hours.nc")
    ensemble = ensemble_of(drawn(12, 1, members=1), days)
    of_day = truth[: 11 * per_day].reshape(11, per_day, *truth.shape[1:]).mean(1)
    with pytest.raises(DataError, match=r"step='day'\) \(--step day\)"):
        error(ensemble, tmp_path / "hours.nc")
    found = error(ensemble, tmp_path / "hours.nc", step="day")
    assert found == pytest.approx(mean_error(ensemble.tas.values[:11, 0], of_day), rel=1e-4)  # 330 K in 32 bits


def test_an_ensemble_of_days_is_averaged_to_the_months_of_its_reference_whatever_the_order_of_its_times(tmp_path):
    days = pd.date_range("2001-01-01", "2001-04-30")
    members, months = drawn(len(days), 2, members=1), monthly("2001-01-01", 4)
    mean = np.stack([members[days.month == m, 0].mean(0) for m in range(1, 5)])
    truth = drawn(4, 3)
    wanted = pytest.approx(mean_error(mean, truth), rel=1e-4)
    shuffled = ensemble_of(members, days).isel(time=np.random.default_rng(0).permutation(len(days)))
    assert error(shuffled, reference_of(truth, months), step="month") == wanted
    ensemble_of(members, days).to_netcdf(tmp_path / "ensemble.nc")
    assert error(str(tmp_path / "ensemble.nc"), reference_of(truth, months), step="month") == wanted


def test_both_are_averaged_and_what_has_the_step_already_stays_as_it_is():
    days = pd.date_range("2001-01-01", "2001-03-31")
    ensemble, truth = ensemble_of(drawn(90, 4, members=2), days), reference_of(drawn(90, 5), days)
    both = error(ensemble, truth, step="month")
    whole = [data.resample(time="MS").mean() for data in (ensemble, truth)]
    whole[0].tas.attrs, whole[1].tas.attrs = ensemble.tas.attrs, truth.tas.attrs
    assert both == pytest.approx(error(*whole), rel=1e-4)
    assert both == pytest.approx(error(*whole, step="month"), rel=1e-4)
    assert error(ensemble, truth, step="day") == error(ensemble, truth)


def test_the_largest_hour_is_the_daily_maximum():
    times, days = pd.date_range("2001-01-01", periods=72, freq="h"), pd.date_range("2001-01-01", periods=3)
    truth, members = drawn(72), drawn(3, 6, members=1)
    of_day = truth.reshape(3, 24, *truth.shape[1:]).max(1)
    ensemble = ensemble_of(members, days).rename(tas="tasmax")
    found = error(ensemble, reference_of(truth, times, name="tasmax"), step="day")
    assert found == pytest.approx(mean_error(members[:, 0], of_day), rel=1e-4)


def test_stations_are_averaged_as_fields_are():
    times, days = pd.date_range("2001-01-01", periods=72, freq="h"), pd.date_range("2001-01-01", periods=3)
    at = {"lat": ("station", LAT[:3]), "lon": ("station", LON[:3])}
    truth, members = drawn(72)[:, 0, :3], drawn(3, 6, members=1)[:, :, 0, :3]
    ensemble = xr.Dataset({"tas": (("time", "realization", "station"), members, {"units": "K"})}, {"time": days, **at})
    reference = xr.Dataset({"tas": (("time", "station"), truth, {"units": "K"})}, {"time": times, **at})
    wanted = mean_error(members[:, 0], truth.reshape(3, 24, 3).mean(1))
    assert error(ensemble, reference, step="day") == pytest.approx(wanted, rel=1e-4)


def test_years_are_no_days():
    years = pd.date_range("2001-07-01", periods=4, freq="YS-JUL")
    days = pd.date_range("2001-01-01", periods=4 * 365)
    ensemble = ensemble_of(drawn(4, 1, members=1), years)
    with pytest.raises(DataError, match=r"yearly and reference daily: average the finer one before.*'YS'"):
        error(ensemble, reference_of(drawn(len(days)), days))


def test_steps_of_several_days_are_said_to_be_taken_for_chosen_days():
    ensemble = ensemble_of(drawn(6, 1, members=1), pd.date_range("2001-01-01", periods=6, freq="5D"))
    truth = reference_of(drawn(30), pd.date_range("2001-01-01", periods=30))
    found = verify(ensemble, truth, progress=False, paired=True)
    assert any("taken for chosen days" in note and "time='5D'" in note for note in found.notes)
    matched = next(match(ensemble, ensemble.isel(realization=0), paired=True))
    assert not of_other_steps(matched.ensemble, matched.reference)


@pytest.mark.parametrize("paired", [None, False])
def test_distributions_of_other_steps_come_with_the_advice(paired):
    ensemble = ensemble_of(drawn(3, 1, members=1), monthly("2001-01-01", 3))
    days = [cftime.DatetimeNoLeap(1950, 1, 1) + pd.Timedelta(days=i).to_pytimedelta() for i in range(59)]
    if paired is None:  # dates that they do not share neither are compared without a word
        with pytest.raises(DataError, match="--step month"):
            verify(ensemble, reference_of(drawn(59), days), progress=False)
    else:
        found = verify(ensemble, reference_of(drawn(59), days), progress=False, paired=False)
        assert any(
            "differ for that alone; average the finer one with verify(…, step='month')" in n for n in found.notes
        )


def test_what_no_average_makes_is_refused():
    ensemble, days = (
        ensemble_of(drawn(3, 1, members=1), monthly("2001-01-01", 3)),
        pd.date_range("2001-01-01", "2001-03-31"),
    )
    with pytest.raises(
        DataError, match="ensemble: tas is monthly, which no average makes daily; ask for a longer step"
    ):
        error(ensemble, reference_of(drawn(90), days), step="day")
    plain = ensemble.drop_vars("time").rename(time="sample")
    with pytest.raises(DataError, match=r"no dates along one dimension of samples \(sample\).*leave step = 'month'"):
        error(plain, plain.isel(realization=0), step="month")


def at_ends(fields, edges):
    """Fields stamped at the ends of their intervals, with bounds that say so, as an ensemble of one member."""
    ensemble = ensemble_of(fields[:, None], edges[1:])
    ensemble.time.attrs["bounds"] = "time_bnds"
    pairs = np.stack([edges[:-1], edges[1:]], 1)
    return ensemble.assign(time_bnds=(("time", "nv"), pairs))


@pytest.mark.parametrize("stored", [False, True])
def test_an_ensemble_that_is_its_references_own_months_stamped_at_their_ends_has_no_error(tmp_path, stored):
    days, edges = pd.date_range("2001-01-01", "2001-12-31"), pd.date_range("2001-01-01", periods=13, freq="MS")
    truth = drawn(len(days)) + np.asarray(days.month, np.float32)[:, None, None]  # a month off is 1 K off
    months = np.stack([truth[days.month == m].mean(0, dtype=np.float64) for m in range(1, 13)]).astype(np.float32)
    ensemble = at_ends(months, edges)
    if stored:
        ensemble.time.encoding["units"] = "days since 2001-01-01"
        ensemble.to_netcdf(tmp_path / "ensemble.nc")
    given = str(tmp_path / "ensemble.nc") if stored else ensemble
    found = verify(given, reference_of(truth, days), progress=False, paired=True, step="month")
    assert found.n_pairs == 12
    assert value(found, "MAE of the mean") < 1e-4  # 290 K in 32 bits are known to 3·10⁻⁵ K
    assert any("stamps are moved to the middle of their bounds (2001-02-01" in note for note in found.notes)
    monthly_too = reference_of(truth, days).resample(time="MS").mean(keep_attrs=True)
    assert error(ensemble, monthly_too) < 1e-4  # without a step as well
    assert ensemble.time.values[0] == np.datetime64("2001-02-01")  # what is given stays as it is


def test_hours_stamped_at_their_ends_are_of_the_day_that_they_end():
    edges, days = pd.date_range("2001-01-01", periods=73, freq="h"), pd.date_range("2001-01-01", periods=3)
    hours = drawn(72)
    of_day = hours.reshape(3, 24, *hours.shape[1:]).mean(1, dtype=np.float64).astype(np.float32)
    found = verify(at_ends(hours, edges), reference_of(of_day, days), progress=False, paired=True, step="day")
    assert found.n_pairs == 3
    assert value(found, "MAE of the mean") < 1e-4


def test_what_readers_of_grib_say_of_stamps_holds_for_both_sides():
    times, days = pd.date_range("2001-01-01 01:00", periods=72, freq="h"), pd.date_range("2001-01-01", periods=3)
    hours = drawn(72)
    of_day = hours.reshape(3, 24, *hours.shape[1:]).mean(1, dtype=np.float64).astype(np.float32)
    ensemble, daily = ensemble_of(hours[:, None], times, GRIB_stepType="avg"), reference_of(of_day, days)
    found = verify(ensemble, daily, progress=False, paired=True, step="day")
    assert (found.n_pairs, value(found, "MAE of the mean") < 1e-4) == (3, True)
    assert any("the ends of their steps (GRIB_stepType = 'avg')" in note for note in found.notes)
    at = {"lat": ("station", LAT[:3]), "lon": ("station", LON[:3])}
    points = xr.Dataset(
        {"tas": (("time", "station"), hours[:, 0, :3], {"units": "K", "GRIB_stepType": "avg"})}, {"time": times, **at}
    )
    means = {"tas": (("time", "realization", "station"), of_day[:, None, 0, :3], {"units": "K"})}
    assert error(xr.Dataset(means, {"time": days, **at}), points, step="day") < 1e-4


def test_a_single_time_is_averaged_no_more_than_what_says_its_step():
    days, edges = pd.date_range("2001-01-01", "2001-03-31"), pd.date_range("2001-02-01", periods=2, freq="MS")
    truth = drawn(len(days))
    february = truth[days.month == 2].mean(0, dtype=np.float64, keepdims=True).astype(np.float32)
    bounded = at_ends(february, edges)
    assert error(bounded, reference_of(truth, days), step="month") < 1e-4  # 280 K in 32 bits
    alone = "has one time, and nothing says that it is a monthly value"
    with pytest.raises(DataError, match=f"ensemble: tas {alone}"):
        error(bounded.drop_vars("time_bnds"), reference_of(truth, days), step="month")
    with pytest.raises(DataError, match=f"ensemble: tas {alone}"):  # a day, as its bounds say
        error(at_ends(truth[31:32], days[31:33]), reference_of(truth, days), step="month")
    daily, single = ensemble_of(truth[:, None], days), bounded.isel(realization=0)
    assert error(daily, single, step="month") < 1e-4
    with pytest.raises(DataError, match=f"reference: tas {alone}"):
        error(daily, single.drop_vars("time_bnds"), step="month")


@pytest.mark.parametrize("side", ["ensemble", "reference"])
def test_hours_become_maxima_on_both_sides_if_one_of_them_says_so(side):
    times = pd.date_range("2001-01-01", periods=72, freq="h")
    truth = drawn(72) + np.cos(np.arange(72, dtype=np.float32))[:, None, None]
    methods = {"cell_methods": "time: maximum"}
    ensemble = ensemble_of(truth[:, None], times, **(methods if side == "ensemble" else {}))
    reference = reference_of(truth, times, **(methods if side == "reference" else {}))
    found = verify(ensemble, reference, progress=False, paired=True, step="day")
    assert value(found, "MAE of the mean") == 0
    assert sum("daily maxima" in note for note in found.notes) == 2
    other = {"ensemble": reference, "reference": ensemble}[side]
    other.tas.attrs["cell_methods"] = "time: mean"
    with pytest.raises(DataError, match=r"holds (maxima|means).*'time: m.*'time: m.*not of one kind"):
        error(ensemble, reference, step="day")


def test_days_that_are_maxima_by_name_make_maxima_of_the_hours_of_a_reference_of_another_name():
    times, days = pd.date_range("2001-01-01", periods=72, freq="h"), pd.date_range("2001-01-01", periods=3)
    truth = drawn(72)
    of_day = truth.reshape(3, 24, *truth.shape[1:]).max(1)
    ensemble = ensemble_of(of_day[:, None], days).rename(tas="tasmax")
    assert error(ensemble, reference_of(truth, times, name="t2m"), step="day", variables={"tasmax": "t2m"}) == 0
