"""`fit`, `downscale`, `verify` and `status`: each the library's own call, with its options, to the same bits."""

import json
import shlex
from pathlib import Path

import jax
import jax.random as jr
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import subgrid as library
from subgrid.execution.runners import run

from ..downscaling.climate_pair import COARSE, FINE, temperature, write_pair
from ..tiny import Outcome, called

QUICK = ("--members", 2, "--set", "n_levels=4")
IN_PYTHON = {"n_members": 2, "n_levels": 4, "progress": False}


def succeeded(*arguments) -> Outcome:
    outcome = called(*arguments)
    assert outcome.code == 0, outcome.err
    return outcome


def downscaled(coarse: Path, model: Path, out: Path, *arguments) -> xr.Dataset:
    succeeded("downscale", coarse, "-m", model, "-o", out, *QUICK, *arguments)
    return opened(out)


def opened(path: Path) -> xr.Dataset:
    """The whole content, the file closed again."""
    with xr.open_zarr(path) if path.suffix == ".zarr" else xr.open_dataset(path) as found:
        return found.load()


# Plain fields.


@pytest.mark.slow
def test_fit_takes_a_file_of_settings_and_options_and_makes_the_model_of_python(archives, model, tmp_path):
    """The options override the file; the session's model is fitted in Python, with the same key."""
    (tmp_path / "settings.toml").write_text(
        'prior = "network"\nchannels = [16]\nn_blocks = 3\nn_steps = 20\nbatch_size = 8\nsteps_per_dispatch = 10\n'
        "[debias_options]\nn_quantiles = 30\n"
    )
    outcome = succeeded(
        "fit", archives / "fine.nc", archives / "coarse.nc", "-o", tmp_path / "m", "-c", tmp_path / "settings.toml",
        "--set=n_blocks=1", "--set", "debias_options.n_quantiles=10",
    )  # fmt: skip
    made, python = library.load(tmp_path / "m"), library.load(model)
    assert outcome.out.rstrip() == repr(made)
    assert made.checkpoint == python.checkpoint
    for one, other in zip(*(jax.tree.leaves((m.prior, m.coarse.debiaser)) for m in (made, python)), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
def test_seed_and_operator_are_those_of_the_call(archives, tmp_path):
    """Every fourth point is C′ by the coordinates too; the seed decides the model."""
    tiny = ["channels=[8]", "n_blocks=1", "patch=2", "n_steps=10", "steps_per_dispatch=10", "batch_size=8"]
    settings = [f"--set={each}" for each in (*tiny, "debias=none")]
    names = {"seed": ("--seed", 1), "operator": ("--seed", 1, "--operator", 4, "--variable", "u"), "other": ()}
    for name, options in names.items():
        files = archives / "fine.nc", archives / "coarse.nc"
        succeeded("fit", *files, "-o", tmp_path / name, *settings, *options)
    found = {name: library.load(tmp_path / name).checkpoint for name in names}
    assert found["seed"] == found["operator"] != found["other"]


@pytest.fixture(scope="module")
def plain(archives, model, tmp_path_factory) -> Path:
    """An ensemble of the plain model, as NetCDF; its input is not changed."""
    out, before = tmp_path_factory.mktemp("plain") / "ensemble.nc", (archives / "coarse.nc").read_bytes()
    downscaled(archives / "coarse.nc", model, out, "--seed", 3)
    assert (archives / "coarse.nc").read_bytes() == before
    return out


def test_downscale_draws_what_python_draws(archives, model, plain):
    expected = library.downscale(archives / "coarse.nc", model, key=jr.key(3), **IN_PYTHON)
    found = opened(plain)
    assert found.u.dims == ("realization", "time", "x") and found.u.attrs == {"units": "m s-1"}
    np.testing.assert_array_equal(found.u, expected.u)
    np.testing.assert_array_equal(found.time, expected.time)
    assert found.attrs["seed"] == "[0, 3]"


@pytest.mark.slow
def test_a_store_holds_the_same_and_the_format_gives_the_ending(archives, model, plain, tmp_path):
    outcome = succeeded(
        "downscale", archives / "coarse.nc", "-m", model, "-o", tmp_path / "e", "--format", "zarr", *QUICK, "--seed", 3
    )
    assert outcome.out == f"wrote {tmp_path / 'e.zarr'}\n"
    np.testing.assert_array_equal(opened(tmp_path / "e.zarr").u, opened(plain).u)
    shown = succeeded("status", tmp_path / "e.zarr").out
    assert "1 of 1 work items done" in shown
    few = downscaled(archives / "coarse.nc", model, tmp_path / "few.nc", "--time", "2:12.5", "--format", "netcdf")
    np.testing.assert_array_equal(few.time, np.arange(2, 13, 0.5))
    for span in ("40:50", "early:late"):
        refused = called("downscale", archives / "coarse.nc", "-m", model, "-o", tmp_path / "no.nc", "--time", span)
        assert refused.code == 2 and span in refused.complaint
    for arguments in (("-o", "e.nc", "--format", "zarr"), ("-o", "e", "--format", "grib")):
        assert called("downscale", archives / "coarse.nc", "-m", model, *arguments).code == 2


@pytest.fixture(scope="module")
def in_items(archives, model):
    """The command that fills a store in four work items, and what is drawn in blocks of that size in memory."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("subgrid.execution.ensembles.time_blocks", lambda *_: (16, 16))
        drawn = library.downscale(archives / "coarse.nc", model, key=jr.key(3), **IN_PYTHON)
        yield ["downscale", archives / "coarse.nc", "-m", model, *QUICK, "--seed", 3], drawn


@pytest.mark.slow
def test_a_store_is_filled_by_the_command_that_is_named_after_it_was_stopped(in_items, tmp_path, monkeypatch):
    """Stopped after the first of its work items; another seed is refused meanwhile."""
    command, expected = [*in_items[0], "-o", tmp_path / "e.zarr"], in_items[1]

    def stop(done, total):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("subgrid.execution.ensembles.run", lambda *a, **k: run(*a, **{**k, "progress": stop}))
        stopped = called(*command)
    assert stopped.code == 130
    there = np.isfinite(opened(tmp_path / "e.zarr").u)
    assert there[:, :16].all() and not there[:, 16:].any()
    refused = called(*command, "--seed", 4)
    assert refused.code == 2 and "was made by another configuration" in refused.complaint
    named = stopped.err.splitlines()[-1].removeprefix("subgrid: to go on: subgrid ")
    succeeded(*shlex.split(named))
    np.testing.assert_array_equal(opened(tmp_path / "e.zarr").u, expected.u)
    assert list(tmp_path.iterdir()) == [tmp_path / "e.zarr"]
    assert not list((tmp_path / "e.zarr" / ".subgrid" / "work").glob("targets*"))


def test_slices_fill_a_store_together(in_items, tmp_path):
    command, expected = [*in_items[0], "-o", tmp_path / "e.zarr"], in_items[1]
    first = succeeded(*command, "--scheduler", "slice:0/2")
    assert first.out == f"{tmp_path / 'e.zarr'}: 2 work items are left to other calls\n"
    assert succeeded(*command, "--scheduler", "slice:1/2").out == f"wrote {tmp_path / 'e.zarr'}\n"
    np.testing.assert_array_equal(opened(tmp_path / "e.zarr").u, expected.u)
    refused = called(*in_items[0], "-o", tmp_path / "e.nc", "--scheduler", "slice:0/2")
    assert refused.code == 2 and "scheduler is of a Zarr store" in refused.complaint


def test_verify_writes_the_scores_of_python(archives, plain, tmp_path):
    outcome = succeeded("verify", plain, "-r", archives / "fine.nc", "-o", tmp_path / "scores.json")
    expected = library.verify(plain, archives / "fine.nc", progress=False)
    written = json.loads((tmp_path / "scores.json").read_text(encoding="utf-8"))
    plainly = json.loads(json.dumps(expected.as_dict()))
    assert written == {**plainly, "ensemble": str(plain), "reference": str(archives / "fine.nc")}
    assert outcome.out == f"{expected!r}\nwrote {tmp_path / 'scores.json'}\n"
    opened(archives / "fine.nc").rename(u="wind").assign(other=lambda d: d.wind).to_netcdf(tmp_path / "renamed.nc")
    renamed = ("-r", tmp_path / "renamed.nc", "-o", tmp_path / "again.json", "--variable", "u=wind")
    assert succeeded("verify", plain, *renamed).out.startswith(repr(expected))


def test_verify_pairs_or_not_and_is_told_units(archives, plain, tmp_path):
    """Both archives count from 0 and are no pairs: numbers make pairs only if that is insisted on."""
    opened(archives / "fine.nc").assign(u=lambda d: d.u.assign_attrs(units="")).to_netcdf(tmp_path / "no_units.nc")
    told = ("--variable", "u={units='cm s-1'}")
    for option, paired in (("--paired", True), ("--unpaired", False)):
        arguments = ("-r", tmp_path / "no_units.nc", "-o", tmp_path / f"{paired}.json", option, *told)
        expected = library.verify(
            plain, tmp_path / "no_units.nc", paired=paired, variables={"u": {"units": "cm s-1"}}, progress=False
        )
        assert succeeded("verify", plain, *arguments).out.startswith(repr(expected))
        assert (expected.n_pairs > 0) == paired
        assert any("from cm s-1 to m s-1" in note for note in expected.notes)


# Climate fields.

PLACES = {"Inland": (39.3, -4.4), "Cell": (40.25, -5.25), "North": (41.6, -2.9)}
"""Away from the sea of `with_sea`; the second is the middle of a cell."""


@pytest.fixture(scope="module")
def pair(tmp_path_factory) -> Path:
    """Archives of 1990 to 1993, a scenario of ten years and as many days (the same programs), and three places."""
    folder = write_pair(tmp_path_factory.mktemp("pair"), scenario=False)
    scenario = temperature(COARSE, seed=3, bias=5.0, first=2080, n=10)
    scenario.sel(time=scenario.time.dt.day <= 12).to_netcdf(folder / "scenario.nc")
    lines = [f"{name}, {lat}, {lon}" for name, (lat, lon) in PLACES.items()]
    (folder / "stations.csv").write_text("\n".join(["name, lat, lon", *lines]) + "\n")
    return folder


def test_inspect_says_whether_two_archives_fit(pair, tmp_path):
    """Exit code 2 where they do not, and what to change; `--variable` as `fit` takes it."""
    fits = succeeded("inspect", pair / "coarse.nc", pair / "fine.nc", "--variable", "tas")
    assert fits.out.rstrip().endswith("They fit together.") and "2080" not in fits.out
    temperature((COARSE[0] - 60, COARSE[1]), seed=2).to_netcdf(tmp_path / "south.nc")
    apart = called("inspect", tmp_path / "south.nc", pair / "fine.nc")
    assert apart.code == 2 and "change: " in apart.out and "do not overlap" in apart.out
    assert "They fit together" not in apart.out and apart.err == ""
    assert called("inspect", pair / "coarse.nc", "--step", "year").code == 2


@pytest.fixture(scope="module")
def climate(pair) -> Path:
    """A model whose Gaussian is not refined, debiased by quantile mapping."""
    (pair / "settings.toml").write_text(
        'debias = "quantile-mapping"\nn_components = [5, 10]\nn_steps = 0\n'
        "[debias_options]\nn_quantiles = 20\nstrength = 1.0\n"
    )
    arguments = ("--variable", "tas", "--config", pair / "settings.toml", "--set", "n_levels=4")
    outcome = succeeded("fit", pair / "fine.nc", pair / "coarse.nc", "-o", pair / "model", *arguments)
    assert "tas [K]" in outcome.out and "quantile-mapping" in outcome.out
    return pair / "model"


@pytest.fixture(scope="module")
def whole(pair, climate) -> xr.Dataset:
    """The training archive, downscaled."""
    return downscaled(pair / "coarse.nc", climate, pair / "ensemble.zarr", "--change", "none")


def test_a_climate_ensemble_is_that_of_python(pair, climate, whole):
    expected = library.downscale(pair / "coarse.nc", climate, change="none", key=jr.key(0), **IN_PYTHON)
    np.testing.assert_array_equal(whole.tas, expected.tas)
    np.testing.assert_array_equal(whole.time, expected.time)
    assert whole.tas.attrs["units"] == "K" and whole.sizes["realization"] == 2


def test_a_scenario_of_another_period_asks_whether_the_climate_changes(pair, climate, tmp_path):
    """Its own change, 5 K − 2 K, is kept with `preserve`; `none` takes any stretch of it."""
    command = ["downscale", pair / "scenario.nc", "-m", climate, "--members", 1, "--set", "n_levels=4"]
    for asked in ((), ("--change", "ask")):
        outcome = called(*command, "-o", tmp_path / "e.nc", *asked)
        assert outcome.code == 2 and "--change preserve" in outcome.complaint
        assert "of 2080 to 2089, and the model was fitted on 1990 to 1993" in outcome.complaint
    assert called(*command, "-o", tmp_path / "e.nc", "--change", "double").code == 2
    assert not list(tmp_path.iterdir())
    succeeded(*command, "-o", tmp_path / "none.nc", "--change", "none", "--time", "2080")
    assert opened(tmp_path / "none.nc").sizes["time"] == 12
    succeeded(*command, "-o", tmp_path / "preserve.nc", "--change", "preserve")
    found = opened(tmp_path / "preserve.nc").tas
    options = {"n_members": 1, "n_levels": 4, "progress": False, "key": jr.key(0)}
    expected = library.downscale(pair / "scenario.nc", climate, change="preserve", **options)
    np.testing.assert_array_equal(found, expected.tas)
    # Both archives are 120 days of a few waves: a standard error of a few tenths of a kelvin.
    assert float(found.mean() - opened(pair / "fine.nc").tas.mean()) == pytest.approx(3, abs=1)


@pytest.mark.slow
def test_members_of_a_scenario_are_paired_by_label_and_fahrenheit_is_read(pair, tmp_path):
    """Two members 2 K apart, of which the warmer one has a scenario: the same weather, 4 K warmer."""
    for label, bias in (("r1i1p1f1", 0.0), ("r2i1p1f1", 2.0)):
        temperature(COARSE, seed=2, bias=bias, n=10).to_netcdf(tmp_path / f"tas_hist_{label}.nc")
    temperature(COARSE, seed=2, bias=6.0, first=2080, n=10).to_netcdf(tmp_path / "tas_ssp_r2i1p1f1.nc")
    fine = temperature(FINE, seed=1)
    fine["tas"] = ((fine.tas - 273.15) * 1.8 + 32).assign_attrs({**fine.tas.attrs, "units": "degrees_F"})
    fine.to_netcdf(tmp_path / "fine.nc")
    settings = [f"--set={each}" for each in ("debias=none", "n_components=[5]", "n_steps=0", "calibrate=false")]
    model, history = ("-m", tmp_path / "model"), tmp_path / "tas_hist_*.nc"
    succeeded("fit", tmp_path / "fine.nc", history, "-o", tmp_path / "model", "--variable", "tas", *settings)
    succeeded("downscale", history, *model, "-o", tmp_path / "now.nc", "--members", 2)
    change = ("--change", "preserve", "--members", 2)
    told = succeeded("downscale", tmp_path / "tas_ssp_r2i1p1f1.nc", *model, "-o", tmp_path / "then.nc", *change)
    assert "of the member r2i1p1f1 in both periods; r1i1p1f1 of the history has no partner" in told.err
    now, then = opened(tmp_path / "now.nc"), opened(tmp_path / "then.nc")
    # The anomalies count from the mean of both members, which is 1 K from either.
    assert float(now.tas.mean()) == pytest.approx(float(temperature(FINE, seed=1).tas.mean()), abs=0.5)
    warmer = now.tas.isel(realization=np.flatnonzero(now.coarse_realization == "r2i1p1f1")).mean()
    # The weather is the same; 4 − 1 K as the mean over both members stands for the climate of the fit.
    assert float(then.tas.mean() - warmer) == pytest.approx(3.0, abs=0.2)
    assert float(then.tas.mean() - now.tas.mean()) == pytest.approx(4.0, abs=0.2)


def test_a_region_is_cut_out_of_the_same_draws(pair, climate, whole, tmp_path):
    inside = downscaled(pair / "coarse.nc", climate, tmp_path / "e.nc", "--region", "38.9,-6.1,40.6,-4")
    expected = whole.tas.sel(lat=slice(38.9, 40.6), lon=slice(-6.1, -4))
    assert expected.sizes["lat"] == 3 and expected.sizes["lon"] == 4
    xr.testing.assert_equal(inside.tas.drop_vars("realization"), expected.drop_vars("realization"))
    for text in ("38,-6,40", "a,b,c,d"):
        assert (
            called("downscale", pair / "coarse.nc", "-m", climate, "-o", tmp_path / "r.nc", "--region", text).code == 2
        )
    away = called("downscale", pair / "coarse.nc", "-m", climate, "-o", tmp_path / "r.nc", "--region", "50,0,60,9")
    assert away.code == 2 and "no fine cell lies between 50 and 60 north" in away.complaint


def test_a_span_of_time_is_chosen(pair, climate, whole, tmp_path):
    first = downscaled(pair / "coarse.nc", climate, tmp_path / "first.zarr", "--time", "1990:1991-01-09")
    assert first.sizes["time"] == 30 + 9
    np.testing.assert_array_equal(first.tas, whole.tas[:, :39])
    np.testing.assert_array_equal(first.time, whole.time[:39])
    later = called("downscale", pair / "coarse.nc", "-m", climate, "-o", tmp_path / "r.nc", "--time", "2001:2002")
    assert later.code == 2 and "1990-01-01 to 1993-01-30, lies within '2001:2002'" in later.complaint


def test_stations_get_the_field_interpolated_to_them(pair, climate, whole, tmp_path):
    """By xarray's own linear interpolation of the whole field: to float32 rounding at 285 K."""
    found = downscaled(pair / "coarse.nc", climate, tmp_path / "e.zarr", "--points", pair / "stations.csv")
    lat, lon = (xr.DataArray([place[i] for place in PLACES.values()], dims="point") for i in (0, 1))
    expected = whole.tas.interp(lat=lat, lon=lon)
    assert found.tas.dims == ("realization", "time", "point")
    assert found["name"].values.tolist() == list(PLACES)
    np.testing.assert_array_equal(found.lat, lat)
    np.testing.assert_allclose(found.tas, expected, atol=1e-4)
    arguments = "-r", pair / "fine.nc", "-o", tmp_path / "scores.json"
    assert "interpolated to the stations" in succeeded("verify", tmp_path / "e.zarr", *arguments).out.replace(
        "\n  ", " "
    )


def test_stations_get_their_nearest_cell(pair, climate, whole, tmp_path):
    arguments = ("--points", pair / "stations.csv", "--nearest")
    found = downscaled(pair / "coarse.nc", climate, tmp_path / "e.nc", *arguments)
    lat, lon = (xr.DataArray([place[i] for place in PLACES.values()], dims="point") for i in (0, 1))
    np.testing.assert_array_equal(found.tas, whole.tas.sel(lat=lat, lon=lon, method="nearest"))
    assert found.tas.attrs["at_points"] == "nearest"
    (tmp_path / "bad.csv").write_text("station,y\nA,40\n")
    refused = called(
        "downscale", pair / "coarse.nc", "-m", climate, "-o", tmp_path / "r.nc", "--points", tmp_path / "bad.csv"
    )
    assert refused.code == 2 and "has no column 'lat', but station, y" in refused.complaint


@pytest.mark.slow
def test_verify_scores_a_climate_ensemble(pair, whole, tmp_path):
    succeeded("verify", pair / "ensemble.zarr", "-r", pair / "fine.nc", "-o", tmp_path / "scores.json")
    expected = library.verify(whole, pair / "fine.nc", progress=False)
    written = json.loads((tmp_path / "scores.json").read_text(encoding="utf-8"))
    assert written.items() >= json.loads(json.dumps(expected.as_dict())).items()
    refused = called("verify", pair / "ensemble.zarr", "-r", pair / "fine.nc", "-o", tmp_path / "scores.json")
    assert refused.code == 2 and "exists already" in refused.complaint
    arguments = ("-o", tmp_path / "scores.json", "--overwrite", "--variable", "pr")
    refused = called("verify", pair / "ensemble.zarr", "-r", pair / "fine.nc", *arguments)
    assert refused.code == 2 and "'pr'" in refused.complaint


def test_verify_averages_a_reference_of_days_to_the_months_of_an_ensemble(tmp_path, monkeypatch):
    monkeypatch.setattr("subgrid.downscaling.verifying.verify.set_rows", lambda *_, **__: ([], ()))
    days = pd.date_range("2001-01-01", "2001-04-30")
    daily = pd.DataFrame({"tas": 280 + np.random.default_rng(0).normal(size=len(days))}, days)
    months = daily.resample("MS").mean() + 2  # every member is 2 K too warm, so its error is 2 K
    months.index += pd.Timedelta("15D")
    place = {"lat": np.arange(40.0, 43.0), "lon": np.arange(3.0, 7.0)}
    for file, frame, lead in (("reference.nc", daily, ()), ("ensemble.nc", months, (3,))):
        values = np.broadcast_to(frame.tas.values[:, *(None for _ in lead), None, None], (len(frame), *lead, 3, 4))
        dims = ("time", *("realization" for _ in lead), "lat", "lon")
        xr.Dataset({"tas": (dims, values, {"units": "K"})}, {"time": frame.index, **place}).to_netcdf(tmp_path / file)
    arguments = ("verify", tmp_path / "ensemble.nc", "-r", tmp_path / "reference.nc", "-o", tmp_path / "scores.json")
    refused = called(*arguments)
    assert refused.code == 2 and "--step month" in refused.complaint
    assert called(*arguments, "--step", "week").code == 2
    succeeded(*arguments, "--step", "month", "--paired")
    rows = json.loads((tmp_path / "scores.json").read_text(encoding="utf-8"))["rows"]
    assert next(r["value"] for r in rows if r["metric"] == "CRPS") == pytest.approx(2, rel=1e-4)
