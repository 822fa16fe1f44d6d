"""Whether noise levels suffice for what they are to sample, measured where samplers are opened.

Three measurements, each a warning that names what was found and what would do:

- σ₀ against the largest variance λ of the Gaussian part, from which it is drawn (`noise_range.py`).
- The standard deviation of a unit Gaussian by exact linear propagation (`propagation.py`): 1 for the methods of
  `gaussian_steps.py`, at any number of levels; for others it is their error.
- Of fewer than `FEW` levels, which say nothing wrong of Gaussians, the width of the modes of a mixture by quadrature.
"""

import warnings

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.scipy.stats import norm
from jaxtyping import Array, Float

from subgrid.diffusion.driver import Method, sample_with
from subgrid.diffusion.gaussian_prior import GaussianPrior
from subgrid.diffusion.gaussian_steps import GaussianODE, GaussianSDE, IsotropicGaussian
from subgrid.diffusion.noise_levels import exponential_grid
from subgrid.diffusion.propagation import sampled_moments
from subgrid.downscaling.conditional.upsample import ConditionalUpsampler
from subgrid.downscaling.prior.noise_range import ENOUGH, leading_std, solves_gaussians
from subgrid.downscaling.upsampling.functions import KnownFunctionUpsampler
from subgrid.downscaling.upsampling.guided import DiffusionUpsampler, MethodFor
from subgrid.downscaling.upsampling.particles import ParticleUpsampler

TOLERANCE = 0.01
"""Of the standard deviation of a unit Gaussian."""
FEW = 8
"""Noise levels of an exact Gaussian step that are too few for guided priors."""
MOST = 1024
"""Noise levels that are tried in search of enough."""
WEIGHTS, MEANS, STD = (0.3, 0.7), (-1.2, 0.8), 0.3
"""Of the mixture: two modes, well apart, of a distribution of variance near 1."""


class LevelWarning(UserWarning):
    """Noise levels do not suffice for what they are to sample."""


def warn_of_levels(upsampler: object) -> None:
    """Warns, once for each fault, of the noise levels of an upsampler; flows and bridges have none.

    Args:
        upsampler: of a guided prior, with particles or without, or of a conditional diffusion.

    Warns:
        LevelWarning: where the levels start too low, or are too few; it says what would do.

    Examples:
        >>> warn_of_levels(upsampler)
        >>> ensemble = sample_ensemble(upsampler, coarse, 16, key=key)
    """
    match upsampler:
        case ConditionalUpsampler():
            found = complaints(upsampler.noise_levels, upsampler.method, upsampler.conditional.spread, guided=False)
        case KnownFunctionUpsampler():
            found = complaints(upsampler.noise_levels, upsampler.method, upsampler.conditional.prior, guided=False)
        case ParticleUpsampler():
            found = complaints(upsampler.noise_levels, GaussianSDE, upsampler.conditional.prior, guided=True)
        case DiffusionUpsampler():
            found = complaints(upsampler.noise_levels, upsampler.method, upsampler.conditional.prior, guided=True)
        case _:
            return
    for complaint in found:
        warnings.warn(complaint, LevelWarning, stacklevel=2)


def complaints(
    levels: Float[Array, " level"], method: MethodFor, gaussian: GaussianPrior, *, guided: bool
) -> list[str]:
    """What is wrong with the levels, a sentence each.

    Args:
        levels: decreasing.
        method: of sampling, given a Gaussian.
        gaussian: that of what is sampled, normalised.
        guided: whether the denoiser is that of a guided prior; conditional models were measured at few levels.
    """
    of_unit = method(IsotropicGaussian(jnp.zeros(1), jnp.ones(())))
    exact = solves_gaussians(method)
    found = [_too_low(levels, gaussian), "" if exact else _too_few(levels, of_unit)]
    if exact and guided and len(levels) < FEW:
        found.append(_too_few_for_modes(levels, of_unit))
    return [complaint for complaint in found if complaint]


