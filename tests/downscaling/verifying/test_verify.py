"""Scores of ensembles whose distribution is known, in every form that Subgrid writes."""

import time

import cftime
import numpy as np
import pandas as pd
import pytest
import scores
import xarray as xr

from subgrid.data.fields import CONDITION_DIM, DataError, Samples, samples_of
from subgrid.downscaling import ensemble_datasets
from subgrid.downscaling.model import output
from subgrid.downscaling.model.request import Request
from subgrid.downscaling.model.sides import FineSide
from subgrid.downscaling.preparation.chain import Chain
from subgrid.downscaling.verifying import paired_scores, pairing, set_scores
from subgrid.downscaling.verifying.verify import verify
from subgrid.execution.store import write_item
from subgrid.execution.template import Template, create_store
from subgrid.numerics.operators import Subsample

N_TIMES, N_MEMBERS, LAT, LON = 300, 12, np.linspace(36, 41, 6), np.linspace(-9, -2, 8)
TIMES = pd.date_range("2001-01-01", periods=N_TIMES)
NOISE_SCORE = 1 / np.sqrt(np.pi)
"""CRPS of a standard normal distribution against its own draws, E|X − Y|/2."""


def draws(*, spread=1.0, seed=0, n_times=N_TIMES, n_members=N_MEMBERS):
    """A signal (time, lat, lon) with noise of variance 1 as truth, and members with noise of another spread."""
    rng = np.random.default_rng(seed)
    signal = rng.normal(size=(n_times, 1, LAT.size, LON.size))
    members = signal + spread * rng.normal(size=(n_times, n_members, LAT.size, LON.size))
    truth = signal[:, 0] + rng.normal(size=(n_times, LAT.size, LON.size))
    return 280 + members.astype(np.float32), 280 + truth.astype(np.float32)


def ensemble_of(members, times=TIMES, **attrs):
    dims, attrs = ("time", "realization", "lat", "lon"), {"units": "K", **attrs}
    return xr.Dataset({"tas": (dims, members, attrs)}, {"time": times, "lat": LAT, "lon": LON})


def reference_of(truth, times=TIMES, name="tas", **attrs):
    attrs = {"units": "K", **attrs}
    return xr.Dataset({name: (("time", "lat", "lon"), truth, attrs)}, {"time": times, "lat": LAT, "lon": LON})


@pytest.fixture
def pairs_alone(monkeypatch):
    """Without the scores of distributions, which know no pairs and take as long as all others."""
    monkeypatch.setattr("subgrid.downscaling.verifying.verify.set_rows", lambda *_, **__: ([], ()))


def value(found, metric):
    return found[metric].value


def quiet(*args, **settings):
    return verify(*args, progress=False, **settings)


def test_a_reliable_gaussian_ensemble_has_the_scores_of_its_closed_form():
    members, truth = draws()
    found = quiet(ensemble_of(members), reference_of(truth))
    n = N_TIMES * LAT.size * LON.size  # 14 400 independent entries
    # Standard deviation of the CRPS of one entry: below .5. Of the error's magnitude: .6.
    assert value(found, "CRPS") == pytest.approx(NOISE_SCORE, abs=4 * 0.5 / np.sqrt(n))
    error = np.sqrt(1 + 1 / N_MEMBERS)  # of the mean of the members
    assert value(found, "MAE of the mean") == pytest.approx(error * np.sqrt(2 / np.pi), abs=4 * 0.6 / np.sqrt(n))
    assert value(found, "spread/skill") == pytest.approx(1, abs=4 / np.sqrt(2 * n))
    assert value(found, "rank flatness p") > 0.01
    assert found["CRPS"].floor == pytest.approx(NOISE_SCORE, abs=4 * 0.5 / np.sqrt(n))
    assert found.n_pairs == N_TIMES
    assert not [row for row in found.outside if row.metric in paired_scores.ABOUT]
    assert found["CRPS"].units == "K" and found["spread/skill"].units == ""


