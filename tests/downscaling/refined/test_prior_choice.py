"""The reach of covariances by left-out years, where the true covariance is known."""

import numpy as np
import pytest

from subgrid.downscaling.refined.prior_choice import choose_prior, taper_of

CELLS, DAYS = 40, 20
PLACES = np.arange(CELLS, dtype=float)
DISTANCES = np.abs(np.subtract.outer(PLACES, PLACES))
COVARIANCE = np.exp(-DISTANCES / 4)
ROWS = np.kron(np.eye(10), np.full((1, 4), 0.25))


def fields(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, CELLS)) @ np.linalg.cholesky(COVARIANCE).T


def conditional_error(values: np.ndarray, support: float | None) -> float:
    """Mean squared error of the conditional mean under the true distribution, without sampling."""
    S = np.cov(values.T) * (1 if support is None else taper_of(DISTANCES, support)) + 1e-5 * np.eye(CELLS)
    gain = np.linalg.solve(ROWS @ S @ ROWS.T, ROWS @ S).T
    away = np.eye(CELLS) - gain @ ROWS
    return float(np.trace(away @ COVARIANCE @ away.T) / CELLS)


def choose(values: np.ndarray, groups: np.ndarray, distances=DISTANCES):
    return choose_prior(values, ROWS, groups, distances=distances, n_components=(5, 10, 20, 30))


def test_few_fields_of_short_correlations_are_damped_and_condition_better():
    groups = np.repeat(np.arange(5), 5)
    for seed in range(4):
        values = fields(25, seed)
        choice = choose_prior(values, ROWS, groups, distances=DISTANCES, n_components=(5, 10))
        assert choice.support is not None
        assert choice.crps[choice.support] == min(choice.crps.values()) < choice.crps[None]
        assert conditional_error(values, choice.support) < 0.8 * conditional_error(values, None)


@pytest.mark.slow
@pytest.mark.parametrize("n_years", [5, 20, 100])
def test_the_choice_is_hardly_worse_than_the_best_of_all(n_years):
    groups = np.repeat(np.arange(n_years), DAYS)
    for seed in range(3):
        values = fields(n_years * DAYS, seed)
        choice = choose(values, groups)
        errors = {support: conditional_error(values, support) for support in choice.crps}
        assert errors[choice.support] <= 1.05 * min(errors.values())


def test_without_places_no_taper_is_tried():
    choice = choose(fields(100, 1), np.repeat(np.arange(5), DAYS), distances=None)
    assert choice.support is None and choice.crps == {} and choice.n_components in choice.log_likelihoods
