"""Files that are not what they seem: the kind is named, and following the advice gives the fields."""

import bz2
import gzip
import lzma
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile

import numpy as np
import pytest
import xarray as xr

from subgrid.data.canonical import open_climate
from subgrid.data.fields import DataError, open_field
from subgrid.data.sources.file_kinds import HDF5, ZIP, beside, kind_of, refusal
from subgrid.data.sources.sources import read_sources

from ..climate_files import archive


def sentence(path):
    """What both ways of opening say of a file: the same."""
    with pytest.raises(DataError) as climate:
        read_sources(path, name="coarse")
    with pytest.raises(DataError) as plain:
        open_field(path)
    assert str(climate.value) == str(plain.value)
    assert "\n" not in str(climate.value) and str(climate.value).endswith(".")
    return str(climate.value)


KINDS = {
    "GRIB": b"GRIB\x00\x00\x00\x01" + bytes(64) + b"7777",
    "GRIB behind a heading": b"\x01\r\r\n001\r\r\nHTSS\x00 ECMF\r\r\nGRIB\x00\x00\x00\x01" + bytes(50),
    "BUFR": b"BUFR" + bytes(20),
    "HDF4": b"\x0e\x03\x13\x01" + bytes(20),
    "GeoTIFF": b"II*\x00" + bytes(20),
    "GeoTIFF of the other order": b"MM\x00*" + bytes(20),
    "Parquet": b"PAR1" + bytes(20),
    "an array of NumPy": b"\x93NUMPY\x01\x00",
    "CDF of NASA": b"\xcd\xf3\x00\x01" + bytes(20),
    "an HTML page": b"\n<!DOCTYPE html>\n<html><head><title>Log in\n please</title></head></html>",
    "an XML document": b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>',
    "JSON": b'{"error": "no such file"}',
    "references of kerchunk": b'{"version": 1, "refs": {".zgroup": "{}"}}',
    "a pointer of Git LFS": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
    "CDL": b"netcdf fine {\ndimensions:\n\ttime = 3 ;\n}\n",
    "a reply of OPeNDAP": b"Dataset {\n Float32 tas[time = 3];\n} x;\n\nData:\n",
    "NcML": b'<?xml version="1.0"?>\n<netcdf xmlns="http://www.unidata.ucar.edu/namespaces/netcdf/ncml-2.2"/>',
    "a table of text": b"time,lat,lon,tas\n2001-01-01,40,1,280\n",
    "text": b"see the other folder\n",
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_kind_is_named_whatever_the_file_is_called(kind, tmp_path):
    path = tmp_path / "fine.nc"
    path.write_bytes(KINDS[kind])
    said = sentence(path)
    named = re.sub(" (behind a heading|of the other order)", "", kind)
    assert f"fine.nc: is {named}" in said and "neither NetCDF nor Zarr; " in said


def test_what_a_server_said_is_shown(tmp_path):
    path = tmp_path / "fine.nc"
    path.write_bytes(KINDS["an HTML page"])
    assert "is an HTML page ('Log in please')" in sentence(path)
    path.write_bytes(KINDS["an XML document"])
    assert "AccessDenied" in sentence(path)


def test_empty_zeros_and_unknown(tmp_path):
    path = tmp_path / "fine.nc"
    for content, message in [
        (b"", r"is empty \(0 bytes\); fetch or write it again"),
        (bytes(9000), r"begins with 4096 zeros; its transfer did not end"),
        (b"\x01\x02\x03\x04\xff\xfe", r"neither NetCDF nor Zarr \(it begins with the bytes 01 02 03 04 ff fe\)"),
    ]:
        path.write_bytes(content)
        assert re.search(message, sentence(path))


PACKERS = {"gzip": gzip.compress, "bzip2": bz2.compress, "xz": lzma.compress, "zstd": None}


@pytest.mark.parametrize(("suffix", "program"), [(".gz", "gzip"), (".bz2", "bzip2"), (".xz", "xz"), (".zst", "zstd")])
@pytest.mark.parametrize("named", [True, False])
def test_packed_files_are_unpacked_by_the_command_that_is_named(suffix, program, named, tmp_path, monkeypatch):
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    monkeypatch.chdir(tmp_path)
    dataset = archive()
    dataset.to_netcdf("whole.nc", format="NETCDF4")
    packed = f"my fine.nc{suffix}" if named else "fine.nc"
    pack = PACKERS[program]
    if pack is None:
        subprocess.run(["zstd", "-q", "whole.nc", "-o", packed], check=True)
    else:
        (tmp_path / packed).write_bytes(pack((tmp_path / "whole.nc").read_bytes()))
    said = sentence(packed)
    assert f"packed with {program}; unpack it with `" in said
    command, give = re.search(r"with `(.*)` and give (.*)\.$", said).groups()
    subprocess.run(command, shell=True, check=True)
    np.testing.assert_array_equal(open_climate(give).tas, dataset.tas)


def test_archives_of_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    dataset = archive()
    dataset.to_netcdf("whole.nc")
    with zipfile.ZipFile("era5.nc", "w") as bundle:  # as the Climate Data Store delivers several kinds of steps
        bundle.write("whole.nc", "data_stream-oper.nc")
    said = sentence("era5.nc")
    assert "is a zip archive (it holds data_stream-oper.nc)" in said
    command, give = re.search(r"with `(.*)` and give (.*)\.$", said).groups()
    subprocess.run(command.replace("python", sys.executable, 1), shell=True, check=True)
    np.testing.assert_array_equal(open_climate(give).tas, dataset.tas)
    (tmp_path / "in").mkdir()
    for name, mode in (("fine.tar", "w"), ("fine.tgz", "w:gz")):
        with tarfile.open(name, mode) as bundle:
            bundle.add("whole.nc", f"in/{name}.nc")
        said = sentence(name)
        assert "tar" in said
        subprocess.run(re.search(r"with `(.*)`", said)[1], shell=True, check=True)
        np.testing.assert_array_equal(open_climate(tmp_path / "in" / f"{name}.nc").tas, dataset.tas)
    (tmp_path / "cut.zip").write_bytes((tmp_path / "era5.nc").read_bytes()[:500])
    assert "is a zip archive (it holds nothing)" in sentence("cut.zip") or "cut short" in sentence("cut.zip")


def test_a_table_of_text_becomes_a_grid_by_the_call_that_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    dataset = archive()
    dataset.to_dataframe().reset_index().to_csv("fine.csv", index=False)
    call = re.search(r"with (pandas\..*), with the names", sentence("fine.csv"))[1]
    exec(f"import pandas; {call}")
    written = xr.open_dataset("fine.nc")
    np.testing.assert_allclose(written.tas, dataset.tas, rtol=1e-6)


def test_an_array_of_numpy_becomes_a_file_by_the_call_that_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("u.npy", np.arange(6.0).reshape(2, 3))
    call = re.search(r"with (xarray\..*)\.$", sentence("u.npy"))[1]
    exec("import xarray, numpy; " + call.replace("[…]", "['time', 'x']").replace("name=…", "name='u'"))
    np.testing.assert_array_equal(open_field("u.nc"), np.arange(6.0).reshape(2, 3))


def test_names_beside_are_never_the_file_itself():
    assert [beside(name, ".nc") for name in ("a.grib", "b/a.nc", "a.nc.gz", "a")] == [
        "a.nc", "b/a_converted.nc", "a.nc", "a.nc",
    ]  # fmt: skip


def test_kinds_of_bytes():
    assert kind_of(bytes(512) + b"\x89HDF\r\n\x1a\n") == HDF5  # behind a block of the user
    assert kind_of(b"PK\x03\x04") == ZIP
    assert refusal("a b.7z", b"7z\xbc\xaf\x27\x1c") == (
        "a b.7z: is packed with 7z; unpack it with `7z x 'a b.7z'` and give what was in it."
    )


def test_what_describes_other_files_says_which():
    text = b'<netcdf xmlns="http://n/ncml-2.2"><aggregation><netcdf location="a.nc"/><netcdf location="b.nc"/>'
    assert "holds no values; give the files that it names, a.nc, b.nc." in refusal("all.ncml", text)
    assert kind_of(b'<?xml version="1.0"?><Error><Code>NoSuchKey</Code></Error>') == "an XML document"


def test_a_reply_of_opendap_says_which_address_to_open():
    said = refusal("https://a/dodsC/tas.nc.ascii?tas[0:1]", b"Dataset {\n Float32 tas[time = 3];\n} x;\n")
    assert "xarray.open_dataset makes of the address without .ascii" in said and "pandas" not in said
    assert kind_of(b'Error {\n code = 404;\n message = "no such file";\n};\n') == "a reply of OPeNDAP"


@pytest.mark.parametrize("head", [b"\x89HD", b"CDF", b"\x89HDF\r\n\x1a", b"GR", b"PK"])
def test_the_first_bytes_of_a_file_that_was_cut_short(head):
    said = refusal("one.nc", head)
    assert (
        said
        == f"one.nc: ends after {len(head)} bytes, the first of a file that was cut short; fetch or write it again."
    )


def test_bytes_that_are_no_letters_are_not_shown_as_text():
    assert "it begins with the bytes 89 f8 48 44" in refusal("x.nc", b"\x89\xf8HD")
    assert kind_of("température,lat\n1,2\n".encode("latin-1")) == "a table of text"
    assert kind_of("température\n".encode() * 400) == "text"
