"""What Subgrid sees in climate files, whether they fit together, and what to change if not.

Metadata and a few times are read, and the whole of small variables, so that archives of any size take seconds; with
`values` everything is.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field as dataclass_field, replace
from pathlib import Path
from typing import Any

import xarray as xr

from subgrid.data.blocks import BLOCK_BYTES
from subgrid.data.canonical import field_of, looked_for, require_held, steps_among, wanted_in
from subgrid.data.checks.checks import NoValue
from subgrid.data.fields import DataError
from subgrid.data.grids.bounds import bounds_of
from subgrid.data.inspection.decisions import Part, space_of, with_decisions
from subgrid.data.inspection.fit import files_in_words, fit_together
from subgrid.data.inspection.reports import FileReport, Fit, Inspection
from subgrid.data.inspection.together import misfits_of_cells, summarise_grid
from subgrid.data.inspection.variable_reports import (
    Budget,
    advice_on,
    period_report,
    report_without_values,
    variable_report,
)
from subgrid.data.pooling.pooling import ClimateField, pool
from subgrid.data.sources.sources import SourceFile, expand, read_sources
from subgrid.data.times.stamps import CutStep
from subgrid.data.times.steps import Step
from subgrid.data.variables.wanted import Variable, Variables, wanted_variables

FEW_BYTES = 2**20
"""Read at a time of variables that are only looked at."""


def inspect(
    *sources: str | Path | xr.Dataset | Sequence[Any],
    variables: Variables | None = None,
    step: Step | None = None,
    values: bool = False,
) -> Inspection:
    """What is in climate files: variables and what they are, units, calendar, period, grid, mask; and how they fit.

    Files on one grid make one archive. Where there are two archives with time, the one with larger cells is taken as
    coarse and the report says how they fit. Files without time (orography) are reported only.

    Args:
        sources: files, folders, globs or Datasets.
        variables: those that are asked for, by default all; a mapping renames and says what they are, as for
            `open_climate`. Only what is asked for can be a problem: of the others, what cannot be used is noted.
        step: "day" or "month" if two archives are to be compared as averages, as for `open_climate`.
        values: whether every value is read; by default metadata, small variables and a few times of large ones.

    Returns:
        The inspection; faults of files are in it, not raised.

    Examples:
        >>> inspect("CMIP5_tas.nc", "EOBS_tas.nc").problems
    """
    wanted, budget = wanted_variables(variables), Budget(values)
    items = _with_steps([_opened(*each) for each in _each(sources)], wanted)
    parts, notes = with_decisions([item.parts for item in items])
    items = [replace(item, parts=each) for item, each in zip(items, parts, strict=True)]
    looks = _with_faults_of_all([_look(item, wanted, budget) for item in items])
    reports = [each.report for each in _with_problems(looks, wanted)]
    archives = _by_grid(looks)
    fit = _fit_of(archives, step)
    if fit is None:
        reports = _with_faults_together(reports, archives, step)
    else:
        said = [report.problem or "" for report in reports]
        new = [each for each in fit.problems if not any(text.endswith(each.partition(": ")[2]) for text in said)]
        gaps, unbridged = _bridges(fit, archives, wanted)
        problems = (*new, *_still(fit, archives, wanted), *unbridged)
        fit = replace(fit, problems=problems, remarks=(*notes, *fit.remarks), gaps=gaps)
    return Inspection(tuple(reports), fit)


@dataclass(frozen=True)
class _Item:
    """One file, opened lazily.

    Args:
        file: its name.
        source: the number of the argument that it belongs to.
        opened: what is in it, or why it cannot be opened.
        parts: its wanted variables, as `wanted_in` yields them.
        steps: of variables that it holds one time of, by the other files on its grid.
    """

    file: str
    source: int
    opened: list[SourceFile] | DataError
    parts: list[Part]
    steps: dict[str, CutStep]


@dataclass(frozen=True)
class _Look:
    """One file.

    Args:
        report: so far.
        fields: that can be used.
        faults: what is wrong with others of its variables.
        source: the number of the argument that it belongs to.
        hollow: what is said of its variables without any value, which are gaps if other files of the archive have some.
    """

    report: FileReport
    fields: list[ClimateField]
    faults: dict[str, str]
    source: int = 0
    hollow: dict[str, str] = dataclass_field(default_factory=dict)

    @property
    def is_archive(self) -> bool:
        return bool(self.fields) and self.report.period is not None

    @property
    def names(self) -> set[str]:
        return {field.name for field in self.fields}


def _each(sources: Sequence[Any]) -> Iterator[tuple[str, int, Any]]:
    """Every file by itself, so that a fault of one leaves the reports of the others; and the argument that gave it."""
    for i, source in enumerate(sources):
        try:
            for item in expand(source):
                yield f"dataset {i + 1}" if isinstance(item, xr.Dataset) else str(item), i, item
        except DataError as error:
            yield "" if isinstance(source, xr.Dataset) else str(source), i, error


def _opened(file: str, source: int, given: Any) -> _Item:
    if isinstance(given, DataError):
        return _Item(file, source, given, [], {})
    try:
        return _Item(file, source, read_sources(given, name=file), [], {})
    except DataError as error:
        return _Item(file, source, error, [], {})


def _with_steps(items: list[_Item], wanted: dict[str, Variable] | None) -> list[_Item]:
    """Files as they would be opened together: files of one time each, on one grid, have the step between them."""
    found: list[_Item] = []
    together: dict[Any, list[Part]] = {}
    for item in items:
        held = [] if isinstance(item.opened, DataError) else item.opened
        parts = [(file, *each) for file in held for each in wanted_in(file, wanted)]
        found.append(replace(item, parts=parts))
        for part in parts:
            together.setdefault(space_of(part), []).append(part)
    steps = {space: steps_among(parts) for space, parts in together.items()}
    return [
        replace(item, steps={k: v for part in item.parts for k, v in steps[space_of(part)].items()}) for item in found
    ]


def _look(item: _Item, wanted: dict[str, Variable] | None, budget: Budget) -> _Look:
    file = item.file
    if isinstance(item.opened, DataError):
        return _broken(file, item.opened)
    try:
        require_held(None if wanted is None else {}, item.opened)
        fields, faults = _fields(item, budget)
        if not fields:
            return _Look(FileReport(file, (), None, 1, None, 0, None), [], faults)
        data = pool(fields, name=file)
    except DataError as error:
        return _broken(file, error)
    reports, hollow = [], {}
    for field in list(fields):
        try:
            reports.append(variable_report(data[field.name], field, file, budget))
        except NoValue as error:
            hollow[field.name] = str(error)
            reports.append(report_without_values(data[field.name], field, error.looked_at))
        except DataError as error:
            faults[field.name] = str(error)
            fields.remove(field)
    notes = tuple(dict.fromkeys(note for field in fields for note in field.notes))
    labels = tuple(map(str, data["realization"].values)) if "realization" in data.coords else ()
    return _Look(
        FileReport(
            file,
            tuple(reports),
            period_report(data["time"]) if "time" in data.dims else None,
            data.sizes.get("realization", 1),
            summarise_grid(data),
            sum(4 * data[v].size for v in data.data_vars),
            _wrong_cells(data, file),
            (),
            notes,
            labels,
        ),
        fields,
        faults,
        item.source,
        hollow,
    )


def _with_faults_of_all(looks: list[_Look]) -> list[_Look]:
    """A variable without any value in a file is a gap where each member has values at times of others, else a fault."""
    found = []
    for look in looks:
        beside = [other for other in looks if other.source == look.source]
        faulty = {name: text for name, text in look.hollow.items() if not _is_gap(name, beside)}
        variables = tuple(each for each in look.report.variables if each.name not in faulty)
        fields = [field for field in look.fields if field.name not in faulty]
        advice = tuple(sentence for each in variables for sentence in advice_on(each))
        report = replace(look.report, variables=variables, advice=advice)
        found.append(replace(look, report=report, fields=fields, faults={**look.faults, **faulty}))
    return found


def _is_gap(name: str, looks: list[_Look]) -> bool:
    """Whether something is left of a variable without the times of the files that hold no value of it.

    These times are left out for all members, so each member needs values at others.
    """
    hollow: set[str] = set()
    held: dict[str, set[str]] = {}
    for look in looks:
        for field in (field for field in look.fields if field.name == name):
            times = {str(time) for time in field.data["time"].values} if "time" in field.data.dims else set()
            if name in look.hollow:
                hollow |= times
            for member in _members_of(field):
                held.setdefault(member, set()).update(() if name in look.hollow else times)
    return all(times - hollow for times in held.values())


def _members_of(field: ClimateField) -> list[str]:
    if "realization" in field.data.dims:
        return [str(label) for label in field.data["realization"].values]
    return [str(field.member or field.single)]


def _wrong_cells(data: xr.Dataset, file: str) -> str | None:
    """What is wrong with bounds that are given, as `fit` would say; without bounds it depends on what is done."""
    given = bounds_of(data, "lat") is not None or bounds_of(data, "lon") is not None
    return next(iter(misfits_of_cells(data, file)), None) if given else None


def _fields(item: _Item, budget: Budget) -> tuple[list[ClimateField], dict[str, str]]:
    """The variables that can be used, and what is wrong with the others."""
    fields, faults = [], {}
    for file, new, old, given in item.parts:
        looked_at = budget.samples(4 * file.dataset[old].size)
        try:
            at_a_time = FEW_BYTES if looked_at else BLOCK_BYTES
            fields.append(field_of(file, old, new, given, block_bytes=at_a_time, step=item.steps.get(new)))
        except DataError as error:
            faults[new] = str(error)
    return fields, faults


def _broken(file: str, error: DataError) -> _Look:
    return _Look(FileReport(file, (), None, 1, None, 0, str(error)), [], {})


def _with_problems(looks: list[_Look], wanted: dict[str, Variable] | None) -> list[_Look]:
    """A fault is a problem if its variable is asked for, if the file holds no other, or if another file holds it."""
    found = []
    for look in looks:
        elsewhere = {name for other in looks if other is not look for name in other.names}
        serious = [text for name, text in look.faults.items() if wanted is not None or name in elsewhere]
        problem = look.report.problem or next(iter(serious), None)
        if problem is None and look.faults and not look.fields:
            problem = next(iter(look.faults.values()))
        others = [f"{name} cannot be used: {text}" for name, text in look.faults.items() if text != problem]
        report = replace(look.report, problem=problem, advice=(*look.report.advice, *others))
        found.append(replace(look, report=report))
    held = {name for look in looks for name in (*look.names, *look.faults)}
    missing = [name for name in wanted or () if name not in held]
    if missing and found and all(look.report.problem is None for look in found):
        files = [look.report.file for look in found]
        text = f"{files_in_words(files)}: no variable {looked_for(missing[0], (wanted or {})[missing[0]])} in any file."
        found[0] = replace(found[0], report=replace(found[0].report, problem=text))
    return found


def _by_grid(looks: list[_Look]) -> list[list[_Look]]:
    """Files of archives on the same grid together, coarsest first; by centres, as some of them may lack bounds."""
    groups: dict[tuple, tuple[float, list[_Look]]] = {}
    for look in looks:
        grid = look.report.grid
        if grid is not None and look.is_archive:
            axes = [look.fields[0].data[axis].values for axis in ("lat", "lon")]
            centres = tuple(round(float(edge), 1) for axis in axes for edge in (axis.min(), axis.max()))
            groups.setdefault((grid.shape, centres), (grid.spacing_km, []))[1].append(look)
    return [group for _, group in sorted(groups.values(), key=lambda group: -group[0])]


def _pooled(looks: list[_Look], step: Step | None) -> xr.Dataset:
    """Files as one archive."""
    files = list(dict.fromkeys(look.report.file for look in looks))
    return pool([field for look in looks for field in look.fields], name=files_in_words(files), step=step)


def _fit_of(archives: list[list[_Look]], step: Step | None) -> Fit | None:
    if len(archives) != 2:
        return None
    files = [tuple(dict.fromkeys(look.report.file for look in looks)) for looks in archives]
    try:
        coarse, fine = (_pooled(looks, step) for looks in archives)
    except DataError as error:
        return Fit(files[0], files[1], float("nan"), float("nan"), (), 0, (str(error),), ())
    return fit_together(coarse, fine, coarse_files=files[0], fine_files=files[1])


def _with_faults_together(
    reports: list[FileReport], archives: list[list[_Look]], step: Step | None
) -> list[FileReport]:
    """What keeps files on one grid from being one archive: a problem of one argument's files, a note of others."""
    for looks in archives:
        if len(looks) < 2:
            continue
        try:
            _pooled(looks, step)
        except DataError as error:
            at = next(i for i, report in enumerate(reports) if report.file == looks[0].report.file)
            one = len({look.source for look in looks}) == 1 and reports[at].problem is None
            said = {"problem": str(error)} if one else {
                "advice": (*reports[at].advice, f"with the others on its grid it makes no archive: {error}")
            }  # fmt: skip
            reports = [*reports[:at], replace(reports[at], **said), *reports[at + 1 :]]
    return reports


