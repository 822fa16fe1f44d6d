"""`fit`: minimise a loss by stochastic gradients, averaging the weights, resumable to the same bits."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Scalar

from subgrid.training.checkpoint import CheckpointMismatch, Checkpoints
from subgrid.training.distributed import any_process, is_first_process, require_same_step
from subgrid.training.feed import Streamed, dispatches
from subgrid.training.interruption import WITHOUT_SAVING, TrainingInterrupted, answered, deferred_interrupt
from subgrid.training.log import MetricsReport
from subgrid.training.progress import starts_at
from subgrid.training.steps import Model, State, averaged_model, compile_steps, init_state
from subgrid.types import Key, PyTree


class TrainingDiverged(ArithmeticError):
    """The loss or its gradient became NaN or infinite."""


def warmup_cosine(
    n_steps: int, *, peak: float = 1e-3, end: float = 1e-6, warmup: int = 500
) -> optax.GradientTransformation:
    """Adam with gradients clipped at norm 1, a linear warm-up and a cosine decay.

    Clip, peak and end are those of Wan et al. (2023) for KS; the warm-up is cut to a tenth of short runs.

    Args:
        n_steps: of the training, warm-up included.
        peak: largest learning rate, 1e-3 by default.
        end: learning rate at the last step, 1e-6 by default.
        warmup: steps from 0 to the peak, 500 by default; at most n_steps/10.

    Returns:
        The optimiser.

    References:
        Wan et al. (2023), arXiv:2305.15618.

    Examples:
        >>> schedule = TrainingSchedule(10_000, warmup_cosine(10_000, peak=2e-4))
    """
    warmup = min(warmup, max(1, n_steps // 10))
    schedule = optax.warmup_cosine_decay_schedule(0.0, peak, warmup, n_steps, end)
    return optax.chain(optax.clip_by_global_norm(1.0), optax.adam(schedule))


@dataclass(frozen=True)
class TrainingSchedule:
    """How long `fit` trains and how: what does not depend on the model.

    Args:
        n_steps: of the whole training, a multiple of `steps_per_dispatch`.
        optimiser: from optax; default None, the house default `warmup_cosine(n_steps)`.
        ema_decay: of the moving average of the weights, per step, from 0 to below 1; .999, the default, averages over
            the last thousand.
        steps_per_dispatch: steps compiled into one call, 20 by default: of a small network a call costs as much as some
            steps, and a report covers one call.
        checkpoint_every: steps between checkpoints, 1000 by default; there is one at the end and on Ctrl-C, too.

    Raises:
        ValueError: if `n_steps` is no multiple of `steps_per_dispatch`, or either is below 1.

    Examples:
        >>> schedule = TrainingSchedule(10_000, warmup_cosine(10_000, peak=2e-4))
    """

    n_steps: int
    optimiser: optax.GradientTransformation | None = None
    ema_decay: float = 0.999
    steps_per_dispatch: int = 20
    checkpoint_every: int = 1000

    def __post_init__(self):
        for name in ("n_steps", "steps_per_dispatch", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}.")
        if not 0 <= self.ema_decay < 1:
            raise ValueError(f"ema_decay must lie between 0 and below 1, got {self.ema_decay}.")
        if self.n_steps % self.steps_per_dispatch:
            raise ValueError(
                f"n_steps must be a multiple of steps_per_dispatch = {self.steps_per_dispatch}, got {self.n_steps}."
            )


def fit(
    model: Model,
    loss: Callable[[Model, Any, Key], Scalar],
    data: PyTree | Streamed,
    draw: Callable[[PyTree, Key], Any],
    schedule: TrainingSchedule,
    *,
    checkpoints: Checkpoints | None = None,
    report: MetricsReport | None = None,
    key: Key,
) -> Model:
    """Trains a model by stochastic gradients and returns it with the moving average of its weights.

    Step i uses the key fold_in(key, i) alone, so a run that is stopped and resumed draws the same batches and ends
    with the same bits. Batches are drawn inside the compiled step, from device-resident `data` or from the batches of
    a stream, which are read and sent to the devices while the dispatch before computes; they are split over all
    devices of all processes (see `join_processes`). Process 0 reports; all processes save together.

    Args:
        model: an Equinox module; its JAX arrays of floats are trained (`is_trained`).
        loss: loss(model, batch, key), a scalar.
        data: arrays handed to `draw`, the same in every process; or `Streamed(batches)`, and `draw` is handed the batch
            of the step instead.
        draw: draw(data, key), a batch whose leading axis is split over devices; `as_read` for a stream whose batches
            are used as they come.
        schedule: number of steps, optimiser, average of the weights, steps a call and between checkpoints.
        checkpoints: where to save and resume; by default nothing is saved.
        report: report(step, {"loss": …, "gradient_norm": …}), called after each dispatch with the mean loss and the
            largest gradient norm of its steps.
        key: random key.

    Returns:
        The trained model.

    Raises:
        TrainingInterrupted: on Ctrl-C, after saving.
        TrainingDiverged: if the loss or its gradient is not finite.
        CheckpointMismatch: if the checkpoints belong to another model, or to a longer training.
        ValueError: if the processes go on from different steps, or the rows of a streamed batch cannot be split over
            the devices. What reading a stream raises passes through.

    Examples:
        >>> draw = lambda data, key: draw_batch(data, 128, key=key)
        >>> model = fit(model, loss, data, draw, TrainingSchedule(10_000), key=key)
    """
    n_steps, size = schedule.n_steps, schedule.steps_per_dispatch
    optimiser = schedule.optimiser or warmup_cosine(n_steps)
    state = init_state(model, optimiser)
    if checkpoints is not None and checkpoints.latest() is not None:
        _, state = checkpoints.restore(like=state)
    else:
        state = _copied(state)  # the caller's model survives the donation below
    run = compile_steps(model, loss, draw, optimiser, ema_decay=schedule.ema_decay, steps_per_dispatch=size)
    first = int(state.step)
    if first > n_steps:
        where = checkpoints.folder if checkpoints else "the state"
        raise CheckpointMismatch(
            f"{where}: holds {first} steps, n_steps = {n_steps}; ask for as many or more, or choose another folder."
        )
    require_same_step(first)
    if first < n_steps:
        starts_at(first, n_steps)
    feed = dispatches(data, first, n_steps, size)
    stopping = "stopping after this step" + (", and saving" if checkpoints else "")
    with deferred_interrupt() as interrupted, answered(stopping, second=WITHOUT_SAVING), closing(feed):
        for step, dispatch in zip(range(first, n_steps, size), feed, strict=True):
            state, metrics = run(state, dispatch, key)
            done = step + size
            _finite_or_raise(metrics, done, checkpoints)
            if report is not None and is_first_process():
                report(done, metrics)
            stop = any_process(interrupted())  # asked once: a Ctrl-C between two questions would raise without saving
            due = done == n_steps or done // schedule.checkpoint_every > step // schedule.checkpoint_every
            if checkpoints is not None and (due or stop):
                checkpoints.save(done, state)
            if stop and (done < n_steps or checkpoints is not None):  # a finished model that is not saved is returned
                raise TrainingInterrupted(done, checkpoints.folder if checkpoints else None)
    return averaged_model(model, state)


@jax.jit
def _copied(state: State) -> State:
    return jax.tree.map(jnp.copy, state)


def _finite_or_raise(metrics: dict[str, float], step: int, checkpoints: Checkpoints | None) -> None:
    if not all(np.isfinite(value) for value in metrics.values()):
        last = checkpoints.latest() if checkpoints else None
        kept = f"the checkpoint of step {last} is kept" if last else "no checkpoint was kept"
        name = "loss" if not np.isfinite(metrics["loss"]) else "gradient"
        value = metrics["loss"] if name == "loss" else metrics["gradient_norm"]
        raise TrainingDiverged(f"the {name} became {value} before step {step}; {kept}. Lower the learning rate.")
