"""Reading fields from NetCDF and Zarr, and turning them into arrays of samples.

Every complaint names the file, the variable, the place and what to do about it.
"""

import itertools
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float

LOG = logging.getLogger("subgrid")
SAMPLE_DIMS = ("trajectory", "sample", "time", "member", "realization", "condition")
"""Dimensions that count samples, beside those of times and members by any of their usual names (`sample_dims`); all
others are space, but for `CHANNEL_DIM`."""
SAMPLE_STANDARD_NAMES = ("time", "forecast_reference_time", "forecast_period", "realization")
CHANNEL_DIM = "channel"
TEXT_KINDS = "SUOT"
"""Kinds of dtypes that hold text: bytes, characters, objects, strings of any length (as zarr's v3 stores give them)."""
CONDITION_DIM = "condition"
"""The dimension along which `Samples` keeps the coordinates of its samples."""


class DataError(ValueError):
    """A file or field that Subgrid cannot use; the message says why and what to change."""


@dataclass(frozen=True)
class Samples:
    """Fields as one array, and what is needed to tell where they came from.

    Args:
        values: the samples, float32.
        trajectory: number of the independent run that each sample belongs to, (sample,); where there is one run only,
            every sample is its own.
        space_dims: names of the space axes.
        source: what messages call the fields.
        name: of the variable.
        attrs: of the variable.
        coords: coordinates of the samples, along `CONDITION_DIM`, and those of space.
    """

    values: Float[np.ndarray, "n channel *space"]
    trajectory: np.ndarray
    space_dims: tuple[str, ...]
    source: str
    name: str = "field"
    attrs: dict[str, Any] = field(default_factory=dict)
    coords: xr.Dataset = field(default_factory=xr.Dataset, repr=False)

    def __len__(self) -> int:
        return len(self.values)

    @property
    def n_space(self) -> int:
        """Number of space axes."""
        return len(self.space_dims)

    @property
    def units(self) -> str:
        """The attribute "units", or an empty text."""
        return str(self.attrs.get("units", ""))

    def take(self, indices: np.ndarray) -> "Samples":
        """The samples of some numbers, with their coordinates.

        Args:
            indices: numbers of the samples.

        Returns:
            These samples, in this order.
        """
        return replace(
            self,
            values=self.values[indices],
            trajectory=self.trajectory[indices],
            coords=self.coords.isel({CONDITION_DIM: indices}, missing_dims="ignore"),
        )


def open_field(path: str | Path, variable: str | None = None) -> xr.DataArray:
    """The variable of a NetCDF file or Zarr store, lazily.

    Args:
        path: of the file or store, or a URL; with "#" and the name of a group, that group.
        variable: its name; not needed if the file holds only one.

    Returns:
        The variable, nothing of it read.

    Raises:
        DataError: for a missing file, one that is neither NetCDF nor Zarr (naming what it is), or a variable that is
            not there.

    Examples:
        >>> field = open_field("fine.zarr", "u")
    """
    from subgrid.data.sources.sources import expand, open_source

    files = [file for file in expand(path) if not isinstance(file, xr.Dataset)]
    if len(files) > 1:
        raise DataError(
            f"{path}: stands for {len(files)} files; give one, or join them first with "
            f"xarray.open_mfdataset([…]).to_netcdf('joined.nc')."
        )
    opened = open_source(files[0])
    for note in opened.notes:
        LOG.info("%s: %s", path, note)
    dataset = opened.dataset
    names = [str(name) for name in dataset.data_vars if dataset[name].ndim]
    if variable is None:
        if len(names) != 1:
            raise DataError(
                f"{path}: holds the variables {', '.join(names) or '(none)'}; "
                "say which one with --variable or data.variable."
            )
        variable = names[0]
    if variable not in names:
        raise DataError(f"{path}: no variable {variable!r}; it holds {', '.join(names) or '(none)'}.")
    return dataset[variable]


def text_as_objects(variable: xr.Variable) -> xr.Variable:
    """A variable of text as Python's: what zarr's v3 specifies, NetCDF gives, and other libraries cast.

    Args:
        variable: of any kind of text.

    Returns:
        The variable, its values objects; bytes are read as UTF-8.
    """
    values = np.char.decode(variable.values, "utf-8", "replace") if variable.dtype.kind == "S" else variable.values
    return xr.Variable(variable.dims, np.array(values.tolist(), object), variable.attrs)


def sample_dims(field: xr.DataArray) -> tuple[str, ...]:
    """The dimensions that count samples, in the order in which `samples_of` counts: runs first, so they stay together.

    Args:
        field: of any dimensions.

    Returns:
        Those in `SAMPLE_DIMS`, the usual names of times and members ("number", "ens", "valid_time", …), and those whose
        coordinate holds dates or says by its axis or standard name that it counts times or members.

    Examples:
        >>> sample_dims(xr.DataArray(np.zeros((3, 2, 8)), dims=("time", "trajectory", "x")))
        ('trajectory', 'time')
    """
    return tuple(
        sorted((str(d) for d in field.dims if _counts_samples(field, str(d))), key=lambda d: d != "trajectory")
    )


def _counts_samples(field: xr.DataArray, dim: str) -> bool:
    from subgrid.data.pooling.members import MEMBER_DIMS
    from subgrid.data.times.stamps import TIME_DIMS

    if dim in (*SAMPLE_DIMS, *TIME_DIMS) or dim.lower() in MEMBER_DIMS:
        return True
    if dim == CHANNEL_DIM or dim not in field.coords:
        return False
    coordinate = field[dim]
    named = coordinate.attrs.get("axis") == "T" or coordinate.attrs.get("standard_name") in SAMPLE_STANDARD_NAMES
    return named or coordinate.dtype.kind == "M" or isinstance(coordinate.to_index(), xr.CFTimeIndex)


