"""What each dispatch of training works on: data that stay on the device, or batches read while it computes."""

from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import numpy as np

from subgrid.training.distributed import to_devices
from subgrid.types import PyTree


@dataclass(frozen=True)
class Streamed:
    """Batches from the host, for `fit`.

    Args:
        batches: batches(step) is the batch of one step, of this process: a function of the step alone, called by one
            background thread in rising order of steps.
        ahead: how many dispatches are held ready beside the one that computes, 1 by default.

    Examples:
        >>> batches = stream_batches(path, ["tas"], batch_size=64, key=key)
        >>> fit(model, loss, Streamed(batches), as_read, schedule, key=key)
    """

    batches: Callable[[int], PyTree]
    ahead: int = 1


class Dispatch(NamedTuple):
    """What one call of the compiled steps works on; one of the two is None."""

    resident: PyTree
    """What every step draws from, on the device."""
    stacked: PyTree
    """A batch for each step, arrays (step, row, …)."""


def as_read(batch: PyTree, key: Any) -> PyTree:
    """The batch as it comes: the `draw` of a stream.

    Args:
        batch: of one step.
        key: not used.

    Returns:
        The batch.
    """
    return batch


def dispatches(data: PyTree, first: int, last: int, each: int) -> Generator[Dispatch, None, None]:
    """What steps first … last − 1 work on, `each` of them at a time.

    Close it when done: it may own a thread.

    Args:
        data: arrays that stay on the device, or `Streamed`.
        first: the first step.
        last: the step after the last.
        each: steps of a dispatch, a divisor of last − first.

    Yields:
        One dispatch after the other, last − first over `each` of them.
    """
    if not isinstance(data, Streamed):
        yield from (Dispatch(data, None) for _ in range(first, last, each))
        return

    def stack(step: int) -> Dispatch:
        batches = [data.batches(i) for i in range(step, step + each)]
        return Dispatch(None, to_devices(jax.tree.map(lambda *leaves: np.stack(leaves), *batches)))

    yield from _ahead(stack, range(first, last, each), data.ahead)


def _ahead(make: Callable[[int], Dispatch], steps: range, n: int) -> Generator[Dispatch, None, None]:
    """make(step) for each step, made by one thread that is at most n ahead of what was taken."""
    reader = ThreadPoolExecutor(1, thread_name_prefix="subgrid-feed")
    try:
        waiting = deque(reader.submit(make, step) for step in steps[:n])
        for step in steps[n:]:
            waiting.append(reader.submit(make, step))
            yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        reader.shutdown(wait=True, cancel_futures=True)
