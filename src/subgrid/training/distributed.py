"""Training on several devices and hosts: one mesh, whose only axis splits the batch; all else is held by everyone.

The same program runs in every process; the global batch, and with it the loss, are the same for every layout.
"""

import re
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from subgrid.types import PyTree


def join_processes(coordinator: str | None = None, *, n_processes: int | None = None, process: int | None = None):
    """Makes this process one of several that train together; call it before anything else touches JAX.

    Under SLURM, Open MPI and on TPUs JAX finds all three arguments by itself.

    Args:
        coordinator: "host:port" of process 0.
        n_processes: number of all.
        process: number of this one, from 0.

    Returns:
        Nothing.

    Raises:
        RuntimeError: if JAX has been used already; or, after five minutes, if a process is missing.

    Examples:
        >>> join_processes("node0:12345", n_processes=2, process=0)
        >>> jax.device_count()  # those of both processes
    """
    jax.config.update("jax_cpu_collectives_implementation", "gloo")  # used by CPUs only, which have no other over hosts
    jax.distributed.initialize(coordinator, n_processes, process)


def join_from_text(text: str) -> None:
    """`join_processes` as a command line says it, "auto" or "host:port,i/n".

    Args:
        text: "auto" where SLURM, Open MPI or a TPU pod tell all by themselves; else the address of process 0, the
            number i of this process, from 0 to n − 1, and the number n of all.

    Raises:
        ValueError: for anything else.
        RuntimeError: as `join_processes`.

    Examples:
        >>> join_from_text("node0:12345,1/2")
    """
    if text == "auto":
        return join_processes()
    found = re.fullmatch(r"([^\s,]+:\d+),(\d+)/([1-9]\d*)", text)
    if not found or int(found[2]) >= int(found[3]):
        raise ValueError(
            f'the processes to join must be given as "auto" or as "host:port,i/n" with i < n, got {text!r}.'
        )
    return join_processes(found[1], n_processes=int(found[3]), process=int(found[2]))


def is_first_process() -> bool:
    """Whether this process is the one that writes logs.

    Returns:
        True in process 0, and where there is one process only.
    """
    return jax.process_index() == 0


def any_process(flag: bool) -> bool:
    """Whether the flag is set in any process; all must ask.

    Args:
        flag: of this process.

    Returns:
        The same answer in every process.
    """
    if jax.process_count() == 1:
        return flag
    from jax.experimental.multihost_utils import process_allgather

    return bool(np.any(process_allgather(np.asarray(flag))))


def wait_for_all(name: str) -> None:
    """Waits until all processes are here, as where the first one has written what the others are to read.

    Args:
        name: of the place, the same in all.
    """
    if jax.process_count() > 1:
        from jax.experimental.multihost_utils import sync_global_devices

        sync_global_devices(name)


def require_same_step(step: int) -> None:
    """Makes sure that all processes go on from the same step; all must call it.

    Args:
        step: of this process.

    Raises:
        ValueError: if the steps differ, as where each process has a checkpoint folder of its own.
    """
    if jax.process_count() == 1:
        return
    from jax.experimental.multihost_utils import process_allgather

    steps = np.unique(process_allgather(np.asarray(step)))
    if len(steps) > 1:
        raise ValueError(
            f"the processes found checkpoints of different steps ({', '.join(map(str, steps))}); "
            "put the folder on a disk that all of them share."
        )


def mesh() -> Mesh:
    """All devices along one axis "batch", those of a process side by side, as are its rows of the batch.

    Returns:
        A mesh of `jax.device_count()` devices.
    """
    devices = sorted(jax.devices(), key=lambda device: (device.process_index, device.id))
    return Mesh(np.array(devices), ("batch",))


def replicated() -> NamedSharding | None:
    """The sharding of what every device holds.

    Returns:
        A sharding over `mesh()`; None where there is one device.
    """
    return NamedSharding(mesh(), PartitionSpec()) if jax.device_count() > 1 else None


def split_batch() -> Callable[[PyTree], PyTree]:
    """A function that splits the leading axis of a batch over all devices, inside a compiled step.

    Returns:
        A function of the batch, a tree of arrays; the identity where there is one device.
    """
    if jax.device_count() == 1:
        return lambda batch: batch
    sharding = NamedSharding(mesh(), PartitionSpec("batch"))
    return lambda batch: jax.tree.map(lambda leaf: jax.lax.with_sharding_constraint(leaf, sharding), batch)


def to_devices(stacked: PyTree) -> PyTree:
    """Host arrays on the devices, rows split; each process hands in its own rows of the batch.

    Args:
        stacked: a tree of host arrays (step, row, …).

    Returns:
        The tree of device arrays, the rows of all processes one after the other.

    Raises:
        ValueError: if the rows of a process cannot be split over its devices.
    """
    if jax.device_count() == 1:
        return jax.device_put(stacked)
    n, sharding = jax.local_device_count(), NamedSharding(mesh(), PartitionSpec(None, "batch"))

    def place(leaf: np.ndarray) -> jax.Array:
        if leaf.shape[1] % n:
            raise ValueError(
                f"a batch of {leaf.shape[1]} rows cannot be split over {n} devices; use a multiple of their number."
            )
        return jax.make_array_from_process_local_data(sharding, leaf)

    return jax.tree.map(place, stacked)


def to_host_and_back(tree: PyTree) -> PyTree:
    """Replicated arrays of all processes as arrays of this one, which it can use alone.

    Args:
        tree: of replicated arrays; leaves that are None stay.

    Returns:
        The tree; as it is where there is one process.
    """
    if jax.process_count() == 1:
        return tree
    return jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf)), tree)
