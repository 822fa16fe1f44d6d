"""Diagnostics of chains with known autocorrelation, and blackjax's of the same."""

from functools import partial

import blackjax.diagnostics as theirs
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from subgrid.mcmc import diagnostics
from subgrid.mcmc.diagnostics import acceptance_rate
from subgrid.mcmc.driver import Transition, run_chains
from subgrid.mcmc.langevin import UnadjustedLangevin

effective_sample_size = jax.jit(diagnostics.effective_sample_size)
split_r_hat = jax.jit(diagnostics.split_r_hat)
their_effective_sample_size = jax.jit(theirs.effective_sample_size)


@partial(jax.jit, static_argnames=("shape", "seed"))
def autoregressive(a, *, shape=(4, 2000, 20), seed=0):
    """Stationary chains of unit variance and autocorrelation a^t."""
    x0, noise = jr.normal(jr.key(seed), (shape[0], shape[2])), jr.normal(jr.key(seed + 1), shape)
    step = lambda x, xi: (a * x + jnp.sqrt(1 - a**2) * xi,) * 2  # noqa: E731
    return jax.vmap(lambda x, n: jax.lax.scan(step, x, n)[1])(x0, noise)


@pytest.mark.parametrize("a", [-0.4, 0.0, 0.6, 0.9])
def test_effective_sample_size_of_a_first_order_process(a):
    found = effective_sample_size(autoregressive(a))
    # MN(1 − a)/(1 + a); of twenty components each is known to some 10 % at a = .9, and the truncation biases by a few.
    assert found.mean() == pytest.approx(8000 * (1 - a) / (1 + a), rel=0.06)


def test_a_langevin_chain_has_the_effective_size_of_its_step():
    # On N(0, 1) the unadjusted chain has a = 1 − τ.
    chains = run_chains(UnadjustedLangevin(lambda x: -x, 0.4), jnp.zeros((4, 20)), 2000, n_burn_in=20, key=jr.key(0))
    assert effective_sample_size(chains.positions).mean() == pytest.approx(8000 * 0.4 / 1.6, rel=0.06)


def disagreeing():
    return autoregressive(0.8, shape=(3, 501, 5)) + jnp.arange(3.0)[:, None, None]


@pytest.mark.parametrize(
    "chains",
    [lambda: autoregressive(0.7), lambda: autoregressive(-0.5), disagreeing, lambda: autoregressive(0.5)[:1]],
    ids=["positive", "negative", "disagreeing", "one chain"],
)
def test_effective_sample_size_agrees_with_blackjax(chains):
    x = chains()
    ratio = effective_sample_size(x) / their_effective_sample_size(x)
    # The same estimator. Where the last lag that counts is larger than the pair before, we add it as it is, as Stan
    # does, and blackjax half of that pair: some hundredths of antithetic chains, in few components. Of chains that
    # disagree all lags count, and blackjax takes off half of the last.
    assert jnp.median(ratio) == pytest.approx(1, abs=2e-3)
    np.testing.assert_allclose(ratio, 1, atol=0.05)


@pytest.mark.parametrize("chains", [lambda: autoregressive(0.7), disagreeing], ids=["agreeing", "disagreeing"])
def test_split_r_hat_is_blackjax_of_halves(chains):
    x = chains()
    n = x.shape[1] // 2
    halves = jnp.concatenate([x[:, :n], x[:, n : 2 * n]])
    np.testing.assert_allclose(split_r_hat(x), theirs.potential_scale_reduction(halves), rtol=1e-4)


def test_split_r_hat_of_independent_draws_and_of_shifts():
    x = jr.normal(jr.key(5), (4, 2000, 3))
    np.testing.assert_allclose(split_r_hat(x), 1, atol=4e-3)  # √(1 + χ²₇/(7N)), less than .003 with N = 1000
    shifted = x + jnp.array([0.0, 0.0, 2.0, 2.0])[:, None, None]
    # Means of the eight halves have the variance 4/4 · 8/7, beside a unit variance within.
    np.testing.assert_allclose(split_r_hat(shifted), np.sqrt(1 + 8 / 7), rtol=0.03)
    drifting = x[:1] + jnp.linspace(0, 4, 2000)[:, None]
    assert (split_r_hat(drifting) > 1.5).all()  # one chain alone: its halves disagree


def test_components_that_never_move_and_those_that_are_no_numbers():
    x = jr.normal(jr.key(6), (2, 100, 3)).at[:, :, 1].set(7.0).at[0, 5, 2].set(jnp.nan)
    size = effective_sample_size(x)
    assert size[0] > 50 and size[1] == 0 and jnp.isnan(size[2])
    assert jnp.isnan(split_r_hat(x)[1:]).all() and split_r_hat(x)[0] < 1.1


def test_too_few_steps():
    for diagnostic in (effective_sample_size, split_r_hat):
        with pytest.raises(ValueError, match=r"at least 4 steps a chain, got 3"):
            diagnostic(jnp.ones((2, 3)))


def test_acceptance_rate_is_one_number_a_chain():
    accepted = jnp.array([[True, False, True, True], [False, False, True, False]])
    np.testing.assert_array_equal(acceptance_rate(Transition(jnp.ones((2, 4)), accepted)), [0.75, 0.25])