def unit_gaussian_std(levels: Float[Array, " level"], method: Method) -> float:
    """The standard deviation, exactly, of what `method` samples where 1 is right."""

    @eqx.filter_jit
    def variance(levels: Array, method: Method) -> Array:
        return sampled_moments(lambda x, sigma: x / (1 + sigma**2), (1,), levels, method=method)[1][0, 0]

    return float(jnp.sqrt(variance(levels, method)))


def mode_std(levels: Float[Array, " level"]) -> float:
    """The standard deviation within the modes of `GaussianODE` samples of the mixture, over the right one.

    The flow is a map of its start, so its samples at the quantiles of the start are their distribution; each is counted
    to both modes by their probabilities, under which the right answer is exact.
    """
    return float(_mode_std(levels))


@jax.jit
def _mode_std(levels: Array) -> Array:
    weights, means = jnp.asarray(WEIGHTS), jnp.asarray(MEANS)
    mean = weights @ means
    gaussian = IsotropicGaussian(mean, STD**2 + weights @ means**2 - mean**2)
    method = GaussianODE(gaussian)

    def probabilities(x, variance):
        return jax.nn.softmax(jnp.log(weights) - 0.5 * (x - means) ** 2 / variance)

    def denoiser(x, sigma):
        variance = STD**2 + sigma**2
        return probabilities(x, variance) @ (means + STD**2 / variance * (x - means))

    def run(start):
        noises = jnp.zeros((len(levels), method.n_noises))
        return sample_with(denoiser, method.start(start, levels[0]), levels, noises, method=method)

    samples = jax.vmap(run)(norm.ppf((jnp.arange(2000) + 0.5) / 2000))
    squares = jax.vmap(lambda x: probabilities(x, STD**2) @ (x - means) ** 2)(samples)
    return jnp.sqrt(jnp.mean(squares)) / STD


def _too_low(levels: Array, gaussian: GaussianPrior) -> str:
    largest, first = leading_std(gaussian), float(levels[0])
    if first >= (1 - 1e-6) * ENOUGH * largest:  # but for rounding
        return ""
    left = (1 + (first / largest) ** 2) ** -1.5
    return (
        f"sampling starts at sigma = {first:.3g}, but the leading component of the fields has a standard deviation of "
        f"{largest:.3g} times that of a value, and the start is Gaussian: {left:.0%} of what the data's skewness is "
        f"there are left out. Train with sigma_max of at least {ENOUGH * largest:.3g}, which leaves out 3 %, and start "
        "there."
    )


def _too_few(levels: Array, method: Method) -> str:
    off = abs(unit_gaussian_std(levels, method) - 1)
    if off <= TOLERANCE:
        return ""
    refined = levels
    while len(refined) < MOST:
        refined = _between(refined)
        if abs(unit_gaussian_std(refined, method) - 1) <= TOLERANCE:
            needed = f"{len(refined)} levels do for this one"
            break
    else:
        needed = f"more than {MOST} levels do for this one"
    return (
        f"{type(method).__name__} at {len(levels)} noise levels gives a unit Gaussian a standard deviation "
        f'{off:.1%} off, measured exactly. The method "gaussian-sde" (GaussianSDE) has no such error at any number of '
        f"levels; {needed}."
    )


def _too_few_for_modes(levels: Array, method: Method) -> str:
    def off(grid: Array) -> float:
        return abs(mode_std(grid) - 1)

    few, more = (exponential_grid(n, sigma_max=float(levels[0]), sigma_min=float(levels[-1])) for n in (FEW, 32))
    return (
        f"{type(method).__name__} at {len(levels)} noise levels samples Gaussian fields exactly, but of a mixture of "
        f"two separate modes the width of each is {off(levels):.0%} off, measured with the probability flow; it is "
        f"{off(few):.0%} at {FEW} levels and {off(more):.0%} at 32."
    )


def _between(levels: Array) -> Array:
    """The same grid, twice as fine: the geometric mean of neighbours between them."""
    middle = jnp.sqrt(levels[:-1] * levels[1:])
    return jnp.append(jnp.stack([levels[:-1], middle], axis=1).reshape(-1), levels[-1])
