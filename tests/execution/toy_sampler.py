"""Samplers that worker processes can import by name: each draw follows from its key alone."""

import os
import re
import signal
import time
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import xarray as xr

from subgrid.execution.runners import parse_scheduler, run
from subgrid.execution.sampling import Loader, loader_of
from subgrid.execution.store import open_store


def load_gaussian(*, shape: list[int], pause: float = 0.0, log: str = ""):
    """Gaussian fields about their time index, by NumPy; `pause` seconds an item; `log` gets a line a load."""
    if log:
        with Path(log).open("a") as file:
            file.write(f"{os.getpid()}\n")
    return partial(_gaussian, shape=tuple(shape), pause=pause)


def load_convolved(*, shape: list[int], log: str = ""):
    """Gaussian fields through a convolution, by JAX: what XLA spreads over cores; `log` gets the cores it may use."""
    if log:
        with Path(log).open("a") as file:
            file.write(f"{sorted(os.sched_getaffinity(0))}\n")
    return partial(_convolved, shape=tuple(shape))


def load_deadly(*, shape: list[int], time_index: int, deaths: str, n_deaths: int):
    """As `load_gaussian`, but the process dies over one time, `n_deaths` times in all."""
    return partial(_deadly, shape=tuple(shape), time_index=time_index, deaths=Path(deaths), n_deaths=n_deaths)


def load_failing(*, shape: list[int], value: str):
    """As `load_gaussian`, but the field of time 5, member 0 is `value` in one cell (in all, for "nan")."""
    return partial(_failing, shape=tuple(shape), value=float(value))


def _gaussian(times, members, *, keys, shape, pause=0.0):
    time.sleep(pause)
    data = np.asarray(jr.key_data(keys)).reshape(-1, 2)
    fields = np.stack([np.random.default_rng([*key]).normal(size=shape) for key in data])
    return (fields.reshape(*keys.shape, *shape) + times[:, None, None, None, None]).astype(np.float32)


@partial(jax.jit, static_argnames="shape")
def _draw(keys, shape):
    noise = jax.vmap(lambda key: jr.normal(key, shape))(keys.reshape(-1))
    kernel = jnp.ones((shape[0], shape[0], 3, 3)) / 7
    for _ in range(3):
        noise = jnp.tanh(jax.lax.conv_general_dilated(noise, kernel, (1, 1), "SAME"))
    return noise.reshape(*keys.shape, *shape)


def _convolved(times, members, *, keys, shape):
    return np.asarray(_draw(keys, shape))


def _deadly(times, members, *, keys, shape, time_index, deaths, n_deaths):
    if time_index in times:
        deaths.mkdir(exist_ok=True)
        if len(list(deaths.iterdir())) < n_deaths:
            (deaths / str(os.getpid())).touch()
            os.kill(os.getpid(), signal.SIGKILL)
    return _gaussian(times, members, keys=keys, shape=shape)


def _failing(times, members, *, keys, shape, value):
    fields = _gaussian(times, members, keys=keys, shape=shape)
    if 5 in times and 0 in members:
        where = ... if np.isnan(value) else (0, 0)
        fields[list(times).index(5), 0, 0][where] = value
    return fields


def load_from_archive(*, n_times: int, shape: list[int], factor: int):
    """Fine fields about the coarse ones of an archive that is generated where it is read, block by block."""
    archive = lazy_archive(n_times, [shape[-2] * factor, shape[-1] * factor])
    return partial(_from_archive, archive=archive, factor=factor)


def lazy_archive(n_times: int, space: list[int]) -> xr.DataArray:
    """An archive of any size that costs no memory and no disk."""
    import dask.array

    values = dask.array.map_blocks(
        lambda block_info=None: np.full(block_info[None]["chunk-shape"], block_info[None]["chunk-location"][0], "f4"),
        chunks=(dask.array.core.normalize_chunks(16, (n_times,))[0], *((size,) for size in space)),
        dtype="f4",
        meta=np.empty((0, 0, 0), "f4"),
    )
    return xr.DataArray(values, dims=("time", "lat", "lon"))


def _from_archive(times, members, *, keys, archive, factor):
    given = archive.isel(time=times).coarsen(lat=factor, lon=factor).mean().values
    noise = np.random.default_rng([*np.asarray(jr.key_data(keys))[0, 0]]).normal(size=keys.shape)
    return (given[:, None, None] + noise[..., None, None, None]).astype(np.float32)


def run_store(path: str, loader: Loader, scheduler: str) -> None:
    """A run in a process of its own."""
    run(open_store(path), loader, parse_scheduler(scheduler))


def write_and_time(path: str, **archive) -> None:
    """A run in a process of its own that prints its time, its peak memory in MiB and how many items it did."""
    start = time.perf_counter()
    loader = loader_of(load_from_archive, **archive)
    done = run(open_store(path), loader, parse_scheduler("slice:0/200"))
    status = Path("/proc/self/status").read_text()  # ru_maxrss would count the parent's too
    peak = int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024
    print(time.perf_counter() - start, peak, done)
