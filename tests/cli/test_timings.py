"""Seconds of stages that are done again, resumed, or interrupted."""

import time

import pytest

from subgrid.cli.timings import timed, timings_of
from subgrid.data.store import write_json


def test_a_stage_done_again_replaces_its_seconds_and_a_resumed_one_adds_to_them(tmp_path):
    assert timings_of(tmp_path) == {}
    write_json(tmp_path / "timings.json", {"train": 1000.0, "debias": 7.0})
    with timed(tmp_path, "train", resumed=True):
        time.sleep(0.15)
    assert timings_of(tmp_path)["train"] >= 1000.1
    with timed(tmp_path, "train"):
        pass
    assert timings_of(tmp_path)["train"] < 1000
    assert timings_of(tmp_path)["debias"] == 7.0


def wait_and_interrupt():
    time.sleep(0.15)
    raise KeyboardInterrupt


def test_an_interrupted_stage_leaves_its_seconds(tmp_path):
    with pytest.raises(KeyboardInterrupt), timed(tmp_path, "train"):
        wait_and_interrupt()
    assert timings_of(tmp_path)["train"] >= 0.1
