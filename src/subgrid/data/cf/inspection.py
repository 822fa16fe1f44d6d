"""What Subgrid sees in climate files, whether they fit together, and what to change if not."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from subgrid.data.cf.calendars import calendar_of, months_of, season_name, season_years, step_days, step_name
from subgrid.data.cf.checks import check_sample, check_values, show_time
from subgrid.data.cf.open import read_fields
from subgrid.data.cf.sources import expand
from subgrid.data.cf.together import GridSummary, common_variables, misfits, overlap, summarise_grid
from subgrid.data.cf.wanted import Variables
from subgrid.data.fields import DataError
from subgrid.data.grids.pooling import ClimateField, pool

WHOLE_BELOW = 64 * 2**20
"""Variables up to this many bytes are read whole; of larger ones, a few times are looked at."""
N_LOOKS = 9
"""Times looked at in a large archive, evenly spread."""
FEW_YEARS = 10
"""Below this many season years a climate is poorly known: the mean of n has a standard error of 1/√n of the spread."""


@dataclass(frozen=True)
class VariableReport:
    """A variable of a file: its units, range, and cells without value.

    Args:
        name: of the variable.
        units_found: units in the file.
        units: canonical units.
        low: smallest value, in canonical units.
        high: largest value, in canonical units.
        masked: part of the cells that have no value at any time, from 0 to 1.
        gappy: number of cells that have values at some times only.
        n_looked_at: number of times that range and mask are taken from.
    """

    name: str
    units_found: str
    units: str
    low: float
    high: float
    masked: float
    gappy: int
    n_looked_at: int


@dataclass(frozen=True)
class PeriodReport:
    """The times of a file.

    Args:
        calendar: its CF name.
        first: the first time.
        last: the last time.
        step: the time step in words, such as "daily".
        season: the months that occur, such as "DJF".
        n_times: number of times.
        n_years: number of season years.
    """

    calendar: str
    first: str
    last: str
    step: str
    season: str
    n_times: int
    n_years: int


@dataclass(frozen=True)
class FileReport:
    """One file or store; what could not be read is None, and `problem` says why.

    Args:
        file: its path.
        variables: those that could be read.
        period: None where there is no time.
        n_members: number of ensemble members, 1 where there is no such dimension.
        grid: at a glance.
        n_bytes: of all values in float32.
        problem: the first fault, None if there is none.
        advice: sentences on what may be wrong and stops nothing.
    """

    file: str
    variables: tuple[VariableReport, ...]
    period: PeriodReport | None
    n_members: int
    grid: GridSummary | None
    n_bytes: int
    problem: str | None
    advice: tuple[str, ...] = ()


@dataclass(frozen=True)
class Fit:
    """How a coarse and a fine archive go together; `problems` stop, `remarks` only inform.

    Args:
        coarse: files of the coarse archive.
        fine: files of the fine archive.
        ratio: of the spacings, coarse over fine; NaN if an archive cannot be put together.
        overlap: part of the fine grid's box inside the coarse grid's box, from 0 to 1; NaN likewise.
        variables: names that both have.
        shared_dates: number of dates that both have.
        problems: what has to be changed.
        remarks: what is good to know.
    """

    coarse: tuple[str, ...]
    fine: tuple[str, ...]
    ratio: float
    overlap: float
    variables: tuple[str, ...]
    shared_dates: int
    problems: tuple[str, ...]
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class Inspection:
    """Reports of all files, and the fit of two archives where two were found.

    Args:
        files: one report for each file.
        fit: None unless the files make two archives with times.
    """

    files: tuple[FileReport, ...]
    fit: Fit | None

    @property
    def problems(self) -> tuple[str, ...]:
        """Everything that has to be changed before these files can be used."""
        broken = tuple(report.problem for report in self.files if report.problem)
        return broken + (self.fit.problems if self.fit else ())


def inspect(*sources: str | Path | xr.Dataset | Sequence[Any], variables: Variables | None = None) -> Inspection:
    """What is in climate files: variables, units, calendar, period, grid, mask and range; and how they fit.

    Files on one grid make one archive. Where there are two archives with time, the one with larger cells is taken as
    coarse and the report says how they fit. Files without time (orography) are reported only.

    Args:
        sources: files, folders, globs or Datasets.
        variables: those to look at, by default all; a mapping {new name: name in file} renames.

    Returns:
        The inspection; faults of files are in it, not raised.

    Examples:
        >>> inspect("CMIP5_tas.nc", "EOBS_tas.nc").problems
    """
    reports, archives = [], []
    for file, source in _each(sources):
        report, fields = _look(file, source, variables)
        reports.append(report)
        if fields and report.period is not None:
            archives.append((summarise_grid(fields[0].data), fields))
    return Inspection(tuple(reports), _fit_of(_by_grid(archives)))


def fit_together(
    coarse: xr.Dataset, fine: xr.Dataset, *, coarse_files: Sequence[str], fine_files: Sequence[str]
) -> Fit:
    """Overlap, resolution ratio, common variables and dates of two canonical archives, and what to change."""
    wide, narrow = summarise_grid(coarse), summarise_grid(fine)
    names = [_label(files) for files in (coarse_files, fine_files)]
    problems = misfits(coarse, fine, coarse_name=names[0], fine_name=names[1])
    shared = _shared_dates(coarse["time"], fine["time"])
    inside = overlap(wide, narrow)
    ratio = wide.spacing_km / narrow.spacing_km if narrow.spacing_km else 1.0
    return Fit(
        tuple(coarse_files),
        tuple(fine_files),
        ratio,
        inside,
        common_variables(coarse, fine),
        shared,
        tuple(problems),
        tuple(_remarks(coarse, fine, ratio, inside, shared, names)),
    )


def _each(sources: Sequence[Any]) -> Iterator[tuple[str, Any]]:
    """Every file by itself, so that a fault of one leaves the reports of the others."""
    for i, source in enumerate(sources):
        try:
            for item in expand(source):
                yield f"dataset {i + 1}" if isinstance(item, xr.Dataset) else str(item), item
        except DataError as error:
            yield "" if isinstance(source, xr.Dataset) else str(source), error


def _look(file: str, source: Any, variables: Variables | None) -> tuple[FileReport, list[ClimateField]]:
    if isinstance(source, DataError):
        return _broken(file, source), []
    try:
        fields = read_fields(source, variables, name=file)
        data = pool(fields, name=file)
    except DataError as error:
        return _broken(file, error), []
    n_bytes = sum(4 * data[v].size for v in data.data_vars)
    period = _period(data["time"]) if "time" in data.dims else None
    reports, problem, advice = [], None, []
    for field in fields:
        try:
            report = _variable(data[field.name], field, file)
            reports.append(report)
            advice += _advice(report)
        except DataError as error:
            problem = problem or str(error)
    members = data.sizes.get("realization", 1)
    report = FileReport(file, tuple(reports), period, members, summarise_grid(data), n_bytes, problem, tuple(advice))
    return report, fields


def _broken(file: str, error: DataError) -> FileReport:
    return FileReport(file, (), None, 1, None, 0, str(error))


def _variable(field: xr.DataArray, found: ClimateField, file: str) -> VariableReport:
    check_sample(field.to_dataset(), name=file)
    looked_at = field
    n_times = field.sizes.get("time", 1)
    if "time" in field.dims and 4 * field.size > WHOLE_BELOW:
        looked_at = field.isel(time=np.unique(np.linspace(0, n_times - 1, N_LOOKS).astype(int)))
        looked_at.encoding = dict(field.encoding)
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
    )


def _advice(report: VariableReport) -> list[str]:
    found = []
    if report.gappy:
        found.append(
            f"{report.name} has gaps: {report.gappy} cells have values at some times only; fill them, or leave them "
            "out with gaps = 'mask'."
        )
    if report.units == "mm day-1" and report.n_looked_at > 100 and report.high < 0.05:
        found.append(
            f"{report.name} never exceeds {report.high:.2g} mm day-1, which would be a desert; are the values in "
            f"kg m-2 s-1 and not in {report.units_found!r}?"
        )
    return found


def _period(time: xr.DataArray) -> PeriodReport:
    first, last = (show_time(time.values[i]) for i in (0, -1))
    return PeriodReport(
        calendar_of(time),
        first,
        last,
        step_name(step_days(time)),
        season_name(months_of(time)),
        time.size,
        len(np.unique(season_years(time))),
    )


def _by_grid(archives: list[tuple[GridSummary, list[ClimateField]]]) -> list[list[ClimateField]]:
    """Fields of files on the same grid together, coarsest first."""
    groups: dict[tuple, tuple[float, list[ClimateField]]] = {}
    for grid, fields in archives:
        edges = tuple(round(edge, 1) for edge in (grid.south, grid.north, grid.west, grid.east))
        groups.setdefault((grid.shape, edges), (grid.spacing_km, []))[1].extend(fields)
    return [fields for _, fields in sorted(groups.values(), key=lambda group: -group[0])]


def _fit_of(archives: list[list[ClimateField]]) -> Fit | None:
    if len(archives) != 2:
        return None
    files = [tuple(dict.fromkeys(field.file for field in fields)) for fields in archives]
    try:
        coarse, fine = (pool(fields, name=_label(f)) for fields, f in zip(archives, files, strict=True))
    except DataError as error:
        return Fit(files[0], files[1], float("nan"), float("nan"), (), 0, (str(error),), ())
    return fit_together(coarse, fine, coarse_files=files[0], fine_files=files[1])


def _shared_dates(one: xr.DataArray, other: xr.DataArray) -> int:
    days = [set(zip(t.dt.year.values, t.dt.month.values, t.dt.day.values, strict=True)) for t in (one, other)]
    return len(days[0] & days[1])


def _remarks(coarse, fine, ratio: float, inside: float, shared: int, names: list[str]) -> Iterator[str]:
    if 1.0 <= ratio < 1.5:
        yield f"the cells differ by a factor of {ratio:.2f} only: there is little to downscale."
    if 0.0 < inside < 0.999:
        yield f"{100 * (1 - inside):.0f} % of {names[1]} lies outside {names[0]}; that part has no coarse field."
    if shared:
        yield f"both hold {shared} common dates; Subgrid pairs no dates, so they need not be the same weather."
    calendars = [calendar_of(dataset["time"]) for dataset in (coarse, fine)]
    if calendars[0] != calendars[1]:
        yield f"the calendars differ ({calendars[0]}, {calendars[1]}); each is kept, days are compared by season."
    for dataset, name in ((coarse, names[0]), (fine, names[1])):
        n = len(np.unique(season_years(dataset["time"])))
        if n < FEW_YEARS:
            yield f"{name} holds {n} year{'s' if n > 1 else ''} only; a climate takes {FEW_YEARS} or more to know."


def _label(files: Sequence[str]) -> str:
    first = Path(files[0]).name
    return first if len(files) == 1 else f"{first} and {len(files) - 1} more"
