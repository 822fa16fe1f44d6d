"""Batches from archives larger than memory: chunks are read whole, ahead of need, and shuffled in a bounded buffer.

The archive is cut into *blocks*, each one chunk along the dimensions that count samples. An epoch is a permutation of
the blocks; runs of blocks that fit the buffer make a *window*, whose samples are shuffled; windows follow each other
without end. Every permutation comes from the key and its own number, so the samples of step i are found without the
reads of the steps before: a resumed run reads one window and goes on.
"""

import hashlib
import itertools
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import jax.random as jr
import numpy as np
import xarray as xr
from jaxtyping import Float

from subgrid.data.checks.missing import packing_of, says_missing, without_missing
from subgrid.data.fields import DataError, channel_dims, open_field, sample_dims, space_dims
from subgrid.data.lanes import Blocks, Lane
from subgrid.data.plain import without_given
from subgrid.data.sources.opening import split_group
from subgrid.data.sources.remote import filesystem_of, local_path, url_of
from subgrid.types import Key

BLOCK_BYTES = 2**24
"""Of a block where the archive says nothing of chunks: large enough for a disk, small beside any buffer."""
LANES = 8
"""That `StreamedFields` deals its blocks into: 1, 2, 4 or 8 processes then read the same batches, each its part."""


@dataclass(frozen=True)
class BatchStream:
    """A stream of batches: `stream(step)` is a function of key and step alone; see `stream_batches`.

    Batches may be asked for in any order, by one thread; in rising order every window is read once.

    Args:
        lanes: sequences of samples, each of which gives `rows` rows of every batch.
        rows: of each lane.
    """

    lanes: tuple[Lane, ...]
    rows: int

    def __call__(self, step: int) -> Float[np.ndarray, "batch channel *space"]:
        return np.concatenate([lane.samples(step * self.rows, self.rows) for lane in self.lanes])

    def part(self, process: int, n_processes: int) -> "BatchStream":
        """The rows of one process of several, which reads its own lanes and nothing else.

        The parts, one after the other, are the whole batch, for every number of processes.

        Args:
            process: number of the process, from 0.
            n_processes: number of all.

        Returns:
            The stream of that process.

        Raises:
            ValueError: if the lanes cannot be dealt out evenly.
        """
        if len(self.lanes) % n_processes:
            raise ValueError(
                f"n_lanes must be a multiple of the number of processes, {n_processes}, got {len(self.lanes)}."
            )
        each = len(self.lanes) // n_processes
        own = self.lanes[process * each : (process + 1) * each]
        reader = ThreadPoolExecutor(1, thread_name_prefix="subgrid-read")
        return BatchStream(tuple(replace(lane, reader=reader, loaded={}) for lane in own), self.rows)


