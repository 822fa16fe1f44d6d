"""Fields in groups, of NetCDF and Zarr: read where one group holds some, and named where several do."""

import numpy as np
import pytest
import xarray as xr

from subgrid.data.canonical import open_climate
from subgrid.data.fields import DataError, open_field
from subgrid.data.sources.sources import read_sources

from ..climate_files import archive


def write(dataset, path, group, mode="a"):
    if path.suffix == ".zarr":
        dataset.to_zarr(path, group=group, mode=mode, consolidated=False)
    else:
        dataset.to_netcdf(path, group=group, mode=mode if path.exists() else "w")


@pytest.mark.parametrize("name", ["imerg.HDF5", "fine.nc", "fine.zarr"])
def test_everything_in_one_group(name, tmp_path):
    dataset, path = archive(), tmp_path / name
    write(dataset, path, "Grid/Inner")
    write(xr.Dataset({"weights": ("band", [0.3, 0.7])}), path, "Other")
    [opened] = read_sources(path, name="fine")
    assert opened.notes == ("read from its group 'Grid/Inner', the only one that holds fields",)
    np.testing.assert_array_equal(open_climate(path).tas, dataset.tas)
    np.testing.assert_array_equal(open_field(path, "tas"), dataset.tas)


@pytest.mark.parametrize("name", ["fine.nc", "fine.zarr"])
def test_several_groups(name, tmp_path):
    path = tmp_path / name
    one, other = archive(seed=1), archive(seed=2)
    write(one, path, "day")
    write(other, path, "month")
    with pytest.raises(DataError, match=r"its fields are in several groups, .*day \(tas\)") as error:
        open_field(path)
    advised = str(error.value).split("as in '")[1].removesuffix("'.")
    np.testing.assert_array_equal(open_field(advised), (one if advised.endswith("day") else other).tas)
    np.testing.assert_array_equal(open_climate(f"{path}#month").tas, other.tas)
    np.testing.assert_array_equal(open_climate([f"{path}#/day"]).tas, one.tas)
    with pytest.raises(DataError, match="holds no such group; leave out '#'"):
        open_field(f"{path}#year")


def test_coordinates_of_the_groups_around(tmp_path):
    """NetCDF lets a group use the dimensions and coordinates of its parents."""
    import netCDF4

    dataset, path = archive(), tmp_path / "fine.nc"
    dataset.drop_vars("tas").to_netcdf(path)
    with netCDF4.Dataset(path, "a") as file:
        held = file.createGroup("Grid").createVariable("tas", "f4", ("time", "lat", "lon"))
        held[:] = dataset.tas.values
        held.units = "K"
    opened = open_climate(path)
    np.testing.assert_array_equal(opened.tas, dataset.tas)
    np.testing.assert_array_equal(opened.time, dataset.time)


def test_a_hash_in_a_name_is_no_group(tmp_path):
    dataset = archive()
    dataset.to_netcdf(tmp_path / "run#3.nc")
    np.testing.assert_array_equal(open_climate(tmp_path / "run#3.nc").tas, dataset.tas)
    np.testing.assert_array_equal(open_climate(str(tmp_path / "*#3.nc")).tas, dataset.tas)


def test_the_root_is_read_where_it_holds_fields(tmp_path):
    dataset, path = archive(), tmp_path / "fine.nc"
    write(dataset, path, None)
    write(archive(seed=3), path, "quality")
    [opened] = read_sources(path, name="fine")
    assert opened.notes == ()
    np.testing.assert_array_equal(opened.dataset.tas, dataset.tas)


def test_a_file_without_variables(tmp_path):
    for name in ("a.nc", "a.zarr"):
        write(xr.Dataset(attrs={"title": "begun"}), tmp_path / name, None, "w")
        with pytest.raises(DataError, match=f"{name}: holds no variable at all; its writing did not end"):
            open_field(tmp_path / name)
