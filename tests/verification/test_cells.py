"""Scores cell by cell against scipy, xskillscore and Gaussian closed forms."""

import numpy as np
import pytest
import scipy.stats

from subgrid.verification.cells import fair_crps_per_cell, spread_skill_per_channel, wasserstein_1_per_cell

MASK = np.array([[True, False, True], [True, True, False]])


def gaussians(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def test_wasserstein_of_every_cell_agrees_with_scipy():
    pred, ref = 1.5 * gaussians(0, 41, 2, 3), gaussians(1, 60, 2, 3) + 0.3
    pred[:, ~MASK], ref[5, ~MASK] = np.nan, np.nan
    found = wasserstein_1_per_cell(pred, ref, mask=MASK)
    for cell in np.ndindex(MASK.shape):
        if MASK[cell]:
            expected = scipy.stats.wasserstein_distance(pred[(slice(None), *cell)], ref[(slice(None), *cell)])
            assert found[cell] == pytest.approx(expected, rel=1e-5)
        else:
            assert np.isnan(found[cell])


def test_wasserstein_keeps_channels_apart():
    ref = gaussians(2, 30, 2, 2, 3)
    shifted = ref + np.array([0.5, -2.0])[:, None, None]
    found = wasserstein_1_per_cell(shifted, ref, mask=MASK)
    np.testing.assert_allclose(found[0][MASK], 0.5, rtol=1e-5)
    np.testing.assert_allclose(found[1][MASK], 2.0, rtol=1e-5)


def test_fair_crps_of_a_standard_normal_against_itself():
    x = gaussians(3, 4000, 9, 2, 2, 3)
    found = fair_crps_per_cell(x[:, 1:], x[:, 0], mask=MASK)
    # E|X − X'|/2 = 1/√π; the scatter of one score is about .5, so 4000 · 4 of them are known to .004.
    np.testing.assert_allclose(np.nanmean(found, axis=(1, 2)), 1 / np.sqrt(np.pi), atol=0.016)
    assert np.isnan(found[:, ~MASK]).all() and np.isfinite(found[:, MASK]).all()


def test_fair_crps_agrees_with_scores():
    xr, scores = pytest.importorskip("xarray"), pytest.importorskip("scores.probability")
    x, y = gaussians(4, 20, 5, 1, 2, 3), gaussians(5, 20, 1, 2, 3)
    theirs = scores.crps_for_ensemble(
        xr.DataArray(x, dims=("t", "m", "c", "y", "x")),
        xr.DataArray(y, dims=("t", "c", "y", "x")),
        "m",
        method="fair",
        reduce_dims="t",
    )
    np.testing.assert_allclose(fair_crps_per_cell(x, y), theirs, rtol=1e-4, atol=1e-6)


def test_spread_skill_of_channels_with_too_little_and_too_much_spread():
    x = gaussians(6, 3000, 11, 2, 2, 3)
    spread = np.array([0.5, 2.0], np.float32)[:, None, None]
    found = spread_skill_per_channel(spread * x[:, 1:], x[:, 0], mask=MASK)
    # Mean of M = 10 members: error variance 1 + a²/10, spread² (11/10) a².
    expected = np.sqrt(1.1 * spread.ravel() ** 2 / (1 + spread.ravel() ** 2 / 10))
    np.testing.assert_allclose(found, expected, rtol=0.03)  # 12,000 entries: 1/√(2 · 12000) = .6 %


def test_bad_input_is_explained():
    x, y = gaussians(7, 4, 3, 1, 2, 3), gaussians(8, 4, 1, 2, 3)
    with pytest.raises(ValueError, match="without members"):
        fair_crps_per_cell(x, y[:3])
    with pytest.raises(ValueError, match="and 2 members"):
        spread_skill_per_channel(x[:, :1], y)
    with pytest.raises(ValueError, match="must share their space axes"):
        wasserstein_1_per_cell(x, y)
    y[1, 0, 0, 0] = np.nan
    with pytest.raises(ValueError, match=r"truth hold nan at index \(1, 0, 0, 0\)"):
        fair_crps_per_cell(x, y, mask=MASK)
