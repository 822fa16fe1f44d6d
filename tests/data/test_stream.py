"""Streams: every sample once an epoch, the same batch for the same step, bounded memory, faults with file and time."""

import subprocess
import sys
import threading
from pathlib import Path

import jax.random as jr
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings, strategies as st

from subgrid.data.fields import DataError
from subgrid.data.plain import open_plain
from subgrid.data.stream import StreamedFields, stream_batches


def archive(n=23, chunk=4, members=None):
    """A sample holds its own number in each cell of "a", and minus it in "b"."""
    numbers = np.arange(n * (members or 1), dtype=np.float32).reshape(*([members] if members else []), n)
    values = np.broadcast_to(numbers[..., None, None], (*numbers.shape, 2, 3)).copy()
    dims = (*(["realization"] if members else []), "time", "lat", "lon")
    dataset = xr.Dataset({"a": (dims, values), "b": (dims, -values)}, {"time": np.arange(n), "lat": [10.0, 20.0]})
    for variable in ("a", "b"):
        dataset[variable].encoding["chunks"] = (*([1] if members else []), chunk, 2, 3)
    return dataset


def numbers(stream, steps):
    return np.concatenate([stream(step)[:, 0, 0, 0] for step in steps]).astype(int)


SAMPLE = 2 * 2 * 3 * 4  # bytes: variables, cells, float32


