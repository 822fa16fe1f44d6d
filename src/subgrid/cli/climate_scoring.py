"""What a climate run is worth: every metric beside its baselines and its noise floor, and the page that shows it.

Unpaired scores compare one member at a time with the reference winters that nothing was fitted on, as one series with
another, and average over members; baselines are one series each. Perfect-model scores have the truth.
"""

import json
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from subgrid.cli.climate_choices import choices_of, prior_choice, spread_maps, told_debiasing, told_prior
from subgrid.cli.climate_metrics import (
    COLUMNS,
    INDEPENDENT,
    WHERE,
    perfect_rows,
    rank_correlation_score,
    rank_flatness,
    row_of,
    unpaired_scores,
)
from subgrid.cli.climate_stages import ClimateRun, products
from subgrid.cli.experiment import machine_summary
from subgrid.cli.progress import progress_bar
from subgrid.data.store import write_json
from subgrid.downscaling.climate import Series, change_kinds, series_of
from subgrid.downscaling.climate_baselines import (
    Anomaly,
    fit_analogues,
    fit_interpolated_quantile_mapping,
    fit_local_noise,
    fit_spatial_disaggregation,
)
from subgrid.downscaling.debias import fit_quantile_mapping
from subgrid.downscaling.interpolation import bilinear
from subgrid.execution.store import MARKERS
from subgrid.report.choice_figures import choice_plates
from subgrid.report.climate_evidence import ClimateEvidence
from subgrid.report.climate_page import write_climate_report
from subgrid.verification.effective import effective_sample_size
from subgrid.verification.rank_tests import FlatnessTest
from subgrid.verification.resampling import mean_change

MOST_VALUES = 2**28
"""Of one ensemble of one variable in memory, 1 GiB: of larger ones, as many members are scored as fit, 3 at least."""


