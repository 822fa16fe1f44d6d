"""Who does the work items: this process, a slice of an array job, or dask workers. All end with the same bits.

Every runner does what is pending, item by item, so any of them resumes what another began.
"""

import functools
import logging
import os
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from subgrid.data.fields import DataError
from subgrid.data.store import OutputError
from subgrid.execution.sampling import Loader, load, run_item
from subgrid.execution.store import Store, open_store, tidy
from subgrid.execution.work_items import WorkItem, share
from subgrid.training.progress import starts_at
from subgrid.types import ProgressReport

if TYPE_CHECKING:
    from distributed import Client, Future

"""`progress(done, total)`, in items of this run, called after each."""

CONNECT_SECONDS = 30
DEATHS = 3
"""Workers that may die over one item before it is given up: one may be bad luck, three are the item's fault."""

SUSPECT_SECONDS = 0.5
"""After an item is given up for its workers' deaths: an item that waited on the same workers each time is suspected as
well by dask, and is named with it if that is known within this time."""


class WorkerDied(ChildProcessError):
    """Several workers died over one item; the message names it, and any that waited on the same workers."""


@dataclass(frozen=True)
class Serial:
    """All items, one after the other, in this process."""


@dataclass(frozen=True)
class Slice:
    """Every n-th item from `index` on, in this process: one job of an array."""

    index: int
    n: int


@dataclass(frozen=True)
class Local:
    """A dask cluster of `n` processes on this machine, each with its share of the cores, started and stopped here."""

    n: int


@dataclass(frozen=True)
class Dask:
    """A dask cluster that runs already; its workers see the store and the model under the same paths."""

    address: str


Scheduler: TypeAlias = Serial | Slice | Local | Dask


def parse_scheduler(text: str) -> Scheduler:
    """The scheduler that a command line names.

    Args:
        text: "serial"; "local:N", a cluster of N processes on this machine; "slice:i/n", every n-th item from i (0 to
            n − 1) on; or "dask://host:port", a cluster that runs already.

    Returns:
        The scheduler.

    Raises:
        ValueError: for anything else.

    Examples:
        >>> parse_scheduler("slice:0/10")
        Slice(index=0, n=10)
    """
    if text == "serial":
        return Serial()
    if found := re.fullmatch(r"local:([1-9]\d*)", text):
        return Local(int(found[1]))
    if (found := re.fullmatch(r"slice:(\d+)/([1-9]\d*)", text)) and int(found[1]) < int(found[2]):
        return Slice(int(found[1]), int(found[2]))
    if (found := re.fullmatch(r"dask://([\w.-]+|\[[\da-fA-F:]+\]):(\d{1,5})", text)) and 0 < int(found[2]) < 2**16:
        return Dask(f"tcp://{found[1]}:{int(found[2])}")
    raise ValueError(
        f"scheduler {text!r} is not known; use serial, local:N (N processes), slice:i/n (i from 0 to n - 1) "
        "or dask://host:port."
    )


def run(store: Store, loader: Loader, scheduler: Scheduler, *, progress: ProgressReport | None = None) -> int:
    """Does what is pending of a store.

    Args:
        store: to fill.
        loader: of the sampler (`loader_of`).
        scheduler: from `parse_scheduler`.
        progress: `progress(done, total)`, in items of this run.

    Returns:
        How many items were done now. Errors are those of the runner and `run_item`; what was complete stays so.

    Examples:
        >>> run(store, loader_of(load_sampler, folder="run"), parse_scheduler("local:2"))
    """
    match scheduler:
        case Serial():
            return run_serial(store, loader, store.pending(), progress=progress)
        case Slice(index, n):
            return run_slice(store, loader, index, n, progress=progress)
        case Local(n):
            with local_cluster(n) as client:
                return run_dask(store, loader, client, progress=progress)
        case Dask(address):
            with connect(address) as client:
                return run_dask(store, loader, client, progress=progress)


def run_serial(
    store: Store, loader: Loader, items: Sequence[WorkItem], *, progress: ProgressReport | None = None
) -> int:
    """Items one after the other in this process; one that another process completes meanwhile is left out.

    It returns how many were done here. Errors are those of `run_item`, at the first item that fails.

    Examples:
        >>> run_serial(store, loader, store.pending())
    """
    tidy(store)
    starts_at(0, len(items))
    done = 0
    for number, item in enumerate(items, start=1):
        if not store.is_complete(item):
            run_item(item, load(loader), store)
            done += 1
        if progress:
            progress(number, len(items))
    return done


def run_slice(store: Store, loader: Loader, index: int, n: int, *, progress: ProgressReport | None = None) -> int:
    """What is pending of one slice; slices are cut from all items, so they do not shift when some are done.

    Errors are those of `run_serial`, and a `ValueError` unless 0 ≤ index < n.

    Examples:
        >>> run_slice(store, loader, int(os.environ["SLURM_ARRAY_TASK_ID"]), 10)
    """
    items = [item for item in share(store.items(), index, n) if not store.is_complete(item)]
    return run_serial(store, loader, items, progress=progress)


