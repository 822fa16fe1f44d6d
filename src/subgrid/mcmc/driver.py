"""Kernels, and the one driver that runs them.

A kernel makes a step, `step(state, *, key) -> (state, info)`. Its state has a `position`, its info tells whether the
proposal was accepted, and everything else is its own: independent draws, Langevin chains and annealed chains are all
kernels. The driver is one `lax.scan`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Bool, Float, PyTree, Scalar

from subgrid.types import Key, Sample


class Position(NamedTuple):
    """The state of kernels that remember where they are, and nothing else.

    Args:
        position: x, of any shape.
    """

    position: Sample


class Transition(NamedTuple):
    """What a step tells beside the state that it reaches.

    Args:
        acceptance_probability: of the proposal, 0 to 1; 1 for kernels that accept always.
        accepted: whether the proposal was accepted.
    """

    acceptance_probability: Scalar
    accepted: Bool[Array, ""]


class Chain(NamedTuple):
    """What a run leaves.

    Args:
        state: the last state; another run can go on from it.
        positions: one for each step, the start not among them; whatever `keep` made of the states, if it was given.
        info: of each step, a `Transition` or what the kernel tells in its place.
    """

    state: Any
    positions: PyTree
    info: Any


@runtime_checkable
class Kernel(Protocol):
    """One way to step. The state has a field `position`; info has the fields of `Transition`, and perhaps others."""

    def init(self, position: Sample) -> Any:
        """The state before the first step."""
        ...

    def step(self, state: Any, *, key: Key) -> tuple[Any, Any]:
        """The next state, and what there is to tell of the step."""
        ...


def always_accepted() -> Transition:
    """What kernels tell that accept every proposal."""
    return Transition(jnp.ones(()), jnp.array(True))


def position_of(state: Any) -> Sample:
    """The position of a state: what `run_chain` keeps by default.

    Args:
        state: of any kernel.

    Returns:
        Its position.
    """
    return state.position


def run_chain(
    kernel: Kernel, state: Any, n_steps: int, *, keep: Callable[[Any], PyTree] = position_of, key: Key
) -> Chain:
    """The driver: `n_steps` steps of one chain, in one `lax.scan`.

    Args:
        kernel: how to step.
        state: the start, from `kernel.init(position)` or from an earlier run.
        n_steps: how many steps.
        keep: what is kept of each state, by default the position. `lambda state: None` keeps nothing, where only the
            last state is wanted.
        key: random key.

    Returns:
        The last state, what was kept, and the info of all steps.

    Examples:
        >>> kernel = MALA(log_density, 0.1)
        >>> chain = run_chain(kernel, kernel.init(jnp.zeros(2)), 1000, key=key)
        >>> chain.positions.shape
        (1000, 2)
    """

    def body(state, key):
        state, info = kernel.step(state, key=key)
        return state, (keep(state), info)

    state, (kept, info) = jax.lax.scan(body, state, jr.split(key, n_steps))
    return Chain(state, kept, info)


def run_chains(
    kernel: Kernel, positions: Float[Array, "chain *shape"], n_steps: int, *, n_burn_in: int = 0, key: Key
) -> Chain:
    """Independent chains from several starts, compiled, and refused where one of them has left the finite numbers.

    Args:
        kernel: how to step.
        positions: a start for each chain; far apart, if the diagnostics are to notice what chains do not reach.
        n_steps: of each chain, at least 1.
        n_burn_in: steps before these, which are not kept; 0 by default.
        key: random key.

    Returns:
        A `Chain` whose arrays have the axes chain and step in front, as the diagnostics take them.

    Raises:
        ValueError: n_steps < 1 or n_burn_in < 0.
        FloatingPointError: a chain reached infinity or NaN, as Langevin chains do beyond their stable step, or where
            the density cannot be normalised.

    Examples:
        >>> chains = run_chains(MALA(log_density, 0.1), jr.normal(start_key, (4, 2)), 1000, n_burn_in=200, key=key)
        >>> effective_sample_size(chains.positions)
    """
    if n_steps < 1 or n_burn_in < 0:
        raise ValueError(f"needs n_steps ≥ 1 and n_burn_in ≥ 0, got {n_steps} and {n_burn_in}.")
    chains = _run_all(kernel, positions, n_steps, n_burn_in, key)
    _require_finite(chains.positions, n_burn_in)
    return chains


@eqx.filter_jit
def _run_all(kernel: Kernel, positions: Array, n_steps: int, n_burn_in: int, key: Key) -> Chain:
    def one(position, key):
        burn_in_key, run_key = jr.split(key)
        state = kernel.init(position)
        state = run_chain(kernel, state, n_burn_in, keep=lambda state: None, key=burn_in_key).state
        return run_chain(kernel, state, n_steps, key=run_key)

    return jax.vmap(one)(positions, jr.split(key, len(positions)))


def _require_finite(positions: Float[Array, "chain step *shape"], n_burn_in: int) -> None:
    finite = np.asarray(jnp.isfinite(positions).reshape(*positions.shape[:2], -1).all(-1))
    if finite.all():
        return
    chain = int(np.argmin(finite.all(1)))
    step = n_burn_in + 1 + int(np.argmin(finite[chain]))
    raise FloatingPointError(
        f"chain {chain} of {len(finite)} is not finite at step {step}: the step size may be beyond what is stable "
        "(2 over the largest curvature of −log p), or the density cannot be normalised; take a smaller step_size first."
    )
