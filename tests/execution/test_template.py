"""Making a store: readable by anyone, the same for the same facts, refused for others."""

import errno
import json
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import xarray as xr
import zarr
from hypothesis import given, settings, strategies as st
from zarr.codecs import BloscCodec

import subgrid
from subgrid.data.store import OutputError, OutputExists
from subgrid.execution import files
from subgrid.execution.template import CHUNK_VALUES, SHARD_VALUES, create_store, sensible_chunks

from .conftest import coordinates, template


def test_coordinates_and_attributes_come_back(make_store):
    store = make_store(bit_rounding={"tas": 12})
    with xr.open_zarr(store.path, decode_coords="all") as found:
        given = coordinates()
        assert set(found.data_vars) == {"tas", "pr"}
        for name in ("time", "y", "x", "lat", "lon"):
            xr.testing.assert_identical(found[name].variable.load(), given[name].variable)
        assert found.tas.encoding["grid_mapping"] == "crs"
        assert found.crs.attrs["grid_mapping_name"] == "rotated_latitude_longitude"
        assert found.tas.dtype == np.float32
        assert np.isnan(found.tas.values).all()
        assert found.tas.attrs == {"units": "K", "_QuantizeBitRoundNumberOfSignificantBits": 12}
        assert list(found.realization.values) == [0, 1, 2, 3]
        assert found.attrs["history"].endswith("\nmade by hand")
        expected = {
            "Conventions": "CF-1.11",
            "institution": "none",
            "subgrid_version": subgrid.__version__,
            "configuration_hash": store.layout.hash,
            "seed": 7,
            "checkpoint": "step-100",
        }
        assert expected.items() <= found.attrs.items()
        assert json.loads(found.attrs["configuration"]) == {"guide": {"name": "moment-matching"}}


def test_the_words_of_a_key_are_kept_and_the_same_key_goes_on(make_store):
    store = make_store(seed=(3, 2**32 - 1))
    with xr.open_zarr(store.path) as found:
        assert found.attrs["seed"] == "[3, 4294967295]"
    assert make_store(seed=(3, 2**32 - 1)).layout == store.layout
    with pytest.raises(OutputExists, match=r"seed = \[3, 4294967295\] instead of \[3, 5\]"):
        make_store(seed=(3, 5))


def test_format_is_sharded_zarr_3(make_store):
    array = zarr.open_array(make_store().path / "tas", mode="r")
    assert (array.metadata.zarr_format, array.chunks, array.shards) == (3, (2, 2, 5, 6), (2, 4, 5, 6))
    assert array.metadata.dimension_names == ("realization", "time", "y", "x")
    assert array.nchunks_initialized == 0
    assert array.compressors == (BloscCodec(typesize=4, cname="zstd", clevel=5, shuffle="bitshuffle"),)
    assert zarr.open_array(make_store("b.zarr", shards=None).path / "tas", mode="r").shards is None


def test_readers_see_no_stray_files(make_store):
    path = make_store().path
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # Zarr warns of objects that it does not know
        for consolidated in (True, False):
            with xr.open_zarr(path, consolidated=consolidated) as dataset:
                assert set(dataset.data_vars) == {"tas", "pr", "crs"}
            with xr.open_datatree(path, engine="zarr", consolidated=consolidated) as tree:
                assert set(tree.dataset.data_vars) == {"tas", "pr", "crs"}
        names = {name for name, _ in zarr.open_group(path, mode="r", use_consolidated=False).members()}
    assert {"tas", "pr", "time"} < names


def test_same_facts_join_other_facts_are_refused(make_store):
    store = make_store()
    assert make_store().layout == store.layout
    with pytest.raises(OutputExists, match=r'guide\.name = "moment-matching" instead of "projection"\); choose'):
        make_store(configuration={"guide": {"name": "projection"}})
    with pytest.raises(OutputExists, match=r"\(seed = 7 instead of 8\)"):
        make_store(seed=8)
    with pytest.raises(OutputExists, match=r'checkpoint = "step-100" instead of "step-200"'):
        make_store(checkpoint="step-200")
    with pytest.raises(OutputExists, match=r"bit_rounding\.tas = nothing instead of 10"):
        make_store(bit_rounding={"tas": 10})
    with pytest.raises(OutputExists, match=r"shape = \[4, 24, 5, 6\] instead of \[4, 20, 5, 6\]"):
        make_store(n_times=20)
    moved = coordinates()
    with pytest.raises(OutputExists, match=r"coordinates\.lat = "):
        make_store(coordinates=moved.assign_coords(lat=moved.lat + 1))
    later = moved.assign_coords(time=xr.date_range("2001-02-20", periods=24, calendar="noleap", use_cftime=True))
    with pytest.raises(OutputExists, match=r"coordinates\.time = "):
        make_store(coordinates=later)


def test_what_is_not_a_store_is_left_alone(make_store, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "precious").write_text("old")
    with pytest.raises(OutputExists, match="mine: exists and is not a store"):
        make_store("mine")
    assert (tmp_path / "mine" / "precious").read_text() == "old"


def test_made_by_several_at_once(make_store, tmp_path):
    with ThreadPoolExecutor(4) as pool:
        stores = list(pool.map(lambda _: make_store(), range(4)))
    assert len({store.layout.hash for store in stores}) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["out.zarr"]


def test_failure_leaves_nothing(make_store, tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OutputError, match=r"out\.zarr: no space left on the disk; nothing was written"):
        make_store()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"variables": {"../../tas": {}}}, "the name '../../tas' cannot be used"),
        ({"variables": {}}, "names no variable"),
        ({"variables": {"lat": {}}}, "both as a variable and as a coordinate"),
        ({"space": ("y", "z")}, "no dimension 'z'"),
        ({"n_members": 0}, "is empty"),
        ({"shards": {"time": 3}}, "shards of 3 along time do not hold whole chunks of 2; use 2"),
        ({"times_per_item": 6}, "work items of 6 along time cut through shards .* of 4; use 8"),
        ({"bit_rounding": 24}, "bits 1 to 23"),
        ({"bit_rounding": {"psl": 3}}, "variables are tas, pr"),
    ],
)
def test_templates_that_make_no_sense(make_store, tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        make_store(**changes)
    assert list(tmp_path.iterdir()) == []


def test_a_coordinate_of_an_archive_cannot_name_a_folder_elsewhere(tmp_path):
    evil = coordinates().assign_coords({"../../escaped": ("time", np.arange(24))})
    with pytest.raises(ValueError, match="cannot be used in a store"):
        create_store(tmp_path / "deep" / "out.zarr", template(coordinates=evil), seed=0, configuration={})
    assert list(tmp_path.iterdir()) == []


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 100), st.integers(1, 10**6), st.integers(1, 2000), st.integers(1, 2000))
def test_sensible_chunks_are_whole_fields_and_not_too_large(n_members, n_times, n_lat, n_lon):
    sizes = {"realization": n_members, "time": n_times, "lat": n_lat, "lon": n_lon}
    chunks, shards = sensible_chunks(sizes, ("lat", "lon"))
    for dim in sizes:
        assert shards[dim] % chunks[dim] == 0
        assert 1 <= chunks[dim] <= sizes[dim]
        assert shards[dim] < sizes[dim] + chunks[dim]
    assert (chunks["lat"], chunks["lon"]) == (n_lat, n_lon)
    one = n_lat * n_lon
    assert np.prod([*chunks.values()]) <= max(CHUNK_VALUES, one)
    assert np.prod([*shards.values()]) <= max(SHARD_VALUES, one)
