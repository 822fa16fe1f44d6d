"""What a folder of a climate model holds beside the model: its grid, the identity of its checkpoint, blocks of time."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np
import xarray as xr

from subgrid.data.store import write_zarr
from subgrid.downscaling.spread.post_processing import (
    load_post_processing,
)
from subgrid.training.origin import digest

DRAWS_AT_ONCE, VALUES_AT_ONCE = 1024, 2**24
"""Fields, and numbers in them (64 MiB), drawn before they are put away: memory is bounded whatever the archive."""
CHUNK_VALUES = 2**20
"""Of a chunk in a store, before compression: 4 MiB."""


def save_grid(folder: Path, fine: xr.Dataset, variables: Sequence[str]) -> None:
    """The coordinates of space of a canonical dataset, and empty variables with its attributes."""
    first = fine[variables[0]]
    space = [str(dim) for dim in first.dims if dim not in ("realization", "time")]
    kept = {n: c for n, c in fine.coords.items() if set(map(str, c.dims)) <= set(space) and n != "realization"}
    empty = {name: ((), np.float32(0), fine[name].attrs) for name in variables}
    grid = xr.Dataset(empty, kept, {**fine.attrs, "space": space}).drop_encoding()
    write_zarr(grid, folder / "grid.zarr", overwrite=True)


def load_grid(folder: str | Path) -> xr.Dataset:
    """What `save_grid` wrote; the attribute "space" names the dimensions."""
    with xr.open_zarr(Path(folder) / "grid.zarr", chunks=None) as stored:
        return stored.load()


def checkpoint_id(folder: Path) -> str:
    """What names the prior in a folder: a digest of its settings, normalisation, choices and post-processing.

    Args:
        folder: of the model or the run.

    Returns:
        16 hexadecimal digits.

    Raises:
        DataError: if it has no post-processing, as its training was not finished.
    """
    found = hashlib.sha256((folder / "model" / "settings.json").read_bytes())
    post = load_post_processing(folder / "model")
    found.update(digest(*jax.tree.leaves((post.calibration, post.marginals))).encode())
    return found.hexdigest()[:16]


def time_blocks(n_times: int, n_members: int, n_values: int) -> tuple[int, int]:
    """Times of a work item and of a chunk of it: the same for one draw at a time or a store.

    An item holds at most 1024 fields and 2²⁴ values, a chunk 2²⁰ values, one time at least.

    Args:
        n_times: of the series.
        n_members: of the ensemble.
        n_values: of one field, all channels.

    Returns:
        Times of an item, a multiple of those of a chunk; and times of a chunk.

    Examples:
        >>> time_blocks(900, 16, 551)
        (64, 64)
    """
    whole = max(1, min(DRAWS_AT_ONCE, VALUES_AT_ONCE // n_values) // n_members)
    chunk = max(1, min(whole, n_times, CHUNK_VALUES // (n_values * n_members)))
    return min(whole // chunk, -(-n_times // chunk)) * chunk, chunk
