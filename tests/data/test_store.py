"""Writing: whole or not at all, whatever goes wrong."""

import errno
import os
import warnings
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from subgrid.data import store
from subgrid.data.store import (
    OutputError,
    OutputExists,
    check_free,
    write_dataset,
    write_json,
    write_text,
    write_whole,
    write_zarr,
)


def listing(folder):
    return sorted(p.name for p in folder.iterdir())


def test_round_trips(tmp_path):
    dataset = xr.Dataset({"u": ("x", np.arange(3.0))})
    write_zarr(dataset, tmp_path / "deep" / "out.zarr")
    xr.testing.assert_equal(xr.open_zarr(tmp_path / "deep" / "out.zarr").load(), dataset)
    write_json(tmp_path / "s.json", {"a": [1, 2]})
    assert (tmp_path / "s.json").read_text() == '{\n  "a": [\n    1,\n    2\n  ]\n}\n'
    assert listing(tmp_path) == ["deep", "s.json"]
    assert listing(tmp_path / "deep") == ["out.zarr"]


def test_labels_are_written_as_zarr_specifies_text(tmp_path):
    dataset = xr.Dataset({"by": ("time", ["x", "yy"])}, {"member": ("member", ["r1", "r10"]), "time": [0, 1]})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_zarr(dataset, tmp_path / "labels.zarr")
    with xr.open_zarr(tmp_path / "labels.zarr") as found:
        assert found.member.values.tolist() == ["r1", "r10"] and found.by.values.tolist() == ["x", "yy"]
        assert set(found.coords) == {"member", "time"}


@pytest.mark.parametrize("error", [RuntimeError("boom"), KeyboardInterrupt()], ids=["error", "Ctrl-C"])
def test_failing_writer_leaves_nothing_and_keeps_the_old(tmp_path, error):
    def half(partial):
        partial.mkdir()
        (partial / "chunk").write_text("half")
        raise error

    with pytest.raises(type(error)):
        write_whole(tmp_path / "out", half)
    assert listing(tmp_path) == []
    write_text(tmp_path / "out", "old")
    with pytest.raises(type(error)):
        write_whole(tmp_path / "out", half, overwrite=True)
    assert listing(tmp_path) == ["out"]
    assert (tmp_path / "out").read_text() == "old"


def test_overwrite(tmp_path):
    first, second = (xr.Dataset({"u": ("x", np.full(2, v))}) for v in (1.0, 2.0))
    write_zarr(first, tmp_path / "out.zarr")
    with pytest.raises(OutputExists, match=r"out\.zarr: exists already; choose another output or pass --overwrite"):
        write_zarr(second, tmp_path / "out.zarr")
    with pytest.raises(OutputExists, match="exists already"):
        check_free(tmp_path / "out.zarr")
    write_zarr(second, tmp_path / "out.zarr", overwrite=True)
    np.testing.assert_array_equal(xr.open_zarr(tmp_path / "out.zarr").u, [2.0, 2.0])
    assert listing(tmp_path) == ["out.zarr"]


def test_a_folder_that_cannot_be_replaced_is_put_back(tmp_path, monkeypatch):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "data").write_text("old")
    (tmp_path / "out" / "zarr.json").write_text("{}")
    replace = os.replace

    def fails_the_second_time(source, target):
        if ".partial-" in str(source):
            raise OSError(errno.EIO, "Input/output error")
        replace(source, target)

    monkeypatch.setattr(store.os, "replace", fails_the_second_time)
    with pytest.raises(OutputError, match=r"out: cannot be written \(Input/output error\)"):
        write_whole(tmp_path / "out", lambda partial: partial.mkdir(), overwrite=True)
    assert (tmp_path / "out" / "data").read_text() == "old"
    assert listing(tmp_path) == ["out"]


