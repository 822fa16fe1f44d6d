"""Grids by known areas: the whole sphere, closed forms of zones, rotated grids whose areas rotation preserves."""

import os
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings, strategies as st

from subgrid.data.fields import DataError
from subgrid.data.grids.cells import (
    CurvilinearGrid,
    RegularGrid,
    curvilinear_grid,
    grid_of,
    polygon_areas,
    regular_grid,
)
from subgrid.data.grids.regrid import overlap_areas

from ...cases import few

DATA = Path(os.environ.get("SUBGRID_DATA", Path(__file__).parents[3] / "../shared/data"))
quick = settings(max_examples=25, deadline=None, derandomize=True)


def rotated(n, *, pole=(40.0, -170.0), half_width=12.0):
    """An n × n grid, regular about the origin of a rotated pole, in true latitude and longitude."""
    step = 2 * half_width / n
    axis = -half_width + step * (np.arange(n) + 0.5)
    return unrotate(*np.meshgrid(axis, axis, indexing="ij"), pole)


def unrotate(rlat, rlon, pole):
    phi, lam, tilt = np.radians(rlat), np.radians(rlon), np.radians(90.0 - pole[0])
    x, y, z = np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)
    x, z = np.cos(tilt) * x - np.sin(tilt) * z, np.sin(tilt) * x + np.cos(tilt) * z
    lon = np.degrees(np.arctan2(y, x)) + pole[1] + 180.0
    return np.degrees(np.arcsin(z)), (lon + 180.0) % 360.0 - 180.0


@quick
@given(st.integers(2, 40), st.integers(2, 60), st.floats(-180, 180), st.booleans())
def test_a_global_grid_covers_the_sphere_wherever_its_longitudes_start(n_lat, n_lon, start, descending):
    lat = np.linspace(-90, 90, n_lat) if n_lat % 2 else -90 + 180 * (np.arange(n_lat) + 0.5) / n_lat  # poles or not
    lon = np.sort((start + 360 * np.arange(n_lon) / n_lon + 180) % 360 - 180)
    grid = regular_grid(lat[::-1].copy() if descending else lat, lon)
    np.testing.assert_allclose(grid.areas.sum(), 4 * np.pi, rtol=1e-9)
    np.testing.assert_allclose(polygon_areas(grid.polygons).reshape(grid.shape), grid.areas, rtol=1e-9)


def test_zones_have_their_closed_form_and_the_signs_of_descending_latitudes():
    lat, lon = np.array([62.5, 57.5, 52.5]), np.array([0.0, 10.0])
    expected = np.radians(10) * (np.sin(np.radians([65, 60, 55])) - np.sin(np.radians([60, 55, 50])))
    np.testing.assert_allclose(regular_grid(lat, lon).areas, np.stack([expected, expected], 1), rtol=1e-12)


def test_a_region_across_the_date_line_has_no_wide_cells():
    # Sorted in [-180, 180) the Pacific falls into two parts, 340 degrees apart.
    grid = regular_grid(np.array([0.0, 10.0]), np.array([-175.0, -165.0, 165.0, 175.0]))
    np.testing.assert_allclose(grid.lon_bounds, [[-180, -170], [-170, -160], [160, 170], [170, 180]], atol=1e-12)


def test_cf_bounds_are_used_whatever_their_order_and_turn():
    bounds = xr.DataArray([[[45.0, 30.0], [60.0, 45.0]], [[358.0, 361.0], [1.0, 3.0]]], dims=("axis", "k", "bnds"))
    dataset = xr.Dataset(
        {"lat_bnds": (("lat", "bnds"), bounds[0].values), "lon_bnds": (("lon", "bnds"), bounds[1].values)},
        {"lat": ("lat", [40.0, 50.0], {"bounds": "lat_bnds"}), "lon": ("lon", [-1.0, 2.0], {"bounds": "lon_bnds"})},
    )
    grid = grid_of(dataset)
    np.testing.assert_allclose(grid.lat_bounds, [[30, 45], [45, 60]])
    np.testing.assert_allclose(grid.lon_bounds, [[-2, 1], [1, 3]])
    without = grid_of(dataset.drop_vars(["lat_bnds", "lon_bnds"]))  # a subset of a file that lost its bounds
    np.testing.assert_allclose(without.lat_bounds, [[35, 45], [45, 55]])


def test_areas_of_a_rotated_grid_converge_at_second_order():
    # Rotation preserves areas: the region of ±12 degrees has 2·Δλ·sin 12°, whatever the pole.
    errors = []
    for n in (8, 16, 32):
        lat, lon = rotated(n)
        grid = curvilinear_grid(lat, lon)
        exact = np.radians(24 / n) * (np.diff(np.sin(np.radians(np.linspace(-12, 12, n + 1)))))[:, None]
        errors.append(np.abs(grid.areas / exact - 1).mean())
    assert errors[-1] < 2e-3
    orders = np.log2(np.divide(errors[:-1], errors[1:]))
    assert (orders > 1.7).all(), (errors, orders)


