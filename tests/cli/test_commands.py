"""The command line end to end: the quick demo, resuming, and verification."""

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from .conftest import TINY, waves

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
    command = [str(Path(sys.executable).parent / "subgrid"), "demo", "--quick", "-o", str(folder), *TINY, *QUICK]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


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
    assert (folder / "model" / "settings.json").exists()


def test_finished_run_is_not_computed_again(demo, subgrid):
    folder, _ = demo
    before = {path: path.stat().st_mtime_ns for path in folder.glob("*.zarr")}
    outcome = subgrid("demo", "--quick", "-o", folder, *TINY, *QUICK)
    assert outcome.code == 0, outcome.err
    assert {path: path.stat().st_mtime_ns for path in folder.glob("*.zarr")} == before


def test_help_names_every_command(subgrid):
    text = subgrid("--help").out
    for command in ("simulate", "train", "downscale", "verify", "run", "demo"):
        assert re.search(rf"\b{command}\b", text)


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
    rows = {row["metric"]: row for row in json.loads((tmp_path / "m.json").read_text())["table"]}
    # Same law, other draws: W1 of 200 against 100 samples is of the size of its floor, 100 against 100.
    assert 0.3 < rows["W1"]["generated"] / rows["W1"]["floor"] < 2


def test_interrupted_training_says_how_to_resume_and_resumes_to_the_same_bits(archives, tmp_path):
    def command(folder):
        longer = [option for option in TINY if "n_steps" not in option] + ["--set=training.n_steps=2000"]
        return [
            str(Path(sys.executable).parent / "subgrid"),
            "train",
            str(archives / "fine.nc"),
            "-o",
            str(folder),
            *longer,
        ]

    subprocess.run(command(tmp_path / "whole"), check=True, capture_output=True, timeout=300)
    process = subprocess.Popen(command(tmp_path / "cut"), stderr=subprocess.PIPE, text=True)
    log = tmp_path / "cut" / "training.jsonl"
    while not (log.exists() and log.read_text().count("\n") > 2) and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(2)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130, errors
    assert "run the same command again to resume" in errors
    subprocess.run(command(tmp_path / "cut"), check=True, capture_output=True, timeout=300)
    import jax

    from subgrid.downscaling.prior import load_prior

    whole, cut = (jax.tree.leaves(load_prior(tmp_path / name).denoiser) for name in ("whole", "cut"))
    assert all(np.array_equal(a, b) for a, b in zip(whole, cut, strict=True))
