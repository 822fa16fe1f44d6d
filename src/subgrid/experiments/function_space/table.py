"""The table of functions: every metric on every grid, a line a candidate, beside cubic interpolation and the floor."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from subgrid.experiments.function_space.metrics import COST, TARGETS, Score
from subgrid.runs.score_table import ScoreTable

CUBIC, CONTINUED_FIELDS, FLOOR = "cubic", "diffusion, continued", "floor"
COLUMNS = ("diffusion", "flow", "diffusion-points", "diffusion-white", "flow-white", CONTINUED_FIELDS, CUBIC, FLOOR)

Found = Mapping[tuple[str, int], list[Mapping[str, Score]]]
"""Scores by candidate and points an axis, one for each seed."""


def score_table(found: Found, evaluations: Mapping[str, Mapping[int, list[float]]], dimension: int) -> ScoreTable:
    """Means over the seeds, with their deviations where there are several, else with the standard error over fields."""
    grids = sorted({n for _, n in found} | {n for each in evaluations.values() for n in each})
    rows = []
    for n in grids:
        names = dict.fromkeys(name for (_, at), each in found.items() if at == n for name in each[0])
        rows += [_row(found, n, name, dimension) for name in names]
        counts = {c: [Score(count) for count in each[n]] for c, each in evaluations.items() if n in each}
        rows += [_with_means(_head(n, COST, dimension), counts)] if counts else []
    columns = tuple(c for c in COLUMNS if any(c in row for row in rows))
    return ScoreTable(rows, columns, by_candidate=True, title="Models of functions, trained on the first grid")


def _row(found: Found, n: int, name: str, dimension: int) -> dict[str, Any]:
    values = {c: [each[name] for each in found[c, n] if name in each] for c in COLUMNS if (c, n) in found}
    return _with_means(_head(n, name, dimension), values)


def _head(n: int, name: str, dimension: int) -> dict[str, Any]:
    """Of a row; what its metric is stands once, below the table."""
    about = "beside fields that were made on this grid"
    return {"group": grid_name(n, dimension), "metric": name, "target": TARGETS.get(name, "0"), "about": about}


def grid_name(n: int, dimension: int) -> str:
    """A grid in words."""
    return f"{' × '.join([str(n)] * dimension)} points"


def _with_means(row: dict[str, Any], values: Mapping[str, list[Score]]) -> dict[str, Any]:
    row = {**row, "deviations": {}}
    for candidate, each in values.items():
        if each:
            row[candidate] = float(np.mean([score.value for score in each]))
            if (deviation := _deviation(each)) is not None:
                row["deviations"][candidate] = deviation
    return row


def _deviation(scores: list[Score]) -> float | None:
    return float(np.std([score.value for score in scores], ddof=1)) if len(scores) > 1 else scores[0].error
