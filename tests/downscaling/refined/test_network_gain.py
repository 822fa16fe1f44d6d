"""A network's gain, where the better of two ensembles is known."""

import numpy as np
import pytest

from subgrid.downscaling.refined.network_gain import NetworkGain, compare_draws

N, M, CELLS = 120, 8, 30
GROUPS = np.repeat(np.arange(4), 30)


def ensembles(shift: float, *, seed: int = 0):
    """Truth and two ensembles about its mean; the first one's mean is off by `shift` standard deviations a cell."""
    rng = np.random.default_rng(seed)
    mean = rng.normal(size=(N, 1, CELLS))
    truth = mean + rng.normal(size=mean.shape)
    wrong = mean + shift * rng.normal(size=mean.shape)
    draw = lambda centre: centre[:, None] + rng.normal(size=(N, M, 1, CELLS))  # noqa: E731
    return (x.astype(np.float32) for x in (truth, draw(wrong), draw(mean), mean))


def test_a_better_mean_is_accepted_and_its_gain_is_that_of_gaussians():
    truth, worse, better, expected = ensembles(0.8)
    gain = compare_draws(truth, worse, better, expected, GROUPS, active=(False,))
    assert gain.accepted and "network used" in gain.sentence()
    # A Gaussian forecast of the right width scores its width over √π: of √(1 + .64) and of 1.
    assert gain.gaussian == pytest.approx(np.sqrt(1.64 / np.pi), rel=0.05)
    assert gain.network == pytest.approx(np.sqrt(1 / np.pi), rel=0.05)


def test_an_ensemble_that_is_no_better_is_not():
    rejected = 0
    for seed in range(10):
        truth, one, other, expected = ensembles(0.0, seed=seed)
        rejected += not compare_draws(truth, one, other, expected, GROUPS, active=(False,)).accepted
    assert rejected >= 9  # one in forty is accepted by accident


def test_width_alone_is_no_gain():
    """Both are given the width that suits them: half of it is no reason to pay for a network."""
    truth, one, other, expected = ensembles(0.0)
    narrow = one.mean(1, keepdims=True) + 0.5 * (one - one.mean(1, keepdims=True))
    whole = compare_draws(truth, one, other, expected, GROUPS, active=(False,))
    gain = compare_draws(truth, narrow, other, expected, GROUPS, active=(False,))
    assert gain.gain == pytest.approx(whole.gain, abs=1e-5)  # rounding


def test_a_gain_within_its_uncertainty_is_not_enough():
    assert not NetworkGain(0.200, 0.199, 0.001, 180, 90.0).accepted
    assert NetworkGain(0.200, 0.197, 0.001, 180, 90.0).accepted