@settings(max_examples=25, deadline=None)
@given(
    n=st.integers(1, 40),
    chunk=st.integers(1, 12),
    rows=st.integers(1, 9),
    blocks=st.integers(1, 4),
    members=st.sampled_from([None, 1, 3]),
    seed=st.integers(0, 2**31),
)
def test_every_sample_comes_once_an_epoch(n, chunk, rows, blocks, members, seed):
    memory, total = 2 * blocks * chunk * SAMPLE, n * (members or 1)
    stream = stream_batches(archive(n, chunk, members), ["a", "b"], batch_size=rows, key=jr.key(seed), memory=memory)
    drawn = numbers(stream, range(-(-2 * total // rows)))
    for epoch in (drawn[:total], drawn[total : 2 * total]):
        assert sorted(epoch) == list(range(total))


def test_channels_come_in_the_order_asked_for():
    batch = stream_batches(archive(), ["b", "a"], batch_size=5, key=jr.key(0))(3)
    assert batch.shape == (5, 2, 2, 3)
    assert batch.dtype == np.float32
    np.testing.assert_array_equal(batch[:, 0], -batch[:, 1])


def test_a_batch_is_a_function_of_key_and_step(tmp_path):
    archive().to_zarr(tmp_path / "a.zarr", zarr_format=3, consolidated=True)
    options = {"batch_size": 4, "memory": 4 * 4 * SAMPLE}

    def fresh(seed=0):
        return stream_batches(tmp_path / "a.zarr", ["a", "b"], key=jr.key(seed), **options)

    straight = fresh()
    batches = [straight(step) for step in range(20)]
    for step in (17, 3, 11):  # a resumed run asks for a late step first
        np.testing.assert_array_equal(fresh()(step), batches[step])
    assert not np.array_equal(fresh(1)(0), batches[0])
    epochs = numbers(fresh(), range(23)).reshape(4, 23)
    assert not np.array_equal(epochs[0], epochs[1])


def test_a_late_step_reads_one_window_and_the_next(monkeypatch):
    from subgrid.data import stream as module

    read, original = [], module.Blocks.read

    def remember(self, number):
        if len(self.lengths) == 100:  # streams of other tests may still be reading ahead
            read.append(number)
        return original(self, number)

    monkeypatch.setattr(module.Blocks, "read", remember)
    stream = stream_batches(archive(400), ["a"], batch_size=4, key=jr.key(0), memory=2 * 2 * 4 * SAMPLE // 2)
    stream(1000)
    stream.lanes[0].reader.shutdown(wait=True)
    assert len(read) <= 4  # two blocks a window


def test_windows_are_read_once_by_one_thread_and_no_more_than_two_are_held(monkeypatch):
    from subgrid.data import stream as module

    read, original = [], module.Blocks.read

    def remember(self, number):
        if len(self.lengths) == 10:  # as above
            read.append((number, threading.current_thread().name))
        return original(self, number)

    monkeypatch.setattr(module.Blocks, "read", remember)
    stream = stream_batches(archive(40), ["a"], batch_size=5, key=jr.key(0), memory=2 * 2 * 4 * SAMPLE // 2)
    held = [(stream(step), len(stream.lanes[0].loaded))[1] for step in range(8)]
    assert max(held) == 2
    stream.lanes[0].reader.shutdown(wait=True)
    assert sorted(number for number, _ in read[:10]) == list(range(10))
    assert {name.rsplit("_", 1)[0] for _, name in read} == {"subgrid-read"}


def test_the_parts_of_processes_make_the_whole_batch():
    options = {"batch_size": 8, "key": jr.key(3), "n_lanes": 4}
    whole = stream_batches(archive(), ["a", "b"], **options)
    for n in (1, 2, 4):
        parts = [whole.part(process, n) for process in range(n)]
        for step in (0, 5):
            np.testing.assert_array_equal(np.concatenate([part(step) for part in parts]), whole(step))
    assert not set(numbers(whole.part(0, 2), range(30))) & set(numbers(whole.part(1, 2), range(30)))
    with pytest.raises(ValueError, match="multiple of the number of processes, 3, got 4"):
        whole.part(0, 3)


def test_blocks_are_prepared_with_their_coordinates_and_masked():
    dataset, valid = archive(), xr.DataArray([[True, False, True]] * 2, dims=("lat", "lon"))
    dataset = dataset.where(valid)  # loses the chunks: blocks of the default size
    stream = stream_batches(
        dataset, ["a"], batch_size=23, key=jr.key(0), valid=valid, prepare=lambda block: block - block.time + 7
    )
    expected = np.broadcast_to([7.0, 0.0, 7.0], (23, 1, 2, 3))
    np.testing.assert_array_equal(stream(0), expected)


def test_a_missing_value_is_named_with_its_file_and_time(tmp_path):
    dataset = archive()
    dataset["b"][17, 1, 2] = np.nan
    dataset = dataset.assign_coords(time=np.datetime64("1990-01-01", "ns") + np.arange(23) * np.timedelta64(1, "D"))
    dataset.to_zarr(tmp_path / "broken.zarr", zarr_format=3, consolidated=True)
    stream = stream_batches(tmp_path / "broken.zarr", ["a", "b"], batch_size=23, key=jr.key(0))
    with pytest.raises(DataError, match=r"broken\.zarr.*: b is nan at time index 17 \(1990-01-18.*lat 1 \(20\.0\)"):
        stream(0)


def test_a_damaged_chunk_is_named(tmp_path):
    archive().to_zarr(tmp_path / "a.zarr", zarr_format=3, consolidated=True)
    chunk = next(p for p in (tmp_path / "a.zarr" / "a" / "c" / "2").rglob("*") if p.is_file())
    chunk.write_bytes(b"not a chunk")
    stream = stream_batches(tmp_path / "a.zarr", ["a"], batch_size=23, key=jr.key(0))
    with pytest.raises(DataError, match=r"a\.zarr: cannot be read at time indices 8 to 11"):
        stream(0)


def test_what_cannot_be_streamed_says_why(tmp_path):
    options = {"batch_size": 4, "key": jr.key(0)}
    with pytest.raises(DataError, match=r"none\.zarr: no such store"):
        stream_batches(tmp_path / "none.zarr", ["a"], **options)
    opened = archive()
    opened.encoding["source"] = "era5.nc"  # as xarray leaves it
    with pytest.raises(DataError, match=r"era5\.nc: no variable 'c'; it holds a, b"):
        stream_batches(opened, ["a", "c"], **options)
    with pytest.raises(DataError, match="the dataset: no variable 'c'"):
        stream_batches(archive(), ["c"], **options)
    with pytest.raises(DataError, match=r"b has dimensions .* and a"):
        stream_batches(archive().assign(b=archive().b.isel(lat=0)), ["a", "b"], **options)
    with pytest.raises(DataError, match=r"chunks of 4 samples take .* raise memory to 384 bytes"):
        stream_batches(archive(), ["a", "b"], memory=383, **options)
    with pytest.raises(ValueError, match="multiple of n_lanes = 3, got 4"):
        stream_batches(archive(), ["a"], n_lanes=3, **options)
    with pytest.raises(DataError, match="6 chunks of samples for 8 lanes"):
        stream_batches(archive(), ["a"], batch_size=8, key=jr.key(0), n_lanes=8)
    with pytest.raises(ValueError, match="valid must have the dimensions"):
        stream_batches(archive(), ["a"], valid=xr.DataArray(np.ones((2, 2), bool), dims=("lat", "lon")), **options)


def test_moments_in_one_pass_are_those_of_all_values_at_once(tmp_path):
    """Far from zero, where sums of squares would cancel: 273 K and a spread of .01 K in float32 steps of 3e-5 K."""
    values = (273 + 0.01 * np.random.default_rng(0).normal(size=(50, 2, 3))).astype(np.float32)
    dataset = xr.Dataset({"a": (("time", "lat", "lon"), values)})
    dataset.to_zarr(tmp_path / "a.zarr", zarr_format=3, consolidated=True, encoding={"a": {"chunks": (7, 2, 3)}})
    dataset.to_netcdf(tmp_path / "a.nc")
    for name in ("a.zarr", "a.nc"):
        fields = StreamedFields(tmp_path / name, "a")
        assert fields.shape == (50, 1, 2, 3)
        mean, std = fields.moments()
        np.testing.assert_allclose(mean, [values.mean(dtype=np.float64)], rtol=1e-12)
        np.testing.assert_allclose(std, [values.std(dtype=np.float64)], rtol=1e-9)


RANGES = {
    "valid_range": {"valid_range": np.array([-5.0, 30.0])},
    "valid_min": {"valid_min": -5.0},
    "valid_max": {"valid_max": 30.0},
    "packed": {"valid_range": np.array([-50, 300], np.int16)},
    "given": {},
    "nothing": {},
}


@pytest.mark.parametrize("name", RANGES)
def test_what_is_missing_at_once_is_missing_from_the_disk(name, tmp_path):
    """Of 50 samples, some beyond the range of -5 to 30: from the disk they are refused, others are alike."""
    values = np.random.default_rng(0).uniform(-4, 29, (50, 2, 3)).round(1)
    values[31, 1, 2], values[37, 0, 0] = (-9.0, 40.0) if name != "valid_max" else (40.0, 41.0)
    packing = (
        {"dtype": "int16", "scale_factor": 0.1, "_FillValue": -32768} if name == "packed" else {"dtype": "float64"}
    )
    dataset = xr.Dataset({"a": (("time", "y", "x"), values, RANGES[name])})
    dataset.to_netcdf(tmp_path / "a.nc", encoding={"a": {**packing, "chunksizes": (5, 2, 3)}})
    missing = (-9.0,) if name == "given" else ()
    whole = open_plain(tmp_path / "a.nc", {"a": {"missing": missing}})["a"].values.astype(np.float32)
    streamed = StreamedFields(tmp_path / "a.nc", "a", missing=(missing,)).blocks
    there = np.isfinite(whole).all((1, 2)).reshape(10, 5).all(1)
    assert there.sum() == {"valid_min": 9, "given": 9, "nothing": 10}.get(name, 8)
    for block in range(10):
        if there[block]:
            np.testing.assert_array_equal(streamed.read(block)[:, 0], whole[5 * block : 5 * block + 5])
        else:
            with pytest.raises(DataError, match=r"a is nan at time index 3[17]"):
                streamed.read(block)


def test_lanes_of_streamed_fields_suit_one_to_eight_processes(tmp_path):
    archive(64, 4).to_zarr(tmp_path / "a.zarr", zarr_format=3, consolidated=True)
    whole = StreamedFields(tmp_path / "a.zarr", "a").batches(16, key=jr.key(0))
    for n in (2, 8):
        parts = [whole.part(process, n)(3) for process in range(n)]
        np.testing.assert_array_equal(np.concatenate(parts), whole(3))


MEASURE = r"""
import re, sys
import dask.array as da, jax.random as jr, numpy as np, xarray as xr
from subgrid.data.stream import stream_batches
n = int(sys.argv[1])
lazy = da.random.default_rng(0).random((n, 64, 64), chunks=(64, 64, 64), dtype="float32")
dataset = xr.Dataset({"a": (("time", "lat", "lon"), lazy)})
stream = stream_batches(dataset, ["a"], batch_size=32, key=jr.key(0), memory=2**24)
for step in range(150):
    stream(step)
print(re.search(r"VmHWM:\s+(\d+)", open("/proc/self/status").read())[1])  # ru_maxrss would count the parent's too
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
def test_memory_does_not_grow_with_the_archive():
    # 64 MiB and 1 GiB of values, both windows in 16 MiB: 150 batches read 75 chunks of 1 MiB of either.
    peak = [
        int(subprocess.run([sys.executable, "-c", MEASURE, str(n)], capture_output=True, check=True, text=True).stdout)
        for n in (4096, 65536)
    ]
    # In KiB. The libraries are most of it; 10 % of about 300 MiB allow for the larger dask graph and the allocator.
    assert peak[1] < 1.1 * peak[0]
