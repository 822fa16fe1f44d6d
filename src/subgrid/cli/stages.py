"""The stages of the main job on files: simulate, debias, train, downscale, verify, report.

Each reads what the one before left in the run's folder, and is skipped if its own output is there, so a run that was
stopped goes on where it was:

    RUN/config.toml          the resolved configuration
    RUN/fine.zarr, coarse.zarr   the simulated archives (if data.source is a simulator)
    RUN/debias/              checkpoints of a debiaser that is trained
    RUN/debiased.zarr        every held-out coarse field, raw and debiased
    RUN/model/               the prior, or the bridge in its place
    RUN/ensemble.zarr        fine ensembles of debiased coarse fields (unpaired)
    RUN/perfect_model.zarr   fine ensembles of coarsened reference fields, with the truth
    RUN/metrics.json, report.html
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import xarray as xr
from jaxtyping import Float

from subgrid.cli import build, reporting, scoring
from subgrid.cli.config import Config, ConfigError
from subgrid.cli.experiment import Experiment
from subgrid.cli.progress import progress_bar
from subgrid.cli.streams import RunStream
from subgrid.cli.timings import timed
from subgrid.data.alignment import check_aligned
from subgrid.data.fields import CONDITION_DIM, DataError, Samples
from subgrid.data.store import write_zarr
from subgrid.downscaling.bridge_upsampler import BridgeUpsampler, fit_upsampler, is_fitted, steps_done
from subgrid.downscaling.conditional.model import is_conditional, train_conditional
from subgrid.downscaling.ensemble_datasets import Diagnostics, conditions_dataset
from subgrid.downscaling.evaluation import debiasing_error, draw_conditions
from subgrid.downscaling.field_training import Fields
from subgrid.downscaling.fit_debias import DebiasMethod, apply_debiaser, fit_debiaser_array
from subgrid.downscaling.fit_transport import TransportMethod, check_levels
from subgrid.downscaling.outside import outside
from subgrid.downscaling.particle_upsampler import sample_with_diagnostics
from subgrid.downscaling.prior import build_denoiser, is_trained, train_prior
from subgrid.training.log import json_lines
from subgrid.types import Coarsening, Debiaser, Key

Drawn = tuple[Float[np.ndarray, "n member channel *fine"], Diagnostics]
"""An ensemble, and what there is to tell of its members and conditions."""


def run_all(experiment: Experiment) -> Path:
    """Every stage in order; returns the path of the report."""
    if experiment.config.sampling.n_members < 3:
        raise ConfigError(
            f"sampling.n_members = {experiment.config.sampling.n_members}: a run scores the ensemble, also with one of "
            "its members as truth, and that takes 3; `subgrid downscale` draws fewer."
        )
    if experiment.config.sampling.particles > 1 and experiment.config.downscaling.method != "diffusion":
        raise ConfigError(
            f"sampling.particles = {experiment.config.sampling.particles}: particles are of a guided prior; set "
            'downscaling.method = "diffusion", or sampling.particles = 1.'
        )
    if experiment.config.data.source == "kuramoto-sivashinsky":
        simulate(experiment)
    check_archives(experiment, [experiment.config.debias.method])
    debias(experiment)  # before training: it is quick, and it is where data of the wrong kind are found out
    train(experiment)
    downscale(experiment)
    scoring.verify(experiment)
    return reporting.report(experiment)


def simulate(experiment: Experiment) -> None:
    """Both Kuramoto–Sivashinsky archives, from independent initial conditions."""
    from subgrid.data.archive import trajectory_dataset
    from subgrid.simulate import kuramoto_sivashinsky as ks

    data = experiment.config.data
    solvers: dict[RunStream, tuple[Any, int, int]] = {
        "fine": (ks.spectral_solver, 192, 1),
        "coarse": (ks.finite_volume_solver, 48, 2),
    }
    for which, (solver, n_points, stride) in solvers.items():
        if experiment.path(f"{which}.zarr").exists():
            continue
        with timed(experiment.folder, f"simulate {which}"), progress_bar(f"simulate {which}") as update:
            fields = ks.trajectories(
                solver(n_points),
                n_points,
                n_trajectories=data.n_trajectories,
                n_snapshots=data.n_snapshots,
                report=update,
                key=experiment.key(which),
            )
        dataset = trajectory_dataset(
            fields[..., ::stride],
            interval=ks.INTERVAL,
            domain=ks.DOMAIN,
            title=f"Kuramoto-Sivashinsky, {which}",
            settings=experiment.config.as_toml(),
        )
        write_zarr(dataset, experiment.path(f"{which}.zarr"))


def check_archives(experiment: Experiment, debiasers: Sequence[DebiasMethod]) -> None:
    """Everything that can be wrong with the input is found before anything is computed; `debiasers` will be fitted."""
    fine, coarse = experiment.fine[0], experiment.coarse[0]
    if len(fine.space_dims) != len(coarse.space_dims):
        raise DataError(
            f"fine fields have the space axes {fine.space_dims}, coarse ones {coarse.space_dims}; they must agree."
        )
    if fine.n_space not in (1, 2):
        raise DataError(f"{fine.source}: fields have the space axes {fine.space_dims}; Subgrid takes one or two.")
    check_aligned(coarse, fine, experiment.operator)
    check_network(experiment.config, fine.values.shape)
    if {*debiasers} & {*get_args(TransportMethod)}:
        check_levels(experiment.config.debias.channels, coarse.values.shape[2:])


def check_network(config: Config, shape: tuple[int, ...]) -> None:
    """Complains, before anything is computed or written, about fields (n, channel, *space) that the network cannot."""
    settings = build.prior_settings_of(config, shape[1], shape[2:])
    try:
        eqx.filter_eval_shape(lambda key: build_denoiser(settings, key=key), jr.key(0))
    except ValueError as error:
        raise ConfigError(
            f"prior.channels = {list(config.prior.channels)}, prior.patch = {config.prior.patch}: {error}"
        ) from error


def train(experiment: Experiment) -> None:
    """The prior or the conditional model, on the fine training set, or the bridge, on both; resumes from its last
    checkpoint."""
    folder, config = experiment.path("model"), experiment.config
    if is_fitted(folder) or is_trained(folder) or is_conditional(folder):
        return
    if config.downscaling.method == "bridge":
        _train_bridge(experiment, folder)
        return
    jitter = _jitter(experiment)
    with timed(experiment.folder, "train", resumed=(folder / "checkpoints").exists()):
        fields, key = experiment.fine[0].values, experiment.key("prior")
        train_on(config, fields, folder, operator=experiment.operator, jitter=jitter, key=key)


def _jitter(experiment: Experiment) -> float:
    """Of a conditional model, in the units of the field: as configured, or what debiasing left."""
    jitter = experiment.config.downscaling.jitter
    if jitter != "debiaser":
        return jitter
    debiased = xr.open_zarr(experiment.path("debiased.zarr")).debiased.values
    return debiasing_error(debiased, np.asarray(experiment.operator(jnp.asarray(experiment.fine[0].values))))


def _train_bridge(experiment: Experiment, folder: Path) -> None:
    """From coarsened fine fields, or raw coarse ones, to fine fields."""
    config, fine, coarse = experiment.config, experiment.fine[0].values, experiment.coarse[0].values
    settings = build.upsampler_settings_of(
        config, fine.shape[1], coarse.shape[2:], (config.coarsening.factor,) * experiment.fine[0].n_space
    )
    source = coarse if settings.source == "raw" else np.asarray(experiment.operator(jnp.asarray(fine)))
    log = json_lines(folder / "training.jsonl", from_step=steps_done(folder, settings))
    with timed(experiment.folder, "train", resumed=folder.exists()), progress_bar("train") as update:

        def report(done: int, total: int, loss: float) -> None:
            update(done, total, f"loss {loss:.4f}")
            log(done, {"loss": loss})

        fit_upsampler(source, fine, settings, folder=folder, report=report, key=experiment.key("prior"))


def train_on(
    config: Config, fields: Fields, folder: Path, *, operator: Coarsening | None, jitter: float = 0.0, key: Key
) -> None:
    """Trains a prior, or a conditional model for C′, on fields in memory or on disk, with a progress bar."""
    channels, space, training = fields.shape[1], fields.shape[2:], build.training_settings_of(config)
    with progress_bar("train") as update:
        report = lambda step, numbers: update(step, config.training.n_steps, f"loss {numbers['loss']:.4f}")  # noqa: E731
        options: dict[str, Any] = {"folder": folder, "report": report, "key": key}
        if operator is None or config.downscaling.method == "diffusion":
            settings = build.prior_settings_of(config, channels, space)
            train_prior(fields, settings, training, noise_levels=build.noise_levels_of(config), **options)
        else:
            settings = build.conditional_settings_of(config, channels, space, jitter=jitter)
            train_conditional(fields, operator, settings, training, **options)


def fit_debiaser(
    config: Config, coarse: Samples, fine: Samples, operator: Coarsening, *, folder: Path | None = None, key: Key
) -> tuple[Debiaser, dict]:
    """The configured transport from coarse fields to coarsened fine fields, and what its solver reports.

    One that is trained shows its progress, and resumes from its checkpoints in `folder`.
    """
    with progress_bar("fit debiaser") as update:
        return fit_debiaser_array(
            coarse.values,
            fine.values,
            operator,
            translation_invariant=config.data.translation_invariant,
            periodic=config.data.periodic,
            folder=folder,
            report=update,
            key=key,
            **config.debias.model_dump(),
        )


def debias(experiment: Experiment) -> None:
    """Fits T on the training sets and applies it to every held-out coarse field."""
    path = experiment.path("debiased.zarr")
    if path.exists():
        return
    folder = experiment.path("debias")
    with timed(experiment.folder, "debias", resumed=folder.exists()):
        training, held_out = experiment.coarse
        debiaser, summary = fit_debiaser(
            experiment.config,
            training,
            experiment.fine[0],
            experiment.operator,
            folder=folder,
            key=experiment.key("debias", experiment.config.debias.method),
        )
        with progress_bar("debias") as update:
            update(0, 1, "apply")
            debiased = apply_debiaser(debiaser, held_out.values)
            update(1, 1)
    dims = (CONDITION_DIM, "channel", *held_out.space_dims)
    fields = {"raw": (dims, held_out.values, held_out.attrs), "debiased": (dims, debiased, held_out.attrs)}
    coordinates = held_out.coords.drop_vars([*fields, "channel"], errors="ignore")
    attributes = {"config": experiment.config.as_toml(), "debias_summary": json.dumps(summary)}
    write_zarr(coordinates.assign(fields).assign_attrs(attributes), path)


def downscale(experiment: Experiment) -> None:
    """Both ensembles: unpaired, from debiased fields; and perfect-model, from the coarsened reference."""
    if all(experiment.path(name).exists() for name in ("ensemble.zarr", "perfect_model.zarr")):
        return
    config, settings = experiment.config, experiment.config.evaluation
    upsampler = build.open_upsampler(config, experiment.path("model"), experiment.operator)
    if not experiment.path("ensemble.zarr").exists():
        own_debiasing = config.downscaling.method == "bridge" and config.downscaling.source == "raw"
        stored = xr.open_zarr(experiment.path("debiased.zarr"))
        debiased = (stored.raw if own_debiasing else stored.debiased).values
        key = experiment.key("conditions of the ensemble")
        chosen = draw_conditions(len(debiased), settings.n_unpaired, key=key)
        told = _inputs_outside(experiment, upsampler, debiased[chosen])
        ensemble, diagnostics = _sample(
            experiment, upsampler, "downscale", debiased[chosen], settings.unpaired_members, "ensemble"
        )
        conditions, drawn = experiment.coarse[1].take(chosen), (ensemble, {**diagnostics, **told})
        _write_ensemble(experiment, "ensemble.zarr", conditions, chosen, drawn, debiased[chosen])
    if not experiment.path("perfect_model.zarr").exists():
        reference = experiment.fine[1]
        key = experiment.key("conditions of the perfect model")
        chosen = draw_conditions(len(reference), settings.n_conditions, key=key)
        conditions = reference.take(chosen)
        targets = np.asarray(experiment.operator(jnp.asarray(conditions.values)))
        n_members = config.sampling.n_members
        drawn = _sample(experiment, upsampler, "perfect model", targets, n_members, "perfect model")
        _write_ensemble(experiment, "perfect_model.zarr", conditions, chosen, drawn, targets, truth=conditions.values)


def _sample(
    experiment: Experiment,
    upsampler: build.AnyUpsampler,
    label: str,
    targets: Float[np.ndarray, "n channel *coarse"],
    n_members: int,
    stream: RunStream,
) -> Drawn:
    """Members of every target, under a progress bar."""
    with timed(experiment.folder, label), progress_bar(label) as update:
        return sample_with_diagnostics(
            upsampler,
            targets,
            n_members,
            chunk=experiment.config.sampling.chunk,
            report=update,
            key=experiment.key(stream),
        )


def _inputs_outside(
    experiment: Experiment, upsampler: build.AnyUpsampler, targets: Float[np.ndarray, "n channel *coarse"]
) -> dict[str, np.ndarray]:
    """Where each T(y) lies among coarsened training fields, with a warning if many are far; nothing of a bridge."""
    if isinstance(upsampler, BridgeUpsampler):
        return {}
    found = outside(upsampler.conditional, upsampler.standardiser, targets, experiment.fine[0].values)
    found.warn()
    return {"input_quantile": found.quantile, "input_ratio": found.ratio}


def _write_ensemble(
    experiment: Experiment,
    name: str,
    conditions: Samples,
    chosen: np.ndarray,
    drawn: Drawn,
    targets: Float[np.ndarray, "n channel *coarse"],
    *,
    truth: Float[np.ndarray, "n channel *fine"] | None = None,
) -> None:
    """One store with names, units and coordinates; `condition` counts in the held-out set, where the file does not."""
    (ensemble, diagnostics), fine, coarse = drawn, experiment.fine[0], experiment.coarse[0]
    dataset = conditions_dataset(
        conditions, ensemble, targets, fine=fine, coarse=coarse, truth=truth, diagnostics=diagnostics
    )
    if CONDITION_DIM not in dataset.coords:
        dataset = dataset.assign_coords({CONDITION_DIM: chosen})
    attributes = {"variable": experiment.fine[0].name, "config": experiment.config.as_toml()}
    write_zarr(dataset.assign_attrs(attributes, Conventions="CF-1.11"), experiment.path(name))
