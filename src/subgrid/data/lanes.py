"""Blocks of an archive on disk, and lanes that read them in an order of their own."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import xarray as xr
from jaxtyping import Float, Int

from subgrid.data.fields import DataError, channel_dims, sample_dims, space_dims


@dataclass(frozen=True)
class Blocks:
    """An archive seen as blocks of samples.

    Args:
        dataset: the variables that are read, in the order of channels.
        places: of each block, its slices along the dimensions of samples.
        lengths: number of samples of each block.
        sample_bytes: bytes of a sample in float32.
        valid: the mask of space outside which fields are 0; None takes all cells.
        prepare: applied to each block once it is read.
        name: what messages call the archive.
    """

    dataset: xr.Dataset = field(repr=False)
    places: tuple[dict[str, slice], ...] = field(repr=False)
    lengths: Int[np.ndarray, "block"]
    sample_bytes: int
    valid: xr.DataArray | None = field(repr=False)
    prepare: Callable[[xr.Dataset], xr.Dataset] = field(repr=False)
    name: str

    def read(self, number: int) -> Float[np.ndarray, "n channel *space"]:
        """The samples of one block, 0 outside the mask.

        Args:
            number: of the block.

        Returns:
            The samples, float32.

        Raises:
            DataError: if the block cannot be read, and at the first value within the mask that is not finite.
        """
        place = self.places[number]
        try:
            block = self.dataset.isel(place).load()
        except Exception as error:
            raise DataError(f"{self.name}: cannot be read at {spelled(place)} ({first_line(error)}).") from error
        prepared = self.prepare(block)
        return np.concatenate([self._values(prepared[v], place) for v in self.dataset.data_vars], 1)

    def _values(self, block: xr.DataArray, place: dict[str, slice]) -> Float[np.ndarray, "n channel *space"]:
        lead, channel = sample_dims(block), channel_dims(block)
        ordered = block.transpose(*lead, *channel, *space_dims(block))
        values = np.asarray(ordered.values, np.float32)
        if self.valid is not None:
            values = np.where(self.valid.transpose(*space_dims(block)).values, values, np.float32(0))
        if not np.isfinite(values).all():
            self._complain(ordered, values, place)
        n = len(lead)
        return values.reshape(-1, *(values.shape[n : n + 1] if channel else [1]), *values.shape[n + len(channel) :])

    def _complain(self, block: xr.DataArray, values: np.ndarray, place: dict[str, slice]) -> None:
        first = tuple(int(i) for i in np.unravel_index(int(np.argmin(np.isfinite(values))), values.shape))
        where = [
            (f"{d} index {i + place[d].start}" if d in place else f"{d} {i}")
            + (f" ({block[d].values[i]})" if d in block.coords else "")
            for d, i in zip(map(str, block.dims), first, strict=True)
        ]
        raise DataError(
            f"{source_of(self.dataset[str(block.name)], self.name)}: {block.name} is {values[first]} at "
            f"{', '.join(where)}; fill or remove such values, or pass the mask of valid cells."
        )


@dataclass(frozen=True)
class Lane:
    """An endless, shuffled sequence of samples from some blocks; position p is a function of p and the seed alone.

    Args:
        blocks: of the archive.
        numbers: of the blocks that are dealt to the lane.
        window: number of blocks that are shuffled together.
        seed: of the lane.
        reader: the thread that reads.
        loaded: windows read or being read, by epoch and number.
    """

    blocks: Blocks = field(repr=False)
    numbers: Int[np.ndarray, "block"]
    window: int
    seed: tuple[int, ...]
    reader: ThreadPoolExecutor = field(repr=False)
    loaded: dict[tuple[int, int], Future] = field(default_factory=dict, repr=False)

    def samples(self, first: int, count: int) -> Float[np.ndarray, "count channel *space"]:
        """`count` consecutive samples of the sequence from position `first` on, float32."""
        parts, n = [], int(self.blocks.lengths[self.numbers].sum())
        while count:
            epoch, offset = divmod(first, n)
            edges = self._edges(epoch)
            window = int(np.searchsorted(edges, offset, side="right")) - 1
            taken = min(count, int(edges[window + 1]) - offset)
            order = self._generator(epoch, window).permutation(int(edges[window + 1] - edges[window]))
            start = offset - int(edges[window])
            parts.append(self._window(epoch, window)[order[start : start + taken]])
            first, count = first + taken, count - taken
        return np.concatenate(parts)

    def _generator(self, *place: int) -> np.random.Generator:
        return np.random.default_rng(np.random.SeedSequence([*self.seed, len(place), *place]))

    def _members(self, epoch: int) -> list[np.ndarray]:
        """The blocks of each window of an epoch."""
        order = self._generator(epoch).permutation(self.numbers)
        return [order[i : i + self.window] for i in range(0, len(order), self.window)]

    def _edges(self, epoch: int) -> Int[np.ndarray, "edge"]:
        return np.cumsum([0, *(self.blocks.lengths[members].sum() for members in self._members(epoch))])

    def _window(self, epoch: int, window: int) -> Float[np.ndarray, "n channel *space"]:
        """One window's samples; the next is being read meanwhile, and no others are held."""
        last = window == len(self._members(epoch)) - 1
        wanted = [(epoch, window), (epoch + 1, 0) if last else (epoch, window + 1)]
        for place in set(self.loaded) - set(wanted):
            self.loaded.pop(place).cancel()
        for place in wanted:
            if place not in self.loaded:
                self.loaded[place] = self.reader.submit(self._load, *place)
        return self.loaded[wanted[0]].result()

    def _load(self, epoch: int, window: int) -> Float[np.ndarray, "n channel *space"]:
        members, values, start = self._members(epoch)[window], None, 0
        for number in members:  # written in place: a window is held once, and one block more while it is read
            block = self.blocks.read(int(number))
            if values is None:
                values = np.empty((int(self.blocks.lengths[members].sum()), *block.shape[1:]), np.float32)
            values[start : start + len(block)] = block
            start += len(block)
        if values is None:
            raise ValueError("a window holds at least one block.")
        return values


def source_of(field: xr.DataArray, name: str) -> str:
    return str(field.encoding.get("source", name))


def spelled(place: dict[str, slice]) -> str:
    return ", ".join(f"{dim} indices {s.start} to {s.stop - 1}" for dim, s in place.items())


def first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
