"""Reading: every way to name an archive, and every way for a file to be broken."""

import json

import numpy as np
import pytest
import xarray as xr
import zarr

from subgrid.data.canonical import check_climate, open_climate
from subgrid.data.fields import DataError
from subgrid.data.sources.sources import expand, read_sources

from ..climate_files import archive


@pytest.fixture
def dataset():
    return archive(n_times=40, lat=np.linspace(36, 42, 20), lon=np.linspace(-9, 3, 20))


def test_every_way_to_name_an_archive(dataset, tmp_path):
    first, second = dataset.isel(time=slice(0, 20)), dataset.isel(time=slice(20, None))
    first.to_netcdf(tmp_path / "a.nc")
    second.to_zarr(tmp_path / "b.zarr")
    ways = [
        tmp_path,
        str(tmp_path / "*"),
        [tmp_path / "a.nc", str(tmp_path / "b.zarr")],
        [first, tmp_path / "b.zarr"],
        [tmp_path, tmp_path / "a.nc"],
        dataset,
    ]
    for way in ways:
        np.testing.assert_array_equal(open_climate(way).tas.values, dataset.tas.values)


def test_what_is_not_there(tmp_path):
    for source, message in [
        (tmp_path / "gone.nc", r"gone\.nc: no such file or store"),
        (str(tmp_path / "tas_*.nc"), r"tas_\*\.nc: no file matches; check the folder"),
        (tmp_path, "this folder is no Zarr store and holds no NetCDF file"),
    ]:
        with pytest.raises(DataError, match=message):
            list(expand(source))
    with pytest.raises(DataError, match="coarse: no files given"):
        read_sources([], name="coarse")


@pytest.mark.parametrize("array", [np.zeros((4, 2, 3)), xr.DataArray(np.zeros((4, 2, 3)))])
def test_an_array_alone_has_no_names(array):
    with pytest.raises(DataError, match="archives are paths, URLs or xarray Datasets, and this is an array; give its"):
        list(expand(array))


@pytest.mark.parametrize("format", ["NETCDF4", "NETCDF3_CLASSIC", "NETCDF3_64BIT"])
@pytest.mark.parametrize("part", [0.5, 0.95])
def test_truncated_netcdf(dataset, tmp_path, format, part):
    """The NetCDF library itself reads a classic file that was cut short without any complaint."""
    path = tmp_path / "tas.nc"
    dataset.to_netcdf(path, format=format, unlimited_dims=["time"])
    assert open_climate(path).tas.size == dataset.tas.size
    whole = path.read_bytes()
    cut = tmp_path / "cut.nc"
    cut.write_bytes(whole[: int(len(whole) * part)])
    with pytest.raises(DataError, match=r"cut\.nc: .*(cannot be read as NetCDF|ends before its header says).* again\."):
        check_climate(open_climate(cut))


