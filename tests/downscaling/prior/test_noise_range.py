"""Where sampling starts: what a Gaussian start leaves out of skewed data is known in closed form."""

import jax
import numpy as np
import pytest

from subgrid.diffusion.gaussian_prior import GaussianPrior
from subgrid.diffusion.gaussian_steps import GaussianODE, GaussianSDE
from subgrid.diffusion.noise_levels import exponential_grid
from subgrid.diffusion.samplers import AncestralMultistep, Heun
from subgrid.diffusion.stationary_prior import fit_stationary_prior
from subgrid.downscaling.prior.noise_range import leading_std, sampling_range, worth_learning
from subgrid.downscaling.upsampling.guided import method_for
from subgrid.downscaling.upsampling.level_checks import complaints, mode_std

TRAINED = (2e-3, 80.0)
PARTS = np.zeros((1, 4)), np.eye(4)[:2, None], np.array([16.0, 9.0]), np.asarray(0.5), np.ones((1, 4))
PRIOR = GaussianPrior(*jax.device_put([part.astype(np.float32) for part in PARTS]))


def test_the_start_leaves_out_three_percent_of_the_skewness():
    assert leading_std(PRIOR) == 4.0
    first = sampling_range(4.0, TRAINED, GaussianSDE)[1]
    # Skewness of an exponential variable of standard deviation 4, 2, seen through noise: third moment 2·4³.
    samples = 4 * np.random.default_rng(0).exponential(size=2_000_000) - 4
    noisy = samples + first * np.random.default_rng(1).normal(size=samples.shape)
    skewness = np.mean((noisy - noisy.mean()) ** 3) / noisy.std() ** 3
    assert skewness == pytest.approx(2 * 10**-1.5, abs=3 * np.sqrt(6 / len(samples)))


def test_methods_that_start_from_white_noise_keep_the_whole_range():
    for method in (Heun(), AncestralMultistep()):
        assert sampling_range(4.0, TRAINED, method_for(method)) == TRAINED
    for method in (GaussianSDE, GaussianODE):
        assert sampling_range(4.0, TRAINED, method) == (2e-3, 12.0)


def test_the_range_stays_within_the_trained_one_and_is_reported_where_that_is_too_short():
    assert sampling_range(4.0, (2e-3, 10.0), GaussianSDE) == (2e-3, 10.0)
    assert sampling_range(1e-5, TRAINED, GaussianSDE) == (2e-3, 4e-3)  # still a grid
    short, enough = (exponential_grid(16, sigma_max=first, sigma_min=2e-3) for first in (10.0, 12.0))
    assert not complaints(enough, GaussianSDE, PRIOR, guided=True)
    assert "sigma_max of at least 12" in complaints(short, GaussianSDE, PRIOR, guided=True)[0]


def test_levels_that_are_not_lost_above_the_data_halve_the_error_within_modes():
    whole, ranged = (abs(mode_std(exponential_grid(32, sigma_max=first, sigma_min=2e-3)) - 1) for first in (80.0, 3.0))
    assert ranged < 0.6 * whole


def test_levels_worth_learning_lie_between_the_smallest_and_the_largest_mode():
    gaussian = fit_stationary_prior(np.random.default_rng(0).normal(size=(50, 1, 8)))
    least, leading = float(gaussian.remainder), float(gaussian.variances[0])
    low, high = worth_learning(gaussian, (1e-4, 80.0))
    assert low == pytest.approx(min(least, float(gaussian.variances.min())) ** 0.5 / 8)
    assert high == pytest.approx(3 * leading**0.5)
    assert worth_learning(gaussian, (0.5, 1.0)) == (0.5, 1.0)  # no wider than asked for
