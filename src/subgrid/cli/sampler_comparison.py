"""Ways to sample p(x | C′x = y) side by side: CRPS and spread/skill against evaluations of the network.


RUN/samplers/model/KIND/        a prior, a conditional diffusion, a conditional flow, trained alike
RUN/samplers/SAMPLER-N.json     scores of one sampler at N evaluations; where it is there, it is done
RUN/samplers/alone/             draws of the prior alone, likewise
RUN/samplers.json, samplers.md, crps.svg, spread.svg   all of them
"""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from subgrid.cli import build, stages
from subgrid.cli.config import LEAST_LEVELS, Config, ConfigError, Downscaling, Sampling
from subgrid.cli.experiment import Experiment
from subgrid.cli.progress import progress_bar
from subgrid.cli.unconditional_comparison import unconditional_rows
from subgrid.data.fields import Samples
from subgrid.data.store import write_json, write_text
from subgrid.downscaling.baselines import cubic_interpolation
from subgrid.downscaling.evaluation import draw_conditions, perfect_model_rows, ranks
from subgrid.downscaling.particle_upsampler import sample_with_diagnostics
from subgrid.report.sampler_figures import draw_curves

MOST_EVALUATIONS = {"particles": 16}
"""Eight particles under moment matching cost 40 evaluations and products a level: 32 levels would double the time."""
N_PARTICLES = 8
"""Of the sampler "particles": the mixture of the tests is right on average from 8 on."""


@dataclass(frozen=True)
class Cases:
    """Perfect-model cases: coarsened reference fields and the truth."""

    conditions: Samples
    targets: np.ndarray
    cubic: np.ndarray


def compare_samplers(experiment: Experiment) -> Path:
    """Simulates and trains if need be, scores what is not yet done; returns the path of the table.

    **Raises:** `ConfigError` without a sampler to compare, or with a jitter that only a run of the pipeline measures.
    """
    comparison = experiment.config.comparison
    if experiment.config.downscaling.jitter == "debiaser":
        raise ConfigError(
            'downscaling.jitter = "debiaser" is what debiasing leaves, and samplers are compared without debiasing; '
            "give the number."
        )
    if not comparison.samplers:
        raise ConfigError('comparison.samplers is empty; name samplers, for example ["conditional-diffusion"].')
    if experiment.config.data.source == "kuramoto-sivashinsky":
        stages.simulate(experiment)
    stages.check_archives(experiment, [])
    cases = _cases(experiment)
    for kind in dict.fromkeys(["diffusion", *map(_kind, comparison.samplers)]):
        _train(experiment, kind)
    wanted = [(s, n) for s in comparison.samplers for n in comparison.evaluations if _is_compared(s, n)]
    rows = [_record(experiment, cases, sampler, n) for sampler, n in wanted]
    model, folder = _model_folder(experiment, "diffusion"), experiment.path("samplers") / "alone"
    alone = unconditional_rows(experiment, model, comparison.evaluations, folder)
    content = {"table": rows, "unconditional": alone, "cubic": _cubic_crps(cases)}
    content["config"] = experiment.config.model_dump()
    write_json(experiment.path("samplers.json"), content)
    for name, figure in draw_curves(rows).items():
        experiment.path(name).write_bytes(figure)
    path = experiment.path("samplers.md")
    scores = ("CRPS", "CRPS floor", "spread/skill", "outermost ranks", "seconds a draw")
    drawn_alone = _markdown(alone, ("MELRw", "standard deviation ratio"))
    write_text(path, f"{_markdown(rows, scores)}\nThe prior alone:\n\n{drawn_alone}")
    return path


def _is_compared(sampler: str, n: int) -> bool:
    """Whether the sampler can do with n evaluations, and is not too dear with them."""
    least, _ = LEAST_LEVELS.get(_kind(sampler), (1, ""))
    return least <= n <= MOST_EVALUATIONS.get(sampler, n)


def _kind(sampler: str) -> Any:
    """The model that a sampler samples from: all guided ones share the prior."""
    return sampler if sampler.startswith("conditional") else "diffusion"


