"""`run`, `train` and `downscale` with every way to sample p(x | C′x = y): what they leave, tell and resume."""

import json

import numpy as np
import pytest
import xarray as xr

from subgrid.cli import reporting, scoring, stages
from subgrid.cli.config import load_config
from subgrid.cli.experiment import open_experiment
from subgrid.downscaling.evaluation import debiasing_error

from .conftest import TINY, called

METHODS = {"conditional-diffusion": 5, "conditional-flow": 3, "diffusion": 8}
"""And the evaluations of each."""
SETTINGS = [
    "data.source=files",
    "data.translation_invariant=false",
    "coarsening.factor=4",
    "coarsening.kind=block-mean",
    "debias.method=gaussian",
    "prior.channels=[8]",
    "prior.n_blocks=1",
    "training.n_steps=20",
    "training.steps_per_dispatch=10",
    "training.batch_size=8",
    "sampling.guidance=gaussian-gain",
    "sampling.n_members=3",
    "evaluation.n_conditions=4",
    "evaluation.n_unpaired=6",
    "evaluation.n_shifts=1",
]
pytestmark = pytest.mark.filterwarnings("ignore:.*coarse fields lie beyond")  # 32 training fields say little


def opened(archives, folder, method):
    files = [f"data.{name}={archives / name}.nc" for name in ("fine", "coarse")]
    own = [f"downscaling.method={method}", f"sampling.n_levels={METHODS[method]}"]
    if method == "conditional-flow":
        own.append("downscaling.jitter=debiaser")
    return open_experiment(load_config(None, [*SETTINGS, *files, *own]), folder)


GUIDED_IS_SLOW = [pytest.param(name, marks=pytest.mark.slow) if name == "diffusion" else name for name in METHODS]
"""The same stages with the guided prior, which test_particles_run.py runs."""


@pytest.fixture(scope="module", params=GUIDED_IS_SLOW)
def run(request, archives, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    stages.run_all(opened(archives, folder, request.param))
    return folder, request.param


def test_members_keep_to_their_coarse_field_and_differ(run):
    folder, method = run
    for name in ("ensemble", "perfect_model"):
        store = xr.open_zarr(folder / f"{name}.zarr").load()
        off = store.ensemble.values.reshape(*store.ensemble.shape[:3], 8, 4).mean(-1) - store.target.values[:, None]
        # To rounding, or within the jitter, which is some tenth of the field.
        assert np.abs(off).max() < (2.0 if method == "conditional-flow" else 1e-4)
        assert store.ensemble.std("member").mean() > 1e-2


def test_the_store_tells_where_each_input_lies(run):
    store = xr.open_zarr(run[0] / "ensemble.zarr").load()
    assert store.input_quantile.dims == store.input_ratio.dims == ("condition",)
    assert ((store.input_quantile >= 0) & (store.input_quantile <= 1)).all() and (store.input_ratio > 0).all()


def test_metrics_and_report_tell_method_evaluations_and_inputs(run):
    folder, method = run
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["sampling"] == {"method": method, "evaluations": METHODS[method]}
    store = xr.open_zarr(folder / "ensemble.zarr")
    beyond, ratio = float((store.input_quantile > 0.99).mean()), float(store.input_ratio.max())
    assert metrics["inputs"] == pytest.approx({"beyond": beyond, "largest_ratio": ratio})
    page = (folder / "report.html").read_text(encoding="utf-8")
    words = {
        "conditional-diffusion": ("Conditional diffusion", "gaussian-sde, 5 evaluations a draw"),
        "conditional-flow": ("Conditional flow", "3 evaluations a draw"),
        "diffusion": ("Prior", "gaussian-sde, 8 noise levels, gaussian-gain"),
    }[method]
    for word in (*words, f"{beyond:.1%} of debiased fields beyond the 99 % quantile", f"at {ratio:.2g} times"):
        assert word in page


def test_the_jitter_of_the_debiaser_is_what_debiasing_leaves(run):
    folder, method = run
    if method != "conditional-flow":
        pytest.skip("of the run that asks for it")
    fine = xr.open_dataarray(opened_fine(folder)).values[:32].reshape(32, 1, 8, 4).mean(-1)
    expected = debiasing_error(xr.open_zarr(folder / "debiased.zarr").debiased.values, fine)
    assert expected > 0
    stored = json.loads((folder / "model" / "conditional.json").read_text())["jitter"]
    assert stored == pytest.approx(expected, rel=1e-5)


def opened_fine(folder):
    return load_config(folder / "config.toml").data.fine


class Crash(Exception):
    pass


def test_a_run_killed_between_any_two_stages_ends_with_the_same_bits(run, archives, tmp_path, monkeypatch):
    folder, method = run

    def crash(*_, **__):
        raise Crash

    trained = tmp_path / "run" / "model" / "training.jsonl"
    steps = [(stages, "train"), (stages, "downscale"), (stages, "_inputs_outside"), (scoring, "verify")]
    written = set()
    for module, name in [*steps, (reporting, "report")]:
        experiment = opened(archives, tmp_path / "run", method)
        with monkeypatch.context() as patch:
            patch.setattr(module, name, crash)
            with pytest.raises(Crash):
                stages.run_all(experiment)
        written |= {trained.stat().st_mtime_ns} if trained.exists() else set()
    assert len(written) == 1  # trained once
    stages.run_all(opened(archives, tmp_path / "run", method))
    for name in ("debiased", "ensemble", "perfect_model"):
        again, whole = (xr.open_zarr(f / f"{name}.zarr").drop_attrs() for f in (tmp_path / "run", folder))
        xr.testing.assert_identical(again.load(), whole.load())


@pytest.mark.parametrize("method", GUIDED_IS_SLOW)
def test_train_and_downscale_on_single_files(method, archives, tmp_path):
    own = [f"--set=downscaling.method={method}", "--set=coarsening.factor=4", "--set=training.n_steps=10"]
    made = called("train", archives / "fine.nc", "-o", tmp_path / "model", *TINY, *own)
    assert made.code == 0, made.err
    made = called("downscale", archives / "coarse.nc", "-m", tmp_path / "model", "-o", tmp_path / "out.zarr")
    assert made.code == 0, made.err
    store, coarse = xr.open_zarr(tmp_path / "out.zarr").load(), xr.open_dataset(archives / "coarse.nc")
    assert store.ensemble.dims == ("time", "member", "x") and store.ensemble.shape == (64, 3, 32)
    kept = store.ensemble.values[..., ::4] - coarse.u.values[:, None]
    # Guided, to what four levels of a network of ten steps allow; a conditional model by construction.
    assert np.abs(kept).max() < (1e-2 if method == "diffusion" else 1e-4)
