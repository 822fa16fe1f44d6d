"""Stages that are trained, on files, at a tiny size: what they leave, and what of it another configuration may use."""

import json
import re

import numpy as np
import pytest
import xarray as xr

from subgrid.data.store import OutputExists

from .opening import files, finished, planned

pytestmark = pytest.mark.slow

SETTINGS = [
    "coarsening.factor=4",
    "debias.method=rectified-flow",
    "debias.n_steps=10",
    "debias.batch_size=8",
    "debias.channels=[8]",
    "debias.n_flow_steps=2",
    "debias.n_quantiles=10",
    "downscaling.method=bridge",
    "downscaling.n_steps=10",
    "downscaling.n_iterations=2",
    "downscaling.n_sampling_steps=4",
    "prior.channels=[8]",
    "prior.n_blocks=1",
    "training.batch_size=8",
    "sampling.n_members=3",
    "sampling.chunk=12",
    "evaluation.n_conditions=4",
    "evaluation.n_unpaired=6",
    "evaluation.n_shifts=1",
]


@pytest.fixture(scope="module")
def run(archives, tmp_path_factory):
    """Debiasing by a rectified flow, then downscaling by a bridge."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    finished(folder, [*SETTINGS, *files(archives)])
    return folder


def test_a_trained_debiaser_leaves_its_checkpoints_and_its_summary(run):
    debiased = xr.open_zarr(run / "debiased.zarr")
    assert np.isfinite(debiased.debiased.values).all() and not np.allclose(debiased.debiased, debiased.raw)
    assert [row["cost"] > 0 for row in json.loads(debiased.attrs["debias_summary"])["rounds"]] == [True, True]
    assert {path.name for path in (run / "debias").iterdir()} == {"fit.json", "round_0", "round_1"}


def test_the_bridge_takes_the_place_of_the_prior(run):
    for name in ("ensemble", "perfect_model"):
        ensemble = xr.open_zarr(run / f"{name}.zarr").ensemble
        assert ensemble.sizes["x"] == 32 and np.isfinite(ensemble.values).all()
    lines = (run / "model" / "training.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [10, 20]


def test_the_report_tells_what_was_fitted(run):
    page = (run / "report.html").read_text(encoding="utf-8")
    assert re.search(
        r"from coarsened fields, σ = 0.3; a UNet \(8,\) of [1-9][\d,]* parameters, 2 iterations of 10 steps of 8", page
    )
    assert "4 steps of the bridge&#39;s diffusion" in page or "4 steps of the bridge's diffusion" in page
    assert "Rectified flow, in squared standard deviations a value: curvature of the paths" in page
    assert "moment-matching</" not in page


def test_what_is_finished_is_not_used_for_other_settings(archives, run):
    settings = [*SETTINGS, *files(archives)]
    with pytest.raises(OutputExists, match=r"debiased.zarr was made with debias.n_steps = 10, not 20"):
        planned(run, [*settings, "debias.n_steps=20"])
    with pytest.raises(OutputExists, match=r"model was made with downscaling.method = 'bridge', not 'diffusion'"):
        planned(run, [*settings, "downscaling.method=diffusion"])
