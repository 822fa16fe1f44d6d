"""Canonical coordinates: values stay at their physical points, whatever the order and names in the file."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings, strategies as st

from subgrid.data.canonical import open_climate
from subgrid.data.fields import DataError
from subgrid.data.grids.cells import grid_of
from subgrid.data.grids.coordinates import gridded_variables, on_canonical_grid
from subgrid.data.pooling.pooling import notes_of

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


@pytest.mark.slow
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


def on_places(lat, lon, values=None, **units) -> xr.Dataset:
    """A field of 3 days on two-dimensional coordinates; its values are 270 + latitude unless given."""
    values = 270.0 + np.asarray(lat) if values is None else values
    values = np.repeat(np.asarray(values, np.float32)[None], 3, 0)
    coordinates = {
        "time": xr.date_range("2000-01-01", periods=3),
        "nav_lat": (("j", "i"), lat, {"units": units.get("lat", "degrees_north")}),
        "nav_lon": (("j", "i"), lon, {"units": units.get("lon", "degrees_east")}),
    }
    return xr.Dataset({"tas": (("time", "j", "i"), values, {"units": "K"})}, coordinates)


def notes(dataset: xr.Dataset) -> str:
    return "; ".join(notes_of(dataset))


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("turn", [0.0, 360.0])
def test_two_dimensional_coordinates_that_are_parallels_and_meridians_are_regular(transposed, turn):
    lat, lon = np.meshgrid(np.arange(48.0, 40.0, -1.0), np.arange(-3.0, 3.0), indexing="ij")
    file = on_places(lat, (lon + turn) % 360.0 if turn else lon, lat + 271 + 0.1 * lon)
    file = file.transpose("time", "i", "j") if transposed else file
    found = open_climate(file)
    assert found.tas.dims == ("time", "lat", "lon")
    np.testing.assert_allclose(found.lat, np.arange(41.0, 49.0))
    np.testing.assert_allclose(found.lon, np.arange(-3.0, 3.0))
    np.testing.assert_allclose(found.tas[0], 271 + found.lat + 0.1 * found.lon, rtol=1e-6)
    assert "nav_lat and nav_lon have two dimensions but are parallels and meridians: read as regular" in notes(found)


def test_a_rotated_grid_is_not_taken_for_a_regular_one():
    assert open_climate(rotated_archive()).tas.dims == ("time", "y", "x")


def test_corners_of_a_regular_grid_become_its_bounds():
    lat, lon = np.meshgrid(np.arange(40.0, 44.0), np.arange(0.0, 6.0, 2.0), indexing="ij")
    file = on_places(lat, lon)
    north, east = np.array([-0.5, -0.5, 0.5, 0.5]), np.array([-1.0, 1.0, 1.0, -1.0])
    file = file.assign_coords(
        lat_v=(("j", "i", "v"), lat[..., None] + north), lon_v=(("j", "i", "v"), lon[..., None] + east)
    )
    file.nav_lat.attrs["bounds"], file.nav_lon.attrs["bounds"] = "lat_v", "lon_v"
    found = open_climate(file)
    np.testing.assert_allclose(found.lat_bnds, np.stack([found.lat - 0.5, found.lat + 0.5], 1))
    np.testing.assert_allclose(found.lon_bnds, np.stack([found.lon - 1.0, found.lon + 1.0], 1))


@pytest.mark.parametrize("fill", [0.0, np.nan, -1.0, 9999.0, 1e20])
def test_cells_without_a_place_are_continued_where_they_hold_no_values(fill):
    lat, lon = np.meshgrid(np.arange(40.0, 52.0), np.arange(0.0, 16.0), indexing="ij")
    land = np.zeros(lat.shape, bool)
    land[:3, :4] = land[6:8, 9:12] = True
    values = np.where(land, np.nan, 240 + lat)
    found = open_climate(on_places(np.where(land, fill, lat), np.where(land, fill, lon), values))
    np.testing.assert_allclose(found.lat, np.arange(40.0, 52.0), atol=1e-6)
    np.testing.assert_allclose(found.lon, np.arange(0.0, 16.0), atol=1e-6)
    np.testing.assert_array_equal(np.isnan(found.tas[0]), land)
    assert "18 of 192 cells have no place (nav_lat = " in notes(found)
    assert "no values; their places were continued from their neighbours" in notes(found)


def test_a_rotated_grid_with_holes_keeps_the_corners_of_its_cells():
    file = rotated_archive()
    hole = np.zeros(file.lat.shape, bool)
    hole[:2, :2] = True
    values = file.tas.where(~xr.DataArray(hole, dims=("rlat", "rlon")))
    broken = file.assign(tas=values.assign_attrs(file.tas.attrs), lat=file.lat.where(~hole), lon=file.lon.where(~hole))
    whole, found = (grid_of(open_climate(each)) for each in (file, broken))
    # Continued straight, a corner is off by the bend of the coordinates: h tan 50° of a cell, 1 % for half a degree.
    np.testing.assert_allclose(found.areas[~hole], whole.areas[~hole], rtol=0.01)


@pytest.mark.parametrize(
    ("which", "message"),
    [
        (
            "values",
            r"have no place \(nav_lat = 0, nav_lon = 0\), but tas has values in 12 of them; take",
        ),
        ("almost all", "and what is left is no grid; take latitude and longitude from the model's own grid file"),
    ],
)
def test_places_that_cannot_be_told(which, message):
    lat, lon = np.meshgrid(np.arange(40.0, 52.0), np.arange(0.0, 16.0), indexing="ij")
    land = np.zeros(lat.shape, bool)
    if which == "values":
        land[:3, :4] = True
        values = 240 + lat
    else:
        land[1:] = True
        values = np.where(land, np.nan, 240 + lat)
    with pytest.raises(DataError, match=f"coarse: .*{message}"):
        open_climate(on_places(np.where(land, 0.0, lat), np.where(land, 0.0, lon), values))


def test_columns_repeated_around_the_globe_are_dropped():
    lat = 60.0 * np.sin(np.linspace(-1.2, 1.2, 6))[:, None] + 3.0 * np.cos(np.radians(np.arange(0, 361, 30.0) + 15))
    lon = np.broadcast_to((np.arange(0, 361, 30.0) + 75.0) % 360.0, lat.shape).copy()
    found = open_climate(on_places(lat, lon))
    assert found.tas.shape == (3, 6, 12)
    assert "the last 1 columns repeat the first around the globe" in notes(found)


def test_radians_become_degrees():
    file = archive()
    small = {n: (n, np.radians(file[n].values), {**file[n].attrs, "units": "radian"}) for n in ("lat", "lon")}
    found = open_climate(file.assign_coords(small))
    np.testing.assert_allclose(found.lat, file.lat)
    np.testing.assert_allclose(found.lon, file.lon)
    assert notes(found) == "lat and lon: radians became degrees"


@pytest.mark.parametrize(
    ("units", "scale", "message"),
    [
        (
            None,
            np.pi / 180,
            "lat and lon have no attribute 'units' and reach 0.733 and 0.157: radians, or",
        ),
        ("km", 100.0, "lat is in 'km', which is no angle; set its attribute 'units' to 'degrees_north'"),
    ],
)
def test_units_that_are_no_degrees(units, scale, message):
    file = archive()
    attributes = {} if units is None else {"units": units}
    axes = {n: (n, scale * file[n].values, attributes) for n in ("lat", "lon")}
    with pytest.raises(DataError, match=message):
        open_climate(file.assign_coords(axes))


def test_degrees_without_units_are_degrees():
    file = archive()
    np.testing.assert_allclose(open_climate(file.assign_coords(lat=file.lat.values, lon=file.lon.values)).lat, file.lat)


def test_a_rotated_pole_alone_tells_the_places():
    file = rotated_archive()
    found = open_climate(file.drop_vars(["lat", "lon"]))
    np.testing.assert_allclose(found.lat, file.lat, atol=1e-9)
    np.testing.assert_allclose(found.lon, file.lon, atol=1e-9)
    assert "tas: latitude and longitude were computed from its rotated pole" in notes(found)


def test_a_projection_alone_is_refused_with_its_name():
    file = rotated_archive().drop_vars(["lat", "lon"])
    file.rotated_pole.attrs = {"grid_mapping_name": "lambert_conformal_conic"}
    with pytest.raises(DataError, match=r"lies on a projected grid \(lambert_conformal_conic\) without the latitude"):
        open_climate(file, "tas")


def test_grids_that_move_are_refused():
    file = rotated_archive()
    steps = xr.DataArray(0.3 * np.arange(file.sizes["time"]), dims="time")
    moved = {n: (file[n] + steps).assign_attrs(file[n].attrs) for n in ("lat", "lon")}
    with pytest.raises(DataError, match="lat changes along 'time': the grid of tas moves"):
        open_climate(file.assign(moved))


@pytest.mark.parametrize(
    ("dim", "size", "attributes", "kind"),
    [
        ("cell", 192, {}, "HEALPix"),
        ("ncells", 320, {}, "ICON"),
        ("nCells", 320, {}, "MPAS"),
        ("nod2", 320, {}, "FESOM"),
        ("ncol", 320, {}, "spectral element"),
        ("cells", 12, {"healpix_nside": 1}, "HEALPix"),
    ],
)
def test_lists_of_cells_are_refused_by_their_kind(dim, size, attributes, kind):
    random = np.random.default_rng(0)
    file = xr.Dataset(
        {"tas": (("time", dim), random.normal(280, 3, (3, size)), {"units": "K"})},
        {
            "time": xr.date_range("2000-01-01", periods=3),
            "lat": (dim, random.uniform(-90, 90, size), {"units": "degrees_north"}),
            "lon": (dim, random.uniform(0, 360, size), {"units": "degrees_east"}),
        },
        attributes,
    )
    message = rf"tas is a list of {size} cells along '{dim}' \(a grid of the kind {kind}\).*regrid it"
    with pytest.raises(DataError, match=message):
        open_climate(file)
    if size > 100:
        with pytest.raises(DataError, match=message):
            open_climate(file.drop_vars(["lat", "lon"]), "tas")


@pytest.mark.parametrize("names", [("lat", "lon"), ("latitude", "longitude")])
@pytest.mark.parametrize("described", [True, False])
def test_a_latitude_in_degrees_east_is_refused(names, described):
    file = archive().rename(lat=names[0], lon=names[1])
    for name, standard, units in zip(names, ("latitude", "longitude"), ("degrees_east", "degrees_north"), strict=True):
        file[name].attrs = {"units": units} | ({"standard_name": standard} if described else {})
    with pytest.raises(DataError, match=r"is a (latitude|longitude) by its name and a .* by its units, 'degrees_"):
        open_climate(file)


def reduced(n_rings: int, size: int) -> xr.Dataset:
    """Cells on parallels."""
    lat = np.repeat(np.linspace(-75.0, 75.0, n_rings), -(-size // n_rings))[:size]
    return xr.Dataset(
        {"t2m": (("time", "values"), np.full((3, size), 280.0), {"units": "K"})},
        {
            "time": xr.date_range("2000-01-01", periods=3),
            "lat": ("values", lat, {"units": "degrees_north"}),
            "lon": ("values", np.linspace(0.0, 359.0, size), {"units": "degrees_east"}),
        },
    )


@pytest.mark.parametrize(
    ("rings", "grid_type", "kind"),
    [(6, "", "reduced Gaussian"), (15, "", "HEALPix"), (15, "reduced_gg", "reduced Gaussian")],
)
def test_192_cells_are_of_the_kind_whose_parallels_they_lie_on(rings, grid_type, kind):
    file = reduced(rings, 192)  # 12 · 4²: HEALPix has 4 · 4 − 1 parallels
    file.t2m.attrs["GRIB_gridType"] = grid_type
    with pytest.raises(DataError, match=rf"a list of 192 cells along 'values' \(a grid of the kind {kind}\)"):
        open_climate(file)


@pytest.mark.parametrize("dim", ["model", "gcm", "quantile"])
def test_what_is_no_level_is_not_called_one(dim):
    file = xr.concat([archive(), archive(seed=1)], dim)
    with pytest.raises(DataError, match=rf"tas has 2 entries along the dimension '{dim}'; choose one"):
        open_climate(file)
    assert open_climate(file.rename({dim: "realization"})).sizes["realization"] == 2  # as is advised
    with pytest.raises(DataError, match="tas has 2 levels along 'plev'; choose one"):
        open_climate(file.rename({dim: "plev"}))