def test_corners_given_are_those_guessed_from_centres():
    lat, lon = rotated(24, pole=(60.0, 10.0))  # across the date line: longitudes wrap within the grid
    assert lon.min() < -170 and lon.max() > 170
    edges = np.linspace(-12, 12, 25)
    nodes = unrotate(*np.meshgrid(edges, edges, indexing="ij"), (60.0, 10.0))
    lat_corners, lon_corners = (np.stack([k[:-1, :-1], k[:-1, 1:], k[1:, 1:], k[1:, :-1]], -1) for k in nodes)
    variables = {
        "lat_vertices": (("y", "x", "vertex"), lat_corners),
        "lon_vertices": (("y", "x", "vertex"), lon_corners),
    }
    coordinates = {
        "lat": (("y", "x"), lat, {"bounds": "lat_vertices"}),
        "lon": (("y", "x"), lon, {"bounds": "lon_vertices"}),
    }
    given_corners, guessed = grid_of(xr.Dataset(variables, coordinates)), grid_of(xr.Dataset(coords=coordinates))
    assert isinstance(given_corners, CurvilinearGrid)
    # Cells of 1 degree: corners continued at the rim are off by (1/57)² of a radian, 0.02 degrees, and less inside.
    np.testing.assert_allclose(guessed.lat_corners, given_corners.lat_corners, atol=0.02)
    np.testing.assert_allclose(guessed.areas[1:-1, 1:-1], given_corners.areas[1:-1, 1:-1], rtol=2e-3)


def test_a_curvilinear_grid_of_parallels_and_meridians_is_the_regular_one():
    lat, lon = np.arange(30.0, 45.0), np.arange(-10.0, 5.0)
    regular, two_dimensional = regular_grid(lat, lon), curvilinear_grid(*np.meshgrid(lat, lon, indexing="ij"))
    # Corners are means on the sphere: off their parallel by h²/8·sin φ cos φ, the same for neighbours but for its
    # change with φ, so areas are off by a part of h²/8 ~ 4e-5 of 1-degree cells; with the rim left out, below 1e-3.
    np.testing.assert_allclose(two_dimensional.areas[1:-1, 1:-1], regular.areas[1:-1, 1:-1], rtol=1e-3)


@pytest.mark.parametrize(
    ("lat", "lon", "message"),
    [
        ([10.0, 20.0], [0.0, np.nan], "f.nc: lon holds NaN or infinite values"),
        ([10.0, 120.0], [0.0, 1.0], "f.nc: lat runs to 120; latitudes are degrees from -90 to 90"),
        ([10.0, 10.0], [0.0, 1.0], "f.nc: latitudes repeat or are out of order"),
        ([10.0], [0.0, 1.0], "f.nc: one latitude alone .10. does not tell the height"),
        ([10.0, 20.0], [5.0], "f.nc: one longitude alone .5. does not tell the width"),
        ([10.0, 20.0], [-180.0, 0.0, 180.0], "f.nc: longitude -?180 comes twice"),
    ],
)
def test_bad_coordinates(lat, lon, message):
    with pytest.raises(DataError, match=message):
        regular_grid(np.array(lat), np.array(lon), source="f.nc")


def test_bad_bounds_dimensions_and_cells():
    lat, lon = np.array([10.0, 20.0]), np.array([0.0, 10.0])
    bounds = np.array([[15.0, 25.0], [25.0, 35.0]])
    with pytest.raises(DataError, match=r"f\.nc: the bounds of lat = 10 are 15 and 25, which is no cell around it"):
        regular_grid(lat, lon, lat_bounds=bounds, source="f.nc")
    with pytest.raises(DataError, match=r"f\.nc: has no coordinate 'lat', only lon"):
        grid_of(xr.Dataset(coords={"lon": lon}), source="f.nc")
    with pytest.raises(DataError, match=r"f\.nc: lat has dimensions \('y', 'x'\) and lon \('x',\)"):
        grid_of(xr.Dataset(coords={"lat": (("y", "x"), np.eye(2)), "lon": ("x", lon)}), source="f.nc")
    with pytest.raises(DataError, match=r"f\.nc: the cell at y = 0, x = 0 has no area"):
        curvilinear_grid(np.ones((2, 2)), np.ones((2, 2)), source="f.nc")
    with pytest.raises(DataError, match=r"f\.nc: \(1, 3\) cells are too few"):
        curvilinear_grid(np.ones((1, 3)), np.ones((1, 3)), source="f.nc")


@pytest.mark.parametrize("south", few([True, False]))
@pytest.mark.parametrize("shift", few([0.3, 0.0]))
def test_cells_at_a_pole_have_the_areas_that_they_have_anywhere(shift, south):
    # About its own pole, which lies on the equator, the grid is regular; a rotation keeps areas. Edges of more than 3
    # degrees of longitude are in pieces here; of shorter ones Δλ sin φ / 8 of their length is lost, .7 % on each side.
    axis = np.arange(-9.0, 10.0, 2.0) + shift
    lat, lon = unrotate(*np.meshgrid(axis, axis, indexing="ij"), (0.0, 30.0))
    found = curvilinear_grid(-lat if south else lat, lon, source="arctic")
    np.testing.assert_allclose(found.areas, regular_grid(axis, axis).areas, rtol=2e-2)
    np.testing.assert_allclose(found.areas.sum(), regular_grid(axis, axis).areas.sum(), rtol=2e-3)
    # A globe of small cells covers every one of them, the pole and all.
    degrees = np.arange(0.5, 360.0), np.arange(50.25, 90.0, 0.5)
    globe = regular_grid(-degrees[1][::-1] if south else degrees[1], degrees[0])
    np.testing.assert_allclose(overlap_areas(globe, found).sum(axis=1), found.areas.ravel(), rtol=1e-9)


@pytest.mark.skipif(not (DATA / "iberia").is_dir(), reason=f"real data of the project are not at {DATA}")
def test_the_iberia_files():
    with xr.open_dataset(DATA / "iberia/EOBS_Iberia_tas.nc") as dataset:
        grid = grid_of(dataset, source="EOBS")
    assert isinstance(grid, RegularGrid)
    assert (grid.extent, grid.spacing) == ("35..44.5 N, -10..4.5 E", "0.5 x 0.5 degrees")
