"""Whole climate runs through the command line: every part, resumed, sliced, spread over workers, killed."""

import json
import os
import random
import re
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from filelock import FileLock

from subgrid.data.store import MARKERS
from subgrid.experiments import KINDS
from subgrid.experiments.climate import stages
from subgrid.experiments.climate.changes import change_sentence, change_with_interval
from subgrid.experiments.climate.scored_fields import ScoredFields
from subgrid.runs.experiment import open_run
from subgrid.runs.launch import dry_run
from subgrid.runs.record import read_record, record_path, write_record

from ...downscaling.climate_pair import write_configuration, write_pair
from ...tiny import Call
from .conftest import STORES, chunks, continued, values

CLIMATE = KINDS["climate"].load()
pytestmark = pytest.mark.usefixtures("small_work_items")


def in_own_process(arguments: list) -> subprocess.Popen:
    command = [sys.executable, str(Path(__file__).with_name("climate_kill.py")), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Between the departures of members from their mean, in one cell of land."""
    departures = (fields[:, :, 8, 8] - fields[:, :, 8, 8].mean(0) for fields in (first, second))
    return float(np.corrcoef(*(each.ravel() for each in departures))[0, 1])


def test_a_whole_run_leaves_every_part(finished):
    folder, outcome = finished
    assert f"report: {folder}/report.html" in outcome.out
    metrics = json.loads((folder / "metrics.json").read_text())
    groups = {row["group"] for row in metrics["table"]}
    kinds = ("unpaired", "perfect model", "change")
    apart = [f"{kind}, {cells}" for kind in kinds[:2] for cells in ("cells under a coarse cell", "cells under none")]
    expected = {f"{name}: {kind}" for name in ("tas", "pr") for kind in (*kinds, *apart)} | {"tas, pr: unpaired"}
    assert groups == expected
    assert metrics["choices"]["debiasing"]["tried"] and len(metrics["choices"]["crps_by_support"]) == 5
    assert all(row["independent fields"] > 1 for row in metrics["table"] if ": unpaired" in row["group"][:13])
    for row in metrics["table"]:
        assert np.isfinite(row["generated"]), row
    noise = [row for row in metrics["table"] if row.get("interpolation + noise") is not None]
    assert [row["metric"] for row in noise] == ["CRPS", "CRPS"] and "bcsd" not in noise[0]
    for row in metrics["table"]:
        if row["metric"] == "return level inside":
            assert 0 <= row["generated"] <= 1
    page = (folder / "report.html").read_text()
    assert page.lower().startswith("<!doctype html>") and "wet days" in page and "perfect model" in page
    assert "Debiasers on left-out years" in page and "Spread, estimated from left-out years" in page
    assert re.search(r"Gaussian of (5|10) components.*, no network; conditioned on C&#39;x in closed form", page)
    assert re.search(r"; training [^;]+; [\d.]+ m?s a draw \(\d+ draws, with compilation and writing\)", page)
    means = {row["group"]: row for row in metrics["table"] if row["metric"] == "spread/skill, 10-day means"}
    assert set(means) == {"tas: perfect model", "pr: perfect model"}
    ratios = ", ".join(f"{name} {means[f'{name}: perfect model']['generated']:.2f}" for name in ("tas", "pr"))
    assert f"spread over skill of 10-day means is {ratios}" in page
    assert all(row["units"] for row in metrics["table"])
    assert "http://" not in page.replace("http://www.w3.org", "")  # self-contained: only namespaces
    stages_made = {"prepare", "train", "sample", "score", "report"}
    assert {path.stem for path in (folder / "records").glob("*.json")} == stages_made
    assert {"table", "columns", "seconds", "commits", "config", "changes", "choices"} <= set(metrics)
    assert set(metrics["seconds"]) == {"prepare", "train", "sample"}  # finished before the scores
    timings = set(re.findall(r'<span>(\w+)</span><span class="bar">', page))
    assert timings == stages_made - {"report"}


def test_stores_say_what_they_are(finished):
    with xr.open_zarr(finished[0] / "scenario.zarr", chunks=None) as stored:
        assert dict(stored.sizes) == {"realization": 3, "time": 120, "lat": 12, "lon": 14}
        assert stored.tas.attrs["units"] == "K" and stored.pr.attrs["units"] == "mm day-1"
        assert str(stored.time.values[0])[:10] == "2080-01-01"
        for name in ("Conventions", "subgrid_version", "configuration_hash", "seed", "checkpoint"):
            assert name in stored.attrs
        assert stored.attrs["history"].splitlines()[1] == "made by a test"


def test_the_noise_of_two_ensembles_is_independent_and_the_change_has_an_interval(finished):
    """By default: the spread of members of the mean change is what independent draws leave."""
    now, later = (values(finished[0], store)[:, :60] for store in ("ensemble", "scenario"))
    assert abs(correlation(now, later)) < 4 / np.sqrt(2 * 60)  # 60 times, and 2 degrees of freedom among 3 members
    changes = json.loads((finished[0] / "metrics.json").read_text())["changes"]
    assert [change["variable"] for change in changes] == ["tas", "pr"]
    for change in changes:
        lower, upper = change["interval_90"]
        assert lower < change["change"] < upper and change["member_spread"] > 0
    assert changes[0]["interval_90"][0] > 0  # 3 K of warming, of season years that differ by a few tenths
    assert "90 % interval" in (finished[0] / "report.html").read_text()
    for store in STORES:
        with xr.open_zarr(finished[0] / f"{store}.zarr", chunks=None) as stored:
            assert stored.attrs["noise"].startswith("independent of the other ensembles")
            assert stored.attrs["stream"].startswith("climate/")


@pytest.mark.slow
def test_common_noise_is_shared_and_leaves_no_interval(subgrid: Call, pair, finished, unscored, tmp_path):
    folder = continued(finished, tmp_path, *(f"{name}.zarr" for name in STORES), "metrics.json", "report.html")
    option = "sampling.common_noise=true"
    assert subgrid("run", pair / "run.toml", "-o", folder, f"--set={option}").code == 0
    now, later = (values(folder, store)[:, :60] for store in ("ensemble", "scenario"))
    assert correlation(now, later) > 0.99
    np.testing.assert_array_equal(values(folder, "ensemble"), values(finished[0], "ensemble"))
    assert abs(correlation(values(folder, "perfect_model"), now)) < 4 / np.sqrt(2 * 60)
    for store, other in (("ensemble", "scenario"), ("scenario", "ensemble")):
        with xr.open_zarr(folder / f"{store}.zarr", chunks=None) as stored:
            assert stored.attrs["noise"].startswith(f"shared with {other}.zarr")
    scores = ScoredFields(open_run(CLIMATE, pair / "run.toml", folder, [option]))
    change = change_with_interval(scores, scores.ensemble("ensemble", "tas"), 0)
    assert "interval_90" not in change and change["change"] > 2
    sentence = change_sentence(change)
    assert "No interval from members is given: the two ensembles share their noise (sampling.common_noise" in sentence


def test_rain_is_never_negative_and_the_sea_is_empty(finished):
    for store in STORES:
        amount = values(finished[0], store, "pr")
        land = np.isfinite(amount)
        assert land.any() and (land == land[0, 0]).all()
        assert amount[land].min() == 0


def test_the_warming_of_the_model_is_that_of_the_output(pair, finished):
    """Within the sampling error of the model's own season years, coarse cell by coarse cell, as the table says."""
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
    """Nothing is scored twice, by whichever scheduler: the tasks of an array come late."""
    folder = continued(finished, tmp_path)
    (folder / "report.html").write_text("not drawn again")
    for scheduler in ("serial", "slice:1/3"):
        outcome = subgrid("run", pair / "run.toml", "-o", folder, f"--set=sampling.scheduler={scheduler}")
        assert outcome.code == 0 and "report:" in outcome.out
    assert chunks(folder) == chunks(finished[0])
    assert (folder / "report.html").read_text() == "not drawn again"


def actions(folder: Path, config: Path, *overrides: str) -> dict[str, str]:
    """What a call would do with each stage."""
    return {each.stage.name: each.action for each in dry_run(CLIMATE, config, folder, overrides)[1]}


KEPT = dict.fromkeys(("prepare", "train", "sample", "score", "report"), "keep")


def test_what_was_scored_of_something_else_is_not_up_to_date(pair, finished, tmp_path):
    folder, config = continued(finished, tmp_path), pair / "run.toml"
    assert actions(folder, config) == KEPT
    os.utime(folder / "ensemble.zarr" / MARKERS)  # a date says nothing: a copy has another one
    assert actions(folder, config) == KEPT
    assert actions(folder, config, "sampling.scheduler=local:2") == KEPT
    assert actions(folder, config, "run.name=other") == KEPT | {"report": "remake"}
    record = read_record(folder, "sample")
    write_record(folder, replace(record, id="another making"))
    assert actions(folder, config) == KEPT | {"score": "remake", "report": "remake"}


def test_an_item_that_was_damaged_after_the_scores_is_made_again_to_the_same_bits(
    subgrid: Call, pair, finished, tmp_path
):
    folder = continued(finished, tmp_path)
    victim = sorted((folder / "ensemble.zarr" / "tas" / "c").rglob("*"))[-1]
    victim.write_bytes(victim.read_bytes()[:-7])
    assert "7 of 8 work items done" in subgrid("status", folder / "ensemble.zarr", "--repair").out
    assert actions(folder, pair / "run.toml") == KEPT | {"sample": "make"}  # scores of the same bits stay
    assert subgrid("run", pair / "run.toml", "-o", folder).code == 0
    assert chunks(folder) == chunks(finished[0])
    assert actions(folder, pair / "run.toml") == KEPT


def test_a_late_slice_leaves_the_scores_to_the_task_that_completed_the_stores(subgrid: Call, pair, finished, tmp_path):
    folder = continued(finished, tmp_path, "metrics.json")
    with FileLock(record_path(folder, "score").with_suffix(".lock")):  # that task may be about it
        outcome = subgrid("run", pair / "run.toml", "-o", folder, "--set=sampling.scheduler=slice:0/3")
    assert outcome.code == 0 and "this slice had nothing to do" in outcome.out
    assert not (folder / "metrics.json").exists()


def test_of_archives_contents_count_and_not_paths(subgrid: Call, pair, finished, tmp_path):
    folder, moved = continued(finished, tmp_path), tmp_path / "moved"
    shutil.copytree(pair, moved)
    kept = KEPT | {"report": "remake"}  # which shows the configuration
    assert actions(folder, moved / "run.toml") == kept
    with xr.open_dataset(pair / "fine.nc") as fine:
        (fine.load() + 1).to_netcdf(moved / "fine.nc")
    outcome = subgrid("run", moved / "run.toml", "-o", folder)
    assert outcome.code == 2 and f"was made from another file than {moved}/fine.nc" in outcome.complaint
    shutil.copy(pair / "fine.nc", moved)
    (moved / "run.toml").write_text((pair / "run.toml").read_text().replace('scenario = "scenario.nc"', ""))
    outcome = subgrid("run", moved / "run.toml", "-o", folder)
    assert outcome.code == 2 and f"was made from {pair}/scenario.nc too" in outcome.complaint


@pytest.mark.slow
def test_a_publication_shows_scores_and_no_fields_of_the_reference(subgrid: Call, finished, tmp_path, monkeypatch):
    run, folder = finished[0], tmp_path / "published"
    outcome = subgrid("publish", run, folder)
    assert outcome.code == 0, outcome.err
    names = {path.name for path in folder.iterdir()}
    curves = (
        "quantiles.svg",
        "correlation.svg",
        "power.svg",
        "ranks.svg",
        "wasserstein.png",
        "change.png",
        "spread.png",
    )
    choices = {f"choice-{name}.svg" for name in ("correlations", "marginals", "reach")}
    figures = choices | {f"{v}-{c}" for v in ("tas", "pr") for c in curves}
    assert names == {"config.toml", "metrics.json", "table.md"} | figures
    numbers = json.loads((folder / "metrics.json").read_text())
    assert numbers["table"] == json.loads((run / "metrics.json").read_text())["table"]
    assert numbers["config"]["climate"]["fine"] == "fine.nc"
    for name in ("config.toml", "metrics.json", "table.md"):
        assert str(tmp_path.parent) not in (folder / name).read_text()  # nor folders of this machine
    table = (folder / "table.md").read_text().splitlines()
    assert table[0].startswith("|  | metric | raw |") and "interpolation + noise" in table[0]
    assert len(table) == len(numbers["table"]) + 2
    assert subgrid("publish", run, folder).code == 2
    monkeypatch.setattr(stages, "RECIPE", replace(stages.RECIPE, page=None))  # not drawn twice
    assert subgrid("publish", run, folder, "--overwrite").code == 0
    assert {path.name for path in folder.iterdir()} == {"config.toml", "metrics.json", "table.md"}


@pytest.mark.slow
def test_parts_that_are_deleted_come_back_to_the_same_bits(subgrid: Call, pair, finished, undrawn, tmp_path):
    removed = ("preparation.zarr", "scenario.fine.zarr", "targets.zarr", "ensemble.zarr", "metrics.json", "report.html")
    folder = continued(finished, tmp_path, *removed)
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
        ("run.seed=1", "preparation.zarr was made with run.seed = 0, not 1"),
        ("debias.method=none", "preparation.zarr was made with debias.method = 'auto', not 'none'"),
        ("prior.n_steps=40", "model was made with prior.n_steps = 20, not 40"),
        ("sampling.n_members=4", "ensemble.zarr was made with sampling.n_members = 3, not 4"),
        ("sampling.n_levels=5", "model was made with sampling.n_levels = 4, not 5"),
        ("sampling.common_noise=true", "ensemble.zarr was made with sampling.common_noise = False, not True"),
    ],
)
def test_a_run_of_another_configuration_is_refused(subgrid: Call, pair, finished, change, named):
    before, folder = chunks(finished[0]), finished[0]
    outcome = subgrid("run", pair / "run.toml", "-o", folder, f"--set={change}")
    assert outcome.code == 2 and "Traceback" not in outcome.err
    part = named.split(" ")[0]
    complaint = f"{folder}: {named}; remove {part} to make it anew, or choose another output folder."
    assert outcome.complaint.startswith(f"subgrid: {complaint}")
    assert chunks(folder) == before
    assert json.loads((folder / "metrics.json").read_text())["seed"] == 0