@pytest.mark.usefixtures("pairs_alone")
def test_the_crps_is_that_of_another_library():
    members, truth = draws(spread=0.7, n_times=20, n_members=5)
    ensemble, reference = ensemble_of(members, TIMES[:20]), reference_of(truth, TIMES[:20])
    wanted = scores.probability.crps_for_ensemble(
        ensemble.tas.astype(float), reference.tas.astype(float), "realization", method="fair"
    )
    assert value(quiet(ensemble, reference), "CRPS") == pytest.approx(float(wanted), rel=1e-5)


def test_too_little_spread_is_said_in_words():
    members, truth = draws(spread=0.5)
    found = quiet(ensemble_of(members), reference_of(truth))
    # sqrt((M + 1)/M · 1/4) / sqrt(1 + 1/(4M)).
    wanted = np.sqrt((1 + 1 / N_MEMBERS) / 4 / (1 + 0.25 / N_MEMBERS))
    assert value(found, "spread/skill") == pytest.approx(wanted, abs=0.02)
    assert found["spread/skill"].verdict == "too little spread"
    assert found["rank flatness p"].verdict == "too little spread"
    assert "above its floor" in found["CRPS"].verdict
    text = repr(found)
    assert "too little spread" in text and max(map(len, text.splitlines())) <= 80
    assert "too little spread" in found._repr_html_()


@pytest.mark.usefixtures("pairs_alone")
def test_a_bias_tilts_the_ranks():
    members, truth = draws()
    low = quiet(ensemble_of(members - 1), reference_of(truth))["rank flatness p"]
    assert low.value < 1e-10 and low.verdict == "members too low"
    always = quiet(ensemble_of(members + 50), reference_of(truth))["rank flatness p"]
    assert always.value < 1e-10 and always.verdict == "members too high"


def test_a_shifted_ensemble_of_other_dates_has_the_shift_as_its_distance():
    _, truth = draws(n_times=730)
    reference = reference_of(truth, pd.date_range("2001-01-01", periods=730))
    later = ensemble_of(truth[:365, None] + 0.5, pd.date_range("2051-01-01", periods=365))
    found = quiet(later, reference)
    assert found.n_pairs == 0
    # The members are the first half of the reference itself, moved.
    assert value(found, "W1") == pytest.approx(0.5, rel=1e-4)
    assert "times its floor" in found["W1"].verdict
    assert any("they share no dates" in note for note in found.notes)
    with pytest.raises(DataError, match="they share no dates"):
        quiet(later, reference, paired=True)


def test_axes_units_and_hours_of_the_reference_do_not_matter():
    members, truth = draws()
    plain = quiet(ensemble_of(members), reference_of(truth))
    other = xr.Dataset(
        {"tg": (("longitude", "time", "latitude"), np.transpose(truth[:, ::-1], (2, 0, 1)).astype(float) - 273.15)},
        {"time": TIMES + pd.Timedelta(hours=12), "latitude": LAT[::-1], "longitude": LON % 360},
    )
    other["tg"].attrs = {"units": "degC", "standard_name": "air_temperature"}
    for axis, degrees in (("latitude", "degrees_north"), ("longitude", "degrees_east")):
        other[axis].attrs["units"] = degrees
    found = quiet(ensemble_of(members), other, variables={"tas": "tg"})
    assert found.n_pairs == N_TIMES
    for row, wanted in zip(found.rows, plain.rows, strict=True):
        # 273.15 is not a float32, so values differ by 2e-5 of their spread.
        assert row.value == pytest.approx(wanted.value, rel=1e-3, abs=1e-4), row.metric
    assert any("from degC to K" in note for note in found.notes)


@pytest.mark.usefixtures("pairs_alone")
def test_a_flux_of_rain_is_compared_with_a_depth():
    rng = np.random.default_rng(0)
    rain = rng.gamma(1, 3, size=(N_TIMES, N_MEMBERS + 1, LAT.size, LON.size))
    ensemble = ensemble_of(rain[:, 1:]).rename(tas="pr")
    ensemble.pr.attrs = {"units": "mm day-1"}
    flux = reference_of(rain[:, 0] / 86400, name="pr", units="kg m-2 s-1", standard_name="precipitation_flux")
    depth = reference_of(rain[:, 0], name="pr", units="mm")  # a day's amount
    wanted = value(quiet(ensemble, reference_of(rain[:, 0], name="pr", units="mm day-1")), "CRPS")
    assert value(quiet(ensemble, flux), "CRPS") == pytest.approx(wanted, rel=1e-5)
    assert value(quiet(ensemble, depth), "CRPS") == pytest.approx(wanted, rel=1e-5)


