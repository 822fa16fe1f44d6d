"""Samplers, noise levels and guidance by their names, as configurations and callers give them."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from inspect import Signature, signature
from typing import Any, Literal, TypeAlias, get_args

import jax.numpy as jnp
from jaxtyping import Array, Float

from subgrid.diffusion import objective, samplers
from subgrid.diffusion.gaussian_prior import GaussianPrior
from subgrid.diffusion.gaussian_steps import GaussianODE, GaussianSDE
from subgrid.diffusion.guidance.gaussian import gaussian_gain
from subgrid.diffusion.guidance.moments import moment_matching
from subgrid.diffusion.guidance.projected import projection
from subgrid.diffusion.noise_levels import central_grid, exponential_grid, karras_grid, time_grid
from subgrid.diffusion.process import CosineVariancePreserving, Process, VarianceExploding, VariancePreserving
from subgrid.downscaling.upsampling.guided import Guide, MethodFor, method_for
from subgrid.types import Coarsening, Denoiser

MethodName: TypeAlias = Literal[
    "gaussian-sde",
    "gaussian-ode",
    "ode-multistep",
    "sde-multistep",
    "heun",
    "euler-maruyama",
    "ancestral",
    "predictor-corrector",
]
GuidanceName: TypeAlias = Literal["moment-matching", "gaussian-gain", "projection"]
ProcessName: TypeAlias = Literal["variance-exploding", "variance-preserving", "cosine"]
GridName: TypeAlias = Literal["karras", "exponential", "central", "process-time"]
LevelsName: TypeAlias = Literal["log-uniform", "log-normal", "time-uniform"]
NoiseRange: TypeAlias = tuple[float, float]
"""The smallest and the largest noise level, in standard deviations of the field."""
METHODS: dict[MethodName, MethodFor] = {
    "gaussian-sde": GaussianSDE,
    "gaussian-ode": GaussianODE,
    "ode-multistep": method_for(samplers.ExponentialMultistep()),
    "sde-multistep": method_for(samplers.AncestralMultistep()),
    "heun": method_for(samplers.Heun()),
    "euler-maruyama": method_for(samplers.EulerMaruyama()),
    "ancestral": method_for(samplers.Ancestral()),
    "predictor-corrector": method_for(samplers.Corrected(samplers.Ancestral())),
}
"""How to step down the noise levels; the first two are made from the Gaussian conditional."""


def sampling_method(name: str) -> MethodFor:
    """A method of sampling by its name.

    Args:
        name: one of `METHODS`.

    Returns:
        The method, as made from a Gaussian.

    Raises:
        ValueError: for another name.

    Examples:
        >>> method = sampling_method("heun")
    """
    if name not in METHODS:
        raise _unknown("method", name, MethodName)
    return METHODS[name]


def noising_process(name: str, noise_range: NoiseRange) -> Process:
    """The noising process between the smallest and the largest noise level, which it reaches at time 1."""
    sigma_min, sigma_max = noise_range
    match name:
        case "variance-exploding":
            return VarianceExploding(sigma_min, sigma_max)
        case "variance-preserving":
            return _variance_preserving_up_to(sigma_min, sigma_max)
        case "cosine":
            return CosineVariancePreserving(sigma_min=sigma_min, sigma_max=sigma_max)
    raise _unknown("process", name, ProcessName)


def _variance_preserving_up_to(sigma_min: float, sigma_max: float) -> VariancePreserving:
    """The usual linear schedule, which ends at σ ≈ 152, cut off at t₁ = σ⁻¹(σ_max) and its time stretched to [0, 1]."""
    usual = VariancePreserving()
    last = float(usual.time_of(jnp.asarray(sigma_max)))
    beta_max = usual.beta_min + last * (usual.beta_max - usual.beta_min)
    return VariancePreserving(last * usual.beta_min, last * beta_max, sigma_min)


def noise_grid(
    name: str, n_levels: int, noise_range: NoiseRange, *, process: str = "variance-exploding"
) -> Float[Array, " level"]:
    """The noise levels that sampling visits, largest first, from end to end of a range.

    Args:
        name: "karras", "exponential", "central", or "process-time", equal steps in the time of the process.
        n_levels: how many.
        noise_range: smallest and largest level, in standard deviations of the field.
        process: of "process-time": "variance-exploding", the default, "variance-preserving" or "cosine".

    Returns:
        Decreasing levels, (level,).

    Raises:
        ValueError: for another name.

    Examples:
        >>> noise_grid("exponential", 32, (2e-3, 80.0))
    """
    sigma_min, sigma_max = noise_range
    match name:
        case "karras":
            grid = karras_grid(n_levels, sigma_max=sigma_max, sigma_min=sigma_min)
        case "exponential":
            grid = exponential_grid(n_levels, sigma_max=sigma_max, sigma_min=sigma_min)
        case "central":
            grid = central_grid(n_levels, sigma_max=sigma_max, sigma_min=sigma_min)
        case "process-time":
            grid = time_grid(noising_process(process, noise_range), n_levels)
        case _:
            raise _unknown("grid", name, GridName)
    return grid.at[0].set(sigma_max).at[-1].set(sigma_min)  # rounding leads some parts in a million beyond


def training_levels(name: str, noise_range: NoiseRange, *, process: str) -> objective.Quantile:
    """The noise levels that training draws, as a quantile function.

    Args:
        name: "log-uniform", "log-normal", or "time-uniform", uniform in the time of the process.
        noise_range: smallest and largest level, in standard deviations of the field; "log-normal" has its own.
        process: of "time-uniform": "variance-exploding", "variance-preserving" or "cosine".

    Returns:
        u ↦ σ for u in (0, 1).

    Raises:
        ValueError: for another name.

    Examples:
        >>> levels = training_levels("log-uniform", (2e-3, 80.0), process="variance-exploding")
    """
    match name:
        case "log-uniform":
            return objective.log_uniform_levels(*noise_range)
        case "log-normal":
            return objective.log_normal_levels()
        case "time-uniform":
            return objective.time_uniform_levels(noising_process(process, noise_range))
    raise _unknown("noise levels", name, LevelsName)


def guidance(name: str, gaussian: GaussianPrior, *, n_iterations: int, strength: float | None) -> Guide:
    """How samples are tied to the coarse field, by its name.

    Args:
        name: as the configuration takes it for `sampling.guidance`.
        gaussian: the prior's mean and covariance, of normalised fields.
        n_iterations: of the moment-matching solve.
        strength: of the projection's gradient term; None for the default.

    Returns:
        `guide(denoiser, operator, y)`, which makes the guided denoiser.

    Raises:
        ValueError: for another name.

    Examples:
        >>> guide = guidance("moment-matching", prior.gaussian, n_iterations=5, strength=None)
    """
    match name:
        case "moment-matching":
            return _Guide(partial(moment_matching, n_iterations=n_iterations), (name, n_iterations), gaussian)
        case "gaussian-gain":
            return _Guide(gaussian_gain, (name,), gaussian)
        case "projection":
            return partial(projection, strength=strength)
    raise _unknown("guidance", name, GuidanceName)


@dataclass(frozen=True, eq=False)
class _Guide:
    """Guidance by a Gaussian; that of the same one is equal, so that samplers made of it are compiled once."""

    guide: Callable[..., Any]
    options: tuple[Any, ...]
    gaussian: GaussianPrior

    @property
    def __signature__(self) -> Signature:
        return signature(partial(self.guide, prior=self.gaussian))

    def __call__(
        self, denoiser: Denoiser, operator: Coarsening, y: Float[Array, "channel *coarse"], **more: Any
    ) -> Denoiser:
        return self.guide(denoiser, operator, y, prior=self.gaussian, **more)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Guide) and self.options == other.options and self.gaussian is other.gaussian

    def __hash__(self) -> int:
        return hash((self.options, id(self.gaussian)))


def _unknown(what: str, name: str, names: Any) -> ValueError:
    """Names what there is."""
    return ValueError(f"{what} {name!r}: there are {', '.join(get_args(names))}.")
