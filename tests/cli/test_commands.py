"""The command line end to end: the quick demo, resuming, and verification."""

import base64
import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest
import xarray as xr

from subgrid import load
from subgrid.experiments.downscale import page

from ..tiny import TINY, called, waves

QUICK = [
    "--set=data.n_trajectories=8",
    "--set=data.n_snapshots=6",
    "--set=evaluation.n_conditions=4",
    "--set=evaluation.n_unpaired=4",
]


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The folder of a finished quick demo and what it printed."""
    folder = tmp_path_factory.mktemp("demo") / "run"
    outcome = called("demo", "--quick", "-o", folder, *TINY, *QUICK)
    assert outcome.code == 0, outcome.err
    return folder, outcome.out


@pytest.fixture(scope="module")
def published(demo, tmp_path_factory):
    """The demo's publication, whose figures take some seconds to draw."""
    folder = tmp_path_factory.mktemp("docs") / "results" / "ks"
    outcome = called("publish", demo[0], folder)
    assert outcome.code == 0, outcome.err
    return folder


def test_demo_prints_the_table_and_the_path_of_the_report(demo):
    folder, printed = demo
    for word in (
        "raw",
        "debiased",
        "cubic",
        "generated",
        "noise floor",
        "covRMSE",
        "CRPS",
        str(folder / "report.html"),
    ):
        assert word in printed.replace("\n", " ")


def test_demo_leaves_metrics_ensemble_and_model(demo):
    folder, _ = demo
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["seed"] == 0
    assert metrics["config"]["training"]["n_steps"] == 20
    assert all(np.isfinite(v) for row in metrics["table"] for v in row.values() if isinstance(v, float))
    ensemble = xr.open_zarr(folder / "ensemble.zarr").ensemble
    assert ensemble.dims == ("condition", "member", "channel", "x")
    assert (folder / "model" / "conditional.json").exists()


def test_finished_run_is_not_computed_again(demo, subgrid):
    folder, _ = demo
    made = lambda: {  # noqa: E731
        path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"
    }
    before = made()
    metrics = (folder / "metrics.json").read_bytes()
    outcome = subgrid("demo", "--quick", "-o", folder, *TINY, *QUICK)
    assert outcome.code == 0, outcome.err
    assert "covRMSE" in outcome.out
    assert made() == before
    assert (folder / "metrics.json").read_bytes() == metrics


def test_a_new_title_makes_the_page_anew_and_leaves_the_scores(demo, subgrid, tmp_path, monkeypatch):
    folder = tmp_path / "copy"
    monkeypatch.setattr(page, "sections", lambda evidence: [])  # the same figures, which take some seconds to draw
    shutil.copytree(demo[0], folder)
    before = (folder / "metrics.json").read_bytes()
    outcome = subgrid("demo", "--quick", "-o", folder, *TINY, *QUICK, "--set=run.name=again")
    assert outcome.code == 0, outcome.err
    assert (folder / "metrics.json").read_bytes() == before
    assert "Downscaling report: again" in (folder / "report.html").read_text(encoding="utf-8")
    assert 'name = "again"' in (folder / "config.toml").read_text(encoding="utf-8")


def test_an_ensemble_that_was_removed_is_made_again_and_its_scores_are_the_same(demo, subgrid, tmp_path, monkeypatch):
    folder = tmp_path / "copy"
    monkeypatch.setattr(page, "sections", lambda evidence: [])  # they take some seconds to draw
    shutil.copytree(demo[0], folder)
    before = json.loads((folder / "metrics.json").read_text())
    for name in ("ensemble.zarr", "metrics.json"):
        path = folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    outcome = subgrid("demo", "--quick", "-o", folder, *TINY, *QUICK)
    assert outcome.code == 0, outcome.err
    after = json.loads((folder / "metrics.json").read_text())
    assert after["table"] == before["table"]
    assert after["seconds"]["train"] == before["seconds"]["train"]  # the model is that of the first call


@pytest.mark.slow
def test_a_run_that_was_killed_between_a_part_and_its_record_goes_on(demo, subgrid, tmp_path, monkeypatch):
    """Every stage, though its parts are there: it is made again over them, or goes on from its checkpoints."""
    folder = tmp_path / "copy"
    monkeypatch.setattr(page, "sections", lambda evidence: [])
    shutil.copytree(demo[0], folder)
    before = json.loads((folder / "metrics.json").read_text())
    for record in (folder / "records").glob("*.json"):
        record.write_text(json.dumps(json.loads(record.read_text()) | {"finished": False}))
    outcome = subgrid("demo", "--quick", "-o", folder, *TINY, *QUICK)
    assert outcome.code == 0, outcome.err
    assert json.loads((folder / "metrics.json").read_text())["table"] == before["table"]