@dataclass(frozen=True)
class StreamedFields:
    """Samples of an archive that stay on disk, and what training needs to know of them.

    Args:
        path: a Zarr store or NetCDF file.
        variable: in it; or several, on one grid, channel after channel.
        memory: bytes that two windows of all lanes take at most, 512 MiB by default.
        missing: values that are given as missing, of each variable, as `open_plain` takes them; those that the file's
            attributes call missing are so in any case. A batch with a missing value is refused.

    Examples:
        >>> fields = StreamedFields(Path("era5.zarr"), "t2m")
        >>> fields.shape  # (n, channel, *space)
    """

    path: Path
    variable: str | tuple[str, ...]
    memory: int = 2**29
    missing: tuple[tuple[float | str, ...], ...] = ()

    @cached_property
    def blocks(self) -> Blocks:
        """The archive as blocks of samples; it is opened once."""
        names = list(self._names)
        dataset = _opened(_lazily(self.path, names), names, str(self.path))
        return _blocks(dataset, None, _as_read(dataset, self.missing), str(self.path))

    @property
    def _names(self) -> tuple[str, ...]:
        return (self.variable,) if isinstance(self.variable, str) else self.variable

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of all samples together, (n, channel, *space)."""
        fields = [self.blocks.dataset[name] for name in self._names]
        n_channels = sum(field.sizes[d] for field in fields for d in channel_dims(field))
        n_channels += sum(not channel_dims(field) for field in fields)
        space = [fields[0].sizes[d] for d in space_dims(fields[0])]
        return (int(self.blocks.lengths.sum()), n_channels, *space)

    def batches(self, batch_size: int, *, key: Key) -> BatchStream:
        """Shuffled batches in `LANES` lanes, or as many as divide the batch and there are blocks for.

        Args:
            batch_size: over all processes.
            key: random key.

        Returns:
            A stream, with stream(step) the batch, float32, (batch, channel, *space).

        Raises:
            DataError: as `stream_batches`.
        """
        lanes = math.gcd(LANES, batch_size)
        while lanes > len(self.blocks.lengths):
            lanes //= 2
        return _shuffled(self.blocks, batch_size, self.memory, lanes, key=key)

    def moments(self) -> tuple[Float[np.ndarray, " channel"], Float[np.ndarray, " channel"]]:
        """Mean and standard deviation of each channel, in one pass over the archive, a block at a time.

        Blocks are combined by their means and sums of squared deviations, so nothing cancels however far the mean is
        from zero.

        Returns:
            Mean and standard deviation, float64.

        References:
            Chan, Golub & LeVeque (1983), doi:10.1080/00031305.1983.10483115.
        """
        count, mean, squares = 0.0, np.zeros(()), np.zeros(())
        for number in range(len(self.blocks.lengths)):
            values = self.blocks.read(number).astype(np.float64)
            axes = (0, *range(2, values.ndim))
            n, m = values.size / values.shape[1], values.mean(axes)
            within = ((values - m.reshape(-1, *[1] * (values.ndim - 2))) ** 2).sum(axes)
            squares = squares + within + (m - mean) ** 2 * count * n / (count + n)
            mean, count = mean + (m - mean) * n / (count + n), count + n
        return mean, np.sqrt(squares / count)

    def facts(self) -> list[Any]:
        """What tells the archive from another without reading it.

        Returns:
            The shape, the variable, the memory, a digest of every file's name, size and date, and values that are given
            as missing.
        """
        digest = hashlib.blake2b(digest_size=16)
        for line in _remote_facts(url) if (url := url_of(self.path)) else _local_facts(self.path):
            digest.update(f"{line}\n".encode())
        variable = self.variable if isinstance(self.variable, str) else list(self.variable)
        return [
            *self.shape,
            variable,
            self.memory,
            digest.hexdigest(),
            *map(list, self.missing if any(self.missing) else ()),
        ]


def _local_facts(path: Path) -> Iterator[str]:
    """Name, size and date of every file."""
    path = local_path(split_group(path)[0])
    for file in sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]:
        status = file.stat()
        yield f"{file.relative_to(path).as_posix()} {status.st_size} {status.st_mtime_ns}"


def _remote_facts(url: str) -> Iterator[str]:
    """Name and size of every file, and what the store says of its version."""
    fs, path = filesystem_of(str(split_group(url)[0]))
    for name, found in sorted(fs.find(path, detail=True).items()):
        version = next((found[key] for key in ("ETag", "etag", "LastModified", "mtime", "created") if key in found), "")
        yield f"{name} {found['size']} {version}"


def _as_read(dataset: xr.Dataset, missing: Sequence[Sequence[float | str]]) -> Callable[[xr.Dataset], xr.Dataset]:
    """What `open_plain` does to variables that are read at once, for blocks of them."""
    given = dict(zip(dataset.data_vars, missing, strict=False))
    packings = {name: packing_of(field) for name, field in dataset.data_vars.items()}
    marked = {name: each for name, each in packings.items() if says_missing(dataset[name], each)}

    def read(block: xr.Dataset) -> xr.Dataset:
        for name in dataset.data_vars:
            field = without_given(block[name], given.get(name, ()))
            block[name] = without_missing(field, marked[name])[0] if name in marked else field
        return block

    return read


def _lazily(path: Path, names: list[str]) -> str | Path | xr.Dataset:
    """A Zarr store by its path; a NetCDF file opened, nothing read. Errors are those of `open_field`."""
    return path if path.is_dir() else xr.Dataset({name: open_field(path, name) for name in names})


def stream_batches(
    source: str | Path | xr.Dataset,
    variables: Sequence[str],
    *,
    batch_size: int,
    key: Key,
    valid: xr.DataArray | None = None,
    prepare: Callable[[xr.Dataset], xr.Dataset] = lambda block: block,
    memory: int = 2**29,
    n_lanes: int = 1,
) -> BatchStream:
    """Shuffled batches from a Zarr store, or from any lazy dataset, in bounded memory.

    Within an epoch every sample comes once, whatever the buffer; the smaller the buffer beside the archive, the longer
    neighbours in time stay near each other. The order depends on key, chunks, `memory`, `batch_size` and `n_lanes`,
    and not on how many processes share the lanes.

    Args:
        source: a Zarr store, or a dataset opened lazily (canonical ones included).
        variables: the channels, in this order; all on the same dimensions.
        batch_size: over all processes, a multiple of `n_lanes`.
        key: random key.
        valid: booleans on the dimensions of space: elsewhere fields are 0. By default all cells must have values.
        prepare: prepare(block), applied to each block once it is read, cell by cell: anomalies, transforms, scaling.
        memory: bytes; two windows of all lanes fit (of this process's lanes: its share of it).
        n_lanes: into which the blocks are dealt; each lane gives batch_size/n_lanes rows of every batch, and a process
            reads its own lanes only. Lanes differ by one block at most, so with few blocks a lane the samples of the
            shorter ones come a little more often: *merely convenient*.

    Returns:
        A stream, with stream(step) the batch, float32, (batch, channel, *space).

    Raises:
        DataError: for a store that cannot be read, variables that are missing or differ in their dimensions, fewer
            chunks than lanes, chunks too large for `memory`; when a batch is read, for a value that is not finite, with
            file and time index.
        ValueError: if `n_lanes` does not divide `batch_size`, or `valid` has other dimensions.

    Examples:
        >>> stream = stream_batches("era5.zarr", ["tas", "pr"], batch_size=64, key=jr.key(0))
        >>> stream(0).shape
        (64, 2, 181, 360)
    """
    name = source.encoding.get("source", "the dataset") if isinstance(source, xr.Dataset) else str(source)
    blocks = _blocks(_opened(source, list(variables), name), valid, prepare, name)
    return _shuffled(blocks, batch_size, memory, n_lanes, key=key)


def _shuffled(blocks: Blocks, batch_size: int, memory: int, n_lanes: int, *, key: Key) -> BatchStream:
    """The stream of all blocks; errors as `stream_batches`."""
    if n_lanes < 1 or batch_size % n_lanes:
        raise ValueError(f"batch_size must be a multiple of n_lanes = {n_lanes}, got {batch_size}.")
    if len(blocks.lengths) < n_lanes:
        name = blocks.name
        raise DataError(f"{name}: has {len(blocks.lengths)} chunks of samples for {n_lanes} lanes; use fewer lanes.")
    window = _window_blocks(blocks, memory, n_lanes)
    seed, reader = _seed(key), ThreadPoolExecutor(1, thread_name_prefix="subgrid-read")
    numbers = np.arange(len(blocks.lengths))
    lanes = [Lane(blocks, numbers[i::n_lanes], window, (*seed, i), reader) for i in range(n_lanes)]
    return BatchStream(tuple(lanes), batch_size // n_lanes)


def _opened(source: str | Path | xr.Dataset, variables: list[str], name: str) -> xr.Dataset:
    if isinstance(source, xr.Dataset):
        dataset = source
    elif not Path(source).exists():
        raise DataError(f"{name}: no such store.")
    else:
        dataset = _opened_store(source, name)
    missing = [v for v in variables if v not in dataset.data_vars]
    if missing or not variables:
        held = ", ".join(map(str, dataset.data_vars)) or "(none)"
        raise DataError(f"{name}: no variable {missing[0] if missing else '(none asked for)'!r}; it holds {held}.")
    odd = next((v for v in variables if dataset[v].sizes != dataset[variables[0]].sizes), None)
    if odd is not None:
        raise DataError(
            f"{name}: {odd} has dimensions {dict(dataset[odd].sizes)} and {variables[0]} "
            f"{dict(dataset[variables[0]].sizes)}; put them on one grid and the same times first."
        )
    return dataset[variables]


def _opened_store(source: str | Path, name: str) -> xr.Dataset:
    """Without dask: a block is read by the one thread that asks for it, and Zarr reads its chunks side by side."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Failed to open Zarr store with consolidated")  # and it goes on
            return xr.open_dataset(source, engine="zarr", chunks=None, cache=False)
    except Exception as error:
        raise DataError(f"{name}: cannot be read as Zarr; it was cut short or is damaged: write it again.") from error


