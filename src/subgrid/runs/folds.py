"""Folds: the same configuration learned on different parts of the data, its scores side by side.

    OUTPUT/NAME/                  a whole run for each fold
    OUTPUT/folds.json, folds.md   their scores

One run says how well a method does; two folds say how much of that is an accident of what it was trained on.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from subgrid.data.store import write_json, write_text
from subgrid.runs.config import ConfigError, read_tables
from subgrid.runs.experiment import Experiment, Folds
from subgrid.runs.launch import launch
from subgrid.runs.page import read_metrics
from subgrid.runs.score_table import DESCRIPTION, ScoreTable
from subgrid.training.progress import say

INDEPENDENT = "independent fields"


def run_folds(
    experiment: Experiment, path: Path, folder: Path, overrides: Sequence[str] = (), *, progress: bool = True
) -> ScoreTable:
    """All folds, each resumed where it stands, and their table.

    Args:
        experiment: of a kind that has folds.
        path: of the configuration.
        folder: that holds a run folder for each.
        overrides: "table.key=value".
        progress: whether progress, and sentences about what was made, are shown.

    Returns:
        The scores of all folds, in folds.md too.

    Raises:
        ConfigError: if the configuration names what the folds differ in, or a fold leaves nothing to score.
    """
    folds = experiment.recipe().folds
    if folds is None:
        raise ConfigError(f"{path}: experiments of the table [{experiment.table}] have no folds.")
    table, _, key = folds.key.partition(".")
    if key in read_tables(path, overrides).get(table, {}):
        raise ConfigError(f"{path}: {folds.key} is what the folds differ in: leave it out.")
    metrics: dict[str, dict[str, Any]] = {}
    unfinished: list[str] = []
    for name, value in folds.values.items():
        say(f"  {name}: {folds.key} = {value}", enabled=progress)
        settings = [*overrides, f'{folds.key}="{value}"']
        run, left = launch(experiment, path, folder / name, settings, progress=progress)
        if left is not None:
            unfinished.append(f"{name}: {left}")
        else:
            metrics[name] = read_metrics(run)
    if unfinished:
        raise ConfigError(f"there is no table yet; {' '.join(unfinished)}")
    found = fold_table(folds, metrics)
    commits = {name: each["commits"] for name, each in metrics.items()}
    write_json(folder / "folds.json", {"folds": list(metrics), "commits": commits, **found.as_dict()})
    write_text(folder / "folds.md", found.as_markdown())
    return found


def fold_table(folds: Folds, metrics: Mapping[str, Mapping[str, Any]]) -> ScoreTable:
    """One row a metric that all folds have."""
    names = list(metrics)
    tables = {name: {(row["group"], row["metric"]): row for row in metrics[name]["table"]} for name in names}
    shared = [key for key in tables[names[0]] if all(key in tables[name] for name in names)]
    shown = (*folds.columns, INDEPENDENT)
    rows = []
    for key in shared:
        row = {part: value for part, value in tables[names[0]][key].items() if part in DESCRIPTION[:5]}
        rows.append(row | {f"{n}: {column}": tables[n][key].get(column) for column in shown for n in names})
    columns = tuple(f"{n}: {column}" for column in shown for n in names)
    return ScoreTable(rows, columns, title="Folds, named by what they were learned on")
