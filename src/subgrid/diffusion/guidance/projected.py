"""Guidance by projection onto {x : C′x = y} (Wan et al. 2023, arXiv:2305.15618, Eq. 7)."""

import math

import jax
from jaxtyping import Array, Float

from subgrid.types import Coarsening, Denoiser


def projection(
    denoiser: Denoiser,
    operator: Coarsening,
    target: Float[Array, "*coarse"],
    *,
    strength: float | None = None,
) -> Denoiser:
    """D̃ = C′⁺y + (I − C′⁺C′) [D − α∇ₓ‖C′D − y‖²].

    The constraint holds for *every* α, right or wrong, so a small constraint error proves nothing about the samples.
    Values with noise are not for it: the gradient term knows of no noise, and weakening the projection alone makes the
    samples diverge. With exact values they can diverge too: samples of a correlated 12 × 12 field given every
    third point are off by three to fifty standard deviations at 4 to 32 levels of the default strength, and by .8 % to
    19 % given means (docs/results/sampler_errors.md).
    `gaussian_gain` and `moment_matching` are exact for noisy values of Gaussian fields.

    Args:
        denoiser: D of p(x).
        operator: C′.
        target: y in the denoiser's (normalised) units, exact.
        strength: α, by default d/d′, fine over coarse size.

    Returns:
        A denoiser. One evaluation and one vector–Jacobian product a call.

    References:
        Wan et al. (2023), arXiv:2305.15618, Eq. 7.

    Examples:
        >>> guided = projection(denoiser, operator, y)
    """
    alpha = math.prod(operator.fine_shape) / math.prod(operator.coarse_shape) if strength is None else strength

    def guided(x, sigma):
        denoised, pull_back = jax.vjp(lambda z: denoiser(z, sigma), x)
        gradient = pull_back(2 * operator.adjoint(operator(denoised) - target))[0]
        free = denoised - alpha * gradient
        return free + operator.pseudo_inverse(target - operator(free))

    return guided
