"""The Gaussian gain on Gaussian fields, where it must give the exact posterior; and on any denoiser, the constraint."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from subgrid.diffusion.driver import sample
from subgrid.diffusion.gaussian_prior import GaussianPrior
from subgrid.diffusion.guidance.gaussian import gaussian_gain
from subgrid.diffusion.noise_levels import karras_grid
from subgrid.diffusion.samplers import AncestralMultistep
from subgrid.numerics.from_numpy import from_numpy
from subgrid.numerics.operators import BlockMean, Subsample

from ...cases import few
from ..gaussian_fields import as_prior, denoised, denoised_by

N = 32


def smooth_covariance():
    distance = abs(np.arange(N)[:, None] - np.arange(N)) / N
    distance = np.minimum(distance, 1 - distance)
    return np.exp(-0.5 * (distance / 0.08) ** 2) + 1e-4 * np.eye(N)


COVARIANCE = smooth_covariance()
VALUES, VECTORS = np.linalg.eigh(COVARIANCE)
PRIOR = GaussianPrior(
    *(from_numpy(a) for a in (np.zeros(N), VECTORS.T[::-1][:20], VALUES[::-1][:20], 1e-4, np.ones(N)))
)

WHOLE = as_prior(np.zeros(N), COVARIANCE, (N,))


def wild_denoiser(x, sigma):
    return jnp.sin(x)


def matrix_of(operator):
    return np.asarray(jax.vmap(operator, 1, 1)(jnp.eye(N)), np.float64)


@pytest.mark.parametrize("noise_variance", [0.0, 0.05], ids=["exact", "noisy"])
@pytest.mark.parametrize("operator", few([BlockMean((N,), 4), Subsample((N,), 4)]))
def test_gaussian_posterior(operator, noise_variance):
    rng = np.random.default_rng(0)
    c = matrix_of(operator)
    y = c @ np.linalg.cholesky(COVARIANCE) @ rng.normal(size=N) + np.sqrt(noise_variance) * rng.normal(size=len(c))
    gain = COVARIANCE @ c.T @ np.linalg.inv(c @ COVARIANCE @ c.T + noise_variance * np.eye(len(c)))
    mean, covariance = gain @ y, COVARIANCE - gain @ c @ COVARIANCE
    levels = karras_grid(48)

    @eqx.filter_jit
    def draw(y, keys):
        guided = gaussian_gain(PRIOR, operator, y, prior=PRIOR, noise_variance=noise_variance)
        start = lambda k: levels[0] * jr.normal(jr.fold_in(k, 1), (N,))  # noqa: E731
        return jax.vmap(lambda k: sample(guided, start(k), levels, method=AncestralMultistep(), key=k))(keys)

    drawn = np.asarray(draw(jnp.asarray(y, jnp.float32), jr.split(jr.key(0), 4000)))
    spread = np.sqrt(np.trace(covariance) / 4000)  # sampling error of a mean of 4000 draws
    assert np.linalg.norm(drawn.mean(0) - mean) < 4 * spread + 0.01 * np.linalg.norm(mean)
    # 4000 draws: a covariance to about √(2/4000)·√(rank) = 6 %.
    assert np.linalg.norm(np.cov(drawn.T) - covariance) < 0.1 * np.linalg.norm(covariance)
    if noise_variance == 0:
        np.testing.assert_allclose(drawn @ c.T, np.broadcast_to(y, (4000, len(c))), atol=2e-3)


@pytest.mark.parametrize("sigma", [0.01, 1.0, 30.0])
@pytest.mark.parametrize("noise", [0.0, 0.2, "its own"])
@pytest.mark.parametrize("operator", [Subsample((N,), 4), BlockMean((N,), 4)], ids=["every 4th", "means of 4"])
def test_denoiser_is_the_posterior_mean(operator, noise, sigma):
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=N), rng.normal(size=N // 4)
    noise = rng.uniform(0.05, 0.3, y.shape) if noise == "its own" else noise
    exact = denoised(np.zeros(N), COVARIANCE, matrix_of(operator), y, noise, x, sigma)
    variance = jnp.asarray(noise, jnp.float32) if np.ndim(noise) else noise
    given = gaussian_gain, WHOLE, operator, jnp.asarray(y, jnp.float32), jnp.asarray(x, jnp.float32), jnp.asarray(sigma)
    got = denoised_by(*given, prior=WHOLE, noise_variance=variance)
    np.testing.assert_allclose(got, exact, atol=2e-3 * np.abs(exact).max())  # float32, a Gram matrix of κ ≲ 10³
    if np.ndim(noise) == 0:
        each = denoised_by(*given, prior=WHOLE, noise_variance=jnp.full(8, noise))
        np.testing.assert_allclose(each, got, atol=1e-6)


@pytest.mark.parametrize("sigma", [0.01, 1.0, 50.0])
def test_the_constraint_holds_for_any_denoiser(sigma):
    operator, y = BlockMean((N,), 8), jnp.asarray([1.0, -2.0, 0.5, 3.0])
    x = denoised_by(
        gaussian_gain, wild_denoiser, operator, y, jr.normal(jr.key(0), (N,)), jnp.asarray(sigma), prior=PRIOR
    )
    np.testing.assert_allclose(operator(x), y, atol=1e-4)
