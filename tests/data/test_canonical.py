"""The front door on real files: quirks of CMIP5, E-OBS, ERA5 and ANUSPLIN as they are."""

import netCDF4
import numpy as np
import pytest
import xarray as xr

from subgrid.data.canonical import check_climate, open_climate, valid_mask
from subgrid.data.fields import DataError
from subgrid.data.times.calendars import calendar_of, season_years, split_by_parity

from .climate_files import DATA, archive, needs_data


def raw(path, variable: str) -> np.ma.MaskedArray:
    with netCDF4.Dataset(path) as file:
        return file[variable][:]


@needs_data
def test_iberia_coarse_two_variables_and_two_periods():
    folder = DATA / "iberia"
    found = check_climate(open_climate(str(folder / "CMIP5_Iberia_*.nc"), ["tas", "pr"]))
    assert found.tas.shape == found.pr.shape == (1805 + 1804, 8, 11)
    assert found.tas.attrs["units"] == "K" and found.pr.attrs["units"] == "mm day-1"
    np.testing.assert_array_equal(found.tas[:1805], raw(folder / "CMIP5_Iberia_tas.nc", "tas"))
    rain = raw(folder / "CMIP5_Iberia_pr.rcp85.nc", "pr").astype(np.float64) * 86_400
    np.testing.assert_allclose(found.pr[1805:], rain, rtol=1e-6)  # float32
    assert set(season_years(found.time)) == {*range(1983, 2003), *range(2081, 2101)}
    assert found.chunks and found.tas.dtype == np.float32


@needs_data
def test_iberia_fine_land_mask_and_the_gaps_of_precipitation():
    folder = DATA / "iberia"
    fine = open_climate([folder / "EOBS_Iberia_tas.nc", folder / "EOBS_Iberia_pr.nc"], name="fine")
    celsius = raw(folder / "EOBS_Iberia_tas.nc", "tas")
    np.testing.assert_allclose(fine.tas.values, celsius.filled(np.nan) + 273.15, rtol=1e-6)
    with pytest.raises(DataError, match=r"EOBS_Iberia_pr\.nc: pr has no value .* time = 1984-12-20.*4 such cells"):
        check_climate(fine)
    assert int(valid_mask(check_climate(fine[["tas"]])).sum()) == 330  # the count of the data's description
    masked = check_climate(fine, gaps="mask")
    missing = np.ma.getmaskarray(raw(folder / "EOBS_Iberia_pr.nc", "pr")).any(0)
    np.testing.assert_array_equal(valid_mask(masked), ~missing & ~np.ma.getmaskarray(celsius).any(0))
    odd, even = split_by_parity(masked)
    assert odd.sizes["time"] + even.sizes["time"] == 1805
    assert set(season_years(even.time)) == set(range(1984, 2003, 2))


@needs_data
def test_orography_without_time_descending_with_a_scalar_time():
    path = DATA / "iberia" / "ERA5_orog_0p25.nc"
    found = check_climate(open_climate(path))
    assert found.orog.dims == ("lat", "lon")
    assert found.lat.values[0] == 33.0
    np.testing.assert_array_equal(found.orog, raw(path, "orog")[::-1])


@needs_data
def test_climdown_noleap_against_standard():
    coarse = check_climate(open_climate(DATA / "climdown" / "tiny_gcm.nc"))
    fine = check_climate(open_climate(DATA / "climdown" / "tiny_obs.nc"))
    assert calendar_of(coarse.time) == "noleap"
    assert coarse.sizes["time"] == 3651 and fine.sizes["time"] == 751
    np.testing.assert_allclose(coarse.lon, np.array([264.375, 267.1875, 270.0, 272.8125]) - 360)
    np.testing.assert_allclose(coarse.lon_bnds[0], [262.96875 - 360, 265.78125 - 360])
    np.testing.assert_array_equal(coarse.tasmax, raw(DATA / "climdown" / "tiny_gcm.nc", "tasmax"))
    assert int((~valid_mask(fine)).sum()) == 67
    assert "nb2" not in coarse.dims


def test_canonical_data_pass_unchanged(tmp_path):
    """Opening twice changes nothing; and what was opened can be written and opened again."""
    opened = open_climate(archive("pr"))
    again = open_climate(opened)
    xr.testing.assert_identical(again.load(), opened.load())
    opened.to_netcdf(tmp_path / "again.nc")
    opened.to_zarr(tmp_path / "again.zarr")
    for path in ("again.nc", "again.zarr"):
        xr.testing.assert_equal(open_climate(tmp_path / path).load(), opened)


def test_variables_are_chosen_ordered_and_renamed():
    both = archive("tas").merge(archive("pr")).rename(tas="tg")
    assert list(open_climate(both).data_vars) == ["tg", "pr"]
    assert list(open_climate(both, "pr").data_vars) == ["pr"]
    renamed = open_climate(both, {"pr": "pr", "tas": "tg"})
    assert list(renamed.data_vars) == ["pr", "tas"]
    np.testing.assert_array_equal(renamed.tas, both.tg)


def test_packed_integers_are_unpacked(tmp_path):
    file = archive()
    file.to_netcdf(tmp_path / "f.nc", encoding={"tas": {"dtype": "i2", "scale_factor": 0.01, "add_offset": 280.0}})
    found = open_climate(tmp_path / "f.nc").tas
    # Packing rounds to 0.01 K.
    np.testing.assert_allclose(found, file.tas, atol=0.0051)


def test_opening_reads_a_few_times_only(tmp_path):
    """A damaged chunk in the middle of nowhere does not hinder opening; checking finds it."""
    file = archive(n_times=101)
    file.to_zarr(tmp_path / "f.zarr", encoding={"tas": {"chunks": (1, 4, 5)}})
    (tmp_path / "f.zarr" / "tas" / "c" / "33" / "0" / "0").write_bytes(b"broken")
    large = xr.open_zarr(tmp_path / "f.zarr")  # dask chunks of one time
    opened = open_climate(large)
    with pytest.raises(DataError, match="coarse: tas cannot be read"):
        check_climate(opened)
