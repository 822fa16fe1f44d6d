"""The taper: values of the published formula, and the matrices it makes."""

import numpy as np
import pytest

from subgrid.numerics.localisation import gaspari_cohn


def test_known_values_and_support():
    # At z = 1 both pieces give 5/24 (Gaspari & Cohn, Eq. 4.10).
    np.testing.assert_allclose(gaspari_cohn(np.array([0.0, 1.0, 2.0, 3.0]), 2.0), [1, 5 / 24, 0, 0], atol=1e-15)


def test_it_is_twice_differentiable_where_the_pieces_meet():
    def derivative(at: float, order: int) -> float:
        h = 1e-3
        x = at + h * np.arange(-2, 3)
        weights = {1: np.array([1, -8, 0, 8, -1]) / 12, 2: np.array([-1, 16, -30, 16, -1]) / 12}[order]
        return float(weights @ gaspari_cohn(x, 2.0) / h**order)

    for order in (1, 2):
        for joint in (1.0, 2.0):
            assert derivative(joint - 0.003, order) == pytest.approx(derivative(joint + 0.003, order), abs=0.05)


@pytest.mark.parametrize("support", [0.3, 1.0, 4.0])
def test_correlations_of_points_in_space_are_positive_definite(support):
    places = np.random.default_rng(0).uniform(size=(200, 3))
    distances = np.linalg.norm(places[:, None] - places[None], axis=-1)
    assert np.linalg.eigvalsh(gaspari_cohn(distances, support)).min() > -1e-12
