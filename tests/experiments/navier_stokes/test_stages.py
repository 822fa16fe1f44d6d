"""Kolmogorov flow through the command line at a tiny size: a table of methods that grows, the page, refusals."""

import json

import numpy as np
import pytest

CONFIG = """
[run]
name = "tiny"

[navier_stokes]
n_fine = 16
n_coarse = 16
factors = [2]
time_step = 0.05
coarse_time_step = 0.05
n_trajectories = 6
n_snapshots = 6
interval = 0.5
spin_up = 0.5

[comparison]
methods = ["entropic-ot+guided", "none+guided", "entropic-ot+cubic"]

[debias]
n_samples = 128

[prior]
channels = [8]
n_blocks = 1
n_steps = 20
n_conditional_steps = 20
batch_size = 4

[sampling]
n_levels = 3
n_conditional_levels = 3
n_particles = 2

[evaluation]
n_conditions = 8
n_members = 3
n_unpaired = 8
n_images = 2
"""
GROWN = 'comparison.methods=["entropic-ot+guided", "none+guided", "entropic-ot+cubic", "bcsd"]'


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "flow.toml"
    path.write_text(CONFIG)
    return path


def test_a_table_of_methods_grows_and_keeps_what_is_there(subgrid, config, tmp_path):
    folder = tmp_path / "run"
    outcome = subgrid("run", config, "-o", folder)
    assert outcome.code == 0, outcome.err
    assert "noise floor" in outcome.out and "published 8x" in outcome.out
    first = (folder / "unpaired" / "2.none+guided.npz").stat().st_mtime_ns
    rows = json.loads((folder / "metrics.json").read_text())["table"]
    by = {(row["group"], row["metric"]): row for row in rows}
    fine, perfect = by["2x, fine fields", "variability"], by["2x, perfect model", "constraint RMSE"]
    assert fine["entropic-ot+cubic"] == 0 < fine["none+guided"]
    assert perfect["guided"] < 1e-3 and perfect["cubic"] < 1e-3  # both pass through the observed points
    assert np.isfinite(by["2x, perfect model", "spread/skill"]["guided"])
    page = (folder / "report.html").read_text()
    assert "Kolmogorov flow: tiny" in page and "One draw, from noise to a field" in page

    more = subgrid("run", config, "-o", folder, "--set", GROWN)
    assert more.code == 0, more.err
    assert (folder / "unpaired" / "2.none+guided.npz").stat().st_mtime_ns == first
    rows = json.loads((folder / "metrics.json").read_text())["table"]
    assert any(row["metric"] == "MELRu" and row.get("bcsd") is not None for row in rows)

    changed = subgrid("run", config, "-o", folder, "--set", "prior.channels=[4]")
    assert changed.code == 2 and "prior.channels" in changed.complaint


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("navier_stokes.factors=[4]", "shift by 1/8 of it, which needs a multiple of 8"),
        ("navier_stokes.factors=[3]", "factors: 3 leaves"),
        ("navier_stokes.n_coarse=12", "n_coarse: wavenumber must be between 1 and 3"),
        ("navier_stokes.interval=0.13", "navier_stokes.interval = 0.13 must be a multiple of navier_stokes.time_step"),
        ('comparison.methods=["entropic-ot+guide"]', "'entropic-ot+guide'"),
        ("navier_stokes.time_step=0.5", "is unstable on 16 points"),
    ],
)
def test_what_does_not_go_together_is_refused(subgrid, config, tmp_path, given, said):
    outcome = subgrid("run", config, "-o", tmp_path / "run", "--set", given)
    assert outcome.code != 0 and said in outcome.complaint