@pytest.mark.slow
def test_publication_holds_numbers_configuration_and_every_figure_of_the_page(demo, published):
    run, folder = demo[0], published
    names = {path.name for path in folder.iterdir()}
    assert {"config.toml", "metrics.json", "table.md"} < names
    for figure in ("spectra_coarse.svg", "spectra_fine.svg", "rank_histogram.svg", "training_loss.svg", "case_1.svg"):
        assert (folder / figure).read_text(encoding="utf-8").rstrip().endswith("</svg>")
    assert (folder / "covariance_map_fine.png").read_bytes().startswith(b"\x89PNG")
    html = (run / "report.html").read_text(encoding="utf-8")
    assert html.count("<img") == len(names) - 3
    assert (folder / "metrics.json").read_bytes() == (run / "metrics.json").read_bytes()
    assert (folder / "config.toml").read_bytes() == (run / "config.toml").read_bytes()
    n_rows = len(json.loads((run / "metrics.json").read_text())["table"])
    assert (folder / "table.md").read_text(encoding="utf-8").count("\n") == n_rows + 2


@pytest.mark.slow
def test_publishing_again_replaces_the_publication_and_nothing_else(demo, published, subgrid, tmp_path):
    run, folder = demo[0], tmp_path / "ks"
    shutil.copytree(published, folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    (folder / "old_figure.svg").write_text("<svg/>")
    refused = subgrid("publish", run, folder)
    assert refused.code == 2 and "exists already" in refused.complaint
    assert subgrid("publish", run, folder, "--overwrite").code == 0
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before  # the same bits, the old figure gone
    (folder / "notes.txt").write_text("mine")
    refused = subgrid("publish", run, folder, "--overwrite")
    assert refused.code == 2 and "holds notes.txt" in refused.complaint
    assert {path.name for path in folder.iterdir()} == {*before, "notes.txt"}


def test_a_run_that_is_not_finished_is_not_published(subgrid, tmp_path):
    outcome = subgrid("publish", tmp_path, tmp_path / "out")
    assert outcome.code == 2 and "holds no finished run" in outcome.complaint
    (tmp_path / "config.toml").write_text("[data]\nn_snapshots = 7\n")
    outcome = subgrid("publish", tmp_path, tmp_path / "out")
    assert outcome.code == 2 and "to make: simulate fine, simulate coarse, debias, train" in outcome.complaint
    assert not (tmp_path / "out").exists()


OWN = [
    *TINY,
    "--set=data.source=files",
    "--set=coarsening.factor=4",
    "--set=debias.method=quantile-mapping",
    "--set=evaluation.n_shifts=1",
    "--set=evaluation.n_conditions=4",
    "--set=evaluation.n_unpaired=6",
]


def own_files(archives, folder) -> Path:
    """A configuration for the archives' files."""
    config = folder / "own.toml"
    config.write_text(f"[data]\nfine = '{archives / 'fine.nc'}'\ncoarse = '{archives / 'coarse.nc'}'\n")
    return config


def own_run(archives, folder) -> Path:
    """The folder of a run on the archives, its held-out fields not shifted, so that they can be found in the files."""
    no_shifts = "--set=data.translation_invariant=false"
    outcome = called("run", own_files(archives, folder), "-o", folder / "run", *OWN, no_shifts)
    assert outcome.code == 0, outcome.err
    return folder / "run"


@pytest.mark.slow
def test_run_on_own_files_keeps_names_units_and_coordinates(archives, subgrid, tmp_path):
    run = own_run(archives, tmp_path)
    fine, coarse = (xr.open_dataset(archives / f"{name}.nc") for name in ("fine", "coarse"))
    out = {name: xr.open_zarr(run / f"{name}.zarr") for name in ("ensemble", "perfect_model", "debiased")}
    for name in ("ensemble", "perfect_model"):
        assert out[name].attrs["variable"] == "u" and out[name].attrs["Conventions"].startswith("CF-")
        assert out[name].ensemble.attrs["units"] == out[name].target.attrs["units"] == "m s-1"
        np.testing.assert_allclose(out[name].x, fine.x)
        np.testing.assert_allclose(out[name].x_coarse, coarse.x)
    # The files themselves say which field is which: by its time.
    truth, raw = out["perfect_model"].truth[:, 0], out["debiased"].raw[:, 0]
    np.testing.assert_allclose(truth, fine.u.sel(time=truth.time.values), rtol=1e-6)
    np.testing.assert_allclose(raw, coarse.u.sel(time=raw.time.values), rtol=1e-6)
    debiased = out["debiased"].debiased[:, 0].swap_dims(condition="time").sel(time=out["ensemble"].time.values)
    np.testing.assert_allclose(out["ensemble"].target[:, 0], debiased)
    assert "m s-1" in base64_text(run / "report.html")
    scored = subgrid("verify", run / "ensemble.zarr", "-r", archives / "fine.nc", "-o", tmp_path / "m.json")
    assert scored.code == 0, scored.err


def base64_text(page: Path) -> str:
    """The drawings of a page, as text."""
    found = re.findall(r"data:image/svg\+xml;base64,([^\"]+)", page.read_text(encoding="utf-8"))
    return "".join(base64.b64decode(drawing).decode() for drawing in found)


def test_debiasing_that_cannot_be_is_found_out_before_training(archives, subgrid, tmp_path):
    arguments = (own_files(archives, tmp_path), "-o", tmp_path / "run", *OWN, "--set=debias.n_quantiles=500")
    outcome = subgrid("run", *arguments)
    assert outcome.code == 2 and "500 quantiles need as many samples" in outcome.complaint
    assert not (tmp_path / "run" / "model").exists()


COMMANDS = (
    "inspect fit downscale verify status demo run folds debias samplers init explain simulate publish"  # in this order
)


def test_help_names_every_command_and_each_has_its_own(subgrid):
    text = subgrid("--help").out
    assert re.findall(r"^│ (\w+) ", text.partition("Commands")[2], re.MULTILINE) == COMMANDS.split()
    for command in COMMANDS.split():
        outcome = subgrid(command, "--help")
        assert outcome.code == 0 and outcome.err == ""
        assert re.search(rf"Usage: .*{command} ", outcome.out) and "--help" in outcome.out
    said = " ".join(subgrid("run", "--help").out.split())
    assert "[climate]:" in said and "[data]:" in said  # every kind of experiment, by the table that names it


def test_simulate_writes_both_archives_with_their_coordinates(subgrid, tmp_path):
    outcome = subgrid("simulate", "-o", tmp_path / "ks", "--set=data.n_trajectories=2", "--set=data.n_snapshots=2")
    assert outcome.code == 0, outcome.err
    fine, coarse = xr.open_zarr(tmp_path / "ks" / "fine.zarr"), xr.open_zarr(tmp_path / "ks" / "coarse.zarr")
    assert dict(fine.u.sizes) == {"trajectory": 2, "time": 2, "x": 192}
    assert dict(coarse.u.sizes) == {"trajectory": 2, "time": 2, "x": 24}
    np.testing.assert_allclose(fine.x[::8], coarse.x)
    assert fine.attrs["Conventions"].startswith("CF-")
    assert "[run]" in fine.attrs["config"]


def test_verify_scores_the_reference_itself_at_its_floor(subgrid, tmp_path):
    first, second = waves(200, 32, seed=5), waves(200, 32, seed=6)
    second.rename(u="ensemble").expand_dims(member=1).to_zarr(tmp_path / "e.zarr")
    first.to_netcdf(tmp_path / "fine.nc")
    outcome = subgrid("verify", tmp_path / "e.zarr", "-r", tmp_path / "fine.nc", "-o", tmp_path / "m.json")
    assert outcome.code == 0, outcome.err
    rows = {row["metric"]: row for row in json.loads((tmp_path / "m.json").read_text())["rows"]}
    # Same distribution, other draws: W1 of 200 against 100 samples is of the size of its floor, 100 against 100.
    assert 0.3 < rows["W1"]["value"] / rows["W1"]["floor"] < 2


@pytest.mark.slow
def test_interrupted_training_says_how_to_resume_and_resumes_to_the_same_bits(archives, tmp_path):
    settings = ("prior=network", "debias=none", "channels=[16]", "n_blocks=1", "batch_size=8", "n_steps=2000")
    command = lambda name: [  # noqa: E731
        "fit", str(archives / "fine.nc"), str(archives / "coarse.nc"), "-o", str(tmp_path / name),
        *(f"--set={setting}" for setting in settings),
    ]  # fmt: skip
    assert called(*command("whole")).code == 0
    installed = str(Path(sys.executable).parent / "subgrid")
    process = subprocess.Popen([installed, *command("cut")], stderr=subprocess.PIPE, text=True)
    log = tmp_path / "cut" / "model" / "training.jsonl"
    while not (log.exists() and log.read_text().count("\n") > 2) and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(2)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130, errors
    assert "the same call goes on from there" in errors
    assert called(*command("cut")).code == 0
    whole, cut = (jax.tree.leaves(load(tmp_path / name).prior) for name in ("whole", "cut"))
    assert all(np.array_equal(a, b) for a, b in zip(whole, cut, strict=True))
