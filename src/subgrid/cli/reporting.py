"""What a finished run shows: the self-contained page, and the folder of its numbers and figures for publication."""

import json
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from subgrid.cli import table
from subgrid.cli.build import n_evaluations
from subgrid.cli.config import Config, load_config
from subgrid.cli.experiment import Experiment
from subgrid.cli.scoring import SCORED, load_results
from subgrid.cli.timings import timed
from subgrid.data.fields import DataError
from subgrid.data.store import OutputExists, write_whole
from subgrid.downscaling.field_training import loss_curve
from subgrid.report.evidence import Evidence

PUBLISHED = ("config.toml", "metrics.json", "table.md", "folds.md")
"""What a publication holds beside its figures, which end in .svg or .png."""


def report(experiment: Experiment) -> Path:
    """The self-contained page, `report.html`; not drawn again where it is newer than all it was made from."""
    from subgrid.report.page import write_report

    path = experiment.path("report.html")
    if experiment.is_newest("report.html", (*SCORED, "metrics.json")):
        return path
    metrics = read_metrics(experiment)
    with timed(experiment.folder, "report"):
        write_report(
            path,
            title=f"Downscaling report: {experiment.config.run.name}",
            summary=_summary(experiment, metrics),
            table=metrics["table"],
            configuration=experiment.config.as_toml(),
            evidence=evidence_of(experiment, metrics),
            notes=_notes(metrics),
            timings=metrics["seconds"],
        )
    return path


def publish(run: Path, folder: Path, *, overwrite: bool) -> list[str]:
    """Numbers and figures of a finished run as separate files, small enough for a repository.

    **Arguments:** `run`, a run folder; `folder`, of the publication; `overwrite`, whether an earlier publication there
    is replaced.

    **Returns:** the names of the files: `config.toml`, `metrics.json`, `table.md` and the figures of the page; of a
    climate run those figures that do not show fields of the reference, whose terms may forbid it; of the folder of
    `subgrid folds` those of the run that learned on odd years, and the table of both.

    **Raises:** `DataError` if the run is not finished; `OutputExists` if the folder is there and `overwrite` is false,
    or if it holds anything that is not of a publication.

        publish(Path("runs/ks_8x"), Path("docs/results/ks_8x"), overwrite=True)
    """
    from subgrid.cli.climate_config import is_climate
    from subgrid.cli.toy_config import toy_table
    from subgrid.cli.turbulence_config import is_turbulence

    folds = run / "folds.md"
    run = run / "odd" if folds.exists() else run
    if not (run / "metrics.json").exists():
        raise DataError(f"{run}: holds no finished run (no metrics.json); finish it with `subgrid run` first.")
    old = _replaceable(folder, overwrite=overwrite)
    if is_climate(run / "config.toml"):
        from subgrid.cli.climate_publish import climate_files

        files = climate_files(run)
    elif is_turbulence(run / "config.toml"):
        from subgrid.cli.turbulence_reporting import turbulence_files

        files = turbulence_files(run)
    elif toy_table(run / "config.toml") == "sampler_errors":
        names = ("config.toml", "metrics.json", "table.md", "errors.svg")
        files = {name: (run / name).read_bytes() for name in names}
    else:
        files = _files(run)
    if folds.exists():
        files["folds.md"] = folds.read_bytes()
    for path in old:
        path.unlink()
    # The metrics last: a folder that has them is whole.
    for name, content in sorted(files.items(), key=lambda file: file[0] == "metrics.json"):
        write_whole(folder / name, lambda partial, content=content: _write_bytes(partial, content), overwrite=True)
    return sorted(files)


def _files(run: Path) -> dict[str, bytes]:
    """What is published of a run that is not of climate."""
    from subgrid.report.gallery import sections

    experiment = Experiment(load_config(run / "config.toml"), run)
    metrics = read_metrics(experiment)
    plates = [plate for section in sections(evidence_of(experiment, metrics)) for plate in section.plates]
    files = {plate.file: plate.content for plate in plates}
    files["config.toml"] = experiment.config.as_toml().encode()
    files["table.md"] = table.as_markdown(metrics["table"]).encode()
    return files | {"metrics.json": (run / "metrics.json").read_bytes()}


def read_metrics(experiment: Experiment) -> dict[str, Any]:
    """What `verify` wrote."""
    return json.loads(experiment.path("metrics.json").read_text(encoding="utf-8"))


