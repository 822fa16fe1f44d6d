"""Archives behind URLs, on fsspec's memory:// and file://; no network."""

import gzip
import shutil
import sys
from pathlib import Path

import fsspec
import numpy as np
import pytest

from subgrid.data.canonical import check_climate, open_climate
from subgrid.data.fields import DataError, open_field
from subgrid.data.sources.remote import local_path, unreachable, url_of
from subgrid.data.sources.sources import expand, read_sources

from ..climate_files import archive


@pytest.fixture
def dataset():
    return archive(n_times=6)


@pytest.fixture
def bucket(tmp_path, dataset):
    """A store of objects with the archive in every form; its URL."""
    fs = fsspec.filesystem("memory")
    dataset.to_netcdf(tmp_path / "fine.nc", format="NETCDF4")
    dataset.to_netcdf(tmp_path / "classic.nc", format="NETCDF3_64BIT")
    dataset.to_netcdf(tmp_path / "grouped.h5", group="Grid")
    dataset.to_zarr(tmp_path / "fine.zarr")
    shutil.make_archive(str(tmp_path / "fine.zarr"), "zip", tmp_path / "fine.zarr")
    fs.put(str(tmp_path), "/bucket", recursive=True)
    yield "memory://bucket"
    fs.rm("/bucket", recursive=True)


@pytest.mark.parametrize("name", ["fine.nc", "classic.nc", "grouped.h5", "fine.zarr", "fine.zarr.zip"])
def test_every_form_behind_a_url(bucket, name, dataset):
    url = f"{bucket}/{name}"
    [opened] = read_sources(url, name="fine")
    assert opened.name == url
    np.testing.assert_array_equal(check_climate(open_climate(url)).tas, dataset.tas)
    np.testing.assert_array_equal(open_field(url, "tas"), dataset.tas)
    np.testing.assert_array_equal(open_field(Path(url), "tas"), dataset.tas)  # a Path loses a slash


@pytest.mark.parametrize("chain", ["zip::{}/fine.zarr.zip", "simplecache::{}/fine.nc", "zip://fine.nc::{}/all.zip"])
def test_chains(bucket, chain, dataset, tmp_path):
    (tmp_path / "one").mkdir()
    dataset.to_netcdf(tmp_path / "one" / "fine.nc")
    shutil.make_archive(str(tmp_path / "all"), "zip", tmp_path / "one")
    fsspec.filesystem("memory").put(str(tmp_path / "all.zip"), "/bucket/all.zip")
    np.testing.assert_array_equal(open_climate(chain.format(bucket)).tas, dataset.tas)


def test_chains_of_files_of_this_machine(dataset, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "one").mkdir()
    dataset.to_netcdf(tmp_path / "one" / "fine.nc")
    dataset.to_zarr(tmp_path / "fine.zarr")
    shutil.make_archive("all", "zip", "one")
    shutil.make_archive("store", "zip", "fine.zarr")
    for chain in (
        "zip://fine.nc::all.zip",
        f"zip://fine.nc::{tmp_path}/all.zip",
        "zip::store.zip",
        "zip://*.nc::all.zip",
        "zip::all.zip",
    ):
        np.testing.assert_array_equal(open_climate(chain).tas, dataset.tas)
    np.testing.assert_array_equal(open_climate("one/fine.nc#mode=bytes").tas, dataset.tas)
    for chain, says in [
        ("zip://fine.nc", "names what is in an archive, but not the archive; add it, as in zip://fine.nc::archive.zip"),
        ("foo::s3://b/x.nc", "no file system is known for foo://"),
        ("zip://fine.nc::gone.zip", "no such file or store"),
    ]:
        with pytest.raises(DataError, match=says):
            open_climate(chain)


def test_packed_files_of_a_store_are_to_be_copied_first(bucket):
    fsspec.filesystem("memory").pipe("/bucket/fine.nc.gz", gzip.compress(b"CDF\x01" + bytes(99)))
    with pytest.raises(DataError, match=r"copy it here first, and unpack it with `gzip -dc fine\.nc\.gz > fine\.nc`"):
        read_sources(f"{bucket}/fine.nc.gz", name="fine")


def test_patterns_folders_and_lists(bucket, dataset):
    assert list(expand(f"{bucket}/*.nc")) == ["memory:///bucket/classic.nc", "memory:///bucket/fine.nc"]
    fs = fsspec.filesystem("memory")
    halves = dataset.isel(time=slice(0, 3)), dataset.isel(time=slice(3, None))
    for i, half in enumerate(halves):
        fs.pipe(f"/bucket/parts/tas_{i}.nc", bytes(half.to_netcdf(format="NETCDF3_CLASSIC")))
    every = [f"{bucket}/parts/tas_{i}.nc" for i in (0, 1)]
    for way in (f"{bucket}/parts", f"{bucket}/parts/", f"{bucket}/parts/tas_*.nc", every):
        np.testing.assert_array_equal(open_climate(way).tas, dataset.tas)


