"""Ensemble scores against scores, xskillscore, and what a reliable Gaussian ensemble must give."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
import scipy.stats
import xarray as xr
from scores.probability import crps_for_ensemble

from subgrid.verification.ensembles import (
    constraint_rmse,
    crps,
    fair_crps,
    rank_histogram,
    sample_variability,
    spread_skill_ratio,
)


def normals(seed, shape, std=1.0):
    return jax.device_put(np.asarray(np.random.default_rng(seed).normal(0, std, shape), np.float32))


# CRPS


@pytest.mark.parametrize("n_members", [2, 3, 10])
def test_both_scores_agree_with_scores_and_xskillscore(n_members):
    import xskillscore  # here alone: it compiles programs of its own, in every worker

    ensemble, truth = 290 + normals(0, (n_members, 4, 5), 2.0), 290 + normals(1, (4, 5))
    forecasts = xr.DataArray(np.float64(ensemble), dims=("member", "y", "x"))
    observations = xr.DataArray(np.float64(truth), dims=("y", "x"))
    fair = crps_for_ensemble(forecasts, observations, "member", method="fair", preserve_dims="all")
    plain = xskillscore.crps_ensemble(observations, forecasts, dim=[])
    # Scores of order 1 from values near 290 that float32 rounds to 3e-5.
    np.testing.assert_allclose(fair_crps(ensemble, truth), fair.transpose("y", "x"), atol=1e-4)
    np.testing.assert_allclose(crps(ensemble, truth), plain.transpose("y", "x"), atol=1e-4)


@pytest.mark.parametrize("n_members", [2, 10])
def test_the_fair_score_does_not_depend_on_the_number_of_members(n_members):
    ensemble, truth = normals(2, (n_members, 40_000)), normals(3, (40_000,))
    # E|X − Y| − ½E|X − X′| = 1/√π for standard normals; the scores' deviation is below .9, four errors are .018.
    assert jnp.mean(fair_crps(ensemble, truth)) == pytest.approx(1 / np.sqrt(np.pi), abs=0.018)
    # The plain score pays ½E|X − X′|/M = 1/(M√π) more.
    assert jnp.mean(crps(ensemble, truth)) == pytest.approx((1 + 1 / n_members) / np.sqrt(np.pi), abs=0.018)


def test_a_single_member_scores_its_absolute_error():
    assert crps(jnp.array([3.0]), jnp.array(1.0)) == 2.0


# spread/skill


@pytest.mark.parametrize("n_members", [2, 5, 20])
@pytest.mark.parametrize("spread", [0.5, 1.0])
def test_spread_skill_ratio_of_a_gaussian_ensemble(n_members, spread):
    ensemble, truth = normals(4, (5000, n_members, 4), spread), normals(5, (5000, 4))
    # ⟨s²⟩ = a² and ⟨(x̄ − y)²⟩ = 1 + a²/M; at a = 1 the ratio is 1 for every M.
    expected = np.sqrt((n_members + 1) / n_members * spread**2 / (1 + spread**2 / n_members))
    # 20,000 cases: relative error of a root mean square 1/sqrt(2·20000) = .5 % for skill and for spread at M = 2.
    assert spread_skill_ratio(ensemble, truth) == pytest.approx(expected, rel=0.02)


# ranks


def test_a_reliable_ensemble_has_a_flat_histogram():
    counts = rank_histogram(normals(6, (2000, 9, 5)), normals(7, (2000, 5)), key=jr.key(8))
    assert counts.shape == (10,) and counts.sum() == 10_000
    # A fixed key: the test fails once in a thousand keys, and this one is known to pass.
    assert scipy.stats.chisquare(counts).pvalue > 1e-3


def test_an_underdispersed_ensemble_has_a_cup():
    counts = rank_histogram(normals(9, (2000, 9), 0.5), normals(10, (2000,)), key=jr.key(11))
    assert counts[0] > 2 * counts[5] and counts[-1] > 2 * counts[5]


def test_ranks_agree_with_xskillscore():
    import xskillscore  # here alone: it compiles programs of its own, in every worker

    ensemble, truth = normals(12, (300, 7, 2)), normals(13, (300, 2))
    forecasts = xr.DataArray(np.asarray(ensemble), dims=("time", "member", "x"))
    observations = xr.DataArray(np.asarray(truth), dims=("time", "x"))
    expected = xskillscore.rank_histogram(observations, forecasts, dim=["time", "x"])
    np.testing.assert_array_equal(rank_histogram(ensemble, truth, key=jr.key(14)), expected)


def test_ties_are_broken_at_random():
    counts = rank_histogram(jnp.zeros((5000, 4)), jnp.zeros(5000), key=jr.key(15))
    assert scipy.stats.chisquare(counts).pvalue > 1e-3
    ensemble = jnp.tile(jnp.array([0.0, 0.0, 1.0, 2.0]), (1000, 1))
    counts = rank_histogram(ensemble, jnp.ones(1000), key=jr.key(16))
    assert counts[2] + counts[3] == 1000
    assert counts[2] == pytest.approx(500, abs=64)  # four binomial deviations, √(1000/4) = 16


def test_missing_entries_are_not_counted():
    ensemble = jnp.array([[0.0, 1.0], [jnp.nan, 1.0], [0.0, 1.0]])
    counts = rank_histogram(ensemble, jnp.array([0.5, 0.5, jnp.nan]), key=jr.key(17))
    np.testing.assert_array_equal(counts, [0, 1, 0])


# constraint and variability


def test_constraint_rmse_is_the_relative_misfit():
    fields = normals(18, (6, 2, 16))
    every_fourth = lambda x: x[..., ::4]  # noqa: E731
    targets = every_fourth(fields)
    assert constraint_rmse(every_fourth, fields, targets) == 0
    # Misfits of 10 % and 30 % average to 20 %.
    factors = 1 + jnp.array([0.1, -0.1, 0.1, 0.3, -0.3, 0.3])
    assert constraint_rmse(every_fourth, fields, factors[:, None, None] * targets) == pytest.approx(0.2, rel=1e-5)


def test_sample_variability_is_the_spread_given_the_condition():
    # Each condition has its own mean, which must not count. 30 × 2 × 500 entries: the root's error is about .4 %.
    means = 100 * normals(19, (30, 1, 1))
    assert sample_variability(means + normals(20, (30, 2, 500), 3.0)) == pytest.approx(3.0, rel=0.02)
    # Rows with deviations 1 and 3: roots first, then the mean over conditions, gives 2 and not √5.
    rows = jnp.array([1.0, 3.0])[:, None, None] * normals(21, (2, 100, 1000))
    assert sample_variability(rows) == pytest.approx(2.0, rel=0.02)
    assert sample_variability(jnp.broadcast_to(means, (30, 4, 1))) == 0


# all of them

SCORES = {
    "crps": lambda ensemble, truth: crps(ensemble[0], truth[0]).mean(),
    "fair_crps": lambda ensemble, truth: fair_crps(ensemble[0], truth[0]).mean(),
    "spread_skill_ratio": spread_skill_ratio,
    "constraint_rmse": lambda ensemble, truth: constraint_rmse(jnp.cumsum, ensemble[:, 0], truth),
    "sample_variability": lambda ensemble, truth: sample_variability(ensemble),
}


@pytest.mark.parametrize("name", SCORES)
def test_traces_once_and_has_finite_gradients(name):
    traces = []

    @jax.jit
    def score(ensemble, truth):
        traces.append(name)
        return SCORES[name](ensemble, truth)

    ensemble, truth = normals(22, (3, 4, 5)), normals(23, (3, 5))
    score(ensemble, truth)
    score(2 * ensemble, truth)
    assert len(traces) == 1
    gradient = jax.grad(score)(ensemble, truth)
    assert jnp.all(jnp.isfinite(gradient)) and jnp.any(gradient != 0)


def test_bad_input_is_explained():
    with pytest.raises(ValueError, match="needs at least 2 members on axis 0, got 1"):
        fair_crps(jnp.zeros((1, 3)), jnp.zeros(3))
    with pytest.raises(ValueError, match="needs at least 2 members on axis 1, got 1"):
        spread_skill_ratio(jnp.zeros((4, 1)), jnp.zeros(4))
    with pytest.raises(ValueError, match="needs at least 2 members on axis 1, got 1"):
        sample_variability(jnp.zeros((4, 1, 3)))
    with pytest.raises(ValueError, match="needs at least 1 case on axis 0, got 0"):
        rank_histogram(jnp.zeros((0, 3)), jnp.zeros(0), key=jr.key(0))
    with pytest.raises(ValueError, match=r"operator\(field\) has shape \(4,\), but a target has \(2,\)"):
        constraint_rmse(lambda x: x, jnp.ones((3, 4)), jnp.ones((3, 2)))
    with pytest.raises((ValueError, TypeError)):  # TypeError from jaxtyping when its import hook is on
        crps(jnp.zeros((2, 3)), jnp.zeros(4))
    with pytest.raises((ValueError, TypeError)):
        constraint_rmse(lambda x: x, jnp.ones((3, 4)), jnp.ones((2, 4)))