def test_full_disk(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(store.os, "fsync", full)
    with pytest.raises(OutputError, match=r"s\.json: no space left on the disk; nothing was written"):
        write_json(tmp_path / "s.json", {})
    assert listing(tmp_path) == []


def test_only_a_store_is_replaced_by_a_store(tmp_path):
    dataset = xr.Dataset({"u": ("x", np.arange(3.0))})
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter").write_text("precious")
    (tmp_path / "fine.nc").write_text("precious")
    with pytest.raises(OutputExists, match="thesis: is a folder, and no Zarr store"):
        write_zarr(dataset, tmp_path / "thesis", overwrite=True)
    with pytest.raises(OutputExists, match=r"fine\.nc: is a file, and a Zarr store would be a folder"):
        write_zarr(dataset, tmp_path / "fine.nc", overwrite=True)
    assert (tmp_path / "thesis" / "chapter").read_text() == (tmp_path / "fine.nc").read_text() == "precious"
    write_zarr(dataset, tmp_path / "out.zarr")
    with pytest.raises(OutputExists, match=r"out\.zarr: is a folder"):
        write_json(tmp_path / "out.zarr", {})
    dataset.to_zarr(tmp_path / "v2.zarr", zarr_format=2)
    assert check_free(tmp_path / "v2.zarr", overwrite=True, kind="store") == tmp_path / "v2.zarr"


def test_an_input_is_never_an_output(tmp_path, monkeypatch):
    xr.Dataset({"u": ("x", np.arange(3.0))}).to_zarr(tmp_path / "coarse.zarr", zarr_format=3)
    (tmp_path / "alias").symlink_to(tmp_path / "coarse.zarr")
    monkeypatch.chdir(tmp_path)
    for output in ("coarse.zarr", tmp_path / "alias", "coarse.zarr/out.zarr", tmp_path, "nowhere/../coarse.zarr"):
        with pytest.raises(OutputExists, match=r"is the input .*coarse\.zarr, or holds it, or is in it"):
            check_free(output, overwrite=True, inputs=["coarse.zarr"])
    assert check_free("out.zarr", inputs=["coarse.zarr", "fine.nc"]).name == "out.zarr"


def test_folders_are_probed_before_there_is_anything_to_write(tmp_path):
    (tmp_path / "file.nc").write_text("")
    with pytest.raises(
        OutputError, match=r"file\.nc/out\.zarr: cannot be written \(.*file\.nc is a file, not a folder"
    ):
        check_free(tmp_path / "file.nc" / "out.zarr")
    assert check_free(tmp_path / "new" / "deep" / "out.zarr")
    assert listing(tmp_path) == ["file.nc"]
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    if os.geteuid() == 0:
        pytest.skip("every folder is open to root")
    with pytest.raises(OutputError, match="no permission in"):
        check_free(closed / "out.zarr")


def test_a_folder_that_is_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"file/out\.txt: cannot be written"):
        write_text(tmp_path / "file" / "out.txt", "x")


def test_a_name_that_says_netcdf_is_netcdf(tmp_path):
    times = xr.date_range("2001-01-01", periods=3, calendar="noleap", use_cftime=True)
    given = xr.Dataset(
        {"tas": (("time", "x"), np.arange(6, dtype="f4").reshape(3, 2), {"units": "K", "message": b"GRIB"})},
        {"time": times, "label": ("x", ["a", "b"]), "mapping": ((), 0)},
    )
    given["tas"].encoding = {"chunks": (1, 2), "compressors": None, "grid_mapping": "mapping"}  # of the Zarr it is from
    for name in ("ensemble.nc", "ensemble.NC4"):
        path = write_dataset(given, tmp_path / name)
        assert path.read_bytes()[:8] == b"\x89HDF\r\n\x1a\n"
        read = xr.open_dataset(path, decode_coords="all")
        xr.testing.assert_equal(read, given)
        assert read.tas.attrs == {"units": "K"} and "mapping" in read.coords
    with pytest.raises(OutputExists, match=r"ensemble\.nc: exists already"):
        write_dataset(given, tmp_path / "ensemble.nc")
    write_dataset(given.isel(time=[0]), tmp_path / "ensemble.nc", overwrite=True)
    assert xr.open_dataset(tmp_path / "ensemble.nc").sizes["time"] == 1
    xr.testing.assert_equal(
        xr.open_zarr(write_dataset(given, tmp_path / "out.zarr"), decode_coords="all").load(), given
    )
    assert xr.open_zarr(write_dataset(given, tmp_path / "out")).sizes["time"] == 3
    assert listing(tmp_path) == ["ensemble.NC4", "ensemble.nc", "out", "out.zarr"]


def test_a_netcdf_file_is_whole_or_not_there(tmp_path, monkeypatch):
    def fails(self, path, **options):
        path.write_text("half")
        raise RuntimeError("NetCDF: HDF error")

    monkeypatch.setattr(xr.Dataset, "to_netcdf", fails)
    with pytest.raises(OutputError, match=r"out\.nc: cannot be written \(the NetCDF library failed to write it\)"):
        write_dataset(xr.Dataset({"u": ("x", np.arange(3.0))}), tmp_path / "out.nc")
    assert listing(tmp_path) == []


def test_outputs_of_other_kinds_and_places_are_refused(tmp_path):
    dataset = xr.Dataset({"u": ("x", np.arange(3.0))})
    for name in ("out.grib", "out.tif", "out.zarr.zip", "out.csv"):
        with pytest.raises(OutputError, match=r"Subgrid writes NetCDF .* and Zarr"):
            write_dataset(dataset, tmp_path / name)
    for path in ("s3://bucket/out.zarr", Path("s3://bucket/out.nc")):
        with pytest.raises(OutputError, match="outputs are written to this machine"):
            write_dataset(dataset, path)
    assert check_free(tmp_path / "out.nc", inputs=["s3://bucket/coarse.nc", "coarse.nc#Grid"])
    assert listing(tmp_path) == []
