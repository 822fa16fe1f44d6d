"""Time steps of an ensemble and its reference: longer means vary less, so both are averaged, or refused."""

from dataclasses import replace

import numpy as np
import xarray as xr

from subgrid.data.blocks import BLOCK_BYTES
from subgrid.data.fields import DataError
from subgrid.data.times.calendars import step_days, step_name
from subgrid.data.times.steps import STEPS, Step, averaged, common_step, how_to_average, said_how
from subgrid.data.variables.wanted import Variable
from subgrid.downscaling.verifying.field_sets import FieldSet

NAMES_OF_VALUES = {"mean": "means", "maximum": "maxima", "minimum": "minima", "sum": "sums"}


def require_step(step: Step | None) -> None:
    """Passes for "day", "month" and None.

    Args:
        step: as `verify` takes it.

    Raises:
        ValueError: for anything else.
    """
    if step not in (None, *STEPS):
        raise ValueError(f"step must be 'day' or 'month', got {step!r}.")


def at_step(fields: FieldSet, step: Step | None, *, like: xr.DataArray) -> FieldSet:
    """An ensemble averaged over complete days or months, lazily, as `fit` averages archives.

    Args:
        fields: of any time step; those of `step` stay as they are.
        step: "day", "month", or None for what it has.
        like: the reference at that step: its maxima make maxima of an ensemble that does not say what its values are.

    Returns:
        The set, and among its notes what was done.

    Raises:
        DataError: as `averaged`, and for fields without dates along one dimension.
    """
    if step is None:
        return fields
    array, how = fields.array, said_how(_named(fields)) or said_how(like)
    if how is not None and how != how_to_average(array):
        array = array.assign_attrs(cell_methods=f"time: {how}")
    array, notes = averaged_array(array, fields.lead, step, file=fields.source)
    return replace(fields, array=array, lead=("time",), notes=(*fields.notes, *notes))


def averaged_alike(ensemble: FieldSet, reference: xr.DataArray, given: Variable, file: str) -> Variable:
    """What is said of a reference, with the cell methods of its ensemble where it has none of its own.

    Args:
        ensemble: the ensemble, not averaged.
        reference: its reference, not averaged.
        given: what is said of the reference.
        file: of the reference, for messages.

    Returns:
        It.

    Raises:
        DataError: where one says that its values are means, say, and the other that they are maxima.
    """
    ours, theirs = said_how(_named(ensemble)), said_how(reference)
    if ours is None or ours == theirs:
        return given
    if theirs is None:
        return replace(given, cell_methods=f"time: {ours}")
    what = [NAMES_OF_VALUES[how] for how in (ours, theirs)]
    raise DataError(
        f"{ensemble.source}: {ensemble.name} holds {what[0]}, and {file}: {reference.name} {what[1]}, as their cell "
        f"methods or names say ({_said(_named(ensemble))} and {_said(reference)}), so their averages are not of one "
        "kind; correct the attribute 'cell_methods' of the one that is wrong."
    )


def _named(fields: FieldSet) -> xr.DataArray:
    """The variable by its own name, which may say what it is, and not that of the ensemble's file."""
    return fields.array.rename(fields.name)


def _said(field: xr.DataArray) -> str:
    methods = field.attrs.get("cell_methods")
    return f"the name {str(field.name)!r}" if methods is None else f"{str(field.name)!r} with {str(methods)!r}"


def averaged_array(
    array: xr.DataArray, lead: tuple[str, ...], step: Step, *, file: str
) -> tuple[xr.DataArray, tuple[str, ...]]:
    """One variable averaged over complete days or months.

    Args:
        array: with dates along its only dimension of samples, whatever that is called.
        lead: dimensions that count samples.
        step: "day" or "month".
        file: for messages.

    Returns:
        The variable, its dates along "time", and what was done.

    Raises:
        DataError: as `averaged`, and for a variable without dates along one dimension.
    """
    dates = _dates(array, lead)
    if dates is None or len(lead) != 1:
        raise DataError(
            f"{file}: {array.name} has no dates along one dimension of samples ({', '.join(lead)}), so nothing tells "
            f"which of them are of one {step}; leave step = '{step}' (--step {step}) out."
        )
    array = array if dates in array.dims else array.swap_dims({lead[0]: dates})
    array = array if dates == "time" else array.drop_vars("time", errors="ignore").rename({dates: "time"})
    array = array.drop_vars([n for n, c in array.coords.items() if n != "time" and "time" in c.dims])
    array = array if array.indexes["time"].is_monotonic_increasing else array.sortby("time")
    name = str(array.name)
    data, notes = averaged(_in_blocks(array).to_dataset(name=name), step, file=file)
    return data[name], tuple(note.removeprefix(f"{name}: ") for note in notes)


