"""What an inspection finds: of a variable, of its times, of a file, of two archives."""

from dataclasses import dataclass

from subgrid.data.inspection.together import GridSummary
from subgrid.data.variables.quantities import Described


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
        gappy: number of cells that have values at some times only, where others have some.
        n_looked_at: number of times that range and mask are taken from.
        described: what it is taken to be, and why.
        bridges: which settings of `gaps` leave values where there are gaps: "mask" some cells, "drop" some times.
        role: of a static field that is no variable to downscale, what it is for; else empty.
        empty: that it has no value anywhere at some times, and what to do; empty where it always has some.
    """

    name: str
    units_found: str
    units: str
    low: float
    high: float
    masked: float
    gappy: int
    n_looked_at: int
    described: Described
    bridges: tuple[str, ...] = ()
    role: str = ""
    empty: str = ""


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
        members: their labels, in order; empty where there are none.
        grid: at a glance.
        n_bytes: of all values in float32.
        problem: the first fault, None if there is none.
        advice: sentences on what may be wrong and stops nothing.
        notes: what was merged, converted or dropped when it was opened.
    """

    file: str
    variables: tuple[VariableReport, ...]
    period: PeriodReport | None
    n_members: int
    grid: GridSummary | None
    n_bytes: int
    problem: str | None
    advice: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    members: tuple[str, ...] = ()


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
        gaps: settings of `gaps` of which a fit needs one; empty where it needs none.
    """

    coarse: tuple[str, ...]
    fine: tuple[str, ...]
    ratio: float
    overlap: float
    variables: tuple[str, ...]
    shared_dates: int
    problems: tuple[str, ...]
    remarks: tuple[str, ...]
    gaps: tuple[str, ...] = ()


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
