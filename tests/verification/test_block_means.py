"""Means over days: blocks keep to stretches, and the spread of their means is that of the closed form."""

import numpy as np
import pytest

from subgrid.verification.block_means import block_means, spread_skill_of_means, unbroken_stretches

CORRELATION = 0.7
N_MEMBERS = 8


def autoregressive(n_series: int, n_times: int, correlation: float, seed: int) -> np.ndarray:
    """(time, series): stationary, of variance 1."""
    noise = np.random.default_rng(seed).normal(size=(n_times, n_series))
    found = np.empty_like(noise)
    found[0] = noise[0]
    for t in range(1, n_times):
        found[t] = correlation * found[t - 1] + np.sqrt(1 - correlation**2) * noise[t]
    return found


def variance_of_means(k: int, correlation: float) -> float:
    """Of k successive values of an AR(1) series of variance 1."""
    lags = np.arange(1, k)
    return (1 + 2 * np.sum((1 - lags / k) * correlation**lags)) / k


@pytest.mark.parametrize("k", [1, 5, 10])
def test_members_that_are_white_in_time_have_the_ratio_of_the_closed_form(k):
    n_series, n_times = 400, 900
    shared = 10 * autoregressive(n_series, n_times, 0.9, seed=0)  # what all share drops out
    truth = shared + autoregressive(n_series, n_times, CORRELATION, seed=1)
    members = shared[:, None] + np.random.default_rng(2).normal(size=(n_times, N_MEMBERS, n_series))
    found = spread_skill_of_means(
        members[:, :, None].astype(np.float32),
        truth[:, None].astype(np.float32),
        np.repeat(np.arange(10), n_times // 10),  # ten seasons of 90 days
        k,
    )
    spread = (1 + 1 / N_MEMBERS) / k
    error = variance_of_means(k, CORRELATION) + 1 / (N_MEMBERS * k)
    # 400 series of 90 blocks or more, each worth one sample: 1/√(2 · 36000) = .4 %; four times that.
    assert found == pytest.approx(np.sqrt(spread / error), rel=0.015)
    if k == 1:
        assert found == pytest.approx(1, rel=0.015)


def test_members_that_persist_as_the_truth_does_are_reliable_for_means_too():
    fields = autoregressive(9 * 400, 900, CORRELATION, seed=3).reshape(900, 9, 1, 400).astype(np.float32)
    found = spread_skill_of_means(fields[:, 1:], fields[:, 0], np.zeros(900, int), 10)
    assert found == pytest.approx(1, rel=0.02)  # 36000 blocks, correlated: some 2 · .4 %


def test_no_block_spans_a_gap_a_season_or_a_member():
    days = np.array([0.0, 1, 2, 3, 4, 5, 9, 10, 11, 12, 0, 1, 2, 3])
    season_year, member = np.repeat([1, 2, 2], [4, 6, 4]), np.repeat([0, 1], [10, 4])
    stretch = unbroken_stretches(days, season_year, member)
    np.testing.assert_array_equal(stretch, np.repeat([0, 1, 2, 3], [4, 2, 4, 4]))
    # Each stretch holds whole blocks of its own; the odd ones at its end are left out.
    values = np.arange(14.0)
    np.testing.assert_allclose(block_means(values, stretch, 3), [1, 7, 11])
    np.testing.assert_allclose(block_means(values, stretch, 2), [0.5, 2.5, 4.5, 6.5, 8.5, 10.5, 12.5])
    np.testing.assert_allclose(block_means(values, stretch, 1), values)
    assert block_means(values, stretch, 5).shape == (0,)


def test_the_end_of_february_is_no_gap_but_a_missing_day_is():
    leap = np.arange("2004-02-25", "2004-03-05", dtype="datetime64[D]").astype(float)
    assert set(unbroken_stretches(leap, np.full(leap.size, 2004))) == {0}
    np.testing.assert_array_equal(unbroken_stretches(np.delete(leap, 4)), np.repeat([0, 1], [4, 4]))


def test_a_season_shorter_than_a_block_has_no_ratio():
    fields = np.random.default_rng(0).normal(size=(6, 3, 2, 4)).astype(np.float32)
    found = spread_skill_of_means(fields, fields[:, 0], np.array([0, 0, 0, 1, 1, 1]), 4)
    assert found.shape == (2,) and np.isnan(found).all()


@pytest.mark.parametrize(("n_labels", "length"), [(4, 2), (5, 0)])
def test_labels_and_lengths_that_make_no_blocks_are_refused(n_labels, length):
    with pytest.raises(ValueError, match="one label a time"):
        block_means(np.zeros(5), np.zeros(n_labels, int), length)
