"""Two folds of a climate run: learned on odd and scored on even season years, then the other way round.

    OUTPUT/odd/, OUTPUT/even/   whole runs, each named by the years that it learns on
    OUTPUT/folds.json, folds.md   their scores side by side

One fold says how well a run does; two say how much of that is an accident of the years.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from subgrid.cli import climate_stages
from subgrid.cli.climate_metrics import INDEPENDENT
from subgrid.cli.config import ConfigError, read_tables
from subgrid.cli.progress import console
from subgrid.data.store import write_json, write_text

FOLDS = {"odd": "odd-winters", "even": "even-winters"}
BASELINES = ("quantile mapping", "analogues")


def run_folds(path: Path, overrides: Sequence[str], folder: Path) -> Path:
    """Both runs, each resumed where it stands, and their table.

    Returns:
        The path of the table.

    Raises:
        ConfigError: if the configuration names training years, or a run leaves nothing to score.
    """
    in_file = "training" in read_tables(path).get("climate", {})
    if in_file or any(override.replace(" ", "").startswith("climate.training=") for override in overrides):
        raise ConfigError("climate.training is what the folds differ in: leave it out.")
    metrics: dict[str, Any] = {}
    unfinished: list[str] = []
    for name, training in FOLDS.items():
        console.print(f"[bold]learned on {training.replace('-', ' ')}[/bold]")
        run = climate_stages.open_run(path, [*overrides, f"climate.training={training}"], folder / name)
        done = climate_stages.run_all(run)
        if isinstance(done, str):
            unfinished.append(f"{name}: {done}")
        else:
            metrics[name] = json.loads(run.path("metrics.json").read_text(encoding="utf-8"))
    if unfinished:
        raise ConfigError(f"there is no table yet; {'; '.join(unfinished)}")
    rows = _rows(metrics)
    content = {"folds": {name: each["choices"] for name, each in metrics.items()}, "table": rows}
    write_json(folder / "folds.json", content)
    table = folder / "folds.md"
    write_text(table, _markdown(rows))
    return table


def _rows(metrics: dict[str, Any]) -> list[dict[str, Any]]:
    """One row a metric that both folds have: what was generated, its baselines and its floor, of each fold."""
    first, second = ({(row["group"], row["metric"]): row for row in metrics[name]["table"]} for name in FOLDS)
    rows = []
    for key in first:
        if key not in second:
            continue
        row: dict[str, Any] = {"group": key[0], "metric": key[1], "target": first[key]["target"]}
        for name, each in zip(FOLDS, (first[key], second[key]), strict=True):
            for column in ("generated", *BASELINES, "floor", INDEPENDENT):
                row[f"{name}: {column}"] = each.get(column)
        rows.append(row)
    return rows


def _columns(rows: list[dict[str, Any]]) -> list[str]:
    names = [f"{name}: {column}" for column in ("generated", *BASELINES, "floor", INDEPENDENT) for name in FOLDS]
    return [name for name in names if any(row[name] is not None for row in rows)]


def _markdown(rows: list[dict[str, Any]]) -> str:
    used = _columns(rows)
    lines = [["", "metric", *used], ["---"] * (2 + len(used))]
    lines += [[row["group"], row["metric"], *(_number(row[name]) for name in used)] for row in rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def show_folds(table: Path) -> None:
    """Prints the table."""
    rows = json.loads((table.parent / "folds.json").read_text(encoding="utf-8"))["table"]
    used = _columns(rows)
    shown = Table(title="Two folds, named by the years that they learned on")
    for name in ("", "metric"):
        shown.add_column(name)
    for name in used:
        shown.add_column(name, justify="right")
    previous = None
    for row in rows:
        label = row["group"] if row["group"] != previous else ""
        shown.add_row(label, row["metric"], *(_number(row[name]) for name in used))
        previous = row["group"]
    Console(width=150).print(shown)


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.1e}" if 0 < abs(value) < 1e-3 else f"{value:.3g}"
