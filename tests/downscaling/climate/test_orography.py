"""Orography out of static files: found for what it is, in metres, right on the fine grid."""

import numpy as np
import pytest
import xarray as xr

from subgrid.data.canonical import open_climate
from subgrid.data.fields import DataError
from subgrid.downscaling.climate.orography import orography_in_words, orography_variable, static_predictors

LAT, LON = np.arange(38.25, 54.0, 0.5), np.arange(-1.75, 18.0, 0.5)
AXES = {"lat": ("lat", LAT, {"units": "degrees_north"}), "lon": ("lon", LON, {"units": "degrees_east"})}
HEIGHT = 100 * (LAT[:, None] - 38) + 10 * LON
MASK = (("lat", "lon"), (HEIGHT > 800).astype("f4"), {"units": "1", "standard_name": "land_binary_mask"})


def static(**variables) -> xr.Dataset:
    """A file with a land mask first."""
    return xr.Dataset({"lsm": MASK, **variables}, AXES)


def field(values=HEIGHT, units="m", **attributes):
    return ("lat", "lon"), np.asarray(values, "f4"), ({} if units is None else {"units": units}) | attributes


def fine_grid() -> xr.Dataset:
    lat, lon = np.arange(41.0, 51.0), np.arange(1.0, 15.0)  # each of four cells of the file
    axes = {"lat": ("lat", lat, {"units": "degrees_north"}), "lon": ("lon", lon, {"units": "degrees_east"})}
    time = {"time": xr.date_range("2000-01-01", periods=2)}
    return open_climate(
        xr.Dataset({"tas": (("time", "lat", "lon"), np.full((2, 10, 14), 280.0), {"units": "K"})}, axes | time)
    )


FINE = fine_grid()
EXPECTED = 100 * (FINE.lat.values[:, None] - 38) + 10 * FINE.lon.values


@pytest.mark.parametrize(
    ("name", "variable"),
    [
        ("surface", field(standard_name="surface_altitude")),
        *((name, field()) for name in ("orog", "topo", "elevation", "z", "hgt", "HSURF", "HGT_M")),
        ("anything", field()),
        ("orog", field(units=None)),
        ("orog", field(HEIGHT / 1000, "km")),
        ("z", field(HEIGHT * 9.80665, "m**2 s**-2", standard_name="geopotential")),
        ("phis", field(HEIGHT * 9.80665, "m2 s-2", standard_name="surface_geopotential")),
    ],
)
def test_heights_are_found_behind_a_land_mask_and_become_metres(name, variable):
    found = static_predictors(static(**{name: variable}), FINE)
    # Means over four cells of a plane, areas by latitude: the sine bends by h² tan φ / 8, .1 m for half a degree.
    np.testing.assert_allclose(found, EXPECTED[None], atol=0.2)


def test_the_standard_name_wins_over_names_and_names_over_units():
    assert orography_variable(static(orog=field(), surface=field(standard_name="surface_altitude"))) == "surface"
    assert orography_variable(static(roughness=field(), orog=field())) == "orog"


def test_it_is_said_which_variable_serves_and_why(tmp_path):
    static(orog=field(), surface=field(standard_name="surface_altitude")).to_netcdf(tmp_path / "static.nc")
    said = orography_in_words(tmp_path / "static.nc")
    assert said == "surface of static.nc by its standard name surface_altitude"
    assert orography_in_words(tmp_path / "static.nc", "orog") == "orog of static.nc as it was asked for"
    assert orography_in_words(static(roughness=field(), orog=field())) == "orog of orography by its name"
    assert orography_in_words(static(anything=field())) == "anything of orography by its units m"


def test_a_name_that_is_given_is_taken():
    file = static(orog=field(), deviation=field(0 * HEIGHT + 5))
    np.testing.assert_allclose(static_predictors(file, FINE, variable="deviation"), 5.0, rtol=1e-5)
    with pytest.raises(DataError, match=r"no variable 'height' for the orography; there are: lsm .*, orog \(m\)"):
        static_predictors(file, FINE, variable="height")


def test_what_cannot_be_told_is_refused_and_the_advice_works():
    with pytest.raises(DataError, match=r"orog and hgt may each be the orography.*orography_variable = 'orog'"):
        static_predictors(static(orog=field(), hgt=field()), FINE)
    np.testing.assert_allclose(
        static_predictors(static(orog=field(), hgt=field()), FINE, variable="orog"), EXPECTED[None], atol=0.2
    )
    with pytest.raises(DataError, match=r"no orography, which is known by its standard name .*there are: lsm"):
        static_predictors(static(), FINE)
    with pytest.raises(DataError, match="lsm is in '%', which is neither a height nor a geopotential"):
        static_predictors(static(), FINE, variable="lsm")


def test_the_sea_is_zero_and_does_not_spread():
    values = np.where(LON < 5.0, np.nan, HEIGHT)
    found = static_predictors(static(orog=field(values)), FINE)[0]
    np.testing.assert_array_equal(found[:, FINE.lon.values < 4.6], 0.0)
    np.testing.assert_allclose(found[:, FINE.lon.values > 5.6], EXPECTED[:, FINE.lon.values > 5.6], atol=0.2)


def test_a_coarser_file_is_interpolated_and_one_that_is_too_small_refused():
    coarse = static(orog=field()).isel(lat=slice(None, None, 5), lon=slice(None, None, 5))
    np.testing.assert_allclose(static_predictors(coarse, FINE), EXPECTED[None], atol=0.1)
    small = static(orog=field()).sel(lon=slice(2.6, 18.0))
    with pytest.raises(DataError, match=r"orography: it covers .*, and 14\.3 % of the fine cells .* lie outside"):
        static_predictors(small, FINE)
