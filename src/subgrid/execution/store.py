"""A store that work items fill: aligned, whole files, each item followed by a marker with the digests of its files.

Two processes may write one item at once: both write the same bits, each file appears whole, and the second finds the
marker of the first. Bits that differ from a marker's are refused. Nothing is locked, so nothing stays locked when a
process is killed.
"""

import errno
import hashlib
import json
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Float

from subgrid.data.fields import DataError
from subgrid.data.store import MARKERS, RECORD, WORK, OutputError
from subgrid.execution.files import check_name, inside, place, remove_stale
from subgrid.execution.layout import Layout, check_aligned, layout_of
from subgrid.execution.work_items import WorkItem

ASIDE = f"{WORK}/partial"
Diagnostics: TypeAlias = Mapping[str, Float[np.ndarray, "t m"]]
"""What there is to tell of each draw, by name."""


@dataclass(frozen=True)
class FileDigest:
    """What a chunk file must hold: its length in bytes and its SHA-256."""

    size: int
    sha256: str


@dataclass(frozen=True)
class Marker:
    """The sign that an item is complete; `files` by path in the store, None for a chunk of fill values (no file)."""

    files: dict[str, FileDigest | None]
    written: datetime
    writer: str


@dataclass(frozen=True)
class Store:
    """A store on disk and the facts it is written by. Make one with `create_store`, find one with `open_store`.

    Args:
        path: of its folder, absolute.
        layout: variables, dimensions, chunks, work items, random stream and configuration.
    """

    path: Path
    layout: Layout

    def items(self) -> list[WorkItem]:
        """All work items, in order of time, then member."""
        return self.layout.items()

    def pending(self) -> list[WorkItem]:
        """The items still to do: those without a marker, or whose files are missing or of another length."""
        return [item for item in self.items() if not self.is_complete(item)]

    def is_complete(self, item: WorkItem) -> bool:
        """Whether an item has its marker and its files have their lengths; `status` compares their digests too."""
        marker = read_marker(self, item)
        return marker is not None and not any(self.complaint(name, file) for name, file in marker.files.items())

    def complaint(self, name: str, expected: FileDigest | None) -> str:
        """What is wrong with a file's presence or length: "missing", "truncated", …, or nothing."""
        path = inside(self.path, name)
        if expected is None:
            return "there, but only fill values were written" if path.exists() else ""
        if not path.is_file():
            return "missing"
        size = path.stat().st_size
        return "" if size == expected.size else f"{size} bytes instead of {expected.size}"


def is_store(path: str | Path) -> bool:
    """Whether `create_store` made the folder."""
    return (Path(path) / RECORD).is_file()


def open_store(path: str | Path) -> Store:
    """The store at `path`, as its record describes it.

    Args:
        path: of its folder.

    Returns:
        The store.

    Raises:
        DataError: if there is none, or its record cannot be read.

    Examples:
        >>> open_store("out.zarr").pending()
    """
    path = Path(path).absolute()
    if not path.exists():
        raise DataError(f"{path}: no such store.")
    if not is_store(path):
        raise DataError(f"{path}: is not a store made by `subgrid`: it has no {RECORD}.")
    try:
        layout = layout_of(json.loads((path / RECORD).read_text(encoding="utf-8")))
        for name in (*layout.variables, *layout.diagnostics):
            check_name(name, source=str(path))
    except (json.JSONDecodeError, TypeError, ValueError) as error:
        raise DataError(f"{path}: the record {RECORD} cannot be used ({error}); make the store again.") from error
    return Store(path, layout)


def write_item(
    store: Store,
    item: WorkItem,
    values: Float[np.ndarray, "t m channel *space"],
    diagnostics: Diagnostics = MappingProxyType({}),
) -> None:
    """Writes an item's fields, every file whole and durable, and then its marker.

    Args:
        store: to write to.
        item: of it, aligned to its chunks.
        values: (t, m, channel, *space), float32, channels in the order of the store's variables; NaN where there is
            none.
        diagnostics: (t, m), of each draw, by the names that the store has; none by default.

    Raises:
        ValueError: for an item that is not aligned to the chunks, values of another shape, or other diagnostics.
        OutputError: for a full disk, or if another process has completed the item with other bits.

    Examples:
        >>> write_item(store, store.items()[0], values)
    """
    check_aligned(store.layout, item)
    files = encode(store, item, values, diagnostics)
    digests = {name: _digest(content) for name, content in files.items()}
    done = read_marker(store, item)
    if done is not None and done.files != digests:
        raise OutputError(
            f"{store.path}: {done.writer} has written other bits for {item} than this process computes; "
            "use one version, one kind of device and one model for a store, or choose another output."
        )
    try:
        for name, content in files.items():
            _put(store, name, content)
        _put(store, _marker_name(item), _marker_text(digests))
    except OSError as error:
        raise OutputError(_explain(store, error)) from error


