"""Spreads of resampled distances against those of sets that really are drawn anew."""

import jax.random as jr
import numpy as np
import pytest

from subgrid.verification.resampling import kolmogorov_smirnov_resampled, mean_change, run_weights
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


N_SEASONS, N_DAYS, N_MEMBERS = 20, 30, 16
SEASONS = np.repeat(np.arange(N_SEASONS), N_DAYS)


def ensemble(rng, level: float, spread: float) -> np.ndarray:
    """Seasons that differ by N(0, 1) as wholes, the same for all members, and noise of every season and member."""
    of_season = level + rng.normal(size=(N_SEASONS, 1)) + spread * rng.normal(size=(N_SEASONS, N_MEMBERS))
    return np.repeat(of_season, N_DAYS, axis=0)


@pytest.mark.parametrize("spread", [0.0, 1.0])
def test_the_interval_of_a_change_is_that_of_seasons_and_draws(spread):
    """Its width is the closed form of a difference of two means of one realisation each, and it covers the change."""
    rng = np.random.default_rng(3)
    found = [
        mean_change(ensemble(rng, 0, spread), ensemble(rng, 2, spread), SEASONS, SEASONS, key=jr.key(i))
        for i in range(100)
    ]
    # Var = 2 (1 + s²)/n, less the bootstrap's factor 1 − 1/n; of 100 sets with 40 seasons each it is known to 2 %.
    expected = 2 * 1.645 * np.sqrt(2 * (1 + spread**2) / N_SEASONS * (1 - 1 / N_SEASONS))
    assert np.mean([each.upper - each.lower for each in found]) == pytest.approx(expected, rel=0.05)
    covered = np.mean([each.lower <= 2 <= each.upper for each in found])
    # The mean over members has less noise than one realisation has, so .9 or more, less what few seasons take from it:
    # 3 % of standard deviation, and 100 sets know a share to .03.
    assert covered > 0.8
    # Over members the change scatters by √(2 s²/n): known to 1/√(2·15·100) = 2 %.
    scatter = np.mean([each.member_spread for each in found])
    assert scatter == pytest.approx(spread * np.sqrt(2 / N_SEASONS), rel=0.08, abs=1e-12)
    assert found[0].lower < found[0].change < found[0].upper


def test_the_change_itself_is_a_difference_of_means_and_a_key_gives_the_same_interval_again():
    rng = np.random.default_rng(4)
    before, after = ensemble(rng, 0, 1), ensemble(rng, 1, 1)[: 10 * N_DAYS]
    found = mean_change(before, after, SEASONS, SEASONS[: 10 * N_DAYS], key=jr.key(0))
    assert found.change == pytest.approx(after.mean() - before.mean())
    assert found == mean_change(before, after, SEASONS, SEASONS[: 10 * N_DAYS], key=jr.key(0))
    shuffled = rng.permutation(len(before))  # days carry their season, their order does not matter
    again = mean_change(before[shuffled], after, SEASONS[shuffled], SEASONS[: 10 * N_DAYS], key=jr.key(0))
    np.testing.assert_allclose(again, found)


def test_what_no_interval_can_be_made_of():
    one = np.zeros((30, 4))
    with pytest.raises(ValueError, match="needs two seasons"):
        mean_change(one, one, np.zeros(30, int), SEASONS[:30], key=jr.key(0))
    with pytest.raises(ValueError, match="as many members"):
        mean_change(one, one[:, :3], np.arange(30), np.arange(30), key=jr.key(0))
    with pytest.raises(ValueError, match="between 0 and 1"):
        mean_change(one, one, np.arange(30), np.arange(30), confidence=90.0, key=jr.key(0))
