"""Figures of methods of which one has exploded."""

import numpy as np

from subgrid.experiments.navier_stokes.figures import profile_figure

Y = 2 * np.pi * np.arange(16) / 16
REFERENCE = np.tile(3 * np.cos(4 * Y)[:, None], (8, 1, 1, 16)).astype(np.float32)
EXPLODED = 1e8 * np.random.default_rng(0).normal(size=REFERENCE.shape).astype(np.float32)


def test_the_axis_of_a_mean_profile_is_of_the_reference_whatever_a_method_does():
    figure = profile_figure({"right": REFERENCE, "exploded": EXPLODED}, REFERENCE, REFERENCE)
    low, high = figure.axes[0].get_ylim()
    assert low <= -3 and high >= 3 and high - low < 20
