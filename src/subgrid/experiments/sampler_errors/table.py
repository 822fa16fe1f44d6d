"""The table of sampler errors: a group a case, a candidate a method on a grid under a guidance, a metric a cost."""

from typing import Any

from subgrid.experiments.sampler_errors.figures import PANELS
from subgrid.runs.score_table import ScoreTable, columns_of

EXACT = 1e-5
"""Below it an error is rounding: that of roots of variances that coarse values leave at zero."""
ABOUT = "error of what is sampled, as a share of its standard deviation, by evaluations of the denoiser"


def score_table(rows: list[dict[str, Any]]) -> ScoreTable:
    """Errors by case and evaluations; on the terminal the cases of the figure."""
    found: dict[tuple[str, int], dict[str, float]] = {}
    for row in rows:
        for evaluations, error in zip(row["evaluations"], row["error"], strict=True):
            found.setdefault((title_of(row), evaluations), {})[candidate_of(row)] = shown(error)
    table = [
        {"group": title, "metric": str(evaluations), "target": "0", "about": ABOUT, **errors}
        for (title, evaluations), errors in found.items()
    ]
    title = "Errors by evaluations of the denoiser (report.html has all cases)"
    return ScoreTable(table, columns_of(table), by_candidate=True, title=title, on_terminal=PANELS)


def title_of(row: dict[str, Any]) -> str:
    """The case, and how noisy its coarse values are."""
    return row["case"] + (f", noise variance {row['noise']:g}" if row["noise"] is not None else "")


def candidate_of(row: dict[str, Any]) -> str:
    """Method, grid, and guidance with its vector–Jacobian products for each evaluation."""
    products = row["products"]
    guidance = (
        "" if row["guidance"] == "exact" else f", {row['guidance']}" + (f" (+{products} VJP)" if products else "")
    )
    return f"{row['method']}, {row['grid']}{guidance}"


def shown(error: float) -> float:
    """Two digits; 0 for what is rounding."""
    return 0.0 if error < EXACT else float(f"{error:.2g}")
