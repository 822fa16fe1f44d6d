"""Denoisers: Tweedie's formula, conversions, and the preconditioning of the network."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from jax.scipy.stats import multivariate_normal

from subgrid.diffusion.denoiser import (
    Preconditioned,
    denoiser_from_noise,
    denoiser_from_score,
    gaussian_denoiser,
    noise_from_denoiser,
    score_from_denoiser,
)

MEAN = jax.device_put(np.float32([0.5, -1.0, 2.0]))
COVARIANCE = jax.device_put(np.float32([[1.0, 0.5, 0.0], [0.5, 2.0, -0.3], [0.0, -0.3, 0.4]]))
SIGMA = jax.device_put(np.float32(0.7))


def test_score_is_the_gradient_of_the_blurred_density():
    x = jnp.asarray([1.0, 0.0, -0.5])
    blurred = COVARIANCE + SIGMA**2 * jnp.eye(3)
    exact = jax.grad(lambda z: multivariate_normal.logpdf(z, MEAN, blurred))(x)
    score = score_from_denoiser(gaussian_denoiser(MEAN, COVARIANCE))(x, SIGMA)
    # A component near zero is a difference of numbers of order 3, each rounded by 2e-7 in float32.
    np.testing.assert_allclose(score, exact, rtol=1e-4, atol=1e-6)


def test_gaussian_denoiser_is_the_posterior_mean_by_quadrature():
    grid = np.linspace(-12, 12, 4001)
    for sigma, x in ((0.3, 1.0), (2.0, -3.0), (10.0, 8.0)):
        weight = np.exp(-0.5 * (grid - 0.5) ** 2 / 1.44 - 0.5 * (x - grid) ** 2 / sigma**2)
        exact = np.sum(grid * weight) / np.sum(weight)
        got = gaussian_denoiser(jnp.asarray([0.5]), jnp.asarray([[1.44]]))(jnp.asarray([x]), jnp.asarray(sigma))
        assert got[0] == pytest.approx(exact, rel=1e-4)


@pytest.mark.parametrize("shape", [(3,), (1, 3), (3, 1, 1)])
def test_fields_are_flattened_and_restored(shape):
    x = jnp.asarray([1.0, 0.0, -0.5])
    denoise = gaussian_denoiser(MEAN, COVARIANCE)
    np.testing.assert_allclose(denoise(x.reshape(shape), SIGMA), denoise(x, SIGMA).reshape(shape), rtol=1e-6)


def test_conversions_invert_each_other():
    x, denoise = jr.normal(jr.key(0), (3,)), gaussian_denoiser(MEAN, COVARIANCE)
    np.testing.assert_allclose(
        denoiser_from_score(score_from_denoiser(denoise))(x, SIGMA), denoise(x, SIGMA), rtol=1e-5
    )
    np.testing.assert_allclose(
        denoiser_from_noise(noise_from_denoiser(denoise))(x, SIGMA), denoise(x, SIGMA), rtol=1e-5
    )


def test_noise_is_the_mean_of_the_noise():
    # E[ε | x] for unit data: x = x₀ + σε gives σx/(1 + σ²).
    unit = gaussian_denoiser(jnp.zeros(2), jnp.eye(2))
    x = jnp.asarray([2.0, -1.0])
    np.testing.assert_allclose(noise_from_denoiser(unit)(x, SIGMA), SIGMA / (1 + SIGMA**2) * x, rtol=1e-6)


class Constant(eqx.Module):
    value: float

    def __call__(self, x, noise):
        return jnp.full_like(x, self.value)


class Input(eqx.Module):
    def __call__(self, x, noise):
        return x


class Noise(eqx.Module):
    def __call__(self, x, noise):
        return jnp.full_like(x, noise)


@pytest.mark.parametrize("sigma", [0.01, 1.0, 50.0])
def test_a_silent_network_gives_the_best_linear_denoiser(sigma):
    denoise = Preconditioned(Constant(0.0), sigma_data=0.5)
    assert denoise(jnp.asarray([3.0]), jnp.asarray(sigma))[0] == pytest.approx(3 * 0.25 / (0.25 + sigma**2), rel=1e-5)


@pytest.mark.parametrize("sigma", [0.01, 1.0, 50.0])
def test_network_sees_and_must_give_unit_variance(sigma):
    n, sigma_data = 100_000, 0.5
    clean = sigma_data * jr.normal(jr.key(0), (n,))
    noisy, level = clean + sigma * jr.normal(jr.key(1), (n,)), jnp.asarray(sigma)
    skip = Preconditioned(Constant(0.0), sigma_data)(noisy, level)
    out = Preconditioned(Constant(1.0), sigma_data)(noisy, level) - skip
    seen = (Preconditioned(Input(), sigma_data)(noisy, level) - skip) / out
    wanted = (clean - skip) / out
    # Four standard errors of a standard deviation; float32 cancels to 1e-3 where σ ≪ σ_d.
    assert seen.std() == pytest.approx(1.0, abs=4 / np.sqrt(2 * n) + 1e-3)
    assert wanted.std() == pytest.approx(1.0, abs=4 / np.sqrt(2 * n) + 1e-3)


def test_network_is_difference_a_quarter_of_the_log_noise():
    denoise, sigma = Preconditioned(Noise()), jnp.asarray(3.0)
    silent = Preconditioned(Constant(0.0))(jnp.ones(1), sigma)
    assert (denoise(jnp.ones(1), sigma) - silent)[0] == pytest.approx(np.log(3) / 4 * 3 / np.sqrt(10), rel=1e-5)


def test_gradients_are_finite_at_both_ends():
    for sigma in (2e-3, 152.0):
        gradient = jax.grad(lambda s: Preconditioned(Input())(jnp.ones(2), s).sum())(sigma)
        assert np.isfinite(gradient)


class Last(eqx.Module):
    """The last channel of what it is shown."""

    def __call__(self, features, noise):
        return features[-1:]


def test_a_context_reaches_the_network_as_it_is():
    x, context, sigma = jnp.full((1, 3), 2.0), jnp.full((1, 3), 0.7), jnp.asarray(3.0)
    difference = Preconditioned(Last())(x, sigma, context) - Preconditioned(Constant(0.0))(x, sigma)
    np.testing.assert_allclose(
        difference, 0.7 * 3 / np.sqrt(10), rtol=1e-5
    )  # c_out F, F the context, not scaled by c_in
