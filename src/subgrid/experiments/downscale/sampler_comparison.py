"""Ways to sample p(x | C′x = y) side by side: CRPS and spread/skill against evaluations of the network.

RUN/samplers/model/KIND/        a prior, one of functions, a conditional diffusion, a conditional flow, trained alike
RUN/samplers/SAMPLER-N.json     scores of one sampler at N evaluations; where it is there, it is done
RUN/samplers/alone/             draws of the prior alone, likewise
RUN/samplers.json, samplers.md, crps.svg, spread.svg   all of them
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from subgrid.data.fields import Samples
from subgrid.data.store import write_json, write_text
from subgrid.downscaling.conditional.model import is_conditional
from subgrid.downscaling.evaluation import draw_conditions, perfect_model_rows, ranks
from subgrid.downscaling.interpolation.cubic import cubic_interpolation
from subgrid.downscaling.prior.functions import is_function_prior
from subgrid.downscaling.prior.model import is_trained
from subgrid.downscaling.upsampling.choices import GuidanceName
from subgrid.downscaling.upsampling.particles import sample_with_diagnostics
from subgrid.experiments.downscale import build
from subgrid.experiments.downscale.checks import check_archives
from subgrid.experiments.downscale.config import (
    LEAST_LEVELS,
    CoarseningTable,
    DownscaleConfig,
    DownscalingTable,
    PriorTable,
    SamplingTable,
)
from subgrid.experiments.downscale.figures.samplers import draw_curves
from subgrid.experiments.downscale.fitting import train_on
from subgrid.experiments.downscale.run import DownscaleRun
from subgrid.experiments.downscale.unconditional_comparison import unconditional_rows
from subgrid.runs.comparison import kept, require_candidates
from subgrid.runs.config import ConfigError
from subgrid.runs.stage import Update
from subgrid.types import Key

MOST_EVALUATIONS = {"particles": 16}
"""Eight particles under moment matching cost 40 evaluations and products a level: 32 levels would double the time."""
FINER = {"function-space-2x": 2}
"""Samplers that draw on a finer grid than that of the archive, which is scored on every n-th of its points."""
N_PARTICLES = 8
"""Of the sampler "particles": the mixture of the tests is right on average from 8 on."""


@dataclass(frozen=True)
class PerfectModelCases:
    """Perfect-model cases: coarsened reference fields and the truth."""

    conditions: Samples
    targets: np.ndarray
    cubic: np.ndarray


def compare_samplers(run: DownscaleRun, update: Update) -> None:
    """Trains what is not there, scores what is not yet done, and writes the table and curves of all.

    Raises:
        ConfigError: without a sampler to compare, or with a jitter that only a run of the pipeline measures.
    """
    comparison = run.config.comparison
    if run.config.downscaling.jitter == "debiaser":
        raise ConfigError(
            'downscaling.jitter = "debiaser" is what debiasing leaves, and samplers are compared without debiasing; '
            "give the number."
        )
    require_candidates("comparison.samplers", comparison.samplers, "conditional-diffusion")
    check_archives(run, ())
    cases = _cases(run)
    for kind in dict.fromkeys(["diffusion", *map(_kind, comparison.samplers)]):
        _train(run, kind, update)
    wanted = [(s, n) for s in comparison.samplers for n in comparison.evaluations if _is_compared(s, n)]
    scored = lambda sampler, n: lambda: _scored(run, cases, sampler, n, update)  # noqa: E731
    rows = [kept(run.path("samplers") / f"{sampler}-{n}.json", scored(sampler, n)) for sampler, n in wanted]
    model, folder = _model_folder(run, "diffusion"), run.path("samplers") / "alone"
    alone = unconditional_rows(run, model, comparison.evaluations, folder)
    content = {"table": rows, "unconditional": alone, "cubic": _cubic_crps(cases)}
    content["config"] = run.config.model_dump()
    write_json(run.path("samplers.json"), content)
    for name, figure in draw_curves(rows).items():
        run.path(name).write_bytes(figure)
    scores = ("CRPS", "CRPS floor", "spread/skill", "outermost ranks", "seconds a draw")
    drawn_alone = _markdown(alone, ("MELRw", "standard deviation ratio"))
    write_text(run.path("samplers.md"), f"{_markdown(rows, scores)}\nThe prior alone:\n\n{drawn_alone}")


def _is_compared(sampler: str, n: int) -> bool:
    """Whether the sampler can do with n evaluations, and is not too dear with them."""
    kind = _kind(sampler)
    least, _ = LEAST_LEVELS.get("diffusion" if kind.endswith("function-space") else kind, (1, ""))
    return least <= n <= MOST_EVALUATIONS.get(sampler, n)


def _kind(sampler: str) -> Any:
    """The model that a sampler samples from: all guided ones share the prior, or that of functions."""
    if sampler == "conditional-function-space":
        return sampler
    if sampler.startswith("function-space"):
        return "function-space"
    return sampler if sampler.startswith("conditional") else "diffusion"


def _configured(config: DownscaleConfig, sampler: Any, n: int | None) -> DownscaleConfig:
    """The configuration that samples so, with n levels."""
    sampling: dict[str, Any] = config.sampling.model_dump() | {"n_levels": n, "particles": 1}
    sampling |= {"guidance": sampler} if sampler in get_args(GuidanceName) else {}
    if sampler == "particles":  # whose kernel is the method's
        sampling |= {"guidance": "moment-matching", "particles": N_PARTICLES, "method": "gaussian-sde"}
    kind = _kind(sampler)
    of_functions = kind.endswith("function-space")
    sampling |= {"guidance": "moment-matching"} if of_functions else {}
    method = {"function-space": "diffusion", "conditional-function-space": "conditional-diffusion"}.get(kind, kind)
    downscaling: dict[str, Any] = config.downscaling.model_dump() | {"method": method}
    prior: dict[str, Any] = config.prior.model_dump() | {"kind": "function-space" if of_functions else "grid"}
    changed = {"sampling": SamplingTable(**sampling), "downscaling": DownscalingTable(**downscaling)}
    return config.model_copy(update={**changed, "prior": PriorTable(**prior)})


def _model_folder(run: DownscaleRun, kind: str) -> Path:
    return run.path("samplers") / "model" / kind


def _train(run: DownscaleRun, kind: Any, update: Update) -> None:
    """One model, all with the same network, steps and batches."""
    folder = _model_folder(run, kind)
    if is_trained(folder) or is_conditional(folder) or is_function_prior(folder):
        return
    config, key = _configured(run.config, kind, None), run.key("prior")
    jitter = float(config.downscaling.jitter)
    note = lambda done, total, loss="": update(done, total, f"{kind}, {loss}")  # noqa: E731
    options = {"operator": run.operator, "jitter": jitter, "update": note, "key": key}
    train_on(config, run.fine[0].values, folder, **options)


def _cases(run: DownscaleRun) -> PerfectModelCases:
    config, reference = run.config, run.fine[1]
    key = run.key("conditions of the perfect model")
    conditions = reference.take(draw_conditions(len(reference), config.evaluation.n_conditions, key=key))
    targets = np.asarray(run.operator(jnp.asarray(conditions.values)))
    factors = (config.coarsening.factor,) * reference.n_space
    centred = config.coarsening.kind == "block-mean"
    cubic = cubic_interpolation(targets, factors, centred=centred, periodic=config.data.periodic)
    return PerfectModelCases(conditions, targets, cubic)


def _scored(run: DownscaleRun, cases: PerfectModelCases, sampler: str, n: int, update: Update) -> dict[str, Any]:
    """Scores of one sampler at n evaluations. Seconds are without compilation."""
    config = _configured(run.config, sampler, n)
    upsampler = _upsampler(run, config, sampler)
    members, key = config.sampling.n_members, run.key("perfect model")
    times: list[tuple[float, int]] = []

    def report(done: int, total: int) -> None:
        times.append((time.monotonic(), done))
        update(done, total, f"{sampler}, {n}")

    chunk = max(1, len(cases.targets) * members // 4)
    ensemble, diagnostics = sample_with_diagnostics(
        upsampler, cases.targets, members, chunk=chunk, report=report, key=key
    )
    truth = cases.conditions.values
    crps, spread = perfect_model_rows(truth, ensemble, cases.cubic)
    histogram = ranks(truth, ensemble, run.operator, key=run.key("ranks"))
    return {
        "sampler": sampler,
        "evaluations": n,
        "CRPS": crps.generated,
        "CRPS floor": crps.floor,
        "spread/skill": spread.generated,
        "outermost ranks": float((histogram[0] + histogram[-1]) / histogram.sum() * len(histogram) / 2),
        "seconds a draw": _seconds_a_draw(times),
        **{name: float(np.median(values)) for name, values in diagnostics.items()},
    }


def _upsampler(run: DownscaleRun, config: DownscaleConfig, sampler: str) -> Any:
    """The sampler, on the grid of the archive, or on a finer one and cut to it."""
    folder, finer = _model_folder(run, _kind(sampler)), FINER.get(sampler)
    if finer is None:
        return build.open_upsampler(config, folder, run.operator)
    coarsening = CoarseningTable(kind=config.coarsening.kind, factor=config.coarsening.factor * finer)
    shape = tuple(n * finer for n in run.operator.fine_shape)
    operator = build.operator_of(coarsening, shape, tuple(run.operator.coarse_shape))
    return EveryNth(build.open_upsampler(config, folder, operator), finer)


class EveryNth(eqx.Module):
    """Draws on a grid n times finer, every n-th point of them: those of the coarser grid."""

    upsampler: Any
    n: int = eqx.field(static=True)

    def __call__(self, y: Float[Array, "channel *coarse"], *, key: Key) -> Float[Array, "channel *fine"]:
        x = self.upsampler(y, key=key)
        return x[(slice(None), *(slice(None, None, self.n),) * (x.ndim - 1))]


def _seconds_a_draw(times: list[tuple[float, int]]) -> float | None:
    """From the end of the first chunk on, which was compiled; not known of one chunk."""
    (first, done), (last, total) = times[0], times[-1]
    return (last - first) / (total - done) if total > done else None


def _cubic_crps(cases: PerfectModelCases) -> float:
    return float(np.mean(np.abs(cases.cubic - cases.conditions.values)))


def _markdown(rows: list[dict[str, Any]], names: tuple[str, ...]) -> str:
    lines = [["sampler", "evaluations", *names], ["---"] * (2 + len(names))]
    lines += [[row["sampler"], str(row["evaluations"] or "–"), *(_short(row[name]) for name in names)] for row in rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _short(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"
