"""Bounds that a file gives are those that everything computes with; each grid here has cells that are known."""

import numpy as np
import pytest
import xarray as xr

from subgrid.data.canonical import open_climate
from subgrid.data.fields import DataError
from subgrid.data.grids.bounds import with_variables
from subgrid.data.grids.cells import grid_of
from subgrid.data.inspection.coverage import coverage
from subgrid.data.inspection.inspection import inspect
from subgrid.data.inspection.together import check_together, covered, summarise_grid
from subgrid.data.pooling.pooling import notes_of
from subgrid.downscaling.climate.domain import connect

from ..climate_files import archive
from ..inspection.test_coverage import on_pole

LAT, LON = np.arange(41.0, 52.0, 2.0), np.arange(1.0, 16.0, 2.0)
FINE = archive(lat=np.arange(40.5, 52.0), lon=np.arange(0.5, 16.0))


def bounded(lat, lon, rows=None, columns=None) -> xr.Dataset:
    """A file with bounds of its latitudes, its longitudes or both."""
    file = archive(lat=np.asarray(lat, float), lon=np.asarray(lon, float))
    for axis, edges in (("lat", rows), ("lon", columns)):
        if edges is not None:
            file[f"{axis}_b"] = ((axis, "nv"), np.asarray(edges, float))
            file[axis].attrs["bounds"] = f"{axis}_b"
    return file


def around(centres, half=1.0, shift=0.0):
    return np.stack([centres - half, centres + half], 1) + shift


def test_one_column_has_the_width_of_its_bounds():
    coarse, fine = bounded(LAT, [7.0], columns=[[6.0, 8.0]]), FINE.isel(lon=slice(6, 8))
    found = inspect(fine, coarse)
    assert found.problems == () and found.fit is not None
    assert (found.fit.overlap, found.fit.ratio) == (pytest.approx(1.0), pytest.approx(2.0, rel=1e-3))
    grid = summarise_grid(open_climate(coarse))
    assert (grid.west, grid.east) == (6.0, 8.0)
    np.testing.assert_allclose(grid.spacing, (2.0, 2.0))
    domain = connect(open_climate(fine), open_climate(coarse), ["tas"])
    plane = np.broadcast_to(np.array([1.0, 3.0]), (12, 2))[None, None]
    np.testing.assert_allclose(domain.coarsen(plane), 2.0, rtol=1e-6)  # the mean of both columns


def test_one_cell_has_the_size_of_its_bounds():
    grid = summarise_grid(open_climate(bounded([45.0], [7.0], [[44.0, 46.0]], [[6.0, 8.0]])))
    assert (grid.south, grid.north, grid.west, grid.east) == (44.0, 46.0, 6.0, 8.0)
    arc = np.deg2rad(2.0) * 6371.0
    assert grid.spacing_km == pytest.approx(arc * np.sqrt(np.cos(np.deg2rad(45.0))))


@pytest.mark.parametrize("descending", [False, True])
def test_coordinates_at_lower_edges_cover_what_their_bounds_cover(descending):
    rows, columns = around(LAT), around(LON)
    coarse = bounded(LAT - 1, LON - 1, rows[:, ::-1] if descending else rows, columns)
    coarse = coarse.isel(lat=slice(None, None, -1)) if descending else coarse
    found = inspect(FINE, coarse)
    assert found.problems == () and found.fit is not None and found.fit.overlap == pytest.approx(1.0)
    assert not any("lies outside" in each for each in found.fit.remarks)


@pytest.mark.parametrize(("half", "shift", "says"), [(0.0, -41.0, "0 and 0"), (1.0, 3.0, "43 and 45")])
def test_bounds_that_are_no_cells_are_a_problem_of_one_file_as_of_two(half, shift, says):
    wrong = bounded(LAT, LON, rows=around(LAT, half, shift) * (half > 0))
    sentence = rf"the bounds of lat = 41 are {says}, which is no cell around it; repair the bounds"
    for found in (inspect(wrong), inspect(FINE, wrong)):
        [problem] = found.problems
        assert sentence.replace("\\", "") in problem
    fine, coarse = open_climate(FINE), open_climate(wrong)
    with pytest.raises(DataError, match=sentence):
        check_together(coarse, fine)
    with pytest.raises(DataError, match=sentence):
        connect(fine, coarse, ["tas"])


def test_a_subset_of_variables_keeps_bounds():
    opened = open_climate(bounded(LAT, LON, around(LAT), around(LON)).assign(pr=archive("pr", lat=LAT, lon=LON).pr))
    assert set(with_variables(opened, ["pr"]).variables) == set(opened.variables) - {"tas"}
    assert list(with_variables(opened, ["pr", "tas"]).data_vars) == ["pr", "tas"]


