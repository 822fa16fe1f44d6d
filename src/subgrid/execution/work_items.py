"""Work items: one for every (time block × member block) of an ensemble, and the keys of their draws.

An item knows positions only: what it computes follows from them, the seed and the name of the random stream, never from
who runs it or when.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from jaxtyping import Int, PRNGKeyArray, Shaped

Span: TypeAlias = tuple[int, int]
"""First position, and the one behind the last."""


@dataclass(frozen=True, order=True)
class WorkItem:
    """The fields at positions `time` of the store's time axis, for the members `member`; both [first, last)."""

    time: Span
    member: Span

    @property
    def name(self) -> str:
        """A file name that sorts by time, then member: ``t00000000-00000032_m0000-0016``."""
        return f"t{self.time[0]:08d}-{self.time[1]:08d}_m{self.member[0]:04d}-{self.member[1]:04d}"

    @property
    def n_fields(self) -> int:
        return (self.time[1] - self.time[0]) * (self.member[1] - self.member[0])

    def __str__(self) -> str:
        return f"times {self.time[0]} to {self.time[1] - 1}, members {self.member[0]} to {self.member[1] - 1}"


def blocks(size: int, length: int) -> list[Span]:
    """[0, size) cut into spans of `length`, the last one shorter where it does not divide.

    Raises:
        ValueError: if either is below 1.

    Examples:
        >>> blocks(5, 2)
        [(0, 2), (2, 4), (4, 5)]
    """
    if size < 1 or length < 1:
        raise ValueError(f"blocks of {length} out of {size} make no sense; both must be at least 1.")
    return [(first, min(first + length, size)) for first in range(0, size, length)]


def work_items(n_times: int, n_members: int, *, times_per_item: int, members_per_item: int) -> list[WorkItem]:
    """All items of an ensemble, in order of time, then member: each (time, member) belongs to exactly one.

    Raises:
        ValueError: if a number is below 1.

    Examples:
        >>> work_items(365, 16, times_per_item=32, members_per_item=16)
    """
    return [
        WorkItem(time, member)
        for time in blocks(n_times, times_per_item)
        for member in blocks(n_members, members_per_item)
    ]


def share(items: Sequence[WorkItem], index: int, n: int) -> list[WorkItem]:
    """Every n-th item from `index` on: the shares 0 … n − 1 are disjoint, add up to all and differ by one item at most.

    Raises:
        ValueError: unless 0 ≤ index < n.

    Examples:
        >>> share(items, 0, 10)
    """
    if not 0 <= index < n:
        raise ValueError(f"slice {index} of {n} does not exist; slices are numbered from 0 to {n - 1}.")
    return list(items[index::n])


def sample_keys(
    seed: int | Sequence[int], stream: Sequence[str], times: Int[np.ndarray, " t"], members: Int[np.ndarray, " m"]
) -> Shaped[PRNGKeyArray, "t m"]:
    """The key of every draw of a store, the same in whichever block it falls.

    Args:
        seed: of the store, a number or the words of a key.
        stream: names of the store's random stream (see `subgrid.numerics.streams`); stores of one seed and one stream
            share their noise.
        times: positions on the store's whole time axis.
        members: numbers of members.

    Returns:
        One key for every time and member.

    Examples:
        >>> sample_keys(0, ("climate", "scenario"), np.arange(32, 64), np.arange(16)).shape
        (32, 16)
    """
    from subgrid.numerics import streams  # only here: status and the like do without JAX

    if isinstance(seed, int):
        return streams.draw_keys(streams.stream(seed, *stream), times, members)
    import jax.numpy as jnp
    import jax.random as jr

    root = jr.wrap_key_data(jnp.asarray(seed, jnp.uint32))
    return streams.draw_keys(streams.substream(root, *stream), times, members)
