"""Names to objects: where the strings of a configuration become parts of the library."""

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TypeAlias

import jax.numpy as jnp
from jaxtyping import Array, Float

from subgrid.data.fields import DataError
from subgrid.diffusion.driver import evaluations_of_step
from subgrid.diffusion.gaussian_conditional import condition
from subgrid.diffusion.gaussian_prior import GaussianPrior
from subgrid.diffusion.gaussian_steps import IsotropicGaussian
from subgrid.diffusion.objective import Quantile
from subgrid.downscaling.conditional.model import (
    NOISE_RANGE,
    ConditionalSettings,
    is_conditional,
    load_conditional,
)
from subgrid.downscaling.conditional.upsample import (
    DIFFUSION_LEVELS,
    FLOW_STEPS,
    ConditionalUpsampler,
    FlowUpsampler,
    conditional_upsampler,
)
from subgrid.downscaling.prior.functions import function_settings, is_function_prior, load_function_prior
from subgrid.downscaling.prior.model import Prior, PriorSettings, load_prior
from subgrid.downscaling.prior.noise_range import leading_std, sampling_range
from subgrid.downscaling.prior.training import TrainingSettings
from subgrid.downscaling.upsampling.bridge import BridgeUpsampler, UpsamplerSettings, is_fitted, load_upsampler
from subgrid.downscaling.upsampling.choices import NoiseRange, guidance, noise_grid, sampling_method, training_levels
from subgrid.downscaling.upsampling.functions import (
    FunctionUpsampler,
    KnownFunctionUpsampler,
    trained_range,
    unscaled,
    white_conditional,
    white_denoiser,
)
from subgrid.downscaling.upsampling.guided import DiffusionUpsampler, Guide, MethodFor
from subgrid.downscaling.upsampling.level_checks import warn_of_levels
from subgrid.downscaling.upsampling.particles import ParticleUpsampler
from subgrid.experiments.downscale.config import CoarseningTable, DownscaleConfig
from subgrid.functional.function_diffusion import FunctionDiffusion
from subgrid.numerics.operators import BlockMean, Subsample
from subgrid.runs.config import ConfigError
from subgrid.types import Coarsening

NOT_OF_FUNCTIONS = ("n_channels", "space", "padding", "sigma_min", "sigma_max")
"""Settings of a network that a prior of functions takes from its fields."""
GUIDED_LEVELS = 32
"""Noise levels of a guided prior by default."""
AnyUpsampler: TypeAlias = (
    DiffusionUpsampler
    | ParticleUpsampler
    | ConditionalUpsampler
    | FlowUpsampler
    | BridgeUpsampler
    | FunctionUpsampler
    | KnownFunctionUpsampler
)


def operator_of(
    config: CoarseningTable, fine_shape: tuple[int, ...], coarse_shape: tuple[int, ...], *, source: str = "coarse"
) -> Coarsening:
    """C′ between the two grids; `source` of the coarse fields, for complaints.

    **Raises:** `DataError` if the factor does not lead from one to the other.
    """
    try:
        operator = (Subsample if config.kind == "subsample" else BlockMean)(fine_shape, config.factor)
    except ValueError as error:
        raise DataError(f"coarsening.factor = {config.factor}: {error}") from error
    if operator.coarse_shape != coarse_shape:
        raise DataError(
            f"{source}: fields have the grid {coarse_shape}, but coarsening the fine grid {fine_shape} by "
            f"{config.factor} gives {operator.coarse_shape}: C' cannot connect them"
            f"{_factor_hint(fine_shape, coarse_shape)}."
        )
    return operator


def _factor_hint(fine_shape: tuple[int, ...], coarse_shape: tuple[int, ...]) -> str:
    """What would connect the two grids, as far as one can tell."""
    ratios = {f / c for f, c in zip(fine_shape, coarse_shape, strict=False)}
    if max(ratios) < 1:
        return "; the coarse grid has more points than the fine one: are the two archives swapped?"
    ratio = ratios.pop()
    if not ratios and ratio.is_integer():
        return f"; coarsening.factor = {int(ratio)} would"
    return ", and no other factor would; regrid one of the archives"


