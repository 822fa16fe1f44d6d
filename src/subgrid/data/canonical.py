"""The front door for climate data: archives of any CF flavour in, one canonical dataset out.

Canonical: float32 variables on (["realization",] "time", "lat", "lon"), or (…, "y", "x") with 2-D lat and lon on
rotated and curvilinear grids; latitudes and longitudes ascend, longitudes from [-180, 180) on; times sorted and unique
in their own calendar; temperatures in K, precipitation in mm day-1, pressures in Pa; NaN only outside a fixed mask.
"""

import logging
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import xarray as xr

from subgrid.data.blocks import BLOCK_BYTES
from subgrid.data.checks.checks import (
    Census,
    Gaps,
    check_sample,
    check_times,
    check_values,
    horizontal_dims,
)
from subgrid.data.checks.fills import Stored
from subgrid.data.checks.missing import NOTHING, Packing, packing_of, without_missing, without_ranges
from subgrid.data.checks.open_bounds import never_negative
from subgrid.data.fields import TEXT_KINDS, DataError
from subgrid.data.grids.coordinates import gridded_variables, on_canonical_grid
from subgrid.data.pooling.members import single_member, with_canonical_members
from subgrid.data.pooling.pooling import DESCRIBED, NOTES, ClimateField, member_label, notes_of, pool
from subgrid.data.sources.sources import Source, SourceFile, read_sources
from subgrid.data.times.calendars import step_name
from subgrid.data.times.ends import stamped_at_end
from subgrid.data.times.stamps import TIME_DIMS, CutStep, step_of_parts, with_canonical_times
from subgrid.data.times.steps import Step
from subgrid.data.variables.quantities import Described, describe
from subgrid.data.variables.units import conversion, is_amount
from subgrid.data.variables.wanted import Variable, Variables, name_in, wanted_variables

LOG = logging.getLogger("subgrid")


def open_climate(
    source: Source, variables: Variables | None = None, *, name: str = "coarse", step: Step | None = None
) -> xr.Dataset:
    """An archive as a canonical dataset, lazily: metadata are checked and a few times looked at.

    Files of several variables are merged on the times that all have; files that follow in time are joined; members
    (a dimension "member", "ensemble", "number" …, or files named r1i1p1, r2i1p1 …) are pooled along "realization".
    `check_climate` reads all of it, once, and makes sure of the mask.

    Args:
        source: a NetCDF file, a Zarr store, a folder of them, a glob, a `Dataset`, or a list of these.
        variables: in the order wanted, by default all that lie on a grid; a mapping {name: name or names in files}
            renames, and {name: Variable(…)} tells what a variable is, its bounds or its units.
        name: what messages call a source that is no file.
        step: "day" or "month" averages every variable over complete days or months, extremes by their maxima or minima;
            None, the default, leaves times as they are.

    Returns:
        The canonical dataset.

    Raises:
        DataError: naming file, variable and what to do, for what is missing or cannot be read or understood, for
            unknown units and calendars, implausible magnitudes, and times that come twice or out of order.

    Examples:
        >>> coarse = open_climate("CMIP5_Iberia_*.nc", ["tas", "pr"])
        >>> coarse.pr.attrs["units"]
        'mm day-1'
    """
    dataset = pool(read_fields(source, variables, name=name), name=name, step=step)
    check_sample(dataset, name=name)
    for note in notes_of(dataset):
        LOG.info("%s: %s", name, note)
    return dataset


