"""One score table for every experiment: in metrics.json, as Markdown, on the terminal and on the page.

A row is one metric: {"group", "metric", "target", "about"} and a number a column. Columns are candidates: baselines,
methods, and "floor", the noise floor. A row may say more of its numbers:

    "units"               of the numbers, "1" without any
    "deviations"          {column: standard deviation over repetitions, or standard error of one}
    "independent fields"  how many the floor rests on
    "noise"               what a difference of two columns must exceed to mean something; without it the floor tells

JSON has no infinity and no NaN: in metrics.json their names stand for them.
"""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from subgrid.report.verdicts import FAILS, fails
from subgrid.runs.terminal import Numbers, print_numbers

DESCRIPTION = ("group", "metric", "target", "about", "units", "deviations", "independent fields", "noise")
"""What a row holds beside its numbers."""
NOT_FINITE = ("Infinity", "-Infinity", "NaN")
"""Numbers by the names that Python gives them, in files and back."""
TITLE = "Scores (noise floor: the metric between two independent sets of the reference)"


@dataclass(frozen=True)
class ScoreTable:
    """Rows and the order of their columns.

    Args:
        rows: as the module says.
        columns: keys of the rows, in order; those without any number are not shown.
        by_candidate: whether Markdown has a line a candidate and a column a metric: where candidates are many.
        title: on the terminal.
        on_terminal: the groups that are shown there, where there are many; none means all.
    """

    rows: list[dict[str, Any]]
    columns: tuple[str, ...]
    by_candidate: bool = False
    title: str = TITLE
    on_terminal: tuple[str, ...] = ()

    @property
    def used(self) -> list[str]:
        """Columns with a number in any row."""
        return [column for column in self.columns if any(row.get(column) is not None for row in self.rows)]

    def by_metric(self) -> "ScoreTable":
        """The table with a row a candidate and a column a metric, for a page; itself if it has a row a metric."""
        if not self.by_candidate:
            return self
        rows: list[dict[str, Any]] = []
        for group in dict.fromkeys(row["group"] for row in self.rows):
            own = [row for row in self.rows if row["group"] == group]
            for column in self.used:
                found = {named(row): row[column] for row in own if row.get(column) is not None}
                spread = {named(row): row["deviations"][column] for row in own if column in row.get("deviations", {})}
                if found:
                    about = own[0].get("about", "")
                    head = {"group": f"{group}: {about}" if about else group, "metric": label(column), "target": "–"}
                    rows.append({**head, "about": "", "deviations": spread, **found})
        return ScoreTable(rows, tuple(dict.fromkeys(named(row) for row in self.rows)))

    def as_dict(self) -> dict[str, Any]:
        """What `metrics.json` holds of it, as any reader of JSON takes it."""
        shown = {"by_candidate": self.by_candidate, "title": self.title, "on_terminal": list(self.on_terminal)}
        return {"table": as_json(self.rows), "columns": list(self.columns), **shown}

    def as_markdown(self) -> str:
        """The table in Markdown, an en dash where a column makes no sense."""
        if self.by_candidate:
            return "\n".join(self._of_candidates(group) for group in dict.fromkeys(row["group"] for row in self.rows))
        names = [label(column) for column in self.used]
        lines = [["", "metric", *names], ["---"] * (2 + len(names))]
        lines += [[row["group"], named(row), *(cell(row, c) for c in self.used)] for row in self.rows]
        return _joined(lines)

    def _of_candidates(self, group: str) -> str:
        lines = self.lines_of(group)
        return _joined([lines[0], ["---"] * len(lines[0]), *lines[1:]])

    def lines_of(self, group: str) -> list[list[str]]:
        """A group with a line a candidate: the header, and the candidates that have a number."""
        rows = [row for row in self.rows if row["group"] == group]
        found = [[label(c), *(cell(row, c) for row in rows)] for c in self.used]
        return [[group, *map(named, rows)], *(line for line in found if set(line[1:]) != {"–"})]

    def show(self) -> None:
        """Prints the table, as wide as the terminal: a section a group; where candidates are many, a table a group."""
        if not self.by_candidate:
            groups, names = [row["group"] for row in self.rows], list(map(named, self.rows))
            print_numbers(names, groups, self._columns(), title=self.title)
            return
        for i, group in enumerate(self.on_terminal or dict.fromkeys(row["group"] for row in self.rows)):
            (_, *headings), *lines = self.lines_of(group)
            columns = [Numbers(name, [line[k] for line in lines]) for k, name in enumerate(headings, start=1)]
            title = self.title if i == 0 else ""
            print_numbers([line[0] for line in lines], [group] * len(lines), columns, title=title)

    def _columns(self) -> list[Numbers]:
        """Of a line a metric: candidates, the distance of the result from the floor, and what is best."""
        found = [Numbers(label(c), [cell(row, c, fields=True) for row in self.rows], c == "floor") for c in self.used]
        distances = Numbers("from floor", list(map(from_floor, self.rows)))
        best = Numbers("best", [row.get("target", "0") for row in self.rows], repeated=True)
        return [*found, *([distances] if any(distances.cells) else []), best]


