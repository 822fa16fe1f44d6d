"""Bilinear interpolation: exact on planes, xarray's numbers, renormalised beside missing cells."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from subgrid.downscaling.interpolation.linear import bilinear

LAT_C, LON_C = np.arange(34.0, 45.0, 1.4), np.arange(-10.0, 5.0, 1.4)
LAT, LON = np.arange(35.25, 43.0, 0.5), np.arange(-9.75, 3.5, 0.5)


def plane(lat, lon):
    return 3.0 + 0.5 * lat[:, None] - 0.2 * lon + 0.1 * lat[:, None] * lon


def test_bilinear_functions_are_reproduced():
    interpolate = bilinear(LAT_C, LON_C, LAT, LON)
    assert interpolate.inside.all()
    np.testing.assert_allclose(interpolate(plane(LAT_C, LON_C)), plane(LAT, LON), rtol=1e-5)


def test_agrees_with_xarray_on_series_of_channels():
    xr = pytest.importorskip("xarray")
    fields = np.random.default_rng(0).normal(size=(3, 2, LAT_C.size, LON_C.size)).astype(np.float32)
    data = xr.DataArray(fields, dims=("time", "channel", "lat", "lon"), coords={"lat": LAT_C, "lon": LON_C})
    expected = data.interp(lat=LAT, lon=LON, method="linear")
    np.testing.assert_allclose(bilinear(LAT_C, LON_C, LAT, LON)(fields), expected, atol=1e-5)


def test_curvilinear_grids_and_the_outside():
    lat, lon = np.array([[36.0, 50.0], [40.3, 30.0]]), np.array([[0.0, 1.0], [-3.3, -20.0]])
    interpolate = bilinear(LAT_C, LON_C, lat, lon)
    np.testing.assert_array_equal(interpolate.inside, [[True, False], [True, False]])
    found = interpolate(plane(LAT_C, LON_C))
    held_lat, held_lon = np.clip(lat, LAT_C[0], LAT_C[-1]), np.clip(lon, LON_C[0], LON_C[-1])
    expected = [plane(np.array([a]), np.array([b]))[0, 0] for a, b in zip(held_lat.flat, held_lon.flat, strict=True)]
    np.testing.assert_allclose(found.ravel(), expected, rtol=1e-5)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.booleans(), min_size=LAT_C.size * LON_C.size, max_size=LAT_C.size * LON_C.size))
def test_missing_cells_take_no_part_and_constants_stay(flags):
    valid = np.array(flags).reshape(LAT_C.size, LON_C.size)
    if not valid.any():
        with pytest.raises(ValueError, match="no coarse cell"):
            bilinear(LAT_C, LON_C, LAT, LON, valid=valid)
        return
    interpolate = bilinear(LAT_C, LON_C, LAT, LON, valid=valid)
    np.testing.assert_allclose(interpolate(np.where(valid, 7.0, np.nan)), 7.0, rtol=1e-6)
    assert interpolate.weights.min() >= 0


def test_a_lonely_cell_reaches_everywhere_and_the_nearest_wins():
    valid = np.zeros((LAT_C.size, LON_C.size), bool)
    valid[0, 0] = valid[-1, -1] = True
    found = bilinear(LAT_C, LON_C, LAT, LON, valid=valid)(np.where(valid, [[1.0]], np.nan) * plane(LAT_C, LON_C))
    corner = plane(LAT_C, LON_C)
    np.testing.assert_allclose([found[0, 0], found[-1, -1]], [corner[0, 0], corner[-1, -1]], rtol=1e-6)


def test_bad_input_is_explained():
    with pytest.raises(ValueError, match="coarse_lat must rise"):
        bilinear(LAT_C[::-1], LON_C, LAT, LON)
    with pytest.raises(ValueError, match="both have one axis, or both two"):
        bilinear(LAT_C, LON_C, LAT, np.zeros((2, 2)))
    with pytest.raises(ValueError, match=r"must end in the grid \(8, 11\)"):
        bilinear(LAT_C, LON_C, LAT, LON)(np.zeros((3, 4, 4)))
