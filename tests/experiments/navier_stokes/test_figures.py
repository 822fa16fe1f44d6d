"""Figures and scores of methods of which one has exploded."""

import numpy as np

from subgrid.experiments.navier_stokes.figures import profile_figure
from subgrid.experiments.navier_stokes.metrics import flow_scores

Y = 2 * np.pi * np.arange(16) / 16
REFERENCE = np.tile(3 * np.cos(4 * Y)[:, None], (8, 1, 1, 16)).astype(np.float32)
EXPLODED = 1e8 * np.random.default_rng(0).normal(size=REFERENCE.shape).astype(np.float32)


def test_the_axis_of_a_mean_profile_is_of_the_reference_whatever_a_method_does():
    figure = profile_figure({"right": REFERENCE, "exploded": EXPLODED}, REFERENCE, REFERENCE)
    low, high = figure.axes[0].get_ylim()
    assert low <= -3 and high >= 3 and high - low < 20


def test_scores_of_a_flow_that_exploded_are_large_and_finite():
    swirls = REFERENCE + np.random.default_rng(1).normal(size=REFERENCE.shape).astype(np.float32)
    found = flow_scores(EXPLODED, swirls, 4)
    assert all(map(np.isfinite, found.values())) and found["flux"] > 1e6
