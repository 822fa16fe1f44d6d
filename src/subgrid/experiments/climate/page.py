"""The page of a climate run."""

from typing import Any

import xarray as xr

from subgrid.experiments.climate.changes import change_maps, change_sentence
from subgrid.experiments.climate.choices import (
    debiasing_in_words,
    prior_choice,
    prior_in_words,
    prior_sentences,
    spread_maps,
)
from subgrid.experiments.climate.figures.choices import choice_plates
from subgrid.experiments.climate.figures.evidence import ClimateEvidence, warnings_of
from subgrid.experiments.climate.figures.sections import climate_sections
from subgrid.experiments.climate.metrics import DAYS_AVERAGED
from subgrid.experiments.climate.run import ClimateRun
from subgrid.experiments.climate.sampling import is_slice, products
from subgrid.experiments.climate.scored_fields import ScoredFields
from subgrid.report.plates import Plate
from subgrid.runs.page import Page, read_metrics

PUBLIC = ("wasserstein", "quantiles", "correlation", "power", "variogram", "ranks", "spread", "change")
"""Figures that may be published, by what follows the variable in their name: scores, curves over all cells, and the
change, which is of the model and of the output. The others show fields of the reference (maps of its statistics, its
days), and archives such as E-OBS allow research and education alone, so they stay on the page of the run. What is not
in this list is not published; figures of choices always may be."""


def page(run: ClimateRun) -> Page:
    """Choices, figures of every variable, summary and notes."""
    scores, changes = run.once(ScoredFields), read_metrics(run)["changes"]
    evidence = [evidence_of(scores, c) for c in range(len(run.config.climate.names))]
    chosen = choice_plates(run.fitted.choice, prior_choice(run))
    sections = [*chosen, *(section for each in evidence for section in climate_sections(each))]
    notes = [
        *_notes(scores),
        *map(change_sentence, changes),
        *(note for each in evidence for note in warnings_of(each)),
    ]
    choices = {plate.name for section in chosen for plate in section.plates}

    def public(plate: Plate) -> bool:
        names = {f"{name}-{figure}" for name in run.config.climate.names for figure in PUBLIC}
        return plate.name in names | choices

    return Page(run.config.run.name, _summary(run), sections, notes, public, _draws(run))


def _draws(run: ClimateRun) -> dict[str, int]:
    """Fields that were sampled; none where slices sampled them, whose times are not those of all."""
    if is_slice(run.config):
        return {}
    n = 0
    for store in products(run.config).values():
        with xr.open_zarr(run.path(store), chunks=None) as stored:
            n += stored.sizes["realization"] * stored.sizes["time"]
    return {"sample": n}


def _notes(scores: ScoredFields) -> list[str]:
    """What a reader must know before believing the figures."""
    choice = scores.run.fitted.choice
    chosen = [] if choice is None else choice.sentences()
    outside = scores.kinds.get("outside")
    apart = []
    if outside is not None:
        apart = [
            f"{outside.sum()} of {scores.run.domain.mask.sum()} fine cells lie under no coarse cell of the constraint "
            "(hatched on the map of the spread); they are estimated from their neighbours alone and scored apart."
        ]
    notes = [
        *(_sentence(each) for each in (*chosen, *prior_sentences(scores.run.folder))),
        *apart,
        "Nothing was fitted on the season years that are scored. The noise floor of an unpaired metric is that metric "
        "between the training years and the scored years of the reference itself; beside it stands how many "
        "independent fields it rests on, by their autocorrelation.",
        "Generated scores are means over members, each compared as one series, like the baselines.",
        *_uses(read_metrics(scores.run)["table"]),
    ]
    n, scored = scores.run.config.sampling.n_members, scores.n_scored("ensemble")
    few = f"Scored are the first {scored} of {n} members, which fit into memory."
    return notes if scored == n else [*notes, few]


def _uses(table: list[dict[str, Any]]) -> list[str]:
    """What members that are drawn day by day may be used for, with the ratios of this run."""
    longest = f"spread/skill, {max(DAYS_AVERAGED)}-day means"
    rows = [row for row in table if row["metric"] == longest and row["group"].endswith(": perfect model")]
    found = {row["group"].partition(":")[0]: row["generated"] for row in rows}
    if not found:
        return []
    ratios = ", ".join(f"{name} {ratio:.2f}" for name, ratio in found.items())
    return [
        "Members are drawn day by day: what they add to the course of the coarse field is independent from one day to "
        "the next. Use them for single days: values, quantiles, return levels, maps, how often a threshold is passed, "
        "and for means over all members. Do not use their spread as the uncertainty of means or sums over several "
        f"days, nor one member as a sequence (spells, soil, rivers): spread over skill of {max(DAYS_AVERAGED)}-day "
        f"means is {ratios}, and 1 would be right."
    ]


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def evidence_of(scores: ScoredFields, channel: int) -> ClimateEvidence:
    """What the figures of one variable are drawn from."""
    run, flatness = scores.run, scores.flatness(channel)
    name = run.config.climate.names[channel]
    times = run.fine_series.time[~scores.split[0]]
    candidates, generated = {**scores.candidates, "floor": scores.training}, scores.ensemble("ensemble", name)
    return ClimateEvidence(
        variable=name,
        quantity=run.domain.descriptions[channel].quantity,
        units=scores.units(channel),
        lat=run.fine.lat.values,
        lon=run.fine.lon.values,
        mask=run.domain.mask,
        reference=scores.reference[:, channel],
        candidates={column: fields[:, channel] for column, fields in candidates.items()},
        generated=generated,
        perfect_truth=scores.reference[:, channel],
        perfect_ensemble=scores.ensemble("perfect_model", name),
        dates=[str(time)[:10] for time in times],
        rank_counts=flatness.counts,
        flatness_p=flatness.p_value,
        effective_samples=float(flatness.effective_samples),
        perfect_coarse=scores.smooth_reference[:, channel],
        change=change_maps(scores, generated, channel) if run.config.climate.scenario else None,
        spread=spread_maps(run, channel),
        constrained=run.domain.constrained,
    )


def _summary(run: ClimateRun) -> list[tuple[str, str]]:
    config = run.config
    grid = lambda shape: " x ".join(map(str, shape))  # noqa: E731
    kept = run.domain.regridding.kept
    return [
        ("Variables", ", ".join(config.climate.names)),
        ("Grids", f"{grid(kept.shape)} ({kept.sum()} cells kept) to {grid(run.domain.mask.shape)}"),
        ("Fine cells", f"{run.domain.mask.sum()} of {run.domain.mask.size}"),
        ("Training", config.climate.training),
        ("Debiasing", debiasing_in_words(run)),
        ("Prior", prior_in_words(run)),
        ("Members", str(config.sampling.n_members)),
    ]
