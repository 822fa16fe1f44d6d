"""Canonical coordinates: values stay at their physical points, whatever the order and names in the file."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings, strategies as st

from subgrid.data.cf.coordinates import gridded_variables, on_canonical_grid
from subgrid.data.cf.open import open_climate
from subgrid.data.fields import DataError
from subgrid.data.grids.cells import grid_of

from ..climate_files import archive, rotated_archive

NAMES = [("lat", "lon"), ("latitude", "longitude"), ("nav_lat", "nav_lon"), ("phi", "lambda")]


@st.composite
def disordered(draw):
    """A canonical dataset, and the same as a file may hold it: other names, order, longitudes, calendar and dtype."""
    n_lat, n_lon = draw(st.integers(2, 5)), draw(st.integers(3, 6))
    step = draw(st.sampled_from([0.25, 1.0, 2.5]))
    # Everywhere west of 180 - 6 cells, so that no region crosses the date line.
    west = draw(st.integers(-180, 160))
    lat = draw(st.integers(-60, 60)) + step * np.arange(n_lat)
    lon = west + step * np.arange(n_lon)
    calendar = draw(st.sampled_from(["standard", "noleap", "360_day", "julian"]))
    original = archive(lat=lat, lon=lon, calendar=calendar, start="2001-02-26", seed=draw(st.integers(0, 99)))
    mask = draw(st.lists(st.booleans(), min_size=n_lat * n_lon, max_size=n_lat * n_lon))
    mask[0] = True
    original["tas"] = original.tas.where(xr.DataArray(np.reshape(mask, (n_lat, n_lon)), dims=("lat", "lon")))
    file = original.copy()
    if draw(st.booleans()):
        file = file.isel(lat=slice(None, None, -1))
    if draw(st.booleans()):
        file = file.assign_coords(lon=("lon", file.lon.values % 360.0, file.lon.attrs)).sortby("lon")
    file = file.transpose(*draw(st.permutations(["time", "lat", "lon"])))
    if draw(st.booleans()):
        file["tas"] = file.tas.astype(np.float64)
    return original, file.rename(dict(zip(("lat", "lon"), draw(st.sampled_from(NAMES)), strict=True)))


@given(disordered())
@settings(max_examples=50, deadline=None)
def test_canonical_form_is_reached_and_values_stay_at_their_points(pair):
    original, file = pair
    found = open_climate(file)
    assert found.tas.dims == ("time", "lat", "lon")
    assert found.tas.dtype == np.float32
    assert (np.diff(found.lat) > 0).all()
    assert (np.diff(found.lon) > 0).all()
    assert (found.lon.values >= -180).all() and (found.lon.values < 180).all()
    np.testing.assert_array_equal(found.time.values, original.time.values)
    # By label: 1e-9 degrees is the rounding of wrapping by 360.
    at_points = found.tas.sel(lat=original.lat, lon=original.lon, method="nearest", tolerance=1e-9)
    np.testing.assert_array_equal(at_points.values, original.tas.values)
    assert found.tas.attrs == original.tas.attrs | {"subgrid_quantity": "temperature"}


def test_global_longitudes_start_at_the_date_line():
    lon = np.arange(0.0, 360.0, 30.0)
    found = open_climate(archive(lon=lon))
    np.testing.assert_allclose(found.lon, np.arange(-180.0, 180.0, 30.0))
    np.testing.assert_array_equal(found.tas.sel(lon=-90.0), archive(lon=lon).tas.sel(lon=270.0))


def test_cyclic_point_is_kept_once():
    lon = np.arange(0.0, 361.0, 30.0)
    found = open_climate(archive(lon=lon))
    assert found.sizes["lon"] == 12
    np.testing.assert_array_equal(found.tas.sel(lon=0.0), archive(lon=lon).tas.sel(lon=0.0))


@pytest.mark.parametrize("lon", [np.arange(170.0, 191.0, 2.5), np.r_[170.0:180:2.5, -180.0:-169:2.5]])
def test_region_across_the_date_line_stays_in_one_piece(lon):
    file = archive(lon=lon)
    found = open_climate(file)
    np.testing.assert_allclose(found.lon, np.arange(170.0, 191.0, 2.5))
    np.testing.assert_array_equal(found.tas.values, file.tas.values)


def test_bounds_move_with_their_cells():
    file = archive(lat=np.array([42.0, 40.0, 38.0]), lon=np.array([350.0, 352.0, 354.0]))
    file = file.assign_coords(
        lat_b=(("lat", "n"), np.stack([file.lat + 1, file.lat - 1], 1)),
        lon_b=(("lon", "n"), np.stack([file.lon - 0.5, file.lon + 1.5], 1)),
    )
    file.lat.attrs["bounds"], file.lon.attrs["bounds"] = "lat_b", "lon_b"
    found = open_climate(file)
    np.testing.assert_allclose(found.lat_bnds, [[37, 39], [39, 41], [41, 43]])
    np.testing.assert_allclose(found.lon_bnds, [[-10.5, -8.5], [-8.5, -6.5], [-6.5, -4.5]])
    np.testing.assert_allclose(grid_of(found).lon_bounds, found.lon_bnds)


@pytest.mark.parametrize("declared", [True, False])
def test_rotated_pole_keeps_its_coordinates(declared, tmp_path):
    file = rotated_archive()
    if declared:
        file = file.set_coords(["lat", "lon"])
    file.to_netcdf(tmp_path / "cordex.nc")
    found = open_climate(tmp_path / "cordex.nc")
    assert found.tas.dims == ("time", "y", "x")
    assert found.lat.dims == found.lon.dims == ("y", "x")
    np.testing.assert_array_equal(found.tas.values, file.tas.values)
    np.testing.assert_allclose(found.lat, file.lat)
    np.testing.assert_allclose(found.y, file.rlat)
    assert found[found.tas.attrs["grid_mapping"]].attrs["grid_north_pole_latitude"] == 39.25
    assert grid_of(found).shape == (5, 7)
    found.to_netcdf(tmp_path / "again.nc")
    xr.testing.assert_allclose(open_climate(tmp_path / "again.nc"), found)


def test_coordinates_that_repeat_at_every_time():
    file = rotated_archive().rename(rlat="south_north", rlon="west_east", lat="XLAT", lon="XLONG")
    file = file.drop_vars(["south_north", "west_east", "rotated_pole"]).set_coords(["XLAT", "XLONG"])
    repeated = {n: file[n].expand_dims(time=file.time) for n in ("XLAT", "XLONG")}
    found = open_climate(file.assign_coords(repeated))
    np.testing.assert_allclose(found.lat, file.XLAT)


def test_static_fields_and_single_levels():
    height = archive(n_times=1).tas.isel(time=0).rename("orog").assign_attrs(units="m", standard_name="")
    found = open_climate(height.to_dataset())
    assert found.orog.dims == ("lat", "lon")
    assert "time" not in found.coords
    file = archive().expand_dims(height=[2.0])
    assert open_climate(file).tas.dims == ("time", "lat", "lon")
    with pytest.raises(DataError, match="coarse: tas has 2 levels along 'height'; choose one"):
        open_climate(xr.concat([file, file.assign_coords(height=[10.0])], "height"))


def test_what_lies_on_no_grid():
    file = archive().drop_vars(["lat", "lon"]).rename(lat="a", lon="b")
    with pytest.raises(DataError, match=r"no variable lies on a grid .*variables: tas.*degrees_north"):
        open_climate(file)
    with pytest.raises(DataError, match=r"tas has dimensions \('time', 'a', 'b'\) and no latitude"):
        on_canonical_grid(file, "tas", file="f.nc")
    stations = archive().stack(station=("lat", "lon")).reset_index("station")
    with pytest.raises(DataError, match="is a list of points along 'station', not a grid"):
        open_climate(stations)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lat": [36.0, 38.0, 40.0, 95.0]}, r"latitude is 95\.0 at position 3"),
        ({"lon": [0.0, 1.0, np.nan, 3.0, 4.0]}, "longitude is nan at position 2"),
        ({"lat": [36.0, 38.0, 38.0, 40.0]}, "lat holds the same value twice"),
    ],
)
def test_coordinates_that_cannot_be(change, message):
    axis, values = next(iter(change.items()))
    file = archive()
    with pytest.raises(DataError, match=f"coarse: {message}"):
        open_climate(file.assign_coords({axis: (axis, values, file[axis].attrs)}))


def test_bounds_and_coordinates_are_no_fields():
    file = rotated_archive().assign(lat_bnds=(("rlat", "rlon", "n"), np.zeros((5, 7, 4))))
    assert gridded_variables(file) == ["tas"]
