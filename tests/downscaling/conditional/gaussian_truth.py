"""Gaussian fields and their posteriors by dense algebra in float64, and networks that say nothing or anything."""

import equinox as eqx
import jax
import jax.random as jr
import numpy as np

from subgrid.diffusion.gaussian_prior import GaussianPrior
from subgrid.downscaling.conditional.refinement import n_features
from subgrid.downscaling.prior.model import PriorSettings, build_network
from subgrid.numerics.operators import BlockMean, Subsample

CASES = {
    "subsample, 1-D": (Subsample((16,), 4), 1),
    "block mean, 1-D": (BlockMean((16,), 4), 1),
    "subsample, 2-D": (Subsample((8, 8), 4), 1),
    "block mean, 2-D, two channels": (BlockMean((8, 4), (4, 2)), 2),
}


def covariance_of(space: tuple[int, ...], n_channels: int) -> np.ndarray:
    """Squared exponential of two points' length along each axis, channels correlated by .5, and 1e-3 I."""
    whole = np.where(np.eye(n_channels) > 0, 1.0, 0.5)
    for n in space:
        distance = np.arange(n)[:, None] - np.arange(n)
        # Summed over the images of a periodic axis: the shortest distance alone gives no positive matrix.
        whole = np.kron(whole, sum(np.exp(-0.5 * ((distance + n * image) / 2) ** 2) for image in range(-3, 4)))
    return whole + 1e-3 * np.eye(len(whole))


def as_prior(covariance: np.ndarray, shape: tuple[int, ...]) -> GaussianPrior:
    """N(.3, Σ) by its eigenpairs: all but the smallest as components, the smallest as the remainder."""
    variances, vectors = np.linalg.eigh(covariance)
    variances = np.maximum(variances, 0.0)  # of rounding
    components = vectors.T[:0:-1].reshape(-1, *shape)
    parts = np.full(shape, 0.3), components, variances[:0:-1], variances[0], np.ones(shape)
    return GaussianPrior(*(jax.device_put(np.asarray(part, np.float32)) for part in parts))


def matrix_of(operator, n_channels: int) -> np.ndarray:
    """C′ on flattened fields."""
    shape = (n_channels, *operator.fine_shape)
    units = np.eye(int(np.prod(shape)), dtype=np.float32).reshape(-1, *shape)
    return np.asarray(jax.jit(jax.vmap(operator))(units), np.float64).reshape(len(units), -1).T


def posterior(covariance, matrix, y, noise_variance: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of x ~ N(.3, Σ) given C′x + noise = y, flattened."""
    mean = np.full(len(covariance), 0.3)
    innovations = matrix @ covariance @ matrix.T + noise_variance * np.eye(len(matrix))
    gain = np.linalg.solve(innovations, matrix @ covariance).T
    return mean + gain @ (np.ravel(y) - matrix @ mean), covariance - gain @ matrix @ covariance


def silent(space: tuple[int, ...], n_channels: int):
    """An untrained network, whose head is zero."""
    settings = PriorSettings(n_channels, space, channels=(8,), n_blocks=1, patch=2)
    return build_network(settings, n_features(n_channels), key=jr.key(0))


def noisy(network, *, scale: float = 0.3):
    """The same with weights that mean nothing."""
    arrays, static = eqx.partition(network, eqx.is_inexact_array)
    leaves, tree = jax.tree.flatten(arrays)
    draw = np.random.default_rng(1)
    moved = [np.asarray(x) + scale * draw.normal(size=x.shape).astype(x.dtype) for x in leaves]
    return eqx.combine(jax.tree.unflatten(tree, jax.device_put(moved)), static)
