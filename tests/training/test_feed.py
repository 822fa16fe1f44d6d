"""What a dispatch works on: in order, at most so far ahead, by another thread, and stopped when training stops."""

import threading
import time
from contextlib import closing

import jax
import numpy as np
import pytest

from subgrid.training.feed import Streamed, as_read, dispatches


def counted(made):
    def batches(step):
        made.append((step, threading.current_thread().name))
        return {"x": np.full((4, 2), step, np.float32)}

    return batches


def test_resident_data_are_handed_on():
    data = object()
    assert [d.resident is data and d.stacked is None for d in dispatches(data, 20, 60, 20)] == [True, True]


@pytest.mark.parametrize("ahead", [1, 2, 5])
def test_batches_are_stacked_in_order_on_the_device(ahead):
    with closing(dispatches(Streamed(counted([]), ahead), 10, 22, 4)) as feed:
        for first, dispatch in zip((10, 14, 18), feed, strict=True):
            assert isinstance(dispatch.stacked["x"], jax.Array)
            np.testing.assert_array_equal(dispatch.stacked["x"][:, 0, 0], range(first, first + 4))


def test_no_more_is_read_than_asked_for():
    made = []
    with closing(dispatches(Streamed(counted(made)), 0, 100, 1)) as feed:
        for taken in range(5):
            next(feed)
            time.sleep(0.05)  # time to read more, if it did
            assert len(made) <= taken + 2
    assert {name.rsplit("_", 1)[0] for _, name in made} == {"subgrid-feed"}
    time.sleep(0.05)
    assert len(made) <= 6


def test_reading_goes_on_while_the_dispatch_before_computes():
    read = threading.Event()

    def batches(step):
        if step == 1:
            read.set()
        return np.zeros((2, 2), np.float32)

    with closing(dispatches(Streamed(batches), 0, 2, 1)) as feed:
        next(feed)
        assert read.wait(10)  # the second was never asked for


def test_what_reading_raises_arrives_at_its_step():
    def batches(step):
        if step == 3:
            raise RuntimeError("step 3")
        return np.zeros((2, 2), np.float32)

    with closing(dispatches(Streamed(batches), 0, 6, 1)) as feed:
        for _ in range(3):
            next(feed)
        with pytest.raises(RuntimeError, match="step 3"):
            next(feed)
    assert not [t for t in threading.enumerate() if t.name.startswith("subgrid-feed")]


def test_as_read_changes_nothing():
    batch = np.ones(3)
    assert as_read(batch, None) is batch