def _asked(fit: Fit, wanted: dict[str, Variable] | None) -> tuple[str, ...]:
    """The variables that a fit would take: those that are asked for, or the only common one."""
    return fit.variables if wanted is not None or len(fit.variables) == 1 else ()


def _bridges(
    fit: Fit, archives: list[list[_Look]], wanted: dict[str, Variable] | None
) -> tuple[tuple[str, ...], list[str]]:
    """The settings of `gaps` of which a fit needs one, and the problem where none leaves anything."""
    names = _asked(fit, wanted)
    reports = [each for looks in archives for look in looks for each in look.report.variables if each.name in names]
    gappy = [each for each in reports if each.gappy or each.empty]
    bridges = tuple(s for s in ("mask", "drop") if all(s in each.bridges for each in gappy)) if gappy else ()
    if not gappy or bridges:
        return bridges, []
    held = " and ".join(dict.fromkeys(each.name for each in gappy))
    return (), [f"{held} has gaps in so many cells and at so many times that none would be left; fill them."]


def _still(fit: Fit, archives: list[list[_Look]], wanted: dict[str, Variable] | None) -> Iterator[str]:
    """Variables from which nothing is to be learned, of those that a fit would take."""
    for name in _asked(fit, wanted):
        for looks in archives:
            found = [(each, look) for look in looks for each in look.report.variables if each.name == name]
            low, high = min(each.low for each, _ in found), max(each.high for each, _ in found)
            if low == high and sum(each.n_looked_at for each, _ in found) > 1:
                files = files_in_words([look.report.file for _, look in found])
                yield f"{name} never changes in {files}: it is {low:.6g} {found[0][0].units}; bring other data."
