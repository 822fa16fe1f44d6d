"""Guidance by the posterior covariance of a Gaussian prior, known in closed form.

    D̃ = D + S C′ᵀ (C′ S C′ᵀ + Σ_y)⁻¹ (y − C′D),    S = σ²Σ(Σ + σ²I)⁻¹

Moment matching (see `moment_matching.py`) with S in the place of the network's own σ²∂D/∂x: no vector–Jacobian
products, no iterations, one network evaluation a level. Exact when the prior is that Gaussian; where a network refines
it, the mean D is the network's and only the *gain* is Gaussian, as in an ensemble Kalman filter (Evensen 2003,
doi:10.1007/s10236-003-0036-9).
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from subgrid.diffusion.gaussian_prior import GaussianPrior
from subgrid.types import Coarsening, Denoiser


def gaussian_gain(
    denoiser: Denoiser,
    operator: Coarsening,
    target: Float[Array, "*coarse"],
    *,
    prior: GaussianPrior,
    noise_variance: float = 0.0,
) -> Denoiser:
    """The denoiser D̃ of p(x | C′x + N(0, Σ_y) = y), its gain from `prior`.

    With exact observations C′D̃ = y at every noise level, whatever the denoiser.

    **Arguments:** `target`, y in the denoiser's units; `prior`, with the covariance Σ; `noise_variance`, Σ_y.

    **Returns:** a denoiser. Each level solves one dense system of as many unknowns as y has values (merely convenient:
    a few thousand at most).

        guided = gaussian_gain(denoiser, operator, y, prior=prior)
    """
    units = jnp.eye(target.size).reshape(target.size, *target.shape)
    rows = jax.vmap(operator.adjoint)(units)

    def guided(x, sigma):
        denoised = denoiser(x, sigma)
        spread = jax.vmap(lambda row: prior.posterior_covariance(row, sigma))(rows)
        gram = jax.vmap(operator)(spread).reshape(target.size, target.size)
        # Relative to the largest variance: far below single precision's own error in the Gram matrix.
        ridge = noise_variance + 1e-6 * jnp.max(jnp.diag(gram))
        innovation = (target - operator(denoised)).reshape(-1)
        weights = jnp.linalg.solve(gram + ridge * jnp.eye(target.size), innovation)
        return denoised + jnp.tensordot(weights, spread, 1)

    return guided
