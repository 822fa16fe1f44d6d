"""Between which noise levels a prior is sampled."""

import math

import jax.numpy as jnp

from subgrid.diffusion.gaussian_prior import GaussianPrior
from subgrid.diffusion.gaussian_steps import GaussianODE, GaussianSDE, IsotropicGaussian
from subgrid.diffusion.modewise import refined
from subgrid.downscaling.upsampling.guided import MethodFor

ENOUGH = 3.0
"""Of the first level, in standard deviations √λ of the leading component. The start is drawn from a Gaussian, whose
skewness is zero where that of the data, seen through noise, is γ (λ/(λ + σ²))^{3/2}: 3 % of γ are left out at 3√λ.
"""

KNOWN = 0.125
"""Of the lowest level worth learning, in standard deviations of the smallest component that a network refines."""


def sampling_range(std: float, trained: tuple[float, float], method: MethodFor) -> tuple[float, float]:
    """The smallest and the largest level that sampling visits, (σ_min, σ_max).

    From σ_max = 3√λ on, or from the largest level of the training, if that is lower. Higher ones are for methods that
    start from white noise. For those that start from the Gaussian they are levels lost: of 32 between 80 and .002
    standard deviations a third lie above 3, and without them the modes of a mixture are half as far off.

    Args:
        std: √λ of the leading component, see `leading_std`.
        trained: smallest and largest level that the prior was trained on.
        method: of sampling; one that does not start from the Gaussian gets the whole range of the training.

    Returns:
        (σ_min, σ_max), in normalised units.

    Examples:
        >>> sampling_range(leading_std(prior.gaussian), (2e-3, 80.0), GaussianSDE)
    """
    sigma_min, sigma_max = trained
    if not solves_gaussians(method):
        return trained
    return sigma_min, min(sigma_max, max(ENOUGH * std, 2 * sigma_min))


def worth_learning(gaussian: GaussianPrior, levels: tuple[float, float]) -> tuple[float, float]:
    """Of these noise levels those at which a network can be better than the Gaussian, (σ_min, σ_max).

    Above 3√λ of the leading component fields look Gaussian; below an eighth of the smallest that is refined a noisy
    field is known to 1.5 % of its variance, and linearly. Between .002 and 80 standard deviations a dealiased flow of
    64 × 64 points has three tenths of its levels outside.

    Args:
        gaussian: N(m, Σ) of normalised fields.
        levels: the smallest and the largest that are asked for.

    Returns:
        (σ_min, σ_max), within them.

    Examples:
        >>> worth_learning(prior.gaussian, (2e-3, 80.0))
    """
    every = jnp.append(gaussian.variances, gaussian.remainder)
    least = float(jnp.min(jnp.where(refined(every) > 0, every, jnp.inf))) ** 0.5
    low = levels[0] if math.isinf(least) else max(levels[0], KNOWN * least)
    high = min(levels[1], ENOUGH * leading_std(gaussian))
    return (low, high) if low < high else levels


def leading_std(gaussian: GaussianPrior) -> float:
    """√λ of the component that varies most.

    Args:
        gaussian: of normalised fields.

    Returns:
        Its standard deviation, that of the remainder if no component varies more.
    """
    return float(jnp.maximum(jnp.max(gaussian.variances, initial=0.0), gaussian.remainder)) ** 0.5


def solves_gaussians(method: MethodFor) -> bool:
    """Whether the method starts from the Gaussian that it is given, and samples it exactly at any number of levels.

    Args:
        method: what makes a sampler from a Gaussian.

    Returns:
        True for `GaussianSDE` and `GaussianODE`.
    """
    return isinstance(method(IsotropicGaussian(jnp.zeros(1), jnp.ones(()))), GaussianSDE | GaussianODE)
