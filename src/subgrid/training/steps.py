"""Steps of stochastic gradients, several compiled into one call: what `fit` and the bridge's outer loop both run."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
from jaxtyping import Array, Int, Scalar

from subgrid.training.distributed import replicated, split_batch, to_host_and_back
from subgrid.training.ema import Average, init_average, update_average
from subgrid.training.feed import Dispatch
from subgrid.types import Key, PyTree

Model = TypeVar("Model", bound=eqx.Module)


class State(NamedTuple):
    """All that training carries from step to step; restoring it restores the run."""

    parameters: PyTree
    """The trained leaves of the model, None elsewhere."""
    optimiser: PyTree
    """The state of the optimiser."""
    average: Average
    """Moving average of the parameters."""
    step: Int[Array, ""]
    """Number of steps taken."""


CompiledSteps = Callable[[State, Dispatch, Key], tuple[State, dict[str, float]]]
"""(state, what to draw from, key) → the state some steps on, and their mean loss and largest gradient norm."""


def is_trained(leaf: Any) -> bool:
    """Whether a leaf of a model is trained: JAX arrays of floats are, NumPy arrays are constants of its formula.

    Args:
        leaf: of the model.

    Returns:
        True if it is trained.
    """
    return isinstance(leaf, jax.Array) and eqx.is_inexact_array(leaf)


def init_state(model: eqx.Module, optimiser: optax.GradientTransformation) -> State:
    """The state before the first step, of what is trained (`is_trained`).

    Args:
        model: an Equinox module.
        optimiser: from optax.

    Returns:
        The state of step 0, with an empty average.

    Examples:
        >>> state = init_state(model, warmup_cosine(10_000))
    """
    parameters = eqx.filter(model, is_trained)
    return State(parameters, *_begun(optimiser.init, parameters))


@partial(jax.jit, static_argnums=0)
def _begun(init: Callable[[PyTree], PyTree], parameters: PyTree) -> tuple[PyTree, Average, Int[Array, ""]]:
    return init(parameters), init_average(parameters), jnp.zeros((), jnp.int32)


def averaged_model(model: Model, state: State) -> Model:
    """A model with the moving average of its weights; with those it was begun with where no step was taken.

    Args:
        model: whose other leaves are kept.
        state: of its training.

    Returns:
        The model, in arrays of this process.
    """
    static = eqx.filter(model, is_trained, inverse=True)
    parameters = state.average.mean if int(state.step) else state.parameters
    return eqx.combine(to_host_and_back(parameters), static)


def compile_steps(
    model: eqx.Module,
    loss: Callable[[Any, Any, Key], Scalar],
    draw: Callable[[PyTree, Key], Any],
    optimiser: optax.GradientTransformation,
    *,
    ema_decay: float,
    steps_per_dispatch: int,
) -> CompiledSteps:
    """The function that takes `steps_per_dispatch` steps; it is compiled once, at its first call.

    Step i uses the key fold_in(key, i) alone. The state handed in is given up: its buffers are reused.

    Args:
        model: an Equinox module; its JAX arrays of floats are trained (`is_trained`).
        loss: loss(model, batch, key), a scalar.
        draw: draw(data, key), a batch whose leading axis is split over devices.
        optimiser: from optax.
        ema_decay: of the moving average, per step.
        steps_per_dispatch: steps of one call.

    Returns:
        A function run(state, dispatch, key), which returns the state some steps on, and a dictionary of the mean
            "loss" and the largest "gradient_norm" of these steps.

    Examples:
        >>> run = compile_steps(model, loss, draw, optimiser, ema_decay=0.999, steps_per_dispatch=20)
        >>> state, metrics = run(state, Dispatch(data, None), key)
    """
    static, split = eqx.filter(model, is_trained, inverse=True), split_batch()

    def one_step(resident, key, state: State, streamed):
        draw_key, loss_key = jr.split(jr.fold_in(key, state.step))
        batch = split(draw(resident if streamed is None else streamed, draw_key))
        objective = lambda p: loss(eqx.combine(p, static), batch, loss_key)  # noqa: E731
        value, gradient = jax.value_and_grad(objective)(state.parameters)
        updates, optimiser_state = optimiser.update(gradient, state.optimiser, state.parameters)
        parameters = optax.apply_updates(state.parameters, updates)
        average = update_average(state.average, parameters, ema_decay)
        return State(parameters, optimiser_state, average, state.step + 1), (value, optax.global_norm(gradient))

    @partial(jax.jit, donate_argnums=0, out_shardings=replicated())
    def steps(state, dispatch: Dispatch, key):
        body = partial(one_step, dispatch.resident, key)
        state, (values, norms) = jax.lax.scan(body, state, dispatch.stacked, length=steps_per_dispatch)
        return state, jnp.stack([values.mean(), norms.max()])

    def run(state, dispatch, key):
        state, metrics = steps(state, dispatch, key)
        mean_loss, norm = (float(value) for value in np.asarray(metrics))
        return state, {"loss": mean_loss, "gradient_norm": norm}

    return run
