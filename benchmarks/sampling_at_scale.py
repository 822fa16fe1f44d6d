"""What an ensemble costs by its size: twice the days, a slice of 50 GB, two dask workers.

Each number comes from a process of its own, so that peak memory is that of its own work. The sampler is that of a
climate run: a Gaussian distribution of 60 components, conditioned exactly, every field through the way back to kelvins.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import jax
import numpy as np
import xarray as xr

from subgrid.data.store import write_zarr
from subgrid.downscaling.model.blocks import time_blocks
from subgrid.downscaling.model.fit import fit
from subgrid.downscaling.model.folder import checkpoint_id, load_preparation
from subgrid.downscaling.model.sampler import sample_targets
from subgrid.execution import runners
from subgrid.execution.sampling import loader_of
from subgrid.execution.store import Store
from subgrid.execution.template import Template, create_store

N_MEMBERS, N_LEVELS, FACTOR = 16, 16, 8
FIFTY_GB = 50_000_000_000


def run() -> list[tuple[str, float, str]]:
    """Rows of (name, ratio, meaning)."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        small, large = prepare(root / "small", (64, 80), 2560), prepare(root / "large", (128, 160), 38_400)
        once, twice = (measured(small, n_times=n) for n in (1280, 2560))  # shorter ones end before memory is level
        one_core = measured(small, n_times=1280, scheduler="local:1", cores=1)
        both_cores, two = (measured(small, n_times=1280, scheduler=f"local:{n}", cores=2) for n in (1, 2))
        piece = measured(large, n_times=38_400, scheduler="slice:0/200")
    assert piece["bytes"] > FIFTY_GB
    return [
        ("twice the days, time", twice["seconds"] / once["seconds"], "wanted: 1.8 to 2.2"),
        ("twice the days, peak memory", twice["peak"] / once["peak"], "wanted: at most 1.05"),
        ("a slice of 50 GB, peak memory", piece["peak"] / 2e9, f"of 2 GB; {piece['peak'] / 1e6:.0f} MB"),
        ("two dask workers on two cores", one_core["seconds"] / two["seconds"], "over one on one core (wanted: 1.7)"),
        ("the same", both_cores["seconds"] / two["seconds"], "over one that has both cores"),
    ]


def prepare(folder: Path, shape: tuple[int, int], n_times: int) -> Path:
    """A model of synthetic fields, and the targets of an ensemble."""
    fine, coarse = (archive(shape, factor, seed) for factor, seed in ((1, 0), (FACTOR, 1)))
    options = {"n_components": (60,), "n_steps": 0}
    model = fit(fine, coarse, ["tas"], folder=folder, progress=False, **options, key=jax.random.key(0))
    (n_kept,) = model.fine.operator.coarse_shape
    targets = np.random.default_rng(2).normal(size=(n_times, 1, n_kept)).astype(np.float32)
    phase = np.arange(n_times) % 90 / 365
    days = np.datetime64("1901-01-01", "ns") + np.arange(n_times) * np.timedelta64(1, "D")
    stored = xr.Dataset(
        {"target": (("sample", "channel", "kept"), targets), "phase": ("sample", phase)}, {"time": ("sample", days)}
    )
    write_zarr(stored, folder / "targets.zarr")
    return folder


def archive(shape: tuple[int, int], factor: int, seed: int) -> xr.Dataset:
    """Four winters of smooth noise on a regular grid of quarter degrees, or of its blocks."""
    n_lat, n_lon = (n // factor for n in shape)
    time = np.concatenate([np.arange(f"{y}-01-01", f"{y}-03-01", dtype="datetime64[D]") for y in range(2001, 2005)])
    rng = np.random.default_rng(seed)
    waves = rng.normal(size=(len(time), 80)).astype(np.float32)
    y, x = ((np.arange(n) + 0.5) * factor for n in (n_lat, n_lon))
    wave = rng.uniform(0.02, 0.3, (2, 80))
    shapes = np.cos(wave[0][:, None, None] * y[:, None] + wave[1][:, None, None] * x + np.arange(80)[:, None, None])
    values = 280 + np.tensordot(waves, shapes.astype(np.float32), 1)
    coordinates = {"time": time.astype("datetime64[ns]"), "lat": 30 + 0.25 * y, "lon": -10 + 0.25 * x}
    attributes = {"units": "K", "standard_name": "air_temperature"}
    return xr.Dataset({"tas": (("time", "lat", "lon"), values.astype(np.float32), attributes)}, coordinates)


def measured(folder: Path, *, n_times: int, scheduler: str = "serial", cores: int | None = None) -> dict[str, float]:
    """Seconds, from all items but the first two, and peak bytes of a process that draws; bytes of the whole."""
    cores = cores or len(os.sched_getaffinity(0))
    command = [sys.executable, "-m", "benchmarks.sampling_at_scale", str(folder), str(n_times), scheduler, str(cores)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1])


def child(folder: Path, n_times: int, scheduler: str) -> dict[str, float]:
    """What `measured` returns, in this process."""
    loader = loader_of(sample_targets, folder=str(folder), targets="targets.zarr", sampling={"n_levels": N_LEVELS})
    chosen = runners.parse_scheduler(scheduler)
    with tempfile.TemporaryDirectory(dir=folder) as outputs:
        store = make_store(folder, Path(outputs) / "ensemble.zarr", n_times)
        marks = [time.monotonic()]  # the first items start workers, load the model and compile
        runners.run(store, loader, chosen, progress=lambda done, total, *_: marks.append(time.monotonic()))
        n_items = len(marks) - 1
    first = min(2, n_items - 1)
    seconds = (marks[-1] - marks[first]) * n_items / (n_items - first)
    return {"seconds": seconds, "peak": peak_bytes(), "bytes": 4.0 * float(np.prod(store.layout.shape))}


def peak_bytes() -> float:
    """The most memory that this process ever held. `getrusage` would tell that of its parent, if that held more."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return 1024.0 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def make_store(folder: Path, path: Path, n_times: int) -> Store:
    """An empty ensemble as a climate run makes it."""
    grid = load_preparation(folder)[1].grid
    n_values = grid.sizes["lat"] * grid.sizes["lon"]
    days = np.datetime64("1901-01-01", "ns") + np.arange(n_times) * np.timedelta64(1, "D")
    item, chunk = time_blocks(n_times, N_MEMBERS, n_values)
    template = Template(
        grid.drop_vars("tas").assign_coords(time=days),
        {"tas": dict(grid.tas.attrs)},
        space=("lat", "lon"),
        n_members=N_MEMBERS,
        chunks={"time": chunk, "realization": N_MEMBERS},
        shards={"time": item, "realization": N_MEMBERS},
        attributes={"title": "benchmark"},
    )
    return create_store(path, template, seed=0, configuration={"n_times": n_times}, checkpoint=checkpoint_id(folder))


if __name__ == "__main__":
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(sys.argv[4])])  # before JAX counts its cores
    print(json.dumps(child(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])))