def test_units_that_the_reference_does_not_say_are_told():
    """The same values in °C with the units of K, none, or those of °C: told, K to rounding (273.15 is not exact)."""
    members, truth = draws(n_times=20)
    ensemble, plain = ensemble_of(members, TIMES[:20]), reference_of(truth, TIMES[:20])
    wanted = [row.value for row in quiet(ensemble, plain).rows]
    for units in ("K", "", "degC"):
        celsius = reference_of(truth.astype(float) - 273.15, TIMES[:20], name="tg", units=units)
        found = quiet(ensemble, celsius, variables={"tas": {"names": "tg", "units": "degC"}})
        assert [row.value for row in found.rows] == pytest.approx(wanted, rel=1e-3, abs=1e-4)
    with pytest.raises(
        DataError, match=r"variables.tas: 'bounds' is not for verify, which takes names, quantity, units, missing"
    ):
        quiet(ensemble, plain, variables={"tas": {"bounds": [0, 300]}})
    with pytest.raises(DataError, match="did you mean 'units'"):
        quiet(ensemble, plain, variables={"tas": {"unit": "K"}})


@pytest.mark.usefixtures("pairs_alone")
def test_a_difference_of_temperatures_has_no_zero_point():
    members, truth = draws(n_times=20)
    wanted = value(quiet(ensemble_of(members, TIMES[:20]), reference_of(truth, TIMES[:20])), "CRPS")
    ensemble, reference = ensemble_of(members - 280, TIMES[:20]), reference_of(truth - 280, TIMES[:20], units="degC")
    told = {"tas": {"quantity": "temperature difference"}}
    assert value(quiet(ensemble, reference, variables=told), "CRPS") == pytest.approx(wanted, rel=1e-4)
    assert value(quiet(ensemble, reference), "CRPS") > 100


@pytest.mark.usefixtures("pairs_alone")
def test_units_of_something_else_are_refused():
    members, truth = draws(n_times=20)
    percent = ensemble_of(members, TIMES[:20]).rename(tas="x")
    percent.x.attrs["units"] = "kg m-2"
    with pytest.raises(DataError, match=r"is in 'Pa', which cannot become 'kg m-2'"):
        quiet(percent, reference_of(truth, TIMES[:20], name="x", units="Pa"))
    with pytest.raises(DataError, match=r"reference: tas .*'Pa'"):
        quiet(ensemble_of(members, TIMES[:20]), reference_of(truth, TIMES[:20], units="Pa"))


@pytest.mark.usefixtures("pairs_alone")
def test_other_grids_are_named():
    members, truth = draws(n_times=20)
    moved = reference_of(truth, TIMES[:20]).assign_coords(lat=LAT + 0.01)
    with pytest.raises(DataError, match=r"lat from 36 to 41, .*lat from 36\.01 to 41\.01"):
        quiet(ensemble_of(members, TIMES[:20]), moved)
    near = reference_of(truth, TIMES[:20]).assign_coords(lat=LAT + 5e-4)
    assert quiet(ensemble_of(members, TIMES[:20]), near).n_pairs == 20


@pytest.mark.usefixtures("pairs_alone")
def test_a_larger_reference_is_cut_to_the_cells_of_the_ensemble():
    members, truth = draws(n_times=20)
    part = ensemble_of(members, TIMES[:20]).isel(lat=slice(1, 5), lon=[2, 3, 6])
    cut = quiet(part, reference_of(truth, TIMES[:20]))
    own = quiet(part, reference_of(truth, TIMES[:20]).isel(lat=slice(1, 5), lon=[2, 3, 6]))
    assert value(cut, "CRPS") == value(own, "CRPS")
    assert any("cut to the 4 × 3 cells" in note for note in cut.notes)


