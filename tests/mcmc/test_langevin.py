"""Unadjusted Langevin chains on Gaussians, where their stationary distribution is known exactly."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from subgrid.mcmc.driver import run_chain
from subgrid.mcmc.langevin import UnadjustedLangevin, ula_step

N = 20_000


def test_one_step_has_the_stated_mean_and_variance():
    x = ula_step(jnp.full((N,), 2.0), lambda x: -x, 0.1, key=jr.key(0))
    assert abs(x.mean() - 1.8) < 4 * np.sqrt(0.2 / N)  # 2 − .1·2
    assert x.var() == pytest.approx(0.2, rel=4 * np.sqrt(2 / N))  # 2τ; four standard errors


@jax.jit
def end_of_chains(curvature, step_size, key):
    kernel = UnadjustedLangevin(lambda x: -curvature * x, step_size)
    return run_chain(kernel, kernel.init(jnp.zeros(N)), 100, keep=lambda state: None, key=key).state.position


@pytest.mark.parametrize(
    ("curvature", "step_size", "variance"),
    [
        (4.0, 0.2, 0.41667),
        (4.0, 0.45, 2.5),
        (1.0, 0.5, 4 / 3),
        pytest.param(1.0, 0.05, 1.02564, marks=pytest.mark.slow),
    ],
)
def test_stationary_variance_of_the_unadjusted_chain(curvature, step_size, variance):
    # x′ = (1 − λτ)x + √(2τ)ξ is an AR(1) process of variance 2τ/(1 − (1 − λτ)²) = 1/(λ(1 − λτ/2)): its known bias.
    assert variance == pytest.approx(1 / (curvature * (1 - curvature * step_size / 2)), rel=1e-5)
    x = end_of_chains(curvature, step_size, jr.key(1))
    assert x.var() == pytest.approx(variance, rel=4 * np.sqrt(2 / N))


def test_the_step_is_stable_below_two_over_the_curvature_only():
    # Steps multiply by 1 − 4τ: at τ = .499 by −.996, so that the standard deviation after 100 is below √(100 · 2τ), 10;
    # at τ = .51 by −1.04, and it is √(1.02 · (1.04²⁰⁰ − 1)/(1.04² − 1)) = 178.
    assert end_of_chains(4.0, 0.499, jr.key(2)).std() < 10
    assert end_of_chains(4.0, 0.51, jr.key(2)).std() == pytest.approx(178, rel=0.04)
