"""What Subgrid sees in climate files, whether they fit together, and what to change if not.

Metadata and a few times are read, and the whole of small variables, so that archives of any size take seconds; with
`values` everything is.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from subgrid.data.blocks import BLOCK_BYTES
from subgrid.data.canonical import field_of, looked_for, monthly_among, require_held, wanted_in
from subgrid.data.checks.checks import check_sample, check_values, show_time
from subgrid.data.checks.fills import STEP_DAYS
from subgrid.data.fields import DataError
from subgrid.data.inspection.fit import files_in_words, fit_together
from subgrid.data.inspection.reports import FileReport, Fit, Inspection, PeriodReport, VariableReport
from subgrid.data.inspection.together import GridSummary, summarise_grid
from subgrid.data.pooling.pooling import ClimateField, pool
from subgrid.data.sources.sources import SourceFile, expand, read_sources
from subgrid.data.times.calendars import calendar_of, count_years, months_of, season_name, step_days, step_name
from subgrid.data.times.steps import Step
from subgrid.data.variables.wanted import Variable, Variables, wanted_variables

WHOLE_BELOW = 64 * 2**20
"""Variables up to this many bytes are read whole, while all that were read stay below `READ_AT_MOST`; of others a few
times are looked at."""
READ_AT_MOST = 512 * 2**20
N_LOOKS = 9
"""Times looked at in a large archive, evenly spread; fewer where one look is more than a few MB."""
LOOK_BYTES = 32 * 2**20
"""Of all looks at one variable together."""
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
    wanted, budget = wanted_variables(variables), _Budget(values)
    looks = [_look(file, source, wanted, budget) for file, source in _each(sources)]
    reports = [each.report for each in _with_problems(looks, wanted)]
    archives = [(grid, look.fields) for look in looks if (grid := look.report.grid) is not None and look.is_archive]
    return Inspection(tuple(reports), _fit_of(_by_grid(archives), step))


@dataclass
class _Budget:
    """How much is read: everything, or small variables until enough is."""

    everything: bool
    read: int = 0

    def whole(self, n_bytes: int) -> bool:
        """Whether a variable of so many bytes is read whole."""
        if self.everything:
            return True
        if n_bytes > WHOLE_BELOW or self.read + n_bytes > READ_AT_MOST:
            return False
        self.read += n_bytes
        return True


@dataclass(frozen=True)
class _Look:
    """One file: its report so far, its fields, and what is wrong with others of its variables."""

    report: FileReport
    fields: list[ClimateField]
    faults: dict[str, str]

    @property
    def is_archive(self) -> bool:
        return bool(self.fields) and self.report.period is not None

    @property
    def names(self) -> set[str]:
        return {field.name for field in self.fields}


def _each(sources: Sequence[Any]) -> Iterator[tuple[str, Any]]:
    """Every file by itself, so that a fault of one leaves the reports of the others."""
    for i, source in enumerate(sources):
        try:
            for item in expand(source):
                yield f"dataset {i + 1}" if isinstance(item, xr.Dataset) else str(item), item
        except DataError as error:
            yield "" if isinstance(source, xr.Dataset) else str(source), error


def _look(file: str, source: Any, wanted: dict[str, Variable] | None, budget: _Budget) -> _Look:
    if isinstance(source, DataError):
        return _broken(file, source)
    try:
        opened = read_sources(source, name=file)
        require_held(None if wanted is None else {}, opened)
        fields, faults = _fields(opened, wanted, budget)
        if not fields:
            return _Look(FileReport(file, (), None, 1, None, 0, None), [], faults)
        data = pool(fields, name=file)
    except DataError as error:
        return _broken(file, error)
    reports = []
    for field in list(fields):
        try:
            reports.append(_variable(data[field.name], field, file, budget))
        except DataError as error:
            faults[field.name] = str(error)
            fields.remove(field)
    advice = tuple(sentence for report in reports for sentence in _advice(report))
    notes = tuple(dict.fromkeys(note for field in fields for note in field.notes))
    labels = tuple(map(str, data["realization"].values)) if "realization" in data.coords else ()
    return _Look(
        FileReport(
            file,
            tuple(reports),
            _period(data["time"]) if "time" in data.dims else None,
            data.sizes.get("realization", 1),
            summarise_grid(data),
            sum(4 * data[v].size for v in data.data_vars),
            None,
            advice,
            notes,
            labels,
        ),
        fields,
        faults,
    )


def _fields(
    opened: list[SourceFile], wanted: dict[str, Variable] | None, budget: _Budget
) -> tuple[list[ClimateField], dict[str, str]]:
    """The variables that can be used, and what is wrong with the others."""
    fields, faults = [], {}
    parts = [(file, *each) for file in opened for each in wanted_in(file, wanted)]
    monthly = monthly_among(parts)
    for file, new, old, given in parts:
        looked_at = not budget.everything and 4 * file.dataset[old].size > WHOLE_BELOW
        try:
            at_a_time = FEW_BYTES if looked_at else BLOCK_BYTES
            fields.append(field_of(file, old, new, given, block_bytes=at_a_time, monthly=new in monthly))
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


def _variable(field: xr.DataArray, found: ClimateField, file: str, budget: _Budget) -> VariableReport:
    check_sample(field.to_dataset(), name=file)
    looked_at = field
    if "time" in field.dims and not budget.whole(4 * field.size):
        n_times = field.sizes["time"]
        n_looks = int(np.clip(LOOK_BYTES // max(4 * field.size // n_times, 1), 3, N_LOOKS))
        looked_at = field.isel(time=np.unique(np.linspace(0, n_times - 1, n_looks).astype(int)))
        looked_at.encoding = {**field.encoding, STEP_DAYS: step_days(field["time"])}
    census = check_values(looked_at, name=file, gaps="mask")
    partly = (census.missing > 0) & (census.missing < census.total)
    return VariableReport(
        found.name,
        found.units,
        str(field.attrs.get("units", "")),
        census.low,
        census.high,
        float(np.mean(census.missing == census.total)),
        int(partly.sum()),
        looked_at.sizes.get("time", 1),
        found.described,
    )


def _advice(report: VariableReport) -> Iterator[str]:
    if report.gappy:
        yield (
            f"{report.name} has gaps: {report.gappy} cells have values at some times only; fill them, leave these "
            "cells out with gaps = 'mask', or the times that lack them with gaps = 'drop'."
        )
    if report.low == report.high and report.n_looked_at > 1:
        yield f"{report.name} never changes: it is {report.low:.6g} {report.units}; nothing is to be learned."
    elif report.units == "mm day-1" and report.n_looked_at > 100 and report.high < 0.05:
        yield (
            f"{report.name} never exceeds {report.high:.2g} mm day-1, which would be a desert; are the values in "
            f"kg m-2 s-1 and not in {report.units_found!r}?"
        )
    low, high = report.described.bounds
    beyond = [report.low] if low is not None and report.low < low else []
    beyond += [report.high] if high is not None and report.high > high else []
    if beyond:
        yield f"{report.name} reaches {beyond[-1]:.4g} {report.units}, beyond its bound, which is taken instead."


def _period(time: xr.DataArray) -> PeriodReport:
    first, last = (show_time(time.values[i]) for i in (0, -1))
    return PeriodReport(
        calendar_of(time),
        first,
        last,
        step_name(step_days(time)),
        season_name(months_of(time)),
        time.size,
        count_years(time),
    )


def _by_grid(archives: list[tuple[GridSummary, list[ClimateField]]]) -> list[list[ClimateField]]:
    """Fields of files on the same grid together, coarsest first."""
    groups: dict[tuple, tuple[float, list[ClimateField]]] = {}
    for grid, fields in archives:
        edges = tuple(round(edge, 1) for edge in (grid.south, grid.north, grid.west, grid.east))
        groups.setdefault((grid.shape, edges), (grid.spacing_km, []))[1].extend(fields)
    return [fields for _, fields in sorted(groups.values(), key=lambda group: -group[0])]


def _fit_of(archives: list[list[ClimateField]], step: Step | None) -> Fit | None:
    if len(archives) != 2:
        return None
    files = [tuple(dict.fromkeys(field.file for field in fields)) for fields in archives]
    try:
        coarse, fine = (
            pool(fields, name=files_in_words(f), step=step) for fields, f in zip(archives, files, strict=True)
        )
    except DataError as error:
        return Fit(files[0], files[1], float("nan"), float("nan"), (), 0, (str(error),), ())
    return fit_together(coarse, fine, coarse_files=files[0], fine_files=files[1])
