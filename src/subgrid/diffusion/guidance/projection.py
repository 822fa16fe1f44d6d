"""Guidance by projection onto {x : C′x = y} (Wan et al. 2023, arXiv:2305.15618, Eq. 7)."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from subgrid.types import Coarsening, Denoiser


def projection(
    denoiser: Denoiser,
    operator: Coarsening,
    target: Float[Array, "*coarse"],
    *,
    strength: float | None = None,
    noise_variance: float = 0.0,
    data_variance: float = 1.0,
) -> Denoiser:
    """D̃ = G + C′ᵀ(C′C′ᵀ + ρI)⁻¹(y − C′G),  G = D − α∇ₓ‖C′D − y‖²,  ρ = Σ_y/r².

    With exact observations (ρ = 0) this is C′⁺y + (I − VVᵀ)G: the constraint holds for *every* α, right or wrong, so
    a small constraint error proves nothing about the samples. With noise of variance Σ_y the pull is shrunk by the
    variance r² = σ²σ_d²/(σ² + σ_d²) that x₀ has left at noise level σ.

    **Arguments:** `target`, y in the denoiser's (normalised) units; `strength`, α, by default d/d′, fine over coarse
    size; `noise_variance`, Σ_y; `data_variance`, σ_d².

    **Returns:** a denoiser. One evaluation and one vector–Jacobian product a call.
    """
    alpha = math.prod(operator.fine_shape) / math.prod(operator.coarse_shape) if strength is None else strength

    def guided(x, sigma):
        denoised, pull_back = jax.vjp(lambda z: denoiser(z, sigma), x)
        gradient = pull_back(2 * operator.adjoint(operator(denoised) - target))[0]
        free = denoised - alpha * gradient
        remaining = sigma**2 * data_variance / (sigma**2 + data_variance)
        return free + operator.pseudo_inverse(target - operator(free), noise_variance / jnp.asarray(remaining))

    return guided