@pytest.mark.usefixtures("pairs_alone")
def test_calendars_that_differ_are_refused_where_dates_are_the_same():
    members, truth = draws(n_times=50)
    noleap = xr.date_range("2001-01-01", periods=50, calendar="noleap", use_cftime=True)
    ensemble, reference = ensemble_of(members, noleap), reference_of(truth, TIMES[:50])
    with pytest.raises(DataError, match=r"'noleap'.*'proleptic_gregorian'"):
        quiet(ensemble, reference)
    assert quiet(ensemble, reference, paired=False).n_pairs == 0
    both = quiet(ensemble, reference.assign_coords(time=noleap))
    assert both.n_pairs == 50
    assert isinstance(noleap[0], cftime.datetime)


@pytest.mark.usefixtures("pairs_alone")
def test_means_over_other_times_are_never_compared_in_silence():
    # Independent days: monthly means have a spread smaller by √30, whatever the ensemble is worth.
    members, truth = draws()
    monthly = ensemble_of(members[:12], pd.date_range("2001-01-16", periods=12, freq="MS") + pd.Timedelta("15D"))
    with pytest.raises(DataError, match=r"step='month'\) \(--step month\)\. Their distributions differ for"):
        quiet(monthly, reference_of(truth))
    found = quiet(monthly, reference_of(truth), paired=False)
    assert any("monthly" in note and "differ for that alone; average the finer one" in note for note in found.notes)
    daily = quiet(ensemble_of(members), reference_of(truth), paired=False)
    assert not any("differ for that alone" in note for note in daily.notes)


@pytest.mark.usefixtures("pairs_alone")
def test_a_model_with_a_weather_of_its_own_is_not_paired_by_the_dates_that_it_shares():
    n, times = 900, pd.date_range("2001-01-01", periods=900)
    season = -10 * np.cos(2 * np.pi * np.arange(n) / 365.25)[:, None, None]
    members, truth = draws(n_times=n, n_members=3)
    other, _ = draws(n_times=n, n_members=3, seed=1)
    reference = reference_of(truth + season, times)
    free = quiet(ensemble_of(other + season[:, None], times), reference)
    assert free.n_pairs == 0 and any("free-running model" in note for note in free.notes)
    # A bias of many standard deviations does not hide that the days are the same.
    assert quiet(ensemble_of(members + season[:, None] + 20, times), reference).n_pairs == n
    assert quiet(ensemble_of(other + season[:, None], times), reference, paired=True).n_pairs == n


def test_the_other_year_of_a_date_is_the_nearest_day_of_its_month():
    draw = np.random.default_rng(0)
    days = np.sort(draw.choice(5 * 365, 200, replace=False))
    keys = [str(day) for day in np.datetime64("1999-01-01") + draw.permutation(days)]
    other = pairing._other_years(keys)
    for i, key in enumerate(keys):
        others = [j for j, each in enumerate(keys) if each[5:7] == key[5:7] and each[:4] != key[:4]]
        assert other[i] == min(others, key=lambda j: abs(int(keys[j][8:]) - int(key[8:])), default=-1)


def test_many_dates_are_paired_at_once():
    """30 000 dates, in time that grows with their number; with its square it was some minutes."""
    keys = [str(day) for day in np.datetime64("1900-01-01") + np.arange(30_000)]
    start = time.process_time()
    assert (pairing._other_years(keys) >= 0).all()
    assert time.process_time() - start < 5


@pytest.mark.usefixtures("pairs_alone")
def test_only_dates_that_both_have_are_compared():
    members, truth = draws()
    found = quiet(ensemble_of(members), reference_of(truth).isel(time=slice(100, None, 2)))
    half = quiet(ensemble_of(members).isel(time=slice(100, None, 2)), reference_of(truth))
    assert found.n_pairs == half.n_pairs == 100
    assert value(found, "CRPS") == value(half, "CRPS")


