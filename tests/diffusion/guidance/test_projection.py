"""What the projection promises: the constraint for any strength; for white priors, without strength, the posterior."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from subgrid.diffusion.denoiser import gaussian_denoiser
from subgrid.diffusion.guidance.projection import projection
from subgrid.diffusion.noise_levels import karras_grid
from subgrid.diffusion.samplers import ExponentialMultistep, sample
from subgrid.numerics.operators import BlockMean, SparseCoarsening, Subsample

N = 16
REGRID = np.kron(np.eye(4), [[0.4, 0.3, 0.2, 0.1]])
OPERATORS = {
    "subsample": Subsample((N,), 4),
    "block mean": BlockMean((N,), 4),
    "sparse": SparseCoarsening(REGRID, fine_shape=(N,), coarse_shape=(4,)),
}
Y = jnp.asarray([1.0, -0.5, 0.3, 2.0])


def wild_denoiser(x, sigma):
    return jnp.sin(3 * x) + jnp.roll(x, 1) ** 2


@pytest.mark.parametrize("strength", [None, 0.0, -3.0, 50.0])
@pytest.mark.parametrize("name", OPERATORS)
def test_constraint_holds_for_every_strength_and_denoiser(name, strength):
    guided = projection(wild_denoiser, OPERATORS[name], Y, strength=strength)
    x = guided(jr.normal(jr.key(0), (1, N)), jnp.asarray(0.3))
    np.testing.assert_allclose(OPERATORS[name](x)[0], Y, atol=1e-3)  # float32, with |G| up to 10³ at strength 50


def white_posterior(matrix, x, sigma, std, noise_variance):
    """Posterior mean of N(0, std²) points seen as x (noise σ) and as y (noise Σ_y), by stacking the observations."""
    stacked = np.concatenate([np.eye(N), matrix])
    noise = np.diag(np.concatenate([np.full(N, sigma**2), np.full(len(matrix), noise_variance)]))
    return (
        std**2 * stacked.T @ np.linalg.solve(std**2 * stacked @ stacked.T + noise, np.concatenate([x, np.asarray(Y)]))
    )


@pytest.mark.parametrize("noise_variance", [0.0, 0.3])
@pytest.mark.parametrize("name", OPERATORS)
def test_white_prior_without_strength_is_exact(name, noise_variance):
    std, sigma, x = 1.7, 0.8, np.random.default_rng(0).normal(size=N)
    matrix = np.asarray(jax.vmap(OPERATORS[name], 1, 1)(jnp.eye(N)))
    denoiser = gaussian_denoiser(jnp.zeros(N), std**2 * jnp.eye(N))
    guided = projection(denoiser, OPERATORS[name], Y, strength=0.0, noise_variance=noise_variance, data_variance=std**2)
    exact = white_posterior(matrix, x, sigma, std, noise_variance)
    np.testing.assert_allclose(guided(jnp.asarray(x, jnp.float32), jnp.asarray(sigma)), exact, atol=1e-5)


def test_sampling_a_white_prior_under_noise_gives_the_posterior():
    operator, noise_variance = OPERATORS["block mean"], 0.3
    guided = projection(
        gaussian_denoiser(jnp.zeros(N), jnp.eye(N)), operator, Y, strength=0.0, noise_variance=noise_variance
    )
    levels = karras_grid(96)
    flow = lambda x: sample(guided, x, levels, method=ExponentialMultistep(), key=jr.key(0))  # noqa: E731
    offset, linear = np.float64(flow(jnp.zeros(N))), np.float64(jax.jacfwd(flow)(jnp.zeros(N)))
    # The flow is affine, so its moments are those of the start carried through it.
    matrix = np.kron(np.eye(4), np.full((1, 4), 0.25))
    gain = matrix.T @ np.linalg.inv(matrix @ matrix.T + noise_variance * np.eye(4))
    np.testing.assert_allclose(offset, gain @ np.asarray(Y), atol=0.02)
    covariance = np.eye(N) - gain @ matrix
    assert np.linalg.norm(80**2 * linear @ linear.T - covariance) < 0.02 * np.linalg.norm(covariance)


def test_default_strength_is_fine_over_coarse_size():
    # D = x has J = I: G = x − 2αC′ᵀ(C′x − y), seen where a huge noise variance switches the projection off.
    operator, x = OPERATORS["subsample"], jr.normal(jr.key(0), (N,))
    guided = projection(lambda x, sigma: x, operator, Y, noise_variance=1e12)
    expected = x.at[::4].add(-2 * 4.0 * (x[::4] - Y))
    np.testing.assert_allclose(guided(x, jnp.asarray(1.0)), expected, atol=1e-4)


def test_noise_shrinks_the_pull_and_vanishing_noise_restores_it():
    operator, x = OPERATORS["block mean"], jr.normal(jr.key(0), (N,))
    misfit = [
        float(jnp.linalg.norm(operator(projection(PRIOR, operator, Y, noise_variance=v)(x, jnp.asarray(0.5))) - Y))
        for v in (0.0, 1e-6, 0.1, 10.0)
    ]
    assert misfit[0] < 1e-5
    assert misfit[1] < 1e-3
    assert misfit[0] < misfit[2] < misfit[3]


PRIOR = gaussian_denoiser(jnp.zeros(N), jnp.eye(N))


def test_gradient_is_finite():
    guided = projection(PRIOR, OPERATORS["sparse"], Y, noise_variance=0.1)
    gradient = jax.grad(lambda x: jnp.sum(guided(x, jnp.asarray(2e-3)) ** 2))(jnp.ones(N))
    assert np.isfinite(gradient).all()
