"""Ctrl-C within an iteration of a bridge: it is saved, and goes on to the same bits; what a kill leaves is no harm."""

import signal
from dataclasses import replace

import numpy as np
import pytest

from subgrid.training.fitting import TrainingInterrupted
from subgrid.transport.partial_iteration import FOLDER, steps_done

from .test_bridge_fitting import TINY, arrays, fit

SMALL = replace(TINY, n_iterations=2)


@pytest.fixture(scope="module")
def whole():
    return fit(SMALL)


def stopped_at(iteration, step):
    def report(k, done, metrics):
        if (k, done) == (iteration, step):
            signal.raise_signal(signal.SIGINT)

    return report


@pytest.mark.parametrize("step", [10, *(pytest.param(n, marks=pytest.mark.slow) for n in (5, 20))])
def test_it_goes_on_to_the_same_bits_where_it_was_stopped(whole, tmp_path, step):
    """Between two sets of pairs, within one, and at the end of the last of two iterations, of twenty steps each."""
    saved = SMALL.n_steps + step
    with pytest.raises(TrainingInterrupted, match=f"interrupted after {saved} steps, saved in"):
        fit(SMALL, tmp_path, report=stopped_at(1, step))
    assert (tmp_path / FOLDER).exists() == (step < SMALL.n_steps)
    assert steps_done(tmp_path, SMALL.n_steps) == saved
    seen = []
    resumed = fit(SMALL, tmp_path, report=lambda k, done, metrics: seen.append(k * SMALL.n_steps + done))
    assert seen == list(range(saved + 5, 45, 5))  # nothing is made again
    for one, other in zip(arrays(whole), arrays(resumed), strict=True):
        np.testing.assert_array_equal(one, other)


def test_without_a_folder_it_stops_and_says_that_nothing_is_saved():
    with pytest.raises(TrainingInterrupted, match="after 5 steps, nothing was saved"):
        fit(SMALL, report=stopped_at(0, 5))