def _blocks(dataset: xr.Dataset, valid: xr.DataArray | None, prepare, name: str) -> Blocks:
    fields = [dataset[v] for v in dataset.data_vars]
    lead, space = sample_dims(fields[0]), space_dims(fields[0])
    if not lead or not space:
        raise DataError(f"{name}: {fields[0].name} has dimensions {fields[0].dims}; it needs samples and space.")
    if valid is not None and {d: valid.sizes.get(d) for d in valid.dims} != {d: fields[0].sizes[d] for d in space}:
        raise ValueError(f"valid must have the dimensions {space} of {name}, got {dict(valid.sizes)}.")
    n_samples = int(np.prod([fields[0].sizes[d] for d in lead]))
    if n_samples == 0:
        raise DataError(f"{name}: holds no samples.")
    sample_bytes = 4 * sum(f.size for f in fields) // n_samples
    slices = [[(d, s) for s in _chunk_slices(fields, d, max(1, BLOCK_BYTES // sample_bytes))] for d in lead]
    places = tuple(dict(place) for place in itertools.product(*slices))
    lengths = np.array([np.prod([s.stop - s.start for s in place.values()]) for place in places], np.int64)
    return Blocks(dataset, places, lengths, sample_bytes, valid, prepare, name)


def _chunk_slices(fields: list[xr.DataArray], dim: str, default: int) -> list[slice]:
    """Where the chunks of the variable with the longest chunks lie along a dimension."""
    size = fields[0].sizes[dim]
    sizes = [_chunk_sizes(f, dim) for f in fields]
    known = [s for s in sizes if s]
    chunks = max(known, key=max) if known else (default,) * -(-size // default)
    edges = np.minimum(np.cumsum([0, *chunks]), size)
    return [slice(int(a), int(b)) for a, b in itertools.pairwise(edges) if b > a]


def _chunk_sizes(field: xr.DataArray, dim: str) -> tuple[int, ...]:
    """Of dask or of the file; empty if neither says."""
    if dim in field.chunksizes:
        return tuple(field.chunksizes[dim])
    chunks = field.encoding.get("chunks") or field.encoding.get("chunksizes")
    if not chunks or len(chunks) != field.ndim:
        return ()
    each = int(chunks[field.dims.index(dim)])
    return (each,) * -(-field.sizes[dim] // each)


def _window_blocks(blocks: Blocks, memory: int, n_lanes: int) -> int:
    largest = int(blocks.lengths.max()) * blocks.sample_bytes
    window = memory // (2 * n_lanes * largest)
    if window < 1:
        raise DataError(
            f"{blocks.name}: chunks of {int(blocks.lengths.max())} samples take {largest / 2**20:.1f} MiB, and memory "
            f"= {memory / 2**20:.1f} MiB must hold two for each of {n_lanes} lanes; raise memory to "
            f"{2 * n_lanes * largest} bytes or store the archive with shorter chunks in time."
        )
    return window


def _seed(key: Key) -> tuple[int, ...]:
    return tuple(int(word) for word in np.asarray(jr.key_data(key)).ravel())
