"""What the projection promises: the constraint for any strength; for white priors, without strength, the posterior."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from subgrid.diffusion.denoiser import gaussian_denoiser
from subgrid.diffusion.guidance.projected import projection
from subgrid.diffusion.noise_levels import exponential_grid
from subgrid.diffusion.propagation import sampled_moments
from subgrid.diffusion.samplers import ExponentialMultistep
from subgrid.numerics.operators import BlockMean, SparseCoarsening, Subsample

from ..gaussian_fields import denoised_by

N = 16
REGRID = np.kron(np.eye(4), [[0.4, 0.3, 0.2, 0.1]])
OPERATORS = {
    "subsample": Subsample((N,), 4),
    "block mean": BlockMean((N,), 4),
    "sparse": SparseCoarsening(REGRID, fine_shape=(N,), coarse_shape=(4,)),
}
Y = jax.device_put(np.float32([1.0, -0.5, 0.3, 2.0]))


def wild_denoiser(x, sigma):
    return jnp.sin(3 * x) + jnp.roll(x, 1) ** 2


@pytest.mark.parametrize("strength", [None, 0.0, -3.0, 50.0])
@pytest.mark.parametrize("name", OPERATORS)
def test_constraint_holds_for_every_strength_and_denoiser(name, strength):
    start = jr.normal(jr.key(0), (1, N))
    x = denoised_by(projection, wild_denoiser, OPERATORS[name], Y, start, jnp.asarray(0.3), strength=strength)
    np.testing.assert_allclose(OPERATORS[name](x)[0], Y, atol=1e-3)  # float32, with |G| up to 10³ at strength 50


def matrix_of(name):
    return np.asarray(jax.vmap(OPERATORS[name], 1, 1)(jnp.eye(N)), np.float64)


@pytest.mark.parametrize("name", OPERATORS)
def test_white_prior_without_strength_is_exact(name):
    # The posterior mean of N(0, std²) points seen as x (noise σ) and as y (exactly): x shrunk, its rows of C′ replaced.
    std, sigma, x, c = 1.7, 0.8, np.random.default_rng(0).normal(size=N), matrix_of(name)
    shrunk = std**2 / (std**2 + sigma**2) * x
    exact = shrunk + c.T @ np.linalg.solve(c @ c.T, np.asarray(Y) - c @ shrunk)
    white, start = gaussian_denoiser(jnp.zeros(N), std**2 * jnp.eye(N)), jnp.asarray(x, jnp.float32)
    got = denoised_by(projection, white, OPERATORS[name], Y, start, jnp.asarray(sigma), strength=0.0)
    np.testing.assert_allclose(got, exact, atol=1e-5)


@pytest.mark.parametrize("name", OPERATORS)
def test_sampling_a_white_prior_without_strength_gives_the_posterior(name):
    guided = projection(gaussian_denoiser(jnp.zeros(N), jnp.eye(N)), OPERATORS[name], Y, strength=0.0)
    mean, covariance = sampled_moments(guided, (N,), exponential_grid(96), method=ExponentialMultistep())
    c = matrix_of(name)
    gain = c.T @ np.linalg.inv(c @ c.T)
    np.testing.assert_allclose(mean, gain @ np.asarray(Y), atol=1e-4)
    exact = np.eye(N) - gain @ c  # at 96 levels the steps cost less than .1 % of the standard deviation
    assert np.linalg.norm(np.float64(covariance) - exact) < 2e-3 * np.linalg.norm(exact)


def test_default_strength_is_fine_over_coarse_size():
    # D = x + (x one point to the left) at every point, so the gradient of the misfit r reaches that neighbour: −2αr,
    # with α = 16/4; the observed points themselves are replaced.
    operator, x = OPERATORS["subsample"], jr.normal(jr.key(0), (N,))
    denoiser = lambda x, sigma: x + jnp.roll(x, 1)  # noqa: E731
    denoised = denoiser(x, 1.0)
    expected = denoised.at[jnp.arange(0, N, 4) - 1].add(-2 * 4.0 * (denoised[::4] - Y)).at[::4].set(Y)
    guided = projection(denoiser, operator, Y)
    np.testing.assert_allclose(guided(x, jnp.asarray(1.0)), expected, atol=1e-4)


def test_noisy_values_are_refused():
    with pytest.raises(TypeError, match="noise_variance"):
        projection(wild_denoiser, OPERATORS["subsample"], Y, noise_variance=0.1)  # pyright: ignore[reportCallIssue]


def test_gradient_is_finite():
    guided = projection(gaussian_denoiser(jnp.zeros(N), jnp.eye(N)), OPERATORS["sparse"], Y)
    gradient = jax.jit(jax.grad(lambda x: jnp.sum(guided(x, jnp.asarray(2e-3)) ** 2)))(jnp.ones(N))
    assert np.isfinite(gradient).all()
