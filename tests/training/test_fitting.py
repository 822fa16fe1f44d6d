"""`fit` on a small regression: the same bits after a kill, an interrupt that saves, and failures that say why."""

import itertools
import os
import signal
import subprocess
import sys
import textwrap
from contextlib import contextmanager

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
import pytest

from subgrid.training.checkpoint import CheckpointMismatch, Checkpoints
from subgrid.training.fitting import TrainingDiverged, TrainingInterrupted, TrainingSchedule, fit, warmup_cosine

SETUP = """
import os, signal, sys
import equinox as eqx, jax, jax.numpy as jnp, jax.random as jr, numpy as np, optax
from subgrid.training.checkpoint import Checkpoints
from subgrid.training.fitting import TrainingSchedule, fit, warmup_cosine

class Line(eqx.Module):
    slope: jax.Array
    offset: jax.Array
    degree: int = 1

    def __call__(self, x):
        return self.slope @ x + self.offset

def loss(model, batch, key):
    inputs, targets = batch
    predictions = jax.vmap(model)(inputs + 0.01 * jr.normal(key, inputs.shape))
    return jnp.mean((predictions - targets) ** 2)

def draw(data, key):
    rows = jr.randint(key, (16,), 0, len(data[0]))
    return data[0][rows], data[1][rows]

def problem():
    inputs = jr.normal(jr.key(1), (256, 3))
    return Line(jnp.zeros((2, 3)), jnp.zeros(2)), (inputs, inputs @ jnp.arange(6.0).reshape(3, 2) + 1.0)

def train(n_steps=80, **options):
    model, data = problem()
    how = {"optimiser": warmup_cosine(80, peak=0.2), "steps_per_dispatch": 10, "ema_decay": 0.9}
    how |= {name: options.pop(name) for name in (*how, "checkpoint_every") if name in options}
    schedule = TrainingSchedule(n_steps, **how)
    return fit(model, options.pop("loss", loss), data, draw, schedule, key=jr.key(2), **options)
"""
exec(SETUP)  # the same problem here and in the processes below


