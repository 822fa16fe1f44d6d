"""Langevin chains on Gaussians: the stationary distribution of the unadjusted step is known exactly."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from subgrid.diffusion.noise_levels import exponential_grid
from subgrid.mcmc.langevin import annealed_langevin, ula_step

N = 50_000


def test_one_step_has_the_stated_mean_and_variance():
    x = ula_step(jnp.full((N,), 2.0), lambda x: -x, 0.1, key=jr.key(0))
    assert abs(x.mean() - 1.8) < 4 * np.sqrt(0.2 / N)  # 2 − .1·2
    assert x.var() == pytest.approx(0.2, rel=4 * np.sqrt(2 / N))  # 2τ; four standard errors


@pytest.mark.slow
@pytest.mark.parametrize("step_size", [0.05, 0.5])
def test_stationary_variance_of_the_unadjusted_chain(step_size):
    # x′ = (1 − τ)x + √(2τ)ξ is an AR(1) process of variance 2τ/(1 − (1 − τ)²) = 1/(1 − τ/2): its known bias.
    steps = jr.split(jr.key(1), 200)
    x, _ = jax.lax.scan(lambda x, k: (ula_step(x, lambda z: -z, step_size, key=k), None), jnp.zeros(N), steps)
    assert x.var() == pytest.approx(1 / (1 - step_size / 2), rel=4 * np.sqrt(2 / N))


@pytest.mark.slow
def test_annealed_chain_on_a_gaussian():
    mean, std, n = 1.5, 0.8, 4_000
    score = lambda x, sigma: -(x - mean) / (std**2 + sigma**2)  # noqa: E731
    levels = exponential_grid(40, sigma_max=20.0, sigma_min=0.01)

    def excess(n_steps):
        run = lambda x, key: annealed_langevin(score, x, levels, n_steps=n_steps, relative_step=0.1, key=key)  # noqa: E731
        x = jax.jit(run)(20 * jr.normal(jr.key(0), (n,)), jr.key(1))
        assert x.mean() == pytest.approx(mean, abs=0.05)
        return float(x.var()) - std**2

    # A chain lags behind the falling level by an excess of variance ∝ 1/n_steps, until the bias of the step takes over,
    # at most relative_step/2 of the variance; four standard errors, √(2/n), beside it.
    few, many = excess(20), excess(200)
    assert many < few / 3
    assert abs(many) < (0.1 / 2 + 4 * np.sqrt(2 / n)) * std**2


def test_fields_keep_their_shape_and_the_key_decides():
    score = lambda x, sigma: -x / (1 + sigma**2)  # noqa: E731
    levels = exponential_grid(5)
    draws = [annealed_langevin(score, jnp.ones((2, 3, 4)), levels, n_steps=2, key=jr.key(k)) for k in (0, 0, 1)]
    assert draws[0].shape == (2, 3, 4)
    np.testing.assert_array_equal(draws[0], draws[1])
    assert (draws[0] != draws[2]).all()
