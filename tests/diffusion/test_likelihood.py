"""Log-likelihoods of Gaussians, against their densities."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from scipy.stats import multivariate_normal

from subgrid.diffusion.denoiser import gaussian_denoiser
from subgrid.diffusion.likelihood import log_likelihood
from subgrid.diffusion.process import CosineVariancePreserving, VarianceExploding, VariancePreserving
from subgrid.numerics.divergence import exact_divergence, hutchinson_divergence

PROCESSES = {"VE": VarianceExploding(), "VP": VariancePreserving(), "VP cosine": CosineVariancePreserving()}
COVARIANCE = np.array([[1.0, 0.6, 0.1], [0.6, 0.8, -0.2], [0.1, -0.2, 0.5]])
MEAN = np.array([0.3, -1.0, 0.5])


def levels_of(process):
    return {"sigma_min": process.sigma_min, "sigma_max": float(process.noise_level(jnp.ones(())))}


@pytest.mark.slow
@pytest.mark.parametrize("process", PROCESSES)
@pytest.mark.parametrize(
    "divergence", [exact_divergence, hutchinson_divergence(64, key=jr.key(0))], ids=["exact", "Hutchinson"]
)
def test_standard_normal(process, divergence):
    denoiser = gaussian_denoiser(jnp.zeros(4), jnp.eye(4))
    got = log_likelihood(denoiser, jnp.full(4, 0.5), divergence=divergence, **levels_of(PROCESSES[process]))
    # −2 ln 2π − ½·4·¼; the tolerance is the specification's.
    assert got == pytest.approx(-4.17575, abs=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(3,), (1, 3), (3, 1, 1)])
def test_correlated_gaussian_of_any_shape(shape):
    x = np.array([1.0, 0.2, -0.4])
    denoiser = gaussian_denoiser(jnp.asarray(MEAN, jnp.float32), jnp.asarray(COVARIANCE, jnp.float32))
    got = log_likelihood(denoiser, jnp.asarray(x, jnp.float32).reshape(shape), sigma_max=800.0)
    # The terminal density is centred: an error of μᵀΣ^(−½)(x − μ)/σ_max ≈ .002 here, .02 at σ_max = 80.
    assert got == pytest.approx(multivariate_normal(MEAN, COVARIANCE).logpdf(x), abs=0.01)


@pytest.mark.slow
def test_it_is_the_likelihood_of_the_data_blurred_by_the_smallest_level():
    denoiser = gaussian_denoiser(jnp.zeros(1), jnp.eye(1))
    got = log_likelihood(denoiser, jnp.asarray([0.7]), sigma_min=1.0)
    assert got == pytest.approx(multivariate_normal([0.0], [[2.0]]).logpdf([0.7]), abs=0.002)


def test_hutchinson_with_many_probes_agrees_with_the_trace():
    n_probes = 2000
    denoiser = gaussian_denoiser(jnp.zeros(3), jnp.asarray(COVARIANCE, jnp.float32))
    x = jnp.asarray([1.0, 0.2, -0.4])
    got = log_likelihood(denoiser, x, divergence=hutchinson_divergence(n_probes, key=jr.key(1)))
    # The variance of one probe is 2Σ_{i≠j}J_ij² (real signs, symmetric J); the same probes serve all levels, so their
    # errors add up coherently over ln σ. Four standard errors, and the solver's tolerance.
    grid = np.linspace(np.log(2e-3), np.log(80.0), 400)
    jacobians = [COVARIANCE @ np.linalg.inv(COVARIANCE + np.exp(2 * u) * np.eye(3)) for u in grid]
    one_probe = [np.sqrt(2 * np.sum((j - np.diag(np.diag(j))) ** 2)) for j in jacobians]
    error = np.trapezoid(one_probe, grid) / np.sqrt(n_probes)
    assert got == pytest.approx(multivariate_normal(np.zeros(3), COVARIANCE).logpdf(x), abs=4 * error + 0.005)


def test_divergences_of_a_linear_field():
    matrix = jr.normal(jr.key(0), (5, 5))
    value, trace = exact_divergence(lambda x: matrix @ x, jnp.ones(5))
    np.testing.assert_allclose(value, matrix.sum(1), rtol=1e-5)
    assert trace == pytest.approx(float(jnp.trace(matrix)), rel=1e-5)
    estimates = jax.vmap(lambda k: hutchinson_divergence(1, key=k)(lambda x: matrix @ x, jnp.ones(5))[1])(
        jr.split(jr.key(1), 4000)
    )
    assert estimates.mean() == pytest.approx(float(trace), abs=4 * float(estimates.std()) / np.sqrt(4000))


def test_gradient_is_the_score():
    x = jnp.asarray([1.0, 0.2, -0.4])
    denoiser = gaussian_denoiser(jnp.zeros(3), jnp.asarray(COVARIANCE, jnp.float32))
    gradient = jax.grad(lambda z: log_likelihood(denoiser, z, sigma_min=0.05, sigma_max=50.0, tolerance=1e-5))(x)
    exact = -np.linalg.solve(COVARIANCE + 0.05**2 * np.eye(3), x)
    np.testing.assert_allclose(gradient, exact, atol=0.02)  # the solver's relative tolerance 1e-3, accumulated
