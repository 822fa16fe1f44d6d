"""Guidance by the first two moments of p(x₀ | x): the Gaussian conditional with Cov[x₀ | x] = σ²∂D/∂x.

    D̃ = D + JᵀC′ᵀ (C′JᵀC′ᵀ + Σ_y/σ² I)⁻¹ (y − C′D),   J = ∂D/∂x

(Finzi et al. 2023, arXiv:2306.07526; Rozet & Louppe 2024, arXiv:2405.13712.) Exact when the prior is Gaussian; there is
no strength to tune.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Scalar

from subgrid.types import Coarsening, Denoiser


def moment_matching(
    denoiser: Denoiser,
    operator: Coarsening,
    target: Float[Array, "*coarse"],
    *,
    noise_variance: float = 0.0,
    n_iterations: int = 4,
) -> Denoiser:
    """The denoiser D̃ of p(x | C′x + N(0, Σ_y) = y) under a locally Gaussian posterior.

    A trained network's Jacobian is neither symmetric nor definite, where plain conjugate gradients diverge. The solve
    keeps the iterate of smallest residual and stops at negative curvature; what it leaves over is, for exact
    observations, put in by the pseudo-inverse C′⁺, so C′D̃ = y holds whatever the solve did. `solve_residual` shows
    how much that was.

    **Arguments:** `target`, y in the denoiser's units; `noise_variance`, Σ_y; `n_iterations`, at most that many
    vector–Jacobian products (each about one evaluation).

    **Returns:** a denoiser.
    """

    def guided(x, sigma):
        denoised, correction, _ = _matched_correction(
            denoiser, operator, target, x, sigma, noise_variance, n_iterations
        )
        matched = denoised + correction
        exact = matched + operator.pseudo_inverse(target - operator(matched))
        return exact if noise_variance == 0 else matched

    return guided


def solve_residual(
    denoiser: Denoiser,
    operator: Coarsening,
    target: Float[Array, "*coarse"],
    x: Float[Array, "*fine"],
    sigma: Scalar,
    *,
    noise_variance: float = 0.0,
    n_iterations: int = 4,
) -> Scalar:
    """Relative residual ‖b − Aλ‖/‖b‖ that the solve inside `moment_matching` ends with at (x, σ): 0 good, 1 nothing."""
    return _matched_correction(denoiser, operator, target, x, sigma, noise_variance, n_iterations)[2]


def _matched_correction(denoiser, operator, target, x, sigma, noise_variance, n_iterations):
    denoised, pull_back = jax.vjp(lambda z: denoiser(z, sigma), x)
    ridge = noise_variance / sigma**2

    def covariance_rows(weights):
        return pull_back(operator.adjoint(weights))[0]

    correction, residual = safeguarded_conjugate_gradient(
        covariance_rows,
        lambda rows, weights: operator(rows) + ridge * weights,
        target - operator(denoised),
        n_iterations,
    )
    return denoised, correction, residual


def safeguarded_conjugate_gradient(
    lift: Callable, lower: Callable, target: Float[Array, "*coarse"], n_iterations: int
) -> tuple[Array, Scalar]:
    """Lλ for the best λ found with A λ ≈ b, A λ = lower(lift(λ), λ), and its relative residual.

    Conjugate gradients that keep the iterate of smallest residual and freeze where pᵀAp ≤ 0 or a value is not finite:
    for a symmetric positive definite A this is the plain method, for any other A it never ends worse than it began.
    The image Lλ is accumulated along, which spares one application of `lift`.
    """
    scale = jnp.sum(target**2)

    def iterate(_, state):
        residual, direction, norm, image, best_image, best_norm, active = state
        lifted = lift(direction)
        applied = lower(lifted, direction)
        curvature = jnp.sum(direction * applied)
        active = active & (curvature > 0) & jnp.isfinite(curvature) & (norm > 1e-12 * scale)
        length = jnp.where(active, norm / jnp.where(active, curvature, 1.0), 0.0)
        image = image + jnp.where(active, length * lifted, 0.0)
        residual = residual - jnp.where(active, length * applied, 0.0)
        new_norm = jnp.where(active, jnp.sum(residual**2), norm)
        direction = residual + jnp.where(active, new_norm / jnp.where(active, norm, 1.0), 0.0) * direction
        better = active & (new_norm < best_norm)
        best_image = jnp.where(better, image, best_image)
        return residual, direction, new_norm, image, best_image, jnp.where(better, new_norm, best_norm), active

    nothing = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), jax.eval_shape(lift, target))
    start = (target, target, scale, nothing, nothing, scale, jnp.asarray(True))
    state = jax.lax.fori_loop(0, n_iterations, iterate, start)
    return state[4], jnp.sqrt(state[5] / jnp.maximum(scale, 1e-38))
