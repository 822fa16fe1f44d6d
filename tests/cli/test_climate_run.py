"""Whole climate runs through the command line: every part, resumed, sliced, spread over workers, killed."""

import json
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest
import xarray as xr

import subgrid as library
from subgrid.downscaling import climate_run

from ..data.climate_files import DATA, needs_data
from ..downscaling.climate_pair import TINY_CONFIGURATION, write_configuration, write_pair
from .conftest import Call, Outcome

STORES = ("ensemble", "perfect_model", "scenario")


@pytest.fixture(autouse=True)
def small_work_items(monkeypatch):
    """8 times an item with 3 members: 8 items for 60 days."""
    monkeypatch.setattr(climate_run, "DRAWS_AT_ONCE", 24)


@pytest.fixture(scope="module")
def pair(tmp_path_factory) -> Path:
    """fine.nc, coarse.nc and scenario.nc of tas and pr, and run.toml."""
    folder = write_pair(tmp_path_factory.mktemp("pair"), rainy=True)
    write_configuration(folder, "tas", "pr")
    return folder


@pytest.fixture(scope="module")
def finished(pair, tmp_path_factory) -> tuple[Path, Outcome]:
    """A finished run, and what it said."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(climate_run, "DRAWS_AT_ONCE", 24)
        done = in_own_process(["run", pair / "run.toml", "-o", folder])
        out, err = done.communicate()
    assert done.returncode == 0, err
    return folder, Outcome(done.returncode, out, err)


def in_own_process(arguments: list) -> subprocess.Popen:
    command = [sys.executable, str(Path(__file__).with_name("climate_kill.py")), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def continued(finished, tmp_path: Path, *removed: str) -> Path:
    """A copy of the finished run without some of its parts."""
    folder = tmp_path / "run"
    shutil.copytree(finished[0], folder)
    for name in removed:
        path = folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return folder


def chunks(folder: Path) -> dict[str, bytes]:
    """Every chunk of every ensemble."""
    files = [p for name in STORES for p in sorted((folder / f"{name}.zarr").glob("*/c/**/*")) if p.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def values(folder: Path, store: str, name: str = "tas") -> np.ndarray:
    with xr.open_zarr(folder / f"{store}.zarr", chunks=None) as stored:
        return stored[name].values


def test_a_whole_run_leaves_every_part(finished):
    folder, outcome = finished
    assert f"report: {folder}/report.html" in outcome.out
    metrics = json.loads((folder / "metrics.json").read_text())
    groups = {row["group"] for row in metrics["table"]}
    kinds = ("unpaired", "perfect model", "change")
    assert groups == {f"{name}: {kind}" for name in ("tas", "pr") for kind in kinds}
    for row in metrics["table"]:
        assert np.isfinite(row["generated"]), row
    page = (folder / "report.html").read_text()
    assert page.lower().startswith("<!doctype html>") and "wet days" in page and "perfect model" in page
    assert "http://" not in page.replace("http://www.w3.org", "")  # self-contained: only namespaces


def test_stores_say_what_they_are(finished):
    with xr.open_zarr(finished[0] / "scenario.zarr", chunks=None) as stored:
        assert dict(stored.sizes) == {"realization": 3, "time": 120, "lat": 12, "lon": 14}
        assert stored.tas.attrs["units"] == "K" and stored.pr.attrs["units"] == "mm day-1"
        assert str(stored.time.values[0])[:10] == "2080-01-01"
        for name in ("Conventions", "subgrid_version", "configuration_hash", "seed", "checkpoint"):
            assert name in stored.attrs
        assert stored.attrs["history"].splitlines()[1] == "made by a test"


def test_rain_is_never_negative_and_the_sea_is_empty(finished):
    for store in STORES:
        amount = values(finished[0], store, "pr")
        land = np.isfinite(amount)
        assert land.any() and (land == land[0, 0]).all()
        assert amount[land].min() == 0


def test_the_warming_of_the_model_is_that_of_the_output(pair, finished):
    """Within the sampling error of the model's own winters, coarse cell by coarse cell, as the table says."""
    table = json.loads((finished[0] / "metrics.json").read_text())["table"]
    row = next(row for row in table if row["group"] == "tas: change")
    assert row["generated"] < row["floor"]
    with xr.open_dataset(pair / "coarse.nc") as now, xr.open_dataset(pair / "scenario.nc") as later:
        unseen = now.tas[now.time.dt.year % 2 == 0]
        given = float(later.tas.mean() - unseen.mean())
    output = np.nanmean(values(finished[0], "scenario")) - np.nanmean(values(finished[0], "ensemble"))
    # Land only against the whole grid, one cell in ten: a tenth of a spread of 2 K over sqrt(60 days).
    assert output == pytest.approx(given, abs=0.3)


