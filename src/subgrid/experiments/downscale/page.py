"""The page of a run on two archives."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from subgrid.downscaling.conditional.model import load_conditional
from subgrid.downscaling.prior.functions import load_function_prior
from subgrid.downscaling.prior.model import load_prior
from subgrid.downscaling.prior.training import loss_curve
from subgrid.downscaling.upsampling.bridge import load_upsampler
from subgrid.experiments.downscale.build import n_evaluations, n_levels
from subgrid.experiments.downscale.config import DownscaleConfig
from subgrid.experiments.downscale.figures.evidence import Evidence, warnings_of
from subgrid.experiments.downscale.figures.sections import sections
from subgrid.experiments.downscale.run import DownscaleRun
from subgrid.experiments.downscale.scoring import load_results
from subgrid.runs.facts import n_parameters
from subgrid.runs.page import Page, read_metrics


def page(run: DownscaleRun) -> Page:
    """Figures, summary and notes."""
    metrics = read_metrics(run)
    evidence = evidence_of(run, metrics)
    notes = [*_notes(metrics), *warnings_of(evidence)]
    return Page(
        f"Downscaling report: {run.config.run.name}",
        _summary(run, metrics),
        sections(evidence),
        notes,
        draws={
            "downscale": evidence.generated.shape[0] * evidence.generated.shape[1],
            "perfect model": evidence.perfect_ensemble.shape[0] * evidence.perfect_ensemble.shape[1],
        },
    )


def evidence_of(run: DownscaleRun, metrics: dict[str, Any]) -> Evidence:
    """What the figures of a finished run are drawn from."""
    results, (_, reference, independent) = load_results(run), run.fine
    coarsen = lambda fields: np.asarray(run.operator(jnp.asarray(fields)))  # noqa: E731
    return Evidence(
        variable=reference.name,
        units=reference.units,
        fine_reference=reference.values,
        fine_independent=independent.values,
        generated=results.ensemble,
        cubic=results.cubic,
        coarse_reference=coarsen(reference.values),
        coarse_independent=coarsen(independent.values),
        raw=results.raw,
        debiased=results.debiased,
        perfect_truth=results.perfect_truth,
        perfect_ensemble=results.perfect_ensemble,
        perfect_target=results.perfect_target,
        rank_counts=np.asarray(metrics["rank_histogram"]),
        loss_curve=loss_curve(run.path("model")),
    )


def _summary(run: DownscaleRun, metrics: dict[str, Any]) -> list[tuple[str, str]]:
    config = run.config
    fine, coarse = run.fine[0].values.shape[2:], run.coarse[0].values.shape[2:]
    grid = lambda shape: " x ".join(map(str, shape))  # noqa: E731
    return [
        (
            "Data",
            config.data.source if config.data.source != "files" else f"{config.data.coarse} to {config.data.fine}",
        ),
        ("Grids", f"{grid(coarse)} to {grid(fine)} ({config.coarsening.kind}, factor {config.coarsening.factor})"),
        ("Debiasing", config.debias.method),
        *(_bridge_summary(run) if config.downscaling.method == "bridge" else _prior_summary(run)),
        *_particle_summary(config, metrics),
        *_input_summary(metrics),
    ]


def _prior_summary(run: DownscaleRun) -> list[tuple[str, str]]:
    """Which model, the size of its Gaussian part and of its network, how it was trained and is sampled."""
    config, n = run.config, n_levels(run.config)
    if config.prior.kind == "function-space":
        model = load_function_prior(run.path("model"))
        grid = " × ".join(map(str, model.space.grid))
        described = f"of functions, trained on {grid} points: {_network(model.operator, config)}"
        return [
            ("Prior", described),
            ("Sampling", f"{config.sampling.method}, {n} noise levels, {config.sampling.guidance}"),
        ]
    if config.downscaling.method == "diffusion":
        prior = load_prior(run.path("model"))
        guided = f"{config.sampling.method}, {n} noise levels, {config.sampling.guidance}"
        gaussian = f"Gaussian of {len(prior.gaussian.variances)} components"
        described = f"unconditional diffusion: {gaussian}, and {_network(prior.denoiser, config)}"
        return [("Prior", described), ("Sampling", guided)]
    model = load_conditional(run.path("model"), run.operator)
    gaussian = f"Gaussian of {len(model.conditional.prior.variances)} components given C'x"
    described = f"{gaussian}, refined by {_network(model.network, config)}"
    n = n_evaluations(config)
    if config.downscaling.method == "conditional-flow":
        return [("Conditional flow", described), ("Sampling", f"{n} evaluations a draw")]
    return [("Conditional diffusion", described), ("Sampling", f"{config.sampling.method}, {n} evaluations a draw")]


def _network(network: Any, config: DownscaleConfig) -> str:
    size = f"a UNet {config.prior.channels} of {n_parameters(network):,} parameters"
    return f"{size}, trained in {config.training.n_steps} steps of {config.training.batch_size}"


def _input_summary(metrics: dict[str, Any]) -> list[tuple[str, str]]:
    if "inputs" not in metrics:
        return []
    beyond, ratio = metrics["inputs"]["beyond"], metrics["inputs"]["largest_ratio"]
    share = f"{beyond:.1%} of debiased fields beyond the 99 % quantile of coarsened training fields (1 % by chance)"
    return [("Inputs", f"{share}, the farthest at {ratio:.2g} times their largest distance")]


def _particle_summary(config: DownscaleConfig, metrics: dict[str, Any]) -> list[tuple[str, str]]:
    if "particles" not in metrics:
        return []
    found = metrics["particles"]
    size = f"effective size at the worst noise level {found['effective_size']:.3g}"
    fraction = f"effective fraction of guided draws {found['effective_fraction']:.2g}"
    return [("Particles", f"{config.sampling.particles} a member; medians over the perfect model: {size}, {fraction}")]


def _bridge_summary(run: DownscaleRun) -> list[tuple[str, str]]:
    config, table = run.config, run.config.downscaling
    size = n_parameters(load_upsampler(run.path("model")).drift)
    network = f"a UNet {config.prior.channels} of {size:,} parameters"
    steps = f"{table.n_iterations} iterations of {table.n_steps} steps of {config.training.batch_size}"
    return [
        ("Bridge", f"from {table.source} fields, σ = {table.sigma}; {network}, {steps}"),
        ("Sampling", f"{table.n_sampling_steps} steps of the bridge's diffusion, not held to the coarse field"),
    ]


def _notes(metrics: dict[str, Any]) -> list[str]:
    notes = [
        "The noise floor is the same metric between two independent sets of the reference; in perfect-model mode, what "
        "the ensemble scores when one of its own members plays the truth."
    ]
    return [*notes, *_debias_notes(metrics["debias"])]


def _chosen(summary: dict[str, Any]) -> str:
    """How ε came about, where it was not given."""
    if "doublings" not in summary:
        return ""
    n = summary["doublings"]
    return "; chosen from the fields" + (f" and doubled {n} time{'s' * (n > 1)} to converge" if n else "")


def _debias_notes(summary: dict[str, Any]) -> list[str]:
    """What the debiaser's solver reported: of entropic transport and of a rectified flow; others report nothing."""
    if "marginal_error" in summary:
        return [
            f"Entropic transport: {summary['n_source']} x {summary['n_target']} samples, epsilon "
            f"{summary['epsilon']:.3g} (cost the full squared distance{_chosen(summary)}), {summary['iterations']} "
            f"iterations, marginal error {summary['marginal_error']:.1e}."
        ]
    if "rounds" in summary:
        first, second = summary["rounds"]
        return [
            f"Rectified flow, in squared standard deviations a value: curvature of the paths {first['curvature']:.2g}, "
            f"{second['curvature']:.2g} after reflow; error of one Euler step {first['one_step_error']:.2g}, "
            f"{second['one_step_error']:.2g}; mean squared displacement {first['cost']:.2g}, {second['cost']:.2g}."
        ]
    return []
