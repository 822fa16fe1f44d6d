"""Names of methods, what they need, and the published figures beside them."""

from typing import get_args

import pytest

from subgrid.downscaling.prior.training import TrainingSettings
from subgrid.experiments.navier_stokes import baselines
from subgrid.experiments.navier_stokes.config import (
    ComparisonTable,
    DebiasTable,
    FlowTable,
    MethodName,
    NavierStokesConfig,
)
from subgrid.experiments.navier_stokes.methods import (
    ModelName,
    debiasers_of,
    method_of,
    models_of,
    short_memory,
    upsamplers_of,
)
from subgrid.experiments.navier_stokes.published import DEBIASED, METHODS, RAW, published_factor
from subgrid.experiments.navier_stokes.run import NavierStokesRun
from subgrid.experiments.navier_stokes.table import score_table
from subgrid.training.fitting import TrainingDiverged

ALL = NavierStokesConfig(comparison=ComparisonTable(methods=get_args(MethodName)))


def test_a_name_is_a_debiaser_and_an_upsampler():
    method = method_of("entropic-ot+conditional-flow")
    assert (method.debiaser, method.upsampler, method.is_whole) == ("entropic-ot", "conditional-flow", False)
    assert method_of("bcsd").is_whole and method_of("bcsd").debiaser == "none"


def test_each_model_is_trained_once_and_the_prior_for_all_factors():
    names = [model.folder for model in models_of(ALL)]
    assert names[0] == "models/prior" and len(names) == len(set(names)) == 1 + 2 * 6
    only = NavierStokesConfig(comparison=ComparisonTable(methods=("entropic-ot+cubic", "bcsd")))
    assert models_of(only) == [] and debiasers_of(only) == ["entropic-ot"] and upsamplers_of(only) == ["cubic"]


def test_published_rows_stand_beside_ours_and_the_floor_is_last():
    found = {"4x, fine fields": {"entropic-ot+guided": {"MELRu": 0.1}, "floor": {"MELRu": 0.02}}}
    table = score_table(found, ALL)
    lines = table.lines_of("4x, fine fields")
    assert lines[1][0] == "entropic-ot+guided" and lines[-1] == ["noise floor", "0.02"]
    assert ["cycle-gan, published 8x", "0.08"] in lines


@pytest.mark.parametrize(("factors", "beside"), [((4, 8), {4: 8, 8: 16}), ((8,), {8: 16}), ((2, 4), {2: 8, 4: 8})])
def test_what_a_factor_stands_beside_does_not_depend_on_others(factors, beside):
    config = NavierStokesConfig(navier_stokes=FlowTable(factors=factors))
    assert {factor: published_factor(config, factor) for factor in factors} == beside


@pytest.mark.parametrize(("points", "patch"), [(4, 1), (8, 1), (16, 2), (28, 2), (32, 4)])
def test_patches_of_coarse_grids_divide_them(points, patch):
    assert DebiasTable().patch(points) == patch


def test_published_figures_have_the_orderings_that_the_paper_tells():
    ours = METHODS["entropic-ot+guided"]
    for factor in (8, 16):
        assert all(DEBIASED[factor][name] < RAW[factor][name] for name in RAW[factor])
        others = [rows[factor] for name, rows in METHODS.items() if name != "entropic-ot+guided"]
        assert all(ours[factor][metric] <= row[metric] for row in others for metric in ("MELRu", "MELRw"))
        assert max(METHODS, key=lambda name: METHODS[name][factor]["KLD"]) == "none+guided"
    assert ours[16]["variability"] > ours[8]["variability"]


@pytest.mark.parametrize("n_steps", [200, 600, 2000])
def test_averaged_weights_of_a_short_training_hold_little_of_its_beginning(n_steps):
    decay = short_memory(n_steps)
    of_first_half = (decay ** (n_steps / 2) - decay**n_steps) / (1 - decay**n_steps)
    assert of_first_half < 0.01


@pytest.mark.parametrize("kept", [True, False])
def test_a_baseline_that_diverges_does_not_block_the_others_if_it_left_a_model(tmp_path, monkeypatch, kept):
    folder = tmp_path / "models/cycle-gan.4"
    folder.mkdir(parents=True)
    if kept:
        (folder / baselines.MODEL).write_text("{}")

    def diverges(*_):
        raise TrainingDiverged("the loss is nan at step 40.")

    monkeypatch.setattr(baselines, "_train", diverges)
    run, name = NavierStokesRun(ALL, tmp_path), ModelName("cycle-gan", 4)
    train = lambda: baselines.train_baseline(run, name, TrainingSettings(), {})  # noqa: E731
    if kept:
        train()
    else:
        with pytest.raises(TrainingDiverged, match="step 40"):
            train()
