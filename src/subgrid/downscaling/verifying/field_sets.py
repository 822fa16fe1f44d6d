"""Ensembles and references of every form that Subgrid writes, as sets of fields that are read sample by sample."""

import json
import math
from collections.abc import Collection, Hashable, Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import xarray as xr
from jaxtyping import Float, Int

from subgrid.data.blocks import BLOCK_BYTES
from subgrid.data.fields import DataError, channel_dims, sample_dims, space_dims
from subgrid.data.pooling.members import COARSE_MEMBER, MEMBER_DIMS
from subgrid.data.store import MARKERS, RECORD
from subgrid.data.variables.quantities import QUANTITY_ATTRIBUTE
from subgrid.data.variables.wanted import Variable, Variables, wanted_variables
from subgrid.downscaling.interpolation.places import AtPoints
from subgrid.downscaling.model.output import MEMBER
from subgrid.downscaling.verifying.stamps import with_stamps

Given: TypeAlias = str | Path | xr.Dataset | xr.DataArray
Chosen: TypeAlias = Variables | None
"""Names of variables of the ensemble; a mapping says of each its name in the reference, or what `SAID` takes."""
SAID = ("names", "quantity", "units", "missing")
"""What may be said of a variable of the reference."""
PLAIN = "ensemble"
"""The variable of an ensemble whose dataset says its name in the attribute "variable"."""
TRUTH = "truth"
BESIDE = (TRUTH, "target")
"""Variables of such a dataset that are no members."""


