"""Names of methods, what they need, and the published figures beside them."""

from typing import get_args

from subgrid.experiments.navier_stokes.config import ComparisonTable, MethodName, NavierStokesConfig
from subgrid.experiments.navier_stokes.methods import debiasers_of, method_of, models_of, upsamplers_of
from subgrid.experiments.navier_stokes.published import DEBIASED, METHODS, RAW
from subgrid.experiments.navier_stokes.table import score_table

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


def test_published_figures_have_the_orderings_that_the_paper_tells():
    ours = METHODS["entropic-ot+guided"]
    for factor in (8, 16):
        assert all(DEBIASED[factor][name] < RAW[factor][name] for name in RAW[factor])
        others = [rows[factor] for name, rows in METHODS.items() if name != "entropic-ot+guided"]
        assert all(ours[factor][metric] <= row[metric] for row in others for metric in ("MELRu", "MELRw"))
        assert max(METHODS, key=lambda name: METHODS[name][factor]["KLD"]) == "none+guided"
    assert ours[16]["variability"] > ours[8]["variability"]
