"""What a climate run is worth: every metric beside its baselines and its noise floor.

Unpaired scores compare one member at a time with the reference years that nothing was fitted on, as one series with
another, and average over members; baselines are one series each. Perfect-model scores have the truth.
"""

from itertools import combinations
from typing import Any

import numpy as np

from subgrid.experiments.climate.changes import change_maps, change_row, change_with_interval
from subgrid.experiments.climate.choices import choices_of
from subgrid.experiments.climate.metrics import (
    COLUMNS,
    DAYS_AVERAGED,
    INDEPENDENT,
    WHERE,
    ScoredCells,
    perfect_rows,
    rank_correlation_score,
    row_of,
    unpaired_scores,
)
from subgrid.experiments.climate.run import ClimateRun
from subgrid.experiments.climate.scored_fields import ScoredFields
from subgrid.runs.page import write_metrics
from subgrid.runs.score_table import ScoreTable
from subgrid.runs.stage import Update


def score(run: ClimateRun, update: Update) -> None:
    """Scores of every variable and between them: `metrics.json`."""
    scores, variables = run.once(ScoredFields), run.config.climate.names
    n, rows, generated, changes = len(variables), [], [], []
    update(0, n + 1, "baselines")
    _ = scores.candidates
    for c, name in enumerate(variables):
        update(c + 1, n + 1, name)
        generated.append(scores.ensemble("ensemble", name))
        rows += rows_of(scores, generated[-1], c)
        if run.config.climate.scenario:
            changes.append(change_with_interval(scores, generated[-1], c))
    rows += [between_row(scores, generated, pair) for pair in combinations(range(n), 2)]
    write_metrics(run, ScoreTable(rows, COLUMNS), changes=changes, choices=choices_of(run))
    update(n + 1, n + 1)


def rows_of(scores: ScoredFields, generated: np.ndarray, channel: int) -> list[dict[str, Any]]:
    """All rows of one variable."""
    name = scores.run.config.climate.names[channel]
    rows, perfect = unpaired_rows(scores, generated, channel), scores.perfect_model(channel)
    for kind, cells in scores.kinds.items():
        rows += perfect_rows(
            name,
            perfect,
            mask=cells,
            units=scores.units(channel),
            noise=None if kind else scores.noise_scores[channel],
            flatness=scores.flatness(channel, kind),
            mode=_mode("perfect model", kind),
            days_averaged=() if kind else DAYS_AVERAGED,
        )
    if scores.run.config.climate.scenario:
        rows.append(change_row(scores, change_maps(scores, generated, channel), channel))
    return rows


def _mode(mode: str, kind: str) -> str:
    return f"{mode}, {WHERE[kind]}" if kind else mode


def unpaired_rows(scores: ScoredFields, generated: np.ndarray, channel: int) -> list[dict[str, Any]]:
    """Distribution, dependence and extremes of every candidate against the reference's scored years."""
    run, fine = scores.run, scores.run.fine_series
    name, training = run.config.climate.names[channel], scores.training[:, channel]
    training_season_years = fine.season_year[run.trained(fine)]
    sets = (scores.season_years, training_season_years, scores.model_season_years)
    rows, independent = [], scores.independent(channel)
    for kind, cells in scores.kinds.items():
        metrics = unpaired_scores(
            run.domain.descriptions[channel].quantity,
            scores.reference[:, channel],
            scores.season_years,
            cells=ScoredCells(cells, run.fine.lat.values, run.fine.lon.values),
            fewest=min(len(np.unique(season_years)) for season_years in sets),
            key=run.key("return level", name),
            few=bool(kind),
        )
        for metric, score in metrics.items():
            found = {role: score(f[:, channel], scores.model_season_years) for role, f in scores.candidates.items()}
            members = [score(generated[:, m], scores.model_season_years) for m in range(generated.shape[1])]
            found |= {"generated": float(np.mean(members)), "floor": score(training, training_season_years)}
            found |= {INDEPENDENT: independent}
            rows.append(row_of(name, _mode("unpaired", kind), metric, units=scores.units(channel), **found))
    return rows


def between_row(scores: ScoredFields, generated: list[np.ndarray], pair: tuple[int, int]) -> dict[str, Any]:
    """The dependence between two variables, of every candidate against the reference's scored years."""
    chosen = list(pair)
    score = rank_correlation_score(scores.reference[:, chosen], scores.run.domain.mask)
    found = {role: score(fields[:, chosen]) for role, fields in scores.candidates.items()}
    members = zip(*(np.moveaxis(generated[c], 1, 0) for c in pair), strict=True)
    found |= {"generated": float(np.mean([score(np.stack(both, axis=1)) for both in members]))}
    names = ", ".join(scores.run.config.climate.names[c] for c in pair)
    return row_of(names, "unpaired", "rank correlation", units="1", **found, floor=score(scores.training[:, chosen]))
