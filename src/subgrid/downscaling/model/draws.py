"""Draws of inner fields for debiased targets, by whatever prior and sampler: one form for all of them.

draws(targets, keys, expected) -> fields, diagnostics        one draw a target and key
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol, TypeAlias, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray, Shaped

from subgrid.data.normalise import Standardiser
from subgrid.diffusion.gaussian_conditional import ConditionalGaussian, condition
from subgrid.diffusion.gaussian_steps import GaussianSDE
from subgrid.downscaling.conditional.model import ConditionalModel
from subgrid.downscaling.conditional.upsample import conditional_upsampler, usual_evaluations
from subgrid.downscaling.prior.model import Prior
from subgrid.downscaling.prior.noise_range import leading_std, sampling_range
from subgrid.downscaling.refined.prior import RefinedPrior
from subgrid.downscaling.refined.sampler import draw_anomalies, gaussian_conditional
from subgrid.downscaling.spread.post_processing import PostProcessing, apply_marginals
from subgrid.downscaling.upsampling.bridge import BridgeUpsampler
from subgrid.downscaling.upsampling.choices import guidance, noise_grid, sampling_method
from subgrid.downscaling.upsampling.functions import (
    FunctionUpsampler,
    trained_range,
    unscaled,
    white_conditional,
    white_denoiser,
)
from subgrid.downscaling.upsampling.guided import DiffusionUpsampler, method_for
from subgrid.downscaling.upsampling.level_checks import warn_of_levels
from subgrid.downscaling.upsampling.particles import ParticleUpsampler, collapse
from subgrid.functional.function_diffusion import FunctionDiffusion
from subgrid.numerics.operators import PaddedCoarsening
from subgrid.types import Coarsening

AnyPrior: TypeAlias = Prior | RefinedPrior | ConditionalModel | BridgeUpsampler | FunctionDiffusion
Diagnostics: TypeAlias = dict[str, Float[np.ndarray, "*draws"]]
SOLVER_ITERATIONS = 4
"""Of the moment-matching solve: the error that they leave is below that of 32 noise levels."""
N_LEVELS = {"guided": 32, "refined": 8}
"""Noise levels by default: of a guided network; of a Gaussian that a network refines, whose Gaussian part is exact."""


OF_PARTICLES = {
    "effective_size": {"long_name": "smallest effective number of weighted particles", "units": "1"},
    "effective_fraction": {
        "long_name": "how even the weights of paths are, 1 for particles in no need of them",
        "units": "1",
    },
}
"""What particles tell of each draw, with its attributes."""
UNCALIBRATED = (
    "another guidance, sampler or particles draw from the prior as it is: the calibration of its spread, and the "
    "marginals of bounded variables, are of its own sampler and are left out"
)


@dataclass(frozen=True)
class SamplingSettings:
    """How fine fields are drawn; what is None is what suits the prior.

    Args:
        n_levels: of noise, one evaluation of the network each; by default 32 for a guided prior, 8 for a refined
            Gaussian, 16 for a conditional model, and 8 steps for a conditional flow.
        guidance: of a prior: "moment-matching", "gaussian-gain" or "projection"; by default moment matching, of a
            refined Gaussian its gain in closed form.
        method: the sampler, one of `upsampling.choices.METHODS`; default "gaussian-sde".
        n_particles: more than one to draw each member from as many weighted particles, which is right for any prior as
            they grow.
        chunk: fields that are drawn at a time, on which memory depends; default 256.

    Raises:
        ValueError: for numbers below 1.
    """

    n_levels: int | None = None
    guidance: Any = None
    method: Any = None
    n_particles: int = 1
    chunk: int = 256

    def __post_init__(self):
        for name in ("n_levels", "n_particles", "chunk"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}.")

    @property
    def stepping(self) -> Any:
        """How to step down the noise levels, given the Gaussian conditional; by default exact for Gaussians."""
        if self.method is None:
            return GaussianSDE
        return sampling_method(self.method) if isinstance(self.method, str) else method_for(self.method)

    @property
    def diagnostics(self) -> Mapping[str, Mapping[str, str]]:
        """Attributes, by name, of what draws tell of themselves."""
        return OF_PARTICLES if self.n_particles > 1 else {}

    @property
    def is_default(self) -> bool:
        """Whether sampler and guidance are those that suit the prior."""
        return self.guidance is None and self.method is None and self.n_particles == 1


def n_levels_of(prior: AnyPrior, settings: SamplingSettings) -> int | None:
    """Noise levels, or evaluations of a conditional model, that fields are drawn with.

    Args:
        prior: of inner fields.
        settings: of the sampler.

    Returns:
        Those that were asked for, or else those that suit the prior; None for a bridge, which steps by itself.
    """
    match prior:
        case _ if settings.n_levels is not None:
            return settings.n_levels
        case RefinedPrior() if settings.is_default:
            return N_LEVELS["refined"]
        case RefinedPrior() | Prior() | FunctionDiffusion():
            return N_LEVELS["guided"]
        case ConditionalModel():
            return usual_evaluations(prior)
    return None


@runtime_checkable
class Draws(Protocol):
    """One draw of an inner field for each target and key, given what 0 stands for at its time."""

    def __call__(
        self,
        targets: Float[np.ndarray, "n channel *coarse"],
        keys: Shaped[PRNGKeyArray, " n"],
        expected: Float[np.ndarray, "n channel *fine"],
    ) -> tuple[Float[np.ndarray, "n channel *fine"], Diagnostics]: ...


@dataclass(frozen=True)
class RefinedDraws:
    """Draws of a Gaussian that a network may refine, their spread and marginals post-processed.

    Args:
        prior: of the inner fields.
        conditional: its Gaussian under C′.
        post: of its draws; None for none.
        n_levels: of noise.
        mask: cells with values.
        bounded: channels whose transform keeps bounds.
        chunk: fields at a time; None for as many as keep a million values, at most 256.
    """

    prior: RefinedPrior
    conditional: ConditionalGaussian
    post: PostProcessing | None
    n_levels: int
    mask: Bool[np.ndarray, "*fine"]
    bounded: tuple[bool, ...]
    chunk: int | None = None

    def __call__(self, targets, keys, expected):
        post = self.post
        calibration = None if post is None else (post.calibration, expected)
        fields = draw_anomalies(
            self.prior,
            self.conditional,
            targets,
            keys,
            n_levels=self.n_levels,
            calibration=calibration,
            chunk=self.chunk,
        )
        if post is not None and post.marginals is not None:
            fields = apply_marginals(post.marginals, fields, self.mask, self.bounded)
        return fields, {}


@dataclass(frozen=True)
class UpsamplerDraws:
    """Draws by an upsampler of one field, `chunk` at a time.

    Args:
        upsampler: y′, key ↦ x.
        shape: of space, to which fields are cut that are drawn on a padded grid.
        chunk: fields at a time.
    """

    upsampler: Any
    shape: tuple[int, ...]
    chunk: int = 256

    def __call__(self, targets, keys, expected):
        particles = isinstance(self.upsampler, ParticleUpsampler)
        chunk = self.chunk // self.upsampler.n_particles or 1 if particles else self.chunk
        drawn = [_draw_chunk(self.upsampler, *part) for part in _chunks(targets, keys, min(chunk, len(targets)))]
        whole = jax.tree.map(lambda *parts: np.concatenate([np.asarray(p) for p in parts])[: len(targets)], *drawn)
        fields, found = whole if particles else (whole, None)
        fields = fields[(slice(None), slice(None), *(slice(0, n) for n in self.shape))]
        if found is None:
            return fields, {}
        collapse(found.effective_sizes[:, None], self.upsampler.n_particles, np.asarray(self.upsampler.noise_levels))
        told = found.effective_sizes.min(-1), found.effective_fraction
        return fields, dict(zip(OF_PARTICLES, told, strict=True))


@eqx.filter_jit
def _draw_chunk(upsampler: Any, targets: Array, keys: Array) -> Any:
    draw = upsampler.draw if isinstance(upsampler, ParticleUpsampler) else upsampler
    return jax.vmap(lambda y, key: draw(y, key=key))(targets, keys)


def _chunks(targets: np.ndarray, keys: Any, chunk: int):
    """Parts of one length, the last filled up: one compilation."""
    for first in range(0, len(targets), chunk):
        place = np.arange(first, first + chunk) % len(targets)
        yield jax.device_put(targets[place]), jnp.take(keys, place, axis=0, mode="clip")


def draws_of(
    prior: AnyPrior,
    operator: Coarsening,
    settings: SamplingSettings,
    *,
    post: PostProcessing | None = None,
    mask: Bool[np.ndarray, "*fine"],
    bounded: tuple[bool, ...],
) -> Draws:
    """The draws of a prior under C′.

    Args:
        prior: of inner fields, or what draws them by itself.
        operator: C′ of inner fields.
        settings: of the sampler.
        post: post-processing of a refined Gaussian's own draws.
        mask: cells with values.
        bounded: channels whose transform keeps bounds.

    Returns:
        Draws for any targets.

    Raises:
        ValueError: for settings that do not go with the prior.

    Warns:
        LevelWarning: where the noise levels do not suffice.
    """
    settings = replace(settings, n_levels=n_levels_of(prior, settings))
    match prior:
        case RefinedPrior() if settings.is_default:
            n_levels = settings.n_levels or N_LEVELS["refined"]
            chunk = None if settings.chunk == SamplingSettings().chunk else settings.chunk
            return RefinedDraws(prior, gaussian_conditional(prior, operator), post, n_levels, mask, bounded, chunk)
        case RefinedPrior():
            if post is not None:
                warnings.warn(UNCALIBRATED, stacklevel=2)
            upsampler = _guided_refined(prior, operator, settings)
        case Prior():
            upsampler = _guided_network(prior, on_grid_of(prior.settings.space, operator), settings)
        case FunctionDiffusion():
            _refuse(settings, "a prior of functions", ("n_particles",), "it is guided without them")
            upsampler = _guided_functions(prior, operator, settings)
        case ConditionalModel():
            _refuse(settings, "a conditional model", ("guidance", "n_particles"), "fit a prior, which is guided")
            upsampler = _conditional(prior, settings)
        case BridgeUpsampler():
            _refuse(settings, "a bridge", ("guidance", "n_particles", "method", "n_levels"), "it steps by itself")
            upsampler = prior
    return UpsamplerDraws(upsampler, tuple(operator.fine_shape), settings.chunk)


def on_grid_of(space: tuple[int, ...], operator: Coarsening) -> Coarsening:
    """C′ on the grid of a network, which is padded where the network cannot take the fields' own.

    Args:
        space: of the network.
        operator: C′ of fields.

    Returns:
        The operator itself where the grids are one.
    """
    return operator if tuple(space) == tuple(operator.fine_shape) else PaddedCoarsening(operator, space)


def _refuse(settings: SamplingSettings, kind: str, names: tuple[str, ...], instead: str) -> None:
    default = SamplingSettings()
    for name in names:
        if getattr(settings, name) != getattr(default, name):
            raise ValueError(f"{name} does not go with {kind}; {instead}.")


def _conditional(model: ConditionalModel, settings: SamplingSettings) -> Any:
    if model.settings.kind == "flow" and settings.method is not None:
        raise ValueError('method does not go with a conditional model of the kind "flow", which steps by itself.')
    upsampler = conditional_upsampler(model, n_evaluations=settings.n_levels, method=settings.stepping)
    warn_of_levels(upsampler)
    return upsampler


def _guided_network(prior: Prior, operator: Coarsening, settings: SamplingSettings) -> Any:
    conditional = condition(prior.gaussian, operator, (prior.settings.n_channels, *operator.coarse_shape))
    trained = prior.settings.sigma_min, prior.settings.sigma_max
    return _guided(prior.denoiser, conditional, prior.standardiser, trained, settings, "moment-matching")


def _guided_functions(model: FunctionDiffusion, operator: Coarsening, settings: SamplingSettings) -> Any:
    conditional = white_conditional(model, operator)
    denoiser = white_denoiser(model, tuple(operator.fine_shape))
    upsampler = _guided(denoiser, conditional, unscaled(model), trained_range(model), settings, "moment-matching")
    return FunctionUpsampler(upsampler, operator, model.space)


def _guided_refined(prior: RefinedPrior, operator: Coarsening, settings: SamplingSettings) -> Any:
    scale = jnp.asarray(prior.scale)
    denoiser = prior.denoiser if prior.refined else prior.denoiser.base
    trained = prior.settings.sigma_min, prior.settings.sigma_max
    standardiser = Standardiser(jnp.zeros_like(scale), scale)
    return _guided(denoiser, gaussian_conditional(prior, operator), standardiser, trained, settings, "gaussian-gain")


def _guided(
    denoiser: Any,
    conditional: ConditionalGaussian,
    standardiser: Standardiser,
    trained: tuple[float, float],
    settings: SamplingSettings,
    usual: str,
) -> DiffusionUpsampler | ParticleUpsampler:
    method = settings.stepping
    noise_range = sampling_range(leading_std(conditional.prior), trained, method)
    levels = noise_grid("exponential", settings.n_levels or N_LEVELS["guided"], noise_range)
    guide = _guide(settings, conditional, usual)
    parts = denoiser, conditional, standardiser, guide, levels
    if settings.n_particles > 1:
        if method is not GaussianSDE:
            raise ValueError(
                f'n_particles = {settings.n_particles} needs method = "gaussian-sde", whose steps have a density to '
                "weigh by."
            )
        upsampler = ParticleUpsampler(*parts, settings.n_particles)
    else:
        upsampler = DiffusionUpsampler(*parts, method)
    warn_of_levels(upsampler)
    return upsampler


def _guide(settings: SamplingSettings, conditional: ConditionalGaussian, usual: str) -> Any:
    if callable(settings.guidance):
        return partial(settings.guidance)
    return guidance(settings.guidance or usual, conditional.prior, n_iterations=SOLVER_ITERATIONS, strength=None)