def test_bounds_of_any_file_of_an_archive_are_used(tmp_path):
    rows = np.stack([LAT - 0.5, LAT + 1.5], 1)
    with_bounds = bounded(LAT, LON, rows=rows)
    archive(lat=LAT, lon=LON).isel(time=slice(0, 3)).to_netcdf(tmp_path / "a.nc")
    with_bounds.isel(time=slice(3, None)).to_netcdf(tmp_path / "b.nc")
    np.testing.assert_allclose(grid_of(open_climate(tmp_path)).lat_bounds, rows)
    found = inspect(tmp_path, FINE)
    assert found.fit is not None and len(found.fit.coarse) == 2


def test_a_meridian_that_is_repeated_keeps_both_halves_of_its_cell():
    lon = np.arange(0.0, 361.0, 60.0)
    columns = np.clip(around(lon, 30.0), 0.0, 360.0)
    found = grid_of(open_climate(bounded([-45.0, 45.0], lon, columns=columns)))
    np.testing.assert_allclose(np.diff(found.lon_bounds), 60.0)
    assert found.areas.sum() == pytest.approx(4 * np.pi)


@pytest.mark.parametrize("column", [[0.0, 360.0], [-180.0, 180.0], [360.0, 0.0]])
def test_a_zonal_mean_is_a_cell_round_the_globe(column):
    found = grid_of(open_climate(bounded([-45.0, 45.0], [0.0], columns=[column])))
    assert found.areas.sum() == pytest.approx(4 * np.pi)


AXIS = np.arange(-9.0, 10.0, 2.0)


def with_vertices(shift: float, order: list[int]) -> xr.Dataset:
    """A grid about a rotated pole, its vertices computed there; moved along it, and begun at another one."""
    file = on_pole(AXIS, AXIS)
    parts = [on_pole(AXIS + dy, AXIS + dx + shift) for dy, dx in ((-1, -1), (-1, 1), (1, 1), (1, -1))]
    for axis in ("lat", "lon"):
        corners = np.stack([part[axis].values for part in parts], -1)[..., order]
        file[f"{axis}_vertices"] = (("y", "x", "vertices"), corners)
        file[axis].attrs["bounds"] = f"{axis}_vertices"
    return file


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [2, 3, 0, 1], [3, 2, 1, 0], [0, 3, 2, 1]])
def test_the_outline_is_that_of_given_vertices(order):
    fine = open_climate(on_pole(np.arange(-4.75, 5.0, 0.5), np.arange(6.25, 12.0, 0.5)))
    for shift, end in ((0.0, 10.0), (0.9, 10.9)):
        found = coverage(open_climate(with_vertices(shift, order)), fine)
        # Columns of half a degree from 6 to the last edge at 12; centres are inside or not.
        inside = np.mean(np.arange(6.25, 12.0, 0.5) < end)
        assert found is not None and found.share == pytest.approx(inside, abs=0.02)


def test_vertices_of_other_cells_are_refused_by_all():
    wrong = open_climate(with_vertices(2.0, [0, 1, 2, 3]))
    says = r"the corners of the cell at y = 0, x = 0 .* which is no cell around it; repair the bounds, or drop them"
    with pytest.raises(DataError, match=says):
        grid_of(wrong)
    fine = open_climate(on_pole(np.arange(-4.75, 5.0, 0.5), np.arange(-4.75, 5.0, 0.5)))
    with pytest.raises(DataError, match=says):
        check_together(wrong, fine)
    assert covered(wrong, fine).share > 0  # by centres, so that no other reason hides this one


def test_one_row_about_a_rotated_pole_has_the_size_of_its_vertices():
    grid = summarise_grid(open_climate(with_vertices(0.0, [0, 1, 2, 3]).isel(y=[4])))
    np.testing.assert_allclose(grid.spacing, (2.0, 2.0), rtol=0.01)
    assert grid.north - grid.south > 2.0


@pytest.mark.parametrize("fill", [np.nan, 0.0, 1e20])
def test_vertices_that_land_lacks_are_those_between_centres(fill):
    file, whole = with_vertices(0.0, [0, 1, 2, 3]), grid_of(open_climate(with_vertices(0.0, [0, 1, 2, 3])))
    land = np.zeros((10, 10), bool)
    land[3:5, 6:] = True
    file["tas"] = file.tas.where(~xr.DataArray(land, dims=("y", "x"))).assign_attrs(file.tas.attrs)
    for axis in ("lat", "lon"):
        file[f"{axis}_vertices"].values[land] = fill
    opened = open_climate(file)
    np.testing.assert_allclose(grid_of(opened).areas, whole.areas, rtol=0.01)  # corners between centres: second order
    assert "8 of 100 cells have no corners; those between centres are taken for them" in notes_of(opened)
