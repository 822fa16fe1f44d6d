"""Runners: the same bits from all of them, whatever is killed, and one clear sentence where that cannot be."""

import logging
import multiprocessing
import os
import random
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import toy_sampler

from subgrid.data.store import MARKERS, OutputError
from subgrid.execution.health import status
from subgrid.execution.runners import (
    Dask,
    Local,
    Serial,
    Slice,
    WorkerDied,
    connect,
    local_cluster,
    parse_scheduler,
    run,
    run_dask,
    run_serial,
)
from subgrid.execution.sampling import loader_of
from subgrid.execution.store import ASIDE

from .conftest import SPACE, array_digests, chunk_digests

SHAPE = [2, *SPACE]


@pytest.fixture(scope="module")
def said():
    """All that dask logs."""
    records: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = records.append
    logging.getLogger("distributed").addHandler(handler)
    yield records
    logging.getLogger("distributed").removeHandler(handler)


@pytest.fixture(scope="module")
def two_workers(said):
    with local_cluster(2) as client:
        yield client


@pytest.fixture(scope="module")
def spawn():
    """Processes that start quickly, from one that has imported what they need but not started JAX."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["toy_sampler", "zarr", "xarray"])

    def start(store, loader, scheduler="serial"):
        process = context.Process(target=toy_sampler.run_store, args=(str(store.path), loader, scheduler))
        process.start()
        return process

    return start


def n_marked(store):
    return len(list((store.path / MARKERS).glob("*.json")))


def contents(store):
    assert status(store.path).is_complete
    assert list((store.path / ASIDE).iterdir()) == []
    return chunk_digests(store.path), array_digests(store.path)


def test_every_runner_gives_the_same_bits(make_store, two_workers, tmp_path):
    loader = loader_of(toy_sampler.load_convolved, shape=SHAPE, log=str(tmp_path / "cores"))
    serial, slices, workers = (make_store(f"{name}.zarr") for name in ("serial", "slices", "workers"))
    assert run(serial, loader, Serial()) == 12
    assert [run(slices, loader, parse_scheduler(f"slice:{i}/3")) for i in (2, 0, 1)] == [4, 4, 4]
    assert run_dask(workers, loader, two_workers) == 12
    assert contents(serial) == contents(slices) == contents(workers)
    # The two workers share the cores out: neither may use one of the other's, if there are two.
    *_, first, second = (tmp_path / "cores").read_text().splitlines()
    assert len(os.sched_getaffinity(0)) == 1 or not set(eval(first)) & set(eval(second))


def test_dask_tells_nothing_but_warnings(two_workers, said, make_store):
    """Its start, a run and a client that comes and goes are told at the level of INFO otherwise."""
    run_dask(make_store(), loader_of(toy_sampler.load_gaussian, shape=SHAPE), two_workers)
    with connect(two_workers.scheduler.address):
        pass
    assert [record.getMessage() for record in said if record.levelno < logging.WARNING] == []
    logging.getLogger("distributed.scheduler").warning("a warning")
    assert said[-1].getMessage() == "a warning"


@pytest.mark.slow
def test_killed_at_random_moments_and_resumed(make_store, spawn):
    loader = loader_of(toy_sampler.load_gaussian, shape=SHAPE, pause=0.04)
    whole, killed = make_store("whole.zarr", n_times=80), make_store("killed.zarr", n_times=80)
    run(whole, loader_of(toy_sampler.load_gaussian, shape=SHAPE), Serial())
    seed = random.randrange(10**6)  # another every time; shown where the test fails
    moments = random.Random(seed)
    for kill in range(5):
        process = spawn(killed, loader)
        enough = n_marked(killed) + moments.randint(1, 5)
        while process.is_alive() and n_marked(killed) < enough:
            time.sleep(0.01)
        time.sleep(moments.uniform(0, 0.06))  # an item takes about that long: anywhere in it
        process.kill()
        process.join()
        assert process.exitcode == -9, f"kill {kill} came late; seed {seed}"
        assert status(killed.path).damage == (), f"seed {seed}"
    assert 0 < len(killed.pending()) < 40
    run(killed, loader, Serial())
    assert contents(killed) == contents(whole), f"seed {seed}"


def test_two_processes_writing_to_one_store(make_store, spawn):
    loader = loader_of(toy_sampler.load_gaussian, shape=SHAPE)
    alone, shared = make_store("alone.zarr"), make_store("shared.zarr")
    run(alone, loader, Serial())
    writers = [spawn(shared, loader) for _ in range(2)]
    for writer in writers:
        writer.join(60)
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert contents(shared) == contents(alone)


def test_a_dying_worker_is_replaced(make_store, two_workers, tmp_path):
    loader = loader_of(toy_sampler.load_deadly, shape=SHAPE, time_index=9, deaths=str(tmp_path / "deaths"), n_deaths=1)
    store, whole = make_store("out.zarr", n_members=2), make_store("whole.zarr", n_members=2)
    assert run_dask(store, loader, two_workers) == 6
    assert len(list((tmp_path / "deaths").iterdir())) == 1
    run(whole, loader_of(toy_sampler.load_gaussian, shape=SHAPE), Serial())
    assert contents(store) == contents(whole)


@pytest.mark.slow
def test_an_item_that_kills_its_workers_is_named(make_store, two_workers, tmp_path):
    options = {"shape": SHAPE, "time_index": 9, "deaths": str(tmp_path / "deaths")}
    store = make_store(n_members=2)
    with pytest.raises(
        WorkerDied, match=r"out\.zarr: 3 workers died over .*times 8 to 11, members 0 to 1.* run it again"
    ):
        run_dask(store, loader_of(toy_sampler.load_deadly, **options, n_deaths=99), two_workers)
    assert len(list((tmp_path / "deaths").iterdir())) == 3
    assert status(store.path).damage == ()
    assert store.items()[2] in store.pending()
    # The cluster still works, and what was done is not done again.
    left = len(store.pending())
    assert run_dask(store, loader_of(toy_sampler.load_gaussian, shape=SHAPE), two_workers) == left
    assert status(store.path).is_complete


def test_failures_of_workers_come_through(make_store, two_workers):
    store = make_store()
    loader = loader_of(toy_sampler.load_failing, shape=SHAPE, value="inf")
    with pytest.raises(FloatingPointError, match="at time 5, member 0 is not finite"):
        run_dask(store, loader, two_workers)


def test_a_cluster_that_runs_already(make_store, two_workers):
    store = make_store()
    reports = []
    address = two_workers.scheduler.address.replace("tcp://", "dask://")
    loader = loader_of(toy_sampler.load_gaussian, shape=SHAPE)
    assert run(store, loader, parse_scheduler(address), progress=lambda *report: reports.append(report)) == 12
    assert reports == [(i, 12) for i in range(1, 13)]
    assert run(store, loader, parse_scheduler(address)) == 0


def test_no_cluster_there(monkeypatch):
    monkeypatch.setattr("subgrid.execution.runners.CONNECT_SECONDS", 1)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(OutputError, match=f"no dask scheduler answers at {address}"), connect(address):
        pass


def test_done_meanwhile_is_left_out(make_store):
    store = make_store()
    loader = loader_of(toy_sampler.load_gaussian, shape=SHAPE)
    pending = store.pending()
    assert run(store, loader, Slice(0, 2)) == 6
    assert run_serial(store, loader, pending) == 6
    assert run(store, loader, Serial()) == 0


@pytest.mark.parametrize(
    ("text", "scheduler"),
    [
        ("serial", Serial()),
        ("local:2", Local(2)),
        ("slice:0/1", Slice(0, 1)),
        ("slice:2/10", Slice(2, 10)),
        ("dask://node-1.cluster:8786", Dask("tcp://node-1.cluster:8786")),
        ("dask://[::1]:8786", Dask("tcp://[::1]:8786")),
    ],
)
def test_schedulers(text, scheduler):
    assert parse_scheduler(text) == scheduler


@pytest.mark.parametrize(
    "text",
    ["", "Serial", "local", "local:0", "local:-1", "local:two", "slice:3/3", "slice:1", "slice:0/0", "dask://", "dask://h",
     "dask://h:0", "dask://h:99999", "dask://h:80/x", "tcp://h:80", "serial "],
)  # fmt: skip
def test_schedulers_that_do_not_exist(text):
    with pytest.raises(ValueError, match=r"is not known; use serial, local:N .*, slice:i/n .* or dask://host:port"):
        parse_scheduler(text)


@pytest.mark.slow
def test_memory_is_that_of_an_item(make_store):
    """A slice of an ensemble of 57 GB from an archive as large, both never there as a whole."""
    shape = (128, 192)
    archive = {"n_times": 36_500, "shape": [1, *shape], "factor": 4}
    assert 4 * 36_500 * (16 * 128 * 192) == 4 * 36_500 * (4 * 128) * (4 * 192) > 50e9  # bytes, of either
    from .conftest import coordinates

    store = make_store(
        coordinates=coordinates(archive["n_times"], shape),
        variables={"tas": {}},
        n_members=16,
        chunks=None,
        shards=None,
    )
    code = f"import toy_sampler; toy_sampler.write_and_time({str(store.path)!r}, **{archive!r})"
    path = os.pathsep.join([str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    outcome = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | {"PYTHONPATH": path}, check=False
    )
    assert outcome.returncode == 0, outcome.stderr
    _, peak, done = map(float, outcome.stdout.split())
    assert done >= 1
    assert peak < 2048