def test_a_finished_run_is_only_shown_again(subgrid: Call, pair, finished, tmp_path):
    folder = continued(finished, tmp_path)
    assert subgrid("run", pair / "run.toml", "-o", folder).code == 0
    assert chunks(folder) == chunks(finished[0])


def test_parts_that_are_deleted_come_back_to_the_same_bits(subgrid: Call, pair, finished, tmp_path):
    folder = continued(
        finished, tmp_path, "domain.zarr", "targets.zarr", "ensemble.zarr", "metrics.json", "report.html"
    )
    marker = sorted((folder / "scenario.zarr").rglob("*.json"))
    marker = next(path for path in marker if path.name.startswith("t00000008"))
    marker.unlink()
    assert subgrid("run", pair / "run.toml", "-o", folder).code == 0
    assert chunks(folder) == chunks(finished[0])
    before, after = (json.loads((f / "metrics.json").read_text())["table"] for f in (finished[0], folder))
    assert before == after


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("run.seed=1", "run.seed"),
        ("debias.method=none", "debias.method"),
        ("prior.n_steps=40", "prior.n_steps"),
        ("sampling.n_members=4", "realization|shape|n_members"),
        ("sampling.n_levels=5", "n_levels"),
    ],
)
def test_a_run_of_another_configuration_is_refused(subgrid: Call, pair, finished, change, named):
    before = chunks(finished[0])
    outcome = subgrid("run", pair / "run.toml", "-o", finished[0], f"--set={change}")
    assert outcome.code == 2 and "Traceback" not in outcome.err
    assert any(part in outcome.complaint for part in named.split("|")), outcome.complaint
    assert chunks(finished[0]) == before
    assert json.loads((finished[0] / "metrics.json").read_text())["seed"] == 0


def test_three_slices_give_the_bits_of_one(subgrid: Call, pair, finished, tmp_path):
    folder = continued(finished, tmp_path, *(f"{name}.zarr" for name in STORES), "metrics.json", "report.html")
    for i in (2, 0):
        outcome = subgrid("run", pair / "run.toml", "-o", folder, f"--set=sampling.scheduler=slice:{i}/3")
        assert outcome.code == 0, outcome.err
        assert "work items of ensemble.zarr" in outcome.out and "are still to do" in outcome.out
        assert not (folder / "metrics.json").exists()
    assert 0 < len(chunks(folder)) < len(chunks(finished[0]))
    assert "of 8 work items done" in subgrid("status", folder / "ensemble.zarr").out
    outcome = subgrid("run", pair / "run.toml", "-o", folder, "--set=sampling.scheduler=slice:1/3")
    assert "report:" in outcome.out
    assert chunks(folder) == chunks(finished[0])


def test_two_workers_give_the_bits_of_one(subgrid: Call, pair, finished, tmp_path):
    folder = continued(finished, tmp_path, "scenario.zarr")
    outcome = subgrid("run", pair / "run.toml", "-o", folder, "--set=sampling.scheduler=local:2")
    assert outcome.code == 0, outcome.err
    assert chunks(folder) == chunks(finished[0])


def test_slices_wait_for_a_prepared_run(subgrid: Call, pair, tmp_path):
    outcome = subgrid("run", pair / "run.toml", "-o", tmp_path / "run", "--set=sampling.scheduler=slice:0/3")
    assert outcome.code == 2 and "sampling.scheduler=none" in outcome.complaint
    outcome = subgrid("run", pair / "run.toml", "-o", tmp_path / "run", "--set=sampling.scheduler=fast")
    assert outcome.code == 2 and "slice:i/n" in outcome.complaint
    assert not (tmp_path / "run" / "domain.zarr").exists()


def test_preparing_alone_samples_nothing(subgrid: Call, pair, finished, tmp_path):
    folder = continued(finished, tmp_path, *(f"{name}.zarr" for name in STORES), "metrics.json")
    outcome = subgrid("run", pair / "run.toml", "-o", folder, "--set=sampling.scheduler=none")
    assert outcome.code == 0 and "prepared and trained" in outcome.out
    assert not (folder / "ensemble.zarr").exists() and not (folder / "metrics.json").exists()


