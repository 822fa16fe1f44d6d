"""The values of fields of any dimensions, read once: fill values that nothing declares, and what is implausible."""

from collections.abc import Iterator

import numpy as np
import xarray as xr

from subgrid.data.blocks import BLOCK_BYTES
from subgrid.data.checks.checks import read_values
from subgrid.data.checks.extremes import check_extremes, check_suspects
from subgrid.data.checks.fills import Suspect
from subgrid.data.checks.shares import check_share
from subgrid.data.fields import sample_dims


def check_fields(field: xr.DataArray, *, name: str) -> tuple[float, float]:
    """Passes for values that the variable can have, in blocks of samples.

    Args:
        field: of any dimensions; its attributes and encoding say what it is and how the file keeps it.
        name: of the archive, for messages.

    Returns:
        The smallest and the largest value; inf and −inf where there is none.

    Raises:
        DataError: for infinite and implausible values, and fill values that nothing declares, with number, place and
            share.
    """
    suspects: dict[float, Suspect] = {}
    low, high = np.inf, -np.inf
    for block in _blocks(field):
        extremes = check_extremes(block, field, read_values(block, field, name), name, suspects)
        low, high = float(np.fmin(low, extremes[0])), float(np.fmax(high, extremes[1]))
    low, high = check_suspects(field, suspects, (low, high), name)
    check_share(field, high, name)
    return low, high


def _blocks(field: xr.DataArray) -> Iterator[xr.DataArray]:
    """Parts along the longest dimension of samples, whole chunks where there are any."""
    dims = sorted(sample_dims(field), key=lambda d: -field.sizes[d])
    if not dims or not field.size:
        yield field
        return
    dim, n = dims[0], field.sizes[dims[0]]
    step = max(1, BLOCK_BYTES * n // max(4 * field.size, 1))
    if field.chunks is not None:
        chunk = max(field.chunksizes[dim])
        step = max(chunk, step // chunk * chunk)
    for start in range(0, n, step):
        yield field.isel({dim: slice(start, start + step)})
