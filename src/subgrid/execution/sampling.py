"""From a name to fields: how a process that knows only a store and a loader does a work item.

Processes on other machines get no objects, only the name of a function that makes the sampler, and plain arguments.
So nothing is pickled that could go stale, and each process reads its model once.
"""

import functools
import importlib
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int, PRNGKeyArray, Shaped

from subgrid.execution.store import Diagnostics, Store, write_item
from subgrid.execution.work_items import WorkItem, sample_keys

ONE_AT_A_TIME = threading.Lock()
"""Held while an item is computed and written: memory stays that of one item in workers with several threads too."""


@runtime_checkable
class BlockSampler(Protocol):
    """Draws an ensemble's fields at positions `times` of the time axis for `members`; pure, and each draw follows from
    its own key alone. float32; NaN where there is no value; channels in the order of the store's variables.

    With the fields it may give what there is to tell of each draw, by the names of the store's diagnostics."""

    def __call__(
        self,
        times: Int[np.ndarray, " t"],
        members: Int[np.ndarray, " m"],
        *,
        keys: Shaped[PRNGKeyArray, "t m"],
    ) -> Float[np.ndarray, "t m channel *space"] | tuple[Float[np.ndarray, "t m channel *space"], Diagnostics]: ...


@dataclass(frozen=True)
class Loader:
    """A function by name, "package.module:function", and its keyword arguments as JSON; made by `loader_of`."""

    target: str
    arguments: str = "{}"


def loader_of(function: Callable[..., BlockSampler], **arguments: Any) -> Loader:
    """A loader that any process can call: `function(**arguments)` must return the sampler.

    Args:
        function: at the top level of a module that workers can import.
        **arguments: plain values: numbers, text, lists and dictionaries; paths as text, absolute, where all workers see
            them.

    Returns:
        The function's name and its arguments as JSON.

    Raises:
        TypeError: for a function that has no name elsewhere, or arguments that JSON does not keep.

    Examples:
        >>> loader = loader_of(load_sampler, folder="/scratch/run")
    """
    name = f"{function.__module__}:{function.__qualname__}"
    if function.__module__ == "__main__" or "<" in function.__qualname__:
        raise TypeError(f"{name} cannot be found by other processes; define it at the top level of a module.")
    try:
        text = json.dumps(arguments, sort_keys=True)
    except TypeError as error:
        raise TypeError(f"{name}: {error}; pass numbers, text, lists and dictionaries only.") from error
    if json.loads(text) != arguments:
        raise TypeError(f"{name}: its arguments change on the way through JSON; pass lists for tuples, text for keys.")
    return Loader(name, text)


@functools.lru_cache(maxsize=1)
def load(loader: Loader) -> BlockSampler:
    """The sampler, made at the first call in this process and kept."""
    module, _, name = loader.target.partition(":")
    return getattr(importlib.import_module(module), name)(**json.loads(loader.arguments))


def run_item(item: WorkItem, sample: BlockSampler, store: Store) -> None:
    """Computes one item and writes it: fields first, whole and durable, then the marker.

    Raises:
        FloatingPointError: for a sample that diverged, naming where; and as `write_item`.

    Examples:
        >>> run_item(store.items()[0], sample, store)
    """
    with ONE_AT_A_TIME:
        times, members = np.arange(*item.time), np.arange(*item.member)
        keys = sample_keys(store.layout.seed, store.layout.stream, times, members)
        found = sample(times, members, keys=keys)
        fields, told = found if isinstance(found, tuple) else (found, {})
        values = np.asarray(fields)
        _check_values(values, item, store)
        write_item(store, item, values, told)


def _check_values(values: Float[np.ndarray, "t m channel *space"], item: WorkItem, store: Store) -> None:
    """NaN in some cells is a mask; a field of nothing else, or an infinity, is a failure."""
    space = tuple(range(3, values.ndim))
    lost = np.isinf(values).any(space) | np.isnan(values).all(space)
    if lost.any():
        t, m, c = (int(i) for i in np.argwhere(lost)[0])
        raise FloatingPointError(
            f"{store.path}: the sample of {store.layout.variables[c]} at time {item.time[0] + t}, member "
            f"{item.member[0] + m} is not finite; look at the input there, or use more noise levels."
        )