def test_cells_without_a_value_in_both_do_not_count():
    members, truth = draws()
    sea_of_one, sea_of_other = np.zeros((6, 8), bool), np.zeros((6, 8), bool)
    sea_of_one[:2], sea_of_other[:, :3] = True, True
    members[:, :, sea_of_one], truth[:, sea_of_other] = np.nan, np.nan
    found = quiet(ensemble_of(members), reference_of(truth))
    land = ~(sea_of_one | sea_of_other)
    wanted = np.mean(np.abs(members.mean(1) - truth)[:, land])
    assert value(found, "MAE of the mean") == pytest.approx(wanted, rel=1e-5)
    assert np.isfinite(value(found, "W1"))
    assert any(f"at {land.sum()} of 48 cells" in note for note in found.notes)
    members[:] = np.nan
    with pytest.raises(DataError, match="no cell has a value"):
        quiet(ensemble_of(members), reference_of(truth))


@pytest.mark.usefixtures("pairs_alone")
def test_members_that_end_earlier_are_left_out_where_they_end():
    members, truth = draws()
    shorter = members.copy()
    shorter[200:, 8:] = np.nan
    found = quiet(ensemble_of(shorter), reference_of(truth))
    first = quiet(ensemble_of(members).isel(time=slice(200)), reference_of(truth))
    last = quiet(ensemble_of(members).isel(time=slice(200, None), realization=slice(8)), reference_of(truth))
    wanted = (2 * value(first, "CRPS") + value(last, "CRPS")) / 3
    assert value(found, "CRPS") == pytest.approx(wanted, rel=1e-6)
    assert value(found, "rank flatness p") == pytest.approx(value(first, "rank flatness p"), abs=1e-9)
    assert any("100 samples lack members" in note for note in found.notes)


def test_blocks_of_any_size_give_the_same(monkeypatch):
    members, truth = draws()
    ensemble, reference = ensemble_of(members), reference_of(truth)
    whole = quiet(ensemble, reference)
    monkeypatch.setattr(paired_scores, "BLOCK_BYTES", 7 * 4 * N_MEMBERS * 48)
    monkeypatch.setattr(set_scores, "BLOCK_BYTES", 7 * 4 * N_MEMBERS * 48)
    for row, wanted in zip(quiet(ensemble, reference).rows, whole.rows, strict=True):
        assert row.value == pytest.approx(wanted.value, rel=1e-9), row.metric


def line(seed, n_runs=10, n_times=8, n=32):
    rng = np.random.default_rng(seed)
    fields = np.cumsum(rng.normal(size=(n_runs, n_times, n)), axis=2).astype(np.float32)
    coordinates = {"trajectory": np.arange(n_runs), "time": ("time", 12.5 * np.arange(n_times), {"axis": "T"})}
    dims = ("trajectory", "time", "x")
    return xr.DataArray(fields, {**coordinates, "x": np.arange(n) / 4.0}, dims, "u", {"units": "1"})


def plain_ensemble(fine, n_members=6):
    """What `downscale` gives, as a dataset: members that hold the coarse values and noise between."""
    rng = np.random.default_rng(5)
    noise = rng.normal(size=(n_members, *fine.shape)).astype(np.float32)
    noise[..., ::4] = 0
    members = (fine + xr.DataArray(noise, dims=("realization", *fine.dims))).transpose("realization", ...)
    return members.assign_coords(realization=np.arange(n_members)).assign_attrs(fine.attrs).to_dataset(name="u")


def test_a_plain_ensemble_of_the_coarsened_reference_is_paired_with_it_by_its_numbers(tmp_path):
    fine = line(0)
    dataset = plain_ensemble(fine)
    found = quiet(dataset["u"], fine)
    assert found.n_pairs == 80
    # The truth is the mean, so E|x − y| = sqrt(2/π) less E|x − x'|/2 = 1/√π, at three points of four.
    assert value(found, "CRPS") == pytest.approx(0.75 * (np.sqrt(2 / np.pi) - NOISE_SCORE), abs=0.02)
    dataset.to_zarr(tmp_path / "ensemble.zarr")
    dataset.to_netcdf(tmp_path / "ensemble.nc")
    fine.to_netcdf(tmp_path / "fine.nc")
    for name in ("ensemble.zarr", "ensemble.nc"):
        again = quiet(tmp_path / name, tmp_path / "fine.nc")
        assert [row.value for row in again.rows] == pytest.approx([row.value for row in found.rows], nan_ok=True)


