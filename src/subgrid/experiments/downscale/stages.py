"""The stages of a run on two archives: simulate, debias, train, downscale twice, score, report; and comparisons."""

import json
from collections.abc import Mapping
from functools import partial
from typing import Literal

import jax.numpy as jnp
import numpy as np
import xarray as xr

from subgrid.data.archive import trajectory_dataset
from subgrid.data.fields import CONDITION_DIM
from subgrid.data.plain import open_plain
from subgrid.data.store import write_zarr
from subgrid.downscaling.debiasing.fit import apply_debiaser
from subgrid.downscaling.evaluation import debiasing_error
from subgrid.downscaling.model.folder import PREPARATION, save_preparation
from subgrid.downscaling.model.plain import plain_sides
from subgrid.downscaling.upsampling.bridge import fit_upsampler, steps_done
from subgrid.experiments.downscale import build
from subgrid.experiments.downscale.checks import check_archives
from subgrid.experiments.downscale.config import (
    DataTable,
    DebiasTable,
    DownscaleConfig,
    DownscalingTable,
    SamplingTable,
    TrainingTable,
)
from subgrid.experiments.downscale.debiaser_comparison import compare_debiasers
from subgrid.experiments.downscale.fitting import fit_debiaser, train_on
from subgrid.experiments.downscale.page import page
from subgrid.experiments.downscale.run import DownscaleRun
from subgrid.experiments.downscale.sampler_comparison import compare_samplers
from subgrid.experiments.downscale.sampling import downscale, downscale_perfect
from subgrid.experiments.downscale.scoring import score
from subgrid.runs.config import ConfigError
from subgrid.runs.experiment import Recipe
from subgrid.runs.page import METRICS, report_stage
from subgrid.runs.stage import Dependencies, Stage, Update, all_but
from subgrid.simulate import kuramoto_sivashinsky as ks
from subgrid.training.log import json_lines

DATA: Dependencies = {"run": ("seed",), "data": all_but(DataTable, "fine", "coarse")}
"""Of archives in files, their contents count and not their paths (`Stage.inputs`)."""
DEBIASED: Dependencies = {**DATA, "coarsening": (), "debias": (), "evaluation": ("n_shifts",)}
PRIOR: Dependencies = {"downscaling": ("method",), "prior": (), "training": all_but(TrainingTable, "tensorboard")}
CONDITIONAL: Dependencies = {**DATA, **PRIOR, "downscaling": ("method", "jitter"), "coarsening": ()}
SAMPLER_KEYS = ("n_levels", "guidance", "particles")
"""Of `sampling`: what the samplers of a comparison set each for itself."""
SIMULATED = ("simulate fine", "simulate coarse")


def stages(config: DownscaleConfig) -> list[Stage]:
    """All stages of a configuration, in order."""
    simulated, archives, inputs = _archives(config)
    sampling: Dependencies = {"coarsening": (), "sampling": ()}
    debiased = Stage(
        "debias", debias, ("debiased.zarr", PREPARATION), archives, DEBIASED, inputs=inputs, state=("debias",)
    )  # before training: it is quick, and it is where data of the wrong kind are found out
    perfect = {**sampling, "evaluation": ("n_shifts", "n_conditions")}
    unpaired = {**sampling, "evaluation": ("n_shifts", "n_unpaired", "unpaired_members")}
    names = ("debias", "downscale", "perfect model")
    return [
        *simulated,
        debiased,
        _train_stage(config, archives, inputs),
        Stage("downscale", downscale, ("ensemble.zarr",), ("debias", "train"), unpaired, work=_draws(config)[0]),
        Stage("perfect model", downscale_perfect, ("perfect_model.zarr",), ("train",), perfect, work=_draws(config)[1]),
        Stage("score", score, (METRICS,), names, if_changed="remake", check=_check_scored),
        report_stage(page, config, needs=("score",)),
        Stage(
            "compare debiasers", compare_debiasers, ("debiasers.md", "debiasers.json"), archives,
            {**DEBIASED, "debias": all_but(DebiasTable, "method")}, {"comparison": ("debiasers",)}, inputs,
            state=("debiasers",),
        ),
        Stage(
            "compare samplers", compare_samplers, ("samplers.md", "samplers.json", "crps.svg", "spread.svg"), archives,
            {
                **CONDITIONAL, "downscaling": ("jitter",), "sampling": all_but(SamplingTable, *SAMPLER_KEYS),
                "evaluation": ("n_shifts", "n_conditions"),
            },
            {"comparison": ("samplers", "evaluations")}, inputs, state=("samplers",),
        ),
    ]  # fmt: skip


def _check_scored(run: DownscaleRun) -> None:
    config = run.config
    if config.sampling.n_members < 3:
        raise ConfigError(
            f"sampling.n_members = {config.sampling.n_members}: a run scores the ensemble, also with one of its "
            "members as truth, and that takes 3; `subgrid downscale` draws fewer."
        )
    if config.sampling.particles > 1 and config.downscaling.method != "diffusion":
        raise ConfigError(
            f"sampling.particles = {config.sampling.particles}: particles are of a guided prior; set "
            'downscaling.method = "diffusion", or sampling.particles = 1.'
        )


def _archives(config: DownscaleConfig) -> tuple[list[Stage], tuple[str, ...], Mapping[str, tuple[str, ...]]]:
    """The stages that simulate archives, their names, and the files that are read instead."""
    if config.data.source == "files":
        return [], (), {"data.fine": (str(config.data.fine),), "data.coarse": (str(config.data.coarse),)}
    work = config.data.n_trajectories * config.data.n_snapshots
    made = [
        Stage(f"simulate {which}", partial(simulate, which), (f"{which}.zarr",), depends_on=DATA, work=work)
        for which in ("fine", "coarse")
    ]
    return made, SIMULATED, {}