def test_damaged_netcdf_chunk(dataset, tmp_path):
    path = tmp_path / "tas.nc"
    dataset.to_netcdf(path, encoding={"tas": {"zlib": True, "fletcher32": True, "chunksizes": (10, 20, 20)}})
    broken = bytearray(path.read_bytes())
    broken[len(broken) // 2 : len(broken) // 2 + 400] = bytes(400)
    path.write_bytes(broken)
    with pytest.raises(DataError, match=r"tas\.nc: tas cannot be read between .* the file is damaged"):
        check_climate(open_climate(path))


def test_corrupt_zarr_chunk(dataset, tmp_path):
    path = tmp_path / "tas.zarr"
    dataset.to_zarr(path, encoding={"tas": {"chunks": (10, 20, 20)}})
    chunk = path / "tas" / "c" / "2" / "0" / "0"
    chunk.write_bytes(chunk.read_bytes()[:100])
    with pytest.raises(DataError, match=r"tas\.zarr: tas cannot be read between 2000-12-30 .* the file is damaged"):
        check_climate(open_climate(path))


def test_missing_zarr_chunk_is_a_time_without_values(dataset, tmp_path):
    path = tmp_path / "tas.zarr"
    dataset.to_zarr(path, encoding={"tas": {"chunks": (10, 20, 20)}})
    (path / "tas" / "c" / "2" / "0" / "0").unlink()
    with pytest.raises(DataError, match=r"tas\.zarr: tas has no value \(NaN\) anywhere at time = 2001-01-19 \(10 such"):
        check_climate(open_climate(path))


def test_unreadable_zarr_metadata(dataset, tmp_path):
    path = tmp_path / "tas.zarr"
    dataset.to_zarr(path)
    (path / "zarr.json").write_text("{")
    with pytest.raises(DataError, match="the metadata of the Zarr store cannot be read"):
        open_climate(path)


class Bomb:
    def __reduce__(self):
        return exec, ("raise SystemExit('pickle was loaded')",)


@pytest.mark.parametrize("consolidated", [False, True])
def test_objects_in_zarr_are_refused(dataset, tmp_path, consolidated):
    """A Zarr 2 array of objects holds pickles, which run code when read; its metadata alone give it away."""
    path = tmp_path / "tas.zarr"
    dataset.to_zarr(path, zarr_format=2, consolidated=consolidated)
    metadata = json.loads((path / "tas" / ".zarray").read_text())
    metadata |= {"dtype": "|O", "filters": [{"id": "pickle", "protocol": 5}], "fill_value": None}
    if consolidated:
        whole = json.loads((path / ".zmetadata").read_text())
        whole["metadata"]["tas/.zarray"] = metadata
        (path / ".zmetadata").write_text(json.dumps(whole))
    else:
        (path / "tas" / ".zarray").write_text(json.dumps(metadata))
    with pytest.raises(DataError, match=r"tas\.zarr: .* is an array of Python objects, which could run code"):
        open_climate(path)


def test_texts_in_zarr_are_read(dataset, tmp_path):
    """Zarr 2 keeps texts of any length as objects behind vlen-utf8, which is no pickle."""
    labelled = dataset.expand_dims(member=np.array(["r1", "r22"], dtype=object))
    labelled.to_zarr(tmp_path / "tas.zarr", zarr_format=2)
    assert zarr.open(tmp_path / "tas.zarr", mode="r").metadata.zarr_format == 2
    assert list(open_climate(tmp_path / "tas.zarr").realization.values) == ["r1", "r22"]


def test_unknown_calendar_and_time_units(dataset, tmp_path):
    path = tmp_path / "tas.nc"
    numbers = dataset.assign_coords(time=np.arange(40.0))
    numbers.time.attrs = {"units": "days since 2000-01-01", "calendar": "maya"}
    numbers.to_netcdf(path)
    with pytest.raises(DataError, match=r"tas\.nc: time has the unknown calendar 'maya'"):
        open_climate(path)
    numbers.time.attrs = {"units": "days since yesterday"}
    with pytest.raises(DataError, match="coarse: time counts in 'days since yesterday', which begins at no date"):
        open_climate(numbers)
    numbers.time.attrs = {"units": "days since 0000-01-01", "calendar": "standard"}
    with pytest.raises(DataError, match=r"'days since 0000-01-01'.*calendar 'standard'.*year 0") as refused:
        open_climate(numbers)
    assert "decode_times" not in str(refused.value)
    numbers.time.attrs["calendar"] = "noleap"
    assert open_climate(numbers).time.values[0].year == 0
    numbers.time.attrs = {}
    with pytest.raises(DataError, match=r"time holds numbers \(float64\), not dates"):
        open_climate(numbers)


def test_inputs_are_not_changed(dataset):
    before = dataset.copy(deep=True)
    open_climate(dataset.isel(lat=slice(None, None, -1)))
    xr.testing.assert_identical(dataset, before)
