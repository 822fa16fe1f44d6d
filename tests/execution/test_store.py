"""Writing items: aligned, whole, marked last; refused where that cannot be."""

import errno
import json
import os
import subprocess

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings, strategies as st
from hypothesis.extra.numpy import arrays

from subgrid.data.fields import DataError
from subgrid.data.store import MARKERS, RECORD, OutputError
from subgrid.execution import files
from subgrid.execution.files import place
from subgrid.execution.health import status
from subgrid.execution.layout import check_aligned
from subgrid.execution.store import ASIDE, Store, open_store, read_marker, round_bits, write_item
from subgrid.execution.work_items import WorkItem

from .conftest import SPACE, chunk_digests

FLOAT32 = arrays(np.float32, 8, elements=st.floats(width=32, allow_nan=True, allow_infinity=True))


def fields(item: WorkItem, seed: int = 0, n_variables: int = 2) -> np.ndarray:
    rng = np.random.default_rng([seed, *item.time, *item.member])
    shape = (item.time[1] - item.time[0], item.member[1] - item.member[0], n_variables, *SPACE)
    return rng.normal(size=shape).astype(np.float32)


def test_round_trip_with_ragged_ends(make_store):
    # 23 times by 4, 5 members by 2: the last shard of each axis is cut.
    store = make_store(n_times=23, n_members=5)
    items = store.items()
    assert len(items) == 6 * 3
    for item in reversed(items):
        write_item(store, item, fields(item))
    assert store.pending() == []
    with xr.open_zarr(store.path) as found:
        for item in items:
            part = found.isel(time=slice(*item.time), realization=slice(*item.member))
            for channel, name in enumerate(("tas", "pr")):
                expected = fields(item)[:, :, channel].swapaxes(0, 1)
                np.testing.assert_array_equal(part[name].transpose("realization", "time", "y", "x").values, expected)
    assert status(store.path).damage == ()


def test_marker_comes_last_and_names_every_file(make_store, monkeypatch):
    store = make_store()
    item, placed = store.items()[3], []

    def record(root, relative, content, *, aside):
        placed.append(relative)
        place(root, relative, content, aside=aside)

    monkeypatch.setattr("subgrid.execution.store.place", record)
    write_item(store, item, fields(item))
    assert placed[-1] == f"{MARKERS}/{item.name}.json"
    marker = read_marker(store, item)
    assert marker is not None and sorted(marker.files) == sorted(placed[:-1]) == ["pr/c/1/1/0/0", "tas/c/1/1/0/0"]
    assert {name: file.sha256 for name, file in marker.files.items()} == chunk_digests(store.path)


def test_chunks_of_nan_have_no_file_and_are_not_missing(make_store):
    store = make_store(chunks={"time": 4, "realization": 2, "x": 3}, shards=None)
    item = store.items()[0]
    values = fields(item)
    values[:, :, 1, :, :3] = np.nan
    write_item(store, item, values)
    assert sorted(chunk_digests(store.path)) == ["pr/c/0/0/0/1", "tas/c/0/0/0/0", "tas/c/0/0/0/1"]
    found = status(store.path)
    assert (found.n_done, found.damage) == (1, ())