def _configured(config: Config, sampler: Any, n: int | None) -> Config:
    """The configuration that samples so, with n levels."""
    guided = {"projection", "moment-matching", "gaussian-gain"}
    sampling: dict[str, Any] = config.sampling.model_dump() | {"n_levels": n, "particles": 1}
    sampling |= {"guidance": sampler} if sampler in guided else {}
    if sampler == "particles":  # whose kernel is the method's
        sampling |= {"guidance": "moment-matching", "particles": N_PARTICLES, "method": "gaussian-sde"}
    downscaling: dict[str, Any] = config.downscaling.model_dump() | {"method": _kind(sampler)}
    return config.model_copy(update={"sampling": Sampling(**sampling), "downscaling": Downscaling(**downscaling)})


def _model_folder(experiment: Experiment, kind: str) -> Path:
    return experiment.path("samplers") / "model" / kind


def _train(experiment: Experiment, kind: Any) -> None:
    """One model, all with the same network, steps and batches."""
    folder = _model_folder(experiment, kind)
    if stages.is_trained(folder) or stages.is_conditional(folder):
        return
    config, key = _configured(experiment.config, kind, None), experiment.key("prior")
    jitter = float(config.downscaling.jitter)
    stages.train_on(config, experiment.fine[0].values, folder, operator=experiment.operator, jitter=jitter, key=key)


def _cases(experiment: Experiment) -> Cases:
    config, reference = experiment.config, experiment.fine[1]
    key = experiment.key("conditions of the perfect model")
    conditions = reference.take(draw_conditions(len(reference), config.evaluation.n_conditions, key=key))
    targets = np.asarray(experiment.operator(jnp.asarray(conditions.values)))
    factors = (config.coarsening.factor,) * reference.n_space
    centred = config.coarsening.kind == "block-mean"
    cubic = cubic_interpolation(targets, factors, centred=centred, periodic=config.data.periodic)
    return Cases(conditions, targets, cubic)


def _record(experiment: Experiment, cases: Cases, sampler: str, n: int) -> dict[str, Any]:
    """Scores of one sampler at n evaluations: read, or made. Seconds are without compilation."""
    path = experiment.path("samplers") / f"{sampler}-{n}.json"
    if path.exists():
        return json.loads(path.read_text(encoding="utf-8"))
    config = _configured(experiment.config, sampler, n)
    upsampler = build.open_upsampler(config, _model_folder(experiment, _kind(sampler)), experiment.operator)
    members, key = config.sampling.n_members, experiment.key("perfect model")
    times: list[tuple[float, int]] = []
    with progress_bar(f"{sampler}, {n}") as update:

        def report(done: int, total: int) -> None:
            times.append((time.monotonic(), done))
            update(done, total)

        chunk = max(1, len(cases.targets) * members // 4)
        ensemble, told = sample_with_diagnostics(upsampler, cases.targets, members, chunk=chunk, report=report, key=key)
    truth = cases.conditions.values
    crps, spread = perfect_model_rows(truth, ensemble, cases.cubic)
    histogram = ranks(truth, ensemble, experiment.operator, key=experiment.key("ranks"))
    record = {
        "sampler": sampler,
        "evaluations": n,
        "CRPS": crps.generated,
        "CRPS floor": crps.floor,
        "spread/skill": spread.generated,
        "outermost ranks": float((histogram[0] + histogram[-1]) / histogram.sum() * len(histogram) / 2),
        "seconds a draw": _seconds_a_draw(times),
        **{name: float(np.median(values)) for name, values in told.items()},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, record)
    return record


def _seconds_a_draw(times: list[tuple[float, int]]) -> float | None:
    """From the end of the first chunk on, which was compiled; not known of one chunk."""
    (first, done), (last, total) = times[0], times[-1]
    return (last - first) / (total - done) if total > done else None


def _cubic_crps(cases: Cases) -> float:
    return float(np.mean(np.abs(cases.cubic - cases.conditions.values)))


def _markdown(rows: list[dict[str, Any]], names: tuple[str, ...]) -> str:
    lines = [["sampler", "evaluations", *names], ["---"] * (2 + len(names))]
    lines += [[row["sampler"], str(row["evaluations"] or "–"), *(_short(row[name]) for name in names)] for row in rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _short(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"
