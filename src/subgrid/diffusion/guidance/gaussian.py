"""Guidance by the posterior covariance of a Gaussian prior, known in closed form.

    D̃ = D + S C′ᵀ (C′ S C′ᵀ + Σ_y)⁻¹ (y − C′D),    S = σ²Σ(Σ + σ²I)⁻¹

Moment matching (see `moments.py`) with S in the place of the network's own σ²∂D/∂x: no vector–Jacobian
products, no iterations, one network evaluation a level. Exact when the prior is that Gaussian; where a network refines
it, the mean D is the network's and only the *gain* is Gaussian, as in an ensemble Kalman filter (Evensen 2003,
doi:10.1007/s10236-003-0036-9).
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Scalar

from subgrid.diffusion.gaussian_conditional import require_noise_shape
from subgrid.diffusion.gaussian_prior import FULL, GaussianPrior
from subgrid.types import Coarsening, Denoiser

NoiseVariance = float | Float[Array, "*noise"]
"""Σ_y: one number, or an array of the coarse values' shape, which the guidance checks."""


class Innovations(NamedTuple):
    """How coarse values vary given x at one noise level, under the Gaussian.

    Args:
        spread: S C′ᵀ, a row for each of the n coarse values.
        gram: C′ S C′ᵀ + Σ_y.
    """

    spread: Float[Array, "n *shape"]
    """S C′ᵀ, a row for each coarse value."""
    gram: Float[Array, "n n"]
    """C′ S C′ᵀ + Σ_y."""


def innovations(
    prior: GaussianPrior, operator: Coarsening, shape: tuple[int, ...], sigma: Scalar, noise_variance: NoiseVariance
) -> Innovations:
    """S C′ᵀ and C′ S C′ᵀ + Σ_y at one noise level, with S = σ²Σ(Σ + σ²I)⁻¹.

    n products with Σ, dense in n. The diagonal gets a ridge of the size of rounding.

    Args:
        prior: N(m, Σ).
        operator: C′.
        shape: of the coarse values, n of them.
        sigma: noise level σ.
        noise_variance: Σ_y, one number or one for each coarse value.

    Returns:
        Both matrices.
    """
    units = jnp.eye(math.prod(shape)).reshape(-1, *shape)
    rows = jax.vmap(operator.adjoint)(units)
    spread = jax.vmap(lambda row: prior.posterior_covariance(row, sigma))(rows)
    gram = jax.vmap(operator)(spread).reshape(len(units), len(units))
    # Where exact values nearly depend, rounding takes eigenvalues below zero: at n = 256 and 1024 by one unit in the
    # last place of the largest, which row sums bound; of few values, by some units of the largest variance.
    largest = jnp.maximum(10 * jnp.max(jnp.diag(gram)), 2 * jnp.max(jnp.sum(jnp.abs(gram), 1)))
    ridge = jnp.finfo(gram.dtype).eps * largest
    noise = jnp.broadcast_to(jnp.asarray(noise_variance), shape).reshape(-1)
    return Innovations(spread, gram + jnp.diag(noise + ridge))


def gaussian_gain(
    denoiser: Denoiser,
    operator: Coarsening,
    target: Float[Array, "*coarse"],
    *,
    prior: GaussianPrior,
    noise_variance: NoiseVariance = 0.0,
) -> Denoiser:
    """The denoiser D̃ of p(x | C′x + N(0, Σ_y) = y), its gain from `prior`.

        D̃ = D + S C′ᵀ (C′ S C′ᵀ + Σ_y)⁻¹ (y − C′D),    S = σ²Σ(Σ + σ²I)⁻¹

    With exact observations C′D̃ = y at every noise level, whatever the denoiser.

    Args:
        denoiser: D of p(x).
        operator: C′.
        target: y in the denoiser's units.
        prior: with the covariance Σ.
        noise_variance: Σ_y, one number or one for each value of y.

    Returns:
        A denoiser. Each level solves one dense system of as many unknowns as y has values (merely convenient: a few
        thousand at most).

    Raises:
        ValueError: for a noise variance of another shape.

    References:
        Evensen (2003), doi:10.1007/s10236-003-0036-9 (the gain of the ensemble Kalman filter).

    Examples:
        >>> guided = gaussian_gain(denoiser, operator, y, prior=prior)
    """
    require_noise_shape(jnp.shape(noise_variance), target.shape)

    def guided(x, sigma):
        denoised = denoiser(x, sigma)
        spread, gram = innovations(prior, operator, target.shape, sigma, noise_variance)
        weights = jnp.linalg.solve(gram, (target - operator(denoised)).reshape(-1))
        return denoised + jnp.tensordot(weights, spread, 1, precision=FULL)

    return guided