def encode(
    store: Store,
    item: WorkItem,
    values: Float[np.ndarray, "t m channel *space"],
    diagnostics: Diagnostics = MappingProxyType({}),
) -> dict[str, bytes | None]:
    """The chunk files of an item, by path in the store; None for a chunk that holds fill values only.

    Zarr writes them in memory, so that what reaches the disk is whole, and its digest is that of what was meant. Errors
    are those of `write_item`.
    """
    layout = store.layout
    shape = (item.time[1] - item.time[0], item.member[1] - item.member[0], len(layout.variables), *layout.space_shape)
    if values.shape != shape:
        raise ValueError(f"the sampler returned shape {values.shape} for {item}; it must be {shape}.")
    if {*diagnostics} != {*layout.diagnostics}:
        told, kept = (", ".join(names) or "nothing" for names in (diagnostics, layout.diagnostics))
        raise ValueError(f"the sampler tells {told} of its draws, and the store keeps {kept}.")
    fields = {variable: values[:, :, channel] for channel, variable in enumerate(layout.variables)}
    files = {}
    for variable, each in {**fields, **diagnostics}.items():
        field = np.swapaxes(each, 0, 1).astype(np.float32)
        if variable in layout.bit_rounding:
            field = round_bits(field, layout.bit_rounding[variable])
        chunks = _encode_variable(store, variable, item, field)
        files |= {f"{variable}/{name}": chunks.get(name) for name in layout.files(item)[variable]}
    return files


def round_bits(values: Float[np.ndarray, "*shape"], kept: int) -> Float[np.ndarray, "*shape"]:
    """float32 with `kept` bits of the mantissa, rounded to the nearest, ties to even; NaN and infinity stay.

    Relative error at most 2^-(kept+1).

    References:
        M. Klöwer et al. (2021), Nature Computational Science 1, 713–724, doi:10.1038/s43588-021-00156-2.

    Examples:
        >>> round_bits(np.float32([273.15]), 10)  # 273.25
    """
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    dropped = np.uint32(23 - kept)
    if not dropped:
        return bits.view(np.float32)
    half = np.uint32((1 << (dropped - 1)) - 1) + ((bits >> dropped) & np.uint32(1))
    rounded = (bits + half) & np.uint32(0xFFFFFFFF ^ ((1 << dropped) - 1))
    return np.where(np.isfinite(values), rounded.view(np.float32), values).astype(np.float32)


def read_marker(store: Store, item: WorkItem) -> Marker | None:
    """The marker of an item, or None if there is none that can be read and names the item's files."""
    try:
        content = json.loads(inside(store.path, _marker_name(item)).read_text(encoding="utf-8"))
        files = {name: None if file is None else FileDigest(**file) for name, file in content["files"].items()}
        marker = Marker(files, datetime.fromisoformat(content["written"]), content["writer"])
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
    expected = {f"{variable}/{name}" for variable, names in store.layout.files(item).items() for name in names}
    return marker if set(marker.files) == expected else None


def forget_item(store: Store, item: WorkItem) -> None:
    """Removes an item's marker, so that the next run does it again."""
    inside(store.path, _marker_name(item)).unlink(missing_ok=True)


def tidy(store: Store) -> None:
    """Removes half-written files that killed processes of this host left behind."""
    remove_stale(store.path, aside=ASIDE)


def _encode_variable(
    store: Store, variable: str, item: WorkItem, field: Float[np.ndarray, "m t *space"]
) -> dict[str, bytes]:
    import zarr
    from zarr.core.buffer import default_buffer_prototype
    from zarr.storage import MemoryStore

    metadata = inside(store.path, f"{variable}/zarr.json").read_bytes()
    content: Any = {"zarr.json": default_buffer_prototype().buffer.from_bytes(metadata)}
    array = zarr.open_array(MemoryStore(content), mode="r+")
    array[slice(*item.member), slice(*item.time)] = field
    return {name: buffer.to_bytes() for name, buffer in content.items() if name != "zarr.json"}


def _put(store: Store, name: str, content: bytes | None) -> None:
    if content is None:
        inside(store.path, name).unlink(missing_ok=True)
    else:
        place(store.path, name, content, aside=ASIDE)


def _digest(content: bytes | None) -> FileDigest | None:
    return None if content is None else FileDigest(len(content), hashlib.sha256(content).hexdigest())


def _marker_name(item: WorkItem) -> str:
    return f"{MARKERS}/{item.name}.json"


def _marker_text(digests: dict[str, FileDigest | None]) -> bytes:
    content = {
        "files": {name: digest and vars(digest) for name, digest in digests.items()},
        "written": datetime.now(UTC).isoformat(),
        "writer": f"process {os.getpid()} on {socket.gethostname()}",
    }
    return (json.dumps(content, indent=1) + "\n").encode()


def _explain(store: Store, error: OSError) -> str:
    items = store.items()
    done = len(items) - len(store.pending())
    reason = (
        "no space left on the disk"
        if error.errno in (errno.ENOSPC, errno.EDQUOT)
        else f"cannot be written ({error.strerror})"
    )
    return (
        f"{store.path}: {reason}; {done} of {len(items)} work items are complete and stay readable. "
        "Mend that and run the same command again to go on."
    )
