"""A flow from the Gaussian conditional to p(x | C′x = y): a sample in one step or a few.

From a draw z₀ ~ N(0, Σ_y) to a field z₁ = x − m_y, both centred, along the quarter circle

    z_θ = cos θ z₀ + sin θ z₁,   dz/dθ = E[cos θ z₁ − sin θ z₀ | z_θ, y] = λ^½ F(z_θ, θ; y),   θ ∈ [0, π/2]

(a stochastic interpolant, Albergo, Boffi & Vanden-Eijnden 2023, arXiv:2303.08797). Where x is Gaussian, the variance of
z_θ is λ at every θ and the velocity zero: F = 0 is exact in one step. F's target has unit variance in every mode.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, Scalar

from subgrid.diffusion.gaussian_conditional import ConditionalGaussian
from subgrid.diffusion.gaussian_steps import Gaussian
from subgrid.diffusion.modewise import LEAST_VARIANCE, refined
from subgrid.downscaling.conditional.refinement import Coarse, Field, jittered, known_fields, n_refined
from subgrid.numerics.noise import standard_normal
from subgrid.numerics.stratified import stratified_uniforms
from subgrid.types import Key


class ConditionalFlow(eqx.Module):
    """dz/dθ of normalised fields.

    Args:
        conditional: the Gaussian conditional, of normalised fields.
        network: `network(features, θ)`, from `n_features(channels)` channels to the channels of x.
    """

    conditional: ConditionalGaussian
    network: eqx.Module

    def velocity(self, gaussian: Gaussian, known: tuple[Field, Field], z: Field, theta: Scalar) -> Field:
        """λ^½ F(z, θ; y)."""
        features = jnp.concatenate([*_features(gaussian, z), *known])
        refinement = self.network(features, theta)  # pyright: ignore[reportCallIssue]
        return gaussian.combine((lambda v: jnp.sqrt(refined(v) * v), refinement))

    def sample(self, y: Coarse, *, n_steps: int, key: Key) -> Field:
        """One draw of p(x | C′x = y), by `n_steps` of the two-step Adams–Bashforth rule, one evaluation each.

            z′ = z + h (3/2 v − 1/2 v₋),   the first step Euler's

        On Kuramoto–Sivashinsky four such steps are as good as sixteen of Euler's rule.
        """
        gaussian, known = self.conditional.given(y), known_fields(self.conditional, y)
        start = gaussian.combine((jnp.sqrt, standard_normal(gaussian.mean.shape, key=key)))
        step = jnp.pi / 2 / n_steps

        def advance(carry, i):
            z, before = carry
            velocity = self.velocity(gaussian, known, z, step * i)
            return (z + step * (velocity + jnp.where(i > 0, 0.5, 0.0) * (velocity - before)), velocity), None

        (z, _), _ = jax.lax.scan(advance, (start, jnp.zeros_like(start)), jnp.arange(n_steps))
        return gaussian.mean + z


def flow_loss(flow: ConditionalFlow, fields: Float[Array, "batch channel *space"], *, key: Key) -> Scalar:
    """Mean squared error of F, over the refined modes; arguments as for `refinement_loss`."""
    angle_key, noise_key, jitter_key = jr.split(key, 3)
    angles = jnp.pi / 2 * stratified_uniforms(len(fields), key=angle_key)
    noise = standard_normal(fields.shape, fields.dtype, key=noise_key)
    targets = jittered(flow.conditional, fields, key=jitter_key)

    def error(x0, y, theta, xi):
        gaussian, known = flow.conditional.given(y), known_fields(flow.conditional, y)
        z1, z0 = x0 - gaussian.mean, gaussian.combine((jnp.sqrt, xi))
        z = jnp.cos(theta) * z0 + jnp.sin(theta) * z1
        refinement = flow.network(jnp.concatenate([*_features(gaussian, z), *known]), theta)  # pyright: ignore[reportCallIssue]
        off = gaussian.combine(
            (lambda v: refined(v), refinement),
            (lambda v: -refined(v) * jnp.cos(theta) / jnp.sqrt(jnp.maximum(v, LEAST_VARIANCE)), z1),
            (lambda v: refined(v) * jnp.sin(theta), xi),
        )
        return jnp.sum(off**2)

    return jnp.mean(jax.vmap(error)(fields, targets, angles, noise)) / n_refined(flow.conditional)


def _features(gaussian: Gaussian, z: Field) -> tuple[Field, Field]:
    """Σ_y^−½ z, of unit variance in every refined mode, and z."""
    whitened = gaussian.combine((lambda v: refined(v) / jnp.sqrt(jnp.maximum(v, LEAST_VARIANCE)), z))
    return whitened, z
