"""What a finished run is worth: the table of metrics, and the page that shows it."""

import json
from dataclasses import dataclass
from pathlib import Path

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import xarray as xr

from subgrid.cli.experiment import Experiment, machine_summary
from subgrid.cli.progress import progress_bar
from subgrid.data.store import write_json
from subgrid.downscaling.baselines import cubic_interpolation
from subgrid.downscaling.evaluation import Row, compare, draw_conditions, ensemble_rows, perfect_model_rows, ranks
from subgrid.downscaling.prior import loss_curve


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
    return xr.open_zarr(experiment.path(f"{name}.zarr"))


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
        same_size = twin.values[
            draw_conditions(len(twin), len(generated), key=jr.fold_in(experiment.key("conditions"), 2))
        ]
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
    sampling, n = config.sampling, config.sampling.n_resamples
    descents = "1 step" if n == 1 else f"{n} descents"
    return [
        (
            "Data",
            config.data.source if config.data.source != "files" else f"{config.data.coarse} to {config.data.fine}",
        ),
        ("Grids", f"{grid(coarse)} to {grid(fine)} ({config.coarsening.kind}, factor {config.coarsening.factor})"),
        ("Debiasing", config.debias.method),
        ("Prior", f"UNet {config.prior.channels}, {config.training.n_steps} steps of {config.training.batch_size}"),
        ("Sampling", f"{sampling.method}, {descents} at {sampling.n_levels} noise levels, {sampling.guidance}"),
        ("Seed", str(config.run.seed)),
        ("Machine", f"{machine['cores']} cores {machine['processor']}, {machine['devices']}, jax {machine['jax']}"),
    ]


def _notes(metrics: dict) -> list[str]:
    notes = [
        "The noise floor is the same metric between two independent sets of the reference; in perfect-model mode, what "
        "the ensemble scores when one of its own members plays the truth."
    ]
    if summary := metrics["debias"]:
        notes.append(
            f"Entropic transport: {summary['n_source']} x {summary['n_target']} samples, epsilon {summary['epsilon']} "
            f"(cost the full squared distance), {summary['iterations']} iterations, marginal error "
            f"{summary['marginal_error']:.1e}."
        )
    return notes
