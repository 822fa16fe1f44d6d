"""The stages of a climate run: prepare, debias, train, downscale, verify.

Each leaves its part in the run's folder and is skipped if the part is there:

    RUN/config.toml            the resolved configuration
    RUN/domain.zarr            mask, C′, climatology of the reference, change
    RUN/grid.zarr              the fine grid and the attributes of the variables
    RUN/debiasing.zarr         what is fitted on the coarse archive
    RUN/targets.zarr           debiased coarse anomalies to downscale
    RUN/perfect_targets.zarr   coarsened reference anomalies (winters not trained on)
    RUN/scenario_targets.zarr  the same for the scenario, if there is one
    RUN/model/                 the prior
    RUN/ensemble.zarr, perfect_model.zarr, scenario.zarr
    RUN/metrics.json, report.html
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from subgrid.cli.climate_config import Climate, ClimateConfig, ClimateDebias, absolute, load_climate_config, sources
from subgrid.cli.config import ConfigError
from subgrid.cli.progress import console, progress_bar
from subgrid.cli.run_folder import Reads, all_but, check_own_folder, keep_config, kept_config, require_same_values
from subgrid.cli.streams import ClimateStream, climate_key, climate_names
from subgrid.data.climate import check_climate, open_climate
from subgrid.data.fields import DataError
from subgrid.data.store import write_zarr
from subgrid.downscaling import climate, climate_run
from subgrid.downscaling.climate import Anomalies, Domain, Series
from subgrid.downscaling.climate_fit import CoarseFit, check_grid, fit_coarse, load_coarse, save_coarse
from subgrid.downscaling.climate_prior import RefinementSettings
from subgrid.downscaling.climate_sampler import climate_sampler, save_domain
from subgrid.downscaling.debiasing_choice import QUICK, Sample, n_fits
from subgrid.training.log import Report
from subgrid.types import Key

PREPARE_ONLY = "none"
"""The scheduler that samples nothing: what the jobs of an array wait for."""


@dataclass
class ClimateRun:
    """One climate run: its configuration, its folder, and the archives it reads, each opened once."""

    config: ClimateConfig
    folder: Path

    def path(self, name: str) -> Path:
        return self.folder / name

    def key(self, stream: ClimateStream, *of: str) -> Key:
        """The key of a named random stream (see `streams.py`)."""
        return climate_key(self.config.run.seed, stream, *of)

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
        """The coarse archive on its whole grid."""
        return climate.series_of(self.coarse, self.config.climate.variables)

    @cached_property
    def fine_anomalies(self) -> Anomalies:
        series = self.fine_series
        return climate.fit_anomalies(
            series[self.trained(series)], self.domain.transforms, n_harmonics=self.config.climate.n_harmonics
        )

    @cached_property
    def coarsened(self) -> np.ndarray:
        """C′ of the anomalies of the whole reference."""
        return self.domain.coarsen(self.fine_anomalies.of(self.fine_series))

    def fit(
        self, method: str | None = None, *, quick_strengths: bool = False, report: Report | None = None
    ) -> CoarseFit:
        """What is fitted on the coarse archive, by the configured method or by another.

        With `quick_strengths` a strength "auto" is 1 for methods that take long to fit.
        """
        series = self.fine_series
        options: dict[str, Any] = self.config.debias.model_dump()
        options |= {} if method is None else {"method": method}
        if quick_strengths and options["strength"] == "auto" and options["method"] not in QUICK:
            options["strength"] = 1.0
        chosen = self.trained(series)
        return fit_coarse(
            self.coarse,
            self.coarse_series,
            self.domain,
            Sample(self.coarsened[chosen], series.phase[chosen], series.winter[chosen]),
            trained=self.trained(self.coarse_series),
            n_harmonics=self.config.climate.n_harmonics,
            report=report,
            **options,
        )

    @cached_property
    def fitted(self) -> CoarseFit:
        """What `prepare` fitted on the coarse archive."""
        return load_coarse(self.folder)

    def trained(self, series: Series) -> np.ndarray:
        """Which samples everything is fitted on."""
        training = self.config.climate.training
        if training == "all":
            return np.ones(len(series.winter), bool)
        chosen = series.winter % 2 == (1 if training == "odd-winters" else 0)
        if chosen.all() or not chosen.any():
            raise DataError(
                f'climate.training = "{training}" needs odd and even winters, but the archive holds only '
                f'{sorted(set(series.winter.tolist()))}; bring more or set it to "all".'
            )
        return chosen

    def _open(self, which: str) -> xr.Dataset:
        table = self.config.climate
        dataset = open_climate(sources(getattr(table, which)), table.variables, name=which)
        return check_climate(dataset, name=which, gaps=table.gaps if which == "fine" else "refuse")


_SEED: Reads = {"run": ("seed",)}

_TRAINED: Reads = {**_SEED, "climate": all_but(Climate, "scenario"), "prior": (), "sampling": ("n_levels",)}
MADE_FROM: dict[str, Reads] = {
    "domain.zarr": {**_SEED, "climate": (), "debias": ()},
    "debiasers": {
        **_SEED,
        "climate": all_but(Climate, "scenario", "orography"),
        "debias": all_but(ClimateDebias, "method"),
    },
    "model": _TRAINED,
    "ensemble.zarr": {**_TRAINED, "climate": (), "debias": ()},
}
"""What each part of a run folder depends on; the stores check what else they are made with in [sampling]."""


def open_run(path: Path, overrides: Sequence[str], folder: Path) -> ClimateRun:
    """A new run folder, or the continuation of one: what is finished in it must have been made as the file says.

    **Raises:** `ConfigError`; `OutputExists`, naming the key, if a finished part was made with another value.
    """
    config = load_climate_config(path, overrides)
    _scheduler(config)
    config = config.model_copy(update={"climate": absolute(config.climate, path.resolve().parent)})
    check_own_folder(folder, kind="run")
    if (stored := kept_config(load_climate_config, folder)) is not None:
        require_same_values(folder, stored, config, MADE_FROM)
    keep_config(config, folder / "config.toml")
    return ClimateRun(config, folder)


def run_all(run: ClimateRun) -> Path | str:
    """Every stage in order.

    **Returns:** the path of the report, or a sentence that says why there is none yet.
    """
    _refuse_unprepared_slices(run)
    prepare(run)
    train(run)
    if run.config.sampling.scheduler == PREPARE_ONLY:
        return f"prepared and trained {run.folder}; sample with another sampling.scheduler."
    done = downscale(run)
    if missing := pending(run):
        told = ", ".join(f"{n} work items of {name}" for name, n in missing.items())
        return f"{told} are still to do; `subgrid run` scores {run.folder} when all slices are done."
    if run.trained(run.fine_series).all():
        return f'downscaled into {run.folder}; with climate.training = "all" no winter is left to score on.'
    from subgrid.cli import climate_scoring

    if climate_scoring.is_scored(run):
        return run.path("report.html")
    if _is_slice(run.config) and not done:
        return f"this slice had nothing to do, and leaves the scores of {run.folder} to the task that completed it."
    return climate_scoring.verify_and_report(run)


def _scheduler(config: ClimateConfig):
    """The configured scheduler, or None to sample nothing. **Raises:** `ConfigError` for one that is not known."""
    from subgrid.execution import runners

    if config.sampling.scheduler == PREPARE_ONLY:
        return None
    try:
        return runners.parse_scheduler(config.sampling.scheduler)
    except ValueError as error:
        raise ConfigError(f'sampling.scheduler: {error} "{PREPARE_ONLY}" prepares and trains only.') from error


def _is_slice(config: ClimateConfig) -> bool:
    from subgrid.execution.runners import Slice

    return isinstance(_scheduler(config), Slice)


def _refuse_unprepared_slices(run: ClimateRun) -> None:
    """The jobs of an array would all prepare and train at once."""
    finished = climate_run.is_finished(run.folder)
    if _is_slice(run.config) and not (finished and run.path("domain.zarr").exists()):
        raise ConfigError(
            f"{run.folder}: is not trained yet, and slices only sample; first run it with "
            f"--set sampling.scheduler={PREPARE_ONLY}, then the slices."
        )


def prepare(run: ClimateRun) -> None:
    """Everything cheap, and everything that can be wrong with the input: grids, C′, climatologies, debiasing."""
    if run.path("domain.zarr").exists():
        return
    with progress_bar("prepare and debias") as update:
        update(0, 3, "open")
        coarse, fine = run.coarse_series, run.fine_series
        table = run.config.debias
        methods = table.candidates if table.method == "auto" else (table.method,)
        pairs = n_fits(coarse.winter[run.trained(coarse)], fine.winter[run.trained(fine)], methods)
        fit = run.fit(report=lambda done, _: update(done, pairs + 3, "left-out years"))
        update(pairs + 1, pairs + 3, "debias")
        chosen, unseen = _downscaled(run, coarse), _downscaled(run, fine)
        _save_targets(run, "targets", fit.targets(coarse[chosen]), coarse[chosen], run.coarse)
        _save_targets(run, "perfect_targets", run.coarsened[unseen], fine[unseen], run.fine)
        update(pairs + 2, pairs + 3, "change")
        change = None if run.scenario is None else _scenario_targets(run, fit, run.scenario)
        climate_run.save_grid(run.folder, run.fine, run.config.climate.variables)
        save_coarse(run.folder, fit)
        save_domain(run.folder, run.domain, run.fine_anomalies, change)  # last: where it is, all is
        update(pairs + 3, pairs + 3)
    if fit.choice is not None:
        for sentence in fit.choice.told():
            console.print(f"  {sentence}", highlight=False)


def _downscaled(run: ClimateRun, series: Series) -> np.ndarray:
    """Which samples are downscaled: those not trained on, or all where everything is."""
    trained = run.trained(series)
    return np.flatnonzero(trained if trained.all() else ~trained)


def _scenario_targets(run: ClimateRun, fit: CoarseFit, scenario: xr.Dataset):
    """Targets of the scenario in the climate of the reference, and the change to put back, on the fine grid."""
    check_grid(fit, scenario)
    series = climate.series_of(scenario, run.config.climate.variables)
    signal = fit.change_to(series)
    _save_targets(run, "scenario_targets", fit.targets_without(signal, series), series, scenario)
    return signal.on(climate.interpolation(run.coarse, run.fine))


def _save_targets(run: ClimateRun, name: str, target: np.ndarray, series: Series, source: xr.Dataset) -> None:
    variables: dict[str, Any] = {
        "target": (("sample", "channel", "kept"), np.asarray(target, np.float32)),
        "phase": ("sample", series.phase),
        "winter": ("sample", series.winter),
        "member_of_model": ("sample", series.member),
    }
    times = xr.Variable("sample", series.time, source["time"].attrs)
    dataset = xr.Dataset(variables, coords={"time": times}, attrs=source.attrs)
    write_zarr(dataset, run.path(f"{name}.zarr"), overwrite=True)


def train(run: ClimateRun) -> None:
    """The prior of fine anomalies, and the marginals of its draws; resumes from its last checkpoint."""
    table = run.config.prior
    if climate_run.is_finished(run.folder):
        return
    series = run.fine_series
    chosen = np.flatnonzero(run.trained(series))
    keys = set(RefinementSettings.__dataclass_fields__)
    settings = RefinementSettings(**{k: v for k, v in table.model_dump().items() if k in keys})
    orography = run.config.climate.orography
    with progress_bar("train") as update:
        climate_run.train_on(
            run.folder,
            run.domain,
            run.fine_anomalies,
            series[chosen],
            predictors=None if orography is None else climate_run.static_predictors(sources(orography), run.fine),
            settings=settings,
            directions=table.directions,
            n_levels=run.config.sampling.n_levels,
            report=lambda step, numbers: update(step, settings.n_steps, f"loss {numbers['loss']:.4f}"),
            key=run.key("training"),
        )
    from subgrid.cli.climate_choices import told_prior

    for sentence in told_prior(run.folder):
        console.print(f"  {sentence}", highlight=False)


def products(run: ClimateRun) -> dict[str, str]:
    """The stores that the run makes, by the targets they are conditioned on."""
    made = {"targets": "ensemble.zarr", "perfect_targets": "perfect_model.zarr"}
    if run.config.climate.training == "all":
        made.pop("perfect_targets")
    return made | ({"scenario_targets": "scenario.zarr"} if run.config.climate.scenario else {})


def downscale(run: ClimateRun) -> int:
    """All ensembles, work item by work item, by the configured scheduler; resumes from the items that are done.

    **Returns:** how many items were done now.
    """
    return sum(sample_store(run, targets, output) for targets, output in products(run).items())


def pending(run: ClimateRun) -> dict[str, int]:
    """How many items are still to do, by store: those of other slices.

    Asked when all stores have been gone through: other tasks may complete the first while this one does the last.
    """
    from subgrid.execution.store import open_store

    left = {output: len(open_store(run.path(output)).pending()) for output in products(run).values()}
    return {output: n for output, n in left.items() if n}


def sample_store(run: ClimateRun, targets: str, output: str) -> int:
    """One ensemble: the store is made or found, and what is pending of it is done; returns how many items were."""
    from subgrid.execution import runners
    from subgrid.execution.sampling import loader_of

    if (scheduler := _scheduler(run.config)) is None:
        return 0
    store = _make_store(run, targets, output)
    loader = loader_of(
        climate_sampler,
        folder=str(run.folder.resolve()),
        targets=targets,
        n_levels=run.config.sampling.n_levels,
        with_change=targets == "scenario_targets",
    )
    with progress_bar(output.removesuffix(".zarr").replace("_", " ")) as update:
        show = lambda done, total, *_: update(done, total)  # noqa: E731
        return runners.run(store, loader, scheduler, progress=show)


def noise_of(run: ClimateRun, output: str) -> tuple[tuple[str, ...], str]:
    """The random stream of a store, and what a reader of the store must know of its noise."""
    streams: dict[str, ClimateStream] = {
        "ensemble.zarr": "historical",
        "perfect_model.zarr": "perfect model",
        "scenario.zarr": "scenario",
    }
    shared = ("ensemble.zarr", "scenario.zarr")
    if run.config.sampling.common_noise and run.config.climate.scenario and output in shared:
        other = shared[output == shared[0]]
        told = (
            f"shared with {other}: member m has the same noise at the n-th time of both, so that the spread of their "
            "difference over members is not its uncertainty"
        )
        return climate_names("historical"), told
    return climate_names(streams[output]), "independent of the other ensembles of this run"


def _make_store(run: ClimateRun, targets: str, output: str):
    """The store as its template says; nothing but the run folder is read."""
    from subgrid.execution.template import Template, create_store

    with xr.open_zarr(run.path(f"{targets}.zarr"), chunks=None) as source:
        time, member, given = source.time.variable, source.member_of_model.values, source.attrs
    grid, n_members = climate_run.load_grid(run.folder), run.config.sampling.n_members
    variables = {name: dict(grid[name].attrs) for name in run.config.climate.variables}
    coordinates = grid.drop_vars(list(variables)).assign_coords(time=("time", time.values, time.attrs))
    if member.any():
        coordinates = coordinates.assign_coords(coarse_realization=("time", member))
    space = tuple(grid.attrs["space"])
    n_values = len(variables) * int(np.prod([grid.sizes[dim] for dim in space]))
    item, chunk = climate_run.time_blocks(len(member), n_members, n_values)
    stream, noise = noise_of(run, output)
    template = Template(
        coordinates.assign_attrs(given),
        variables,
        space=space,
        n_members=n_members,
        chunks={"time": chunk, "realization": n_members},
        shards={"time": item, "realization": n_members},
        attributes={"title": f"Subgrid {run.config.run.name}: {output}", "noise": noise},
    )
    return create_store(
        run.path(output),
        template,
        seed=run.config.run.seed,
        stream=stream,
        configuration=run.config.model_dump(exclude={"run": {"name"}, "sampling": {"scheduler"}}, mode="json"),
        checkpoint=climate_run.checkpoint_id(run.folder),
        bit_rounding=run.config.sampling.bit_rounding,
    )