def test_a_group_behind_a_url(bucket, dataset):
    np.testing.assert_array_equal(open_field(f"{bucket}/grouped.h5#Grid", "tas"), dataset.tas)


def test_file_urls(bucket, tmp_path, dataset):
    folder = tmp_path / "my data"
    folder.mkdir()
    dataset.to_netcdf(folder / "fine.nc")
    dataset.to_zarr(folder / "fine.zarr")
    for name in ("fine.nc", "fine.zarr"):
        assert local_path((folder / name).as_uri()) == folder / name
        np.testing.assert_array_equal(open_climate((folder / name).as_uri()).tas, dataset.tas)
        np.testing.assert_array_equal(open_field((folder / name).as_uri()), dataset.tas)
    assert len(list(expand(f"{folder.as_uri()}/*"))) == 2


def test_what_is_not_there(bucket):
    fs = fsspec.filesystem("memory")
    fs.pipe("/bucket/page.nc", b"<html><title>404 Not Found</title></html>")
    fs.mkdir("/bucket/nothing")
    for name, message in [
        ("gone.nc", r"memory://bucket/gone\.nc: no such file or store\."),
        ("gone.zarr", r"memory://bucket/gone\.zarr: no such file or store\."),
        ("x*.nc", r"x\*\.nc: no file matches"),
        ("page.nc", r"memory://bucket/page\.nc: is an HTML page \('404 Not Found'\)"),
        ("nothing", "this folder is no Zarr store and holds no NetCDF"),
    ]:
        with pytest.raises(DataError, match=message):
            read_sources(f"{bucket}/{name}", name="fine")


def test_objects_in_remote_zarr_are_refused(bucket):
    fs = fsspec.filesystem("memory")
    fs.pipe("/bucket/bad.zarr/.zgroup", b'{"zarr_format": 2}')
    fs.pipe("/bucket/bad.zarr/u/.zarray", b'{"dtype": "|O", "filters": [{"id": "pickle"}]}')
    with pytest.raises(DataError, match=r"bad\.zarr: u is an array of Python objects"):
        open_field(f"{bucket}/bad.zarr")


def test_packages_that_are_missing_are_named(bucket, monkeypatch):
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, "s3", raising=False)
    with pytest.raises(DataError, match=r"s3://b/fine\.zarr: .* needs the package s3fs; install it with `pip install"):
        open_field("s3://b/fine.zarr")
    for package in ("h5netcdf", "h5py"):
        with monkeypatch.context() as without:
            without.setitem(sys.modules, package, None)
            with pytest.raises(DataError, match=rf"fine\.nc: .* needs the package {package}; install it with `pip"):
                open_field(f"{bucket}/fine.nc")


def test_schemes():
    assert url_of("s3://b/x") == url_of(Path("s3://b/x")) == "s3://b/x"
    assert url_of("https://a.org/x.nc?token=1") == "https://a.org/x.nc?token=1"
    for path in ("fine.nc", "/data/fine.nc", "C:/data/fine.nc", "C:\\data\\fine.nc", "a:b/fine.nc", "file:///fine.nc"):
        assert url_of(path) is None
    with pytest.raises(DataError, match=r"foo://b/x: no file system is known for foo://"):
        open_field("foo://b/x")


def test_refusals_of_a_server():
    assert "access is refused" in str(unreachable("s3://b/x", PermissionError("Forbidden")))
    assert "FSSPEC_S3='{\"anon\": true}'" in str(unreachable("s3://b/x", PermissionError()))
    said = str(unreachable("https://a/x.nc", ConnectionError("Cannot connect to host a:443 ssl:default [...]")))
    assert said == "https://a/x.nc: cannot be reached (ConnectionError); check the address and the network."
    refused = OSError()  # as aiohttp's ClientResponseError of a server that lists no folders
    refused.status, refused.message = 403, "Forbidden"
    said = str(unreachable("https://a/tas_*.nc", refused))
    assert said.startswith("https://a/tas_*.nc: the server answers 403 Forbidden.") and "name each file" in said


def test_an_archive_behind_a_url_is_streamed(bucket, dataset):
    import jax.random as jr

    from subgrid.data.stream import StreamedFields

    for name in ("fine.nc", "fine.zarr"):
        fields = StreamedFields(Path(f"{bucket}/{name}"), "tas")
        assert fields.shape == (6, 1, 4, 5)
        np.testing.assert_allclose(fields.moments()[0], dataset.tas.mean(), rtol=1e-6)  # float32
        assert fields.batches(6, key=jr.key(0))(0).shape == (6, 1, 4, 5)
        facts = fields.facts()
        assert facts == StreamedFields(Path(f"{bucket}/{name}"), "tas").facts()
