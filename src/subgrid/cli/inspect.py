"""An inspection of climate files on the terminal: one screen."""

import math
import tomllib
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from subgrid.data.fields import DataError
from subgrid.data.inspection.described import in_words
from subgrid.data.inspection.reports import FileReport, Fit, Inspection, VariableReport
from subgrid.data.inspection.together import GridSummary
from subgrid.data.pooling.sentences import without_examples
from subgrid.runs.terminal import terminal

MOST_ROWS = 9
"""Files shown of each grid: two archives still fit a screen."""


def print_inspection(inspection: Inspection, *, console: Console | None = None) -> None:
    """Prints what is in the files, grid by grid, whether they fit together, and what to change.

    print_inspection(inspect("coarse.nc", "fine.nc"))
    """
    console = console or terminal()
    for reports in _by_grid(inspection.files):
        console.print(Text(_title(reports), style="italic"))
        console.print(_table(reports, console.width))
        for line in _what_they_are(reports):
            console.print(Padding(Text(line), (0, 0, 0, 2)))
        console.print()
    if inspection.fit is not None:
        _print_fit(inspection.fit, console)
    _print_advice(inspection, console)


def _by_grid(reports: tuple[FileReport, ...]) -> list[list[FileReport]]:
    groups: dict[GridSummary, list[FileReport]] = {}
    for report in reports:
        if report.grid is not None:
            groups.setdefault(report.grid, []).append(report)
    return list(groups.values())


def _title(reports: list[FileReport]) -> str:
    """The grid, size and calendars of the files on it."""
    grid = reports[0].grid
    calendars = ", ".join(dict.fromkeys(report.period.calendar for report in reports if report.period is not None))
    size = _size(sum(report.n_bytes for report in reports))
    title = (
        "" if grid is None else f"{grid.kind} grid {' x '.join(map(str, grid.shape))}, {grid.resolution}, {grid.extent}"
    )
    return f"{title}; {size}" + (f"; {calendars}" if calendars else "")


