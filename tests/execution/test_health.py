"""Status: what is done, and what is no longer as it was written."""

import shutil
from datetime import UTC, datetime

import numpy as np
import pytest
import toy_sampler

from subgrid.data.fields import DataError
from subgrid.execution.health import quick_status, repair, status
from subgrid.execution.runners import run_serial
from subgrid.execution.sampling import loader_of

from .conftest import SPACE, chunk_digests

LOADER = loader_of(toy_sampler.load_gaussian, shape=[2, *SPACE])


def test_progress_by_time_and_member(make_store):
    store = make_store()
    before = status(store.path)
    assert (before.n_items, before.n_done, before.last_written, before.is_complete) == (12, 0, None, False)
    start = datetime.now(UTC)
    run_serial(store, LOADER, [store.items()[i] for i in (0, 1, 5)])
    for found in (status(store.path), quick_status(store.path)):
        assert found.done.tolist() == [[True, True], [False, False], [False, True], *[[False, False]] * 3]
        assert found.member_blocks == ((0, 2), (2, 4))
        assert found.time_blocks[2] == (8, 12)
        # The calendar has no 29 February: the ninth day from 20 February is 28 February, the twelfth 3 March.
        assert found.time_labels[2] == ("1999-02-28", "1999-03-03")
        assert found.configuration_hash == store.layout.hash
        assert found.last_written is not None and start <= found.last_written <= datetime.now(UTC)
        assert found.damage == ()


def test_damage_is_found_and_mended(make_store):
    store = make_store()
    run_serial(store, LOADER, store.items())
    whole = chunk_digests(store.path)
    flipped, short, gone = (store.path / name for name in ("tas/c/0/1/0/0", "pr/c/1/2/0/0", "pr/c/1/3/0/0"))
    content = bytearray(flipped.read_bytes())
    content[len(content) // 2] ^= 1
    flipped.write_bytes(content)
    short.write_bytes(short.read_bytes()[:-5])
    gone.unlink()

    found = status(store.path)
    reasons = {damage.file: (damage.item, damage.reason) for damage in found.damage}
    items = store.items()
    size = len(content)
    assert reasons.keys() == {"tas/c/0/1/0/0", "pr/c/1/2/0/0", "pr/c/1/3/0/0"}
    assert reasons["tas/c/0/1/0/0"] == (items[2], "corrupt: its digest is another")
    assert reasons["pr/c/1/2/0/0"][0] == items[5] and "bytes instead of" in reasons["pr/c/1/2/0/0"][1]
    assert reasons["pr/c/1/3/0/0"] == (items[7], "missing")
    assert (found.n_done, found.is_complete, size) == (9, False, len(content))
    # Lengths tell of two of them; a flipped bit takes a digest.
    assert len(quick_status(store.path).damage) == 2
    assert store.pending() == [items[5], items[7]]

    assert repair(found) == 3
    assert store.pending() == [items[2], items[5], items[7]]
    run_serial(store, LOADER, store.pending())
    assert status(store.path).is_complete
    assert chunk_digests(store.path) == whole


def test_a_file_that_should_not_be_there(make_store):
    store = make_store(variables={"tas": {}})
    item = store.items()[0]
    run_serial(store, loader_of(toy_sampler.load_gaussian, shape=[1, *SPACE]), [item])
    shutil.rmtree(store.path / "tas" / "c")
    assert [d.reason for d in status(store.path).damage] == ["missing"]


def test_a_store_whose_time_axis_cannot_be_read(make_store):
    store = make_store()
    (store.path / "time" / "c" / "0").write_bytes(b"rubbish")
    with pytest.raises(DataError, match=r"out\.zarr: its time axis cannot be read \(.*\); make the store again"):
        status(store.path)


def test_no_store(tmp_path):
    with pytest.raises(DataError, match="no such store"):
        status(tmp_path / "absent.zarr")


def test_reading_costs_nothing(make_store):
    store = make_store()
    run_serial(store, LOADER, store.items()[:2])
    before = {p: (p.stat().st_mtime_ns, p.stat().st_size) for p in store.path.rglob("*")}
    status(store.path)
    assert {p: (p.stat().st_mtime_ns, p.stat().st_size) for p in store.path.rglob("*")} == before
    assert isinstance(status(store.path).done, np.ndarray)