def noise_levels_of(config: DownscaleConfig) -> Quantile:
    """The noise levels that training draws."""
    noise_range = config.prior.sigma_min, config.prior.sigma_max
    return training_levels(config.training.noise_levels, noise_range, process=config.prior.process)


def method_of(config: DownscaleConfig) -> MethodFor:
    """How to step down the noise levels, given the Gaussian conditional."""
    return sampling_method(config.sampling.method)


def grid_of(config: DownscaleConfig, noise_range: NoiseRange) -> Float[Array, " level"]:
    """The noise levels that sampling visits, largest first: never beyond those that the prior was trained on."""
    n = config.sampling.n_levels or GUIDED_LEVELS
    return noise_grid(config.sampling.grid, n, noise_range, process=config.prior.process)


def levels_for(config: DownscaleConfig, prior: Prior) -> Float[Array, " level"]:
    """The same, of a prior: within the levels that it keeps from its training, whatever `config.prior` says."""
    trained = prior.settings.sigma_min, prior.settings.sigma_max
    return grid_of(config, sampling_range(leading_std(prior.gaussian), trained, method_of(config)))


def guide_of(config: DownscaleConfig, gaussian: GaussianPrior) -> Guide:
    """How samples are tied to the coarse field."""
    sampling = config.sampling
    return guidance(sampling.guidance, gaussian, n_iterations=sampling.solver_iterations, strength=sampling.strength)


def upsampler_of(config: DownscaleConfig, prior: Prior, operator: Coarsening) -> DiffusionUpsampler | ParticleUpsampler:
    """The sampler."""
    levels = levels_for(config, prior)
    conditional = condition(prior.gaussian, operator, (prior.settings.n_channels, *operator.coarse_shape))
    parts = prior.denoiser, conditional, prior.standardiser, guide_of(config, prior.gaussian), levels
    if config.sampling.particles > 1:
        return ParticleUpsampler(*parts, config.sampling.particles)
    return DiffusionUpsampler(*parts, method_of(config))


def function_upsampler_of(config: DownscaleConfig, model: FunctionDiffusion, operator: Coarsening) -> FunctionUpsampler:
    """The sampler of a prior of functions, on the fine grid of C′."""
    conditional = white_conditional(model, operator)
    noise_range = sampling_range(leading_std(conditional.prior), trained_range(model), method_of(config))
    white = DiffusionUpsampler(
        white_denoiser(model, tuple(operator.fine_shape)),
        conditional,
        unscaled(model),
        guide_of(config, conditional.prior),
        grid_of(config, noise_range),
        method_of(config),
    )
    return FunctionUpsampler(white, operator, model.space)


def known_function_upsampler_of(
    config: DownscaleConfig, model: FunctionDiffusion, operator: Coarsening
) -> KnownFunctionUpsampler:
    """The sampler of a conditional model of functions, on the fine grid of C′."""
    conditional = white_conditional(model, operator)
    noise_range = sampling_range(leading_std(conditional.prior), trained_range(model), method_of(config))
    return KnownFunctionUpsampler(model, operator, conditional, grid_of(config, noise_range), method_of(config))


def _read_json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def open_upsampler(config: DownscaleConfig, folder: Path, operator: Coarsening) -> AnyUpsampler:
    """The sampler of a model folder, whatever kind of model it holds.

    **Raises:** `DataError` if it holds none, or one for another C′; `ConfigError` for too few levels, or for particles
    of another model than a prior. **Warns:** `LevelWarning`, where levels do not suffice.
    """
    upsampler = _opened(config, folder, operator)
    warn_of_levels(upsampler.upsampler if isinstance(upsampler, FunctionUpsampler) else upsampler)
    return upsampler