def _train_stage(config: DownscaleConfig, archives: tuple[str, ...], inputs: Mapping[str, tuple[str, ...]]) -> Stage:
    """What a model depends on: of p(x) nothing but the fine archive, of the others C′ too."""
    needs, depends, work = archives, {**DATA, **PRIOR}, config.training.n_steps * config.training.batch_size
    match config.downscaling:
        case DownscalingTable(method="diffusion"):
            needs, inputs = archives[:1], {key: inputs[key] for key in inputs if key == "data.fine"}
        case DownscalingTable(method="bridge"):
            depends = {**depends, "downscaling": (), "coarsening": ()}
            work = config.downscaling.n_iterations * config.downscaling.n_steps * config.training.batch_size
        case DownscalingTable(jitter="debiaser"):
            needs, depends = (*archives, "debias"), CONDITIONAL
        case _:
            depends = CONDITIONAL
    return Stage("train", train, ("model",), needs, depends, inputs=inputs, work=work)


def _draws(config: DownscaleConfig) -> tuple[int, int]:
    """Draws of both ensembles, times their cost."""
    settings, cost = config.evaluation, build.n_evaluations(config) * config.sampling.particles
    unpaired, perfect = settings.n_unpaired * settings.unpaired_members, settings.n_conditions
    return unpaired * cost, perfect * config.sampling.n_members * cost


def simulate(which: Literal["fine", "coarse"], run: DownscaleRun, update: Update) -> None:
    """One of two Kuramoto–Sivashinsky archives, from independent initial conditions."""
    solver, n_points, stride = {
        "fine": (ks.spectral_solver, 192, 1),
        "coarse": (ks.finite_volume_solver, 48, 2),
    }[which]
    fields = ks.trajectories(
        solver(n_points),
        n_points,
        n_trajectories=run.config.data.n_trajectories,
        n_snapshots=run.config.data.n_snapshots,
        report=update,
        key=run.key(which),
    )
    dataset = trajectory_dataset(
        fields[..., ::stride],
        interval=ks.INTERVAL,
        domain=ks.DOMAIN,
        title=f"Kuramoto-Sivashinsky, {which}",
        settings=run.config.as_toml(),
    )
    write_zarr(dataset, run.path(f"{which}.zarr"), overwrite=True)


def debias(run: DownscaleRun, update: Update) -> None:
    """Fits T on the training sets, keeps it for `subgrid.load`, and applies it to every held-out coarse field."""
    check_archives(run, (run.config.debias.method,))
    training, held_out = run.coarse
    debiaser, summary = fit_debiaser(
        run.config,
        training,
        run.fine[0],
        run.operator,
        folder=run.path("debias"),
        update=update,
        key=run.key("debias", run.config.debias.method),
    )
    debiased = apply_debiaser(debiaser, held_out.values)
    dims = (CONDITION_DIM, "channel", *held_out.space_dims)
    fields = {"raw": (dims, held_out.values, held_out.attrs), "debiased": (dims, debiased, held_out.attrs)}
    coordinates = held_out.coords.drop_vars([*fields, "channel"], errors="ignore")
    attributes = {"config": run.config.as_toml(), "debias_summary": json.dumps(summary)}
    fine, coarse = (open_plain(run.field(which), name=which) for which in ("fine", "coarse"))
    save_preparation(run.folder, *plain_sides(fine, coarse, run.operator, debiaser))
    write_zarr(coordinates.assign(fields).assign_attrs(attributes), run.path("debiased.zarr"), overwrite=True)


def train(run: DownscaleRun, update: Update) -> None:
    """The prior or the conditional model, on the fine training set, or the bridge, on both; resumes from its last
    checkpoint."""
    folder, config = run.path("model"), run.config
    check_archives(run, ())
    if config.downscaling.method == "bridge":
        _train_bridge(run, update)
        return
    options = {"operator": run.operator, "jitter": _jitter(run), "update": update, "key": run.key("prior")}
    train_on(config, run.fine[0].values, folder, **options)


def _jitter(run: DownscaleRun) -> float:
    """Of a conditional model, in the units of the field: as configured, or what debiasing left."""
    jitter = run.config.downscaling.jitter
    if jitter != "debiaser":
        return jitter
    debiased = xr.open_zarr(run.path("debiased.zarr")).debiased.values
    return debiasing_error(debiased, np.asarray(run.operator(jnp.asarray(run.fine[0].values))))


def _train_bridge(run: DownscaleRun, update: Update) -> None:
    """From coarsened fine fields, or raw coarse ones, to fine fields."""
    config, fine, coarse, folder = run.config, run.fine[0].values, run.coarse[0].values, run.path("model")
    factors = (config.coarsening.factor,) * run.fine[0].n_space
    settings = build.upsampler_settings_of(config, fine.shape[1], coarse.shape[2:], factors)
    source = coarse if settings.source == "raw" else np.asarray(run.operator(jnp.asarray(fine)))
    log = json_lines(folder / "training.jsonl", from_step=steps_done(folder, settings))

    def report(done: int, total: int, loss: float) -> None:
        update(done, total, f"loss {loss:.4f}")
        log(done, {"loss": loss})

    fit_upsampler(source, fine, settings, folder=folder, report=report, key=run.key("prior"))


GOALS = {"debias": ("compare debiasers",), "samplers": ("compare samplers",)}
RECIPE = Recipe(DownscaleRun, stages, page, GOALS)
