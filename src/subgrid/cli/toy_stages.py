"""The 2-D table: every cell is one task, one method and one seed, trained, moved and measured on its own.

RUN/config.toml                 the resolved configuration
RUN/cells/TASK.METHOD.SEED.json what a cell measured; those that are there are not computed again
RUN/cells/TASK.floor.SEED.json  the distance between two independent sets of the target
RUN/metrics.json, table.md
"""

import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float

from subgrid.cli.experiment import machine_summary
from subgrid.cli.progress import progress_bar
from subgrid.cli.run_folder import open_folder
from subgrid.cli.streams import toy_key
from subgrid.cli.toy_config import Task, ToyConfig
from subgrid.cli.toy_methods import Transport, fit_transport, move
from subgrid.data.store import write_json, write_text
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
        return f"{self.task}.{self.method}.{self.seed}"


def run_table(path: Path, overrides: Sequence[str], folder: Path) -> dict[str, Any]:
    """All cells that are not there yet, then the table.

    **Returns:** what `metrics.json` holds.

    **Raises:** `ConfigError`; `OutputExists` if the cells of the folder were made with other values.
    """
    growing = ("tasks", "methods", "n_seeds")
    config = open_folder(ToyConfig, path, overrides, folder, parts="cells/*.json", may_change=growing)
    keep_compiled_programs(folder)
    cells = [cell for cell in all_cells(config) if not cell_path(folder, cell).exists()]
    with progress_bar("2-D table") as update, ThreadPoolExecutor(1) as measuring:
        pending: list[Future] = []
        for i, cell in enumerate(cells):
            tell = lambda part, i=i, cell=cell: update(i, len(cells), f"{cell.name} {part:.0%}")  # noqa: E731
            pending.append(measuring.submit(*make_cell(config, cell, folder, tell)))
            if len(pending) > 1:  # a distance is measured while the next cell trains, and no more wait
                pending.pop(0).result()
        for i, future in enumerate(pending):
            update(len(cells) - len(pending) + 1 + i, len(cells), "measuring")
            future.result()
    return write_table(config, folder)


def keep_compiled_programs(folder: Path) -> None:
    """Programs are compiled once for all seeds, by JAX's cache on disk: unless the user has one, in the run folder."""
    if jax.config.jax_compilation_cache_dir is None:  # pyright: ignore[reportAttributeAccessIssue]
        jax.config.update("jax_compilation_cache_dir", str((folder / "compiled").resolve()))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)


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


def make_cell(config: ToyConfig, cell: Cell, folder: Path, report: Callable[[float], None]) -> tuple:
    """Trains and moves what the cell asks for.

    **Returns:** a function that measures the result and writes the cell, with its arguments, for another thread.
    """
    started, table = time.monotonic(), config.toy
    source, target = sets_of(cell.task)
    train_key, fit_key, source_key, move_key, reference_key = jr.split(cell_key(config.run.seed, cell), 5)
    reference = target(table.n_test, key=reference_key)
    if cell.method == FLOOR:
        moved, energy = target(table.n_test, key=source_key), None
    else:
        keys = jr.split(train_key)
        ends = Ends(source(table.n_train, key=keys[0]), target(table.n_train, key=keys[1]))
        scale = scale_of(cell.task)
        transport = fit_scaled(config, cell, ends, scale, report, fit_key)
        moved, energy = move(transport, source(table.n_test, key=source_key) / scale, key=move_key)
        moved, energy = moved * scale, float(energy) * scale**2
    seconds = time.monotonic() - started
    return _measure, cell_path(folder, cell), np.asarray(moved), np.asarray(reference), energy, seconds


def scale_of(task: Task) -> float:
    """The standard deviation of the target, of pinned points: one number for all seeds, so that they share programs."""
    _, target = sets_of(task)
    return float(jnp.std(target(10_000, key=stream(0, "toy", "scale"))))


def fit_scaled(config: ToyConfig, cell: Cell, ends: Ends, scale: float, report: Callable, key: Key) -> Transport:
    """The transport between the points divided by `scale`."""
    unit = jax.tree.map(lambda points: points / scale, ends)
    method: Any = cell.method
    return fit_transport(method, unit, config.toy.sigma / scale, config.toy, report=report, key=key)


def cell_key(seed: int, cell: Cell) -> Key:
    """Independent of what else is in the table."""
    return toy_key(seed, cell.task, cell.method, cell.seed)


def _measure(path: Path, moved: np.ndarray, reference: np.ndarray, energy: float | None, seconds: float) -> None:
    distance = wasserstein_2(moved, reference)
    if not np.isfinite(distance):
        raise ArithmeticError(f"{path.stem}: the transport left the plane (W2 = {distance}); lower toy.learning_rate.")
    write_json(path, {"w2": distance, "path_energy": energy, "seconds": round(seconds, 1)})


def write_table(config: ToyConfig, folder: Path) -> dict[str, Any]:
    """`metrics.json` and `table.md` from the cells of the folder."""
    from subgrid.cli.toy_table import as_markdown, summarise

    cells = {cell: json.loads(cell_path(folder, cell).read_text(encoding="utf-8")) for cell in all_cells(config)}
    metrics = {
        "rows": summarise({(cell.task, cell.method, cell.seed): values for cell, values in cells.items()}),
        "n_seeds": config.toy.n_seeds,
        "n_test": config.toy.n_test,
        "seconds": round(sum(values["seconds"] for values in cells.values()), 1),
        "machine": machine_summary(),
    }
    write_json(folder / "metrics.json", metrics)
    write_text(folder / "table.md", as_markdown(metrics["rows"]))
    return metrics