def evidence_of(experiment: Experiment, metrics: dict[str, Any]) -> Evidence:
    """What the figures of a finished run are drawn from."""
    results, (_, reference, twin) = load_results(experiment), experiment.fine
    coarsen = lambda fields: np.asarray(experiment.operator(jnp.asarray(fields)))  # noqa: E731
    return Evidence(
        variable=reference.name,
        units=reference.units,
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


def _replaceable(folder: Path, *, overwrite: bool) -> list[Path]:
    """The files of an earlier publication, which a new one takes the place of."""
    if not folder.exists():
        return []
    if not folder.is_dir():
        raise OutputExists(f"{folder}: is a file; choose another output folder.")
    old = sorted(folder.iterdir())
    for path in old:
        if path.is_dir() or not (path.name in PUBLISHED or path.suffix in (".svg", ".png")):
            raise OutputExists(f"{folder}: holds {path.name}, which is not of a publication; choose another folder.")
    if old and not overwrite:
        raise OutputExists(f"{folder}: exists already; choose another output or pass --overwrite.")
    return old


def _write_bytes(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def _summary(experiment: Experiment, metrics: dict[str, Any]) -> list[tuple[str, str]]:
    config, machine = experiment.config, metrics["machine"]
    fine, coarse = experiment.fine[0].values.shape[2:], experiment.coarse[0].values.shape[2:]
    grid = lambda shape: " x ".join(map(str, shape))  # noqa: E731
    return [
        (
            "Data",
            config.data.source if config.data.source != "files" else f"{config.data.coarse} to {config.data.fine}",
        ),
        ("Grids", f"{grid(coarse)} to {grid(fine)} ({config.coarsening.kind}, factor {config.coarsening.factor})"),
        ("Debiasing", config.debias.method),
        *(_bridge_summary(config) if config.downscaling.method == "bridge" else _prior_summary(config)),
        *_particle_summary(config, metrics),
        *_input_summary(metrics),
        ("Seed", str(config.run.seed)),
        ("Machine", f"{machine['cores']} cores {machine['processor']}, {machine['devices']}, jax {machine['jax']}"),
    ]


def _prior_summary(config: Config) -> list[tuple[str, str]]:
    sampling, n = config.sampling, n_evaluations(config)
    trained = f"UNet {config.prior.channels}, {config.training.n_steps} steps of {config.training.batch_size}"
    match config.downscaling.method:
        case "conditional-diffusion":
            return [("Conditional diffusion", trained), ("Sampling", f"{sampling.method}, {n} evaluations a draw")]
        case "conditional-flow":
            return [("Conditional flow", trained), ("Sampling", f"{n} evaluations a draw")]
    return [("Prior", trained), ("Sampling", f"{sampling.method}, {n} noise levels, {sampling.guidance}")]


def _input_summary(metrics: dict[str, Any]) -> list[tuple[str, str]]:
    if "inputs" not in metrics:
        return []
    beyond, ratio = metrics["inputs"]["beyond"], metrics["inputs"]["largest_ratio"]
    share = f"{beyond:.1%} of debiased fields beyond the 99 % quantile of coarsened training fields (1 % by chance)"
    return [("Inputs", f"{share}, the farthest at {ratio:.2g} times their largest distance")]


def _particle_summary(config: Config, metrics: dict[str, Any]) -> list[tuple[str, str]]:
    if "particles" not in metrics:
        return []
    told = metrics["particles"]
    size = f"effective size at the worst noise level {told['effective_size']:.3g}"
    fraction = f"effective fraction of guided draws {told['effective_fraction']:.2g}"
    return [("Particles", f"{config.sampling.particles} a member; medians over the perfect model: {size}, {fraction}")]


def _bridge_summary(config: Config) -> list[tuple[str, str]]:
    table = config.downscaling
    steps = f"{table.n_iterations} iterations of {table.n_steps} steps of {config.training.batch_size}"
    return [
        ("Bridge", f"from {table.source} fields, σ = {table.sigma}; UNet {config.prior.channels}, {steps}"),
        ("Sampling", f"{table.n_sampling_steps} steps of the bridge's diffusion, not held to the coarse field"),
    ]


def _notes(metrics: dict[str, Any]) -> list[str]:
    notes = [
        "The noise floor is the same metric between two independent sets of the reference; in perfect-model mode, what "
        "the ensemble scores when one of its own members plays the truth."
    ]
    return [*notes, *_debias_notes(metrics["debias"])]


def _debias_notes(summary: dict[str, Any]) -> list[str]:
    """What the debiaser's solver reported: of entropic transport and of a rectified flow; others report nothing."""
    if "marginal_error" in summary:
        return [
            f"Entropic transport: {summary['n_source']} x {summary['n_target']} samples, epsilon {summary['epsilon']} "
            f"(cost the full squared distance), {summary['iterations']} iterations, marginal error "
            f"{summary['marginal_error']:.1e}."
        ]
    if "rounds" in summary:
        first, second = summary["rounds"]
        return [
            f"Rectified flow, in squared standard deviations a value: curvature of the paths {first['curvature']:.2g}, "
            f"{second['curvature']:.2g} after reflow; error of one Euler step {first['one_step_error']:.2g}, "
            f"{second['one_step_error']:.2g}; mean squared displacement {first['cost']:.2g}, {second['cost']:.2g}."
        ]
    return []