@pytest.mark.slow
def test_three_slices_give_the_bits_of_one(subgrid: Call, pair, finished, unscored, tmp_path):
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


@pytest.mark.slow
def test_two_workers_give_the_bits_of_one(subgrid: Call, pair, finished, unscored, tmp_path):
    folder = continued(finished, tmp_path, "scenario.zarr")
    outcome = subgrid("run", pair / "run.toml", "-o", folder, "--set=sampling.scheduler=local:2")
    assert outcome.code == 0, outcome.err
    assert chunks(folder) == chunks(finished[0])


def test_slices_wait_for_a_prepared_run(subgrid: Call, pair, tmp_path):
    outcome = subgrid("run", pair / "run.toml", "-o", tmp_path / "run", "--set=sampling.scheduler=slice:0/3")
    assert outcome.code == 2 and "sampling.scheduler=none" in outcome.complaint
    outcome = subgrid("run", pair / "run.toml", "-o", tmp_path / "run", "--set=sampling.scheduler=fast")
    assert outcome.code == 2 and "slice:i/n" in outcome.complaint
    assert not (tmp_path / "run" / "preparation.zarr").exists()


def test_preparing_alone_samples_nothing(subgrid: Call, pair, finished, tmp_path):
    folder = continued(finished, tmp_path, *(f"{name}.zarr" for name in STORES), "metrics.json")
    outcome = subgrid("run", pair / "run.toml", "-o", folder, "--set=sampling.scheduler=none")
    assert outcome.code == 0 and "prepared and trained" in outcome.out
    assert not (folder / "ensemble.zarr").exists() and not (folder / "metrics.json").exists()