def run_elsewhere(script, *arguments, **environment):
    return subprocess.run(
        [sys.executable, "-c", SETUP + textwrap.dedent(script), *map(str, arguments)],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture(scope="module")
def uninterrupted():
    losses = []
    return train(report=lambda step, metrics: losses.append(metrics["loss"])), losses


def assert_same_bits(model, other):
    jax.tree.map(np.testing.assert_array_equal, eqx.filter(model, eqx.is_array), eqx.filter(other, eqx.is_array))


def test_loss_falls_and_the_line_is_found(uninterrupted):
    _, losses = uninterrupted
    assert losses[-1] < losses[0] / 5


def test_long_enough_training_reaches_the_solution():
    model = train(600, optimiser=warmup_cosine(600, peak=0.1), steps_per_dispatch=100)
    # The noise of .01 on the inputs leaves a gradient of that order; the average weakens it.
    np.testing.assert_allclose(model.slope, jnp.arange(6.0).reshape(3, 2).T, atol=0.05)
    np.testing.assert_allclose(model.offset, [1.0, 1.0], atol=0.05)


def test_killed_and_resumed_ends_with_the_same_bits(tmp_path, uninterrupted):
    killed = run_elsewhere(
        """
        def report(step, metrics):
            if step == 50:
                os.kill(os.getpid(), signal.SIGKILL)
        train(checkpoints=Checkpoints(sys.argv[1]), checkpoint_every=20, report=report)
        """,
        tmp_path,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    steps = []
    resumed = train(checkpoints=Checkpoints(tmp_path), checkpoint_every=20, report=lambda step, _: steps.append(step))
    assert steps == [50, 60, 70, 80]
    assert_same_bits(resumed, uninterrupted[0])


def test_interrupt_saves_and_says_so(tmp_path, uninterrupted):
    def interrupt(step, metrics):
        if step == 30:
            signal.raise_signal(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(TrainingInterrupted, match=rf"after 30 steps, saved in {tmp_path}; the same call goes on"):
        train(checkpoints=Checkpoints(tmp_path), report=interrupt)
    assert signal.getsignal(signal.SIGINT) is before
    assert Checkpoints(tmp_path).latest() == 30
    assert_same_bits(train(checkpoints=Checkpoints(tmp_path)), uninterrupted[0])


def test_an_interrupt_is_never_raised_without_saving(tmp_path, monkeypatch):
    """Ctrl-C may arrive at any moment, here at every other question whether it did."""
    answers = itertools.cycle([False, True])

    @contextmanager
    def flickering():
        yield lambda: next(answers)

    monkeypatch.setattr("subgrid.training.fitting.deferred_interrupt", flickering)
    with pytest.raises(TrainingInterrupted) as interrupted:
        train(checkpoints=Checkpoints(tmp_path))
    assert Checkpoints(tmp_path).latest() == interrupted.value.step


def test_an_interrupt_of_the_last_step_stops_what_comes_after_the_training(tmp_path, uninterrupted):
    def interrupt(step, metrics):
        if step == 80:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(TrainingInterrupted, match="after 80 steps"):
        train(checkpoints=Checkpoints(tmp_path), report=interrupt)
    assert_same_bits(train(checkpoints=Checkpoints(tmp_path)), uninterrupted[0])
    assert_same_bits(train(report=interrupt), uninterrupted[0])  # nothing else has it


def test_interrupt_without_checkpoints():
    with pytest.raises(TrainingInterrupted, match="nothing was saved"):
        train(report=lambda step, metrics: signal.raise_signal(signal.SIGINT))


def test_finished_run_returns_at_once(tmp_path, uninterrupted):
    train(checkpoints=Checkpoints(tmp_path))
    again = train(checkpoints=Checkpoints(tmp_path), report=lambda *_: pytest.fail("trained again"))
    assert_same_bits(again, uninterrupted[0])


def test_diverged_training_raises_and_keeps_the_last_good_checkpoint(tmp_path):
    # The loss becomes NaN once the offset passes a threshold.
    def breaking(model, batch, key):
        return loss(model, batch, key) + jnp.where(model.offset[0] > 0.5, jnp.nan, 0.0)

    with pytest.raises(
        TrainingDiverged, match=r"the loss became nan before step \d+; the checkpoint of step \d+ is kept"
    ):
        train(
            600,
            loss=breaking,
            optimiser=warmup_cosine(600, peak=0.02),
            checkpoints=Checkpoints(tmp_path),
            checkpoint_every=10,
        )
    assert Checkpoints(tmp_path).latest() > 0


def test_a_gradient_that_is_not_finite_never_reaches_a_checkpoint(tmp_path):
    # √0 has value 0 and slope infinity: the loss is finite, the step is not.
    def breaking(model, batch, key):
        return jnp.sqrt(jnp.sum(model.offset**2)) + 0 * loss(model, batch, key)

    with pytest.raises(TrainingDiverged):
        train(10, loss=breaking, steps_per_dispatch=1, checkpoints=Checkpoints(tmp_path), checkpoint_every=1)
    assert Checkpoints(tmp_path).latest() is None


@pytest.mark.slow  # as tests/training/test_distributed.py::test_two_devices_give_the_losses_of_one, of data in memory
def test_two_devices_give_the_same_losses(tmp_path, uninterrupted):
    script = """
        assert jax.device_count() == 2
        train(checkpoints=Checkpoints(sys.argv[1]), checkpoint_every=40, report=lambda step, m: print(m["loss"]))
        """
    # Two devices on two cores: the flag is read once, hence the second process.
    other = run_elsewhere(
        script, tmp_path, XLA_FLAGS=f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=2"
    )
    assert other.returncode == 0, other.stderr
    # Sums in another order: float32 rounding, amplified a little over 80 steps of Adam.
    np.testing.assert_allclose([float(line) for line in other.stdout.split()], uninterrupted[1], rtol=1e-4)
    # What two devices saved, one device can read.
    resumed = train(checkpoints=Checkpoints(tmp_path))
    np.testing.assert_allclose(resumed.slope, uninterrupted[0].slope, rtol=1e-3, atol=1e-5)


def test_another_models_checkpoint_is_refused(tmp_path):
    train(10, checkpoints=Checkpoints(tmp_path))
    model = Line(jnp.zeros((2, 4)), jnp.zeros(2))
    schedule = TrainingSchedule(20, warmup_cosine(80))
    with pytest.raises(CheckpointMismatch, match="slope"):
        fit(model, loss, problem()[1], draw, schedule, checkpoints=Checkpoints(tmp_path), key=jr.key(0))


def test_a_longer_trainings_checkpoint_is_refused(tmp_path, uninterrupted):
    train(checkpoints=Checkpoints(tmp_path))
    with pytest.raises(CheckpointMismatch, match="holds 80 steps, n_steps = 20"):
        train(n_steps=20, checkpoints=Checkpoints(tmp_path))


def test_the_callers_model_survives():
    model, data = problem()
    schedule = TrainingSchedule(10, optax.sgd(0.1), steps_per_dispatch=10)
    fit(model, loss, data, draw, schedule, key=jr.key(0))
    np.testing.assert_array_equal(model.slope, jnp.zeros((2, 3)))


def test_steps_must_fill_dispatches():
    with pytest.raises(ValueError, match="multiple of steps_per_dispatch = 10, got 85"):
        train(85)
    for wrong in ({"n_steps": 0}, {"steps_per_dispatch": 0}, {"checkpoint_every": 0}):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be at least 1, got 0"):
            TrainingSchedule(**{"n_steps": 20, **wrong})
    with pytest.raises(ValueError, match=r"ema_decay must lie between 0 and below 1, got 1\.0"):
        TrainingSchedule(20, ema_decay=1.0)


def test_without_an_optimiser_it_is_that_of_the_house():
    model, data = problem()
    default, named = (
        fit(model, loss, data, draw, TrainingSchedule(20, optimiser), key=jr.key(2))
        for optimiser in (None, warmup_cosine(20))
    )
    assert_same_bits(default, named)


def test_learning_rate_of_the_house_optimiser():
    optimiser = warmup_cosine(1000, peak=1e-3, end=1e-6, warmup=100)
    gradient = {"x": jnp.asarray([3.0, -4.0])}
    state = optimiser.init(gradient)
    update, sizes = jax.jit(optimiser.update), []
    for _ in range(102):
        updates, state = update(gradient, state)
        sizes.append(float(jnp.abs(updates["x"]).max()))
    # Adam's step on a constant gradient is the learning rate itself: zero first, the peak after the warm-up.
    assert sizes[0] == 0.0
    assert sizes[50] == pytest.approx(0.5e-3, rel=1e-3)
    assert sizes[100] == pytest.approx(1e-3, rel=1e-3)
