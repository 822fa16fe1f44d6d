"""Exact moments of a sampler under a linear denoiser: what its discretisation costs, without Monte Carlo.

Under an affine D the sample is an affine function of all standard normal numbers that went in, x = c + Jξ, so its
distribution is N(c, JJᵀ) exactly. A Gaussian prior has an affine denoiser, conditioned on C′x = y or not, and its right
answer is known: the difference is the error of the method at these levels.
"""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from subgrid.diffusion.samplers import Method, sample_with
from subgrid.types import Denoiser


def sampled_moments(
    denoiser: Denoiser, shape: tuple[int, ...], noise_levels: Float[Array, " level"], *, method: Method
) -> tuple[Float[Array, " d"], Float[Array, "d d"]]:
    """Mean and covariance of the samples that `samplers.draw` makes with an affine denoiser.

    Args:
        denoiser: affine in x; for any other, the moments of its linearisation at ξ = 0.
        shape: of a field, d values.
        noise_levels: decreasing.
        method: of stepping.

    Returns:
        c and JJᵀ, of the flattened field. d vector–Jacobian products of the whole sampler: for up to some hundred
        values.

    Example:
        mean, covariance = sampled_moments(prior, (1, 36), exponential_grid(4), method=GaussianSDE(prior))
    """
    n_levels = noise_levels.shape[0]

    def run(start, noises):
        x = method.start(start, noise_levels[0])
        return sample_with(denoiser, x, noise_levels, noises, method=method).reshape(-1)

    zeros = (jnp.zeros(shape, noise_levels.dtype), jnp.zeros((n_levels, method.n_noises, *shape), noise_levels.dtype))
    mean, pull_back = jax.vjp(run, *zeros)
    rows = jax.vmap(pull_back)(jnp.eye(math.prod(shape), dtype=mean.dtype))
    jacobian = jnp.concatenate([part.reshape(mean.size, -1) for part in rows], axis=1)
    return mean, jacobian @ jacobian.T
