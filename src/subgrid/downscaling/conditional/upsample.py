"""Draws of p(x | C′x = y) by a conditional model, in physical units."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from subgrid.data.normalise import Standardiser
from subgrid.diffusion.driver import draw
from subgrid.diffusion.gaussian_conditional import ConditionalGaussian
from subgrid.diffusion.gaussian_prior import GaussianPrior
from subgrid.diffusion.gaussian_steps import GaussianSDE
from subgrid.diffusion.noise_levels import exponential_grid
from subgrid.downscaling.conditional.flow import ConditionalFlow
from subgrid.downscaling.conditional.model import ConditionalModel
from subgrid.downscaling.conditional.refinement import ConditionalDenoiser
from subgrid.downscaling.upsampling.guided import MethodFor, normalised_target
from subgrid.types import Key

DIFFUSION_LEVELS, FLOW_STEPS = 16, 8
"""Evaluations by default. On held-out Kuramoto–Sivashinsky fields twice as many gain less than 2 % of CRPS."""


class ConditionalUpsampler(eqx.Module):
    """One draw by a conditional denoiser, one evaluation a level.

    The first evaluation, at the highest level and the Gaussian mean, is the network's own mean x̂; N(x̂, Λ), with Λ
    what that mean leaves of fields kept from training, is then the Gaussian part of the sampler. It is closer to
    p(x | C′x = y) than N(m_y, Σ_y) where y says more of x than its covariance does, and the same where x is Gaussian.

    Args:
        denoiser: of normalised fields.
        left: N(0, Λ), in the eigenbasis of the conditional.
        standardiser: physical ↔ normalised.
        noise_levels: (level,), decreasing; one evaluation more is made at the first.
        method: of sampling, given the Gaussian part.
    """

    denoiser: ConditionalDenoiser
    left: GaussianPrior
    standardiser: Standardiser
    noise_levels: Float[Array, " level"]
    method: MethodFor

    @property
    def conditional(self) -> ConditionalGaussian:
        """The Gaussian conditional."""
        return self.denoiser.conditional

    def __call__(self, y: Float[Array, "channel *coarse"], *, key: Key) -> Float[Array, "channel *fine"]:
        conditional = self.denoiser.conditional
        target = normalised_target(self.standardiser, conditional.operator, y)
        denoiser = self.denoiser.given(target)
        mean = denoiser(conditional.mean(target), self.noise_levels[0])
        gaussian = eqx.tree_at(lambda g: g.mean, self.left, mean)
        x = draw(denoiser, mean.shape, self.noise_levels, method=self.method(gaussian), key=key)
        return self.standardiser.restore(x, len(conditional.operator.fine_shape))


class FlowUpsampler(eqx.Module):
    """One draw by a conditional flow, `n_steps` evaluations.

    Args:
        flow: of normalised fields.
        standardiser: physical ↔ normalised.
        n_steps: of the two-step Adams–Bashforth rule, one evaluation each.
    """

    flow: ConditionalFlow
    standardiser: Standardiser
    n_steps: int = eqx.field(static=True)

    @property
    def conditional(self) -> ConditionalGaussian:
        """The Gaussian conditional."""
        return self.flow.conditional

    def __call__(self, y: Float[Array, "channel *coarse"], *, key: Key) -> Float[Array, "channel *fine"]:
        operator = self.flow.conditional.operator
        target = normalised_target(self.standardiser, operator, y)
        return self.standardiser.restore(
            self.flow.sample(target, n_steps=self.n_steps, key=key), len(operator.fine_shape)
        )


def usual_evaluations(model: ConditionalModel) -> int:
    """Evaluations of the network that a draw takes by default."""
    return FLOW_STEPS if model.settings.kind == "flow" else DIFFUSION_LEVELS


def conditional_upsampler(
    model: ConditionalModel, *, n_evaluations: int | None = None, method: MethodFor = GaussianSDE
) -> ConditionalUpsampler | FlowUpsampler:
    """The upsampler of a conditional model.

    Args:
        model: of either kind.
        n_evaluations: of the network, a draw; by default 16, of a flow 8. "diffusion" needs 3, "flow" 1.
        method: of stepping, of the kind "diffusion"; default `GaussianSDE`.

    Returns:
        `upsample(y, key=key)`, one draw in physical units.

    Raises:
        ValueError: for too few evaluations.

    Examples:
        >>> upsample = conditional_upsampler(load_conditional("model", operator))
        >>> x = upsample(y, key=key)
    """
    flow, network = model.settings.kind == "flow", model.settings.network
    n = n_evaluations if n_evaluations is not None else usual_evaluations(model)
    if flow:
        if n < 1:
            raise ValueError(f"a conditional flow needs 1 evaluation, got {n}.")
        return FlowUpsampler(model.flow, model.standardiser, n)
    if n < 3:
        raise ValueError(f"a conditional denoiser needs 3 evaluations, one for its mean and two levels, got {n}.")
    levels = exponential_grid(n - 1, sigma_max=network.sigma_max, sigma_min=network.sigma_min)
    levels = jnp.clip(levels, network.sigma_min, network.sigma_max)  # rounding leads some parts in a million beyond
    return ConditionalUpsampler(model.denoiser, model.left, model.standardiser, levels, method)