def check_climate(
    dataset: xr.Dataset, *, name: str = "coarse", gaps: Gaps = "refuse", needed: np.ndarray | None = None
) -> xr.Dataset:
    """Every value of a canonical dataset, read once block by block, whatever its length.

    Args:
        dataset: canonical.
        name: for messages where the file is not known.
        gaps: what is done about a cell that has values at some times only: an error ("refuse", the default); it leaves
            the mask, so that it has none at any time ("mask"); or the times at which it has none are left out, and
            those at which no cell has any ("drop").
        needed: (*space), booleans: the cells that this is about; others with gaps leave the mask. By default all.

    Returns:
        The dataset, whose NaN now are the same cells at every time. What was masked or dropped, and cells of one
            variable that a joint mask hides, are among its notes (`notes_of`).

    Raises:
        DataError: for damaged files, infinite or implausible values, fill values that nothing declares, a time without
            any value, and gaps.

    Examples:
        >>> fine = check_climate(open_climate("EOBS_Iberia_pr.nc"), gaps="mask")
    """
    found = {str(v): check_values(dataset[v], name=name, gaps=gaps, needed=needed) for v in dataset.data_vars}
    checked, said = dataset.copy(), {variable: [] for variable in found}
    if gaps == "drop":
        checked = _without_times(checked, found, said, name)
    _mask(checked, found, gaps, said, name)
    for variable, census in found.items():
        if census.below_zero:
            field = checked[variable]
            checked[variable] = field.where(~(field < 0), 0.0)
            said[variable].append(
                f"{variable}: {census.below_zero} values below 0, down to {census.low:.2g} {field.attrs.get('units')}, "
                "are set to 0"
            )
        if note := never_negative(variable, _described(dataset[variable]), census.low, census.high):
            said[variable].append(note)
    said = {variable: [*notes, *_hidden(variable, found)] for variable, notes in said.items()}
    for variable, notes in said.items():
        field = checked[variable]
        field.encoding = {**dataset[variable].encoding, NOTES: (*dataset[variable].encoding.get(NOTES, ()), *notes)}
        for note in notes:
            LOG.info("%s: %s", name, note)
    return checked


def _described(field: xr.DataArray) -> Described:
    """What a canonical variable was taken to be, and why, as far as that is known still."""
    return field.encoding.get(DESCRIBED) or describe(field)


def _mask(checked: xr.Dataset, found: dict[str, Census], gaps: Gaps, said: dict[str, list[str]], name: str) -> None:
    """Takes the values of cells with gaps at all times, where their times are not dropped, and says so."""
    for variable, census in found.items():
        chosen = census.partly & ~census.gappy if gaps == "drop" else census.partly
        if not chosen.any():
            continue
        field = checked[variable]
        space = horizontal_dims(field)
        kept = xr.DataArray(~chosen.reshape([field.sizes[d] for d in space]), dims=space)
        checked[variable] = field.where(kept)
        if (chosen | (found[variable].missing == found[variable].total)).all():
            raise DataError(
                f"{name}: every cell of {variable} has gaps, so gaps = 'mask' would leave none; fill the gaps, or drop "
                "the times that have some with gaps = 'drop'."
            )
        are = "is" if chosen.sum() == 1 else "are"
        said[variable].append(f"{variable}: {_cells(chosen)} with gaps {are} left out at all times")


def _without_times(checked: xr.Dataset, found: dict[str, Census], said: dict[str, list[str]], name: str) -> xr.Dataset:
    """The times at which no variable has a gap; and says how many are left out."""
    timed = {v: census for v, census in found.items() if "time" in checked[v].dims}
    if not timed:
        return checked
    drop = np.any([census.times_with_gaps for census in timed.values()], axis=0)
    if drop.all():
        raise DataError(
            f"{name}: every time has a gap, so gaps = 'drop' would leave none; fill the gaps, or leave the cells that "
            "have some out with gaps = 'mask'."
        )
    for variable, census in timed.items():
        if number := int(census.times_with_gaps.sum()):
            said[variable].append(f"{variable}: {number} of {drop.size} times with gaps are left out")
    return checked.isel(time=np.flatnonzero(~drop)) if drop.any() else checked


def _hidden(variable: str, found: dict[str, Census]) -> list[str]:
    """What the mask of other variables hides of a variable, where all have one mask together."""
    own = found[variable]
    said = []
    for other, census in found.items():
        same_grid = census.missing.shape == own.missing.shape
        hidden = (own.missing == 0) & (census.missing > 0) if same_grid else np.zeros(1, bool)
        if hidden.any():
            said.append(f"{variable}: a joint mask hides {_cells(hidden)} of it where {other} has no value")
    return said


def _cells(which: np.ndarray) -> str:
    number = int(which.sum())
    return f"{number} cell{'s' if number > 1 else ''}"


