"""The step size of MALA from a warm-up: dual averaging of log τ until the acceptance is what it should be."""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, Scalar

from subgrid.mcmc.driver import Chain, Transition, run_chain
from subgrid.mcmc.mala import MALA, MALAState
from subgrid.types import Key, Sample

OPTIMAL_ACCEPTANCE = 0.574
"""Of MALA in many equal directions: Roberts & Rosenthal (1998), doi:10.1111/1467-9868.00123."""
GAMMA, DELAY, FORGETTING = 0.05, 10.0, 0.75
"""γ, t₀ and κ of Hoffman & Gelman (2014), section 3.2.1."""
FARTHEST = 0.25
"""Between the mean acceptance of the second half of a warm-up and its target: more, and the warm-up has failed."""

REMOTE = 1e15
"""|x| from which on float32 soon cannot hold squares: no scale of a problem, but a chain that runs away."""


class TuningState(NamedTuple):
    """A chain and the averages of dual averaging.

    Args:
        chain: the state of MALA.
        log_step: log τ of the next step.
        log_step_average: log τ̄, the weighted average that is the answer.
        shortfall: H̄, the running mean of target less acceptance.
        n_done: m, steps made.
    """

    chain: MALAState
    log_step: Scalar
    log_step_average: Scalar
    shortfall: Scalar
    n_done: Int[Array, ""]

    @property
    def position(self) -> Sample:
        """That of the chain."""
        return self.chain.position


class TunedMALA(eqx.Module):
    """MALA whose step size follows its own acceptance: the kernel of a warm-up, not of sampling.

        H̄ ← (1 − 1/(m + t₀)) H̄ + (δ − α)/(m + t₀),   log τ = log 10τ₀ − √m/γ · H̄,
        log τ̄ ← m^(−κ) log τ + (1 − m^(−κ)) log τ̄

    While the step changes, p is not left as it is: keep nothing of it but the last position and τ̄.

    Args:
        log_density: log p(x) up to a constant, differentiable.
        step_size: τ₀, the first guess.
        target_acceptance: δ.

    References:
        Hoffman & Gelman (2014), Journal of Machine Learning Research 15, 1593, section 3.2.1.

    Examples:
        >>> kernel = TunedMALA(log_density, 1.0, 0.574)
        >>> run_chain(kernel, kernel.init(x), 1000, key=key).state.log_step_average
    """

    log_density: Callable[[Sample], Scalar]
    step_size: Scalar = eqx.field(converter=jnp.asarray)
    target_acceptance: Scalar = eqx.field(converter=jnp.asarray)

    def init(self, position: Sample) -> TuningState:
        """At the first guess, with nothing averaged."""
        log_step, zero = jnp.log(self.step_size), jnp.zeros_like(self.step_size)
        return TuningState(MALA(self.log_density, self.step_size).init(position), log_step, zero, zero, jnp.array(0))

    def step(self, state: TuningState, *, key: Key) -> tuple[TuningState, Transition]:
        """A step of MALA, and of dual averaging."""
        chain, info = MALA(self.log_density, jnp.exp(state.log_step)).step(state.chain, key=key)
        m = state.n_done + 1
        weight = 1 / (m + DELAY)
        missing = self.target_acceptance - info.acceptance_probability
        shortfall = (1 - weight) * state.shortfall + weight * missing
        log_step = jnp.log(10 * self.step_size) - jnp.sqrt(m) / GAMMA * shortfall
        weight = m**-FORGETTING
        average = weight * log_step + (1 - weight) * state.log_step_average
        return TuningState(chain, log_step, average, shortfall, m), info


def tune_step_size(
    log_density: Callable[[Sample], Scalar],
    position: Sample,
    *,
    n_steps: int = 1000,
    step_size: float = 1.0,
    target_acceptance: float = OPTIMAL_ACCEPTANCE,
    key: Key,
) -> tuple[MALA, MALAState]:
    """A warm-up: MALA with the step size of the wanted acceptance, and a state to go on from.

    Args:
        log_density: log p(x) up to a constant, differentiable.
        position: the start.
        n_steps: of the warm-up, default 1000: the acceptance is then within some hundredths of the target.
        step_size: τ₀, the first guess in squared units of x, default 1; one that is wrong by a factor of 1000 costs
            some dozen steps.
        target_acceptance: between 0 and 1, default .574, the best in many dimensions. In one or two, .7 to .8 is as
            good.
        key: random key.

    Returns:
        The kernel, and the last state of the warm-up, which the sampling can start from.

    Raises:
        ValueError: n_steps < 1, step_size ≤ 0, or a target that is not between 0 and 1; or a density of zero at the
            start.
        ArithmeticError: the acceptance did not come near its target, or the chain ran away, as where the density does
            not fall off. One that grows, or falls off too slowly, is not always noticed (*mathematical*: a chain sees
            ratios of p alone); `tabulate_quantile` notices on the line.

    References:
        Hoffman & Gelman (2014), Journal of Machine Learning Research 15, 1593, section 3.2.1; Roberts & Rosenthal
        (1998), doi:10.1111/1467-9868.00123.

    Examples:
        >>> kernel, state = tune_step_size(log_density, jnp.zeros(2), key=warm_up_key)
        >>> chain = run_chain(kernel, state, 5000, key=key)
    """
    if n_steps < 1 or not step_size > 0 or not 0 < target_acceptance < 1:
        raise ValueError(
            "needs n_steps ≥ 1, step_size > 0 and a target_acceptance between 0 and 1, got "
            f"{n_steps}, {step_size} and {target_acceptance}."
        )
    kernel = TunedMALA(log_density, step_size, target_acceptance)
    start = kernel.init(position)
    if not bool(jnp.isfinite(start.chain.log_density)):
        raise ValueError(f"log_density is {float(start.chain.log_density)} at the start; start where p(x) > 0.")
    warm_up = _run(kernel, start, n_steps, key)
    tuned = jnp.exp(warm_up.state.log_step_average)
    _require_tuned(warm_up, float(tuned), target_acceptance)
    return MALA(log_density, tuned), warm_up.state.chain


@eqx.filter_jit
def _run(kernel: TunedMALA, start: TuningState, n_steps: int, key: Key) -> Chain:
    return run_chain(kernel, start, n_steps, keep=lambda state: None, key=key)


def _require_tuned(warm_up: Chain, step_size: float, target: float) -> None:
    alpha = np.asarray(warm_up.info.acceptance_probability)
    reached = float(alpha[len(alpha) // 2 :].mean())
    where = np.abs(np.asarray(warm_up.state.position)).max()
    if where < REMOTE and 0 < step_size < REMOTE**2 and abs(reached - target) < FARTHEST:
        return
    raise ArithmeticError(
        f"after {len(alpha)} steps of warm-up the acceptance is {reached:.2f} (wanted {target:.3g}) at step size "
        f"{step_size:.2g} and |x| up to {where:.2g}: a density that does not fall off cannot be normalised, and has no "
        "sample; if it does fall off, raise n_steps or start nearer to where it is large."
    )
