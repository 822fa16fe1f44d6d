"""The stages of the main job on files: simulate, train, debias, downscale, verify, report.

Each reads what the one before left in the run's folder, and is skipped if its own output is there, so a run that was
stopped goes on where it was:

    RUN/config.toml          the resolved configuration
    RUN/fine.zarr, coarse.zarr   the simulated archives (if data.source is a simulator)
    RUN/model/               the prior
    RUN/debiased.zarr        every held-out coarse field, raw and debiased
    RUN/ensemble.zarr        fine ensembles of debiased coarse fields (unpaired)
    RUN/perfect_model.zarr   fine ensembles of coarsened reference fields, with the truth
    RUN/metrics.json, report.html
"""

import json
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import xarray as xr

from subgrid.cli import build
from subgrid.cli.config import Config
from subgrid.cli.progress import progress_bar
from subgrid.data.batches import random_shifts
from subgrid.data.fields import DataError, Samples, hold_out, open_field, samples_of
from subgrid.data.store import OutputExists, write_json, write_text, write_zarr
from subgrid.downscaling.baselines import cubic_interpolation
from subgrid.downscaling.evaluation import (
    Row,
    compare,
    draw_conditions,
    ensemble_rows,
    perfect_model_rows,
    ranks,
)
from subgrid.downscaling.pipeline import apply_debiaser, fit_debiaser_array
from subgrid.downscaling.prior import Prior, is_trained, load_prior, loss_curve, train_prior
from subgrid.downscaling.upsample import sample_ensemble
from subgrid.types import Coarsening, Debiaser

STREAMS = ("fine", "coarse", "prior", "debias", "debias shifts", "evaluation shifts", "conditions", "ensemble", "perfect", "ranks")


