"""Spread against error, probability against frequency: ensembles whose reliability is known."""

import numpy as np
import pytest

from subgrid.verification.reliability import reliability_diagram, spread_error_curve


def heteroscedastic(seed, n_cases=4000, n_members=50):
    """Truth and members share a scale that differs from case to case by a factor of 4."""
    rng = np.random.default_rng(seed)
    scale = np.exp(rng.uniform(-0.7, 0.7, size=(n_cases, 1, 1, 1)))
    x = scale[:, None] * rng.normal(size=(n_cases, n_members + 1, 1, 2, 2))
    return x[:, 1:], x[:, 0]


def test_error_grows_with_spread_in_a_reliable_ensemble():
    curve = spread_error_curve(*heteroscedastic(0), n_bins=5)
    assert curve.spread[-1] > 2 * curve.spread[0]
    # Logarithms of the four spreads scatter by √.163 in truth, and by .1 more since 50 members estimate them: sorted by
    # estimates, the ends regress by .01/.173 of their distance .56 from the middle, 3 %. Sampling adds 2 %, edges 2 %.
    np.testing.assert_allclose(curve.error / curve.spread, 1.0, atol=0.08)
    assert np.sqrt(np.mean(curve.error**2) / np.mean(curve.spread**2)) == pytest.approx(1.0, abs=0.04)


def test_spread_that_knows_nothing_gives_a_flat_curve():
    members, truth = heteroscedastic(1)
    shuffled = members[np.random.default_rng(2).permutation(len(members))]
    curve = spread_error_curve(shuffled - shuffled.mean(axis=1, keepdims=True), truth, n_bins=4)
    np.testing.assert_allclose(curve.error, curve.error.mean(), rtol=0.08)


def test_mask_and_bins_are_honoured():
    members, truth = heteroscedastic(3, n_cases=50)
    truth[:, :, 0, 0] = np.nan
    mask = np.array([[False, True], [True, True]])
    assert np.isfinite(spread_error_curve(members, truth, mask=mask, n_bins=3).error).all()
    with pytest.raises(ValueError, match="n_bins must lie between 1 and the 150 entries"):
        spread_error_curve(members, truth, mask=mask, n_bins=151)


def test_diagram_of_known_probabilities_lies_on_the_diagonal():
    rng = np.random.default_rng(4)
    probability = rng.beta(2, 2, size=(40_000, 1))
    members, truth = rng.random((40_000, 10)) < probability, rng.random(40_000) < probability[:, 0]
    found = reliability_diagram(members, truth)
    m = np.arange(11)
    # Beta(2, 2) prior and binomial members: the event has probability (m + 2)/(10 + 4) given m of 10 members.
    se = np.sqrt(0.25 / found.count)
    np.testing.assert_array_less(np.abs(found.frequency - (m + 2) / 14), 4 * se)


def test_parts_add_up_to_the_brier_score():
    scores = pytest.importorskip("scores.probability")
    xr = pytest.importorskip("xarray")
    rng = np.random.default_rng(5)
    members, truth = rng.random((300, 8, 3)) < 0.4, rng.random((300, 3)) < 0.5
    found = reliability_diagram(members, truth)
    dims = ("case", "cell")
    brier = scores.brier_score(
        xr.DataArray(members.mean(axis=1), dims=dims), xr.DataArray(truth.astype(float), dims=dims)
    )
    assert found.reliability - found.resolution + found.uncertainty == pytest.approx(float(brier), rel=1e-6)


def test_shapes_that_do_not_match_are_refused():
    with pytest.raises((ValueError, TypeError)):
        reliability_diagram(np.zeros((4, 3, 2), bool), np.zeros((4, 3), bool))
