"""Rejection of N(0, 1) under Laplace(1), where bound and acceptance are known; and bounds that do not hold."""

import math

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from scipy import stats

from subgrid.mcmc import rejection
from subgrid.mcmc.driver import run_chain
from subgrid.mcmc.rejection import BoundExceeded, Rejection, rejection_sample, require_bound

N = 50_000
M = math.sqrt(2 * math.e / math.pi)


def log_normal(x):
    return -(x**2) / 2 - math.log(2 * math.pi) / 2


def log_laplace(x):
    return -jnp.abs(x) - math.log(2)


@jax.jit
def run(log_bound, key):
    kernel = Rejection(log_normal, jr.laplace, log_laplace, log_bound)
    return jax.vmap(lambda k: run_chain(kernel, kernel.init(jnp.zeros(())), 10, key=k))(jr.split(key, N // 10))


def test_acceptance_is_one_over_the_bound():
    assert pytest.approx(1.31549, abs=5e-6) == M
    info = run(math.log(M), jr.key(0)).info
    require_bound(info)  # f = M g at ±1, where only rounding exceeds it
    assert pytest.approx(0.76017, abs=5e-6) == 1 / M
    assert info.accepted.mean() == pytest.approx(0.76017, abs=4 * np.sqrt(0.76 * 0.24 / N))
    assert info.acceptance_probability.mean() == pytest.approx(0.76017, abs=4 * 0.5 / np.sqrt(N))


def test_accepted_positions_are_independent_normal_draws():
    chains = run(math.log(M), jr.key(1))
    x = np.asarray(chains.positions[chains.info.accepted], np.float64)
    assert stats.kstest(x, stats.norm.cdf).pvalue > 1e-3
    assert abs(np.corrcoef(x[:-1], x[1:])[0, 1]) < 4 / np.sqrt(len(x))
    # Negative control: proposals have another distribution.
    assert stats.kstest(np.asarray(chains.info.proposal).ravel(), stats.norm.cdf).pvalue < 1e-6


def test_the_chain_of_all_positions_keeps_the_density_too():
    # A repeated position counts again; after ten steps of .24 each the start is left in 6e-7 of the chains.
    x = np.asarray(run(math.log(M), jr.key(2)).positions[:, -1])
    assert x.var() == pytest.approx(1, abs=4 * np.sqrt(2 / len(x)))


def test_gathering_draws():
    kernel = Rejection(
        lambda x: jnp.sum(log_normal(x)),
        lambda k: jr.laplace(k, (2,)),
        lambda x: jnp.sum(log_laplace(x)),
        2 * math.log(M),
    )
    x = np.asarray(rejection_sample(kernel, 30_000, key=jr.key(3)))  # more than one round gives
    assert x.shape == (30_000, 2) and len(np.unique(x[:, 0])) > 29_000
    np.testing.assert_allclose(np.cov(x.T), np.eye(2), atol=4 * np.sqrt(2 / 30_000))


def test_a_bound_that_is_exceeded_is_named_with_point_and_ratio():
    # M/1.2 of the least bound: f/(M g) = 1.2 at ±1, the worst that any proposal can find.
    with pytest.raises(
        BoundExceeded, match=r"at x = \[-?(1|0\.9)\S*\], where f/\(M g\) = 1\.2,.*raise log_bound by 0\.182"
    ):
        require_bound(run(math.log(M / 1.2), jr.key(4)).info)


def test_sampling_under_a_bound_that_is_exceeded_is_refused():
    # A proposal with lighter tails than the density: no bound holds, and far proposals tell.
    narrow = Rejection(log_normal, lambda k: jr.normal(k) / 2, lambda x: log_normal(2 * x) + math.log(2), math.log(2.0))
    with pytest.raises(BoundExceeded, match="take a proposal with heavier tails"):
        rejection_sample(narrow, 10, key=jr.key(5))


def test_bounds_that_accept_nothing_and_bad_arguments(monkeypatch):
    monkeypatch.setattr(rejection, "MAX_ROUNDS", 2)
    with pytest.raises(ArithmeticError, match=r"0 of 65536 proposals were accepted, and 10 draws are wanted"):
        rejection_sample(Rejection(log_normal, jr.laplace, log_laplace, 40.0), 10, key=jr.key(6))
    with pytest.raises(ValueError, match=r"needs n ≥ 1 draws, got 0"):
        rejection_sample(Rejection(log_normal, jr.laplace, log_laplace, 1.0), 0, key=jr.key(6))
