"""The refined denoiser: exact for Gaussians with a silent network, tied to y with any, and a loss of known size."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from subgrid.diffusion.gaussian_conditional import condition
from subgrid.diffusion.gaussian_steps import GaussianODE, GaussianSDE
from subgrid.diffusion.noise_levels import exponential_grid
from subgrid.diffusion.objective import log_uniform_levels
from subgrid.diffusion.propagation import sampled_moments
from subgrid.downscaling.conditional.refinement import ConditionalDenoiser, jittered, n_refined, refinement_loss
from subgrid.numerics.operators import Subsample

from ...cases import few
from .gaussian_truth import CASES, as_prior, covariance_of, matrix_of, noisy, posterior, silent


def setting(name, noise_variance=0.0):
    operator, n_channels = CASES[name]
    covariance = covariance_of(operator.fine_shape, n_channels)
    prior = as_prior(covariance, (n_channels, *operator.fine_shape))
    conditional = condition(prior, operator, (n_channels, *operator.coarse_shape), noise_variance=noise_variance)
    y = jax.device_put(np.random.default_rng(7).normal(size=(n_channels, *operator.coarse_shape)).astype(np.float32))
    return covariance, conditional, silent(operator.fine_shape, n_channels), y


@pytest.mark.slow
@pytest.mark.parametrize("noise_variance", [0.0, 0.05])
@pytest.mark.parametrize("method", [GaussianSDE, GaussianODE])
@pytest.mark.parametrize("name", few(CASES, 2))
def test_a_silent_network_samples_the_gaussian_posterior_at_any_number_of_levels(name, method, noise_variance):
    covariance, conditional, network, y = setting(name, noise_variance)
    denoiser, gaussian = ConditionalDenoiser(conditional, network).given(y), conditional.given(y)
    levels = exponential_grid(3, sigma_max=10.0, sigma_min=3e-3)
    mean, spread = eqx.filter_jit(sampled_moments)(denoiser, gaussian.mean.shape, levels, method=method(gaussian))
    matrix = matrix_of(conditional.operator, len(y))
    expected_mean, expected_spread = posterior(covariance, matrix, y, noise_variance)
    # float32 through noise of 10, for fields of variance 1.
    np.testing.assert_allclose(mean, expected_mean, atol=3e-5)
    np.testing.assert_allclose(spread, expected_spread, atol=3e-5)


@pytest.mark.parametrize("name", few(CASES, 2))
def test_denoised_fields_keep_to_y_at_every_level_for_any_weights(name):
    _, conditional, network, y = setting(name)

    @eqx.filter_jit
    def denoised(network, sigma):
        x = conditional.given(y).sample(key=jr.key(2)) + sigma * jr.normal(jr.key(3), conditional.prior.mean.shape)
        found = ConditionalDenoiser(conditional, network).given(y)(x, sigma)
        return found, conditional.operator(found)

    for sigma in np.float32([3e-3, 0.3, 10.0]):
        (plain, _), (found, coarse) = (denoised(n, jnp.asarray(sigma)) for n in (network, noisy(network)))
        np.testing.assert_allclose(coarse, y, atol=1e-4)
        if sigma > 0.01:  # below, there is little left to refine
            assert np.abs(np.asarray(found) - plain).max() > 1e-3  # the weights do say something


@pytest.mark.parametrize("noise_variance", [0.0, 0.05])
@pytest.mark.parametrize("name", few(CASES, 2))
def test_the_loss_of_a_silent_network_on_gaussian_fields_is_one(name, noise_variance):
    _, conditional, network, _ = setting(name, noise_variance)
    n = 2000
    fields = jax.jit(jax.vmap(lambda k: conditional.prior.sample(key=k)))(jr.split(jr.key(0), n))
    denoiser = ConditionalDenoiser(conditional, network)
    levels = log_uniform_levels(3e-3, 10.0)
    loss = eqx.filter_jit(refinement_loss)(denoiser, fields, noise_levels=levels, key=jr.key(1))
    # A mean of n × modes squares of standard normal numbers, each of variance 2; four standard errors.
    assert loss == pytest.approx(1, abs=4 * np.sqrt(2 / (n * float(n_refined(conditional)))))


@pytest.mark.slow
def test_fields_that_y_determines_leave_nothing_to_learn():
    """One cosine of known phase, observed at four points: a loss of zero, not 0/0."""
    wave = np.cos(2 * np.pi * np.arange(16) / 16)
    prior = as_prior(np.outer(wave, wave), (1, 16))
    denoiser = ConditionalDenoiser(condition(prior, Subsample((16,), 4), (1, 4)), silent((16,), 1))
    fields = jax.vmap(lambda k: prior.sample(key=k))(jr.split(jr.key(0), 8))
    assert refinement_loss(denoiser, fields, noise_levels=log_uniform_levels(3e-3, 10.0), key=jr.key(1)) == 0


def test_jitter_is_the_noise_of_the_conditional_channel_by_channel():
    operator = Subsample((16,), 4)
    prior = as_prior(covariance_of((16,), 2), (2, 16))
    noise = np.broadcast_to(np.array([[0.0], [0.09]]), (2, 4))
    conditional = condition(prior, operator, (2, 4), noise_variance=noise)
    fields = np.zeros((4000, 2, 16), np.float32)
    found = np.asarray(eqx.filter_jit(jittered)(conditional, jnp.asarray(fields), key=jr.key(0)))
    assert (found[:, 0] == 0).all()
    # 16 000 values: the standard deviation is known to 1/√(2·16 000) = .6 %; four of those.
    assert found[:, 1].std() == pytest.approx(0.3, rel=0.025)
