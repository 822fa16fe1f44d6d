"""The unadjusted Langevin algorithm: Euler–Maruyama steps of dX = ∇log p(X) dt + √2 dW, none of them refused.

What it draws from is not p but a distribution nearby: on N(0, 1/λ) the chain has the variance 1/(λ(1 − λτ/2)), and none
at all for τ ≥ 2/λ. `MALA` removes this error by refusing steps.
"""

from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Scalar

from subgrid.mcmc.driver import Position, Transition, always_accepted
from subgrid.numerics.noise import standard_normal
from subgrid.types import Key, Sample


def ula_step(
    x: Float[Array, "*shape"],
    score: Callable[[Float[Array, "*shape"]], Float[Array, "*shape"]],
    step_size: float | Scalar,
    *,
    key: Key,
) -> Float[Array, "*shape"]:
    """One step of the unadjusted Langevin algorithm, x′ = x + τ∇log p(x) + √(2τ)ξ.

    Args:
        x: the state.
        score: ∇log p, of the shape of x.
        step_size: τ > 0.
        key: random key.

    Returns:
        The next state.

    References:
        Roberts & Tweedie (1996), doi:10.2307/3318418.

    Examples:
        >>> ula_step(x, lambda x: -x, 0.1, key=key)  # towards N(0, I)
    """
    noise = standard_normal(x.shape, x.dtype, key=key)
    return x + step_size * score(x) + jnp.sqrt(2 * step_size) * noise


class UnadjustedLangevin(eqx.Module):
    """The kernel of `ula_step`.

        x′ = x + τ∇log p(x) + √(2τ)ξ

    One evaluation of the score a step, and no density. Stable for τ < 2/λ, λ the largest curvature of −log p; on a
    Gaussian the variance is too large by the factor 1/(1 − λτ/2) in the direction of curvature λ.

    Args:
        score: ∇log p, of the shape of x.
        step_size: τ > 0, in squared units of x.

    References:
        Roberts & Tweedie (1996), doi:10.2307/3318418.

    Examples:
        >>> chains = run_chains(UnadjustedLangevin(lambda x: -x, 0.1), jnp.zeros((4, 2)), 1000, key=key)
    """

    score: Callable[[Sample], Sample]
    step_size: Scalar = eqx.field(converter=jnp.asarray)

    def init(self, position: Sample) -> Position:
        """The position alone."""
        return Position(position)

    def step(self, state: Position, *, key: Key) -> tuple[Position, Transition]:
        """One step, always accepted."""
        return Position(ula_step(state.position, self.score, self.step_size, key=key)), always_accepted()
