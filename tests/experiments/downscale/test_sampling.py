"""Runs with every way to sample p(x | C′x = y): what they leave, tell and resume."""

import html
import json
import re

import numpy as np
import pytest
import xarray as xr

from subgrid.downscaling.evaluation import debiasing_error
from subgrid.experiments.downscale import EXPERIMENT, sampling, stages
from subgrid.runs.experiment import load_config

from ...cases import few
from .opening import SETTINGS, files, finished

METHODS = {"conditional-diffusion": 5, "conditional-flow": 3, "diffusion": 8}
"""And the evaluations of each."""
pytestmark = pytest.mark.filterwarnings("ignore:.*coarse fields lie beyond")  # 32 training fields say little


def settings_of(archives, method):
    own = [f"downscaling.method={method}", f"sampling.n_levels={METHODS[method]}"]
    if method == "conditional-flow":
        own.append("downscaling.jitter=debiaser")
    return [*SETTINGS, *files(archives), *own]


@pytest.fixture(scope="module", params=few(sorted(METHODS, key=METHODS.get)))
def run(request, archives, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    finished(folder, settings_of(archives, request.param))
    return folder, request.param


@pytest.mark.slow
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


def test_the_report_names_the_model_its_size_and_the_time_of_training_and_of_a_draw(run):
    folder, method = run
    page = html.unescape((folder / "report.html").read_text(encoding="utf-8"))
    kinds = {
        "conditional-diffusion": "components given C'x, refined by a UNet",
        "conditional-flow": "components given C'x, refined by a UNet",
        "diffusion": "unconditional diffusion: Gaussian of",
    }
    assert kinds[method] in page
    # Weights of convolutions of the first level alone: more than ten times its width.
    size = int(re.search(r"a UNet \([\d, ]+\) of ([\d,]+) parameters, trained in", page).group(1).replace(",", ""))
    assert size > 80
    draws = [xr.open_zarr(folder / f"{name}.zarr").sizes for name in ("ensemble", "perfect_model")]
    n = sum(sizes["condition"] * sizes["member"] for sizes in draws)
    assert re.search(rf"; training [\d.]+ s; [\d.]+ m?s a draw \({n} draws, with compilation and writing\)", page)


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
    return load_config(EXPERIMENT, folder / "config.toml").data.fine


class Crash(Exception):
    pass


@pytest.mark.slow  # that what is removed is made again to the same bits is quick in tests of cli and runs
def test_a_run_killed_between_any_two_stages_ends_with_the_same_bits(run, archives, tmp_path, monkeypatch):
    folder, method = run

    def crash(*_, **__):
        raise Crash

    trained = tmp_path / "run" / "model" / "training.jsonl"
    steps = [(stages, "train"), (stages, "downscale"), (sampling, "_inputs_outside"), (stages, "downscale_perfect")]
    written, settings = set(), settings_of(archives, method)
    for module, name in [*steps, (stages, "score"), (stages, "page")]:
        with monkeypatch.context() as patch:
            patch.setattr(module, name, crash)
            with pytest.raises(Crash):
                finished(tmp_path / "run", settings)
        written |= {trained.stat().st_mtime_ns} if trained.exists() else set()
    assert len(written) == 1  # trained once
    finished(tmp_path / "run", settings)
    for name in ("debiased", "ensemble", "perfect_model"):
        again, whole = (xr.open_zarr(f / f"{name}.zarr").drop_attrs() for f in (tmp_path / "run", folder))
        xr.testing.assert_identical(again.load(), whole.load())
