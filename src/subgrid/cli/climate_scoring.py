"""What a climate run is worth: every metric beside its baselines and its noise floor, and the page that shows it.

Unpaired scores compare one member at a time with the reference winters that nothing was fitted on, as one series with
another, and average over members; baselines are one series each. Perfect-model scores have the truth.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from subgrid.cli.climate_stages import ClimateRun
from subgrid.cli.experiment import machine_summary
from subgrid.cli.progress import progress_bar
from subgrid.data.store import write_json
from subgrid.downscaling.climate import change_kinds, series_of
from subgrid.downscaling.climate_baselines import (
    Anomaly,
    fit_analogues,
    fit_interpolated_quantile_mapping,
    fit_local_noise,
    fit_spatial_disaggregation,
)
from subgrid.downscaling.debias import fit_quantile_mapping
from subgrid.downscaling.interpolation import bilinear
from subgrid.downscaling.transforms import PRECIPITATION
from subgrid.report.climate_evidence import ClimateEvidence
from subgrid.report.climate_page import write_climate_report
from subgrid.verification.cells import fair_crps_per_cell, spread_skill_per_channel, wasserstein_1_per_cell
from subgrid.verification.dependence import correlation_rmse
from subgrid.verification.extremes import fit_gev, gev_return_level, segment_maxima, wet_day_frequency
from subgrid.verification.rank_tests import FlatnessTest, rank_flatness_test, ranks_of_truth
from subgrid.verification.spells import warm_spells, wet_and_dry_spells

COLUMNS = ("raw", "quantile mapping", "bcsd", "analogues", "generated", "floor")
ABOUT = {
    "W1": "mean over cells of the Wasserstein-1 distance between the values of all days, in units of the field",
    "CorrRMSE": "root mean square error of the correlations between all pairs of cells",
    "wet days": "absolute error of the share of days with at least 1 mm, mean over all cells and days",
    "wet spells": "absolute error of the mean length of wet spells, in days",
    "heat waves": "absolute error of the number of warm spells a winter: 3 days above the reference's 90th percentile",
    "return level": "mean over cells of the absolute error of the 20-winter return level (GEV by L-moments)",
    "CRPS": "fair continuous ranked probability score, mean over cells; baseline: interpolation and Gaussian noise of "
    "the one width that is best on the training winters",
    "spread/skill": "corrected ensemble spread over the error of the ensemble mean; 1 for an honest ensemble",
    "rank flatness p": "p-value of a flat rank histogram, on the effective number of samples",
    "change": "root mean square difference over coarse cells between the output's change of the mean and the model's",
}

FEWEST_WINTERS = 4
"""In each set, for return levels: a generalised extreme value distribution has three parameters."""
MOST_VALUES = 2**28
"""Of one ensemble of one variable in memory, 1 GiB: of larger ones, as many members are scored as fit, 3 at least."""


@dataclass
class Scores:
    """The fields that a run is judged on, on the fine grid, physical units: (time, channel, *space)."""

    run: ClimateRun

    @cached_property
    def _split(self) -> tuple[np.ndarray, np.ndarray]:
        fine, coarse = self.run.trained(self.run.fine_series), self.run.trained(self.run.coarse_series)
        return fine, coarse

    @property
    def _grids(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        coarse, fine = self.run.coarse, self.run.fine
        return coarse.lat.values, coarse.lon.values, fine.lat.values, fine.lon.values

    @property
    def training(self) -> np.ndarray:
        return self.run.fine_series.values[self._split[0]]

    @property
    def reference(self) -> np.ndarray:
        return self.run.fine_series.values[~self._split[0]]

    @property
    def winters(self) -> np.ndarray:
        return self.run.fine_series.winter[~self._split[0]]

    @cached_property
    def model_winters(self) -> np.ndarray:
        return self.run.coarse_series.winter[~self._split[1]]

    @property
    def coarse(self) -> np.ndarray:
        """The raw coarse fields on their whole grid, all times."""
        return self.run.coarse_series.values

    @cached_property
    def candidates(self) -> dict[str, np.ndarray]:
        """Every baseline on the winters that nothing was fitted on."""
        run, (_, trained) = self.run, self._split
        domain, kept = run.domain, run.domain.regridding.kept
        whole, over_kept = bilinear(*self._grids), bilinear(*self._grids, valid=kept)
        first, unseen = self.coarse[trained], self.coarse[~trained]
        few = min(len(first), len(self.training))  # samples may be fewer than quantiles
        mapping = fit_interpolated_quantile_mapping(
            first, self.training, whole, n_quantiles=min(200, few), mask=domain.mask
        )
        mapped = mapping(unseen)
        coarsened = domain.coarsen(self.training)
        table = fit_quantile_mapping(jnp.asarray(first[..., kept]), jnp.asarray(coarsened), n_quantiles=min(100, few))
        debiased = domain.regridding.scatter(np.asarray(jax.vmap(table)(jnp.asarray(unseen[..., kept]))))
        coarsened = domain.regridding.scatter(coarsened)
        kinds: tuple[Anomaly, ...] = tuple(
            "ratio" if kind == "multiplicative" else "difference" for kind in change_kinds(domain.variables)
        )
        bcsd = fit_spatial_disaggregation(coarsened, self.training, over_kept, anomaly=kinds)
        analogues = fit_analogues(coarsened, self.training)
        series = {"raw": whole(unseen), "quantile mapping": mapped}
        series |= {"bcsd": bcsd(debiased), "analogues": analogues(debiased)}
        return {name: np.where(domain.mask, fields, np.nan) for name, fields in series.items()}

    def ensemble(self, product: str, name: str) -> np.ndarray:
        """One variable of an ensemble, (time, member, *space)."""
        with xr.open_zarr(self.run.path(f"{product}.zarr"), chunks=None) as stored:
            return np.moveaxis(stored[name][: self.n_scored(product)].values, 0, 1)

    def n_scored(self, product: str) -> int:
        """How many members are read."""
        with xr.open_zarr(self.run.path(f"{product}.zarr"), chunks=None) as stored:
            field = stored[self.run.config.climate.variables[0]]
            return min(len(field), max(3, MOST_VALUES // field[0].size))

    def smooth(self, fields: np.ndarray) -> np.ndarray:
        """Fine fields coarsened by C′ and interpolated back: all that a perfect coarse model would show."""
        domain = self.run.domain
        interpolate = bilinear(*self._grids, valid=domain.regridding.kept)
        return np.where(domain.mask, interpolate(domain.regridding.scatter(domain.coarsen(fields))), np.nan)

    @cached_property
    def smooth_reference(self) -> np.ndarray:
        return self.smooth(self.reference)

    @cached_property
    def noise_score(self) -> np.ndarray:
        """CRPS of interpolated coarsened truth plus the best constant Gaussian noise, one a channel."""
        noise = fit_local_noise(self.smooth(self.training), self.training)
        return noise.crps(self.smooth_reference, self.reference)


def verify_and_report(run: ClimateRun) -> Path:
    """Scores, `metrics.json` and the page."""
    scores, variables = Scores(run), run.config.climate.variables
    table: list[dict[str, Any]] = []
    evidence = []
    with progress_bar("verify") as update:
        update(0, len(variables) + 1, "baselines")
        _ = scores.candidates
        for c, name in enumerate(variables):
            update(c + 1, len(variables) + 1, name)
            generated, perfect = scores.ensemble("ensemble", name), scores.ensemble("perfect_model", name)
            table += unpaired_rows(scores, generated, c)
            rows, flatness = perfect_rows(scores, perfect, c)
            table += rows
            change = change_maps(scores, generated, c) if run.config.climate.scenario else None
            if change is not None:
                table.append(change["row"])
            evidence.append(_evidence(scores, generated, perfect, flatness, change, c))
        update(len(variables) + 1, len(variables) + 1)
    content = {
        "name": run.config.run.name,
        "seed": run.config.run.seed,
        "table": table,
        "machine": machine_summary(),
        "config": run.config.model_dump(mode="json"),
    }
    write_json(run.path("metrics.json"), content)
    return write_climate_report(
        run.path("report.html"),
        title=run.config.run.name,
        summary=_summary(run),
        table=table,
        columns=COLUMNS,
        configuration=run.path("config.toml").read_text(encoding="utf-8"),
        evidence=evidence,
        notes=_notes(scores),
        timings={},
    )


def _notes(scores: Scores) -> list[str]:
    """What a reader must know before believing the figures."""
    notes = [
        "Nothing was fitted on the winters that are scored. The noise floor of an unpaired metric is that metric "
        "between the training winters and the scored winters of the reference itself.",
        "Generated scores are means over members, each compared as one series, like the baselines.",
    ]
    n, scored = scores.run.config.sampling.n_members, scores.n_scored("ensemble")
    few = f"Scored are the first {scored} of {n} members, which fit into memory."
    return notes if scored == n else [*notes, few]


def unpaired_rows(scores: Scores, generated: np.ndarray, channel: int) -> list[dict[str, Any]]:
    """Distribution, dependence and extremes of every candidate against the reference winters."""
    name = scores.run.config.climate.variables[channel]
    reference, training = scores.reference[:, channel], scores.training[:, channel]
    mask = scores.run.domain.mask
    fine = scores.run.fine_series
    training_winters = fine.winter[scores.run.trained(fine)]
    metrics = _metrics(name, reference, scores.winters, mask)
    if min(len(np.unique(w)) for w in (scores.winters, training_winters, scores.model_winters)) >= FEWEST_WINTERS:
        metrics["return level"] = _return_level(reference, scores.winters, mask)
    series = {column: fields[:, channel] for column, fields in scores.candidates.items()}
    rows = []
    for metric, score in metrics.items():
        row: dict[str, Any] = {"group": f"{name}: unpaired", "metric": metric, "target": "0", "about": ABOUT[metric]}
        row |= {column: score(fields, scores.model_winters) for column, fields in series.items()}
        members = [score(generated[:, m], scores.model_winters) for m in range(generated.shape[1])]
        row["generated"] = float(np.mean(members))
        row["floor"] = score(training, training_winters)
        rows.append(row)
    return rows


def _metrics(name: str, reference: np.ndarray, winters: np.ndarray, mask: np.ndarray) -> dict[str, Any]:
    """Scores of one series of fields and its winters against the reference, by name."""

    metrics: dict[str, Any] = {
        "W1": lambda fields, _: float(np.nanmean(wasserstein_1_per_cell(fields, reference, mask=mask))),
        "CorrRMSE": lambda fields, _: correlation_rmse(fields, reference, mask=mask),
    }
    if name in PRECIPITATION:
        wet = float(wet_day_frequency(reference[:, mask]).mean())
        spells = lambda fields, groups: float(  # noqa: E731
            np.nanmean(wet_and_dry_spells(fields[:, mask], groups)[0].mean)
        )
        spell = spells(reference, winters)
        metrics["wet days"] = lambda fields, _: abs(float(wet_day_frequency(fields[:, mask]).mean()) - wet)
        metrics["wet spells"] = lambda fields, groups: abs(spells(fields, groups) - spell)
    else:
        threshold = np.quantile(reference[:, mask], 0.9, axis=0)
        count = lambda fields, groups: float(  # noqa: E731
            np.nanmean(warm_spells(fields[:, mask], threshold, groups, minimum_days=3).count)
        )
        spell = count(reference, winters)
        metrics["heat waves"] = lambda fields, groups: abs(count(fields, groups) - spell)
    return metrics


def _return_level(reference: np.ndarray, winters: np.ndarray, mask: np.ndarray):
    """The score of 20-winter return levels."""

    def level(fields, groups):
        return np.asarray(gev_return_level(*fit_gev(jnp.asarray(segment_maxima(fields[:, mask], groups))), 20.0))

    wanted = level(reference, winters)
    return lambda fields, groups: float(np.nanmean(np.abs(level(fields, groups) - wanted)))


def perfect_rows(scores: Scores, perfect: np.ndarray, channel: int) -> tuple[list[dict[str, Any]], FlatnessTest]:
    """CRPS, spread/skill and rank flatness where the truth is known."""
    name, mask = scores.run.config.climate.variables[channel], scores.run.domain.mask
    truth, ensemble = scores.reference[:, channel : channel + 1], perfect[:, :, None]
    crps = float(np.nanmean(fair_crps_per_cell(ensemble, truth, mask=mask)))
    own = float(np.nanmean(fair_crps_per_cell(ensemble[:, 1:], ensemble[:, 0], mask=mask)))
    ratio = float(spread_skill_per_channel(ensemble, truth, mask=mask)[0])
    ranks = ranks_of_truth(ensemble, truth, mask=mask, key=scores.run.key(9))
    flatness = rank_flatness_test(ranks, ensemble.shape[1], segment=scores.winters)
    group = f"{name}: perfect model"
    return [
        {"group": group, "metric": "CRPS", "target": "0", "about": ABOUT["CRPS"], "generated": crps, "floor": own}
        | {"quantile mapping": None, "bcsd": float(scores.noise_score[channel])},
        {"group": group, "metric": "spread/skill", "target": "1", "about": ABOUT["spread/skill"], "generated": ratio},
        {
            "group": group,
            "metric": "rank flatness p",
            "target": ">.05",
            "about": ABOUT["rank flatness p"],
            "generated": flatness.p_value,
        },
    ], flatness


def change_maps(scores: Scores, generated: np.ndarray, channel: int) -> dict[str, Any]:
    """Change of the mean from the unseen historical winters to the scenario, of the model and of the output."""
    run = scores.run
    _, trained = scores._split
    assert run.scenario is not None
    scenario = series_of(run.scenario, run.config.climate.variables).values
    name = run.config.climate.variables[channel]
    coarse = scenario[:, channel].mean(0, dtype=np.float64) - scores.coarse[~trained, channel].mean(0, dtype=np.float64)
    after, before = (fields.mean((0, 1), dtype=np.float64) for fields in (scores.ensemble("scenario", name), generated))
    output = after - before
    inside = np.where(run.domain.mask, bilinear(*scores._grids)(coarse), np.nan)
    kept = run.domain.regridding.kept
    coarsened = run.domain.coarsen(np.nan_to_num(output)[None, None])[0, 0]
    error = float(np.sqrt(np.mean((coarsened - coarse[kept]) ** 2)))
    labels = run.coarse_series.winter
    winters = [scores.coarse[labels == w, channel].mean(0)[kept] for w in np.unique(scores.model_winters)]
    floor = float(np.sqrt(np.mean(np.var(winters, axis=0, ddof=1)) / len(winters)))
    row = {"group": f"{name}: change", "metric": "change", "target": "0", "about": ABOUT["change"]}
    return {"input": inside, "output": output, "row": row | {"generated": error, "floor": floor}}


def _evidence(scores: Scores, generated, perfect, flatness: FlatnessTest, change, channel: int) -> ClimateEvidence:
    run = scores.run
    name = run.config.climate.variables[channel]
    times = run.fine_series.time[~scores._split[0]]
    candidates = {**scores.candidates, "floor": scores.training}
    return ClimateEvidence(
        variable=name,
        units=str(run.fine[name].attrs.get("units", "")),
        lat=run.fine.lat.values,
        lon=run.fine.lon.values,
        mask=run.domain.mask,
        reference=scores.reference[:, channel],
        candidates={column: fields[:, channel] for column, fields in candidates.items()},
        generated=generated,
        perfect_truth=scores.reference[:, channel],
        perfect_ensemble=perfect,
        dates=[str(time)[:10] for time in times],
        rank_counts=flatness.counts,
        flatness_p=flatness.p_value,
        effective_samples=float(flatness.effective_samples),
        perfect_coarse=scores.smooth_reference[:, channel],
        change=None if change is None else {"input": change["input"], "output": change["output"]},
    )


def _summary(run: ClimateRun) -> list[tuple[str, str]]:
    config, machine = run.config, machine_summary()
    grid = lambda shape: " x ".join(map(str, shape))  # noqa: E731
    kept = run.domain.regridding.kept
    return [
        ("Variables", ", ".join(config.climate.variables)),
        ("Grids", f"{grid(kept.shape)} ({kept.sum()} cells kept) to {grid(run.domain.mask.shape)}"),
        ("Fine cells", f"{run.domain.mask.sum()} of {run.domain.mask.size}"),
        ("Training", config.climate.training),
        ("Debiasing", config.debias.method + (" and marginals" if config.debias.marginals else "")),
        ("Members", str(config.sampling.n_members)),
        ("Seed", str(config.run.seed)),
        ("Machine", f"{machine['cores']} cores {machine['processor']}, jax {machine['jax']}"),
    ]
