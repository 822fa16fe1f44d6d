"""The flatness test: its rate of false alarms on correlated ensembles, its power, and effective sample sizes."""

import warnings

import jax.random as jr
import numpy as np
import pytest
from scipy.stats import chisquare

from subgrid.verification.ensembles import rank_histogram
from subgrid.verification.rank_tests import rank_flatness_test, ranks_of_truth


def correlated_ranks(rng, n_cases, n_cells, n_members, in_space, in_time, spread=1.0):
    """Ranks of a truth among exchangeable members (but for the spread), equicorrelated cells, AR(1) in time."""
    shape = (n_cases, n_members + 1)
    noise = np.sqrt(in_space) * rng.normal(size=(*shape, 1))
    noise = noise + np.sqrt(1 - in_space) * rng.normal(size=(*shape, n_cells))
    for case in range(1, n_cases):
        noise[case] = in_time * noise[case - 1] + np.sqrt(1 - in_time**2) * noise[case]
    return (spread * noise[:, 1:] < noise[:, :1]).sum(axis=1)


@pytest.mark.parametrize(("in_space", "in_time"), [(0.0, 0.0), (0.8, 0.0), (0.6, 0.7)])
def test_reliable_ensembles_are_rejected_at_the_nominal_rate(in_space, in_time):
    rng, n = np.random.default_rng(0), 300
    p_values, naive = [], []
    for _ in range(n):
        ranks = correlated_ranks(rng, 200, 15, 7, in_space, in_time)
        test = rank_flatness_test(ranks, 7, segment=np.zeros(200, int) if in_time else None)
        p_values.append(test.p_value)
        naive.append(chisquare(test.counts).pvalue)
    # Shares of 300 tests: standard errors of 1.3 and 2.3 %, three of them, plus 1 % for the approximation.
    for level, margin in ((0.05, 0.05), (0.2, 0.08)):
        assert np.mean(np.array(p_values) < level) == pytest.approx(level, abs=margin)
    if in_space:
        assert np.mean(np.array(naive) < 0.1) > 0.5  # what counting cells as independent would say


def test_wrong_spread_is_found_in_correlated_fields():
    rng = np.random.default_rng(1)
    tests = [rank_flatness_test(correlated_ranks(rng, 300, 20, 9, 0.6, 0.0, spread=0.7), 9) for _ in range(20)]
    assert np.mean([test.p_value < 0.05 for test in tests]) > 0.9


def test_effective_samples_of_independent_and_of_repeated_cells():
    rng = np.random.default_rng(2)
    ranks = rng.integers(0, 10, size=(2000, 20))
    # The variance of a mean over 2000 cases is known to √(2/2000)/√9 bins = 1 %, four of them 4 %.
    assert rank_flatness_test(ranks, 9).effective_samples == pytest.approx(40_000, rel=0.05)
    repeated = np.repeat(ranks[:, :1], 20, axis=1)
    assert rank_flatness_test(repeated, 9).effective_samples == pytest.approx(2000, rel=0.05)


def test_effective_samples_of_days_that_repeat():
    rng = np.random.default_rng(3)
    days = np.repeat(rng.integers(0, 10, size=(1000, 20)), 2, axis=0)  # every day twice
    test = rank_flatness_test(days, 9, segment=np.zeros(2000, int))
    # Lag 1 is half the variance, and further lags noise: 20,000 independent entries, to some 10 %.
    assert test.effective_samples == pytest.approx(20_000, rel=0.15)
    # The same days with a gap after each: no correlation to be counted.
    apart = rank_flatness_test(days, 9, segment=np.arange(2000))
    assert apart.effective_samples == pytest.approx(40_000, rel=0.1)


def test_independent_ranks_give_the_classical_chi_squared():
    ranks = np.random.default_rng(4).integers(0, 6, size=(5000, 1))
    test = rank_flatness_test(ranks, 5)
    classical = chisquare(np.bincount(ranks.ravel()))
    # One entry a case, so C₀ is the multinomial covariance: N_eff = N exactly but for the 1/(n − 1).
    assert test.effective_samples == pytest.approx(5000, rel=1e-3)
    assert test.p_value == pytest.approx(classical.pvalue, abs=0.01)


def test_counts_are_those_of_the_rank_histogram_on_the_mask():
    x = np.random.default_rng(5).normal(size=(50, 8, 2, 3, 3)).astype(np.float32)
    truth, members = x[:, 0], x[:, 1:]
    mask = np.eye(3, dtype=bool)
    ranks = ranks_of_truth(members, truth, key=jr.key(0), mask=mask)
    assert ranks.shape == (50, 2, 3)
    expected = rank_histogram(members[..., mask], truth[..., mask], key=jr.key(0))
    np.testing.assert_array_equal(rank_flatness_test(ranks, 7).counts, expected)


def test_ties_are_spread_evenly():
    dry = np.zeros((2000, 4, 1, 2), np.float32)
    ranks = ranks_of_truth(dry[:, 1:], dry[:, 0], key=jr.key(0))
    # 4000 draws into 4 bins: 1000 ± 4 · 27.
    assert np.abs(np.bincount(ranks.ravel()) - 1000).max() < 110


def test_bad_input_is_explained():
    ranks = np.zeros((20, 3), int)
    with pytest.raises(ValueError, match=r"lie in 0 … 4, got 0 … 9"):
        rank_flatness_test(ranks + np.arange(20)[:, None] % 10, 4)
    with pytest.raises(ValueError, match="at least 10 cases, got 5"):
        rank_flatness_test(ranks[:5], 4)
    with pytest.raises((ValueError, TypeError), match=r"got 3 labels for 20 cases|case=20"):
        rank_flatness_test(ranks, 4, segment=np.zeros(3, int))
    with pytest.raises(ValueError, match="without members"):
        ranks_of_truth(np.zeros((5, 3, 1, 2)), np.zeros((4, 1, 2)), key=jr.key(0))


def test_a_truth_that_is_always_below_all_members_is_not_flat():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        test = rank_flatness_test(np.zeros((50, 4), int), 9)
    # Fifty samples in one bin of ten: X² = 50 · 9.
    assert test.statistic == pytest.approx(450) and test.p_value < 1e-10
