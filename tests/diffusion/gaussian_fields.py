"""Gaussian fields and their posteriors by dense algebra: the truth that samplers and guidance are held to."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from subgrid.diffusion.gaussian_prior import GaussianPrior
from subgrid.numerics.from_numpy import from_numpy


def ring(n: int = 36) -> np.ndarray:
    """Covariance exp(−½(d/.08)²) + 1e-4 I of n points on a circle of length 1, d the distance around it."""
    return _correlation(n, 0.08) + 1e-4 * np.eye(n)


def torus(n: int = 12) -> np.ndarray:
    """Covariance of n × n points, periodic along both axes: exp(−½(d/.12)²) + 1e-4 I."""
    one = _correlation(n, 0.12)
    return np.kron(one, one) + 1e-4 * np.eye(n * n)


def _correlation(n: int, length: float) -> np.ndarray:
    distance = abs(np.arange(n)[:, None] - np.arange(n)) / n
    return np.exp(-0.5 * (np.minimum(distance, 1 - distance) / length) ** 2)


def as_prior(mean: np.ndarray, covariance: np.ndarray, shape: tuple[int, ...]) -> GaussianPrior:
    """N(m, Σ) by its eigenpairs: all but the smallest as components, the smallest as the remainder."""
    variances, vectors = np.linalg.eigh(covariance)
    variances, components = variances[::-1], vectors.T[::-1].reshape(-1, *shape)
    parts = mean.reshape(shape), components[:-1], variances[:-1], variances[-1], np.ones(shape)
    return GaussianPrior(*(from_numpy(part, jnp.result_type(float)) for part in parts))


def matrix_of(operator, shape: tuple[int, ...]) -> np.ndarray:
    """C′ as a matrix on flattened fields."""
    units = np.eye(int(np.prod(shape))).reshape(-1, *shape).astype(jnp.result_type(float))
    return np.asarray(jax.jit(jax.vmap(operator))(units), np.float64).reshape(len(units), -1).T


def posterior(mean, covariance, matrix, y, noise) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of x given C′x + N(0, Σ_y) = y; `noise` one variance, or one for each value."""
    innovations = matrix @ covariance @ matrix.T + np.diag(np.broadcast_to(np.ravel(noise), len(matrix)))
    gain = np.linalg.solve(innovations, matrix @ covariance).T
    return mean + gain @ (np.ravel(y) - matrix @ mean), covariance - gain @ matrix @ covariance


def denoised(mean, covariance, matrix, y, noise, x, sigma) -> np.ndarray:
    """E[x₀ | x₀ + σε = x, C′x₀ + N(0, Σ_y) = y]: the posterior, seen once more through noise."""
    m, P = posterior(mean, covariance, matrix, y, noise)
    return m + P @ np.linalg.solve(P + sigma**2 * np.eye(len(P)), x - m)


def largest_error(moments, mean, covariance) -> float:
    """Of a mean and a covariance matrix: the larger error, in standard deviations and variances of the field."""
    scale = np.sqrt(np.trace(covariance) / len(covariance))
    got_mean, got_covariance = (np.asarray(part, np.float64) for part in moments)
    off = np.abs(got_mean - np.ravel(mean)).max() / scale
    return max(off, np.abs(got_covariance - covariance).max() / scale**2)


@eqx.filter_jit
def denoised_by(guidance, denoiser, operator, y, x, sigma, **options):
    """What a guided denoiser says, as one program: one by one, its many small operations take longer to compile."""
    return guidance(denoiser, operator, y, **options)(x, sigma)
