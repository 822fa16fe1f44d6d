"""The page of a moist-turbulence run, from what was judged."""

import json
from pathlib import Path

import numpy as np

from subgrid.cli.experiment import machine_summary
from subgrid.cli.table import as_markdown
from subgrid.cli.timings import timings_of
from subgrid.cli.turbulence_config import load_complete_config
from subgrid.cli.turbulence_fits import level_of
from subgrid.cli.turbulence_scoring import RANDOM, UPSAMPLED, Judged, columns, gather, quantities
from subgrid.cli.turbulence_stages import TurbulenceRun
from subgrid.report.turbulence_page import TurbulenceEvidence, turbulence_sections, write_turbulence_report


def write_page(run: TurbulenceRun, judged: Judged) -> Path:
    """RUN/report.html."""
    metrics = json.loads(run.path("metrics.json").read_text(encoding="utf-8"))
    return write_turbulence_report(
        run.path("report.html"),
        title=f"Moist turbulence: {run.config.run.name}",
        summary=_summary(run),
        table=metrics["table"],
        columns=columns(run),
        configuration=run.config.as_toml(),
        evidence=evidence_of(run, judged, metrics),
        notes=_notes(run),
        timings=timings_of(run.folder),
    )


def turbulence_files(folder: Path) -> dict[str, bytes]:
    """The files of a publication by name: configuration, metrics, the table as Markdown, and all figures."""
    run = TurbulenceRun(load_complete_config(folder / "config.toml"), folder)
    metrics = json.loads(run.path("metrics.json").read_text(encoding="utf-8"))
    shown = turbulence_sections(evidence_of(run, gather(run), metrics))
    files = {plate.file: plate.content for section in shown for plate in section.plates}
    files["config.toml"] = run.config.as_toml().encode()
    files["table.md"] = as_markdown(metrics["table"], columns(run)).encode()
    return files | {"metrics.json": run.path("metrics.json").read_bytes()}


def evidence_of(run: TurbulenceRun, judged: Judged, metrics: dict) -> TurbulenceEvidence:
    """What the figures are drawn from."""
    curves = lambda of: {name: np.asarray(curve) for name, curve in metrics[of].items() if name != "wavenumber"}  # noqa: E731
    return TurbulenceEvidence(
        reference=quantities(judged.reference.values),
        twin=quantities(judged.twin.values),
        candidates={name: quantities(fields.values) for name, fields in judged.candidates.items()},
        wavenumbers=metrics["similarity"]["wavenumber"],
        similarity=curves("similarity"),
        similarity_of_anomalies=curves("similarity of anomalies"),
        examples=_examples(run, judged),
        cut_off=run.config.diffusion.cut_off,
    )


def _examples(run: TurbulenceRun, judged: Judged) -> dict[str, dict[str, np.ndarray]]:
    """The first case under the smallest, the middle and the largest wavenumber, both channels."""
    known = run.config.turbulence.wavenumbers
    rows = {}
    for k in sorted({known[0], known[len(known) // 2], known[-1]}):
        names = [UPSAMPLED, *run.config.evaluation.methods]
        for channel, symbol in enumerate(("ζ", "c")):
            shown = {name: judged.candidates[name].of(k)[0, channel] for name in names}
            rows[f"{symbol}, k = {k}"] = {**shown, "a fine field": judged.reference.of(k)[0, channel]}
    return rows


def _summary(run: TurbulenceRun) -> list[tuple[str, str]]:
    config, machine = run.config, machine_summary()
    table, bridge = config.turbulence, config.bridge
    runs = f"{table.n_training_runs} + {table.n_held_out_runs} runs of {table.n_frames} frames a context"
    return [
        ("Grids", f"{table.n_coarse} x {table.n_coarse} to {table.n_fine} x {table.n_fine}"),
        ("Archives", f"{runs}, training + held out"),
        ("Network", f"UNet {config.network.channels}, patch {config.network.patch}"),
        ("Bridge", f"σ² = {bridge.variance}, {bridge.n_iterations} iterations of {bridge.n_steps} steps"),
        ("Flows, denoisers", f"{config.training.n_steps} steps, batch {config.training.batch_size}"),
        ("Turnaround", f"σ* = {level_of(config, run.archives):.3g} at k* = {config.diffusion.cut_off}"),
        ("Sampling", f"{config.evaluation.n_sampling_steps} evaluations, {config.evaluation.n_cases} cases a context"),
        ("Machine", f"{machine['cores']} cores {machine['processor']}, {machine['devices']}, jax {machine['jax']}"),
    ]


def _notes(run: TurbulenceRun) -> list[str]:
    return [
        "The floor is the same metric between two independent halves of the held-out fine fields, which have more "
        "fields than a method makes of a context: a method cannot be expected to reach it.",
        f"“{RANDOM}” takes any training field of the right context: perfect quality, no likeness. “{UPSAMPLED}” is the "
        "coarse field itself: perfect likeness.",
        "ζ and c are advanced together, while the published data held u fixed while c advanced by .25; figures of c "
        "therefore differ from the published ones.",
    ]
