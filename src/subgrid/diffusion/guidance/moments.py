"""Guidance by the first two moments of p(x₀ | x): the Gaussian conditional with Cov[x₀ | x] = σ²∂D/∂x.

    D̃ = D + JᵀC′ᵀ (C′JᵀC′ᵀ + Σ_y/σ² I)⁻¹ (y − C′D),   J = ∂D/∂x

(Finzi et al. 2023, arXiv:2306.07526; Rozet & Louppe 2024, arXiv:2405.13712.) Exact when the prior is Gaussian; there is
no strength to tune. It is too wide for priors far from Gaussian, however exactly it is solved: p(x₀ | x) is then no
Gaussian at large σ, and only particles (`particles.py`) mend that.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Scalar

from subgrid.diffusion.gaussian_conditional import require_noise_shape
from subgrid.diffusion.gaussian_prior import GaussianPrior
from subgrid.diffusion.guidance.gaussian import ROUNDING, NoiseVariance, innovations
from subgrid.types import Coarsening, Denoiser


def moment_matching(
    denoiser: Denoiser,
    operator: Coarsening,
    target: Float[Array, "*coarse"],
    *,
    prior: GaussianPrior | None = None,
    noise_variance: NoiseVariance = 0.0,
    n_iterations: int = 4,
) -> Denoiser:
    """The denoiser D̃ of p(x | C′x + N(0, Σ_y) = y) under a locally Gaussian posterior.

        D̃ = D + JᵀC′ᵀ (C′JᵀC′ᵀ + Σ_y/σ² I)⁻¹ (y − C′D),   J = ∂D/∂x

    A trained network's Jacobian is neither symmetric nor definite, where plain conjugate gradients diverge. The solve
    keeps the iterate of smallest residual and stops at negative curvature; what it leaves over is, for exact
    observations, put in by the pseudo-inverse C′⁺, so C′D̃ = y holds whatever the solve did. `solve_residual` shows
    how much that was.

    Args:
        denoiser: D of p(x).
        operator: C′.
        target: y in the denoiser's units.
        prior: a Gaussian near p(x), whose Gram matrix preconditions the solve: a Gaussian denoiser then needs one
            iteration, whatever the noise; without it, as many as y has values.
        noise_variance: Σ_y, one number or one for each value of y.
        n_iterations: at most that many vector–Jacobian products (each about one evaluation), default 4.

    Returns:
        A denoiser.

    Raises:
        ValueError: for a noise variance of another shape.

    References:
        Finzi et al. (2023), arXiv:2306.07526; Rozet & Louppe (2024), arXiv:2405.13712.

    Examples:
        >>> guided = moment_matching(denoiser, operator, y, prior=prior)
    """
    require_noise_shape(jnp.shape(noise_variance), target.shape)

    def guided(x, sigma):
        denoised, correction, _ = _matched_correction(
            denoiser, operator, target, x, sigma, prior, noise_variance, n_iterations
        )
        matched = denoised + correction
        exact = matched + operator.pseudo_inverse(target - operator(matched))
        # Value by value where some are exact and others noisy would need the pseudo-inverse of the exact rows alone.
        return jnp.where(jnp.all(jnp.asarray(noise_variance) == 0), exact, matched)

    return guided


def solve_residual(
    denoiser: Denoiser,
    operator: Coarsening,
    target: Float[Array, "*coarse"],
    x: Float[Array, "*fine"],
    sigma: Scalar,
    *,
    prior: GaussianPrior | None = None,
    noise_variance: NoiseVariance = 0.0,
    n_iterations: int = 4,
) -> Scalar:
    """Relative residual ‖b − Aλ‖/‖b‖ that the solve inside `moment_matching` ends with at (x, σ).

    Args:
        denoiser: D of p(x).
        operator: C′.
        target: y in the denoiser's units.
        x: a noisy field.
        sigma: its noise level.
        prior: as for `moment_matching`.
        noise_variance: Σ_y, one number or one for each value of y.
        n_iterations: as for `moment_matching`, default 4.

    Returns:
        A scalar, 0 if solved, 1 if nothing was found.

    Examples:
        >>> solve_residual(denoiser, operator, y, x, jnp.array(1.0), prior=prior)
    """
    return _matched_correction(denoiser, operator, target, x, sigma, prior, noise_variance, n_iterations)[2]


def _matched_correction(denoiser, operator, target, x, sigma, prior, noise_variance, n_iterations):
    denoised, pull_back = jax.vjp(lambda z: denoiser(z, sigma), x)
    ridge = jnp.asarray(noise_variance) / sigma**2

    def covariance_rows(weights):
        return pull_back(operator.adjoint(weights))[0]

    correction, residual = safeguarded_conjugate_gradient(
        covariance_rows,
        lambda rows, weights: operator(rows) + ridge * weights,
        target - operator(denoised),
        n_iterations,
        precondition=_gaussian_preconditioner(prior, operator, target.shape, sigma, noise_variance),
    )
    return denoised, correction, residual


def _gaussian_preconditioner(prior, operator, shape, sigma, noise_variance) -> Callable[[Array], Array]:
    """b ↦ A_G⁻¹b with A_G = (C′SC′ᵀ + Σ_y)/σ², what A is under the Gaussian; b ↦ b where it has none."""
    if prior is None:
        return lambda b: b
    found = innovations(prior, operator, shape, sigma, noise_variance)
    # What is not finite, or 0 everywhere, would freeze the solve at its start: a correction of zero, and no complaint.
    known = jnp.all(jnp.isfinite(found.directions)) & (jnp.max(found.variances) > 0)
    return lambda b: jnp.where(known, sigma**2 * found.solve(b.reshape(-1)).reshape(shape), b)


def safeguarded_conjugate_gradient(
    lift: Callable,
    lower: Callable,
    target: Float[Array, "*coarse"],
    n_iterations: int,
    *,
    precondition: Callable[[Array], Array] = lambda residual: residual,
) -> tuple[Array, Scalar]:
    """Lλ for the best λ found with A λ ≈ b, A λ = lower(lift(λ), λ), and its relative residual.

    Preconditioned conjugate gradients that keep the iterate of smallest residual and freeze where pᵀAp is not positive,
    but for rounding, or a value is not finite: for a symmetric positive definite A this is the plain method, for any
    other A it never ends worse than it began. Without that measure of rounding, the part of b that no λ reaches would
    be divided by rounding errors. The image Lλ is accumulated along, which spares one application of `lift`.

    Args:
        lift: L, from λ to a fine field.
        lower: from Lλ and λ to Aλ.
        target: b.
        n_iterations: at most, one application of `lift` and `lower` each.
        precondition: a symmetric positive definite approximation of A⁻¹, default the identity.

    Returns:
        Lλ, of the shape that `lift` gives, and ‖b − Aλ‖/‖b‖ ≤ 1.
    """
    scale = jnp.sum(target**2)

    def iterate(_, state):
        residual, direction, steepness, image, best_image, best_norm, steepest, active = state
        lifted = lift(direction)
        applied = lower(lifted, direction)
        curvature, size = jnp.sum(direction * applied), jnp.sum(direction**2)
        active = active & (curvature > ROUNDING * steepest * size) & jnp.isfinite(curvature)
        active = active & (jnp.sum(residual**2) > 1e-12 * scale)
        steepest = jnp.where(active, jnp.maximum(steepest, curvature / size), steepest)
        length = jnp.where(active, steepness / jnp.where(active, curvature, 1.0), 0.0)
        image = image + jnp.where(active, length * lifted, 0.0)
        residual = residual - jnp.where(active, length * applied, 0.0)
        conditioned, norm = precondition(residual), jnp.sum(residual**2)
        turned = jnp.where(active, jnp.sum(residual * conditioned), steepness)
        direction = conditioned + jnp.where(active, turned / jnp.where(active, steepness, 1.0), 0.0) * direction
        better = active & (norm < best_norm)
        best_image = jnp.where(better, image, best_image)
        return residual, direction, turned, image, best_image, jnp.where(better, norm, best_norm), steepest, active

    nothing = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), jax.eval_shape(lift, target))
    first = precondition(target)
    start = (target, first, jnp.sum(target * first), nothing, nothing, scale, jnp.zeros_like(scale), jnp.asarray(True))
    state = jax.lax.fori_loop(0, n_iterations, iterate, start)
    return state[4], jnp.sqrt(state[5] / jnp.maximum(scale, 1e-38))