def test_samples_that_are_called_as_members_often_are_stay_samples():
    """Runs on the dimension "number": beside the draws, on "realization", they are fields, as in the reference."""
    fine = line(0)
    wanted = quiet(plain_ensemble(fine)["u"], fine)
    named = fine.rename(trajectory="number")
    found = quiet(plain_ensemble(named)["u"], named)
    assert found.n_pairs == wanted.n_pairs == 80
    assert [row.value for row in found.rows] == pytest.approx([row.value for row in wanted.rows], nan_ok=True)


@pytest.mark.usefixtures("pairs_alone")
def test_members_of_the_coarse_model_on_a_dimension_of_their_own_are_scored_apart():
    members, truth = draws(n_members=6)
    others, _ = draws(seed=1, n_members=6)
    both = xr.concat([ensemble_of(members), ensemble_of(others + 1)], "number")
    found = quiet(both, reference_of(truth), paired=True)
    apart = [quiet(ensemble_of(each), reference_of(truth), paired=True) for each in (members, others + 1)]
    assert found.n_pairs == 2 * N_TIMES
    assert value(found, "CRPS") == pytest.approx(np.mean([value(each, "CRPS") for each in apart]), rel=1e-6)


@pytest.mark.usefixtures("pairs_alone")
def test_archives_that_merely_count_alike_are_not_paired():
    coarse, fine = line(1), line(2)
    found = quiet(plain_ensemble(coarse), fine)
    assert found.n_pairs == 0
    assert any("so they are no pairs" in note for note in found.notes)
    assert quiet(plain_ensemble(coarse), fine, paired=True).n_pairs == 80


@pytest.mark.usefixtures("pairs_alone")
def test_an_experiment_that_keeps_its_truth_is_verified_by_it(tmp_path):
    fine, n_members = line(3), 5
    samples = samples_of(fine, source="fine")
    chosen = samples.take(np.arange(0, 80, 4))
    noise = np.random.default_rng(0).normal(size=(20, n_members, 1, 32)).astype(np.float32)
    coarse = Samples(samples.values[..., ::4], samples.trajectory, ("x",), "coarse")
    dataset = ensemble_datasets.conditions_dataset(
        chosen,
        chosen.values[:, None] + noise,
        chosen.values[..., ::4],
        fine=samples,
        coarse=coarse,
        truth=chosen.values,
    ).assign_attrs(variable="u")
    dataset.to_zarr(tmp_path / "perfect_model.zarr")
    found = quiet(tmp_path / "perfect_model.zarr", tmp_path / "perfect_model.zarr")
    assert found.n_pairs == 20 and {row.variable for row in found.rows} == {"u"}
    assert value(found, "MAE of the mean") == pytest.approx(np.abs(noise.mean(1)).mean(), rel=1e-5)
    archive = quiet(tmp_path / "perfect_model.zarr", fine)  # by trajectory and time of each condition
    assert value(archive, "CRPS") == pytest.approx(value(found, "CRPS"), rel=1e-6)
    assert CONDITION_DIM in dataset.dims


def climate_store(path, members, n_items=None, times=TIMES, **labels):
    grid = xr.Dataset(coords={"time": times, "lat": LAT, "lon": LON, **labels})
    template = Template(
        grid,
        {"tas": {"units": "K"}},
        space=("lat", "lon"),
        n_members=members.shape[1],
        shards={"time": 100},
        chunks={"time": 50},
    )
    store = create_store(path, template, seed=0, configuration={})
    for item in store.items()[:n_items]:
        write_item(store, item, members[slice(*item.time), slice(*item.member), None])
    return path