def channel_dims(field: xr.DataArray) -> tuple[str, ...]:
    """The channel dimension, if there is one.

    Args:
        field: of any dimensions.

    Returns:
        One name or none.

    Examples:
        >>> channel_dims(xr.DataArray(np.zeros((3, 2, 8)), dims=("time", "channel", "x")))
        ('channel',)
    """
    return (CHANNEL_DIM,) if CHANNEL_DIM in field.dims else ()


def space_dims(field: xr.DataArray) -> tuple[str, ...]:
    """The dimensions that are neither samples nor channel, in the field's order.

    Args:
        field: of any dimensions.

    Returns:
        Their names.

    Examples:
        >>> space_dims(xr.DataArray(np.zeros((3, 4, 8)), dims=("time", "y", "x")))
        ('y', 'x')
    """
    return tuple(str(d) for d in field.dims if d != CHANNEL_DIM and not _counts_samples(field, str(d)))


def samples_of(field: xr.DataArray, *, source: str) -> Samples:
    """All samples of a field as float32, checked to be finite; sample dimensions in front, then channel, then space.

    Args:
        field: with at least one dimension of samples (`sample_dims`) and one of space.
        source: what messages call it.

    Returns:
        The samples; without a channel dimension they have one channel.

    Raises:
        DataError: if there is no sample or no space dimension, or at the first NaN or infinity, with its time and
            place.

    Examples:
        >>> samples = samples_of(open_field("fine.zarr"), source="fine.zarr")
    """
    lead, channel, space = sample_dims(field), channel_dims(field), space_dims(field)
    if not lead or not space:
        raise DataError(
            f"{source}: {field.name} has dimensions {field.dims}; "
            f"it needs at least one of {SAMPLE_DIMS} and one of space."
        )
    ordered = field.transpose(*lead, *channel, *space)
    values = np.asarray(ordered.values, np.float32)
    _check_finite(ordered, values, source)
    n = int(np.prod(values.shape[: len(lead)]))
    runs = values.shape[0] if lead[0] == "trajectory" else 1
    trajectory = np.repeat(np.arange(runs), n // runs) if runs > 1 else np.arange(n)
    values = values.reshape(n, *([] if channel else [1]), *values.shape[len(lead) :])
    coords = _sample_coordinates(ordered, lead, space)
    return Samples(values, trajectory, space, source, str(field.name or "field"), dict(field.attrs), coords)


def _sample_coordinates(field: xr.DataArray, lead: tuple[str, ...], space: tuple[str, ...]) -> xr.Dataset:
    """Coordinates of the samples, flattened like them, and of space; those that mix the two are left out."""
    sizes, kept = {d: field.sizes[d] for d in lead}, {}
    for name, coord in field.coords.items():
        if coord.dims and set(coord.dims) <= set(lead):
            flat = coord.variable.to_base_variable().set_dims(sizes).transpose(*lead).values.reshape(-1)
            kept[name] = (CONDITION_DIM, flat, coord.attrs)
        elif set(coord.dims) <= set(space):
            kept[name] = (coord.dims, coord.values, coord.attrs)
    return xr.Dataset(coords=kept)


def hold_out(samples: Samples, fractions: Sequence[float]) -> list[Samples]:
    """Consecutive parts of an archive, cut between trajectories (or between samples where there is one run only).

    Args:
        samples: the archive.
        fractions: of the whole, adding up to 1 or less; every part gets one run at least.

    Returns:
        One part for each fraction.

    Raises:
        DataError: if there are fewer runs than parts, or a part would hold fewer than 2 samples.

    Examples:
        >>> training, validation = hold_out(samples, [0.9, 0.1])
    """
    runs = np.unique(samples.trajectory)
    counted = f"{len(samples)} samples" + (f" of {len(runs)} runs" if len(runs) < len(samples) else "")
    if len(runs) < len(fractions):
        raise DataError(
            f"{samples.source}: {counted} cannot be split into {len(fractions)} parts, as no run is cut in two; "
            "bring more data."
        )
    edges = _part_edges(len(runs), fractions)
    parts = []
    for first, last in itertools.pairwise(edges):
        chosen = np.flatnonzero(np.isin(samples.trajectory, runs[first:last]))
        if len(chosen) < 2:
            raise DataError(f"{samples.source}: {counted} are too few to split into parts of {list(fractions)}.")
        parts.append(samples.take(chosen))
    return parts


def _part_edges(n_runs: int, fractions: Sequence[float]) -> np.ndarray:
    """Where the parts begin and end: the nearest run, moved where a part would be empty."""
    edges = np.round(np.cumsum([0.0, *fractions]) * n_runs).astype(int)
    place = np.arange(len(edges))
    edges = place + np.maximum.accumulate(edges - place)  # rising by one at least
    return np.minimum(edges, n_runs - place[::-1])  # and leaving one for each part to come


def _check_finite(field: xr.DataArray, values: np.ndarray, source: str) -> None:
    finite = np.isfinite(values)
    if finite.all():
        return
    from subgrid.data.checks.places import show_time  # which knows of this

    first = tuple(int(i) for i in np.unravel_index(int(np.argmin(finite)), values.shape))
    place = ", ".join(
        f"{dim} = {show_time(field[dim].values[i]) if dim in field.coords else i}"
        for dim, i in zip(field.dims, first, strict=True)
    )
    raise DataError(
        f"{source}: {field.name} is {values[first]} at {place} ({(~finite).sum()} such values in all); "
        "fill or remove them before downscaling."
    )
