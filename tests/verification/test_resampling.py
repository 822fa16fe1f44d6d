"""Spreads of resampled distances against those of sets that really are drawn anew."""

import numpy as np
import pytest

from subgrid.verification.resampling import kolmogorov_smirnov_resampled, run_weights
from subgrid.verification.similarity import kolmogorov_smirnov

N_RUNS, N_FRAMES = 40, 5
RUNS = np.repeat(np.arange(N_RUNS), N_FRAMES)


def draw(rng) -> np.ndarray:
    """Runs that differ as wholes: (run, frame) flattened, 20 points."""
    return np.repeat(rng.normal(size=(N_RUNS, 1)), N_FRAMES, axis=0) + 0.1 * rng.normal(size=(N_RUNS * N_FRAMES, 20))


def test_equal_weights_are_the_distance_itself():
    rng = np.random.default_rng(0)
    pred, ref = draw(rng), 0.5 + draw(rng)
    even = np.full((1, len(pred)), 1 / len(pred))
    found = kolmogorov_smirnov_resampled(pred, ref, even, even)[0]
    assert found == pytest.approx(kolmogorov_smirnov(pred, ref), abs=1 / 256)


def test_weights_draw_whole_runs_and_the_same_ones_for_the_same_runs():
    weights = run_weights(RUNS, n_resamplings=500, seed=0)
    np.testing.assert_allclose(weights.sum(1), 1)
    apart = weights.reshape(500, N_RUNS, N_FRAMES)
    assert (apart == apart[:, :, :1]).all()
    np.testing.assert_allclose(weights.mean(0), 1 / len(RUNS), rtol=0.25)  # 1/√500 of each
    order = np.random.default_rng(1).permutation(len(RUNS))
    np.testing.assert_array_equal(run_weights(RUNS[order], n_resamplings=500, seed=0), weights[:, order])


def test_spread_is_that_of_sets_drawn_anew():
    # Far from the noise: a shift of one standard deviation. One set stands for all; over ten it is known to 5 %.
    rng = np.random.default_rng(2)
    ref = 1 + rng.normal(size=(400, 20))
    even = np.full((200, 400), 1 / 400)
    truth = np.std([kolmogorov_smirnov(draw(rng), ref) for _ in range(400)])

    def found(runs):
        weights = run_weights(runs, seed=0)
        return np.mean([kolmogorov_smirnov_resampled(draw(rng), ref, weights, even).std() for _ in range(10)])

    assert found(RUNS) == pytest.approx(truth, rel=0.15)
    assert found(np.arange(len(RUNS))) < 0.6 * truth  # frames taken for runs: √5 too small