def _table(reports: list[FileReport], width: int) -> Table:
    """The files on one grid, a row a variable; on a narrow terminal cells are broken between phrases, not in names."""
    rows = [row for report in reports[:MOST_ROWS] for row in _rows(report)]
    if sum(max(map(len, column)) + 2 for column in zip(*rows, strict=True)) > width:
        rows = [
            (file, units.replace(" -> ", "\n-> "), time.replace(", ", ",\n", 1), values.replace(", ", ",\n"))
            for file, units, time, values in rows
        ]
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False, pad_edge=False)
    whole = max(len(row[0]) for row in rows) <= width // 2
    table.add_column("file", overflow="fold", no_wrap=whole)
    table.add_column("variable", overflow="fold")
    table.add_column("time", overflow="fold", no_wrap=True)
    table.add_column("values", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    if len(reports) > MOST_ROWS:
        table.add_row(f"and {len(reports) - MOST_ROWS} more", "", "", "")
    return table


def _rows(report: FileReport) -> list[tuple[str, str, str, str]]:
    """A row a variable; one for a file whose variables cannot be used, of which the problems speak."""
    file, time = Path(report.file).name, _time(report)
    if not report.variables:
        return [(file, "none that can be used", time, "")]
    return [
        (file if i == 0 else "", _units(variable), time if i == 0 else "", _values(variable))
        for i, variable in enumerate(report.variables)
    ]


def _what_they_are(reports: list[FileReport]) -> list[str]:
    """A line for each variable: what it is taken to be, why, its bounds and the scale that it is modelled on."""
    found = {(variable.name, variable.described): variable for report in reports for variable in report.variables}
    return [
        f"{name} is {variable.role or in_words(described, variable.units)}"
        for (name, described), variable in found.items()
    ]


def _time(report: FileReport) -> str:
    period = report.period
    if period is None:
        return "no time"
    members = f", {report.n_members} members{_labels(report.members)}" if report.n_members > 1 else ""
    span = f"{period.first[:10]}..{period.last[:10]}"
    return f"{span}, {period.n_times} {period.step}, {period.season}{members}"


def _labels(members: tuple[str, ...]) -> str:
    """ " (r1, r2, r10)", the first and the last of many."""
    if not members or members == tuple(map(str, range(len(members)))):
        return ""
    return f" ({', '.join(members if len(members) < 5 else (members[0], '…', members[-1]))})"


def _units(variable: VariableReport) -> str:
    found, units = variable.units_found or "(no units)", variable.units
    return f"{variable.name}: {found}" + (f" -> {units}" if units and units != variable.units_found else "")


def _values(variable: VariableReport) -> str:
    if variable.low > variable.high:
        return "no value"
    masked = f", {100 * variable.masked:.0f} % masked" if variable.masked else ""
    gaps = f", {variable.gappy} cells with gaps" if variable.gappy else ""
    low, high = (f"{x:.4g}" if abs(x) < 1e4 else f"{x:.0f}" for x in (variable.low, variable.high))
    return f"{low}..{high} {variable.units}{masked}{gaps}"


def _print_fit(fit: Fit, console: Console) -> None:
    console.print(
        f"coarse: {_names(fit.coarse)}\nfine:   {_names(fit.fine)}\n"
        f"common variables: {', '.join(fit.variables) or 'none'}{_geometry(fit)}.",
        highlight=False,
        markup=False,
    )
    for remark in fit.remarks:
        console.print(f"note: {remark}", highlight=False, markup=False)


def _geometry(fit: Fit) -> str:
    """Nothing where an archive cannot be put together, so that neither is known."""
    if math.isnan(fit.ratio):
        return ""
    return f"; cells {fit.ratio:.2f} times as wide; {100 * fit.overlap:.0f} % of the fine region covered"


def _print_advice(inspection: Inspection, console: Console) -> None:
    for sentence, files in _noted(inspection.files).items():
        console.print(f"note: {_names(files)}: {sentence}", highlight=False, markup=False)
    for problem in inspection.problems:
        console.print(f"change: {problem}", highlight=False, markup=False, style="bold red")
    if inspection.fit is not None and not inspection.problems:
        console.print(_together(inspection.fit.gaps), style="bold green", highlight=False, markup=False)


def _together(gaps: tuple[str, ...]) -> str:
    """That two archives fit, and the setting without which a fit refuses their gaps."""
    if not gaps:
        return "They fit together."
    said, given = (" or ".join(form.format(each) for each in gaps) for form in ("gaps = '{}'", "--set gaps={}"))
    return f"They fit together with {said} (of `subgrid fit` {given}); without one their gaps are refused."


def _noted(reports: tuple[FileReport, ...]) -> dict[str, tuple[str, ...]]:
    """Every sentence once, with the files that it is about."""
    first: dict[str, str] = {}
    found: dict[str, list[str]] = {}
    for report in reports:
        for sentence in (*report.notes, *report.advice):
            said = first.setdefault(without_examples(sentence), sentence)
            found.setdefault(said, []).append(report.file)
    return {sentence: tuple(files) for sentence, files in found.items()}


def _names(files: tuple[str, ...]) -> str:
    shown = ", ".join(Path(file).name for file in files[:3])
    return shown + (f" and {len(files) - 3} more" if len(files) > 3 else "")


def _size(n_bytes: int) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if n_bytes >= size:
            return f"{n_bytes / size:.1f} {unit} in memory"
    return f"{n_bytes} bytes in memory"


def wanted_of(texts: list[str] | None) -> dict[str, Any] | None:
    """What the options --variable ask for.

    Args:
        texts: a name; NAME=NAME_IN_FILE; or NAME={…}, an inline table of TOML as in a configuration.

    Returns:
        As `inspect` takes it; None without options.

    Raises:
        DataError: for a table that cannot be read.

    Examples:
        >>> wanted_of(["tas=tg", 'hum={quantity="fraction"}'])
        {'tas': 'tg', 'hum': {'quantity': 'fraction'}}
    """
    if not texts:
        return None
    found: dict[str, Any] = {}
    for text in texts:
        name, _, given = (part.strip() for part in text.partition("="))
        found[name] = _table_of(text, given) if given.startswith("{") else given or {}
    return found


def _table_of(text: str, given: str) -> dict[str, Any]:
    try:
        return tomllib.loads(f"given = {given}")["given"]
    except tomllib.TOMLDecodeError as error:
        raise DataError(
            f"--variable {text}: cannot be read as a table ({error}); write it as in TOML, for instance "
            "--variable 'hum={quantity = \"fraction\"}'."
        ) from error