def valid_mask(dataset: xr.Dataset) -> xr.DataArray:
    """The cells where all variables of a checked dataset have values: True on land, for instance.

    Args:
        dataset: checked by `check_climate`.

    Returns:
        Booleans on the space dimensions.

    Raises:
        DataError: for a dataset without variables.

    Examples:
        >>> mask = valid_mask(check_climate(fine))
    """
    valid = None
    for variable in dataset.data_vars:
        field = dataset[variable]
        first = field.isel(dict.fromkeys([d for d in ("realization", "time") if d in field.dims], 0))
        here = first.notnull().compute().reset_coords(drop=True)
        valid = here if valid is None else valid & here
    if valid is None:
        raise DataError("the dataset holds no variable, so there is no mask; open it with at least one.")
    return valid.rename("valid")


def read_fields(source: Source, variables: Variables | None = None, *, name: str) -> list[ClimateField]:
    """The wanted variables of every file of an archive, each canonical, in the order wanted; `pool` joins them."""
    wanted = wanted_variables(variables)
    files = read_sources(source, name=name)
    require_held(wanted, files)
    parts = [(file, *each) for file in files for each in wanted_in(file, wanted)]
    steps = steps_among(parts)
    fields = [field_of(file, old, new, given, step=steps.get(new)) for file, new, old, given in parts]
    order = list(wanted) if wanted is not None else []
    return sorted(fields, key=lambda field: order.index(field.name)) if order else fields


def steps_among(parts: list[tuple[SourceFile, str, str, Variable]]) -> dict[str, CutStep]:
    """The time steps of variables whose files together are a series, some of one time alone.

    Args:
        parts: each file with what `wanted_in` yields for it.

    Returns:
        By their names, for `field_of`.
    """
    own: dict[str, list[tuple[xr.Dataset, str, str]]] = {}
    for file, new, old, _ in parts:
        own.setdefault(new, []).append((file.dataset, old, file.name))
    return {new: step for new, files in own.items() if (step := step_of_parts(files)) is not None}


def wanted_in(file: SourceFile, wanted: dict[str, Variable] | None) -> Iterator[tuple[str, str, Variable]]:
    """The wanted variables of a file: name, name in the file, what is given of it; None for all on a grid."""
    if wanted is None:
        yield from ((name, name, Variable()) for name in gridded_variables(file.dataset))
        return
    for new, given in wanted.items():
        old = name_in(list(map(str, file.dataset.data_vars)), new, given)
        if old is not None:
            yield new, old, given


def looked_for(name: str, given: Variable) -> str:
    """The names under which a variable is looked for, in words."""
    return " or ".join(map(repr, dict.fromkeys((*given.names, name))))


def require_held(wanted: dict[str, Variable] | None, files: list[SourceFile]) -> None:
    """Passes if files hold every wanted variable, or some on a grid where all are wanted; else says what they hold."""
    held = {file.name: gridded_variables(file.dataset) for file in files}
    what = files[0].name + (f" and {len(files) - 1} more files" if len(files) > 1 else "")
    there = dict.fromkeys(variable for variables in held.values() for variable in variables)
    listing = ", ".join(there) or "(none)"
    every = list(dict.fromkeys(str(v) for file in files for v in file.dataset.data_vars))
    texts = [each for file in files for each in gridded_variables(file.dataset, kinds=TEXT_KINDS)]
    if wanted is None and not there and texts:
        raise DataError(
            f"{what}: {texts[0]} holds text, not numbers; name it to have its numbers read, as in variables = "
            f"['{texts[0]}'], or write it again as numbers."
        )
    if wanted is None and not there:
        raise DataError(
            f"{what}: no variable lies on a grid of latitudes and longitudes (variables: "
            f"{', '.join(every) or 'none'}); add the coordinates, with the units 'degrees_north' and 'degrees_east'; "
            "or fit them as plain arrays, which need neither dates nor places: `subgrid fit FINE COARSE -o MODEL`, "
            "with `--operator N` where every N-th fine point is a coarse one and no coordinates say so."
        )
    for name, given in (wanted or {}).items():
        if name_in(every, name, given) is None:
            meant = f" Say which one is meant, as in variables = {{{name} = '{next(iter(there))}'}}." if there else ""
            raise DataError(f"{what}: no variable {looked_for(name, given)}; on a grid there are {listing}.{meant}")


