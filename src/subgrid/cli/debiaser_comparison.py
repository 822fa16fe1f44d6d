"""Debiasers side by side: every method of [comparison], fitted on training archives, scored on held-out coarse fields.

RUN/debiasers/METHOD/       checkpoints of one that is trained
RUN/debiasers/METHOD.json   its scores, what its fit reports, seconds; where it is there, the method is done
RUN/debiasers.json, debiasers.md   all of them, one column a method
"""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from subgrid.cli import stages, table
from subgrid.cli.config import ConfigError
from subgrid.cli.experiment import Experiment
from subgrid.data.store import write_json, write_text
from subgrid.downscaling.debias import Composed
from subgrid.downscaling.evaluation import distribution_scores
from subgrid.downscaling.fit_debias import apply_debiaser

BARE = "{}, uncorrected"


def compare_debiasers(experiment: Experiment) -> Path:
    """Simulates if need be, fits and scores what is not yet done; returns the path of the table.

    **Raises:** `ConfigError` without a method to compare.
    """
    require_methods(experiment.config.comparison.debiasers)
    if experiment.config.data.source == "kuramoto-sivashinsky":
        stages.simulate(experiment)
    stages.check_archives(experiment, experiment.config.comparison.debiasers)
    columns: dict[str, dict[str, float]] = {"raw": _scores(experiment, experiment.coarse[1].values)}
    records = {method: _record(experiment, method) for method in experiment.config.comparison.debiasers}
    for record in records.values():
        columns |= record["scores"]
    columns["floor"] = _scores(experiment, _coarsened(experiment, experiment.fine[2].values))
    rows = [
        {"group": "Coarse grid", "metric": metric, "target": "0"} | {name: c[metric] for name, c in columns.items()}
        for metric in columns["raw"]
    ]
    content = {"table": rows, "methods": records, "config": experiment.config.model_dump()}
    write_json(experiment.path("debiasers.json"), content)
    path = experiment.path("debiasers.md")
    write_text(path, table.transposed_markdown(rows))
    return path


def require_methods(methods: Sequence[str]) -> None:
    """Passes if there is something to compare."""
    if not methods:
        raise ConfigError('comparison.debiasers is empty; name methods, for example ["gaussian", "entropic-ot"].')


def _record(experiment: Experiment, method: str) -> dict[str, Any]:
    """Scores, summary and seconds of one method: read, or made."""
    path = experiment.path("debiasers") / f"{method}.json"
    if path.exists():
        return json.loads(path.read_text(encoding="utf-8"))
    config = experiment.config
    config = config.model_copy(update={"debias": config.debias.model_copy(update={"method": method})})
    started = time.monotonic()
    debiaser, summary = stages.fit_debiaser(
        config,
        experiment.coarse[0],
        experiment.fine[0],
        experiment.operator,
        folder=path.with_suffix(""),
        key=experiment.key("debias", method),
    )
    seconds = time.monotonic() - started
    maps = {method: debiaser}
    if isinstance(debiaser, Composed):
        maps = {BARE.format(method): debiaser.parts[0], **maps}
    held_out = experiment.coarse[1].values
    scores = {name: _scores(experiment, apply_debiaser(mapped, held_out)) for name, mapped in maps.items()}
    record = {"scores": scores, "summary": summary, "seconds": round(seconds, 1)}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, record)
    return record


def _scores(experiment: Experiment, fields: np.ndarray) -> dict[str, float]:
    """Of coarse fields against the coarsened reference, which nothing was fitted on."""
    reference = experiment.fine[1]
    return distribution_scores(fields, _coarsened(experiment, reference.values), reference.n_space)


def _coarsened(experiment: Experiment, fields: np.ndarray) -> np.ndarray:
    return np.asarray(experiment.operator(jnp.asarray(fields)))
