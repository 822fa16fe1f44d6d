"""A conditional denoiser that starts as the exact Gaussian one: the network learns only what is not Gaussian.

    D(x, σ; y) = D_G + σ [λ/(λ + σ²)]^½ F,   D_G = m_y + λ/(λ + σ²) (x − m_y),   λ the variances of Σ_y

in the eigenbasis of the Gaussian conditional N(m_y, Σ_y). The factor of F is the standard deviation that x₀ has left
under the Gaussian, mode by mode: F's target has unit variance in every mode and at every level, F = 0 is the exact
answer for Gaussian fields, and C′D = y holds by construction, since λ = 0 in what y determines.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, Scalar

from subgrid.diffusion.gaussian_conditional import ConditionalGaussian
from subgrid.diffusion.gaussian_steps import Gaussian, denoise
from subgrid.diffusion.objective import Quantile
from subgrid.numerics.noise import standard_normal
from subgrid.numerics.stratified import stratified_uniforms
from subgrid.types import Denoiser, Field, Key

Coarse = Float[Array, "channel *coarse"]

LEAST_VARIANCE = 1e-6
"""Of a mode that is refined, in units of the normalised field: a mode with less is left to the Gaussian. On
Kuramoto–Sivashinsky fields 1e-5 to 1e-8 score alike; with 1e-8 the rare bursts of tiny modes disturb the training."""


class ConditionalDenoiser(eqx.Module):
    """D(x, σ; y) of normalised fields.

    Args:
        conditional: the Gaussian conditional, of normalised fields.
        network: `network(features, c_noise)`, from `n_features(channels)` channels to the channels of x.
    """

    conditional: ConditionalGaussian
    network: eqx.Module

    def given(self, y: Coarse) -> Denoiser:
        """x, σ ↦ D(x, σ; y)."""
        gaussian, known = self.conditional.given(y), known_fields(self.conditional, y)

        def denoiser(x, sigma):
            features = jnp.concatenate([*noisy_features(gaussian, x, sigma), *known])
            refinement = self.network(features, jnp.log(sigma) / 4)  # pyright: ignore[reportCallIssue]
            scaled = gaussian.combine((lambda v: sigma * jnp.sqrt(refined(v) * v / (v + sigma**2)), refinement))
            return denoise(gaussian, x, sigma) + scaled

        return denoiser


def n_features(n_channels: int) -> int:
    """Channels that the networks of this folder see: four fields."""
    return 4 * n_channels


def noisy_features(gaussian: Gaussian, x: Field, sigma: Scalar) -> tuple[Field, Field]:
    """(Σ_y + σ²)^−½ (x − m_y), of unit variance in every mode, and D_G − m_y."""
    z = x - gaussian.mean
    return gaussian.combine((lambda v: 1 / jnp.sqrt(v + sigma**2), z)), denoise(gaussian, x, sigma) - gaussian.mean


def known_fields(conditional: ConditionalGaussian, y: Coarse) -> tuple[Field, Field]:
    """What y says, on the fine grid: m_y and C′⁺y."""
    return conditional.mean(y), conditional.operator.pseudo_inverse(y)


def refinement_loss(
    denoiser: ConditionalDenoiser,
    fields: Float[Array, "batch channel *space"],
    *,
    noise_levels: Quantile,
    key: Key,
) -> Scalar:
    """Mean squared error of F, over the refined modes: 1 where the network adds nothing to Gaussian fields.

    Args:
        denoiser: in training; C′x is jittered by the noise of its conditional.
        fields: x, normalised.
        noise_levels: u → σ.
        key: of levels, noise and jitter.

    Returns:
        A scalar.
    """
    level_key, noise_key, jitter_key = jr.split(key, 3)
    sigmas = noise_levels(stratified_uniforms(len(fields), key=level_key))
    noise = standard_normal(fields.shape, fields.dtype, key=noise_key)
    targets = jittered(denoiser.conditional, fields, key=jitter_key)

    def error(x0, y, sigma, xi):
        gaussian, known = denoiser.conditional.given(y), known_fields(denoiser.conditional, y)
        z0, x = x0 - gaussian.mean, x0 + sigma * xi
        features = jnp.concatenate([*noisy_features(gaussian, x, sigma), *known])
        refinement = denoiser.network(features, jnp.log(sigma) / 4)  # pyright: ignore[reportCallIssue]
        # The target (x₀ − D_G)/(σ [λ/(λ + σ²)]^½), and F, on the modes that are refined.
        off = gaussian.combine(
            (lambda v: refined(v), refinement),
            (lambda v: -refined(v) * sigma / jnp.sqrt(jnp.maximum(v, LEAST_VARIANCE) * (v + sigma**2)), z0),
            (lambda v: refined(v) * jnp.sqrt(v / (v + sigma**2)), xi),
        )
        return jnp.sum(off**2)

    return jnp.mean(jax.vmap(error)(fields, targets, sigmas, noise)) / n_refined(denoiser.conditional)


def jittered(
    conditional: ConditionalGaussian, fields: Float[Array, "batch channel *space"], *, key: Key
) -> Float[Array, "batch channel *coarse"]:
    """C′x + N^½ ξ, N the noise variance of the conditional: coarse values as uncertain as debiased ones are."""
    exact = jax.vmap(conditional.operator)(fields)
    return exact + jnp.sqrt(conditional.noise_variance) * standard_normal(exact.shape, exact.dtype, key=key)


def n_refined(conditional: ConditionalGaussian) -> Float[Array, ""]:
    """How many modes a network refines; 1 where y determines the field and there is none, since losses divide by it."""
    return jnp.maximum(conditional.spread.trace(refined), 1.0)


def refined(variance: Array) -> Array:
    """1 for modes with enough variance, 0 for the others."""
    return jnp.where(variance > LEAST_VARIANCE, 1.0, 0.0)
