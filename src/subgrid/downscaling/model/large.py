"""Fine archives larger than memory: trained on from the disk, debiased towards evenly spaced stretches of them."""

from pathlib import Path

import numpy as np
import xarray as xr

from subgrid.data.fields import DataError, Samples, space_dims
from subgrid.data.plain import Fields, split_channels
from subgrid.data.sources.sources import open_source
from subgrid.data.stream import StreamedFields
from subgrid.data.variables.wanted import Variables, name_in, wanted_variables
from subgrid.downscaling.prior.gaussian_part import stretches

LARGEST_SHARE = 0.25
"""Of memory, that fine fields may take and be read at once: training holds them twice more, as read and normalised."""
MOST_DEBIASED = 2**14
"""Fields of a streamed archive that a debiaser sees: four times what entropic transport is fitted on."""


def memory() -> int:
    """Bytes that this process may use: of the machine, or of the job, container or limit that it runs under."""
    from distributed.system import MEMORY_LIMIT

    return MEMORY_LIMIT


def is_streamed(fine: Fields, opened: xr.Dataset, wanted: bool | None) -> bool:
    """Whether fine fields stay on disk.

    Args:
        fine: as given.
        opened: its variables, a channel each.
        wanted: as given; None to decide by the size.

    Returns:
        True if they are wanted so, or would take more than `LARGEST_SHARE` of memory and lie in one file.

    Raises:
        DataError: if they are wanted so and are not in one file or store.
    """
    if wanted and not isinstance(fine, str | Path):
        raise DataError("fine: is no path; give the path of its file or store to train from the disk (stream=True).")
    size = 4 * sum(field.size for field in opened.data_vars.values())
    return bool(wanted) or (wanted is None and isinstance(fine, str | Path) and size > LARGEST_SHARE * memory())


def streamed_fields(fine: str | Path, opened: xr.Dataset, variables: Variables | None) -> StreamedFields:
    """The variables of an archive, on disk, in the order of its channels.

    Args:
        fine: path of the file or store.
        opened: its variables, a channel each.
        variables: as wanted.

    Returns:
        Samples that are read when they are needed.

    Raises:
        DataError: if channels would have to be chosen or put into another order, or variables differ in dimensions.
    """
    raw = open_source(fine).dataset
    held, wanted = list(map(str, raw.data_vars)), wanted_variables(variables) or {}
    names: list[str] = []
    missing: list[tuple[float | str, ...]] = []
    for channel in map(str, opened.data_vars):
        name = name_in(held, channel, wanted[channel]) if channel in wanted else channel
        whole = name if name in held else channel.rpartition("_")[0]
        if whole not in names:
            names.append(whole)
            missing.append(wanted[channel].missing if channel in wanted else ())
    found = raw[names]
    first = found[names[0]]
    n_channels = len(split_channels(found).data_vars)
    if n_channels != len(opened.data_vars) or any(space_dims(found[n]) != space_dims(first) for n in names):
        raise DataError(
            f"{fine}: is to be read from the disk, which takes whole variables with their dimensions in one order; "
            "write the channels that you need to a file of their own, or give stream=False."
        )
    return StreamedFields(Path(fine), names[0] if len(names) == 1 else tuple(names), missing=tuple(missing))


def seen_by_debiaser(fields: StreamedFields, opened: xr.Dataset, *, source: str) -> Samples:
    """Fields of evenly spaced stretches of an archive on disk, as many as `MOST_DEBIASED` or as memory allows.

    Args:
        fields: on disk.
        opened: the same, for names and coordinates.
        source: what messages call the archive.

    Returns:
        Samples without coordinates of their own.
    """
    n, *shape = fields.shape
    room = int(LARGEST_SHARE * memory() / (8 * np.prod(shape)))
    values = stretches(fields, max(2, min(n, MOST_DEBIASED, room)))
    first = next(iter(opened.data_vars.values()))
    space = space_dims(first)
    coords = {name: c.variable for name, c in first.coords.items() if set(map(str, c.dims)) <= set(space)}
    attrs = dict(first.attrs) if len(opened.data_vars) == 1 else {}
    return Samples(values, np.arange(len(values)), space, source, str(first.name), attrs, xr.Dataset(coords=coords))