def run_dask(store: Store, loader: Loader, client: "Client", *, progress: ProgressReport | None = None) -> int:
    """What is pending, item by item, by the workers of a dask cluster; a worker that dies is replaced by another.

    It returns how many were done.

    Raises:
        WorkerDied: for an item that kills its workers; and as `run_item`. At the first item that fails, the others are
            cancelled.

    Examples:
        >>> with connect("tcp://node1:8786") as client:
        ...     run_dask(store, loader, client)
    """
    from distributed import as_completed

    tidy(store)
    items = store.pending()
    starts_at(0, len(items))
    n_local = _n_local(client)
    # Not pure: dask must not take an item for done because it once saw one of that name.
    futures = client.map(_run_on_worker, items, path=str(store.path), loader=loader, n_local=n_local, pure=False)
    item_of = dict(zip(futures, items, strict=True))
    try:
        for number, future in enumerate(as_completed(futures, loop=client.loop), start=1):
            _raise_failure(future, item_of, store)
            if progress:
                progress(number, len(items))
    finally:
        client.cancel(futures)
    return len(items)


@contextmanager
def connect(address: str) -> "Iterator[Client]":
    """A client of a dask cluster that runs already.

    Raises:
        OutputError: if none answers.
    """
    from distributed import Client

    with _quiet():
        try:
            client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
        except OSError as error:
            raise OutputError(f"no dask scheduler answers at {address}; start one with `dask scheduler`.") from error
        with client:
            yield client


@contextmanager
def local_cluster(n: int) -> "Iterator[Client]":
    """A client of a new dask cluster of `n` processes on this machine, spawned, one thread and a share of cores each.

    Forked processes would inherit JAX's threads half-way and hang. Spawned ones import the script that starts them, so
    a script needs the guard `if __name__ == "__main__":`.

    Examples:
        >>> with local_cluster(2) as client:
        ...     run_dask(store, loader, client)
    """
    import dask.config
    from distributed import Client, LocalCluster

    settings = {
        "distributed.worker.multiprocessing-method": "spawn",
        "distributed.scheduler.allowed-failures": DEATHS - 1,
        "distributed.scheduler.worker-saturation": 1.0,  # no second item waits on a worker: it would be suspected too
    }
    # What fails on a worker is raised here, in a sentence: its log would say it before, with a traceback.
    options = {"dashboard_address": None, "memory_limit": 0, "silence_logs": logging.CRITICAL}
    with (
        _quiet(),
        dask.config.set(settings),
        LocalCluster(n_workers=n, threads_per_worker=1, processes=True, **options) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what dask says of its own course, below warnings.

    `silence_logs` is not enough: in this process it is of dask's own handler, which dask does not make where the root
    has one, and Orbax makes one there as it is imported.
    """
    import distributed  # noqa: F401  # pyright: ignore[reportUnusedImport]  (sets its loggers' levels, once)

    logger = logging.getLogger("distributed")
    before = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(before)


def _run_on_worker(item: WorkItem, *, path: str, loader: Loader, n_local: int) -> None:
    from distributed import get_worker

    worker = get_worker()
    if n_local:
        _take_cores(int(worker.name), n_local)
    try:
        store = open_store(path)
    except DataError as error:
        raise DataError(f"{error} Worker {worker.address} must see it under the same path.") from error
    if not store.is_complete(item):
        run_item(item, load(loader), store)


@functools.cache
def _take_cores(index: int, n: int) -> None:
    """This worker's share of the machine's cores, taken before JAX starts and counts them.

    Without it every worker computes on all cores, and they wait for each other.
    """
    if hasattr(os, "sched_setaffinity"):  # Linux; elsewhere workers share all cores, slower but with the same bits
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, cores[index::n] or [cores[index % len(cores)]])


def _n_local(client: "Client") -> int:
    """Workers of a cluster that this process started, or 0."""
    from distributed import LocalCluster

    return len(client.cluster.workers) if isinstance(client.cluster, LocalCluster) else 0


def _raise_failure(future: "Future", item_of: dict["Future", WorkItem], store: Store) -> None:
    from distributed import KilledWorker

    error: Any = future.exception()
    if isinstance(error, KilledWorker):
        time.sleep(SUSPECT_SECONDS)
        failed = [f for f in item_of if f.status == "error"]
        suspects = " or ".join(str(item_of[f]) for f in failed if isinstance(f.exception(), KilledWorker))
        raise WorkerDied(
            f"{store.path}: {error.allowed_failures + 1} workers died over {suspects} (the last was "
            f"{error.last_worker.address}); give workers more memory or make work items smaller, and run it again."
        ) from error
    if error is not None:
        raise error
