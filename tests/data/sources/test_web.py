"""Archives behind http://, from a server in this process: with and without parts of files, queries and tokens."""

import gzip
import socket

import netCDF4
import numpy as np
import pytest

from subgrid.data.canonical import open_climate
from subgrid.data.fields import DataError, open_field
from subgrid.data.sources.remote import WHOLE_AT_MOST, bare_path, is_pattern, unreachable
from subgrid.data.sources.sources import expand, read_sources

from ..climate_files import archive
from .web import served

pytest.importorskip("aiohttp", reason="fsspec reads http:// with it")


@pytest.fixture(scope="module")
def dataset():
    return archive(n_times=6)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, dataset):
    """The archive in every form."""
    import shutil

    folder = tmp_path_factory.mktemp("site")
    dataset.to_netcdf(folder / "fine.nc")
    shutil.copy(folder / "fine.nc", folder / "get")  # a name that says nothing
    dataset.to_netcdf(folder / "classic.nc", format="NETCDF3_64BIT")
    with (
        netCDF4.Dataset(folder / "fine.nc") as one,
        netCDF4.Dataset(folder / "cdf5.nc", "w", format="NETCDF3_64BIT_DATA") as other,
    ):
        for name, dim in one.dimensions.items():
            other.createDimension(name, dim.size)
        for name, variable in one.variables.items():
            copy = other.createVariable(name, variable.dtype, variable.dimensions)
            copy.setncatts({key: variable.getncattr(key) for key in variable.ncattrs() if key != "_FillValue"})
            copy[:] = variable[:]
    for zarr_format in (2, 3):
        dataset.to_zarr(folder / f"v{zarr_format}.zarr", zarr_format=zarr_format)
    shutil.copytree(folder / "v2.zarr", folder / "store")
    shutil.make_archive(str(folder / "v3.zarr"), "zip", folder / "v3.zarr")
    (folder / "inner").mkdir()
    shutil.copy(folder / "fine.nc", folder / "inner" / "tas.nc")
    shutil.make_archive(str(folder / "cds"), "zip", folder / "inner")
    (folder / "fine.nc.gz").write_bytes(gzip.compress((folder / "fine.nc").read_bytes()))
    (folder / "login.nc").write_text("<html><title>Log in</title></html>")
    return folder


@pytest.fixture(scope="module", params=[False, True], ids=["whole files", "parts"])
def site(folder, request):
    with served(folder, parts=request.param) as address:
        yield address


FORMS = ["fine.nc", "classic.nc", "get", "v2.zarr", "v3.zarr/", "store", "v3.zarr.zip"]


@pytest.mark.parametrize("name", FORMS)
def test_every_form_with_and_without_parts(site, name, dataset):
    np.testing.assert_array_equal(open_climate(f"{site}/{name}").tas, dataset.tas)


@pytest.mark.parametrize("name", FORMS)
def test_the_kind_is_that_of_the_name_without_its_query(folder, name, dataset):
    with served(folder, token="token=a/b") as address:
        url = f"{address}/{name}?x=1&token=a%2Fb"
        assert list(expand(url)) == [url]
        np.testing.assert_array_equal(open_climate(url).tas, dataset.tas)
        np.testing.assert_array_equal(open_field(f"{url}#", "tas"), dataset.tas)


def test_what_is_fetched_whole_is_said_and_read_as_a_file_of_this_machine(folder, dataset):
    with served(folder) as address:
        [file] = read_sources(f"{address}/v3.zarr.zip", name="fine")
        assert "sent whole only: read from a temporary copy" in file.notes
        np.testing.assert_array_equal(open_climate(f"{address}/cdf5.nc").tas, dataset.tas)
    assert WHOLE_AT_MOST == 2**31


def test_packed_files_are_named_with_the_commands_that_fetch_and_unpack_them(site):
    for name, command in [
        ("cds.zip", "python -m zipfile -e cds.zip cds` and give cds."),
        ("fine.nc.gz", "gzip -dc fine.nc.gz > fine.nc` and give fine.nc."),
    ]:
        with pytest.raises(DataError) as refused:
            read_sources(f"{site}/{name}", name="fine")
        said = str(refused.value)
        assert f"fetch it, `curl -L -o {name} {site}/{name}`, and unpack it with `{command}" in said


def test_a_folder_on_the_web_and_a_page_that_is_none(site, folder):
    inner = read_sources(f"{site}/inner/", name="fine")
    assert [file.name for file in inner] == [f"{site}/inner/tas.nc"]
    assert list(expand(f"{site}/inner")) == [f"{site}/inner/tas.nc"]
    with pytest.raises(DataError, match=r"login\.nc: is an HTML page \('Log in'\)"):
        read_sources(f"{site}/login.nc", name="fine")


def test_what_is_not_there_is_not_what_does_not_answer(site, folder):
    for name in ("gone.nc", "gone.zarr", "gone", "gone.nc?token=3"):
        with pytest.raises(DataError, match=r": no such file or store\.$"):
            read_sources(f"{site}/{name}", name="fine")
    with served(folder, token="secret") as address:
        for name in ("fine.nc", "v2.zarr"):
            with pytest.raises(DataError, match="the server answers 403"):
                read_sources(f"{address}/{name}", name="fine")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # nothing listens there
        for name in ("fine.nc", "v2.zarr", "get", "a/"):
            with pytest.raises(DataError, match=r"cannot be reached \(ClientConnect.*\); check the address"):
                read_sources(f"http://127.0.0.1:{free.getsockname()[1]}/{name}", name="fine")


def test_chains_of_fsspec(folder, dataset):
    with served(folder, parts=True) as address:
        for url in (
            f"simplecache::{address}/fine.nc",
            f"simplecache::{address}/fine.nc?token=3",
            f"zip::{address}/v3.zarr.zip",
            f"zip://tas.nc::{address}/cds.zip",
        ):
            np.testing.assert_array_equal(open_climate(url).tas, dataset.tas)


def test_marks_in_a_query_are_no_pattern():
    assert bare_path("https://a/x.nc?token=3#Grid") == "https://a/x.nc"
    assert bare_path("simplecache::https://a/x.nc?t=3") == "simplecache::https://a/x.nc"
    assert bare_path("s3://b/x.nc?versionId=abc") == "s3://b/x.nc"
    for url in ("https://a/x.nc?f=tas[0:1]*", "s3://b/x.nc?versionId=abc", "simplecache::https://a/x.nc?a=b"):
        assert not is_pattern(url)
    for url in ("https://a/*.nc?token=3", "s3://b/x?.nc"):
        assert is_pattern(url)


def test_the_error_of_the_network_is_found_behind_that_of_fsspec():
    hidden = FileNotFoundError("https://a/x.nc")
    hidden.__cause__ = TimeoutError()
    assert "cannot be reached (TimeoutError)" in str(unreachable("https://a/x.nc", hidden))
    assert "no such file" in str(unreachable("https://a/x.nc", FileNotFoundError("https://a/x.nc")))
