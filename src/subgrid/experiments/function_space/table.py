"""The table of functions: every metric on every grid, a line a candidate, beside cubic interpolation and the floor."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from subgrid.experiments.function_space.metrics import ABOUT, TARGETS
from subgrid.runs.score_table import ScoreTable

CUBIC, CONTINUED_FIELDS, FLOOR = "cubic", "diffusion, continued", "floor"
COLUMNS = ("diffusion", "flow", "diffusion-points", "diffusion-white", "flow-white", CONTINUED_FIELDS, CUBIC, FLOOR)

Found = Mapping[tuple[str, int], list[Mapping[str, float]]]
"""Scores by candidate and points an axis, one for each seed."""


def score_table(found: Found, evaluations: Mapping[str, Mapping[int, list[float]]], dimension: int) -> ScoreTable:
    """Means over the seeds, with deviations where there are several."""
    grids = sorted({n for _, n in found})
    rows = []
    for n in grids:
        names = dict.fromkeys(name for (_, at), each in found.items() if at == n for name in each[0])
        rows += [_row(found, n, name, dimension) for name in names]
    rows += [_cost_row(evaluations, n) for n in sorted({n for each in evaluations.values() for n in each})]
    columns = tuple(c for c in COLUMNS if any(c in row for row in rows))
    return ScoreTable(rows, columns, by_candidate=True, title="Models of functions, trained on the first grid")


def _row(found: Found, n: int, name: str, dimension: int) -> dict[str, Any]:
    values = {c: [each[name] for each in found[c, n] if name in each] for c in COLUMNS if (c, n) in found}
    grid = " × ".join([str(n)] * dimension)
    group = {"group": f"{grid} points", "metric": name, "target": TARGETS.get(name, "0"), "about": ABOUT[name]}
    return _with_means(group, values)


def _cost_row(evaluations: Mapping[str, Mapping[int, list[float]]], n: int) -> dict[str, Any]:
    about = "evaluations of the velocity by an adaptive solver, for one sample"
    group = {"group": "evaluations", "metric": f"{n} points an axis", "target": "0", "about": about}
    return _with_means(group, {c: each[n] for c, each in evaluations.items()})


def _with_means(row: dict[str, Any], values: Mapping[str, list[float]]) -> dict[str, Any]:
    row = {**row, "deviations": {}}
    for candidate, each in values.items():
        if each:
            row[candidate] = float(np.mean(each))
            if len(each) > 1:
                row["deviations"][candidate] = float(np.std(each, ddof=1))
    return row
