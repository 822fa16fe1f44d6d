"""The 2-D table: means and standard deviations over the seeds, beside what is published and the floor."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from subgrid.runs.score_table import ScoreTable

METHODS = ("dsbm-ipf", "dsbm-imf", "dsbm-imf+", "sf2m", "rectified-flow", "ot-cfm", "cfm", "floor")
"""In the order of the table; the floor is the distance between two sets of the target."""
TASKS = {
    "moons": "moons",
    "scurve": "S-curve",
    "8gaussians": "8 Gaussians",
    "moons-8gaussians": "moons to 8 Gaussians",
}
PUBLISHED: dict[str, tuple[float, float, float, float]] = {
    "dsbm-ipf": (0.140, 0.140, 0.315, 0.812),
    "dsbm-imf": (0.144, 0.145, 0.338, 0.838),
    "dsbm-imf+": (0.123, 0.130, 0.276, 0.802),
    "rectified-flow": (0.129, 0.126, 0.267, 1.522),
    "ot-cfm": (0.111, 0.102, 0.253, 0.716),
}
"""W₂ of Shi et al. (2023), arXiv:2303.16852, in the order of `TASKS`; their generators differ from ours."""

Cells = Mapping[tuple[str, str, int], Mapping[str, Any]]
"""What was measured, by task, method and seed."""
QUANTITIES = {
    "w2": ("W2", "distance between what a method makes of the source and as many points of the target"),
    "path_energy": ("path energy", "mean of the squared drift along the paths: less is straighter"),
}


def score_table(cells: Cells) -> ScoreTable:
    """Mean and standard deviation over the seeds of both quantities, a line a method."""
    tasks = [task for task in TASKS if any(t == task for t, _, _ in cells)]
    rows = [_row(cells, task, quantity) for quantity in QUANTITIES for task in tasks]
    if any(method in PUBLISHED for _, method, _ in cells):
        rows += [_published(cells, task) for task in tasks]
    columns = tuple(method for method in METHODS if any(m == method for _, m, _ in cells))
    return ScoreTable(rows, columns, by_candidate=True, title="2-D transports: mean ± deviation over repetitions")


def _row(cells: Cells, task: str, quantity: str) -> dict[str, Any]:
    group, about = QUANTITIES[quantity]
    row: dict[str, Any] = {"group": group, "metric": TASKS[task], "target": "0", "about": about, "deviations": {}}
    for method in METHODS:
        found = [v[quantity] for (t, m, _), v in sorted(cells.items()) if (t, m) == (task, method)]
        known = [value for value in found if value is not None]
        if known:
            row[method] = float(np.mean(known))
            row["deviations"][method] = float(np.std(known, ddof=1)) if len(known) > 1 else 0.0
    return row


def _published(cells: Cells, task: str) -> dict[str, Any]:
    place = list(TASKS).index(task)
    used = {method for _, method, _ in cells}
    values = {method: numbers[place] for method, numbers in PUBLISHED.items() if method in used}
    about = "what Shi et al. (2023) print"
    return {"group": "W2, published", "metric": TASKS[task], "target": "0", "about": about, **values}
