"""The figure of sampler errors: every method has a curve, whatever it is called and on whatever grid."""

import pytest

from subgrid.experiments.sampler_errors.config import SamplerErrorsTable
from subgrid.experiments.sampler_errors.figures import CURVES, PANELS, draw_errors


def metrics(methods, grids):
    usual = {"noise": None, "guidance": "exact", "evaluations": [4, 8], "error": [0.1, 0.01]}
    rows = [{**usual, "case": c, "method": m, "grid": g} for c in PANELS for m in methods for g in grids]
    return {"rows": rows, "sampling_noise": {}}


def labels(methods, grids):
    (legend,) = draw_errors(metrics(methods, grids)).legends
    return [text.get_text() for text in legend.get_texts()]


def test_the_default_methods_have_the_curves_of_the_published_figure():
    table = SamplerErrorsTable()
    assert set(CURVES) <= {*labels(table.methods, table.grids)} <= {*CURVES, *table.methods}


@pytest.mark.parametrize("grid", ["exponential", "central", "karras", "cosine"])
def test_a_method_that_nobody_gave_a_colour_is_drawn(grid):
    named = ["new", "newer"] if grid == "exponential" else [f"new, {grid} grid", f"newer, {grid} grid"]
    assert labels(["new", "newer"], [grid]) == named
    lines = draw_errors(metrics(["new", "newer"], [grid])).axes[0].get_lines()
    assert lines[0].get_color() != lines[1].get_color()
