"""Debiasers of a climate run side by side, on the coarse cells and the anomalies that they work on.

    RUN/debiasers/METHOD.json   scores and seconds; where it is there, the method is done
    RUN/debiasers.json, debiasers.md   all of them, and what left-out training years say of the candidates of "auto"

Fitted on the training years, scored on the others: 1-D Wasserstein distance a cell and error of the correlations
between cells, of anomalies in the units of the transformed variable (temperature: K; precipitation: root of mm/day).
"""

import time
from typing import Any

import numpy as np
from jaxtyping import Float

from subgrid.data.store import write_json, write_text
from subgrid.downscaling.debiasing.tried import DebiasingChoice
from subgrid.experiments.climate.run import ClimateRun
from subgrid.runs.comparison import candidate_table, kept, require_candidates
from subgrid.runs.config import ConfigError
from subgrid.runs.stage import Update
from subgrid.verification.cells import wasserstein_1_per_cell
from subgrid.verification.dependence import correlation_rmse

AnomalyFields = Float[np.ndarray, "time channel cell"]


def compare_debiasers(run: ClimateRun, update: Update) -> None:
    """Fits and scores what is not yet done, and writes the table of all.

    Raises:
        ConfigError: without a method to compare, or without season years to score on.
    """
    methods = run.config.comparison.debiasers
    require_candidates("comparison.debiasers", methods, "gaussian", "quantile-mapping")
    if run.config.climate.training == "all":
        raise ConfigError(
            'climate.training = "all" leaves no season year to score debiasers on; set it to "odd-winters".'
        )
    trained = run.trained(run.fine_series)
    raw = run.fit("none").targets(run.coarse_series[~run.trained(run.coarse_series)])
    columns, records = {"raw": _scores(run, raw)}, {}
    for i, method in enumerate(methods):
        update(i, len(methods) + 1, method)
        path = run.path("debiasers") / f"{method}.json"
        records[method] = kept(path, lambda method=method: _fitted(run, method))
        columns[method] = records[method]["scores"]
    columns["floor"] = _scores(run, run.coarsened[trained])
    update(len(methods), len(methods) + 1, "left-out years")
    choice = run.fit("auto").choice
    table = candidate_table(columns, group="Coarse cells", title="Debiasers on the years that are not trained on")
    content = {
        **table.as_dict(),
        "methods": records,
        "choice": None if choice is None else choice.as_dict(),
        "config": run.config.model_dump(mode="json"),
    }
    write_json(run.path("debiasers.json"), content)
    write_text(run.path("debiasers.md"), table.as_markdown() + ("" if choice is None else _choice_in_words(choice)))
    update(len(methods) + 1, len(methods) + 1)


def _choice_in_words(choice: DebiasingChoice) -> str:
    """What was tried on left-out training years, as Markdown."""
    lines = [["method", "strength", "W1/σ", "correlations", "score", "less that of none", "±"], ["---"] * 7]
    for c in choice.tried:
        numbers = f"{c.marginals:.3f}", f"{c.correlations:.3f}", f"{c.score:.4f}"
        lines.append([c.method, f"{c.strength:g}", *numbers, f"{c.beyond_none:+.4f}", f"{c.uncertainty:.4f}"])
    tried = "".join(f"| {' | '.join(line)} |\n" for line in lines) if choice.tried else ""
    return "\n" + "".join(f"{sentence}.\n" for sentence in choice.sentences()) + f"\n{tried}"


def _fitted(run: ClimateRun, method: str) -> dict[str, Any]:
    """Scores and seconds of one method."""
    started = time.monotonic()
    moved = run.fit(method, quick_strengths=True).targets(run.coarse_series[~run.trained(run.coarse_series)])
    return {"scores": _scores(run, moved), "seconds": round(time.monotonic() - started, 1)}


def _scores(run: ClimateRun, fields: AnomalyFields) -> dict[str, float]:
    """Of anomalies against the coarsened reference of the season years that nothing was fitted on."""
    reference = run.coarsened[~run.trained(run.fine_series)]
    scores = {}
    for c, name in enumerate(run.config.climate.names):
        found, wanted = fields[:, c, None], reference[:, c, None]
        mask = np.ones(found.shape[1:], bool)
        scores[f"{name} W1"] = float(np.mean(wasserstein_1_per_cell(found, wanted, mask=mask)))
        scores[f"{name} CorrRMSE"] = correlation_rmse(found, wanted, mask=mask)
    return scores