@pytest.mark.slow
def test_killed_at_random_moments_and_resumed(subgrid: Call, pair, finished, unscored, tmp_path):
    folder, seed = tmp_path / "run", random.randrange(10**6)  # another every time; shown where the test fails
    moments = random.Random(seed)
    for mark in ("targets.zarr", "model/gaussian", "ensemble.zarr/tas/c"):
        process, started = in_own_process(["run", pair / "run.toml", "-o", folder]), time.monotonic()
        while not (folder / mark).exists() and process.poll() is None and time.monotonic() - started < 120:
            time.sleep(0.01)
        time.sleep(moments.uniform(0, 0.5))
        process.kill()
        process.communicate()
        assert process.returncode == -9, f"{mark}: seed {seed}"
    outcome = subgrid("run", pair / "run.toml", "-o", folder)
    assert outcome.code == 0, f"{outcome.err}; seed {seed}"
    assert chunks(folder) == chunks(finished[0]), f"seed {seed}"


@pytest.mark.slow
def test_folds_are_whole_runs_whose_scores_stand_side_by_side(subgrid: Call, undrawn, tmp_path):
    pair = write_pair(tmp_path, scenario=False)
    config, folder = write_configuration(pair, scenario=False), tmp_path / "folds"
    assert subgrid("folds", config, "-o", folder, "--set=climate.training=all").code == 2  # what they differ in
    outcome = subgrid("folds", config, "-o", folder)
    assert outcome.code == 0, outcome.err
    assert "Folds, named by what they were learned on" in outcome.out and f"wrote {folder}/folds.md" in outcome.out
    content = json.loads((folder / "folds.json").read_text())
    assert content["folds"] == ["odd", "even"]
    for fold in content["folds"]:
        own = json.loads((folder / fold / "metrics.json").read_text())
        assert own["config"]["climate"]["training"] == f"{fold}-winters"
        scores = {(row["group"], row["metric"]): row for row in own["table"]}
        for row in content["table"]:
            assert row[f"{fold}: generated"] == scores[row["group"], row["metric"]]["generated"]
    assert len(content["table"]) == len(scores)
    lines = (folder / "folds.md").read_text().splitlines()
    assert lines[0].startswith("|  | metric | odd: generated | even: generated |")
    assert len(lines) == len(content["table"]) + 2
    before = (folder / "odd" / "metrics.json").stat().st_mtime_ns
    assert subgrid("folds", config, "-o", folder).code == 0
    assert (folder / "odd" / "metrics.json").stat().st_mtime_ns == before  # nothing is done twice


def test_status_tells_what_is_done_and_what_is_damaged(subgrid: Call, finished, tmp_path):
    folder = continued(finished, tmp_path)
    assert "8 of 8 work items done" in subgrid("status", folder / "ensemble.zarr").out
    victim = sorted((folder / "ensemble.zarr" / "tas" / "c").rglob("*"))[-1]
    victim.write_bytes(victim.read_bytes()[:-7])
    outcome = subgrid("status", folder / "ensemble.zarr", "--repair")
    assert "7 of 8 work items done" in outcome.out and "instead of" in outcome.out
