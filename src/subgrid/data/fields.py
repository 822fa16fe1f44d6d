"""Reading fields from NetCDF and Zarr, and turning them into arrays of samples.

Every complaint names the file, the variable, the place and what to do about it.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
from jaxtyping import Float

SAMPLE_DIMS = ("trajectory", "sample", "time", "member")
"""Dimensions that count samples; all others are space."""


class DataError(ValueError):
    """A file or field that Subgrid cannot use; the message says why and what to change."""


@dataclass(frozen=True)
class Samples:
    """Fields as one array, and what is needed to tell where they came from.

    `values` is (sample, channel, *space); `trajectory` numbers the independent run that each sample belongs to.
    """

    values: Float[np.ndarray, "n channel *space"]
    trajectory: np.ndarray
    space_dims: tuple[str, ...]
    source: str

    def __len__(self) -> int:
        return len(self.values)

    @property
    def n_space(self) -> int:
        return len(self.space_dims)

    def take(self, indices: np.ndarray) -> "Samples":
        return Samples(self.values[indices], self.trajectory[indices], self.space_dims, self.source)


def open_field(path: str | Path, variable: str | None = None) -> xr.DataArray:
    """The variable of a NetCDF file or Zarr store, lazily.

    **Arguments:** `path`; `variable`, not needed if the file holds only one.

    **Raises:** `DataError` for a missing file, one that is neither NetCDF nor Zarr, or a variable that is not there.
    """
    path = Path(path)
    if not path.exists():
        raise DataError(f"{path}: no such file or store.")
    try:
        dataset = xr.open_zarr(path) if path.is_dir() else xr.open_dataset(path)
    except Exception as error:
        raise DataError(
            f"{path}: cannot be read as {'Zarr' if path.is_dir() else 'NetCDF'} ({_first_line(error)})."
        ) from error
    names = [str(name) for name in dataset.data_vars if dataset[name].ndim]
    if variable is None:
        if len(names) != 1:
            raise DataError(
                f"{path}: holds the variables {', '.join(names) or '(none)'}; say which one with data.variable."
            )
        variable = names[0]
    if variable not in names:
        raise DataError(f"{path}: no variable {variable!r}; it holds {', '.join(names) or '(none)'}.")
    return dataset[variable]


def samples_of(field: xr.DataArray, *, source: str) -> Samples:
    """All samples of a field as float32, checked to be finite; sample dimensions in front, space behind.

    **Raises:** `DataError` if there is no sample or no space dimension, or at the first NaN or infinity, with its
    time and place.
    """
    lead = sorted(
        (str(d) for d in field.dims if d in SAMPLE_DIMS), key=lambda d: d != "trajectory"
    )  # runs stay together
    space = tuple(str(d) for d in field.dims if d not in SAMPLE_DIMS)
    if not lead or not space:
        raise DataError(
            f"{source}: {field.name} has dimensions {field.dims}; "
            f"it needs at least one of {SAMPLE_DIMS} and one of space."
        )
    ordered = field.transpose(*lead, *space)
    values = np.asarray(ordered.values, np.float32)
    _check_finite(ordered, values, source)
    n = int(np.prod(values.shape[: len(lead)]))
    runs = values.shape[0] if lead[0] == "trajectory" else 1
    trajectory = np.repeat(np.arange(runs), n // runs) if runs > 1 else np.arange(n)
    return Samples(values.reshape(n, 1, *values.shape[len(lead) :]), trajectory, space, source)


def hold_out(samples: Samples, fractions: Sequence[float]) -> list[Samples]:
    """Consecutive parts of an archive, cut between trajectories (or between samples where there is one run only).

    **Arguments:** `fractions`, of the whole, adding up to 1 or less.

    **Raises:** `DataError` if a part would hold fewer than 2 samples.
    """
    runs = np.unique(samples.trajectory)
    edges = np.round(np.cumsum([0.0, *fractions]) * len(runs)).astype(int)
    parts = []
    for first, last in itertools.pairwise(edges):
        chosen = np.flatnonzero(np.isin(samples.trajectory, runs[first:last]))
        if len(chosen) < 2:
            raise DataError(
                f"{samples.source}: {len(samples)} samples are too few to split into parts of {list(fractions)}."
            )
        parts.append(samples.take(chosen))
    return parts


def _check_finite(field: xr.DataArray, values: np.ndarray, source: str) -> None:
    finite = np.isfinite(values)
    if finite.all():
        return
    first = tuple(int(i) for i in np.unravel_index(int(np.argmin(finite)), values.shape))
    place = ", ".join(
        f"{dim} = {field[dim].values[i] if dim in field.coords else i}"
        for dim, i in zip(field.dims, first, strict=True)
    )
    raise DataError(
        f"{source}: {field.name} is {values[first]} at {place} ({(~finite).sum()} such values in all); "
        "fill or remove them before downscaling."
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