@pytest.mark.parametrize(
    ("time", "member", "message"),
    [
        ((2, 6), (0, 2), "time 2:6 cuts through shards of 4; use 0:8"),
        ((0, 6), (0, 2), "time 0:6 cuts through shards of 4; use 0:8"),
        ((20, 22), (0, 2), "time 20:22 cuts through shards of 4; use 20:23"),
        ((0, 4), (1, 2), "member 1:2 cuts through shards of 2; use 0:2"),
        ((20, 24), (0, 2), "time 20:24 is not within the store's 23"),
        ((-4, 0), (0, 2), "is not within"),
    ],
)
def test_regions_that_cut_through_chunks_are_refused(make_store, time, member, message):
    store = make_store(n_times=23)
    item = WorkItem(time, member)
    with pytest.raises(ValueError, match=message):
        write_item(store, item, np.zeros((4, 2, 2, *SPACE), np.float32))
    assert chunk_digests(store.path) == {}


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 23), st.integers(1, 24))
def test_aligned_regions_are_those_that_no_other_shares_a_file_with(make_layout, first, length):
    # From elsewhere: the files of a region, and of all the times outside it.
    item = WorkItem((first, min(first + length, 24)), (0, 4))
    outside = [t for t in range(24) if not item.time[0] <= t < item.time[1]]
    shared = {t // 4 for t in range(*item.time)} & {t // 4 for t in outside}
    if shared:
        with pytest.raises(ValueError, match="cuts through"):
            check_aligned(make_layout, item)
    else:
        check_aligned(make_layout, item)


@pytest.fixture(scope="module")
def make_layout(tmp_path_factory):
    from subgrid.execution.template import create_store

    from .conftest import template

    return create_store(tmp_path_factory.mktemp("layout") / "a.zarr", template(), seed=0, configuration={}).layout


def test_values_of_another_shape(make_store):
    store = make_store()
    item = store.items()[0]
    with pytest.raises(ValueError, match=r"shape \(4, 2, 1, 5, 6\) for times 0 to 3, members 0 to 1; it must be"):
        write_item(store, item, fields(item, n_variables=1))


def test_the_same_bits_twice_are_welcome_others_are_refused(make_store):
    store = make_store()
    item = store.items()[0]
    write_item(store, item, fields(item))
    before = chunk_digests(store.path)
    write_item(store, item, fields(item))
    with pytest.raises(OutputError, match=r"process \d+ on .* has written other bits for times 0 to 3, members 0 to 1"):
        write_item(store, item, fields(item, seed=1))
    assert chunk_digests(store.path) == before


@settings(max_examples=60, deadline=None)
@given(FLOAT32, st.integers(1, 23))
def test_rounded_bits(values, kept):
    rounded = round_bits(values, kept)
    assert (rounded.view(np.uint32)[np.isfinite(values)] & ((1 << (23 - kept)) - 1) == 0).all()
    np.testing.assert_array_equal(rounded[~np.isfinite(values)], values[~np.isfinite(values)])
    np.testing.assert_array_equal(round_bits(rounded, kept), rounded)
    # Half a unit of the last bit kept; not for subnormal numbers, whose bits weigh more, nor above the largest float.
    normal = (np.abs(values) > 1.2e-38) & np.isfinite(rounded)
    exact = values[normal].astype(np.float64)
    assert (np.abs(rounded[normal] - exact) <= 2.0 ** -(kept + 1) * np.abs(exact)).all()


def test_rounding_agrees_with_numcodecs():
    bitround = pytest.importorskip("numcodecs.bitround")
    values = np.random.default_rng(0).normal(280, 10, 1000).astype(np.float32)
    for kept in (1, 7, 12, 22):
        theirs = np.asarray(bitround.BitRound(keepbits=kept).encode(values.copy())).view(np.float32)
        np.testing.assert_array_equal(round_bits(values, kept), theirs)


def test_bit_rounding_saves_space(make_store):
    # 23 − 7 of 32 bits become zero and compress to nothing; the others are noise and do not.
    sizes = {}
    for kept in (None, 7):
        store = make_store(f"{kept}.zarr", bit_rounding=kept, chunks={"time": 24, "realization": 4}, shards=None)
        item = store.items()[0]
        write_item(store, item, fields(item))
        sizes[kept] = sum(p.stat().st_size for p in store.path.glob("*/c/**/*") if p.is_file() and "tas" in str(p))
    assert sizes[7] < 0.6 * sizes[None]
    with xr.open_zarr(store.path) as found:
        np.testing.assert_array_equal(
            found.tas.values, round_bits(np.ascontiguousarray(fields(item)[:, :, 0].swapaxes(0, 1)), 7)
        )


def test_a_marker_that_cannot_be_read_is_none(make_store):
    store = make_store()
    item = store.items()[0]
    write_item(store, item, fields(item))
    marker = store.path / MARKERS / f"{item.name}.json"
    good = json.loads(marker.read_text())
    for bad in (
        "",
        "{",
        "[]",
        json.dumps(good | {"files": {"../../x": None}}),
        json.dumps(good | {"files": {"tas": 3}}),
    ):
        marker.write_text(bad)
        assert read_marker(store, item) is None
        assert item in store.pending()
    write_item(store, item, fields(item))
    assert store.is_complete(item)


def test_open_store_complains(make_store, tmp_path):
    with pytest.raises(DataError, match=r"absent: no such store"):
        open_store(tmp_path / "absent")
    with pytest.raises(DataError, match="is not a store made by `subgrid`"):
        open_store(tmp_path)
    record = make_store().path / RECORD
    evil = record.read_text().replace('"tas"', '"../../tas"')
    record.write_text(evil)
    with pytest.raises(DataError, match=r"cannot be used \(.*the name '../../tas' cannot be used"):
        open_store(tmp_path / "out.zarr")
    record.write_text("{")
    with pytest.raises(DataError, match="make the store again"):
        open_store(tmp_path / "out.zarr")


def test_links_inside_a_store_are_not_followed_out(make_store, tmp_path):
    store = make_store()
    (tmp_path / "elsewhere").mkdir()
    (store.path / "tas" / "c").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match="leads out of the store"):
        write_item(store, store.items()[0], fields(store.items()[0]))
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert len(store.pending()) == len(store.items())


