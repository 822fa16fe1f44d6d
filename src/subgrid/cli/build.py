"""Names to objects: where the strings of a configuration become parts of the library."""

from collections.abc import Callable
from functools import partial

import jax.numpy as jnp

from subgrid.cli.config import Coarsening as CoarseningConfig
from subgrid.cli.config import Config
from subgrid.data.fields import DataError
from subgrid.diffusion import objective, samplers
from subgrid.diffusion.guidance.moment_matching import moment_matching
from subgrid.diffusion.guidance.projection import projection
from subgrid.diffusion.noise_levels import exponential_grid, karras_grid, time_grid
from subgrid.diffusion.process import CosineVariancePreserving, Process, VarianceExploding, VariancePreserving
from subgrid.downscaling.prior import Prior, PriorSettings, TrainingSettings
from subgrid.downscaling.upsample import DiffusionUpsampler
from subgrid.numerics.operators import BlockMean, Subsample
from subgrid.types import Coarsening


def operator_of(config: CoarseningConfig, fine_shape: tuple[int, ...], coarse_shape: tuple[int, ...]) -> Coarsening:
    """C′ between the two grids.

    **Raises:** `DataError` if the factor does not lead from one to the other.
    """
    try:
        operator = (Subsample if config.kind == "subsample" else BlockMean)(fine_shape, config.factor)
    except ValueError as error:
        raise DataError(f"coarsening.factor = {config.factor}: {error}") from error
    if operator.coarse_shape != coarse_shape:
        ratios = [f / c for f, c in zip(fine_shape, coarse_shape, strict=False)]
        hint = (
            f"; coarsening.factor = {int(ratios[0])} would" if len(set(ratios)) == 1 and ratios[0].is_integer() else ""
        )
        raise DataError(
            f"coarsening the fine grid {fine_shape} by {config.factor} gives {operator.coarse_shape}, but the coarse "
            f"fields have {coarse_shape}: C' cannot connect them{hint}."
        )
    return operator


def process_of(config: Config) -> Process:
    prior = config.prior
    match prior.process:
        case "variance-exploding":
            return VarianceExploding(prior.sigma_min, prior.sigma_max)
        case "variance-preserving":
            return VariancePreserving(sigma_min=prior.sigma_min)
        case "cosine":
            return CosineVariancePreserving(sigma_min=prior.sigma_min, sigma_max=prior.sigma_max)


def noise_levels_of(config: Config) -> objective.Quantile:
    """The noise levels that training draws."""
    match config.training.noise_levels:
        case "log-uniform":
            return objective.log_uniform_levels(config.prior.sigma_min, config.prior.sigma_max)
        case "log-normal":
            return objective.log_normal_levels()
        case "time-uniform":
            return objective.time_uniform_levels(process_of(config))


def method_of(config: Config) -> samplers.Method:
    method, n_resamples = _plain_method(config), config.sampling.n_resamples
    return method if n_resamples == 1 else samplers.Resampled(method, n_resamples)


def _plain_method(config: Config) -> samplers.Method:
    match config.sampling.method:
        case "ode-multistep":
            return samplers.ExponentialMultistep()
        case "heun":
            return samplers.Heun()
        case "sde-multistep":
            return samplers.AncestralMultistep()
        case "ancestral":
            return samplers.Ancestral()
        case "euler-maruyama":
            return samplers.EulerMaruyama()
        case "predictor-corrector":
            return samplers.Corrected(samplers.Ancestral())


def grid_of(config: Config):
    """The noise levels that sampling visits, largest first."""
    n, prior = config.sampling.n_levels, config.prior
    match config.sampling.grid:
        case "karras":
            return karras_grid(n, sigma_max=prior.sigma_max, sigma_min=prior.sigma_min)
        case "exponential":
            return exponential_grid(n, sigma_max=prior.sigma_max, sigma_min=prior.sigma_min)
        case "process-time":
            return time_grid(process_of(config), n)


def guide_of(config: Config) -> Callable:
    match config.sampling.guidance:
        case "moment-matching":
            return partial(moment_matching, n_iterations=config.sampling.solver_iterations)
        case "projection":
            return partial(projection, strength=config.sampling.strength)


def upsampler_of(config: Config, prior: Prior, operator: Coarsening) -> DiffusionUpsampler:
    return DiffusionUpsampler(
        prior.denoiser, operator, prior.standardiser, guide_of(config), jnp.asarray(grid_of(config)), method_of(config)
    )


def prior_settings_of(config: Config, n_channels: int, space: tuple[int, ...]) -> PriorSettings:
    prior = config.prior
    return PriorSettings(
        n_channels=n_channels,
        space=space,
        channels=prior.channels,
        n_blocks=prior.n_blocks,
        patch=prior.patch,
        padding=("periodic" if config.data.periodic else "reflect",),
        attention_levels=prior.attention_levels,
        dtype=prior.dtype,
        checkpoint=prior.checkpoint,
        sigma_min=prior.sigma_min,
        sigma_max=prior.sigma_max,
    )


def training_settings_of(config: Config) -> TrainingSettings:
    keys = config.training.model_dump(exclude={"noise_levels"})
    return TrainingSettings(**keys, translation_invariant=config.data.translation_invariant)
