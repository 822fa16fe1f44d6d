"""A conditional denoiser that starts as the exact Gaussian one: `ModewiseRefined` on N(m_y, Σ_y), which sees y.

C′D = y holds by construction, since Σ_y has no variance in what y determines.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, Scalar

from subgrid.diffusion.gaussian_conditional import ConditionalGaussian
from subgrid.diffusion.modewise import ModewiseRefined, modewise_error, refined
from subgrid.diffusion.objective import Quantile
from subgrid.numerics.noise import standard_normal
from subgrid.numerics.stratified import stratified_uniforms
from subgrid.types import Field, Key

Coarse = Float[Array, "channel *coarse"]


class ConditionalDenoiser(eqx.Module):
    """D(x, σ; y) of normalised fields.

    Args:
        conditional: the Gaussian conditional, of normalised fields.
        network: `network(features, c_noise)`, from `n_features(channels)` channels to the channels of x.
    """

    conditional: ConditionalGaussian
    network: eqx.Module

    def given(self, y: Coarse) -> ModewiseRefined:
        """x, σ ↦ D(x, σ; y)."""
        return ModewiseRefined(self.conditional.given(y), self.network, known_fields(self.conditional, y))


def n_features(n_channels: int) -> int:
    """Channels that the networks of this folder see: four fields."""
    return 4 * n_channels


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
        return jnp.sum(modewise_error(denoiser.given(y), x0, sigma, xi) ** 2)

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
