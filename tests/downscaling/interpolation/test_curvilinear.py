"""Interpolation on rotated, projected and folded grids: exact on planes, continuous on the sphere, held outside."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from subgrid.downscaling.interpolation.curvilinear import unit_vectors
from subgrid.downscaling.interpolation.linear import bilinear


def rotated(rlat, rlon, pole=(40.0, -170.0)):
    """True latitude and longitude of points of a rotated pole."""
    phi, lam, tilt = np.radians(rlat)[:, None], np.radians(rlon)[None, :], np.radians(90.0 - pole[0])
    x, y, z = np.cos(lam) * np.cos(phi), np.sin(lam) * np.cos(phi), np.sin(phi) * np.ones_like(lam)
    x, z = np.cos(tilt) * x - np.sin(tilt) * z, np.sin(tilt) * x + np.cos(tilt) * z
    return np.degrees(np.arcsin(z)), (np.degrees(np.arctan2(y, x)) + pole[1] + 360.0) % 360.0 - 180.0


def lambert(x, y, centre=(46.0, 8.0), parallel=46.0):
    """True latitude and longitude of a Lambert conformal grid in km, tangent at a parallel (Snyder 1987, Eq. 15)."""
    n, radius = np.sin(np.radians(parallel)), 6371.0
    tangent = lambda lat: np.tan(np.pi / 4 + np.radians(lat) / 2) ** n  # noqa: E731
    factor = np.cos(np.radians(parallel)) * tangent(parallel) / n
    rho0 = radius * factor / tangent(centre[0])
    x, y = np.meshgrid(x, y)
    rho, angle = np.hypot(x, rho0 - y), np.arctan2(x, rho0 - y)
    return np.degrees(2 * np.arctan((radius * factor / rho) ** (1 / n)) - np.pi / 2), centre[1] + np.degrees(angle / n)


GRIDS = {
    "rotated": rotated(np.arange(-8.0, 4.1, 2.0), np.arange(-8.0, 4.1, 2.0)),
    "Lambert": lambert(np.arange(-900.0, 901.0, 150.0), np.arange(-900.0, 901.0, 150.0)),
    "rows from north to south": tuple(axis[::-1] for axis in rotated(np.arange(-8.0, 4.1, 2.0), np.arange(-8.0, 5, 2))),
    "transposed": tuple(axis.T for axis in rotated(np.arange(-8.0, 4.1, 2.0), np.arange(-8.0, 5, 2))),
}
LAT, LON = np.arange(44.25, 48.0, 0.5), np.arange(4.25, 10.0, 0.5)


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("turn", [0.0, 360.0])
def test_planes_are_reproduced(grid, turn):
    coarse_lat, coarse_lon = GRIDS[grid]
    interpolate = bilinear(coarse_lat, coarse_lon + turn, LAT, LON)
    assert interpolate.inside.all()
    found = interpolate(284 - (coarse_lat - 46) + 0.375 * (coarse_lon - 8))
    np.testing.assert_allclose(found, 284 - (LAT[:, None] - 46) + 0.375 * (LON - 8), rtol=1e-6)


def test_a_regular_grid_given_as_a_curvilinear_one_has_the_same_weights():
    coarse = np.arange(40.0, 52.0, 2.0), np.arange(0.0, 15.0, 3.0)
    two_axes = bilinear(*np.meshgrid(*coarse, indexing="ij"), LAT, LON)
    np.testing.assert_allclose(two_axes.weights.toarray(), bilinear(*coarse, LAT, LON).weights.toarray(), atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(st.floats(-80, 80), st.floats(-180, 180), st.integers(0, 99))
def test_smooth_fields_are_met_to_second_order_wherever_the_grid_lies(pole_lat, pole_lon, seed):
    # A linear function of the place in space has curvature 1 along the sphere: at most h²/4 between centres h apart in
    # each of two directions, 3e-4 for 2 degrees, and longitudes as coordinates bend it by up to tan 75° more.
    coarse_lat, coarse_lon = rotated(np.arange(-10.0, 10.1, 2.0), np.arange(-10.0, 10.1, 2.0), (pole_lat, pole_lon))
    lat, lon = rotated(np.arange(-9.5, 9.6, 1.0), np.arange(-9.5, 9.6, 1.0), (pole_lat, pole_lon))
    direction = np.random.default_rng(seed).normal(size=3)
    direction /= np.linalg.norm(direction)
    interpolate = bilinear(coarse_lat, coarse_lon, lat, lon)
    assert interpolate.inside.all()
    found = interpolate(unit_vectors(coarse_lat, coarse_lon) @ direction)
    np.testing.assert_allclose(found, unit_vectors(lat, lon) @ direction, atol=3e-4 * (1 + np.tan(np.radians(75))))


def test_a_grid_over_the_pole():
    # The pole of the rotated grid on the equator: its origin is the north pole itself.
    coarse_lat, coarse_lon = rotated(np.arange(-5.0, 6.0, 2.0), np.arange(-5.0, 6.0, 2.0), (0.0, 30.0))
    lat, lon = np.array([90.0, 89.5, 88.0]), np.arange(-180.0, 180.0, 45.0)
    interpolate = bilinear(coarse_lat, coarse_lon, lat, lon)
    assert interpolate.inside.all()
    height = unit_vectors(coarse_lat, coarse_lon)[..., 2]
    np.testing.assert_allclose(interpolate(height), np.repeat(np.sin(np.radians(lat))[:, None], 8, 1), atol=4e-4)


def test_outside_the_value_at_the_edge_is_held():
    coarse_lat, coarse_lon = GRIDS["rotated"]
    lat, lon = np.array([10.0, 46.0, 80.0]), np.array([-60.0, 8.0, 70.0])
    interpolate = bilinear(coarse_lat, coarse_lon, lat, lon)
    np.testing.assert_array_equal(interpolate.inside, [[False] * 3, [False, True, False], [False] * 3])
    found = interpolate(coarse_lat)
    assert (found >= coarse_lat.min() - 1e-4).all() and (found <= coarse_lat.max() + 1e-4).all()


def test_cells_without_values_take_no_part():
    coarse_lat, coarse_lon = GRIDS["rotated"]
    valid = np.ones(coarse_lat.shape, bool)
    valid[:2] = False
    plane = np.where(valid, 7.0, np.nan)
    np.testing.assert_allclose(bilinear(coarse_lat, coarse_lon, LAT, LON, valid=valid)(plane), 7.0, rtol=1e-6)


def test_regular_grids_go_round_the_globe():
    coarse_lat, coarse_lon = np.array([-10.0, 10.0]), np.arange(-180.0, 180.0, 10.0)
    wave = np.repeat(np.abs(coarse_lon)[None], 2, 0)  # linear on either side of the date line
    lon = np.array([170.0, 175.0, 179.0, 181.0, 190.0, -172.0])
    found = bilinear(coarse_lat, coarse_lon, np.array([0.0]), lon)(wave)[0]
    np.testing.assert_allclose(found, [170, 175, 179, 179, 170, 172], rtol=1e-6)
    # A region takes points of another turn, and holds its edges on their own side.
    found = bilinear(coarse_lat, np.array([170.0, 180.0, 190.0]), np.array([0.0]), np.array([-175.0, -160.0, 160.0]))
    np.testing.assert_allclose(found(np.array([[1.0, 2.0, 3.0]] * 2))[0], [2.5, 3.0, 1.0])


def test_axes_that_do_not_go_together_are_refused():
    coarse_lat, coarse_lon = GRIDS["rotated"]
    with pytest.raises(ValueError, match="one axis each or the same two, of at least 2 cells"):
        bilinear(coarse_lat, coarse_lon[1:], LAT, LON)
    with pytest.raises(ValueError, match="at least 2 cells"):
        bilinear(coarse_lat[:1], coarse_lon[:1], LAT, LON)
