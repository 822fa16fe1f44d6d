"""Annealed Langevin dynamics: chains at decreasing noise levels, each started from the end of the one before.

    x_{i,k+1} = x_{i,k} + τ_i ∇log p_{σ_i}(x_{i,k}) + √(2τ_i) ξ,   x_{i+1,0} = x_{i,n}

At large σ one chain crosses between modes that it would never leave at small σ.
"""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Scalar

from subgrid.mcmc.driver import Transition, always_accepted, run_chain
from subgrid.numerics.noise import standard_normal
from subgrid.types import Key, Sample, Score

StepRule: TypeAlias = Callable[[Scalar, Sample, Sample], Scalar]
"""(σ, ∇log p_σ(x), ξ) → τ."""


def proportional_step(ratio: float) -> StepRule:
    """τ = ratio · σ²: every level is crossed in the same number of its own relaxation times.

    The published recursion, τ_i = ½ε σ_i²/σ_L² with σ_L the last level, has the ratio ε/2σ_L².

    Args:
        ratio: τ/σ², stable below 2.

    Returns:
        The rule.

    References:
        Song & Ermon (2019), arXiv:1907.05600, Algorithm 1.

    Examples:
        >>> proportional_step(2e-5 / (2 * 0.01**2))  # ε and σ_L of the reference: .1
    """
    return lambda sigma, score, noise: ratio * sigma**2


def signal_to_noise_step(ratio: float) -> StepRule:
    """τ = 2 (ratio · ‖ξ‖/‖s‖)²: the score's part of a step is in a fixed proportion to that of the noise.

    On a Gaussian of standard deviation σ in many dimensions τ/σ² = 2 ratio²/(1 + ratio²), and the chain's variance is
    too large by the factor 1 + ratio².

    Args:
        ratio: r, of signal to noise; .16 is usual.

    Returns:
        The rule.

    References:
        Song et al. (2021), arXiv:2011.13456, Algorithms 4 and 5 (ε = 2α(r‖z‖/‖s‖)², α = 1).
    """
    return lambda sigma, score, noise: 2 * ratio**2 * jnp.sum(noise**2) / jnp.sum(score**2)


class AnnealedState(NamedTuple):
    """A position and how far the levels have been descended.

    Args:
        position: x.
        n_done: steps made, all levels together.
    """

    position: Sample
    n_done: Int[Array, ""]


class AnnealedLangevin(eqx.Module):
    """The kernel of annealed Langevin dynamics: `n_steps` at each level, then the next.

        x′ = x + τ∇log p_σ(x) + √(2τ)ξ,   σ = σ_{⌊k/n⌋} at step k

    Steps beyond the last level stay there.

    Args:
        score: score(x, σ) = ∇log p_σ(x), of the shape of x.
        noise_levels: σ, decreasing.
        n_steps: n, of each level, 20 by default.
        step_rule: of τ, `proportional_step(0.1)` by default.

    References:
        Song & Ermon (2019), arXiv:1907.05600.

    Examples:
        >>> kernel = AnnealedLangevin(score, levels, step_rule=signal_to_noise_step(0.16))
        >>> chain = run_chain(kernel, kernel.init(start), len(levels) * kernel.n_steps, key=key)
    """

    score: Score
    noise_levels: Float[Array, " level"]
    n_steps: int = eqx.field(static=True, default=20)
    step_rule: StepRule = proportional_step(0.1)

    def init(self, position: Sample) -> AnnealedState:
        """At the first level."""
        return AnnealedState(position, jnp.array(0))

    def step(self, state: AnnealedState, *, key: Key) -> tuple[AnnealedState, Transition]:
        """One step at the level that is due, always accepted."""
        x, n_done = state
        sigma = self.noise_levels[jnp.minimum(n_done // self.n_steps, len(self.noise_levels) - 1)]
        slope, noise = self.score(x, sigma), standard_normal(x.shape, x.dtype, key=key)
        tau = self.step_rule(sigma, slope, noise)
        return AnnealedState(x + tau * slope + jnp.sqrt(2 * tau) * noise, n_done + 1), always_accepted()


def annealed_langevin(
    score: Score,
    x: Float[Array, "*shape"],
    noise_levels: Float[Array, " level"],
    *,
    n_steps: int = 20,
    relative_step: float = 0.1,
    key: Key,
) -> Float[Array, "*shape"]:
    """Langevin chains at σ₀ > σ₁ > …, each started from the end of the one before, then one denoising step.

    The step is τ = relative_step·σ², so every level is crossed in the same number of its own relaxation times. The last
    step is x + σ²∇log p_σ(x) at the last σ.

    Args:
        score: score(x, σ) = ∇log p_σ(x), of the shape of x.
        x: the start, of standard deviation about σ₀.
        noise_levels: σ, decreasing.
        n_steps: of each level, 20 by default.
        relative_step: τ/σ², 0.1 by default; stable below 2.
        key: random key.

    Returns:
        A sample of the shape of x.

    References:
        Song & Ermon (2019), arXiv:1907.05600, with τ = ε·σ²/2σ_L².

    Examples:
        >>> start = 80 * standard_normal((1, 64, 64), key=start_key)
        >>> annealed_langevin(score, start, jnp.geomspace(80.0, 0.01, 100), key=key)
    """
    kernel = AnnealedLangevin(score, noise_levels, n_steps, proportional_step(relative_step))
    n_all = n_steps * len(noise_levels)
    x = run_chain(kernel, kernel.init(x), n_all, keep=lambda state: None, key=key).state.position
    last = noise_levels[-1]
    return x + last**2 * score(x, last)