@dataclass
class Experiment:
    """One run: its configuration, its folder, and what the stages have in common."""

    config: Config
    folder: Path
    timings: dict[str, float] = field(default_factory=dict)

    def key(self, stream: str) -> jax.Array:
        """The key of a named random stream: adding a stage never changes the numbers of another."""
        return jr.fold_in(jr.key(self.config.run.seed), STREAMS.index(stream))

    def path(self, name: str) -> Path:
        return self.folder / name

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Adds the seconds of a stage to `timings.json`, where a resumed run finds them again."""
        started = time.monotonic()
        yield
        file = self.path("timings.json")
        self.timings = json.loads(file.read_text()) if file.exists() else {}
        self.timings[stage] = round(self.timings.get(stage, 0.0) + time.monotonic() - started, 1)
        write_json(file, self.timings)

    @cached_property
    def fine(self) -> tuple[Samples, Samples, Samples]:
        """The fine archive: training, reference and twin (independent of the reference: the noise floor)."""
        fraction = self.config.data.training_fraction
        training, reference, twin = hold_out(self._archive("fine"), (fraction, (1 - fraction) / 2, (1 - fraction) / 2))
        return training, self._shifted(reference, 0), self._shifted(twin, 1)

    @cached_property
    def coarse(self) -> tuple[Samples, Samples]:
        """The coarse archive: training and held out."""
        fraction = self.config.data.training_fraction
        training, held_out = hold_out(self._archive("coarse"), (fraction, (1 - fraction) / 2))
        return training, self._shifted(held_out, 2)

    @cached_property
    def operator(self) -> Coarsening:
        fine, coarse = self.fine[0].values, self.coarse[0].values
        return build.operator_of(self.config.coarsening, fine.shape[2:], coarse.shape[2:])

    def _archive(self, which: str) -> Samples:
        data = self.config.data
        simulated = data.source != "files"
        path = self.path(f"{which}.zarr") if simulated else Path(str(getattr(data, which)))
        return samples_of(open_field(path, "u" if simulated else data.variable), source=str(path))

    def _shifted(self, samples: Samples, stream: int) -> Samples:
        """Random shifts of held-out fields, where the law allows it: they thin the correlation within a trajectory."""
        if not self.config.data.translation_invariant:
            return samples
        key = jr.fold_in(self.key("evaluation shifts"), stream)
        values = np.asarray(random_shifts(jnp.asarray(samples.values), samples.n_space, key=key))
        return Samples(values, samples.trajectory, samples.space_dims, samples.source)


def open_experiment(config: Config, folder: str | Path) -> Experiment:
    """A new run folder, or the continuation of one with the same configuration.

    **Raises:** `OutputExists` if the folder belongs to another configuration or holds something else.
    """
    folder = Path(folder)
    stored = folder / "config.toml"
    if stored.exists() and stored.read_text() != config.as_toml():
        raise OutputExists(f"{folder}: holds a run of another configuration; choose another output folder.")
    if not stored.exists():
        if folder.exists() and any(folder.iterdir()):
            raise OutputExists(f"{folder}: exists and is not a run folder; choose another output folder.")
        write_text(stored, config.as_toml())
    return Experiment(config, folder)


def run_all(experiment: Experiment) -> Path:
    """Every stage in order; returns the path of the report."""
    if experiment.config.data.source == "kuramoto-sivashinsky":
        simulate(experiment)
    check_archives(experiment)
    train(experiment)
    debias(experiment)
    downscale(experiment)
    verify(experiment)
    return report(experiment)


def simulate(experiment: Experiment) -> None:
    """Both Kuramoto–Sivashinsky archives, from independent initial conditions."""
    from subgrid.simulate import kuramoto_sivashinsky as ks
    from subgrid.data.archive import trajectory_dataset

    data = experiment.config.data
    solvers = {"fine": (ks.spectral_solver, 192, 1), "coarse": (ks.finite_volume_solver, 48, 2)}
    for which, (solver, n_points, stride) in solvers.items():
        if experiment.path(f"{which}.zarr").exists():
            continue
        with experiment.timed(f"simulate {which}"), progress_bar(f"simulate {which}") as update:
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


def check_archives(experiment: Experiment) -> None:
    """Everything that can be wrong with the input is found before anything is computed."""
    fine, coarse = experiment.fine[0], experiment.coarse[0]
    if len(fine.space_dims) != len(coarse.space_dims):
        raise DataError(f"fine fields have the space axes {fine.space_dims}, coarse ones {coarse.space_dims}; they must agree.")
    if fine.n_space not in (1, 2):
        raise DataError(f"{fine.source}: fields have the space axes {fine.space_dims}; Subgrid takes one or two.")
    _ = experiment.operator


def train(experiment: Experiment) -> Prior:
    """The prior, on the fine training set; resumes from its last checkpoint."""
    folder = experiment.path("model")
    if is_trained(folder):
        return load_prior(folder)
    fields = experiment.fine[0].values
    return train_on(experiment.config, fields, folder, experiment.key("prior"), experiment.timed)


def train_on(config: Config, fields: np.ndarray, folder: Path, key: jax.Array, timed: Callable) -> Prior:
    """Trains a prior on fields with a progress bar; used by `run` and `train` alike."""
    settings = build.prior_settings_of(config, fields.shape[1], fields.shape[2:])
    with timed("train"), progress_bar("train") as update:
        return train_prior(
            fields,
            settings,
            build.training_settings_of(config),
            folder=folder,
            noise_levels=build.noise_levels_of(config),
            report=lambda step, numbers: update(step, config.training.n_steps, f"loss {numbers['loss']:.4f}"),
            key=key,
        )


def fit_debiaser(
    config: Config, coarse: Samples, fine: Samples, operator: Coarsening, *, key: jax.Array
) -> tuple[Debiaser, dict]:
    """The configured transport from coarse fields to coarsened fine fields, and what its solver reports."""
    return fit_debiaser_array(
        coarse.values,
        fine.values,
        operator,
        translation_invariant=config.data.translation_invariant,
        key=key,
        **config.debias.model_dump(),
    )


def debias(experiment: Experiment) -> None:
    """Fits T on the training sets and applies it to every held-out coarse field."""
    path = experiment.path("debiased.zarr")
    if path.exists():
        return
    with experiment.timed("debias"), progress_bar("debias") as update:
        update(0, 2, "fit")
        training, held_out = experiment.coarse
        debiaser, summary = fit_debiaser(
            experiment.config, training, experiment.fine[0], experiment.operator, key=experiment.key("debias")
        )
        update(1, 2, "apply")
        debiased = apply_debiaser(debiaser, held_out.values)
        update(2, 2)
    dims = ("sample", "channel", *(f"{d}_coarse" for d in held_out.space_dims))
    attributes = {"config": experiment.config.as_toml(), "debias_summary": json.dumps(summary)}
    write_zarr(xr.Dataset({"raw": (dims, held_out.values), "debiased": (dims, debiased)}, attrs=attributes), path)


def downscale(experiment: Experiment) -> None:
    """Both ensembles: unpaired, from debiased fields; and perfect-model, from the coarsened reference."""
    config, settings = experiment.config, experiment.config.evaluation
    if not experiment.path("ensemble.zarr").exists():
        debiased = _open(experiment, "debiased").debiased.values
        chosen = draw_conditions(len(debiased), settings.n_unpaired, key=jr.fold_in(experiment.key("conditions"), 0))
        _sample(experiment, "downscale", debiased[chosen], settings.unpaired_members, "ensemble", chosen)
    if not experiment.path("perfect_model.zarr").exists():
        reference = experiment.fine[1].values
        chosen = draw_conditions(len(reference), settings.n_conditions, key=jr.fold_in(experiment.key("conditions"), 1))
        targets = np.asarray(experiment.operator(jnp.asarray(reference[chosen])))
        _sample(experiment, "perfect model", targets, config.sampling.n_members, "perfect", chosen, truth=reference[chosen])


def _sample(experiment, label, targets, n_members, stream, chosen, truth=None) -> None:
    prior = load_prior(experiment.path("model"))
    upsampler = build.upsampler_of(experiment.config, prior, experiment.operator)
    with experiment.timed(label), progress_bar(label) as update:
        ensemble = sample_ensemble(
            upsampler, targets, n_members, chunk=experiment.config.sampling.chunk, report=update, key=experiment.key(stream)
        )
    space = experiment.fine[0].space_dims
    fine, coarse = ("channel", *space), ("channel", *(f"{d}_coarse" for d in space))
    fields = {"ensemble": (("condition", "member", *fine), ensemble), "target": (("condition", *coarse), targets)}
    if truth is not None:
        fields["truth"] = (("condition", *fine), truth)
    dataset = xr.Dataset(fields, coords={"condition": chosen}, attrs={"config": experiment.config.as_toml()})
    write_zarr(dataset, experiment.path("ensemble.zarr" if truth is None else "perfect_model.zarr"))


@dataclass(frozen=True)
class Results:
    """Everything that verification and report look at, as host arrays."""

    raw: np.ndarray
    debiased: np.ndarray
    ensemble: np.ndarray
    target: np.ndarray
    cubic: np.ndarray
    perfect_ensemble: np.ndarray
    perfect_target: np.ndarray
    perfect_truth: np.ndarray
    perfect_cubic: np.ndarray
    debias_summary: dict


def load_results(experiment: Experiment) -> Results:
    debiased = _open(experiment, "debiased")
    unpaired = _open(experiment, "ensemble")
    perfect = _open(experiment, "perfect_model")
    return Results(
        raw=debiased.raw.values,
        debiased=debiased.debiased.values,
        ensemble=unpaired.ensemble.values,
        target=unpaired.target.values,
        cubic=_interpolate(experiment, unpaired.target.values),
        perfect_ensemble=perfect.ensemble.values,
        perfect_target=perfect.target.values,
        perfect_truth=perfect.truth.values,
        perfect_cubic=_interpolate(experiment, perfect.target.values),
        debias_summary=json.loads(debiased.attrs["debias_summary"]),
    )


def _open(experiment: Experiment, name: str) -> xr.Dataset:
    return xr.open_zarr(experiment.path(f"{name}.zarr"), consolidated=False)


def _interpolate(experiment: Experiment, coarse: np.ndarray) -> np.ndarray:
    config = experiment.config
    factors = (config.coarsening.factor,) * experiment.fine[0].n_space
    return cubic_interpolation(
        coarse, factors, centred=config.coarsening.kind == "block-mean", periodic=config.data.periodic
    )


def verify(experiment: Experiment) -> list[Row]:
    """The table of metrics, and `metrics.json`."""
    results, (_, reference, twin) = load_results(experiment), experiment.fine
    coarsen = lambda fields: np.asarray(experiment.operator(jnp.asarray(fields)))  # noqa: E731
    n_space = reference.n_space
    with experiment.timed("verify"), progress_bar("verify") as update:
        update(0, 3, "coarse grid")
        coarse = {"raw": results.raw, "debiased": results.debiased}
        rows = compare("Coarse grid", coarsen(reference.values), coarse, coarsen(twin.values), n_space)
        update(1, 3, "fine grid")
        generated = results.ensemble.reshape(-1, *results.ensemble.shape[2:])
        fine = {"cubic": results.cubic, "generated": generated}
        # The floor of generated fields is that of as many reference fields, not of the whole archive.
        same_size = twin.values[draw_conditions(len(twin), len(generated), key=jr.fold_in(experiment.key("conditions"), 2))]
        rows += compare("Fine grid", reference.values, fine, same_size, n_space)
        rows += ensemble_rows("Fine grid", results.ensemble, results.cubic, results.target, experiment.operator)
        update(2, 3, "perfect model")
        perfect = (results.perfect_ensemble, results.perfect_cubic)
        rows += perfect_model_rows(results.perfect_truth, *perfect)
        rows += ensemble_rows("Perfect model", *perfect, results.perfect_target, experiment.operator)
        counts = ranks(results.perfect_truth, results.perfect_ensemble, key=experiment.key("ranks"))
        update(3, 3)
    write_json(
        experiment.path("metrics.json"),
        {
            "name": experiment.config.run.name,
            "seed": experiment.config.run.seed,
            "table": [row.as_dict() for row in rows],
            "rank_histogram": counts.tolist(),
            "debias": results.debias_summary,
            "seconds": experiment.timings,
            "machine": machine_summary(),
            "config": experiment.config.model_dump(),
        },
    )
    return rows


def machine_summary() -> dict[str, str | int]:
    """What the run ran on, without naming the machine."""
    import os

    return {
        "processor": platform.machine(),
        "cores": os.cpu_count() or 0,
        "devices": ", ".join(sorted({d.device_kind for d in jax.devices()})),
        "python": platform.python_version(),
        "jax": jax.__version__,
    }


def report(experiment: Experiment) -> Path:
    """The self-contained page."""
    from subgrid.report.evidence import Evidence
    from subgrid.report.page import write_report

    results, (_, reference, twin) = load_results(experiment), experiment.fine
    metrics = json.loads(experiment.path("metrics.json").read_text())
    coarsen = lambda fields: np.asarray(experiment.operator(jnp.asarray(fields)))  # noqa: E731
    evidence = Evidence(
        variable=experiment.config.data.variable or "u",
        units="",
        fine_reference=reference.values,
        fine_twin=twin.values,
        generated=results.ensemble,
        cubic=results.cubic,
        coarse_reference=coarsen(reference.values),
        coarse_twin=coarsen(twin.values),
        raw=results.raw,
        debiased=results.debiased,
        perfect_truth=results.perfect_truth,
        perfect_ensemble=results.perfect_ensemble,
        perfect_target=results.perfect_target,
        rank_counts=np.asarray(metrics["rank_histogram"]),
        loss_curve=loss_curve(experiment.path("model")),
    )
    path = experiment.path("report.html")
    with experiment.timed("report"):
        write_report(
            path,
            title=f"Downscaling report: {experiment.config.run.name}",
            summary=_summary(experiment, metrics),
            table=metrics["table"],
            configuration=experiment.config.as_toml(),
            evidence=evidence,
            notes=_notes(metrics),
            timings=metrics["seconds"],
        )
    return path


def _summary(experiment: Experiment, metrics: dict) -> list[tuple[str, str]]:
    config, machine = experiment.config, metrics["machine"]
    fine, coarse = experiment.fine[0].values.shape[2:], experiment.coarse[0].values.shape[2:]
    grid = lambda shape: " x ".join(map(str, shape))  # noqa: E731
    return [
        ("Data", config.data.source if config.data.source != "files" else f"{config.data.coarse} to {config.data.fine}"),
        ("Grids", f"{grid(coarse)} to {grid(fine)} ({config.coarsening.kind}, factor {config.coarsening.factor})"),
        ("Debiasing", config.debias.method),
        ("Prior", f"UNet {config.prior.channels}, {config.training.n_steps} steps of {config.training.batch_size}"),
        ("Sampling", f"{config.sampling.method}, {config.sampling.n_levels} evaluations, {config.sampling.guidance}"),
        ("Seed", str(config.run.seed)),
        ("Machine", f"{machine['cores']} cores {machine['processor']}, {machine['devices']}, jax {machine['jax']}"),
    ]


def _notes(metrics: dict) -> list[str]:
    notes = ["The noise floor is the same metric between two independent sets of the reference."]
    if summary := metrics["debias"]:
        notes.append(
            f"Entropic transport: {summary['n_source']} x {summary['n_target']} samples, epsilon {summary['epsilon']} "
            f"(cost the full squared distance), {summary['iterations']} iterations, marginal error "
            f"{summary['marginal_error']:.1e}."
        )
    return notes