def _dates(array: xr.DataArray, lead: tuple[str, ...]) -> str | None:
    """The coordinate along one of some dimensions that holds dates, if there is one."""
    return next((str(n) for n, c in array.coords.items() if c.ndim == 1 and c.dims[0] in lead and is_dated(c)), None)


def _in_blocks(array: xr.DataArray) -> xr.DataArray:
    """Lazily, whatever the file's own chunks: all of it would be read where nothing else says how much."""
    if array.chunks is not None:
        return array
    per_time = max(4 * array.size // array.sizes["time"], 1)
    return array.chunk({"time": max(1, BLOCK_BYTES // per_time)})


def date_coordinate(fields: FieldSet) -> str | None:
    """The coordinate along one dimension of samples that holds dates, if there is one."""
    return _dates(fields.array, fields.lead)


def is_dated(coordinate: xr.DataArray) -> bool:
    """Whether a coordinate of one dimension holds dates of any calendar."""
    return coordinate.dtype.kind == "M" or isinstance(coordinate.to_index(), xr.CFTimeIndex)


def unit_of_dates(ensemble: FieldSet, reference: FieldSet, ours: xr.DataArray, theirs: xr.DataArray) -> str:
    """What dates are compared by, "month", "day" or "second": days and months have any hour or day.

    Args:
        ensemble: the ensemble.
        reference: its reference.
        ours: dates of the ensemble.
        theirs: those of the reference.

    Returns:
        The unit.

    Raises:
        DataError: for steps that differ, with what brings both to one.
    """
    steps = _steps(ours, theirs)
    kinds = {_kind(step) for step in steps} - {None}
    if len(kinds) > 1:
        raise DataError(
            f"{_in_words(ensemble, reference, steps)}: {_advice(steps)}. Their distributions differ for that alone, "
            "also with paired=False (--unpaired)."
        )
    return next((str(kind) for kind in kinds & {"year", "month", "day"}), "second")


def of_other_steps(ensemble: FieldSet, reference: FieldSet) -> tuple[str, ...]:
    """What is said of distributions over time steps that differ: means over longer ones vary less.

    Args:
        ensemble: the ensemble.
        reference: its reference.

    Returns:
        A sentence; none for one step, or where dates do not tell.
    """
    times = [fields.array[name] for fields in (ensemble, reference) if (name := date_coordinate(fields)) is not None]
    if len(times) < 2:
        return ()
    steps = _steps(*times)
    which = _in_words(ensemble, reference, steps)
    if len({_kind(step) for step in steps} - {None}) > 1:
        return (f"{which}: their distributions differ for that alone; {_advice(steps)}",)
    known = [step for step in steps if step is not None]
    if len({*known}) > 1 and max(known) > 1 and _kind(max(known)) == "day":
        return (
            f"{which}: these are taken for chosen days; if they are means over "
            f"several days, average the other one before, for instance with dataset.resample(time='{max(known):.0f}D')"
            ".mean()",
        )
    return ()


def _steps(*times: xr.DataArray) -> list[float | None]:
    """The steps of times in any order, in days."""
    return [step_days(xr.DataArray(np.unique(time.values), dims="time", name="time")) for time in times]


def _kind(step: float | None) -> str | None:
    """What a step is of; None where it is not known. Steps of several days may be chosen days."""
    match step:
        case None:
            return None
        case _ if step_name(step) == "yearly":
            return "year"
        case _ if 27 < step < 32:
            return "month"
        case _:
            return "day" if step >= 1 else f"{step:g} days"


def _in_words(ensemble: FieldSet, reference: FieldSet, steps: list[float | None]) -> str:
    ours, theirs = map(step_name, steps)
    return f"{ensemble.source} is {ours} and {reference.source} {theirs}"


def _advice(steps: list[float | None]) -> str:
    step = common_step(*(None if each is None else step_name(each) for each in steps))
    if step is None:
        return "average the finer one before, for instance with dataset.resample(time='YS').mean()"
    return f"average the finer one with verify(…, step='{step}') (--step {step})"
