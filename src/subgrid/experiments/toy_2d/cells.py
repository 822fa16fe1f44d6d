"""A cell of the 2-D table: one task, one method and one seed, trained, moved and measured on its own.

RUN/cells/TASK.METHOD.SEED.json   what a cell measured; those that are there are not computed again
RUN/cells/TASK.floor.SEED.json    the distance between two independent sets of the target
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float

from subgrid.data.store import write_json
from subgrid.experiments.toy_2d.config import Task, ToyConfig, ToyTable
from subgrid.experiments.toy_2d.methods import FractionReport, Transport, fit_transport, move
from subgrid.numerics.streams import stream
from subgrid.simulate import toy_2d
from subgrid.transport.ends import Ends
from subgrid.types import Key
from subgrid.verification.transport_distance import wasserstein_2

FLOOR = "floor"


@dataclass(frozen=True)
class Cell:
    """One number of the table; `method` may be the floor."""

    task: Task
    method: str
    seed: int

    @property
    def name(self) -> str:
        """In the run folder."""
        return f"{self.task}.{self.method}.{self.seed}"


def all_cells(config: ToyConfig) -> list[Cell]:
    """Seed by seed, so that an unfinished table is one of fewer seeds."""
    table = config.toy
    return [
        Cell(task, method, seed)
        for seed in range(table.n_seeds)
        for task in table.tasks
        for method in (FLOOR, *table.methods)
    ]


def cell_path(folder: Path, cell: Cell) -> Path:
    """Where a cell is kept."""
    return folder / "cells" / f"{cell.name}.json"


def sets_of(task: Task) -> tuple[Callable[..., Float[Array, "n 2"]], Callable[..., Float[Array, "n 2"]]]:
    """The source and the target of a task."""
    match task:
        case "moons":
            return toy_2d.gaussian, toy_2d.moons
        case "scurve":
            return toy_2d.gaussian, toy_2d.s_curve
        case "8gaussians":
            return toy_2d.gaussian, toy_2d.eight_gaussians
        case "moons-8gaussians":
            return toy_2d.wide_moons, toy_2d.wide_eight_gaussians


def make_cell(table: ToyTable, cell: Cell, path: Path, report: FractionReport, *, key: Key) -> tuple:
    """Trains and moves what the cell asks for.

    **Returns:** a function that measures the result and writes the cell, with its arguments, for another thread.
    """
    started = time.monotonic()
    source, target = sets_of(cell.task)
    train_key, fit_key, source_key, move_key, reference_key = jr.split(key, 5)
    reference = target(table.n_test, key=reference_key)
    if cell.method == FLOOR:
        moved, energy = target(table.n_test, key=source_key), None
    else:
        keys = jr.split(train_key)
        ends = Ends(source(table.n_train, key=keys[0]), target(table.n_train, key=keys[1]))
        scale = scale_of(cell.task)
        transport = fit_scaled(table, cell, ends, scale, report, fit_key)
        moved, energy = move(transport, source(table.n_test, key=source_key) / scale, key=move_key)
        moved, energy = moved * scale, float(energy) * scale**2
    seconds = time.monotonic() - started
    return _measure, path, np.asarray(moved), np.asarray(reference), energy, seconds


def scale_of(task: Task) -> float:
    """The standard deviation of the target, of pinned points: one number for all seeds, so that they share programs."""
    _, target = sets_of(task)
    return float(jnp.std(target(10_000, key=stream(0, "toy", "scale"))))


def fit_scaled(table: ToyTable, cell: Cell, ends: Ends, scale: float, report: FractionReport, key: Key) -> Transport:
    """The transport between the points divided by `scale`."""
    unit = jax.tree.map(lambda points: points / scale, ends)
    method: Any = cell.method
    return fit_transport(method, unit, table.sigma / scale, table, report=report, key=key)


def _measure(path: Path, moved: np.ndarray, reference: np.ndarray, energy: float | None, seconds: float) -> None:
    if not np.isfinite(moved).all():
        raise ArithmeticError(f"{path.stem}: the transport left the plane; lower toy.learning_rate.")
    distance = wasserstein_2(moved, reference)
    write_json(path, {"w2": distance, "path_energy": energy, "seconds": round(seconds, 1)})
