"""Kolmogorov flow through the command line at a tiny size: a table of methods that grows, the page, refusals."""

import json
from typing import get_args

import numpy as np
import pytest

from subgrid.experiments.navier_stokes.config import MethodName

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
methods = ["entropic-ot+cubic"]

[debias]
n_samples = 128
n_steps = 20
n_bridge_steps = 20
batch_size = 8
channels = [4]
n_noising_steps = 20
n_noising_levels = 2
n_images = 512

[prior]
channels = [8]
patch = 4
n_blocks = 1
n_steps = 20
n_conditional_steps = 20
batch_size = 4

[baselines]
n_transformer_steps = 20
transformer_width = 8
transformer_layers = 1
n_gan_steps = 20
gan_channels = 4
n_alignment_steps = 20
alignment_filters = 4
alignment_levels = 1
batch_size = 2

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
ALL = f"comparison.methods={json.dumps(get_args(MethodName))}"
GROWN = 'comparison.methods=["entropic-ot+cubic", "bcsd"]'


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "flow.toml"
    path.write_text(CONFIG)
    return path


def rows_of(folder):
    rows = json.loads((folder / "metrics.json").read_text())["table"]
    return {(row["group"], row["metric"]): row for row in rows}


def test_a_table_of_methods_grows_and_keeps_what_is_there(subgrid, config, tmp_path):
    folder = tmp_path / "run"
    outcome = subgrid("run", config, "-o", folder)
    assert outcome.code == 0, outcome.err
    assert "noise floor" in outcome.out and "published 8x" in outcome.out
    first = (folder / "unpaired" / "2.entropic-ot+cubic.npz").stat().st_mtime_ns
    found = rows_of(folder)
    assert found["2x, fine fields", "variability"]["entropic-ot+cubic"] == 0
    assert found["2x, perfect model", "constraint RMSE"]["cubic"] < 1e-6  # it passes through the observed points
    assert found["2x, coarse fields", "nearest"]["floor"] > 0 and found["2x, coarse fields", "KLD"]["raw"] > 0
    assert 0 < found["2x, coarse fields", "source"]["entropic-ot"] < 2

    more = subgrid("run", config, "-o", folder, "--set", GROWN)
    assert more.code == 0, more.err
    assert (folder / "unpaired" / "2.entropic-ot+cubic.npz").stat().st_mtime_ns == first
    assert rows_of(folder)["2x, fine fields", "MELRu"]["bcsd"] >= 0
    assert "Kolmogorov flow: tiny" in (folder / "report.html").read_text()

    changed = subgrid("run", config, "-o", folder, "--set", "debias.epsilon=0.5")
    assert changed.code == 2 and "debiased was made without debias.epsilon, not with 0.5" in changed.complaint


def test_keys_of_methods_that_are_not_asked_for_do_nothing(subgrid, config, tmp_path):
    given = "debias.noising_level=90.0", "prior.channels=[8, 8, 8, 8]", "baselines.transformer_patch=3"
    options = [part for each in given for part in ("--set", each)]
    assert subgrid("run", config, "-o", tmp_path / "run", "--dry-run", *options).code == 0


def test_methods_from_raw_fields_need_no_debiaser(subgrid, config, tmp_path):
    outcome = subgrid("run", config, "-o", tmp_path / "run", "--set", 'comparison.methods=["bcsd"]')
    assert outcome.code == 0, outcome.err
    assert rows_of(tmp_path / "run")["2x, fine fields", "KLD"]["bcsd"] > 0


@pytest.mark.slow  # sixteen methods, eight trainings
def test_every_method_goes_the_whole_way(subgrid, config, tmp_path):
    folder = tmp_path / "run"
    outcome = subgrid("run", config, "-o", folder, "--set", ALL, "--set", "calibration.grids=[16]")
    assert outcome.code == 0, outcome.err
    found = rows_of(folder)
    assert {*get_args(MethodName)} - {"entropic-ot+particles"} <= {
        *found["2x, fine fields", "MELRu"]
    }  # too few of those
    variability = found["2x, fine fields", "variability"]
    assert variability["none+guided"] > 0 == variability["cycle-gan"] == variability["bcsd"]
    perfect = found["2x, perfect model", "constraint RMSE"]
    assert perfect["cubic"] < 1e-6 and perfect["guided"] < 0.1  # three noise levels end well above none
    assert np.isfinite(found["2x, perfect model", "spread/skill"]["particles"])
    assert (folder / "calibration.md").exists()
    assert "One draw, from noise to a field" in (folder / "report.html").read_text()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("navier_stokes.factors=[4]", "shift by 1/8 of it, which needs a multiple of 8"),
        ("navier_stokes.factors=[3]", "factors: 3 leaves"),
        ("navier_stokes.n_coarse=12", "n_coarse: wavenumber must be between 1 and 3"),
        ("navier_stokes.interval=0.13", "navier_stokes.interval = 0.13 must be a multiple of navier_stokes.time_step"),
        ('comparison.methods=["entropic-ot+guide"]', "'entropic-ot+guide'"),
        ("prior.attention_levels=[1]", "prior.attention_levels names level 1, but prior.channels has 0 to 0"),
        ("prior.channels=[8, 8, 8, 8]", "prior.channels: with prior.patch = 4 its levels need"),
        ("baselines.alignment_levels=4", "baselines.alignment_levels: with a patch of 4"),
        ("debias.noising_level=90.0", "the models are trained up to 80"),
        ("debias.noising_level=0.001", "and down to 0.002"),
        ("debias.n_images=64", "the covariance of 8 x 8 points needs more than 64 images"),
        ("debias.channels=[4, 4, 4, 4, 4]", "its 5 levels need a number of points that 16 divides, and 8 are"),
        ("debias.noising_channels=[4, 4, 4, 4, 4]", "its 5 levels need a number of points that 16 divides"),
        ("debias.network_points=1", "(patches of 8) its 2 levels need a number of points that 16 divides"),
        ("baselines.transformer_patch=3", "transformer_patch = 3 does not divide the 8 observed points"),
        ("calibration.grids=[12]", "12 points are no multiple of 8"),
        ("calibration.courant=0.8", "courant"),
        ("navier_stokes.time_step=0.5", "is unstable on 16 points"),
    ],
)
def test_what_does_not_go_together_is_refused(subgrid, config, tmp_path, given, said):
    asked = ALL if "methods" not in given else given
    outcome = subgrid("run", config, "-o", tmp_path / "run", "--set", asked, "--set", given)
    assert outcome.code != 0 and said in outcome.complaint
