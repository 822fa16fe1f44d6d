"""What a climate run fits before it samples: climatologies, C′, debiasing, the prior."""

from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr

from subgrid.data.pooling.pooling import notes_of
from subgrid.data.store import write_zarr
from subgrid.downscaling.climate.coarse_fit import check_grid, check_step
from subgrid.downscaling.climate.domain import fine_side, interpolation
from subgrid.downscaling.debiasing.choice import n_fits
from subgrid.downscaling.model.anomalies import dated_anomalies
from subgrid.downscaling.model.folder import OROGRAPHY, save_preparation
from subgrid.downscaling.model.output import with_history
from subgrid.downscaling.model.refined import RefinedSettings, train_refined
from subgrid.downscaling.model.sides import CoarseSide, FineSide
from subgrid.downscaling.preparation.series import Series, series_of
from subgrid.downscaling.refined.refinement import RefinementSettings
from subgrid.downscaling.stored.part import save_part
from subgrid.experiments.climate.run import ClimateRun
from subgrid.experiments.climate.sampling import SCENARIO_FINE, refuse_slice
from subgrid.runs.stage import Update
from subgrid.training.log import MetricsReport
from subgrid.training.progress import say


def prepare(run: ClimateRun, update: Update) -> None:
    """Everything cheap, and everything that can be wrong with the input: grids, C′, climatologies, debiasing."""
    refuse_slice(run)
    update(0, 3, "open")
    coarse, fine = run.coarse_series, run.fine_series
    _ = run.predictors  # what is wrong with them is said before anything is fitted
    _say_what_was_read(run)
    table = run.config.debias
    methods = table.candidates if table.method == "auto" else (table.method,)
    pairs = n_fits(coarse.season_year[run.trained(coarse)], fine.season_year[run.trained(fine)], methods)
    sides = _sides(run, lambda done, _: update(done, pairs + 3, "left-out years"))
    update(pairs + 1, pairs + 3, "debias")
    said = sides[0].reading.notes
    chosen, unseen = _downscaled(run, coarse), _downscaled(run, fine)
    _save_targets(run, "targets", sides[0].targets(coarse[chosen]), coarse[chosen], run.coarse, said)
    _save_targets(run, "perfect_targets", run.coarsened[unseen], fine[unseen], run.fine, said)
    update(pairs + 2, pairs + 3, "change")
    if run.scenario is not None:
        _save_scenario(run, *sides, run.scenario)
    save_preparation(run.folder, *sides)
    update(pairs + 3, pairs + 3)


def _say_what_was_read(run: ClimateRun) -> None:
    """What was decided, converted, merged or left out when the archives were opened, as `subgrid.fit` says it."""
    archives = {"fine": run.fine, "coarse": run.coarse, "scenario": run.scenario}
    notes = [f"{name}: {note}" for name, data in archives.items() if data is not None for note in notes_of(data)]
    notes += [] if run.orography is None else [f"orography: {run.orography}"]
    for sentence in (*run.agreed.notes, *notes):
        say(sentence)


def _sides(run: ClimateRun, report: MetricsReport) -> tuple[CoarseSide, FineSide]:
    """Both sides of the model that the run folder is."""
    coarse, table = run.fit(report=report), run.config.climate
    reading = replace(coarse.reading, wanted=table.wanted, step=table.step)
    fine = fine_side(run.fine, run.domain, run.fine_anomalies)
    return replace(coarse, reading=reading), fine


def _downscaled(run: ClimateRun, series: Series) -> np.ndarray:
    """Which samples are downscaled: those not trained on, or all where everything is."""
    trained = run.trained(series)
    return np.flatnonzero(trained if trained.all() else ~trained)


def _save_scenario(run: ClimateRun, coarse: CoarseSide, fine: FineSide, scenario: xr.Dataset) -> None:
    """Targets of the scenario in the climate of the reference, and the fine side that puts its change back."""
    check_grid(coarse, scenario)
    check_step(coarse, scenario)
    series = series_of(scenario, run.config.climate.names)
    signal, said = coarse.change_to(series), coarse.pairing_to(series)
    if said is not None:
        say(said)
    notes = (*(() if said is None else (said,)), *coarse.reading.notes)
    _save_targets(run, "scenario_targets", coarse.targets_without(signal, series), series, scenario, notes)
    save_part(run.path(SCENARIO_FINE), fine.with_change(signal.on(interpolation(run.coarse, run.fine))))


def _save_targets(
    run: ClimateRun, name: str, target: np.ndarray, series: Series, source: xr.Dataset, notes: tuple[str, ...] = ()
) -> None:
    """What an ensemble is conditioned on; the attributes say what was done to the archive when it was opened."""
    variables: dict[str, Any] = {
        "target": (("sample", "channel", "kept"), np.asarray(target, np.float32)),
        "phase": ("sample", series.phase),
        "winter": ("sample", series.season_year),
        "member_of_model": ("sample", series.member),
    }
    if "realization" in source.dims:
        variables["member_label"] = ("sample", np.asarray(source["realization"].values)[series.member])
    times = xr.Variable("sample", series.time, source["time"].attrs)
    dataset = xr.Dataset(variables, coords={"time": times}, attrs=with_history(source.attrs, *notes_of(source), *notes))
    write_zarr(dataset, run.path(f"{name}.zarr"), overwrite=True)


def train(run: ClimateRun, update: Update) -> None:
    """The prior of fine anomalies, and the post-processing of its draws; resumes from its last checkpoint."""
    refuse_slice(run)
    table, series = run.config.prior, run.fine_series
    chosen = np.flatnonzero(run.trained(series))
    keys = set(RefinementSettings.__dataclass_fields__)
    network = RefinementSettings(**{k: v for k, v in table.model_dump().items() if k in keys})
    train_refined(
        run.folder,
        dated_anomalies(run.domain, run.fine_anomalies, series[chosen], run.predictors),
        RefinedSettings(network, table.directions, run.config.sampling.n_levels),
        key=run.key("training"),
    )
    _save_orography(run)


def _save_orography(run: ClimateRun) -> None:
    """With the prior, which is made anew with it: what is prepared does not depend on it."""
    if run.orography is not None:
        (run.path("model") / OROGRAPHY).write_text(run.orography, encoding="utf-8")