def test_disk_that_is_full_at_the_marker(make_store, monkeypatch):
    store = make_store()
    first, second = store.items()[:2]
    write_item(store, first, fields(first))
    sync, calls = os.fsync, []

    def full_at_third_file(descriptor):
        calls.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        if sum(ASIDE in call and not os.path.isdir(call) for call in calls) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        sync(descriptor)

    monkeypatch.setattr(files.os, "fsync", full_at_third_file)
    with pytest.raises(OutputError, match="no space left on the disk; 1 of 12 work items are complete"):
        write_item(store, second, fields(second))
    monkeypatch.undo()
    assert [store.is_complete(item) for item in (first, second)] == [True, False]
    assert status(store.path).damage == ()
    assert list((store.path / ASIDE).iterdir()) == []


def write_all(store: Store, items: list[WorkItem]) -> None:
    for item in items:
        write_item(store, item, fields(item, n_variables=1))


def test_full_disk(tmp_path, make_store):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", disk]
    if os.geteuid() != 0 or subprocess.run(mount).returncode != 0:
        pytest.skip("a full disk needs the right to mount a small tmpfs")
    try:
        # An item takes two pages of 4 kB, its chunk and its marker: fewer than 50 of 120 fit beside the template.
        options = {"variables": {"tas": {}}, "chunks": {"time": 4}, "shards": None, "n_times": 480}
        store = make_store("disk/out.zarr", **options)
        with pytest.raises(OutputError, match=r"out\.zarr: no space left on the disk; \d+ of 120 work") as caught:
            write_all(store, store.items())
        done = [item for item in store.items() if store.is_complete(item)]
        assert f"; {len(done)} of 120" in str(caught.value) and done
        found = status(store.path)
        assert (found.n_done, found.damage) == (len(done), ())
        with xr.open_zarr(store.path) as dataset:
            for item in done:
                values = dataset.tas.isel(time=slice(*item.time)).values
                np.testing.assert_array_equal(values, fields(item, n_variables=1)[:, :, 0].swapaxes(0, 1))
        assert list((store.path / ASIDE).iterdir()) == []
        # With room again, the same loop ends.
        subprocess.run(["mount", "-o", "remount,size=8m", disk], check=True)
        write_all(store, store.pending())
        assert status(store.path).is_complete
        with pytest.raises(OSError, match="No space left"):
            (disk / "filler").write_bytes(bytes(2**23))
        with pytest.raises(OutputError, match=r"other\.zarr: no space left on the disk; nothing was written"):
            make_store("disk/other.zarr", **options)
        assert sorted(p.name for p in disk.iterdir()) == ["filler", "out.zarr"]
    finally:
        subprocess.run(["umount", disk], check=True)