@dataclass(frozen=True)
class FieldSet:
    """Fields of one variable, on disk or in memory, read as (sample, member, channel, *space).

    Args:
        array: with the dimensions below and perhaps "channel", in any order.
        name: of the variable, as the result calls it.
        source: what messages call it.
        members: dimensions that count members; none for single fields.
        lead: dimensions that count samples.
        space: dimensions of a field, in the order in which they are read.
        factor: by which values are multiplied when they are read.
        offset: that is then added.
        runs: (run, member), which places along the dimension of members are of one and the same member of the coarse
            model, −1 for none; None where all are. Each run has samples of its own, one run after the other.
        at: from what is read to what is compared, such as values at stations; None for the fields themselves. Its
            places are then the only dimension of space of what `read` gives.
        notes: what was done when they were opened.
    """

    array: xr.DataArray
    name: str
    source: str
    members: tuple[str, ...]
    lead: tuple[str, ...]
    space: tuple[str, ...]
    factor: float = 1.0
    offset: float = 0.0
    runs: Int[np.ndarray, "run member"] | None = None
    at: AtPoints | None = None
    notes: tuple[str, ...] = ()

    @property
    def units(self) -> str:
        """The attribute "units", or an empty text."""
        return str(self.array.attrs.get("units", ""))

    @property
    def n_samples(self) -> int:
        return int(np.prod(self.counts))

    @property
    def counts(self) -> tuple[int, ...]:
        """How many runs there are, and samples along each dimension of `lead`."""
        return (1 if self.runs is None else len(self.runs), *(self.array.sizes[d] for d in self.lead))

    @property
    def n_members(self) -> int:
        return int(np.prod([self.array.sizes[d] for d in self.members])) if self.runs is None else self.runs.shape[1]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one field, (channel, *space)."""
        channel = [self.array.sizes[d] for d in channel_dims(self.array)] or [1]
        return (*channel, *(self._cells if self.at is None else self.at.cells.shape[:1]))

    @property
    def _cells(self) -> tuple[int, ...]:
        return tuple(self.array.sizes[d] for d in self.space)

    def read(self, samples: Int[np.ndarray, " n"]) -> Float[np.ndarray, "n member channel *space"]:
        """The fields of some samples, counted run by run as `lead` flattens; what is not finite is NaN."""
        unique, place = np.unique(samples, return_inverse=True)
        numbers = zip(*(index.tolist() for index in np.unravel_index(unique, self.counts)), strict=True)
        # Runs of one outer index, each read at once: files take slices along one axis better than points along two.
        runs = [(outer, [n[-1] for n in group]) for outer, group in groupby(numbers, key=lambda n: n[:-1])]
        parts = [self._read_run(outer, piece) for outer, inner in runs for piece in self._pieces(inner)]
        values = np.concatenate(parts).reshape(len(unique), self.n_members, *self.shape)[place]
        if (self.factor, self.offset) != (1.0, 0.0):
            values = (values.astype(np.float64) * self.factor + self.offset).astype(np.float32)
        return np.where(np.isfinite(values), values, np.float32(np.nan))

    def _read_run(self, outer: tuple[int, ...], inner: list[int]) -> np.ndarray:
        run, *others = outer
        last, members = self.lead[-1], np.empty(0, int) if self.runs is None else self.runs[run]
        places = {**dict(zip(self.lead, others, strict=False)), last: as_slice(np.array(inner))}
        places |= {dim: as_slice(members) for dim in self.members if len(members)}
        order = (last, *self.members, *channel_dims(self.array), *self.space)
        values = np.array(self.array.isel(places).transpose(*order).values, np.float32)
        values[:, np.flatnonzero(members < 0)] = np.nan
        return values if self.at is None else self.at(values)

    def _pieces(self, inner: list[int]) -> list[list[int]]:
        """What is read at once: callers count what they get, and whole fields are read for a few places."""
        if self.at is None:
            return [inner]
        size = max(1, BLOCK_BYTES // (4 * self.n_members * self.shape[0] * math.prod(self._cells)))
        return [inner[i : i + size] for i in range(0, len(inner), size)]

    def coordinate(self, name: str) -> np.ndarray | None:
        """A coordinate along the samples, flattened as they are; None where there is none."""
        if name not in self.array.coords or not {*self.array[name].dims} <= {*self.lead} or not self.array[name].ndim:
            return None
        sizes = {d: self.array.sizes[d] for d in self.lead}
        of_run = self.array[name].variable.to_base_variable().set_dims(sizes).transpose(*self.lead).values.reshape(-1)
        return np.tile(of_run, self.counts[0])


def ensemble_sets(source: Given, variables: Chosen) -> dict[str, FieldSet]:
    """Every variable of an ensemble that is wanted, by its name in the dataset.

    Args:
        source: as `verify` takes it.
        variables: names, or None for all.

    Returns:
        The sets.

    Raises:
        DataError: for a store with items to do, a variable that is not there, a dataset without fields, and stamps that
            do not belong to their bounds.
    """
    dataset, said = open_dataset(source, name="ensemble")
    found = [str(n) for n in dataset.data_vars if member_dims(dataset[n]) and space_dims(dataset[n])]
    found = found or [name for name in fields_of(dataset) if name not in BESIDE]
    names = {str(dataset.attrs.get("variable", PLAIN)) if name == PLAIN else name: name for name in found}
    told = said_of(variables)
    wanted = list(names) if variables is None else list(told)
    for name in wanted:
        if name not in (*names, *found):
            raise DataError(f"{said}: no fields of {name!r}; it holds {', '.join(names) or '(none)'}.")
    if not wanted:
        raise DataError(f"{said}: holds no fields: no variable has dimensions of space beside those of samples.")
    return {name: _ensemble_set(dataset, names.get(name, name), name, told.get(name), said) for name in wanted}


def _ensemble_set(dataset: xr.Dataset, held: str, name: str, wanted: Variable | None, source: str) -> FieldSet:
    """One variable of an ensemble, its stamps in the intervals that they are for."""
    array, notes = with_stamps(dataset, held, member_dims(dataset[held]), source=source)
    return replace(field_set(_described(array, wanted), name=name, source=source), notes=notes)


def said_of(variables: Chosen) -> dict[str, Variable]:
    """What is said of each variable of the reference.

    Raises:
        DataError: for what `verify` does not take.
    """
    told = wanted_variables(variables) or {}
    for name, each in told.items():
        if other := [key for key in each.as_dict() if key not in SAID]:
            raise DataError(f"variables.{name}: {other[0]!r} is not for verify, which takes {', '.join(SAID)}.")
    return told


def _described(array: xr.DataArray, wanted: Variable | None) -> xr.DataArray:
    """A variable, taken to be what is said of it."""
    if wanted is None or wanted.quantity is None:
        return array
    return array.assign_attrs({QUANTITY_ATTRIBUTE: wanted.quantity})


def field_set(array: xr.DataArray, *, name: str, source: str, samples: Collection[str] = ()) -> FieldSet:
    """One variable, its dimensions sorted by what they count.

    Args:
        array: of any order of dimensions; a single sample gets a dimension of its own.
        name: of the variable.
        source: for messages.
        samples: dimensions that count samples, whatever they are called.

    Returns:
        The set.

    Raises:
        DataError: for a variable without dimensions of space.
    """
    members = tuple(d for d in member_dims(array) if d not in samples)
    if not (lead := tuple(d for d in sample_dims(array) if d not in members)):
        lead = ("time" if "time" in array.coords else "sample",)
        array = array.expand_dims(lead[0])
    if not (space := space_dims(array)):
        raise DataError(f"{source}: {name} has dimensions {array.dims}, none of space.")
    return FieldSet(array, name, source, members, lead, space, runs=_runs(array, members))


def _runs(array: xr.DataArray, members: tuple[str, ...]) -> Int[np.ndarray, "run member"] | None:
    """Which members are draws for one member of the coarse model, as `downscale` labels them; None where all are."""
    if COARSE_MEMBER not in array.coords or array[COARSE_MEMBER].dims != members:
        return None
    _, of = np.unique(list(map(str, array[COARSE_MEMBER].values.tolist())), return_inverse=True)
    places = [np.flatnonzero(of == run) for run in dict.fromkeys(of.tolist())]
    most = max(map(len, places))
    return np.stack([np.pad(each, (0, most - len(each)), constant_values=-1) for each in places])


def member_dims(array: xr.DataArray) -> tuple[str, ...]:
    """The dimension of draws, where it is the one that `downscale` writes; else all that count members.

    Beside draws, members of the coarse model are samples, each with its own draws: a mixture of them all is no ensemble
    for any of them.
    """
    if MEMBER in array.dims:
        return (MEMBER,)
    named = [str(d) for d in array.dims if str(d).lower() in MEMBER_DIMS]
    described = [
        str(d) for d in array.dims if d in array.coords and array[d].attrs.get("standard_name") == "realization"
    ]
    return tuple(dict.fromkeys([*named, *described]))


def cut(fields: FieldSet, places: Mapping[str, Int[np.ndarray, " n"]], order: tuple[str, ...]) -> FieldSet:
    """The cells at some places of some axes, lazily, and the axes in an order."""
    slices: dict[Hashable, Any] = {d: as_slice(index) for d, index in places.items()}
    return replace(fields, array=fields.array.isel(slices), space=order)


def as_slice(index: Int[np.ndarray, " n"]) -> slice | Int[np.ndarray, " n"]:
    """Equal steps as a slice, which any file reads without a detour; else the index itself."""
    steps = np.diff(index)
    if len(index) == 0 or (len(steps) and (steps[0] == 0 or np.any(steps != steps[0]))):
        return index
    step = int(steps[0]) if len(steps) else 1
    stop = int(index[-1]) + (1 if step > 0 else -1)
    return slice(int(index[0]), None if stop < 0 else stop, step)


def open_dataset(source: Given, *, name: str) -> tuple[xr.Dataset, str]:
    """A dataset and what messages call it.

    Args:
        source: a dataset, a variable, or a path or URL.
        name: for messages, where it is no path.

    Returns:
        Both.

    Raises:
        DataError: for what cannot be read, and a store that is not finished.
    """
    from subgrid.data.canonical import open_climate
    from subgrid.data.sources.sources import expand, open_source

    if isinstance(source, xr.Dataset):
        return source, name
    if isinstance(source, xr.DataArray):
        return source.to_dataset(name=source.name or "field"), name
    require_finished(source)
    files = [file for file in expand(source) if not isinstance(file, xr.Dataset)]
    if len(files) == 1:
        return open_source(files[0]).dataset, str(source)
    return open_climate(source, name=name), str(source)  # joins files along time


def require_finished(path: str | Path) -> None:
    """Passes for all but a store that work items fill and have not filled yet.

    Args:
        path: of a store, or anything else.

    Raises:
        DataError: with how much is missing.
    """
    record = Path(path) / RECORD
    if not record.is_file():
        return
    layout = json.loads(record.read_text(encoding="utf-8"))
    n_members, n_times = layout["shape"][:2]
    n_items = -(-n_members // layout["members_per_item"]) * -(-n_times // layout["times_per_item"])
    n_done = len(list((Path(path) / MARKERS).glob("*.json")))
    if n_done < n_items:
        raise DataError(
            f"{path}: is not finished: {n_items - n_done} of {n_items} work items are still to do. Run what makes it "
            f"again; `subgrid status {path}` shows which."
        )


def fields_of(dataset: xr.Dataset) -> list[str]:
    """Variables with samples and space; no bounds."""
    return [
        str(name)
        for name, array in dataset.data_vars.items()
        if space_dims(array) and sample_dims(array) and not str(name).endswith(("_bnds", "_bounds", "_vertices"))
    ] or [str(name) for name, array in dataset.data_vars.items() if space_dims(array) and array.dtype.kind == "f"]
