"""The Metropolis-adjusted Langevin algorithm: Langevin steps, accepted so that p is left as it is, exactly."""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jax.scipy.special import ndtr
from jaxtyping import Scalar

from subgrid.mcmc.driver import Transition
from subgrid.numerics.noise import standard_normal
from subgrid.types import Key, Sample

SMALL = 16
"""Below it Φ of one more normal number is the uniform one, which saves a third of a step on a CPU, where vectors hold
16 numbers. Above it two keys are as fast, and faster for multiples of 16 (`benchmarks/langevin_chains.py`)."""


class MALAState(NamedTuple):
    """A position with its density and score, so that a step evaluates both once.

    Args:
        position: x.
        log_density: log p(x).
        score: ∇log p(x).
    """

    position: Sample
    log_density: Scalar
    score: Sample


class MALA(eqx.Module):
    """The Metropolis-adjusted Langevin algorithm.

        x′ ~ q(·|x) = N(x + τ∇log p(x), 2τI),   accepted with probability α = min(1, p(x′)q(x|x′) / p(x)q(x′|x))

    With u = x′ − x and s = ∇log p the proposal ratio becomes, without differences of large numbers,

        log α = log p(x′) − log p(x) − ½ (s + s′)·(u + τ/2 (s′ − s))

    which without the last term is the error of the trapezoidal rule along the step. On N(0, I) it is
    −τ/4 (‖x′‖² − ‖x‖²). One evaluation of log p and its gradient a step. In d equal directions the best acceptance is
    .574 as d grows, at τ ∝ d^(−1/3); `tune_step_size` finds that τ. Proposals outside the support, where log p is −∞ or
    NaN, are refused.

    Args:
        log_density: log p(x) up to a constant, differentiable.
        step_size: τ > 0, in squared units of x.

    References:
        Roberts & Tweedie (1996), doi:10.2307/3318418; Roberts & Rosenthal (1998), doi:10.1111/1467-9868.00123 (.574).

    Examples:
        >>> kernel = MALA(lambda x: -jnp.sum(x**2) / 2, 0.5)
        >>> chains = run_chains(kernel, jnp.zeros((4, 2)), 1000, key=key)
        >>> acceptance_rate(chains.info)
    """

    log_density: Callable[[Sample], Scalar]
    step_size: Scalar = eqx.field(converter=jnp.asarray)

    def init(self, position: Sample) -> MALAState:
        """Density and score at the start."""
        return MALAState(position, *jax.value_and_grad(self.log_density)(position))

    def step(self, state: MALAState, *, key: Key) -> tuple[MALAState, Transition]:
        """A proposal, accepted or not."""
        x = state.position
        xi, uniform = _noise_and_uniform(x, key)
        proposal = self.init(x + self.step_size * state.score + jnp.sqrt(2 * self.step_size) * xi)
        alpha = acceptance_probability(state, proposal, self.step_size)
        accepted = uniform < alpha
        state = jax.tree.map(lambda new, old: jnp.where(accepted, new, old), proposal, state)
        return state, Transition(alpha, accepted)


def _noise_and_uniform(x: Sample, key: Key) -> tuple[Sample, Scalar]:
    """ξ, and the number that decides on acceptance."""
    if x.size < SMALL:
        noise = standard_normal((x.size + 1,), x.dtype, key=key)
        return noise[:-1].reshape(x.shape), ndtr(noise[-1])
    noise_key, uniform_key = jr.split(key)
    return standard_normal(x.shape, x.dtype, key=noise_key), jr.uniform(uniform_key, (), x.dtype)


def acceptance_probability(state: MALAState, proposal: MALAState, step_size: float | Scalar) -> Scalar:
    """α = min(1, p(x′)q(x|x′) / p(x)q(x′|x)) of a Langevin proposal.

    Args:
        state: at x.
        proposal: at x′.
        step_size: τ > 0.

    Returns:
        α; 0 where the density of the proposal is zero or not a number.

    References:
        Roberts & Tweedie (1996), doi:10.2307/3318418, Eq. 8.
    """
    u = proposal.position - state.position
    work = jnp.sum((state.score + proposal.score) * (u + step_size / 2 * (proposal.score - state.score))) / 2
    log_ratio = proposal.log_density - state.log_density - work
    return jnp.where(jnp.isnan(log_ratio), 0.0, jnp.exp(jnp.minimum(log_ratio, 0.0)))