def test_a_store_of_work_items_is_read_when_it_is_finished(tmp_path):
    members, truth = draws()
    wanted = quiet(ensemble_of(members), reference_of(truth))
    found = quiet(climate_store(tmp_path / "ensemble.zarr", members), reference_of(truth))
    assert [row.value for row in found.rows] == pytest.approx([row.value for row in wanted.rows])
    with pytest.raises(DataError, match=r"1 of 3 work items are still to do.*subgrid status"):
        quiet(climate_store(tmp_path / "part.zarr", members, 2), reference_of(truth))


def test_members_of_the_coarse_model_are_scored_apart_wherever_they_lie(tmp_path):
    """In memory and in NetCDF along "realization", in a store along "time": the same scores, the mean over them."""
    members, truth = draws(n_members=6)
    others, _ = draws(seed=1, n_members=6)
    by_model = np.concatenate([members, others + 1])  # one after the other
    made = output.ensemble_dataset(request_for("r2", "r10"), by_model[:, :, None], {}, {})
    made.to_netcdf(tmp_path / "ensemble.nc")
    labels = {"coarse_realization": ("time", np.repeat(["r2", "r10"], N_TIMES))}
    climate_store(tmp_path / "ensemble.zarr", by_model, times=np.tile(TIMES, 2), **labels)
    reference = reference_of(truth)
    wanted = quiet(made, reference, paired=True)
    apart = [quiet(ensemble_of(each), reference, paired=True) for each in (members, others + 1)]
    assert wanted.n_pairs == 2 * N_TIMES
    assert value(wanted, "CRPS") == pytest.approx(np.mean([value(each, "CRPS") for each in apart]), rel=1e-6)
    for name in ("ensemble.nc", "ensemble.zarr"):
        found = quiet(tmp_path / name, reference, paired=True)
        assert [row.value for row in found.rows] == pytest.approx([row.value for row in wanted.rows], nan_ok=True)


@pytest.mark.usefixtures("pairs_alone")
def test_a_member_of_the_coarse_model_may_have_fewer_draws_than_another():
    members, truth = draws(n_members=6)
    made = output.ensemble_dataset(request_for("a", "b"), np.concatenate([members, members])[:, :, None], {}, {})
    found = quiet(made.isel(realization=slice(10)), reference_of(truth))
    first, last = (quiet(ensemble_of(members[:, :n]), reference_of(truth)) for n in (6, 4))
    assert value(found, "CRPS") == pytest.approx((value(first, "CRPS") + value(last, "CRPS")) / 2, rel=1e-6)


def request_for(*labels):
    """Of as many members of the coarse model as there are labels."""
    grid = xr.Dataset({"tas": ((), 0.0, {"units": "K"})}, {"lat": LAT, "lon": LON}, {"space": ["lat", "lon"]})
    n = len(labels) * N_TIMES
    return Request(
        targets=np.zeros((n, 1, 1), np.float32),
        phase=None,
        samples=xr.Dataset(coords={"time": TIMES}),
        sizes={"realization": len(labels), "time": N_TIMES},
        there=np.ones(n, bool),
        members=np.array(labels),
        fine=FineSide(grid, Chain(), Subsample((len(LAT), len(LON)), 1)),
        notes=(),
        attributes={},
    )


@pytest.mark.usefixtures("pairs_alone")
def test_every_variable_has_its_rows_and_one_without_a_counterpart_is_named():
    members, truth = draws(n_times=40)
    both = ensemble_of(members, TIMES[:40]).assign(tasmax=ensemble_of(members + 3, TIMES[:40]).tas)
    reference = reference_of(truth, TIMES[:40])
    with pytest.raises(DataError, match=r"no variable 'tasmax'.*it holds tas"):
        quiet(both, reference)
    found = quiet(both, reference.assign(tasmax=reference.tas + 3))
    assert value(found.of("tasmax"), "CRPS") == pytest.approx(value(found.of("tas"), "CRPS"), rel=1e-3)
    assert {row["variable"] for row in found.as_dict()["rows"]} == {"tas", "tasmax"}


def test_a_reference_with_members_is_refused():
    members, _ = draws(n_times=20)
    with pytest.raises(DataError, match="12 members along 'realization'"):
        quiet(ensemble_of(members, TIMES[:20]), ensemble_of(members, TIMES[:20]))
