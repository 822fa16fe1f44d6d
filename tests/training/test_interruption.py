"""Ctrl-C in processes of their own: answered while a compiled call runs, saved, and left at the second."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from subgrid.training.interruption import answered

SLOW = """
import sys, time
import equinox as eqx, jax, jax.numpy as jnp, jax.random as jr
from subgrid.training import Checkpoints, TrainingSchedule, answered, fit, progress, say

def loss(model, batch, key):
    '''Some seconds in one compiled call, which Python cannot break off.'''
    turn = lambda i, x: jnp.sin(x + i)
    return jnp.mean(model(batch) ** 2) + 0 * jax.lax.stop_gradient(jax.lax.fori_loop(0, ROUNDS, turn, jnp.zeros(())))

def train():
    schedule = TrainingSchedule(20, steps_per_dispatch=2)
    model, data = eqx.nn.Linear(2, 1, key=jr.key(0)), jnp.ones(2)
    begun = lambda step, metrics: print("step", step, flush=True)
    fit(model, loss, data, lambda data, key: data, schedule, checkpoints=Checkpoints(sys.argv[1]), report=begun,
        key=jr.key(1))
"""
SECONDS = 4.0
"""Of one compiled call: more than the second in which the answer must be there."""


@pytest.fixture(autouse=True)
def interruptible():
    """Started in the background of a script, a process ignores Ctrl-C, and so would these tests."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="module")
def rounds():
    """How many turns take half of that, on this machine now; a call has two steps."""
    import jax
    import jax.numpy as jnp

    turns = jax.jit(lambda n: jax.lax.fori_loop(0, n, lambda i, x: jnp.sin(x + i), jnp.zeros(())))
    turns(1).block_until_ready()
    started = time.monotonic()
    turns(200_000).block_until_ready()
    return int(200_000 * SECONDS / 2 / (time.monotonic() - started))


class Process:
    """A script whose output is read as it comes, with times."""

    def __init__(self, script, *arguments):
        command = [sys.executable, "-u", "-c", script, *map(str, arguments)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.lines: list[tuple[float, str]] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.append((time.monotonic(), line.rstrip("\n")))

    def when(self, text, within):
        """The time at which a line with the text came."""
        end = time.monotonic() + within
        while time.monotonic() < end:
            if found := [at for at, line in list(self.lines) if text in line]:
                return found[0]
            time.sleep(0.01)
        raise AssertionError(f"no {text!r} within {within} s: {self.text}")

    def interrupt(self):
        self.process.send_signal(signal.SIGINT)
        return time.monotonic()

    def end(self, within=60):
        code = self.process.wait(within)
        self._reader.join()
        return code

    @property
    def text(self):
        return "\n".join(line for _, line in self.lines)


@pytest.fixture
def started(tmp_path, rounds):
    """A training of some seconds a call, in the middle of its second call."""
    running = []

    def start(how):
        script = SLOW.replace("ROUNDS", str(rounds)) + textwrap.dedent(how)
        running.append(Process(script, tmp_path))
        running[0].when("step 2", within=120)
        time.sleep(0.3)
        return running[0]

    yield start
    for each in running:
        each.process.kill()
        each.end()


def test_training_answers_within_a_second_and_saves_after_the_step(started):
    training = started("train()")
    sent = training.interrupt()
    assert training.when("stopping after this step, and saving", within=10) - sent < 1
    assert training.end() == 1
    assert "TrainingInterrupted: training interrupted after 4 steps, saved in" in training.text
    assert "step 4" in training.text and "step 6" not in training.text


@pytest.mark.slow
def test_a_second_leaves_a_command_line_at_once_without_saving(started):
    training = started("with answered('stopping', leave=True):\n    train()")
    training.interrupt()
    training.when("stopping after this step, and saving; Ctrl-C again stops now, without saving", within=10)
    sent = training.interrupt()
    assert training.end() == 130 and time.monotonic() - sent < 1
    assert "step 4" not in training.text and "interrupted after" not in training.text


@pytest.mark.slow
def test_elsewhere_it_is_answered_at_once_and_raised_when_the_call_is_over(rounds):
    # As in sampling: nothing of Subgrid runs while a compiled call does.
    script = SLOW.replace("ROUNDS", str(rounds)) + textwrap.dedent("""
        call = jax.jit(lambda x: jax.lax.fori_loop(0, 2 * ROUNDS, lambda i, x: jnp.sin(x + i), x))
        with answered("stopping when what is computed now is done"):
            print("begun", flush=True)
            try:
                call(0.0).block_until_ready()
                print("not interrupted")
            except KeyboardInterrupt:
                print("interrupted")
    """).replace("ROUNDS", str(rounds))
    sampling = Process(script)
    try:
        sampling.when("begun", within=60)
        time.sleep(1.0)
        sent = sampling.interrupt()
        assert sampling.when("stopping when what is computed now is done", within=10) - sent < 1
        assert sampling.end() == 0 and sampling.lines[-1][1] == "interrupted"
    finally:
        sampling.process.kill()


def test_one_within_another_answers_alone_and_all_is_as_before(capsys):
    def interrupted():
        with answered("inner"):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(5)

    handler = signal.getsignal(signal.SIGINT)
    with answered("outer"):
        with pytest.raises(KeyboardInterrupt):
            interrupted()
        assert capsys.readouterr().err == "inner\n"
    assert signal.getsignal(signal.SIGINT) is handler
    assert signal.set_wakeup_fd(-1) == -1


def test_in_another_thread_nothing_happens(capsys):
    def inside():
        with answered("never said"):
            assert signal.getsignal(signal.SIGINT) is before

    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=inside)
    thread.start()
    thread.join()
    assert capsys.readouterr().err == ""
