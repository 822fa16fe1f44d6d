"""W₂ between samples: an assignment by another solver, translations, quantiles on a line."""

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from subgrid.verification.transport_distance import wasserstein_2


def test_equal_numbers_are_an_assignment():
    x, y = np.random.default_rng(0).normal(size=(2, 200, 2))
    cost = cdist(x, y) ** 2
    expected = np.sqrt(cost[linear_sum_assignment(cost)].mean())
    assert wasserstein_2(x, y) == pytest.approx(expected, rel=1e-7)  # rounding of sums of squares


def test_repeated_points_are_weights():
    x, y = np.random.default_rng(1).normal(size=(2, 40, 2))
    assert wasserstein_2(np.repeat(x, 3, axis=0), y) == pytest.approx(wasserstein_2(x, y), rel=1e-7)


def test_a_translation_costs_its_length():
    x = np.random.default_rng(2).normal(size=(50, 2)).astype(np.float32)
    assert wasserstein_2(x + np.float32([3, 4]), x) == pytest.approx(5, rel=1e-5)  # the shift is rounded to float32


def test_on_a_line_it_is_the_distance_of_quantiles():
    x, y = np.random.default_rng(3).normal(size=(2, 100, 1))
    expected = np.sqrt(np.mean((np.sort(x, 0) - np.sort(y, 0)) ** 2))
    assert wasserstein_2(x, y) == pytest.approx(expected, rel=1e-7)


def test_a_set_is_at_no_distance_from_itself():
    x = np.random.default_rng(4).normal(size=(50, 2))
    assert wasserstein_2(x, x) == pytest.approx(0, abs=1e-7)  # √ of rounding in float64


@pytest.mark.parametrize(("n", "d"), [(0, 2), (3, 1)])
def test_sets_that_cannot_be_compared_are_refused(n, d):
    with pytest.raises(ValueError, match="one dimension"):
        wasserstein_2(np.zeros((n, d)), np.zeros((3, 2)))
