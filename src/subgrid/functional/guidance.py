"""Conditioning in function space by the first two moments of u given v, with a cut of the modes as C′.

    G̃ = G + K (y − C′G),   K = Cov C′ᵀ (C′ Cov C′ᵀ + Γ)⁻¹,   Cov[u | v] = sC ∂Gᵀ/∂v

It is `diffusion.moment_matching` in the metric of the noise: with x = (sC)^{−1/2}v the two are the same (`white_form`).
The solve is preconditioned by the Gaussian of the data's spectrum, for which it is one division a mode; Gaussian data
need one iteration, at any resolution.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from subgrid.diffusion.guidance.moments import safeguarded_conjugate_gradient
from subgrid.functional.gaussian_field import GaussianField, as_gain
from subgrid.functional.operators import DenoisedForm, posterior_variances
from subgrid.numerics.spectral_cutoff import SpectralCutoff
from subgrid.types import Denoiser, Spatial


def condition_on_cutoff(
    denoised: DenoisedForm,
    operator: SpectralCutoff,
    target: Float[Array, "channel *coarse"],
    *,
    data: GaussianField,
    noise: GaussianField,
    noise_variance: float | Float[np.ndarray, "..."] = 0.0,
    n_iterations: int = 4,
) -> DenoisedForm:
    """The denoised form of p(u | C′u + ε = y), under a locally Gaussian posterior.

    Args:
        denoised: G(v, s) of p(u).
        operator: C′, from the grid of v.
        target: y; its Nyquist waves are left out.
        data: Gaussian of the data's spectrum, which preconditions the solve.
        noise: N(0, C).
        noise_variance: Γ, of ε at each coarse point, a number or one for each channel (channel, 1, …), default 0: then
            C′G̃ = y holds, whatever the solve did.
        n_iterations: at most that many vector–Jacobian products an evaluation, default 4; 1 is exact for Gaussian data.

    Returns:
        G̃(v, s).

    Raises:
        ValueError: for a target of another shape, or a negative variance.

    References:
        Finzi et al. (2023), arXiv:2306.07526; Rozet & Louppe (2024), arXiv:2405.13712.

    Examples:
        >>> guided = condition_on_cutoff(model, SpectralCutoff((64,), (16,)), y, data=data, noise=noise)
    """
    if target.shape[1:] != operator.coarse_shape:
        raise ValueError(f"the target lives on {target.shape[1:]} points, but C' gives {operator.coarse_shape}.")
    if np.any(np.asarray(noise_variance) < 0):
        raise ValueError(f"noise_variance must not be negative, got {noise_variance}.")
    box, fine, coarse = noise.box, operator.fine_shape, operator.coarse_shape
    kept = operator(operator.pseudo_inverse(target))

    def guided(v, s, known=None):
        mean, pull_back = jax.vjp(lambda z: denoised(z, s, known), v)
        points = v[0].size
        colour = s * points * as_gain(noise.mode_variances(fine))  # of the covariance between values at points

        def lift(weights):
            return box.multiply(pull_back(operator.adjoint(weights))[0], colour)

        spread = posterior_variances(data, noise, coarse, s) * operator.gain**2 * target[0].size + noise_variance

        correction, _ = safeguarded_conjugate_gradient(
            lift,
            lambda rows, weights: operator(rows) + noise_variance * weights,
            kept - operator(mean),
            n_iterations,
            precondition=lambda b: box.multiply(b, 1 / jnp.where(spread > 0, spread, jnp.inf)),
        )
        matched = mean + correction
        return matched if np.any(noise_variance) else matched + operator.pseudo_inverse(kept - operator(matched))

    return guided


def white_form(denoised: DenoisedForm, noise: GaussianField, shape: Spatial) -> Denoiser:
    """A denoised form as the denoiser of white noise, for the samplers and guidances of `diffusion`.

        D(x, σ) = W G(W⁻¹x, σ²),      W = (N λ₂)^{−1/2}, mode by mode, on N points

    Modes without noise, Nyquist waves among them, are 0 in what it gives.

    Args:
        denoised: G(v, s).
        noise: N(0, C).
        shape: of the grid.

    Returns:
        D(x, σ) of x = Wv, whose noise has the standard deviation σ at every point.

    Examples:
        >>> denoiser = white_form(operator, noise, (64,))
        >>> x = draw(denoiser, (1, 64), levels, method=ExponentialMultistep(), key=key)
        >>> u = from_white(x, noise)
    """
    return lambda x, sigma: to_white(denoised(from_white(x, noise), sigma**2), noise)


def to_white(v: Float[Array, "channel *space"], noise: GaussianField) -> Float[Array, "channel *space"]:
    """Wv: fields in which N(0, C) is standard normal at every point.

    Args:
        v: a field.
        noise: N(0, C).

    Returns:
        A field on the same grid.
    """
    return noise.box.multiply(v, _white_gain(noise, v, -0.5))


def from_white(x: Float[Array, "channel *space"], noise: GaussianField) -> Float[Array, "channel *space"]:
    """W⁻¹x, the field of what is white.

    Args:
        x: as `to_white` gives it.
        noise: N(0, C).

    Returns:
        A field on the same grid.
    """
    return noise.box.multiply(x, _white_gain(noise, x, 0.5))


def _white_gain(noise: GaussianField, v: Array, power: float) -> Array:
    variances = v[0].size * as_gain(noise.mode_variances(v.shape[1:]))
    return jnp.where(variances > 0, jnp.where(variances > 0, variances, 1.0) ** power, 0.0)


def gaussian_conditional(
    operator: SpectralCutoff,
    target: Float[Array, "channel *coarse"],
    *,
    data: GaussianField,
    noise_variance: float = 0.0,
) -> tuple[Float[Array, "channel *fine"], Float[Array, "..."]]:
    """The conditional of Gaussian data given C′u + ε = y, in closed form.

        mean g λ₁ y/(g²λ₁ + γ),      variance λ₁γ/(g²λ₁ + γ),      γ = Γ/n in every mode

    Modes that C′ cuts keep mean 0 and variance λ₁.

    Args:
        operator: C′ with gains g.
        target: y.
        data: N(0, C₁).
        noise_variance: Γ, of ε at each of the n coarse points, default 0.

    Returns:
        The mean field, and the variances of the stored modes of the fine grid.

    Examples:
        >>> mean, variances = gaussian_conditional(SpectralCutoff((64,), (16,)), y, data=data, noise_variance=0.1)
    """
    box, fine, coarse = data.box, operator.fine_shape, operator.coarse_shape
    first, gamma = as_gain(data.mode_variances(coarse)), noise_variance / target[0].size
    seen = operator.gain**2 * first + gamma
    gain = operator.gain * first / jnp.where(seen > 0, seen, jnp.inf)
    mean = box.from_modes(box.resize_modes(gain * box.to_modes(target) * (box.weights(coarse) > 0), coarse, fine), fine)
    everywhere = jnp.broadcast_to(operator.gain, first.shape) * (box.weights(coarse) > 0)
    squared = box.resize_modes(everywhere, coarse, fine) ** 2
    whole = as_gain(data.mode_variances(fine))
    return mean, jnp.where(squared > 0, whole * gamma / jnp.where(squared > 0, squared * whole + gamma, 1.0), whole)
