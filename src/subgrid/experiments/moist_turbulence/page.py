"""The page of a moist-turbulence run, from what was compared."""

import numpy as np

from subgrid.experiments.moist_turbulence.figures import TurbulenceEvidence, turbulence_sections
from subgrid.experiments.moist_turbulence.methods import level_of
from subgrid.experiments.moist_turbulence.run import TurbulenceRun
from subgrid.experiments.moist_turbulence.scoring import RANDOM, UPSAMPLED, Compared, compare, quantities
from subgrid.runs.page import Page, read_metrics


def page(run: TurbulenceRun) -> Page:
    """Figures, summary and notes."""
    sections = turbulence_sections(evidence_of(run, run.once(compare), read_metrics(run)))
    return Page(f"Moist turbulence: {run.config.run.name}", _summary(run), sections, _notes())


def evidence_of(run: TurbulenceRun, compared: Compared, metrics: dict) -> TurbulenceEvidence:
    """What the figures are drawn from."""
    curves = lambda of: {name: np.asarray(curve) for name, curve in metrics[of].items() if name != "wavenumber"}  # noqa: E731
    return TurbulenceEvidence(
        reference=quantities(compared.reference.values),
        independent=quantities(compared.independent.values),
        candidates={name: quantities(fields.values) for name, fields in compared.candidates.items()},
        wavenumbers=metrics["similarity"]["wavenumber"],
        similarity=curves("similarity"),
        similarity_of_anomalies=curves("similarity of anomalies"),
        examples=_examples(run, compared),
        cut_off=run.config.diffusion.cut_off,
    )


def _examples(run: TurbulenceRun, compared: Compared) -> dict[str, dict[str, np.ndarray]]:
    """The first case under the smallest, the middle and the largest wavenumber, both channels."""
    known = run.config.turbulence.wavenumbers
    rows = {}
    for k in sorted({known[0], known[len(known) // 2], known[-1]}):
        names = [UPSAMPLED, *run.config.evaluation.methods]
        for channel, symbol in enumerate(("ζ", "c")):
            shown = {name: compared.candidates[name].of(k)[0, channel] for name in names}
            rows[f"{symbol}, k = {k}"] = {**shown, "a fine field": compared.reference.of(k)[0, channel]}
    return rows


def _summary(run: TurbulenceRun) -> list[tuple[str, str]]:
    config = run.config
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
    ]


def _notes() -> list[str]:
    return [
        "The floor is the same metric between two independent halves of the held-out fine fields, which have more "
        "fields than a method makes of a context: a method cannot be expected to reach it.",
        f"“{RANDOM}” takes any training field of the right context: perfect quality, no likeness. “{UPSAMPLED}” is the "
        "coarse field itself: perfect likeness.",
        "ζ and c are advanced together, while the published data held u fixed while c advanced by .25; figures of c "
        "therefore differ from the published ones.",
    ]
