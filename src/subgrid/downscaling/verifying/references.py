"""The reference of an ensemble, read as `fit` reads its archives: fill values, ranges, stamps, units, plausibility."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import xarray as xr

from subgrid.data.canonical import canonical_values, open_climate
from subgrid.data.checks.fills import STEP_DAYS, STORED
from subgrid.data.checks.missing import packing_of
from subgrid.data.checks.unseen import check_fields
from subgrid.data.fields import DataError, sample_dims
from subgrid.data.grids.coordinates import gridded_variables
from subgrid.data.grids.positions import listed_position
from subgrid.data.plain import as_dataset
from subgrid.data.pooling.pooling import NOTES, notes_of
from subgrid.data.sources.sources import Source, SourceFile, read_sources
from subgrid.data.times.ends import stamped_at_end
from subgrid.data.times.stamps import has_dates, with_canonical_times
from subgrid.data.times.steps import Step
from subgrid.data.variables.quantities import QUANTITY_ATTRIBUTE, describe
from subgrid.data.variables.readings import Reading, settled
from subgrid.data.variables.unit_spellings import same_unit
from subgrid.data.variables.wanted import Variable
from subgrid.data.variables_of_archives import reading_of
from subgrid.downscaling.verifying.field_sets import (
    TRUTH,
    Chosen,
    FieldSet,
    Given,
    field_set,
    fields_of,
    member_dims,
    require_finished,
    said_of,
)
from subgrid.downscaling.verifying.time_steps import averaged_alike, averaged_array

ENSEMBLE = "the ensemble"


def reference_sets(
    source: Given, ensemble: Mapping[str, FieldSet], variables: Chosen, *, step: Step | None = None
) -> dict[str, FieldSet]:
    """The reference of every variable of an ensemble, by the ensemble's name.

    Args:
        source: as `verify` takes it.
        ensemble: its sets; what counts samples there counts samples here, and what a variable is there it is here.
        variables: as `verify` takes it.
        step: "day" or "month" to average over; None for what it has.

    Returns:
        The sets, each without members; `checked` reads their values.

    Raises:
        DataError: for what cannot be read or understood, a variable that has no counterpart or is taken for something
            else than in the ensemble, cell methods that differ where steps are averaged, and a reference with members.
    """
    if isinstance(source, str | Path):
        require_finished(source)
    opened = as_dataset(source)
    said = "reference" if isinstance(opened, xr.Dataset) else str(opened)
    files = read_sources(opened, name=said)
    held = list(dict.fromkeys(name for file in files for name in fields_of(file.dataset)))
    held = [TRUTH] if any(TRUTH in file.dataset.data_vars for file in files) else held
    told = said_of(variables)
    found = {}
    for name, fields in ensemble.items():
        given = told.get(name, Variable())
        chosen = _counterpart(name, given, held, alone=len(ensemble) == 1, said=said)
        file = next(file for file in files if chosen in file.dataset.data_vars)
        given, notes = _as_in(fields, file, chosen, given)
        given = given if step is None else averaged_alike(fields, file.dataset[chosen], given, file.name)
        found[name] = _opened(opened, said, files, chosen, given, fields, notes, step)
    return found


def checked(reference: FieldSet) -> FieldSet:
    """A reference whose values are read once: no fill values that nothing declares, none that are implausible.

    Args:
        reference: on the cells that are compared.

    Returns:
        It; rain that packing leaves below 0 is 0, and said.

    Raises:
        DataError: naming file, place, number and what to do.
    """
    low, _ = check_fields(reference.array, name=reference.source)
    if describe(reference.array).quantity != "precipitation" or not low < 0:
        return reference
    array = reference.array.where(~(reference.array < 0), 0.0)
    note = f"values below 0 of the reference, down to {low:.2g} {reference.units}, are set to 0"
    return replace(reference, array=array, notes=(*reference.notes, note))


def _as_in(fields: FieldSet, file: SourceFile, chosen: str, given: Variable) -> tuple[Variable, tuple[str, ...]]:
    """What is said of a variable of the reference, and what it is, decided with the ensemble.

    One without units is in those of the ensemble.
    """
    notes: tuple[str, ...] = ()
    units = str(file.dataset[chosen].attrs.get("units", "")).strip()
    if given.units is None and not units and fields.units:
        notes = (f"{file.name} gives no units: values are compared as they are",)
        given = replace(given, units=fields.units)
    if given.quantity is not None or not has_dates(file.dataset, chosen):
        return given, notes  # a name alone makes no quantity of plain fields
    own = describe(fields.array.rename(fields.name))
    readings = [Reading(ENSEMBLE, own, fields.units), reading_of(file, chosen, given, archive="the reference")]
    given, note = settled(fields.name, readings, given)
    return given, notes if note is None else (*notes, note.removeprefix(f"{fields.name}: "))


def _opened(
    source: Source,
    said: str,
    files: Sequence[SourceFile],
    chosen: str,
    given: Variable,
    fields: FieldSet,
    notes: tuple[str, ...],
    step: Step | None,
) -> FieldSet:
    """A variable of the reference, as an archive with dates and places where it is one."""
    file = next(file for file in files if chosen in file.dataset.data_vars)
    raw = file.dataset
    members = tuple(d for d in member_dims(raw[chosen]) if d not in fields.lead)
    _require_single(raw[chosen], members, said)
    given = replace(given, names=(chosen,))
    if _is_climate(raw, chosen, file.name):
        array = _climate(source, said, chosen, given, step)
        others = [str(d) for d in member_dims(raw[chosen]) if d in fields.lead]
        array = array.rename({"realization": others[0]}) if others and "realization" in array.dims else array
    elif len(files) > 1:
        raise DataError(
            f"{said}: stands for {len(files)} files, which are joined only where {chosen} has dates, latitudes and "
            "longitudes; give one file."
        )
    else:
        array = _at_step(_listed(file, chosen, given), fields, step, file.name)
    reference = field_set(array, name=chosen, source=said, samples=fields.lead)
    _require_single(reference.array, reference.members, said)
    before = given.units or str(raw[chosen].attrs.get("units", ""))
    if before and reference.units and not same_unit(before, reference.units):
        notes = (*notes, f"the reference is converted from {before} to {reference.units}")
    said_already = f"{chosen}: units "  # given ones are known to who gave them, and a note speaks of converted ones
    own = [note for note in notes_of(array.to_dataset(name=chosen)) if not note.startswith(said_already)]
    own = [f"reference: {note.removeprefix(f'{chosen}: ')}" for note in own]
    return replace(reference, notes=(*notes, *own))


def _is_climate(dataset: xr.Dataset, chosen: str, file: str) -> bool:
    """Whether a variable has dates, and lies on a grid of latitudes and longitudes; what Subgrid wrote is as it is."""
    placed = chosen in gridded_variables(dataset, kinds="fiuSUO") and chosen != TRUTH
    return placed and has_dates(dataset, chosen) and listed_position(dataset, chosen, file=file) is None


def _climate(source: Source, said: str, chosen: str, given: Variable, step: Step | None) -> xr.DataArray:
    """Of an archive with dates and places: as `fit` opens it."""
    return open_climate(source, {chosen: given}, name=said, step=step)[chosen]


def _listed(file: SourceFile, chosen: str, given: Variable) -> xr.DataArray:
    """Of stations, or fields without dates: missing values, stamps and units as in archives, dimensions as they are."""
    dataset, notes = file.dataset, list(file.notes)
    packing, lengths, at_end, step = packing_of(dataset[chosen]), None, None, {}
    if has_dates(dataset, chosen) and chosen != TRUTH and not _has_numbers_too(dataset, chosen):
        stamped = with_canonical_times(dataset, chosen, file=file.name)
        units = str(file.dataset[chosen].attrs.get("units", ""))
        at_end = stamped_at_end(file.dataset[chosen], units, bounded=stamped.bounded)
        dataset, lengths, notes = stamped.dataset, stamped.lengths, [*notes, *stamped.notes]
        step = {} if stamped.only_length is None else {STEP_DAYS: stamped.only_length}
    field = dataset[chosen] if dataset[chosen].chunks is not None else dataset[chosen].chunk()
    if given.units is not None:
        field = field.assign_attrs({**field.attrs, "units": given.units})
    if given.cell_methods is not None:
        field = field.assign_attrs({**field.attrs, "cell_methods": given.cell_methods})
    described = describe(field, quantity=given.quantity or (None if has_dates(file.dataset, chosen) else "other"))
    known = described if described.kind.units is not None and str(field.attrs.get("units", "")).strip() else None
    values, stored, missing = canonical_values(
        field, packing, given, known, file=file.name, lengths=lengths, at_end=at_end
    )
    values = values if known is not None else values.assign_attrs({QUANTITY_ATTRIBUTE: "other"})
    values.encoding = {**field.encoding, **step, STORED: [stored], NOTES: (*notes, *missing)}
    return values


def _at_step(array: xr.DataArray, fields: FieldSet, step: Step | None, file: str) -> xr.DataArray:
    """Averaged as an archive with places is, its notes kept."""
    if step is None:
        return array
    lead = tuple(d for d in sample_dims(array) if d not in member_dims(array) or d in fields.lead)
    whole, notes = averaged_array(array, lead, step, file=file)
    whole.encoding = {**array.encoding, NOTES: (*array.encoding[NOTES], *notes)}
    return whole


def _has_numbers_too(dataset: xr.Dataset, chosen: str) -> bool:
    """Whether dates are beside dimensions that count samples, as of conditions or forecasts."""
    return len(sample_dims(dataset[chosen])) > 1


def _require_single(array: xr.DataArray, members: Sequence[str], said: str) -> None:
    several = [d for d in members if array.sizes[d] > 1]
    if several:
        raise DataError(
            f"{said}: {array.name} has {array.sizes[several[0]]} members along {several[0]!r}; a reference has none: "
            f"choose one, for instance with .isel({several[0]}=0)."
        )


def _counterpart(name: str, wanted: Variable, held: Sequence[str], *, alone: bool, said: str) -> str:
    """The variable of a reference that belongs to one of the ensemble: the only one does, if nothing else is said."""
    candidates = wanted.names or (name,)
    chosen = next((each for each in candidates if each in held), None)
    if chosen is not None:
        return chosen
    if alone and len(held) == 1 and not wanted.names:
        return held[0]
    raise DataError(
        f"{said}: no variable {candidates[0]!r} to compare with; it holds {', '.join(held) or '(none)'}. Say which one "
        f"is meant: variables={{{name!r}: …}}."
    )