def test_killed_at_random_moments_and_resumed(pair, finished, tmp_path):
    folder, seed = tmp_path / "run", random.randrange(10**6)  # another every time; told where the test fails
    moments = random.Random(seed)
    for mark in ("targets.zarr", "model/training.jsonl", "ensemble.zarr/tas/c"):
        process, started = in_own_process(["run", pair / "run.toml", "-o", folder]), time.monotonic()
        while not (folder / mark).exists() and process.poll() is None and time.monotonic() - started < 120:
            time.sleep(0.01)
        time.sleep(moments.uniform(0, 0.5))
        process.kill()
        process.communicate()
        assert process.returncode == -9, f"{mark}: seed {seed}"
    done = in_own_process(["run", pair / "run.toml", "-o", folder])
    _, err = done.communicate()
    assert done.returncode == 0, f"{err}; seed {seed}"
    assert chunks(folder) == chunks(finished[0]), f"seed {seed}"


def test_the_run_folder_is_a_model_for_python_with_the_same_bits(pair, finished):
    """The days that a run downscales are its unseen winters, and the key of a draw counts times from the first."""
    with xr.open_dataset(pair / "coarse.nc") as coarse:
        unseen = coarse[["tas", "pr"]].isel(time=coarse.time.dt.year.values % 2 == 0).load()
    found = library.downscale_climate(unseen, finished[0], n_members=3, n_levels=4, key=jax.random.key(0))
    for name in ("tas", "pr"):
        np.testing.assert_array_equal(found[name].values, values(finished[0], "ensemble", name))


def test_all_winters_for_training_leaves_none_to_score(subgrid: Call, tmp_path):
    pair = write_pair(tmp_path, scenario=False)
    config = write_configuration(pair, scenario=False, tables=TINY_CONFIGURATION)
    outcome = subgrid("run", config, "-o", tmp_path / "run", "--set=climate.training=all")
    assert outcome.code == 0, outcome.err
    assert "no winter is left to score on" in outcome.out
    assert values(tmp_path / "run", "ensemble").shape == (3, 120, 12, 14)


def test_several_members_are_downscaled_each(subgrid: Call, tmp_path):
    pair = write_pair(tmp_path, scenario=False)
    with xr.open_dataset(pair / "coarse.nc") as coarse:
        two = xr.concat(
            [coarse.load(), coarse.isel(time=slice(None, None, -1)).assign_coords(time=coarse.time)], "realization"
        )
    two.assign_coords(realization=[1, 2]).to_netcdf(pair / "coarse.nc")
    outcome = subgrid("run", write_configuration(pair, scenario=False), "-o", tmp_path / "run")
    assert outcome.code == 0, outcome.err
    with xr.open_zarr(tmp_path / "run" / "ensemble.zarr", chunks=None) as stored:
        assert stored.sizes["time"] == 120
        assert stored.coarse_realization.values.tolist() == [0] * 60 + [1] * 60


def test_inspect_says_whether_the_pair_fits(subgrid: Call, pair):
    outcome = subgrid("inspect", pair / "fine.nc", pair / "coarse.nc")
    assert outcome.code == 0 and "They fit together." in outcome.out
    assert "regular grid 12 x 14" in outcome.out and "tas: K" in outcome.out


def test_status_tells_what_is_done_and_what_is_damaged(subgrid: Call, finished, tmp_path):
    folder = continued(finished, tmp_path)
    assert "8 of 8 work items done" in subgrid("status", folder / "ensemble.zarr").out
    victim = sorted((folder / "ensemble.zarr" / "tas" / "c").rglob("*"))[-1]
    victim.write_bytes(victim.read_bytes()[:-7])
    outcome = subgrid("status", folder / "ensemble.zarr", "--repair")
    assert "7 of 8 work items done" in outcome.out and "instead of" in outcome.out


@needs_data
def test_iberia_with_the_gaussian_part_alone(subgrid: Call, tmp_path):
    """The issue's bounds for tas, which the Gaussian law reaches before any network is trained."""
    iberia = DATA / "iberia"
    config = tmp_path / "iberia.toml"
    config.write_text(
        f'[climate]\nfine = "{iberia}/EOBS_Iberia_tas.nc"\ncoarse = "{iberia}/CMIP5_Iberia_tas.nc"\n'
        'variables = ["tas"]\n'
        "[prior]\nn_steps = 20\nchannels = [8]\ndirections = [100]\n[sampling]\nn_members = 3\nn_levels = 12\n"
    )
    outcome = subgrid("run", config, "-o", tmp_path / "run")
    assert outcome.code == 0, outcome.err
    table = json.loads((tmp_path / "run" / "metrics.json").read_text())["table"]
    found = {row["metric"]: row for row in table if row["group"] == "tas: unpaired"}
    assert found["W1"]["generated"] <= 1.1 * found["W1"]["floor"]
    assert found["CorrRMSE"]["generated"] <= 0.050 < found["CorrRMSE"]["quantile mapping"]