def _opened(config: DownscaleConfig, folder: Path, operator: Coarsening) -> AnyUpsampler:
    if config.sampling.particles > 1 and (is_fitted(folder) or is_conditional(folder)):
        raise ConfigError(
            f"sampling.particles = {config.sampling.particles}: {folder} holds a model that needs no guidance, and "
            "particles are of guided priors; set sampling.particles = 1."
        )
    if is_fitted(folder):
        return load_upsampler(folder)
    if is_function_prior(folder):
        functions = load_function_prior(folder)
        if functions.space.known is not None:
            return known_function_upsampler_of(config, functions, operator)
        return function_upsampler_of(config, functions, operator)
    if not is_conditional(folder):
        return upsampler_of(config, load_prior(folder), operator)
    model, n = load_conditional(folder, operator), config.sampling.n_levels
    try:
        return conditional_upsampler(model, n_evaluations=n, method=method_of(config))
    except ValueError as error:
        raise ConfigError(f"sampling.n_levels = {n}: {error}") from error


def n_levels(config: DownscaleConfig) -> int:
    """Noise levels of a draw, that of the network's own mean too, or steps."""
    given = config.sampling.n_levels
    match config.downscaling.method:
        case "bridge":
            return config.downscaling.n_sampling_steps
        case "conditional-diffusion":
            return given or DIFFUSION_LEVELS
        case "conditional-flow":
            return given or FLOW_STEPS
        case "diffusion":
            return given or GUIDED_LEVELS


def n_evaluations(config: DownscaleConfig) -> int:
    """Of the network, a draw; particles and derivatives for guidance are not counted."""
    n, method = n_levels(config), config.downscaling.method
    if method in ("bridge", "conditional-flow"):
        return n
    n_steps = n - (1 if method == "diffusion" else 2)  # after the last level, and the network's own mean, none follows
    of_single_values = method_of(config)(IsotropicGaussian(jnp.zeros(1), jnp.ones(())))
    return n + n_steps * (evaluations_of_step(of_single_values) - 1)


def conditional_settings_of(
    config: DownscaleConfig, n_channels: int, space: tuple[int, ...], *, jitter: float
) -> ConditionalSettings:
    """Of a conditional model; `jitter` in the units of the field."""
    kind = "flow" if config.downscaling.method == "conditional-flow" else "diffusion"
    network = replace(prior_settings_of(config, n_channels, space), sigma_min=NOISE_RANGE[0], sigma_max=NOISE_RANGE[1])
    return ConditionalSettings(kind, network, jitter)


def prior_settings_of(config: DownscaleConfig, n_channels: int, space: tuple[int, ...]) -> PriorSettings:
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


def function_settings_of(config: DownscaleConfig, n_channels: int, space: tuple[int, ...]) -> PriorSettings:
    """Of a prior of functions: the same network, on a training grid of its own."""
    own = prior_settings_of(config, n_channels, space)
    network = {f.name: getattr(own, f.name) for f in fields(own) if f.name not in NOT_OF_FUNCTIONS}
    edges = "periodic" if config.data.periodic else "reflect"
    return function_settings((n_channels, *space), edges, network, n_points=config.prior.n_points)


def upsampler_settings_of(
    config: DownscaleConfig, n_channels: int, coarse: tuple[int, ...], factors: tuple[int, ...]
) -> UpsamplerSettings:
    """Of the bridge: its own table, the network of the prior, batch and rate of the training."""
    own = config.downscaling.model_dump(exclude={"method", "jitter"})
    return UpsamplerSettings(
        n_channels=n_channels,
        coarse=coarse,
        factors=factors,
        centred=config.coarsening.kind == "block-mean",
        periodic=config.data.periodic,
        translation_invariant=config.data.translation_invariant,
        channels=config.prior.channels,
        n_blocks=config.prior.n_blocks,
        patch=config.prior.patch,
        batch_size=config.training.batch_size,
        learning_rate=config.training.learning_rate,
        **own,
    )


def training_settings_of(config: DownscaleConfig) -> TrainingSettings:
    keys = config.training.model_dump(exclude={"noise_levels"})
    return TrainingSettings(**keys, translation_invariant=config.data.translation_invariant)
