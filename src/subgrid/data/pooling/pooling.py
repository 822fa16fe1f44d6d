"""Many files as one archive: files of one variable follow in time or are members, and variables are merged.

Members may have unequal lengths. Then a time that one of them lacks is NaN throughout for it, and the coordinate
`available` (realization, time) says so; `pooled` leaves such fields out.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from subgrid.data.checks.fills import STEP_DAYS, STORED, Stored
from subgrid.data.fields import DataError
from subgrid.data.grids.bounds import bounds_of
from subgrid.data.pooling.members import AVAILABLE, MEMBER_LABEL, NUMBERED, label_of, natural_key
from subgrid.data.pooling.sentences import held_twice, said_once
from subgrid.data.times.calendars import calendar_of
from subgrid.data.times.hours import same_hours
from subgrid.data.times.steps import Step, averaged, check_one_step
from subgrid.data.times.totals import refuse_totals
from subgrid.data.variables.quantities import Described

PARTS, DESCRIBED, NOTES = "parts", "described", "notes"
UNITS_FOUND, UNITS_GIVEN, NAMES_GIVEN = "units_found", "units_given", "names_given"
"""Keys of a variable's encoding that keep its files, what it is and why, what was done to it when they were opened, its
units in them and as given, and its names as given; for messages and the history of outputs. They are not written."""
GRID_TOLERANCE = 0.01
"""Coordinates that agree to this part of a cell are equal: files store them with different precision."""


@dataclass(frozen=True)
class ClimateField:
    """One variable of one file, canonical.

    Args:
        file: that holds it.
        name: of the variable.
        units: as found in the file.
        member: its label where there is one.
        data: a canonical dataset of the variable.
        described: what it is taken to be.
        notes: what was merged, converted or dropped, a sentence each.
        single: the label of its member by a coordinate without dimension, which counts where it tells files apart.
        stored: how the file keeps its values.
        given_units: what is said that its units are, instead of those of the file.
        given_names: names in files under which it is looked for.
        only_length: days that its time is for, where it has a single one and they are known.
    """

    file: str
    name: str
    units: str
    member: str | None
    data: xr.Dataset
    described: Described
    notes: tuple[str, ...] = ()
    single: str | None = None
    stored: Stored | None = None
    given_units: str | None = None
    given_names: tuple[str, ...] = ()
    only_length: float | None = None


def member_label(file: str, dataset: xr.Dataset) -> str | None:
    """The member that a file holds, by CMIP's attributes, else by a label such as r1i1p1f1 in its name.

    Args:
        file: its path.
        dataset: what is in it.

    Returns:
        The label, or None.

    Examples:
        >>> member_label("tas_r1i1p1_1951.nc", xr.Dataset())
        'r1i1p1'
    """
    described = [dataset.attrs.get(key, "") for key in ("variant_label", "driving_model_ensemble_member", "source")]
    found = (MEMBER_LABEL.search(str(text)) for text in (*described, Path(file).name))
    return next((match.group() for match in found if match), None)


def pool(fields: Sequence[ClimateField], *, name: str, step: Step | None = None) -> xr.Dataset:
    """All fields as one canonical dataset, lazily.

    Files of one variable with different members are pooled along "realization" (times outer-joined); those of one
    member follow each other in time. Variables keep the times and members that all of them have.

    Args:
        fields: variables of files.
        name: what messages call the archive.
        step: "day" or "month" averages each variable, over complete days or months; None, the default, leaves times.

    Returns:
        The dataset.

    Raises:
        DataError: for grids, calendars or time steps that differ, times that come twice, variables without common
            times, and steps that cannot be averaged.

    Examples:
        >>> pool(read_fields("cmip/tas_*.nc", name="coarse"), name="coarse")
    """
    _check_calendars(fields)
    fields = _snapped(fields)
    series, averages = {}, {}
    for variable in dict.fromkeys(field.name for field in fields):
        series[variable], averages[variable] = _series([f for f in fields if f.name == variable], step)
    files = [next(field.file for field in fields if field.name == variable) for variable in series]
    check_one_step(list(series.values()), files)
    merged = _merged(list(series.values()), name)
    for variable in series:
        own = [field for field in fields if field.name == variable]
        notes = said_once([*(note for field in own for note in field.notes), *averages[variable]])
        merged[variable].encoding = {**_known_of(own), NOTES: notes}
    return merged


def _known_of(fields: list[ClimateField]) -> dict[str, Any]:
    """What messages about a variable need of its files."""
    stored = [field.stored for field in fields if field.stored is not None]
    own = {UNITS_FOUND: fields[0].units, UNITS_GIVEN: fields[0].given_units, NAMES_GIVEN: fields[0].given_names}
    own |= {STEP_DAYS: fields[0].only_length} if len(fields) == 1 and fields[0].only_length is not None else {}
    return {PARTS: [_part(field) for field in fields], STORED: stored, DESCRIBED: fields[0].described, **own}


def notes_of(dataset: xr.Dataset) -> tuple[str, ...]:
    """What was merged, converted or dropped when an archive was opened, a sentence each: for log and history.

    A subset of what `open_climate` gives has them as long as it keeps the encoding of its variables.
    """
    return said_once(note for field in dataset.data_vars.values() for note in field.encoding.get(NOTES, ()))


def pooled(dataset: xr.Dataset) -> xr.Dataset:
    """Members one after the other along "time", those of unequal lengths without what they lack.

    What was a dimension is then the coordinate `realization` (time), and times may come twice.
    """
    if "realization" not in dataset.dims:
        return dataset
    members = []
    for i in range(dataset.sizes["realization"]):
        member = _without_lacking(dataset.isel(realization=i))
        label = member["realization"].values if "realization" in member.coords else np.asarray(i)
        member = member.drop_vars("realization", errors="ignore")
        members.append(member.assign_coords(realization=("time", np.repeat(label, member.sizes["time"]))))
    return _concat(members, "time")


def member_labels(dataset: xr.Dataset) -> tuple[str, ...] | None:
    """The labels of the members of an archive, by which the members of another are paired with them.

    Args:
        dataset: from `open_climate`.

    Returns:
        A label a member, in their order; None where no file gives any.

    Examples:
        >>> member_labels(open_climate("tas_ssp245_r2i1p1f1.nc"))
        ('r2i1p1f1',)
    """
    if "realization" in dataset.dims:
        own = dataset["realization"]
        given = "realization" in dataset.coords and own.attrs.get("long_name") != NUMBERED
        return tuple(map(str, own.values)) if given else None
    labels = {part[3] for field in dataset.data_vars.values() for part in field.encoding.get(PARTS, [])}
    return (str(labels.pop()),) if len(labels) == 1 and None not in labels else None


def _without_lacking(member: xr.Dataset) -> xr.Dataset:
    """One member at the times that it has."""
    if AVAILABLE not in member.coords:
        return member
    return member.isel(time=np.flatnonzero(member[AVAILABLE].values)).drop_vars(AVAILABLE)


def file_of(field: xr.DataArray, fallback: str, *, time: Any = None, member: Any = None) -> str:
    """The file that the value of a variable at a time and member came from, as far as it is known.

    Args:
        field: a variable that `pool` made.
        fallback: the answer where no file is known.
        time: of the value; None for any.
        member: of the value; None for any.

    Returns:
        The path of the first file that may hold it.

    Examples:
        >>> file_of(dataset.tas, "coarse", time=dataset.time.values[0])
    """
    parts = field.encoding.get(PARTS, [])
    for file, first, last, label in parts:
        in_time = time is None or first is None or first <= time <= last
        if in_time and (member is None or label is None or str(label) == str(member)):
            return file
    return parts[0][0] if parts else fallback


def _part(field: ClimateField) -> tuple[str, Any, Any, str | None]:
    if "time" not in field.data.dims:
        return field.file, None, None, field.member or field.single
    times = field.data["time"].values
    return field.file, times[0], times[-1], field.member or field.single


def _check_calendars(fields: Sequence[ClimateField]) -> None:
    timed = [field for field in reversed(fields) if "time" in field.data.dims]
    known = {calendar_of(field.data["time"]): field.file for field in timed}
    if len(known) > 1:
        (one, file), (two, other) = list(known.items())[:-3:-1]
        raise DataError(
            f"{file} has the calendar {one} and {other} {two}; open them as two archives, or convert one with "
            f"dataset.convert_calendar({one!r})."
        )


def _snapped(fields: Sequence[ClimateField]) -> list[ClimateField]:
    """Fields with exactly the coordinates of the first that has bounds; files differ in their digits."""
    for field in fields[1:]:
        _check_same_grid(fields[0], field)
    first = next((field for field in fields if bounds_of(field.data, "lat") is not None), fields[0])
    shared = {n: c for n, c in first.data.coords.items() if not {"time", "realization"} & {n, *c.dims}}
    return [_with_coords(field, shared) for field in fields]


def _with_coords(field: ClimateField, shared: dict[Any, xr.DataArray]) -> ClimateField:
    own = [n for n, c in field.data.coords.items() if not {"time", "realization"} & {n, *c.dims}]
    data = field.data.drop_vars(own).assign_coords({n: c.variable for n, c in shared.items()})
    return replace(field, data=data)


def _check_same_grid(first: ClimateField, other: ClimateField) -> None:
    for axis in ("lat", "lon"):
        a, b = (np.asarray(f.data[axis].values, np.float64) for f in (first, other))
        cell = np.ptp(a) / max(a.shape[-1] - 1, 1)
        if a.shape != b.shape or not np.allclose(a, b, rtol=0, atol=GRID_TOLERANCE * max(float(cell), 1e-3)):
            raise DataError(
                f"{first.file} and {other.file} have different grids ({_axis(first, axis)} against "
                f"{_axis(other, axis)}); regrid one, or open them as two archives."
            )


def _axis(field: ClimateField, axis: str) -> str:
    values = field.data[axis].values
    return f"{'x'.join(map(str, values.shape))} {axis} from {values.min():.2f} to {values.max():.2f}"


def _series(fields: list[ClimateField], step: Step | None) -> tuple[xr.Dataset, tuple[str, ...]]:
    """One variable: its members, each put together from its files; and what was averaged."""
    if len(fields) == 1 and (step is None or AVAILABLE not in fields[0].data.coords):
        _refuse_totals(fields[0].data, fields[0])
        return _stepped(fields[0].data, fields, step)
    members, notes = {}, ()
    for label, own in _by_member(fields).items():
        joined = _in_time(own)
        if not members:
            _refuse_totals(joined, own[0])
        members[label], said = _stepped(joined, own, step)
        notes = notes or said
    if len(members) == 1:
        return next(iter(members.values())), notes
    check_one_step(list(members.values()), [field.file for field in fields])
    return _members(members), notes


def _refuse_totals(data: xr.Dataset, field: ClimateField) -> None:
    refuse_totals(data[field.name], field.described.quantity, field.given_units or field.units, file=field.file)


def _stepped(data: xr.Dataset, fields: list[ClimateField], step: Step | None) -> tuple[xr.Dataset, tuple[str, ...]]:
    if step is None:
        return data, ()
    (data := data.copy())[fields[0].name].encoding = _known_of(fields)
    return averaged(data, step, file=fields[0].file)


def _by_member(fields: list[ClimateField]) -> dict[str | int, list[ClimateField]]:
    """The files of each member, in the natural order of their labels; a file of several members is taken apart."""
    groups: dict[str | int | None, list[ClimateField]] = {}
    for field in _labelled(fields):
        if "realization" not in field.data.dims:
            groups.setdefault(field.member, []).append(field)
            continue
        labels = [label_of(value) for value in field.data["realization"].values]
        for i, label in enumerate(labels):
            own = field.member if field.member is not None and len(labels) == 1 else label
            alone = _without_lacking(field.data.isel(realization=i).drop_vars("realization", errors="ignore"))
            groups.setdefault(own, []).append(replace(field, data=alone))
    if len(groups) == 1 and None in groups and _are_members(fields):
        return {i: [field] for i, field in enumerate(fields)}
    if None in groups and len(groups) > 1:
        label = next(each for each in groups if each is not None)
        known, unknown = groups[label][0].file, groups[None][0].file
        raise DataError(
            f"{known} is of member {label}, and {unknown} of a member that is not named: if it is another one, put its "
            f"label, such as r2i1p1f1, into the name of the file; if it is {label}, put that there."
        )
    return {label: groups[label] for label in sorted(groups, key=natural_key) if label is not None} or {0: fields}


def _labelled(fields: list[ClimateField]) -> list[ClimateField]:
    """Fields whose members are named by single coordinates, where these tell the files apart."""
    singles = [field.single for field in fields]
    if any(field.member is not None for field in fields) or None in singles or len(set(singles)) == 1:
        return fields
    return [replace(field, member=field.single) for field in fields]


def _are_members(fields: list[ClimateField]) -> bool:
    """Whether files that name no member hold the very same times: then each is a member."""
    if any(f.member is not None or "time" not in f.data.dims for f in fields):
        return False
    first = fields[0].data["time"].values
    return all(np.array_equal(f.data["time"].values, first) for f in fields[1:])


def _in_time(fields: list[ClimateField]) -> xr.Dataset:
    """Files of one member in the order of their times."""
    if len(fields) == 1:
        return fields[0].data
    files = " and ".join(f.file for f in fields[:2])
    if any("time" not in f.data.dims for f in fields):
        raise DataError(f"{files} both hold {fields[0].name} without a time; name one of them only.")
    fields = sorted(fields, key=lambda f: f.data["time"].values[0])
    check_one_step([f.data for f in fields], [f.file for f in fields])
    times = np.concatenate([f.data["time"].values for f in fields])
    owner = np.repeat(np.arange(len(fields)), [f.data.sizes["time"] for f in fields])
    order = np.argsort(times, kind="stable")
    again = np.flatnonzero(times[order][1:] == times[order][:-1])
    if len(again):
        one, two = (fields[owner[order[again[0] + i]]] for i in (0, 1))
        files = f"{one.file} and {two.file}"
        raise DataError(held_twice(files, one.name, times[order][again[0]], len(again), one.member))
    joined = _concat([f.data for f in fields], "time")
    return joined if (order == np.arange(len(order))).all() else joined.isel(time=order)


def _members(members: dict[str | int, xr.Dataset]) -> xr.Dataset:
    """Members along "realization"; where their times differ, `available` says who has which."""
    times = [data["time"].values if "time" in data.dims else np.empty(0) for data in members.values()]
    equal = all(np.array_equal(t, times[0]) for t in times)
    joined = _concat(list(members.values()), "realization", join="exact" if equal else "outer")
    labels = list(members) if all(isinstance(label, int) for label in members) else [str(label) for label in members]
    numbered = {"long_name": NUMBERED} if labels == list(range(len(labels))) else {}
    joined = joined.assign_coords(realization=("realization", np.array(labels), numbered))
    if equal:
        return joined
    rows = [np.isin(joined["time"].values, t) for t in times]
    return joined.assign_coords({AVAILABLE: (("realization", "time"), np.stack(rows))})


def _concat(datasets: list[xr.Dataset], dim: str, *, join: Any = "override") -> xr.Dataset:
    return xr.concat(  # pyright: ignore[reportReturnType]  (its type includes DataTree, for trees)
        datasets,
        dim,
        data_vars="minimal" if dim == "time" else "all",
        coords="minimal",
        compat="override",
        join=join,
        combine_attrs="drop_conflicts",
    )


def _merged(series: list[xr.Dataset], name: str) -> xr.Dataset:
    """Variables on the times and members that all of them have."""
    if len(series) == 1:
        return series[0]
    series = same_hours(series)
    merged = xr.merge(series, join="inner", compat="override", combine_attrs="drop_conflicts")
    masks = [s[AVAILABLE] for s in series if AVAILABLE in s.coords]
    if masks:
        both = masks[0]
        for mask in masks[1:]:
            both = both & mask
        merged = merged.assign_coords({AVAILABLE: both.reindex_like(merged).astype(bool)})
    if 0 in merged.sizes.values():
        names = ", ".join(str(v) for s in series for v in s.data_vars)
        lost = [dim for dim, size in merged.sizes.items() if size == 0]
        raise DataError(f"{name}: {names} have no {lost[0]} in common; bring files of the same period and members.")
    return merged
