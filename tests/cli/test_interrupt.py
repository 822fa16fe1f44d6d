"""Ctrl-C on the command line: what is said, what is kept, and that the command it names goes on from there."""

import re
import shlex
import signal
import subprocess
import sys
import time

import pytest


@pytest.mark.slow
def test_an_interrupted_fit_is_saved_and_goes_on_by_the_command_that_is_named(archives, tmp_path):
    settings = ("prior=network", "debias=none", "channels=[8]", "n_blocks=1", "batch_size=8", "n_steps=200000")
    arguments = ["fit", str(archives / "fine.nc"), str(archives / "coarse.nc"), "-o", str(tmp_path / "model")]
    arguments += [f"--set={setting}" for setting in settings]
    code = "import sys; from subgrid.cli.main import run; sys.argv[0] = 'subgrid'; sys.exit(run())"
    start = [sys.executable, "-c", code]
    training = subprocess.Popen([*start, *arguments], stderr=subprocess.PIPE, text=True)
    log = tmp_path / "model" / "model" / "training.jsonl"
    end = time.monotonic() + 120
    while not (log.exists() and log.read_text()) and time.monotonic() < end:
        time.sleep(0.05)
    training.send_signal(signal.SIGINT)
    said = training.communicate(timeout=60)[1]
    assert training.returncode == 130
    assert "stopping after this step, and saving; Ctrl-C again stops now, without saving\n" in said
    (step,) = re.findall(r"subgrid: training interrupted after (\d+) steps, saved in", said)
    (named,) = re.findall(r"subgrid: to go on: (.*)\n", said)
    assert shlex.split(named) == ["subgrid", *arguments]
    assert "\x1b" not in said

    again = subprocess.Popen([*start, *shlex.split(named)[1:]], stderr=subprocess.PIPE, text=True)
    assert again.stderr is not None
    lines = iter(again.stderr.readline, "")
    assert f"train: goes on from step {step} of 200000\n" in lines  # reads as far as it has to
    again.send_signal(signal.SIGINT)
    again.communicate(timeout=60)
    assert again.returncode == 130
