"""The conditional flow: exact in one step for Gaussians with a silent network, second order, and tied to y."""

import equinox as eqx
import jax
import jax.random as jr
import numpy as np
import pytest

from subgrid.diffusion.gaussian_conditional import condition
from subgrid.downscaling.conditional.flow import ConditionalFlow, flow_loss
from subgrid.downscaling.conditional.refinement import n_refined

from ...cases import few
from .gaussian_truth import CASES, as_prior, covariance_of, matrix_of, noisy, posterior, silent


def setting(name, noise_variance=0.0):
    operator, n_channels = CASES[name]
    covariance = covariance_of(operator.fine_shape, n_channels)
    prior = as_prior(covariance, (n_channels, *operator.fine_shape))
    conditional = condition(prior, operator, (n_channels, *operator.coarse_shape), noise_variance=noise_variance)
    y = jax.device_put(np.random.default_rng(7).normal(size=(n_channels, *operator.coarse_shape)).astype(np.float32))
    return covariance, conditional, silent(operator.fine_shape, n_channels), y


@pytest.mark.parametrize("n_steps", few([3, 1]))
@pytest.mark.parametrize("noise_variance", [0.0, 0.05])
@pytest.mark.parametrize("name", few(CASES, 2))
def test_a_silent_network_draws_from_the_gaussian_posterior(name, noise_variance, n_steps):
    covariance, conditional, network, y = setting(name, noise_variance)
    flow, n = ConditionalFlow(conditional, network), 4000
    draw = eqx.filter_jit(eqx.filter_vmap(lambda flow, k: flow.sample(y, n_steps=n_steps, key=k), in_axes=(None, 0)))
    draws = np.float64(draw(flow, jr.split(jr.key(0), n))).reshape(n, -1)
    mean, spread = posterior(covariance, matrix_of(conditional.operator, len(y)), y, noise_variance)
    # Three standard errors: √(tr P/n) of the mean, √(((tr P)² + ‖P‖²)/n) of the covariance.
    trace, norm = np.trace(spread), np.linalg.norm(spread)
    assert np.linalg.norm(draws.mean(0) - mean) < 3 * np.sqrt(trace / n)
    assert np.linalg.norm(np.cov(draws.T) - spread) < 3 * np.sqrt((trace**2 + norm**2) / n)


@pytest.mark.parametrize("name", few(CASES, 2))
def test_draws_keep_to_y_for_any_weights(name):
    _, conditional, network, y = setting(name)
    draw = eqx.filter_jit(lambda flow: flow.sample(y, n_steps=3, key=jr.key(0)))
    one, other = (np.asarray(draw(ConditionalFlow(conditional, n))) for n in (network, noisy(network)))
    np.testing.assert_allclose(jax.jit(conditional.operator)(other), y, atol=1e-4)
    assert np.abs(one - other).max() > 1e-2  # the weights do say something


@pytest.mark.parametrize("noise_variance", [0.0, 0.05])
@pytest.mark.parametrize("name", few(CASES, 2))
def test_the_loss_of_a_silent_network_on_gaussian_fields_is_one(name, noise_variance):
    _, conditional, network, _ = setting(name, noise_variance)
    n = 2000
    fields = jax.jit(jax.vmap(lambda k: conditional.prior.sample(key=k)))(jr.split(jr.key(0), n))
    loss = eqx.filter_jit(flow_loss)(ConditionalFlow(conditional, network), fields, key=jr.key(1))
    # A mean of n × modes squares of standard normal numbers, each of variance 2; four standard errors.
    assert loss == pytest.approx(1, abs=4 * np.sqrt(2 / (n * float(n_refined(conditional)))))


class Oscillator(eqx.Module):
    """F with λ^½ F = −z/2: dz/dθ = −z/2, whose solution is known."""

    conditional: object
    y: jax.Array

    def __call__(self, features, theta):
        return -features[:1] / 2  # the first feature is Σ_y^−½ z


def test_steps_are_of_second_order():
    _, conditional, _, y = setting("subsample, 1-D")
    flow = ConditionalFlow(conditional, Oscillator(conditional, y))

    @eqx.filter_jit
    def solutions(flow, y, key):
        steps = [flow.sample(y, n_steps=n, key=key) for n in (8, 16, 32)]
        return conditional.given(y).sample(key=key), conditional.mean(y), steps

    start, mean, found = jax.tree.map(np.asarray, solutions(flow, y, jr.key(0)))
    exact = mean + np.exp(-np.pi / 4) * (start - mean)
    errors = [np.abs(each - exact).max() for each in found]
    orders = np.log2(np.array(errors[:-1]) / np.array(errors[1:]))
    np.testing.assert_allclose(orders, 2, atol=0.25)