@dataclass
class Scores:
    """The fields that a run is judged on, on the fine grid, physical units: (time, channel, *space)."""

    run: ClimateRun
    _flatness: dict[tuple[int, str], FlatnessTest] = field(default_factory=dict)

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
            first = stored[self.run.config.climate.variables[0]]
            return min(len(first), max(3, MOST_VALUES // first[0].size))

    def smooth(self, fields: np.ndarray) -> np.ndarray:
        """Fine fields coarsened by C′ and interpolated back: all that a perfect coarse model would show."""
        domain = self.run.domain
        interpolate = bilinear(*self._grids, valid=domain.regridding.kept)
        return np.where(domain.mask, interpolate(domain.regridding.scatter(domain.coarsen(fields))), np.nan)

    @cached_property
    def smooth_reference(self) -> np.ndarray:
        return self.smooth(self.reference)

    @property
    def kinds(self) -> dict[str, np.ndarray]:
        """Sets of cells that are scored: all, and where the coarse domain covers a part only, either part."""
        domain = self.run.domain
        outside = domain.mask & ~domain.constrained
        apart = {"constrained": domain.constrained, "outside": outside} if outside.any() else {}
        return {"": domain.mask} | apart

    def independent(self, channel: int) -> float:
        """Fields that a floor rests on: the fewer of training and scored reference, by autocorrelation."""
        series, anomalies = self.run.fine_series, self.run.coarsened[:, channel]
        parts = (self._split[0], ~self._split[0])
        return min(effective_sample_size(anomalies[part], series.winter[part]) for part in parts)

    def flatness(self, channel: int, kind: str = "") -> FlatnessTest:
        """Of the truth's ranks in perfect-model mode, computed once."""
        if (channel, kind) not in self._flatness:
            name = self.run.config.climate.variables[channel]
            self._flatness[channel, kind] = rank_flatness(
                self.reference[:, channel],
                self.ensemble("perfect_model", name),
                self.winters,
                mask=self.kinds[kind],
                key=self.run.key("ranks", name),
            )
        return self._flatness[channel, kind]

    def model_change(self, channel: int) -> np.ndarray:
        """The coarse model's own change of the mean from the unseen winters to the scenario, on its grid."""
        before = self.coarse[~self._split[1], channel].mean(0, dtype=np.float64)
        return self.scenario.values[:, channel].mean(0, dtype=np.float64) - before

    @cached_property
    def scenario(self) -> Series:
        """The coarse model in the scenario's period."""
        if self.run.scenario is None:
            raise ValueError("there is no scenario, and so no change.")
        return series_of(self.run.scenario, self.run.config.climate.variables)

    @cached_property
    def noise_score(self) -> np.ndarray:
        """CRPS of interpolated coarsened truth plus the best constant Gaussian noise, one a channel."""
        noise = fit_local_noise(self.smooth(self.training), self.training)
        return noise.crps(self.smooth_reference, self.reference)


def is_scored(run: ClimateRun) -> bool:
    """Whether metrics and page are there, of this configuration, and no older than all that they were made from.

    Who samples is left out: the tasks of an array differ in it alone.
    """
    written = [run.path(name) for name in ("metrics.json", "report.html")]
    if not all(path.exists() for path in written):
        return False
    stored = json.loads(written[0].read_text(encoding="utf-8")).get("config")
    made_from = [run.path(output) / MARKERS for output in products(run).values()]
    made_from += [run.path("domain.zarr"), run.path("model") / "settings.json"]
    newest = max(path.stat().st_mtime_ns for path in made_from if path.exists())
    return _judged(stored) == _judged(_as_json(run)) and min(p.stat().st_mtime_ns for p in written) >= newest


def _as_json(run: ClimateRun) -> dict[str, Any]:
    return run.config.model_dump(mode="json")


def _judged(config: Any) -> Any:
    sampling = {key: value for key, value in config["sampling"].items() if key != "scheduler"}
    return {**config, "sampling": sampling}


def verify_and_report(run: ClimateRun) -> Path:
    """Scores, `metrics.json` and the page."""
    scores, variables = Scores(run), run.config.climate.variables
    table: list[dict[str, Any]] = []
    evidence, changes = [], []
    with progress_bar("verify") as update:
        update(0, len(variables) + 1, "baselines")
        _ = scores.candidates
        for c, name in enumerate(variables):
            update(c + 1, len(variables) + 1, name)
            evidence.append(evidence_of(scores, c))
            table += rows_of(scores, evidence[-1], c)
            if run.config.climate.scenario:
                changes.append(change_with_interval(scores, evidence[-1].generated, c))
        table += [between_row(scores, evidence, pair) for pair in combinations(range(len(variables)), 2)]
        update(len(variables) + 1, len(variables) + 1)
    content = {
        "name": run.config.run.name,
        "seed": run.config.run.seed,
        "table": table,
        "changes": changes,
        "choices": choices_of(run),
        "machine": machine_summary(),
        "config": _as_json(run),
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
        choices=choice_plates(run.fitted.choice, prior_choice(run)),
        notes=[*_notes(scores), *map(told_change, changes)],
        timings={},
    )


def rows_of(scores: Scores, evidence: ClimateEvidence, channel: int) -> list[dict[str, Any]]:
    """All rows of one variable."""
    noise = float(scores.noise_score[channel])
    rows = unpaired_rows(scores, evidence.generated, channel)
    for kind, cells in scores.kinds.items():
        rows += perfect_rows(
            evidence.variable,
            evidence.perfect_truth,
            evidence.perfect_ensemble,
            mask=cells,
            noise=None if kind else noise,
            flatness=scores.flatness(channel, kind),
            mode=_mode("perfect model", kind),
        )
    if evidence.change is not None:
        rows.append(change_row(scores, evidence.change, channel))
    return rows


def _mode(mode: str, kind: str) -> str:
    return f"{mode}, {WHERE[kind]}" if kind else mode


def _notes(scores: Scores) -> list[str]:
    """What a reader must know before believing the figures."""
    choice = scores.run.fitted.choice
    chosen = [] if choice is None else choice.told()
    outside = scores.kinds.get("outside")
    apart = []
    if outside is not None:
        apart = [
            f"{outside.sum()} of {scores.run.domain.mask.sum()} fine cells lie under no coarse cell of the constraint "
            "(hatched on the map of the spread); they are told from their neighbours alone and scored apart."
        ]
    notes = [
        *(_sentence(each) for each in (*chosen, *told_prior(scores.run.folder))),
        *apart,
        "Nothing was fitted on the winters that are scored. The noise floor of an unpaired metric is that metric "
        "between the training winters and the scored winters of the reference itself; beside it stands how many "
        "independent fields it rests on, by their autocorrelation.",
        "Generated scores are means over members, each compared as one series, like the baselines.",
    ]
    n, scored = scores.run.config.sampling.n_members, scores.n_scored("ensemble")
    few = f"Scored are the first {scored} of {n} members, which fit into memory."
    return notes if scored == n else [*notes, few]


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def unpaired_rows(scores: Scores, generated: np.ndarray, channel: int) -> list[dict[str, Any]]:
    """Distribution, dependence and extremes of every candidate against the reference winters."""
    run, fine = scores.run, scores.run.fine_series
    name, training = run.config.climate.variables[channel], scores.training[:, channel]
    training_winters = fine.winter[run.trained(fine)]
    sets = (scores.winters, training_winters, scores.model_winters)
    rows, independent = [], scores.independent(channel)
    for kind, cells in scores.kinds.items():
        metrics = unpaired_scores(
            name,
            scores.reference[:, channel],
            scores.winters,
            mask=cells,
            lat=run.fine.lat.values,
            lon=run.fine.lon.values,
            fewest=min(len(np.unique(winters)) for winters in sets),
            key=run.key("return level", name),
            few=bool(kind),
        )
        for metric, score in metrics.items():
            found = {role: score(f[:, channel], scores.model_winters) for role, f in scores.candidates.items()}
            members = [score(generated[:, m], scores.model_winters) for m in range(generated.shape[1])]
            found |= {"generated": float(np.mean(members)), "floor": score(training, training_winters)}
            rows.append(row_of(name, _mode("unpaired", kind), metric, **found, **{INDEPENDENT: independent}))
    return rows


def between_row(scores: Scores, evidence: list[ClimateEvidence], pair: tuple[int, int]) -> dict[str, Any]:
    """The dependence between two variables, of every candidate against the reference winters."""
    chosen = list(pair)
    score = rank_correlation_score(scores.reference[:, chosen], scores.run.domain.mask)
    found = {role: score(fields[:, chosen]) for role, fields in scores.candidates.items()}
    ensembles = [evidence[c].generated for c in pair]
    members = zip(*(np.moveaxis(ensemble, 1, 0) for ensemble in ensembles), strict=True)
    found |= {"generated": float(np.mean([score(np.stack(both, axis=1)) for both in members]))}
    names = ", ".join(evidence[c].variable for c in pair)
    return row_of(names, "unpaired", "rank correlation", **found, floor=score(scores.training[:, chosen]))


def change_maps(scores: Scores, generated: np.ndarray, channel: int) -> dict[str, np.ndarray]:
    """Change of the mean from the unseen historical winters to the scenario, of the model and of the output."""
    run = scores.run
    coarse = scores.model_change(channel)
    scenario = scores.ensemble("scenario", run.config.climate.variables[channel])
    after, before = (fields.mean((0, 1), dtype=np.float64) for fields in (scenario, generated))
    return {"input": np.where(run.domain.mask, bilinear(*scores._grids)(coarse), np.nan), "output": after - before}


def change_row(scores: Scores, change: dict[str, np.ndarray], channel: int) -> dict[str, Any]:
    """How far C′ of the output's change is from the model's own; floor: the sampling error of the model's."""
    run, name = scores.run, scores.run.config.climate.variables[channel]
    kept = run.domain.regridding.kept
    coarsened = run.domain.coarsen(np.nan_to_num(change["output"])[None, None])[0, 0]
    error = float(np.sqrt(np.mean((coarsened - scores.model_change(channel)[kept]) ** 2)))
    before = _variance_of_mean(scores.coarse[~scores._split[1], channel][:, kept], scores.model_winters)
    later = scores.scenario
    after = _variance_of_mean(later.values[:, channel][:, kept], later.winter)
    return row_of(name, "change", "change", generated=error, floor=float(np.sqrt(np.mean(before + after))))


def change_with_interval(scores: Scores, generated: np.ndarray, channel: int) -> dict[str, Any]:
    """The change of the output's mean over all cells, with its interval: from independent draws and resampled winters.

    Without an interval, and with the reason, where the two ensembles share their noise or winters are too few.
    """
    run, name = scores.run, scores.run.config.climate.variables[channel]
    after, before = (
        fields[..., run.domain.mask].mean(-1, dtype=np.float64)
        for fields in (scores.ensemble("scenario", name), generated)
    )
    told = {
        "variable": name,
        "units": str(run.fine[name].attrs.get("units", "")),
        "change": after.mean() - before.mean(),
    }
    if run.config.sampling.common_noise:
        return told | {"no_interval": "the two ensembles share their noise (sampling.common_noise = true)"}
    winters = scores.model_winters, scores.scenario.winter
    if min(len(np.unique(each)) for each in winters) < 2:
        return told | {"no_interval": "there is one winter only"}
    n = min(before.shape[1], after.shape[1])  # of large ensembles fewer members are read
    found = mean_change(before[:, :n], after[:, :n], *winters, key=run.key("change", name))
    return told | {"interval_90": [found.lower, found.upper], "member_spread": found.member_spread}


def told_change(change: dict[str, Any]) -> str:
    """One sentence for the page."""
    mean = f"Change of the mean of {change['variable']} over all fine cells: {change['change']:.3g} {change['units']}"
    if "no_interval" in change:
        return f"{mean}. No interval from members is given: {change['no_interval']}."
    lower, upper = change["interval_90"]
    return (
        f"{mean}, 90 % interval {lower:.3g} to {upper:.3g}, from resampled winters and members whose noise is "
        f"independent in the two periods; over members alone its standard deviation is {change['member_spread']:.2g}."
    )


def _variance_of_mean(fields: np.ndarray, winters: np.ndarray) -> np.ndarray:
    """Of each cell, from how winters differ, which are the independent units."""
    means = [fields[winters == winter].mean(0) for winter in np.unique(winters)]
    return np.var(means, axis=0, ddof=1) / len(means)


def evidence_of(scores: Scores, channel: int) -> ClimateEvidence:
    """What the figures of one variable are drawn from."""
    run, flatness = scores.run, scores.flatness(channel)
    name = run.config.climate.variables[channel]
    times = run.fine_series.time[~scores._split[0]]
    candidates, generated = {**scores.candidates, "floor": scores.training}, scores.ensemble("ensemble", name)
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
    config, machine = run.config, machine_summary()
    grid = lambda shape: " x ".join(map(str, shape))  # noqa: E731
    kept = run.domain.regridding.kept
    return [
        ("Variables", ", ".join(config.climate.variables)),
        ("Grids", f"{grid(kept.shape)} ({kept.sum()} cells kept) to {grid(run.domain.mask.shape)}"),
        ("Fine cells", f"{run.domain.mask.sum()} of {run.domain.mask.size}"),
        ("Training", config.climate.training),
        ("Debiasing", told_debiasing(run)),
        ("Members", str(config.sampling.n_members)),
        ("Seed", str(config.run.seed)),
        ("Machine", f"{machine['cores']} cores {machine['processor']}, jax {machine['jax']}"),
    ]
