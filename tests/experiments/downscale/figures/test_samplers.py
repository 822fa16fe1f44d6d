"""Curves of samplers: every one is drawn, also one that nobody gave a colour."""

from typing import get_args

from matplotlib.figure import Figure

from subgrid.experiments.downscale.config import Sampler
from subgrid.experiments.downscale.figures.samplers import CURVES, score_curves


def test_every_sampler_has_a_curve():
    names = [*get_args(Sampler), "new"]
    rows = [{"sampler": name, "evaluations": n, "CRPS": 1 / n} for name in names for n in (2, 4)]
    axes = score_curves(Figure().subplots(), rows, "CRPS")
    assert [line.get_label() for line in axes.get_lines()] == names
    assert set(CURVES) <= set(get_args(Sampler))