def read_table(path: Path) -> ScoreTable:
    """The table of a `metrics.json`; an empty one where there is no such file.

    Args:
        path: of the file.

    Returns:
        The table.
    """
    if not path.exists():
        return ScoreTable([], ())
    content = read_content(path)
    shown = content["by_candidate"], content["title"], tuple(content["on_terminal"])
    return ScoreTable(content["table"], tuple(content["columns"]), *shown)


def as_json(content: Any) -> Any:
    """Numbers that JSON does not have by their names, as any reader of JSON takes them.

    Args:
        content: of dictionaries, lists and what they hold.

    Returns:
        The same with "Infinity", "-Infinity" and "NaN" for such numbers.

    Examples:
        >>> as_json({"flux": [1.0, math.inf]})
        {'flux': [1.0, 'Infinity']}
    """
    return _mapped(content, lambda one: json.dumps(one) if isinstance(one, float) and not math.isfinite(one) else one)


def read_content(path: Path) -> dict[str, Any]:
    """All of a `metrics.json`, with numbers where `as_json` put their names.

    Args:
        path: of the file.

    Returns:
        What was written; the configuration and the name of the run as they are.
    """
    content = json.loads(path.read_text(encoding="utf-8"))
    number = lambda one: float(one) if one in NOT_FINITE else one  # noqa: E731
    return {key: each if key in ("config", "name") else _mapped(each, number) for key, each in content.items()}


def _mapped(content: Any, change: Callable[[Any], Any]) -> Any:
    if isinstance(content, dict):
        return {key: _mapped(each, change) for key, each in content.items()}
    return [_mapped(each, change) for each in content] if isinstance(content, list | tuple) else change(content)


def columns_of(rows: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    """All candidates of the rows, in the order of their first number.

    Args:
        rows: of a score table.

    Returns:
        Keys of the rows that are no description.

    Examples:
        >>> table = ScoreTable(rows, columns_of(rows))
    """
    return tuple(dict.fromkeys(key for row in rows for key in row if key not in DESCRIPTION))


def label(column: str) -> str:
    """What a reader calls a column."""
    return "noise floor" if column == "floor" else column


def named(row: dict[str, Any]) -> str:
    """The metric with its units, where they are known: W1 [K]."""
    return f"{row['metric']} [{row['units']}]" if row.get("units") else row["metric"]


def cell(row: dict[str, Any], column: str, *, fields: bool = False) -> str:
    """A number as text, with its deviation, and a word where it fails its test; beside a floor, if asked for, how many
    fields it rests on."""
    value = row.get(column)
    if value is None:
        return "–"
    deviation = row.get("deviations", {}).get(column)
    text = number(value) if deviation is None else f"{number(value)} ± {deviation:.2g}"
    if column != "floor" and fails(value, row.get("target", "0")):
        return f"{text} ({FAILS})"
    n = row.get("independent fields") if fields and column == "floor" else None
    return text if n is None else f"{text} ({n:.0f})"


def number(value: float | int) -> str:
    """Three significant digits; a power of ten where zeros would fill the cell."""
    return f"{value:.1e}" if 0 < abs(value) < 1e-3 else f"{value:.3g}"


def from_floor(row: dict[str, Any]) -> str:
    """How far the result, generated fields or else debiased ones, is from the noise floor; signed."""
    value = row.get("generated") if row.get("generated") is not None else row.get("debiased")
    floor = row.get("floor")
    return "" if value is None or floor is None else f"{value - floor:+.2g}"


def _joined(lines: list[list[str]]) -> str:
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
