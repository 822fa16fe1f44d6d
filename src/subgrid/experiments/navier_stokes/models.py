"""Training what a run samples from, and opening it as an upsampler of physical fields."""

from collections.abc import Mapping
from typing import Any

from jaxtyping import Array, Float

from subgrid.diffusion.gaussian_conditional import condition
from subgrid.downscaling.conditional.model import NOISE_RANGE, ConditionalSettings, load_conditional, train_conditional
from subgrid.downscaling.conditional.upsample import conditional_upsampler
from subgrid.downscaling.prior.model import Prior, PriorSettings, load_prior, train_prior
from subgrid.downscaling.prior.noise_range import leading_std, sampling_range
from subgrid.downscaling.prior.training import TrainingSettings
from subgrid.downscaling.upsampling.choices import guidance, noise_grid, sampling_method
from subgrid.downscaling.upsampling.guided import DiffusionUpsampler
from subgrid.downscaling.upsampling.particles import ParticleUpsampler
from subgrid.experiments.navier_stokes.archives import symmetries
from subgrid.experiments.navier_stokes.baselines import open_baseline, train_baseline
from subgrid.experiments.navier_stokes.config import NavierStokesConfig
from subgrid.experiments.navier_stokes.methods import ModelName, short_memory
from subgrid.experiments.navier_stokes.run import NavierStokesRun
from subgrid.runs.stage import Update
from subgrid.types import Coarsening, Upsampler

OF_DIFFUSION = ("prior", "conditional-diffusion", "conditional-flow")
"""Trained by the settings of [prior]; the others are baselines."""
PROCESS, LEVELS, METHOD = "variance-exploding", "exponential", "gaussian-sde"
"""Of the prior; those of Kuramoto–Sivashinsky, where they are compared with others."""


def train(run: NavierStokesRun, name: ModelName, update: Update) -> None:
    """One model; a training that was stopped goes on."""
    config, folder, fine = run.config, run.path(name.folder), run.fine.training
    key = run.key("model", name.words)
    report = lambda step, metrics: update(step, n_steps(config, name), f"loss {metrics['loss']:.4f}")  # noqa: E731
    options: dict[str, Any] = {"folder": folder, "report": report, "key": key}
    training = training_settings(config, name)
    match name.kind:
        case "prior":
            settings = network_settings(config, preconditioning=config.prior.preconditioning)
            n = training.n_steps
            balances = lambda done, total: update(n, n, f"balances level {done} of {total}")  # noqa: E731
            train_prior(fine, settings, training, on_balance=balances, **options)
        case "conditional-diffusion" | "conditional-flow":
            settings = conditional_settings(config, name.kind)
            train_conditional(fine, run.operator(name.factor or 1), settings, training, **options)
        case _:
            train_baseline(run, name, training, options)


def open_upsampler(run: NavierStokesRun, kind: str, factor: int) -> Upsampler:
    """From coarse fields of this factor to fine ones, physical units."""
    config, operator = run.config, run.operator(factor)
    match kind:
        case "guided" | "particles":
            return prior_upsampler(config, load_prior(run.path(ModelName("prior").folder)), operator, kind)
        case "conditional-diffusion" | "conditional-flow":
            model = load_conditional(run.path(ModelName(kind, factor).folder), operator)
            return conditional_upsampler(model, n_evaluations=config.sampling.n_conditional_levels)
        case _:
            return open_baseline(run, kind, factor)


def prior_upsampler(
    config: NavierStokesConfig, prior: Prior, operator: Coarsening, kind: str
) -> DiffusionUpsampler | ParticleUpsampler:
    """The prior, guided, with particles or without."""
    sampling, method = config.sampling, sampling_method(METHOD)
    conditional = condition(prior.gaussian, operator, (prior.settings.n_channels, *operator.coarse_shape))
    guide = guidance(sampling.guidance, prior.gaussian, n_iterations=4, strength=None)
    parts = prior.denoiser, conditional, prior.standardiser, guide, levels(config, prior)
    if kind == "particles":
        return ParticleUpsampler(*parts, sampling.n_particles)
    return DiffusionUpsampler(*parts, method)


def levels(config: NavierStokesConfig, prior: Prior) -> Float[Array, " level"]:
    """The noise levels that sampling visits, within those of the training."""
    trained = prior.settings.sigma_min, prior.settings.sigma_max
    used = sampling_range(leading_std(prior.gaussian), trained, sampling_method(METHOD))
    return noise_grid(LEVELS, config.sampling.n_levels, used, process=PROCESS)


def network_settings(config: NavierStokesConfig, **changed: Any) -> PriorSettings:
    """Of the prior and, with other noise levels, of conditional models."""
    table, n = config.prior, config.navier_stokes.n_fine
    names = ("channels", "n_blocks", "patch", "attention_levels", "dtype")
    return PriorSettings(1, (n, n), padding=("periodic",), **{k: getattr(table, k) for k in names}, **changed)


def conditional_settings(config: NavierStokesConfig, kind: str) -> ConditionalSettings:
    """Of a conditional model."""
    smallest, largest = NOISE_RANGE
    network = network_settings(config, sigma_min=smallest, sigma_max=largest)
    return ConditionalSettings("flow" if kind == "conditional-flow" else "diffusion", network)


def n_steps(config: NavierStokesConfig, name: ModelName) -> int:
    """Of the training of a model."""
    baselines = config.baselines
    of_baselines: Mapping[str, int] = {
        "vision-transformer": baselines.n_transformer_steps,
        "cycle-gan": baselines.n_gan_steps,
        "clim-align": baselines.n_alignment_steps,
        "align-flow": baselines.n_alignment_steps,
    }
    if name.kind == "prior":
        return config.prior.n_steps
    return of_baselines.get(name.kind, config.prior.n_conditional_steps)


def training_settings(config: NavierStokesConfig, name: ModelName) -> TrainingSettings:
    """With the symmetries of the flow as augmentation."""
    prior, table, n = config.prior, config.navier_stokes, n_steps(config, name)
    return TrainingSettings(
        n_steps=n,
        batch_size=prior.batch_size if name.kind in OF_DIFFUSION else config.baselines.batch_size,
        learning_rate=prior.learning_rate,
        warmup=prior.warmup,
        ema_decay=min(prior.ema_decay, short_memory(n)),
        checkpoint_every=500,
        symmetries=symmetries(table, table.n_fine),
    )
