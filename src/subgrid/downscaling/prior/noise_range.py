"""Between which noise levels a prior is sampled."""

import jax.numpy as jnp

from subgrid.diffusion.gaussian_prior import GaussianPrior
from subgrid.diffusion.gaussian_steps import GaussianODE, GaussianSDE, IsotropicGaussian
from subgrid.downscaling.upsampling.guided import MethodFor

ENOUGH = 3.0
"""Of the first level, in standard deviations √λ of the leading component. The start is drawn from a Gaussian, whose
skewness is zero where that of the data, seen through noise, is γ (λ/(λ + σ²))^{3/2}: 3 % of γ are left out at 3√λ.
"""


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
