"""MALA beside blackjax: effective draws a second, on the same targets, with the same step size and starts."""

from collections.abc import Callable

import blackjax
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array

from benchmarks.timing import interleaved_seconds
from subgrid.mcmc.diagnostics import effective_sample_size
from subgrid.mcmc.driver import run_chain
from subgrid.mcmc.mala import MALA

N_CHAINS = 16
N_STEPS = 1000
REPEATS = 25
N_RUNS = 16


def run() -> list[tuple[str, float, str]]:
    """Rows of (name, ratio, meaning)."""
    targets = {
        "banana": (_banana, 2, 0.15),
        "Gaussian of 10 variances": (_gaussian, 10, 0.5),
        "Gaussian field of 64 points": (_field, 64, 0.25),
    }
    meaning = "effective draws a second, ours over blackjax (wanted: at least 1)"
    return [(f"MALA, {name}", _ratio(*target), meaning) for name, target in targets.items()]


def _banana(x: Array) -> Array:
    return -(x[0] ** 2) / 2 - (x[1] - x[0] ** 2) ** 2


def _gaussian(x: Array) -> Array:
    return -jnp.sum(x**2 / jnp.linspace(0.5, 2.0, 10)) / 2


def _field(x: Array) -> Array:
    return -jnp.sum(x**2) / 2 - jnp.sum((x - jnp.roll(x, 1)) ** 2) / 2


def _ratio(log_density: Callable[[Array], Array], d: int, step_size: float) -> float:
    starts = jr.normal(jr.key(0), (N_CHAINS, d))
    ours, theirs = _ours(log_density, step_size), _theirs(log_density, step_size)
    keys = jr.split(jr.key(1), N_CHAINS)
    calls = {"ours": lambda: ours(starts, keys), "theirs": lambda: theirs(starts, keys)}
    seconds = interleaved_seconds(calls, repeats=REPEATS)
    # The least time, which other work on the machine disturbs least.
    return _effective(ours, starts) / seconds["ours"][0] * seconds["theirs"][0] / _effective(theirs, starts)


def _effective(draw: Callable[[Array, Array], Array], starts: Array) -> float:
    """Of the mean of a component, mean over components and runs: one estimator for both, within 2 % of its limit."""
    runs = [draw(starts, jr.split(jr.key(2 + i), N_CHAINS)) for i in range(N_RUNS)]
    return float(np.mean([effective_sample_size(positions) for positions in runs]))


def _ours(log_density: Callable[[Array], Array], step_size: float) -> Callable[[Array, Array], Array]:
    kernel = MALA(log_density, step_size)

    @jax.jit
    def draw(starts, keys):
        return jax.vmap(lambda x, k: run_chain(kernel, kernel.init(x), N_STEPS, key=k).positions)(starts, keys)

    return draw


def _theirs(log_density: Callable[[Array], Array], step_size: float) -> Callable[[Array, Array], Array]:
    kernel = blackjax.mala(log_density, step_size)

    def one(x, key):
        def body(state, key):
            state, info = kernel.step(key, state)
            return state, (state.position, info)

        return jax.lax.scan(body, kernel.init(x), jr.split(key, N_STEPS))[1][0]

    return jax.jit(jax.vmap(one))
