"""Rejection: draws of a density f from those of another one, g, with f ≤ M g everywhere."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Bool, Float, Scalar

from subgrid.mcmc.driver import Position, run_chain
from subgrid.types import Key, Sample

ROUNDING = 16
"""log f, log M and log g are each known to some units in the last place: the bound may seem exceeded by as many where
f = M g, as for N(0, 1) under Laplace(1) at ±1."""
N_STEPS, N_CHAINS = 32, 1024
"""Proposals of a round of `rejection_sample`."""
MAX_ROUNDS = 1000
"""Of which one without a single draw among a million proposals is the sign of a useless bound, not of bad luck."""


class BoundExceeded(ArithmeticError):
    """A proposal at which f > M g: what was drawn has another distribution than f."""


class RejectionInfo(NamedTuple):
    """What a step tells: a `Transition`, and what shows that the bound holds.

    Args:
        acceptance_probability: f/(M g) at the proposal, at most 1.
        accepted: whether the proposal was accepted.
        proposal: the point that g gave.
        log_ratio: log f/(M g) there; above 0 the bound is wrong.
        exceeded: whether it is, by more than rounding.
    """

    acceptance_probability: Scalar
    accepted: Bool[Array, ""]
    proposal: Sample
    log_ratio: Scalar
    exceeded: Bool[Array, ""]


class Rejection(eqx.Module):
    """The kernel of rejection: x′ ~ g, accepted with probability f(x′)/(M g(x′)), else the position stays.

    Proposals do not depend on the position. So the accepted positions alone, `positions[info.accepted]`, are
    independent draws of f, which `rejection_sample` gathers; and the chain of all of them leaves f as it is. If f and g
    are normalised, 1/M of the proposals are accepted. N(0, 1) under Laplace(1) has M = √(2e/π) = 1.315.

    Args:
        log_density: log f(x); it need not be normalised, as long as M goes with it.
        draw: draw(key) -> x′ of g, of the shape of the position.
        log_proposal: log g(x).
        log_bound: log M, with f ≤ M g everywhere.

    References:
        von Neumann (1951), National Bureau of Standards Applied Mathematics Series 12, 36; Devroye (1986), Non-Uniform
        Random Variate Generation, chapter II.3, doi:10.1007/978-1-4613-8643-8.

    Examples:
        >>> log_normal = lambda x: -(x**2) / 2 - jnp.log(2 * jnp.pi) / 2
        >>> kernel = Rejection(log_normal, jr.laplace, lambda x: -jnp.abs(x) - jnp.log(2.0), 0.2742)
        >>> rejection_sample(kernel, 1000, key=key)
    """

    log_density: Callable[[Sample], Scalar]
    draw: Callable[[Key], Sample]
    log_proposal: Callable[[Sample], Scalar]
    log_bound: Scalar = eqx.field(converter=jnp.asarray)

    def init(self, position: Sample) -> Position:
        """The position alone."""
        return Position(position)

    def step(self, state: Position, *, key: Key) -> tuple[Position, RejectionInfo]:
        """One proposal, accepted or not."""
        draw_key, accept_key = jr.split(key)
        x = self.draw(draw_key)
        terms = jnp.stack([self.log_density(x), -self.log_proposal(x), -self.log_bound])
        log_ratio = jnp.sum(terms)
        rounding = ROUNDING * jnp.finfo(x.dtype).eps * jnp.sum(jnp.where(jnp.isfinite(terms), jnp.abs(terms), 1.0))
        probability = jnp.exp(jnp.minimum(log_ratio, 0.0))
        accepted = jr.uniform(accept_key, (), x.dtype) < probability
        position = jnp.where(accepted, x, state.position)
        return Position(position), RejectionInfo(probability, accepted, x, log_ratio, ~(log_ratio <= rounding))


def rejection_sample(kernel: Rejection, n: int, *, key: Key) -> Float[Array, "n *shape"]:
    """Independent draws of f, with the bound checked at every proposal.

    Args:
        kernel: f, g and M.
        n: how many draws, at least 1.
        key: random key.

    Returns:
        n draws.

    Raises:
        ValueError: n < 1.
        BoundExceeded: f > M g at a proposal; the sentence names the point and the ratio.
        ArithmeticError: almost no proposal is accepted.

    Examples:
        >>> rejection_sample(kernel, 1000, key=key).std()  # about 1, for the kernel of `Rejection`
    """
    if n < 1:
        raise ValueError(f"needs n ≥ 1 draws, got {n}.")
    found: list[np.ndarray] = []
    n_found = 0
    for number in range(MAX_ROUNDS):
        positions, info = _round(kernel, jr.fold_in(key, number))
        require_bound(info)
        found.append(np.asarray(positions)[np.asarray(info.accepted)])
        n_found += len(found[-1])
        if n_found >= n:
            return jnp.asarray(np.concatenate(found)[:n])
    raise ArithmeticError(
        f"{n_found} of {MAX_ROUNDS * N_STEPS * N_CHAINS} proposals were accepted, and {n} draws are wanted; take a "
        "proposal nearer to the density, or lower log_bound to the least that holds."
    )


@eqx.filter_jit
def _round(kernel: Rejection, key: Key) -> tuple[Array, RejectionInfo]:
    drawn = jax.eval_shape(kernel.draw, key)
    start = kernel.init(jnp.zeros(drawn.shape, drawn.dtype))
    chains = jax.vmap(lambda k: run_chain(kernel, start, N_STEPS, key=k))(jr.split(key, N_CHAINS))
    return chains.positions, chains.info


def require_bound(info: Any) -> None:
    """Refuses a run in which f > M g at a proposal.

    Args:
        info: of a run of `Rejection`, with any axes in front.

    Raises:
        BoundExceeded: with the worst point, its ratio and the bound that would hold there.

    Examples:
        >>> require_bound(run_chain(kernel, kernel.init(jnp.zeros(())), 1000, key=key).info)
    """
    if not bool(jnp.any(info.exceeded)):
        return
    log_ratio = np.where(np.isnan(info.log_ratio), np.inf, info.log_ratio).ravel()
    worst = int(np.argmax(log_ratio))
    point = np.asarray(info.proposal).reshape(len(log_ratio), -1)[worst]
    raise BoundExceeded(
        f"the density exceeds M g at x = {np.array2string(point, precision=4, threshold=6)}, where f/(M g) = "
        f"{np.exp(log_ratio[worst]):.4g}, and at {np.mean(np.asarray(info.exceeded)):.2g} of the proposals: raise "
        f"log_bound by {log_ratio[worst]:.3g} or more, or take a proposal with heavier tails."
    )
