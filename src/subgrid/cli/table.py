"""The metric table on the terminal."""

import json
from collections.abc import Iterable
from pathlib import Path

from rich.console import Console
from rich.table import Table

COLUMNS = ("raw", "debiased", "cubic", "generated", "floor")


def show_file(path: Path) -> None:
    """Prints the table of a `metrics.json`."""
    show_rows(json.loads(path.read_text())["table"])


def show(rows: Iterable) -> None:
    """Prints `evaluation.Row`s."""
    show_rows([row.as_dict() for row in rows])


def show_rows(rows: list[dict], columns: tuple[str, ...] = COLUMNS) -> None:
    """One section a group; a dash where a column makes no sense. Best is the target of each metric."""
    used = [column for column in columns if any(row[column] is not None for row in rows)]
    table = Table(title="Scores (noise floor: the metric between two independent sets of the reference)")
    table.add_column("")
    table.add_column("metric")
    for column in used:
        table.add_column("noise floor" if column == "floor" else column, justify="right")
    told = [_from_floor(row) for row in rows]
    if any(told):
        table.add_column("from floor", justify="right")
    table.add_column("best", justify="right")
    previous = None
    for row, distance in zip(rows, told, strict=True):
        if previous not in (None, row["group"]):
            table.add_section()
        label = row["group"] if row["group"] != previous else ""
        numbers = [*(_shown(row, column) for column in used), *([distance] if any(told) else [])]
        table.add_row(label, row["metric"], *numbers, row["target"])
        previous = row["group"]
    Console(width=116).print(table)


def _shown(row: dict, column: str) -> str:
    """A cell; beside a floor, where it is told, the number of independent fields that it rests on."""
    n = row.get("independent fields") if column == "floor" and row[column] is not None else None
    return _number(row[column]) + ("" if n is None else f" ({n:.0f})")


def _from_floor(row: dict) -> str:
    """How far the result, generated fields or else debiased ones, is from the noise floor; signed."""
    value, floor = row.get("generated") if row.get("generated") is not None else row.get("debiased"), row.get("floor")
    return "" if value is None or floor is None else f"{value - floor:+.2g}"


def show_climate_file(path: Path) -> None:
    """Prints the table of a climate run's `metrics.json`, whose columns are its baselines."""
    from subgrid.cli.climate_metrics import COLUMNS as columns

    rows = json.loads(path.read_text(encoding="utf-8"))["table"]
    show_rows([dict.fromkeys(columns) | row for row in rows], columns)


def show_turbulence_file(path: Path) -> None:
    """Prints the table of a moist-turbulence run's `metrics.json`, whose columns are the methods that were run."""
    rows = json.loads(path.read_text(encoding="utf-8"))["table"]
    columns = tuple(
        dict.fromkeys(key for row in rows for key in row if key not in ("group", "metric", "target", "about"))
    )
    show_rows([dict.fromkeys(columns) | row for row in rows], columns)


def as_markdown(rows: list[dict], columns: tuple[str, ...] = COLUMNS) -> str:
    """The same table in Markdown, one line a row, an en dash where a column makes no sense."""
    used = [column for column in columns if any(row.get(column) is not None for row in rows)]
    names = ["noise floor" if column == "floor" else column for column in used]
    lines = [["grid", "metric", *names], ["---"] * (2 + len(used))]
    lines += [[row["group"], row["metric"], *(_short(row.get(column)) for column in used)] for row in rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def transposed_markdown(rows: list[dict]) -> str:
    """A table in Markdown with one line a candidate and one column a metric: where candidates are many."""
    names = [key for key in rows[0] if key not in ("group", "metric", "target", "about")]
    lines = [["", *(row["metric"] for row in rows)], ["---"] * (1 + len(rows))]
    lines += [["noise floor" if name == "floor" else name, *(_short(row[name]) for row in rows)] for name in names]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _short(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.1e}" if 0 < abs(value) < 1e-3 else f"{value:.3g}"


def _number(value: float | None) -> str:
    return "—" if value is None else f"{value:.3g}"
