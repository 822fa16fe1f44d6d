"""What is done of a store, and whether what is done is still what was written."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from subgrid.data.fields import DataError
from subgrid.execution.files import inside
from subgrid.execution.layout import TIME
from subgrid.execution.store import FileDigest, Store, forget_item, open_store, read_marker
from subgrid.execution.work_items import Span, WorkItem

PIECE = 2**22
"""Bytes read at a time, so that a status needs no memory."""


@dataclass(frozen=True)
class Damage:
    """A chunk file of a marked item that is not what was written; `reason` says how."""

    item: WorkItem
    file: str
    reason: str


@dataclass(frozen=True)
class Status:
    """The state of a store: what is done, by time and member block.

    Args:
        path: of the store.
        configuration_hash: of all facts that the store is written by, see `Layout.hash`.
        time_blocks: [first, last) of each, in positions of the time axis.
        member_blocks: [first, last) of each, in numbers of members.
        time_labels: first and last date of each time block.
        done: (time_block, member_block), whether that item is marked and undamaged.
        damage: missing, truncated or corrupt files of marked items.
        last_written: when the last marker was; None without any.
        told: the smallest and the middle of what draws tell of themselves, by name, such as the effective size of
            particles, over those that are done.
    """

    path: Path
    configuration_hash: str
    time_blocks: tuple[Span, ...]
    member_blocks: tuple[Span, ...]
    time_labels: tuple[tuple[str, str], ...]
    done: Bool[np.ndarray, "time_block member_block"]
    damage: tuple[Damage, ...]
    last_written: datetime | None
    told: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def n_items(self) -> int:
        return self.done.size

    @property
    def n_done(self) -> int:
        return int(self.done.sum())

    @property
    def is_complete(self) -> bool:
        return bool(self.done.all())


def status(path: str | Path) -> Status:
    """The state of a store, every chunk file read and compared with the digest in its item's marker.

    Args:
        path: of a store; a run that writes to it need not stop.

    Returns:
        What is done by time and member block, and every missing, truncated or corrupt file.

    Raises:
        DataError: if there is no store.

    Examples:
        >>> status("out.zarr").damage
    """
    return _status(open_store(path), _compare_digest)


def quick_status(path: str | Path) -> Status:
    """As `status`, but files are only looked for and their lengths compared: fast for a store of any size.

    Examples:
        >>> quick_status("out.zarr").n_done
    """
    return _status(open_store(path), lambda store, name, expected: store.complaint(name, expected))


def repair(found: Status) -> int:
    """Removes the markers of damaged items, so that the next run does them again.

    Args:
        found: from `status`, which compares digests.

    Returns:
        How many items there were.

    Raises:
        DataError: if the store is not there any more.

    Examples:
        >>> repair(status("out.zarr"))
    """
    store = open_store(found.path)
    damaged = {damage.item for damage in found.damage}
    for item in damaged:
        forget_item(store, item)
    return len(damaged)


def _status(store: Store, compare: Callable[[Store, str, FileDigest | None], str]) -> Status:
    damage, written, complete = [], [], set()
    for item in store.items():
        marker = read_marker(store, item)
        if marker is None:
            continue
        written.append(marker.written)
        reasons = {name: compare(store, name, expected) for name, expected in marker.files.items()}
        found = [Damage(item, name, reason) for name, reason in reasons.items() if reason]
        damage += found
        complete |= set() if found else {item}
    times = tuple(sorted({item.time for item in store.items()}))
    members = tuple(sorted({item.member for item in store.items()}))
    done = np.array([[WorkItem(time, member) in complete for member in members] for time in times])
    latest = max(written, default=None)
    facts = store.path, store.layout.hash, times, members, _labels(store, times), done, tuple(damage), latest
    return Status(*facts, told={} if damage else _told(store))


def _told(store: Store) -> dict[str, tuple[float, float]]:
    """The smallest and the middle of each diagnostic, none of those of which nothing is done."""
    import xarray as xr

    if not store.layout.diagnostics:
        return {}
    with xr.open_zarr(store.path, chunks=None) as dataset:
        values = {name: dataset[name].values for name in store.layout.diagnostics}
    known = {name: each[np.isfinite(each)] for name, each in values.items()}
    return {name: (float(each.min()), float(np.median(each))) for name, each in known.items() if each.size}


def _compare_digest(store: Store, name: str, expected: FileDigest | None) -> str:
    reason = store.complaint(name, expected)
    if reason or expected is None:
        return reason
    digest = hashlib.sha256()
    with inside(store.path, name).open("rb") as file:
        while piece := file.read(PIECE):
            digest.update(piece)
    return "" if digest.hexdigest() == expected.sha256 else "corrupt: its digest is another"


def _labels(store: Store, times: tuple[Span, ...]) -> tuple[tuple[str, str], ...]:
    """First and last time of every block, as dates where the store's time axis can be read."""
    import xarray as xr

    try:
        with xr.open_zarr(store.path, chunks=None) as dataset:
            axis = dataset[TIME].values if TIME in dataset.coords else np.arange(times[-1][1])
    except Exception as error:  # whatever the codecs raise for bytes that are not theirs
        raise DataError(f"{store.path}: its time axis cannot be read ({error}); make the store again.") from error
    return tuple((_date(axis[first]), _date(axis[last - 1])) for first, last in times)


def _date(time: object) -> str:
    text = str(time).replace("T", " ")
    return text.removesuffix(".000000000").removesuffix(" 00:00:00")
