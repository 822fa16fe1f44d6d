"""Debiasers side by side: every method of [comparison], fitted on training archives, scored on held-out coarse fields.

RUN/debiasers/METHOD/       checkpoints of one that is trained
RUN/debiasers/METHOD.json   its scores, what its fit reports, seconds; where it is there, the method is done
RUN/debiasers.json, debiasers.md   all of them, one column a method
"""

import time
from typing import Any

import jax.numpy as jnp
import numpy as np

from subgrid.data.store import write_json, write_text
from subgrid.downscaling.debiasing.fit import apply_debiaser
from subgrid.downscaling.debiasing.static import Composed
from subgrid.downscaling.evaluation import distribution_scores
from subgrid.experiments.downscale.checks import check_archives
from subgrid.experiments.downscale.fitting import fit_debiaser
from subgrid.experiments.downscale.run import DownscaleRun
from subgrid.runs.comparison import candidate_table, kept, require_candidates
from subgrid.runs.stage import Update

BARE = "{}, uncorrected"


def compare_debiasers(run: DownscaleRun, update: Update) -> None:
    """Fits and scores what is not yet done, and writes the table of all.

    Raises:
        ConfigError: without a method to compare.
    """
    methods = run.config.comparison.debiasers
    require_candidates("comparison.debiasers", methods, "gaussian", "entropic-ot")
    check_archives(run, methods)
    columns: dict[str, dict[str, float]] = {"raw": _scores(run, run.coarse[1].values)}
    records = {}
    for i, method in enumerate(methods):
        part = lambda done, total, note="", i=i, method=method: update(  # noqa: E731
            i * total + done, len(methods) * total, f"{method} {note}"
        )
        path = run.path("debiasers") / f"{method}.json"
        records[method] = kept(path, lambda method=method, part=part: _fitted(run, method, part))
        columns |= records[method]["scores"]
    columns["floor"] = _scores(run, _coarsened(run, run.fine[2].values))
    table = candidate_table(columns, group="Coarse grid", title="Debiasers on held-out coarse fields")
    content = {**table.as_dict(), "methods": records, "config": run.config.model_dump(mode="json")}
    write_json(run.path("debiasers.json"), content)
    write_text(run.path("debiasers.md"), table.as_markdown())


def _fitted(run: DownscaleRun, method: str, update: Update) -> dict[str, Any]:
    """Scores, summary and seconds of one method."""
    config = run.config
    config = config.model_copy(update={"debias": config.debias.model_copy(update={"method": method})})
    folder, key = run.path("debiasers") / method, run.key("debias", method)
    started = time.monotonic()
    debiaser, summary = fit_debiaser(
        config, run.coarse[0], run.fine[0], run.operator, folder=folder, update=update, key=key
    )
    seconds = time.monotonic() - started
    maps = {method: debiaser}
    if isinstance(debiaser, Composed):
        maps = {BARE.format(method): debiaser.parts[0], **maps}
    held_out = run.coarse[1].values
    scores = {name: _scores(run, apply_debiaser(mapped, held_out)) for name, mapped in maps.items()}
    return {"scores": scores, "summary": summary, "seconds": round(seconds, 1)}


def _scores(run: DownscaleRun, fields: np.ndarray) -> dict[str, float]:
    """Of coarse fields against the coarsened reference, which nothing was fitted on."""
    reference = run.fine[1]
    return distribution_scores(fields, _coarsened(run, reference.values), reference.n_space)


def _coarsened(run: DownscaleRun, fields: np.ndarray) -> np.ndarray:
    return np.asarray(run.operator(jnp.asarray(fields)))
