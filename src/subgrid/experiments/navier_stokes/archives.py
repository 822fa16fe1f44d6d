"""The two archives: simulated chunk by chunk into Zarr, resumable, read back as training and held-out fields."""

from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import xarray as xr
import zarr
from jaxtyping import Float

from subgrid.data.archive import ensemble_of_runs_dataset
from subgrid.experiments.navier_stokes.config import FlowTable, NavierStokesConfig
from subgrid.numerics.operators import Subsample
from subgrid.numerics.symmetries import SymmetryGroup, augmented, kolmogorov_symmetries
from subgrid.simulate.kolmogorov_flow import SpectralSolver, initial_vorticity
from subgrid.simulate.snapshots import Schedule, Solver, trajectories
from subgrid.simulate.staggered import StaggeredSolver
from subgrid.training.progress import starts_at
from subgrid.types import Key, ProgressReport

CHUNK = 5
"""Snapshots of every trajectory that are computed and written at a time."""
Fields = Float[np.ndarray, "_ 1 y x"]


@dataclass(frozen=True)
class FineArchive:
    """Vorticity of the spectral solver: whole trajectories to train on, others held out, under random symmetries.

    Args:
        training: what is trained on.
        reference: what all are compared with.
        independent: another set of it, whose distance from the reference is the noise floor.
    """

    training: Fields
    reference: Fields
    independent: Fields


@dataclass(frozen=True)
class CoarseArchive:
    """Vorticity of the finite-volume solver on its own grid.

    Args:
        training: what debiasers are fitted on.
        held_out: what nothing is fitted on, under random symmetries.
    """

    training: Fields
    held_out: Fields

    def at(self, n_points: int) -> "CoarseArchive":
        """Every so many points, n_points a side."""
        thin = Subsample(self.training.shape[2:], self.training.shape[2] // n_points)
        return CoarseArchive(*(np.asarray(thin(jnp.asarray(fields))) for fields in (self.training, self.held_out)))


def solver_of(table: FlowTable, which: str) -> Solver:
    """The "fine" solver or the "coarse" one."""
    return SpectralSolver(table.fine_flow) if which == "fine" else StaggeredSolver(table.coarse_flow, table.advection)


def starts(solver: Solver, n: int, *, key: Key) -> Float[np.ndarray, "n y x"]:
    """Random starts of as many trajectories."""
    return np.asarray(jax.vmap(lambda k: initial_vorticity(solver.flow, key=k))(jr.split(key, n)))


def simulate(table: FlowTable, which: str, path: Path, partial: Path, *, report: ProgressReport, key: Key) -> None:
    """An archive, written to `partial` as it is computed; a run that was stopped goes on from its last chunk."""
    solver = solver_of(table, which)
    done = _snapshots_in(partial)
    if done == 0:
        _create(table, solver, which, partial)
        start, spin_up = starts(solver, table.n_trajectories, key=key), table.spin_up
    else:
        start = np.asarray(xr.open_zarr(partial, consolidated=False).vorticity[:, done - 1])
        spin_up = table.interval
    begun, total = done, table.n_snapshots
    starts_at(begun, total)
    if done < total:
        schedule = Schedule(total - done, table.interval, spin_up=spin_up, chunk=CHUNK)
        first = round(spin_up / table.interval)
        tell = lambda i, _: report(min(total, begun + max(0, i - first)), total)  # noqa: E731
        for fields in trajectories(solver, start, schedule, speed=table.speed, report=tell):
            _write(partial, fields, done)
            done += fields.shape[1]
    partial.rename(path)


def _create(table: FlowTable, solver: Solver, which: str, partial: Path) -> None:
    """An empty store of the whole archive; its attribute "snapshots" counts those that are there."""
    n = solver.flow.n_points
    shape = (table.n_trajectories, table.n_snapshots, 1, n, n)
    dataset = ensemble_of_runs_dataset(
        np.broadcast_to(np.float32(0), shape),
        {"vorticity": "vorticity"},
        coordinates={},
        interval=table.interval,
        domain=2 * np.pi,
        attributes={"title": f"Kolmogorov flow, {which}, {type(solver).__name__}", "settings": table.model_dump_json()},
    )
    dataset.vorticity.encoding["chunks"] = (table.n_trajectories, CHUNK, n, n)
    dataset.chunk().to_zarr(partial, mode="w", compute=False, consolidated=False)
    zarr.open_group(partial).attrs["snapshots"] = 0


def _write(partial: Path, fields: Float[np.ndarray, "trajectory time y x"], done: int) -> None:
    """A chunk, and then the count: a chunk that is half written is not counted."""
    region = {"time": slice(done, done + fields.shape[1])}
    dataset = xr.Dataset({"vorticity": (("run", "time", "y", "x"), fields)})
    dataset.to_zarr(partial, region=region, consolidated=False)
    zarr.open_group(partial).attrs["snapshots"] = done + fields.shape[1]


def _snapshots_in(partial: Path) -> int:
    try:
        return int(str(zarr.open_group(partial, mode="r").attrs["snapshots"]))
    except (FileNotFoundError, KeyError):
        return 0


def load_fine(config: NavierStokesConfig, path: Path, *, reference: Key, independent: Key) -> FineArchive:
    """The fine archive, whole trajectories for training apart from those held out; keys of random images."""
    table, runs = config.navier_stokes, _read(path)
    first = n_training(table)
    middle = (first + table.n_trajectories) // 2
    parts = (runs[first:middle], reference), (runs[middle : 2 * middle - first], independent)  # as many of both
    return FineArchive(_flat(runs[:first]), *(images(config, part, key=key) for part, key in parts))


def load_coarse(config: NavierStokesConfig, path: Path, *, key: Key) -> CoarseArchive:
    """The coarse archive, split as the fine one; key of random images."""
    runs, first = _read(path), n_training(config.navier_stokes)
    middle = (first + config.navier_stokes.n_trajectories) // 2  # as many as of the reference
    return CoarseArchive(_flat(runs[:first]), images(config, runs[first:middle], key=key))


def n_training(table: FlowTable) -> int:
    """Trajectories to train on; at least two are held out."""
    return min(max(1, round(table.training_fraction * table.n_trajectories)), table.n_trajectories - 2)


def images(config: NavierStokesConfig, runs: np.ndarray, *, key: Key) -> Fields:
    """All snapshots of some trajectories, each under as many random symmetries as every held-out field."""
    fields = jnp.asarray(_flat(runs))
    group = symmetries(config.navier_stokes, fields.shape[-1])
    return np.asarray(augmented(fields, config.evaluation.n_images * len(fields), group, key=key))


def symmetries(table: FlowTable, n_points: int) -> SymmetryGroup:
    """The images of the flow on a grid of so many points, with all shifts along x."""
    return kolmogorov_symmetries(table.wavenumber, n_shifts=n_points)


def _read(path: Path) -> Float[np.ndarray, "trajectory time y x"]:
    with xr.open_zarr(path, consolidated=False) as stored:
        return stored.vorticity.values


def _flat(runs: Float[np.ndarray, "trajectory time y x"]) -> Fields:
    return runs.reshape(-1, 1, *runs.shape[2:])
