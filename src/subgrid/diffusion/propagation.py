"""Exact moments of a sampler under a linear denoiser: what its discretisation costs, without Monte Carlo.

Under an affine D the sample is an affine function of all standard normal numbers that went in, x = c + Jξ, so its
distribution is N(c, JJᵀ) exactly. A Gaussian prior has an affine denoiser, conditioned on C′x = y or not, and its right
answer is known: the difference is the error of the method at these levels.
"""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from subgrid.diffusion.driver import Method, sample_with
from subgrid.types import Denoiser


def sampled_moments(
    denoiser: Denoiser, shape: tuple[int, ...], noise_levels: Float[Array, " level"], *, method: Method
) -> tuple[Float[Array, " d"], Float[Array, "d d"]]:
    """Mean and covariance of the samples that `draw` makes with an affine denoiser.

    Args:
        denoiser: affine in x; for any other, the moments of its linearisation at ξ = 0.
        shape: of a field, d values.
        noise_levels: decreasing.
        method: of stepping.

    Returns:
        c and JJᵀ, of the flattened field. d vector–Jacobian products of the whole sampler: for up to some hundred
        values.

    Examples:
        >>> mean, covariance = sampled_moments(prior, (1, 36), exponential_grid(4), method=GaussianSDE(prior))
    """
    return _sampled_moments(denoiser, shape, noise_levels, method)


@eqx.filter_jit  # one program: by itself, each of its small operations would be compiled for every shape
def _sampled_moments(
    denoiser: Denoiser, shape: tuple[int, ...], noise_levels: Float[Array, " level"], method: Method
) -> tuple[Float[Array, " d"], Float[Array, "d d"]]:
    n_levels = noise_levels.shape[0]

    def run(start, noises):
        x = method.start(start, noise_levels[0])
        return sample_with(denoiser, x, noise_levels, noises, method=method).reshape(-1)

    zeros = (jnp.zeros(shape, noise_levels.dtype), jnp.zeros((n_levels, method.n_noises, *shape), noise_levels.dtype))
    mean, pull_back = jax.vjp(run, *zeros)
    rows = jax.vmap(pull_back)(jnp.eye(math.prod(shape), dtype=mean.dtype))
    jacobian = jnp.concatenate([part.reshape(mean.size, -1) for part in rows], axis=1)
    return mean, jacobian @ jacobian.T


def moments_by_steps(
    denoiser: Denoiser,
    shape: tuple[int, ...],
    noise_levels: Float[Array, " level"],
    n_levels: int | Int[Array, ""],
    *,
    method: Method,
) -> tuple[Float[Array, " d"], Float[Array, "d d"]]:
    """The moments of `sampled_moments` along the first `n_levels` levels alone, step by step.

    A step takes what is carried, x and the fields in the method's memory, affinely to the next: its mean follows, and
    its covariance P by P′ = APAᵀ + BBᵀ with A and B the Jacobians in what is carried and in the noise. One program
    serves grids of all lengths.

    Args:
        denoiser: affine in x.
        shape: of a field, d values.
        noise_levels: decreasing; what follows the first `n_levels` is not used.
        n_levels: at least 2, at most all; may be traced, and so be mapped over.
        method: of stepping.

    Returns:
        Mean and covariance of the flattened sample. At most 3d Jacobian–vector products of each step.

    Examples:
        >>> mean, covariance = moments_by_steps(prior, (1, 36), exponential_grid(32), 32, method=Heun())
    """
    zero = jnp.zeros(shape, noise_levels.dtype)
    still = jnp.zeros((method.n_noises, *shape), noise_levels.dtype)
    start = lambda xi: method.start(xi, noise_levels[0])  # noqa: E731
    first = start(zero)
    leaves, tree = jax.tree.flatten(method.init(first))
    carried = [leaf for leaf in leaves if leaf.shape == shape]

    def memory_of(fields, scalars):
        own, others = iter(fields), iter(scalars)
        return jax.tree.unflatten(tree, [next(own) if leaf.shape == shape else next(others) for leaf in leaves])

    def step(fields, noise, scalars, sigma, sigma_next):
        x, memory = method.step(denoiser, fields[0], memory_of(fields[1:], scalars), sigma, sigma_next, noise=noise)
        after = jax.tree.leaves(memory)
        following = jnp.stack([x, *(leaf for leaf in after if leaf.shape == shape)])
        return following, (following, [leaf for leaf in after if leaf.shape != shape])

    def along(state, inputs):
        (mean, covariance, scalars), (sigma, sigma_next, index) = state, inputs
        (A, B), (following, described) = jax.jacfwd(step, (0, 1), has_aux=True)(mean, still, scalars, sigma, sigma_next)
        stepped = following, _transported(covariance, A, B, mean.size), described
        return jax.tree.map(lambda new, old: jnp.where(index < n_levels, new, old), stepped, state), None

    def finish(fields, noise, scalars):
        memory, sigma = memory_of(fields[1:], scalars), noise_levels[n_levels - 1]
        x = method.finish(denoiser, fields[0], memory, sigma, noise=noise)
        return x, x

    spread = jax.jacfwd(start)(zero).reshape(zero.size, -1)
    n_state = zero.size * (1 + len(carried))
    covariance = jnp.zeros((n_state, n_state), zero.dtype).at[: zero.size, : zero.size].set(spread @ spread.T)
    begun = jnp.stack([first, *carried]), covariance, [leaf for leaf in leaves if leaf.shape != shape]
    inputs = noise_levels[:-1], noise_levels[1:], jnp.arange(1, noise_levels.shape[0])
    (mean, covariance, scalars), _ = jax.lax.scan(along, begun, inputs)
    (A, B), x = jax.jacfwd(finish, (0, 1), has_aux=True)(mean, still, scalars)
    return x.reshape(-1), _transported(covariance, A, B, zero.size)


def _transported(covariance: Array, in_state: Array, in_noise: Array, size: int) -> Array:
    """APAᵀ + BBᵀ, of results of `size` values."""
    A, B = in_state.reshape(size, len(covariance)), in_noise.reshape(size, -1)
    return A @ covariance @ A.T + B @ B.T
