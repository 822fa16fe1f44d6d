"""Area, outline and slope of shapes: discs in closed form, and how fast errors fall."""

import numpy as np
import pytest
from scipy.special import ellipe

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


def plane(n, slope_y, slope_x, offset=0.0):
    x = (np.arange(n) + 0.5) / n - 0.5
    return slope_y * x[:, None] + slope_x * x - offset


@pytest.mark.parametrize(("slope", "expected"), [((1.0, 0.0), 0.0), ((0.6, -0.8), 0.0), ((0.0, 3.0), 2.0)])
def test_residual_of_planes(slope, expected):
    assert eikonal_residual(plane(32, *slope)) == pytest.approx(expected, abs=1e-12)


def test_residual_is_taken_in_the_band_only():
    """Slope 1 up to .2 and 4 beyond."""
    u = plane(64, 0.0, 1.0)
    u = np.where(np.abs(u) < 0.2, u, 4 * u)
    assert eikonal_residual(u) < 1e-12 and eikonal_residual(u, band=0.9) > 0.1


@pytest.mark.parametrize("n", [16, 17])
@pytest.mark.parametrize("place", [0.5, 0.37, 8.5 / 17, 7.5 / 16])  # between points and on them
def test_a_straight_line_is_measured_exactly_wherever_it_lies(n, place):
    u = plane(n, 0.0, 1.0, place - 0.5)
    for v in (u, u.T):
        assert area(v) == pytest.approx(place, rel=1e-12) and perimeter(v) == pytest.approx(1, rel=1e-12)


def test_diagonals_of_both_kinds():
    """Cells along a border of slope 1 count linearly, and are right together; at corners of the square two are cut."""
    n = 64
    for sign in (1, -1):
        u = plane(n, np.sqrt(0.5), sign * np.sqrt(0.5))
        assert area(u) == pytest.approx(0.5, rel=1e-12)
        assert perimeter(u) == pytest.approx(np.sqrt(2), rel=1 / n)


def test_an_ellipse_whose_slope_changes_along_the_line():
    a, b, x = 0.4, 0.2, (np.arange(128) + 0.5) / 128 - 0.5
    u = (x / a) ** 2 + (x[:, None] / b) ** 2 - 1
    assert perimeter(u) == pytest.approx(4 * a * ellipe(1 - (b / a) ** 2), rel=2e-3)