def field_of(
    opened: SourceFile,
    old: str,
    new: str,
    given: Variable,
    *,
    block_bytes: int = BLOCK_BYTES,
    step: CutStep | None = None,
) -> ClimateField:
    """One variable of one file, canonical: grid, times, what it is, units, chunks.

    Args:
        opened: the file.
        old: name of the variable in it.
        new: its name from here on.
        given: what is given of it.
        block_bytes: about how much is read at a time, and at least: little where only a few times are looked at.
        step: of the series that the file is a part of, as `steps_among` finds it.

    Returns:
        The field; nothing of its values is read.

    Raises:
        DataError: as `open_climate`.
    """
    file, dataset, notes = opened.name, opened.dataset, list(opened.notes)
    units = str(dataset[old].attrs.get("units", ""))
    preferred = dataset[old].encoding.get("preferred_chunks", {})
    dataset, merged = with_canonical_members(dataset, old, file=file)
    stamped = with_canonical_times(dataset, old, file=file, step=step)
    on_grid = on_canonical_grid(stamped.dataset, old, file=file)
    placed = on_grid.dataset
    notes += [*merged, *stamped.notes, *on_grid.notes]
    if given.cell_methods is not None:
        placed[old].attrs["cell_methods"] = given.cell_methods
    if given.units is not None:
        placed[old].attrs["units"] = given.units
        notes.append(f"{new}: units {units!r} in the file, {given.units!r} as given")
    described, own = describe(placed[old], quantity=given.quantity, bounds=given.bounds), describe(placed[old])
    if given.because is not None:
        described = replace(described, because=given.because)
    elif described.quantity != own.quantity != "other":
        notes.append(f"{new}: {described.kind.about} as given, though {own.because} says {own.kind.about}")
    placed = placed.rename({old: new})
    time = placed["time"] if "time" in placed.dims else None
    if time is not None:
        check_times(time, file=file, dim=stamped.dim)
    if placed[new].chunks is None:
        file_chunk = max([n for dim, n in preferred.items() if dim in TIME_DIMS], default=1)
        placed = _in_blocks(placed, new, file_chunk, block_bytes)
    packing = packing_of(opened.dataset[old])
    at_end = stamped_at_end(opened.dataset[old], units, bounded=stamped.bounded)
    placed = without_ranges(placed)
    placed[new], stored, missing = canonical_values(
        placed[new], packing, given, described, file=file, lengths=stamped.lengths, at_end=at_end
    )
    notes += missing
    if is_amount(described.quantity, given.units or units) and stamped.lengths is not None:
        every = step_name(float(np.mean(stamped.lengths)))
        notes.append(f"{new}: {given.units or units!r} are amounts of each time step ({every}), not running totals")
    label, single = member_label(file, dataset), single_member(dataset)
    told = (single, stored, given.units, given.names, stamped.only_length)
    return ClimateField(file, new, units, label, placed, described, tuple(notes), *told)


def canonical_values(
    field: xr.DataArray,
    packing: Packing,
    given: Variable,
    described: Described | None,
    *,
    file: str,
    lengths: float | xr.DataArray | None = None,
    at_end: str | None = None,
) -> tuple[xr.DataArray, Stored, tuple[str, ...]]:
    """A variable without what is missing, in canonical units; the way back to its file; and what was taken as missing.

    Args:
        field: decoded, in the units of the file or as they are given.
        packing: in the file.
        given: what is said of the variable.
        described: what it is taken to be; None to leave it in its units.
        file: for messages.
        lengths: of time steps in days, for amounts.
        at_end: what says that its times are stamped at the end of their steps.
    """
    valid, missing = without_missing(field, packing, given=given.missing)
    if described is None:
        return valid, Stored(None, packing, valid, NOTHING in given.missing, at_end), missing
    convert = conversion(valid, described, file=file, step_days=lengths)
    stored = Stored(convert, packing, valid, NOTHING in given.missing, at_end)
    return convert(valid).assign_attrs(described.attributes), stored, missing


def _in_blocks(dataset: xr.Dataset, variable: str, file_chunk: int, block_bytes: int) -> xr.Dataset:
    """Chunks along time of about so many bytes, whole chunks of the file, and space in one piece."""
    field = dataset[variable]
    if "time" not in field.dims:
        return dataset.chunk()
    per_time = 4 * field.size // max(field.sizes["time"], 1)
    step = max(1, block_bytes // max(per_time, 1))
    step = max(step // file_chunk * file_chunk, file_chunk)
    chunks = {dim: (step if dim == "time" else -1) for dim in field.dims}
    return dataset.assign({variable: field.chunk(chunks)})
