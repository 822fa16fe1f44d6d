"""Area, outline and slope of shapes: discs in closed form, and how fast errors fall."""

import numpy as np
import pytest

from subgrid.verification.level_sets import area, eikonal_residual, perimeter


def disc(n, radius=0.3, centre=(0.48, 0.53)):
    x = (np.arange(n) + 0.5) / n
    return np.hypot(x[:, None] - centre[0], x - centre[1]) - radius


@pytest.mark.parametrize(("measure", "exact"), [(area, np.pi * 0.09), (perimeter, 2 * np.pi * 0.3)])
def test_area_and_perimeter_of_a_disc_converge(measure, exact):
    """The largest error over discs at twenty places falls at least with the size of cells."""
    places = 0.5 + np.random.default_rng(0).uniform(-0.05, 0.05, (20, 2))
    coarse, fine = (max(abs(measure(disc(n, centre=c)) / exact - 1) for c in places) for n in (32, 128))
    assert coarse < 0.01 and fine < coarse / 3


def test_a_distance_has_slope_one_and_its_double_has_two():
    assert eikonal_residual(disc(256)) < 1e-3
    assert eikonal_residual(2 * disc(256)) == pytest.approx(1.0, abs=2e-3)
    assert np.isnan(eikonal_residual(np.ones((8, 8))))


def test_perimeter_does_not_depend_on_the_slope():
    assert perimeter(3 * disc(64)) == pytest.approx(perimeter(disc(64)), rel=0.01)


def test_nothing_inside_has_neither():
    assert area(np.full((16, 16), 0.5)) == 0 and perimeter(np.full((16, 16), 0.5)) == 0
