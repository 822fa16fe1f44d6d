"""The mixture .3 N(−1.2, .3²) + .7 N(.8, .3²): far from Gaussian, and its denoiser a formula."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.stats import norm

from subgrid.diffusion.gaussian_steps import IsotropicGaussian

WEIGHTS, MEANS, STD = np.array([0.3, 0.7]), np.array([-1.2, 0.8]), 0.3
BETWEEN = -0.2
"""Half way between the modes, 3.3 of their standard deviations from both."""


def denoise_mixture(x, sigma):
    """E[x₀ | x₀ + σε = x]: the two posterior means, weighted by the probabilities of the components."""
    means, weights = jnp.asarray(MEANS, x.dtype), jnp.asarray(WEIGHTS, x.dtype)
    variance, off = STD**2 + sigma**2, x[..., None] - means
    probability = jax.nn.softmax(jnp.log(weights) - 0.5 * off**2 / variance, -1)
    return jnp.sum(probability * (means + STD**2 / variance * off), -1)


def gaussian_of_mixture(shape: tuple[int, ...] = ()) -> IsotropicGaussian:
    """Of the mixture's own mean and variance, .2 and .93."""
    mean = WEIGHTS @ MEANS
    return IsotropicGaussian(jnp.full(shape, mean), jnp.asarray(WEIGHTS @ (STD**2 + MEANS**2) - mean**2))


class Moments(NamedTuple):
    mean: float
    std: float
    upper: float
    """Weight of the upper mode."""
    in_mode: float
    """Standard deviation about the mean of the own mode."""


def moments(values: np.ndarray, weights: np.ndarray | float | None = None) -> Moments:
    """Of weighted values; equally weighted if not said otherwise."""
    x = np.float64(values)
    w = np.full(x.shape, 1 / x.size) if weights is None else weights / np.sum(weights)
    mean, upper = np.sum(w * x), x > BETWEEN
    centre = np.where(upper, np.sum(w * x * upper) / np.sum(w * upper), np.sum(w * x * ~upper) / np.sum(w * ~upper))
    spread = lambda about: float(np.sqrt(np.sum(w * (x - about) ** 2)))  # noqa: E731
    return Moments(float(mean), spread(mean), float(np.sum(w * upper)), spread(centre))


def normal_quadrature(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Points and weights that stand for a standard normal number: equally spaced, so any smooth map is integrated to
    rounding, and one that jumps to the spacing at the jump."""
    points = np.linspace(-6.5, 6.5, n)
    return points, norm.pdf(points)


_grid = np.linspace(-4, 4, 200_001)
EXACT = moments(_grid, (WEIGHTS * norm.pdf(_grid[:, None], MEANS, STD)).sum(1))
"""By quadrature of the density."""
