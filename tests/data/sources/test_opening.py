"""Opening by content: wrong suffixes, Zarr in zip archives, stores half written, files cut short."""

import shutil
import zipfile

import numpy as np
import pytest
import xarray as xr
import zarr

from subgrid.data.canonical import check_climate, open_climate
from subgrid.data.fields import DataError, open_field
from subgrid.data.sources.sources import expand, read_sources

from ..climate_files import archive


@pytest.fixture
def dataset():
    return archive(n_times=6)


@pytest.mark.parametrize("format", ["NETCDF4", "NETCDF3_CLASSIC", "NETCDF3_64BIT", "NETCDF3_64BIT_DATA"])
@pytest.mark.parametrize("name", ["fine.dat", "fine.HDF5", "fine", "fine.grib"])
def test_the_content_counts_and_not_the_suffix(dataset, format, name, tmp_path):
    dataset.to_netcdf(tmp_path / name, format=format, engine="netcdf4")
    np.testing.assert_array_equal(open_climate(tmp_path / name).tas, dataset.tas)
    np.testing.assert_array_equal(open_climate(tmp_path).tas, dataset.tas)  # inside a folder too
    np.testing.assert_array_equal(open_field(tmp_path / name), dataset.tas)


def test_what_a_folder_holds_beside(dataset, tmp_path):
    """Other files that may hold fields are said to be left out; texts and hidden files are not."""
    dataset.to_netcdf(tmp_path / "fine.h5")
    (tmp_path / "old.grib").write_bytes(b"GRIB" + bytes(20))
    (tmp_path / "README.txt").write_text("daily means\n")
    (tmp_path / "._fine.nc").write_bytes(b"\x00\x05\x16\x07")  # of a Mac
    [opened] = read_sources(tmp_path, name="fine")
    assert opened.notes == (f"{tmp_path}: not read are old.grib (GRIB)",)
    (tmp_path / "fine.h5").unlink()
    with pytest.raises(DataError, match=r"holds no NetCDF file .* or Zarr store, but old\.grib \(GRIB\)\."):
        list(expand(tmp_path))


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("inside", ["", "fine.zarr/"])
def test_zarr_in_a_zip_archive_is_read_where_it_is(dataset, zarr_format, inside, tmp_path):
    dataset.to_zarr(tmp_path / "fine.zarr", zarr_format=zarr_format)
    packed = tmp_path / "archives" / "fine.zarr.zip"
    packed.parent.mkdir()
    with zipfile.ZipFile(packed, "w") as bundle:
        for file in (f for f in (tmp_path / "fine.zarr").rglob("*") if f.is_file()):
            bundle.write(file, inside + str(file.relative_to(tmp_path / "fine.zarr")))
    [opened] = read_sources(packed, name="fine")
    assert opened.notes == ("Zarr in a zip archive, read where it is",)
    assert type(opened.dataset.tas.variable._data).__name__ != "ndarray"  # nothing is read yet
    for way in (packed, packed.parent):
        np.testing.assert_array_equal(check_climate(open_climate(way)).tas, dataset.tas)
    np.testing.assert_array_equal(open_field(packed), dataset.tas)


def test_objects_in_a_zip_archive_are_refused(dataset, tmp_path):
    dataset.to_zarr(tmp_path / "fine.zarr", zarr_format=2, consolidated=False)
    metadata = tmp_path / "fine.zarr" / "tas" / ".zarray"
    metadata.write_text('{"dtype": "|O", "filters": [{"id": "pickle"}], "zarr_format": 2}')
    shutil.make_archive(str(tmp_path / "fine.zarr"), "zip", tmp_path / "fine.zarr")
    for path in (tmp_path / "fine.zarr", tmp_path / "fine.zarr.zip"):
        with pytest.raises(DataError, match=r"fine\.zarr(\.zip)?: tas is an array of Python objects"):
            open_field(path)


def test_objects_deep_in_groups_are_refused(dataset, tmp_path):
    dataset.to_zarr(tmp_path / "fine.zarr", group="a/b", zarr_format=2, consolidated=False)
    metadata = tmp_path / "fine.zarr" / "a" / "b" / "tas" / ".zarray"
    metadata.write_text('{"dtype": "|O", "filters": [{"id": "pickle"}], "zarr_format": 2}')
    with pytest.raises(DataError, match="is an array of Python objects"):
        open_field(tmp_path / "fine.zarr")


def test_stores_half_written(dataset, tmp_path):
    dataset.to_zarr(tmp_path / "fine.zarr", consolidated=False)
    (tmp_path / "fine.zarr" / "zarr.json").unlink()
    with pytest.raises(DataError, match=r"fine\.zarr: is a folder without the metadata of a Zarr store .* again"):
        open_field(tmp_path / "fine.zarr")
    (tmp_path / "fine.zarr" / "tas" / "zarr.json").rename(tmp_path / "fine.zarr" / "zarr.json")
    with pytest.raises(DataError, match=r"fine\.zarr: is a single Zarr array"):
        open_field(tmp_path / "fine.zarr")


def test_arrays_that_do_not_name_their_dimensions(tmp_path):
    for zarr_format in (2, 3):
        path = tmp_path / f"{zarr_format}.zarr"
        zarr.open_group(path, mode="w", zarr_format=zarr_format).create_array("u", data=np.zeros((2, 3)))
        with pytest.raises(DataError, match="is Zarr whose arrays do not name their dimensions; write it with xarray"):
            open_field(path)


def test_icechunk_is_named(tmp_path):
    for name in ("refs", "snapshots", "manifests", "chunks"):
        (tmp_path / "fine.zarr" / name).mkdir(parents=True)
    with pytest.raises(DataError, match=r"fine\.zarr: is a repository of Icechunk"):
        open_field(tmp_path / "fine.zarr")


def test_no_words_of_a_library(dataset, tmp_path):
    dataset.to_netcdf(tmp_path / "whole.nc")
    content = (tmp_path / "whole.nc").read_bytes()
    (tmp_path / "cut.nc").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError) as error:
        open_field(tmp_path / "cut.nc")
    assert str(error.value) == (
        f"{tmp_path}/cut.nc: cannot be read as NetCDF; it was cut short or is damaged: fetch or write it again."
    )


def test_several_fill_values_are_no_warning(recwarn):
    values = xr.Variable(("time", "x"), np.array([[1.0, -9999.0]], "f4"), {"_FillValue": np.float32(1e20)})
    values.attrs["missing_value"] = np.float32(-9999)
    [opened] = read_sources(xr.Dataset({"u": values}), name="fine")
    assert np.isnan(opened.dataset.u.values[0, 1]) and not recwarn.list
