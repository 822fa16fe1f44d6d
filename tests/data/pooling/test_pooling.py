"""Many files as one archive: members, periods and variables."""

import numpy as np
import pytest
import xarray as xr

from subgrid.data.canonical import open_climate
from subgrid.data.fields import DataError
from subgrid.data.pooling.pooling import member_label, pooled

from ..climate_files import archive


def write(folder, **files: xr.Dataset):
    for name, dataset in files.items():
        dataset.to_netcdf(folder / f"{name}.nc")
    return folder


def test_variables_meet_at_their_common_times(tmp_path):
    tas, pr = archive("tas", n_times=6), archive("pr", n_times=9, start="2001-01-01")
    found = open_climate(write(tmp_path, tas=tas, pr=pr), ["tas", "pr"])
    assert list(found.data_vars) == ["tas", "pr"]
    assert list(open_climate(tmp_path, ["pr", "tas"]).data_vars) == ["pr", "tas"]
    common = np.intersect1d(tas.time, pr.time)
    np.testing.assert_array_equal(found.time, common)
    np.testing.assert_array_equal(found.pr, pr.pr.sel(time=common))


def test_daily_series_of_different_hours_meet(tmp_path):
    tas, pr = archive("tas"), archive("pr")
    found = open_climate(write(tmp_path, tas=tas, pr=pr.assign_coords(time=pr.time + np.timedelta64(12, "h"))))
    assert found.sizes["time"] == tas.sizes["time"]


def test_periods_follow_each_other_in_any_order_of_names(tmp_path):
    whole = archive(n_times=10)
    found = open_climate(write(tmp_path, b=whole.isel(time=slice(0, 4)), a=whole.isel(time=slice(4, None))))
    xr.testing.assert_equal(found.tas.load(), whole.tas)


def test_members_by_name_by_dimension_and_by_equal_times(tmp_path):
    one, two = archive(seed=1), archive(seed=2)
    by_name = open_climate(write(tmp_path, tas_r1i1p1=one, tas_r2i1p1=two))
    assert list(by_name.realization.values) == ["r1i1p1", "r2i1p1"]
    by_times = open_climate([one, two])
    by_dim = open_climate(xr.concat([one, two], "number").assign_coords(number=[3, 7]))
    assert list(by_dim.realization.values) == [3, 7]
    for found in (by_name, by_times, by_dim):
        assert found.tas.dims == ("realization", "time", "lat", "lon")
        np.testing.assert_array_equal(found.tas.values, np.stack([one.tas, two.tas]))


def test_members_of_unequal_lengths(tmp_path):
    one, two = archive(seed=1, n_times=8), archive(seed=2, n_times=5)
    found = open_climate(write(tmp_path, tas_r1i1p1=one, tas_r2i1p1=two))
    np.testing.assert_array_equal(found.available.values, [[True] * 8, [True] * 5 + [False] * 3])
    samples = pooled(found)
    np.testing.assert_array_equal(samples.tas.values, np.concatenate([one.tas, two.tas]))
    assert list(samples.realization.values) == ["r1i1p1"] * 8 + ["r2i1p1"] * 5
    assert pooled(one) is one


def test_label_of_a_member():
    assert member_label("a/tas_r3i1p1f2_x.nc", xr.Dataset()) == "r3i1p1f2"
    assert member_label("a/r3i1p1/tas.nc", xr.Dataset()) is None
    assert member_label("tas.nc", xr.Dataset(attrs={"source": "CNRM-CM5 historical r1i1p1"})) == "r1i1p1"


def test_the_last_digits_of_coordinates_do_not_matter(tmp_path):
    tas, pr = archive("tas"), archive("pr")
    rounded = pr.assign_coords(lat=pr.lat.astype(np.float32), lon=("lon", pr.lon.values + 1e-6, pr.lon.attrs))
    found = open_climate(write(tmp_path, tas=tas, pr=rounded))
    assert found.sizes["lon"] == tas.sizes["lon"]


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (archive("pr", lat=np.linspace(30, 36, 4)), r"a\.nc and .*b\.nc have different grids \(4 lat from"),
        (archive("pr", calendar="noleap"), r"a\.nc has the calendar proleptic_gregorian and .*b\.nc noleap"),
        (archive("pr", start="1990-01-01"), "tas, pr have no time in common"),
        (archive("tas", start="2001-01-02"), r"both hold tas at time = 2001-01-02 \(3 such times\); cut one of"),
    ],
)
def test_files_that_do_not_go_together(tmp_path, other, message):
    with pytest.raises(DataError, match=message):
        open_climate(write(tmp_path, a=archive("tas"), b=other))


def test_two_models_of_one_member_are_not_told_to_name_it(tmp_path):
    files = write(tmp_path, tas_A_r1i1p1f1=archive("tas"), tas_B_r1i1p1f1=archive("tas", seed=1))
    with pytest.raises(DataError) as refused:
        open_climate(files)
    assert "both name the member r1i1p1f1: cut one of them, or, if they are of two models, take each" in str(
        refused.value
    )
    assert "put r1i1p1" not in str(refused.value) and "00:00" not in str(refused.value)


def test_static_files_twice(tmp_path):
    orography = archive(n_times=1).isel(time=0, drop=True)
    with pytest.raises(DataError, match="both hold tas without a time"):
        open_climate(write(tmp_path, a=orography, b=orography))
