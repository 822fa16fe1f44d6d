"""The 2-D table: means and standard deviations over the seeds, beside what is published and the floor."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

METHODS = {
    "dsbm-ipf": "DSBM-IPF",
    "dsbm-imf": "DSBM-IMF",
    "dsbm-imf+": "DSBM-IMF+",
    "sf2m": "[SF]2M",
    "rectified-flow": "Rectified flow",
    "ot-cfm": "OT-CFM",
    "cfm": "CFM, independent",
    "floor": "Data against data",
}
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

Row = dict[str, Any]


def summarise(cells: Mapping[tuple[str, str, int], Mapping[str, Any]]) -> list[Row]:
    """One row a method and task: mean and standard deviation over the seeds of W₂ and path energy."""
    rows = []
    for method in METHODS:
        for i, task in enumerate(TASKS):
            found = [values for (t, m, _), values in sorted(cells.items()) if (t, m) == (task, method)]
            if found:
                published = PUBLISHED[method][i] if method in PUBLISHED else None
                energies = [values["path_energy"] for values in found if values["path_energy"] is not None]
                rows.append(
                    {
                        "method": method,
                        "task": task,
                        "w2": _mean_and_deviation([values["w2"] for values in found]),
                        "path_energy": _mean_and_deviation(energies) if energies else None,
                        "published_w2": published,
                        "seconds": round(float(np.mean([values["seconds"] for values in found])), 1),
                    }
                )
    return rows


def _mean_and_deviation(values: list[float]) -> list[float]:
    return [float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else 0.0]


def lines_of(rows: list[Row], quantity: str) -> list[list[str]]:
    """The header and a line a method, "mean ± deviation (published)" for each task."""
    tasks = [task for task in TASKS if any(row["task"] == task for row in rows)]
    lines = [["", *(TASKS[task] for task in tasks)]]
    for method in METHODS:
        mine = {row["task"]: row for row in rows if row["method"] == method and row[quantity] is not None}
        if mine:
            lines.append([METHODS[method], *(_text(mine.get(task), quantity) for task in tasks)])
    return lines


def _text(row: Row | None, quantity: str) -> str:
    if row is None:
        return "–"
    mean, deviation = row[quantity]
    text = f"{mean:.3f} ± {deviation:.3f}" if mean < 10 else f"{mean:.2f} ± {deviation:.2f}"
    published = row["published_w2"] if quantity == "w2" else None
    return text if published is None else f"{text} ({published:.3f})"


TITLES = {"w2": "W2 (published)", "path_energy": "path energy"}


def as_markdown(rows: list[Row]) -> str:
    """Both tables."""
    parts = []
    for quantity, title in TITLES.items():
        header, *lines = lines_of(rows, quantity)
        header[0] = title
        body = [header, ["---"] * len(header), *lines]
        parts.append("".join(f"| {' | '.join(line)} |\n" for line in body))
    return "\n".join(parts)


def show(rows: list[Row]) -> None:
    """Prints both tables."""
    for quantity, title in TITLES.items():
        header, *lines = lines_of(rows, quantity)
        table = Table(title=title)
        for i, name in enumerate(header):
            table.add_column(name, justify="left" if i == 0 else "right", no_wrap=True)
        for line in lines:
            table.add_row(*line)
        Console(width=120).print(table)
