"""The stages of a climate run: prepare, debias, train, downscale, verify.

Each leaves its part in the run's folder and is skipped if the part is there:

    RUN/config.toml            the resolved configuration
    RUN/domain.zarr            grids, mask, C′, climatology, change
    RUN/targets.zarr           debiased coarse anomalies to downscale
    RUN/perfect_targets.zarr   coarsened reference anomalies (winters not trained on)
    RUN/scenario_targets.zarr  the same for the scenario, if there is one
    RUN/model/                 the prior
    RUN/ensemble.zarr, perfect_model.zarr, scenario.zarr
    RUN/metrics.json, report.html
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import jax.random as jr
import numpy as np
import xarray as xr

from subgrid.cli.climate_config import ClimateConfig, absolute, load_climate_config, sources
from subgrid.cli.experiment import check_own_folder, keep_config
from subgrid.cli.progress import progress_bar
from subgrid.data.climate import check_climate, open_climate
from subgrid.data.fields import DataError
from subgrid.data.grids import grid_of
from subgrid.data.regrid import conservative_coarsening
from subgrid.data.store import OutputExists, write_zarr
from subgrid.downscaling import climate
from subgrid.downscaling.climate import Anomalies, Domain, Series
from subgrid.downscaling.climate_prior import RefinementSettings, is_trained, load_climate_prior, train_climate_prior
from subgrid.downscaling.climate_sampler import (
    climate_sampler,
    draw_anomalies,
    fit_marginals,
    load_domain,
    needs_marginals,
    save_domain,
    save_marginals,
)
from subgrid.downscaling.series import SeriesDebiaser

MARGINAL_MEMBERS = 4
"""Draws for every training day that the marginals of the prior are told from."""


@dataclass
class ClimateRun:
    """One climate run: its configuration, its folder, and the archives it reads, each opened once."""

    config: ClimateConfig
    folder: Path

    def path(self, name: str) -> Path:
        return self.folder / name

    def key(self, stream: int) -> jax.Array:
        return jr.fold_in(jr.key(self.config.run.seed), stream)

    @cached_property
    def fine(self) -> xr.Dataset:
        return self._open("fine")

    @cached_property
    def coarse(self) -> xr.Dataset:
        return self._open("coarse")

    @cached_property
    def scenario(self) -> xr.Dataset | None:
        return self._open("scenario") if self.config.climate.scenario else None

    @cached_property
    def domain(self) -> Domain:
        table = self.config.climate
        return climate.connect(self.fine, self.coarse, table.variables, minimum_valid=table.minimum_valid)

    @cached_property
    def fine_series(self) -> Series:
        return climate.series_of(self.fine, self.config.climate.variables)

    @cached_property
    def coarse_series(self) -> Series:
        return self._kept(self.coarse)

    @cached_property
    def fine_anomalies(self) -> Anomalies:
        series = self.fine_series
        return climate.fit_anomalies(
            series[self.trained(series)], self.domain.transforms, n_harmonics=self.config.climate.n_harmonics
        )

    def trained(self, series: Series) -> np.ndarray:
        """Which samples everything is fitted on."""
        if self.config.climate.training == "all":
            return np.ones(len(series.winter), bool)
        odd = series.winter % 2 == 1
        if odd.all() or not odd.any():
            raise DataError(
                'climate.training = "odd-winters" needs odd and even winters, but the archive holds only '
                f'{sorted(set(series.winter.tolist()))}; bring more or set it to "all".'
            )
        return odd

    def _kept(self, dataset: xr.Dataset) -> Series:
        series = climate.series_of(dataset, self.config.climate.variables)
        kept = np.asarray(self.domain.regridding.select(series.values))
        return Series(kept, series.phase, series.winter, series.time, series.member)

    def _open(self, which: str) -> xr.Dataset:
        table = self.config.climate
        dataset = open_climate(sources(getattr(table, which)), table.variables, name=which)
        return check_climate(dataset, name=which, gaps=table.gaps if which == "fine" else "refuse")


MADE_FROM = {
    "domain.zarr": ("run", "climate", "debias"),
    "model": ("run", "climate", "prior"),
    "ensemble.zarr": ("run", "climate", "debias", "prior"),
}
"""The tables that each part of a run folder depends on; the stores check the table [sampling] themselves."""


def open_run(path: Path, overrides: Sequence[str], folder: Path) -> ClimateRun:
    """A new run folder, or the continuation of one: what is finished in it must have been made as the file says.

    **Raises:** `ConfigError`; `OutputExists`, naming the key, if a finished part was made with another value.
    """
    config = load_climate_config(path, overrides)
    config = config.model_copy(update={"climate": absolute(config.climate, path.resolve().parent)})
    check_own_folder(folder, kind="run")
    stored = folder / "config.toml"
    if stored.exists():
        _refuse_other_values(load_climate_config(stored), config, folder)
    keep_config(config, stored)
    return ClimateRun(config, folder)


def _refuse_other_values(stored: ClimateConfig, wanted: ClimateConfig, folder: Path) -> None:
    old, new = stored.model_dump(), wanted.model_dump()
    for part, tables in MADE_FROM.items():
        for table in tables if (folder / part).exists() else ():
            for key, value in old[table].items():
                if value != new[table][key] and (table, key) != ("run", "name"):
                    raise OutputExists(
                        f"{folder}: {part} was made with {table}.{key} = {value!r}, not {new[table][key]!r}; "
                        f"remove {part} to make it anew, or choose another output folder."
                    )


def run_all(run: ClimateRun) -> Path:
    """Every stage in order; returns the path of the report."""
    from subgrid.cli import climate_scoring

    prepare(run)
    train(run)
    downscale(run)
    return climate_scoring.verify_and_report(run)


def prepare(run: ClimateRun) -> None:
    """Everything cheap, and everything that can be wrong with the input: grids, C′, climatologies, debiasing."""
    if run.path("domain.zarr").exists():
        return
    with progress_bar("prepare and debias") as update:
        update(0, 3, "open")
        fine, coarse = run.fine_series, run.coarse_series
        anomalies = run.fine_anomalies
        coarse_anomalies = climate.fit_anomalies(
            coarse[run.trained(coarse)], run.domain.transforms, n_harmonics=run.config.climate.n_harmonics
        )
        update(1, 3, "debias")
        reference = run.domain.coarsen(anomalies.of(fine))
        target = reference[run.trained(fine)]
        source = coarse_anomalies.of(coarse)
        debiaser = _fit_debiaser(run, source[run.trained(coarse)], target)
        _write_targets(run, coarse, source, debiaser)
        _write_perfect_targets(run, fine, reference)
        update(2, 3, "change")
        change = _scenario_targets(run, coarse, coarse_anomalies, debiaser) if run.scenario is not None else None
        save_domain(run.folder, run.domain, anomalies, change)
        update(3, 3)


def _fit_debiaser(run: ClimateRun, source: np.ndarray, target: np.ndarray) -> SeriesDebiaser:
    return climate.fit_climate_debiaser(source, target, **run.config.debias.model_dump())


def _downscaled(run: ClimateRun, series: Series) -> np.ndarray:
    """Which samples are downscaled: those not trained on, or all where everything is."""
    trained = run.trained(series)
    return np.flatnonzero(trained if trained.all() else ~trained)


def _write_targets(run: ClimateRun, coarse: Series, source: np.ndarray, debiaser: SeriesDebiaser) -> None:
    chosen = _downscaled(run, coarse)
    _save_targets(run, "targets", debiaser.adjust(source[chosen]), coarse[chosen], raw=coarse.values[chosen])


def _write_perfect_targets(run: ClimateRun, fine: Series, reference: np.ndarray) -> None:
    chosen = _downscaled(run, fine)
    _save_targets(run, "perfect_targets", reference[chosen], fine[chosen])


def _scenario_targets(run: ClimateRun, coarse: Series, anomalies: Anomalies, debiaser: SeriesDebiaser):
    """Targets of the scenario in the climate of the reference, and the change to put back, on the fine grid."""
    assert run.scenario is not None
    whole, scenario = (climate.series_of(d, run.config.climate.variables) for d in (run.coarse, run.scenario))
    signal = climate.model_change(run.domain, whole, scenario)
    stationary = np.asarray(signal.remove(scenario.values, scenario.phase))
    kept = np.asarray(run.domain.regridding.select(stationary))
    series = Series(kept, scenario.phase, scenario.winter, scenario.time, scenario.member)
    moved = debiaser.adjust(anomalies.of(series))
    fitted = debiaser.adjust(anomalies.of(coarse))
    raw = np.asarray(run.domain.regridding.select(scenario.values))
    _save_targets(run, "scenario_targets", climate.without_drift(moved, fitted), series, raw=raw)
    return signal.on(climate.interpolation(run.coarse, run.fine))


def _save_targets(run: ClimateRun, name: str, target: np.ndarray, series: Series, raw: np.ndarray | None = None):
    variables: dict[str, Any] = {
        "target": (("sample", "channel", "kept"), np.asarray(target, np.float32)),
        "phase": ("sample", series.phase),
        "winter": ("sample", series.winter),
        "member_of_model": ("sample", series.member),
    }
    if raw is not None:
        variables["raw"] = (("sample", "channel", "kept"), np.asarray(raw, np.float32))
    dataset = xr.Dataset(variables, coords={"time": ("sample", series.time)})
    dataset.attrs["config"] = json.dumps(run.config.model_dump(exclude={"sampling"}))
    write_zarr(dataset, run.path(f"{name}.zarr"))


def train(run: ClimateRun) -> None:
    """The prior of fine anomalies, and the marginals of its draws; resumes from its last checkpoint."""
    folder = run.path("model")
    series, table = run.fine_series, run.config.prior
    chosen = np.flatnonzero(run.trained(series))
    fields = np.nan_to_num(run.fine_anomalies.of(series[chosen]))
    if not is_trained(folder):
        keys = set(RefinementSettings.__dataclass_fields__)
        settings = RefinementSettings(**{k: v for k, v in table.model_dump().items() if k in keys})
        with progress_bar("train") as update:
            train_climate_prior(
                fields,
                series.winter[chosen],
                mask=run.domain.mask.astype(np.float32),
                predictors=_orography(run),
                settings=settings,
                directions=table.directions,
                folder=folder,
                report=lambda step, numbers: update(step, settings.n_steps, f"loss {numbers['loss']:.4f}"),
                key=run.key(0),
            )
    if needs_marginals(run.config.climate.variables) and not (folder / "marginals.zarr").exists():
        with progress_bar("marginals") as update:
            update(0, 1)
            _fit_marginals(run, fields)
            update(1, 1)


def _fit_marginals(run: ClimateRun, fields: np.ndarray) -> None:
    prior, domain = load_climate_prior(run.path("model")), load_domain(run.folder)
    targets = np.repeat(run.domain.coarsen(fields), MARGINAL_MEMBERS, axis=0)
    keys = jr.split(run.key(1), len(targets))
    drawn = draw_anomalies(prior, domain.operator, targets, keys, n_levels=run.config.sampling.n_levels)
    save_marginals(run.path("model"), fit_marginals(drawn, fields, domain.mask))


def _orography(run: ClimateRun) -> np.ndarray | None:
    """Static predictors on the fine grid: means over its cells of a finer field, conservatively."""
    source = run.config.climate.orography
    if source is None:
        return None
    dataset = open_climate(sources(source), name="orography")
    (name,) = list(dataset.data_vars)[:1]
    grids = grid_of(dataset, source="orography"), grid_of(run.fine, source="fine")
    regridding = conservative_coarsening(*grids, minimum_valid=0.0)
    values = np.asarray(regridding.operator(dataset[name].squeeze(drop=True).values.astype(np.float32)))
    return np.nan_to_num(regridding.scatter(values))[None]


def downscale(run: ClimateRun) -> None:
    """All ensembles, work item by work item, by the configured scheduler; resumes from the items that are done."""
    products = {"targets": "ensemble.zarr", "perfect_targets": "perfect_model.zarr"}
    if run.config.climate.training == "all":
        products.pop("perfect_targets")
    if run.config.climate.scenario:
        products["scenario_targets"] = "scenario.zarr"
    for targets, output in products.items():
        sample_store(run, targets, output)


def sample_store(run: ClimateRun, targets: str, output: str) -> None:
    """One ensemble: the store is made or found, and what is pending of it is done."""
    from subgrid.execution import runners
    from subgrid.execution.sampling import loader_of

    store = _make_store(run, targets, output)
    loader = loader_of(
        climate_sampler,
        folder=str(run.folder.resolve()),
        targets=targets,
        n_levels=run.config.sampling.n_levels,
        with_change=targets == "scenario_targets",
    )
    with progress_bar(output.removesuffix(".zarr").replace("_", " ")) as update:
        scheduler = runners.parse_scheduler(run.config.sampling.scheduler)
        runners.run(store, loader, scheduler, progress=lambda done, total, *_: update(done, total))


def _make_store(run: ClimateRun, targets: str, output: str):
    from subgrid.execution.template import Template, create_store

    with xr.open_zarr(run.path(f"{targets}.zarr"), chunks=None) as source:
        time = source.time.values
    variables = {name: dict(run.fine[name].attrs) for name in run.config.climate.variables}
    coordinates = run.fine.drop_vars(list(run.fine.data_vars)).drop_vars("time", errors="ignore")
    coordinates = coordinates.drop_dims([d for d in ("time", "realization") if d in coordinates.dims])
    space = tuple(str(d) for d in run.fine[next(iter(variables))].dims if d not in ("time", "realization"))
    n_members = run.config.sampling.n_members
    per_item = max(1, 1024 // n_members)
    chunk = {"time": per_item, "realization": n_members}
    template = Template(
        coordinates.assign_coords(time=("time", time)),
        variables,
        space=space,
        n_members=n_members,
        chunks=chunk,
        shards=chunk,
        attributes={"title": f"Subgrid {run.config.run.name}: {output}"},
    )
    return create_store(
        run.path(output),
        template,
        seed=run.config.run.seed,
        configuration=run.config.model_dump(exclude={"sampling": {"scheduler"}}, mode="json"),
        checkpoint=_fingerprint(run.path("model") / "settings.json"),
        bit_rounding=run.config.sampling.bit_rounding,
    )


def _fingerprint(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
