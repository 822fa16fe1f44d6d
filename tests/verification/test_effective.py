"""The number of independent fields, where autocorrelation is known."""

import jax.numpy as jnp
import numpy as np
import pytest

from subgrid.verification.distributions import covariance_rmse
from subgrid.verification.effective import covariance_dimension, covariance_rmse_floor, effective_sample_size


def autoregressive(n: int, a: float, *, cells: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = np.empty((n, cells))
    x[0] = rng.normal(size=cells)
    for i in range(1, n):
        x[i] = a * x[i - 1] + np.sqrt(1 - a**2) * rng.normal(size=cells)
    return x


@pytest.mark.parametrize("a", [0.0, 0.5, 0.8])
def test_a_first_order_process_has_its_known_number(a):
    """N (1 − a)/(1 + a), from 40 cells that are independent of each other."""
    found = effective_sample_size(autoregressive(4000, a, cells=40, seed=0))
    assert found == pytest.approx(4000 * (1 - a) / (1 + a), rel=0.06)  # lags of 160000 values, to their noise


def test_seasons_do_not_run_on_into_each_other():
    """Twenty seasons of 50 days, each independent of the next: the pairs across them do not count."""
    seasons = np.repeat(np.arange(20), 50)
    x = np.concatenate([autoregressive(50, 0.7, cells=40, seed=i) for i in range(20)])
    assert effective_sample_size(x, seasons) == pytest.approx(1000 * 0.3 / 1.7, rel=0.15)


def test_fields_that_never_vary_and_bad_input():
    assert effective_sample_size(np.ones((7, 3))) == 7
    with pytest.raises(ValueError, match="at least 2 fields, got 1"):
        effective_sample_size(np.ones((1, 3)))
    with pytest.raises(ValueError, match="one segment label a field, got 3 for 4"):
        effective_sample_size(np.ones((4, 3)), np.zeros(3, int))


SPREAD = np.sqrt(np.arange(1, 41.0) ** -1.5)
"""Deviations of 40 independent coordinates: d_e = (Σ k^−1.5)²/Σ k^−3 = 4.4."""
DIMENSION = np.sum(SPREAD**2) ** 2 / np.sum(SPREAD**4)


def gaussians(n: int, seed: int, deviations=SPREAD) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, len(deviations))) * deviations


@pytest.mark.parametrize("n", [500, 30])
def test_dimension_of_a_covariance(n):
    """Mean of 40 estimates: from 30 samples as well, where that of the sample covariance itself is a tenth too low.

    Their relative deviation is measured, about .05 and .4; three of their standard errors."""
    found = np.array([covariance_dimension(x) for x in gaussians(40 * n, 3).reshape(40, n, -1)])
    assert abs(found.mean() / DIMENSION - 1) < 3 * found.std() / DIMENSION / np.sqrt(40) + 1 / n


def test_dimension_of_white_noise_and_of_a_single_direction():
    """60 white points: exactly 60; from 100 samples the raw ratio is 60/(1 + .6)."""
    found = np.mean([covariance_dimension(gaussians(100, seed, np.ones(60))) for seed in range(20)])
    assert found == pytest.approx(60, rel=0.02)
    single = np.random.default_rng(0).normal(size=(50, 1)) * np.ones(7)
    assert covariance_dimension(single) == pytest.approx(1, rel=1e-9)


def test_dimension_is_the_same_from_products_of_samples_and_of_points():
    narrow = gaussians(30, 0, np.ones(20))
    wide = np.concatenate([narrow, np.zeros((30, 20))], axis=1)
    assert covariance_dimension(wide) == pytest.approx(covariance_dimension(narrow), rel=1e-9)


def sample_covariances(n: int, n_sets: int, deviations) -> np.ndarray:
    x = gaussians(n * n_sets, 7, deviations).reshape(n_sets, n, -1)
    x = x - x.mean(1, keepdims=True)
    return np.swapaxes(x, 1, 2) @ x / (n - 1)


@pytest.mark.parametrize(("deviations", "n_sets"), [(SPREAD, 2000), (np.ones(60), 100)])
def test_floor_of_the_covariance_error(deviations, n_sets):
    """T9: root mean square of the errors of many sets within 3 %, one-sided and of two halves.

    The square of an error spreads by its mean at most, the root of the mean of half of 2000 by 1.6 %; where there are
    many directions it hardly spreads."""
    dimension, n = np.sum(deviations**2) ** 2 / np.sum(deviations**4), 200
    exact, found = np.diag(deviations**2), sample_covariances(n, n_sets, deviations)
    size = lambda differences: np.sqrt(np.mean(np.sum(differences**2, (1, 2)))) / np.linalg.norm(exact)  # noqa: E731
    assert covariance_rmse_floor(dimension, n) == pytest.approx(size(found - exact), rel=0.03)
    assert covariance_rmse_floor(dimension, n, n) == pytest.approx(size(found[::2] - found[1::2]), rel=0.03)
    assert covariance_rmse_floor(dimension, n, n) == pytest.approx(np.sqrt(2 * (1 + dimension) / n))


def test_floor_is_that_of_the_metric():
    """The median of 20 values of `covariance_rmse` itself, between two sets of 1500."""
    x, y = (
        gaussians(30_000, 1, np.ones(60)).reshape(20, 1500, 60),
        gaussians(30_000, 2, np.ones(60)).reshape(20, 1500, 60),
    )
    found = [float(covariance_rmse(jnp.asarray(a), jnp.asarray(b))) for a, b in zip(x, y, strict=True)]
    # The reference's own norm, of the denominator, is √(1 + (1 + d_e)/m) larger, here 2 %.
    assert np.median(found) == pytest.approx(covariance_rmse_floor(60, 1500, 1500) / np.sqrt(1 + 61 / 1500), rel=0.03)


def test_pilot_of_the_second_system():
    assert covariance_rmse_floor(133, 20_000) == pytest.approx(0.083, abs=0.002)


def test_too_few_samples_have_no_dimension():
    with pytest.raises(ValueError, match="at least 4"):
        covariance_dimension(np.zeros((3, 5)))
