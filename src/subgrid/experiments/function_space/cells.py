"""A cell of the table of functions: one candidate and one seed, trained, and sampled on every grid.

RUN/data.npz                      fields of the training grid, and the truth on every grid
RUN/cells/CANDIDATE.SEED.npz      samples by points an axis; "continued" ones, of given fields; evaluations
RUN/training/CANDIDATE.SEED       where an unfinished training goes on
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import jax.random as jr
import numpy as np

from subgrid.data.store import write_arrays
from subgrid.experiments.function_space.candidates import Model, continued, draw, evaluations, train
from subgrid.experiments.function_space.config import Candidate, FunctionsConfig, FunctionsTable
from subgrid.experiments.function_space.systems import Made, system_box
from subgrid.functional.function_flow import FunctionFlow
from subgrid.training.checkpoint import Checkpoints
from subgrid.types import Key

CONTINUED = ("diffusion",)
"""Candidates that also continue given fields of the training grid to finer ones."""
N_COUNTED = 8
"""Samples that evaluations are counted for."""


@dataclass(frozen=True)
class Cell:
    """One candidate and one seed."""

    candidate: Candidate
    seed: int

    @property
    def name(self) -> str:
        """In the run folder."""
        return f"{self.candidate}.{self.seed}"


def all_cells(config: FunctionsConfig) -> list[Cell]:
    """Seed by seed, so that an unfinished table is one of fewer seeds."""
    table = config.functions
    return [Cell(candidate, seed) for seed in range(table.n_seeds) for candidate in table.candidates]


def cell_path(folder: Path, cell: Cell) -> Path:
    """Where a cell is kept."""
    return folder / "cells" / f"{cell.name}.npz"


def make_cell(
    table: FunctionsTable, cell: Cell, made: Made, folder: Path, report: Callable[[float, str], None], *, key: Key
) -> None:
    """Trains and samples one cell; a stopped training goes on."""
    train_key, draw_key, count_key, continue_key = jr.split(key, 4)
    model = train(
        cell.candidate,
        made.train,
        system_box(table.system, table.n_space),
        table,
        checkpoints=Checkpoints(folder / "training" / cell.name),
        report=lambda step, _: report(0.8 * step / table.n_steps, "training"),
        key=train_key,
    )
    found: dict[str, np.ndarray] = {}
    for i, n in enumerate(table.grids):
        report(0.8 + 0.1 * i / len(table.grids), f"samples on {n} points an axis")
        found[f"samples_{n}"] = draw(model, table.shape(n), table.n_test, table.n_levels, key=draw_key)
    if cell.candidate in CONTINUED:
        report(0.9, "given fields, continued")
        found |= _continuations(model, table, made, continue_key)
    if isinstance(model, FunctionFlow):
        report(0.95, "counts evaluations")
        counts = [evaluations(model, table.shape(n), N_COUNTED, key=count_key) for n in table.cost_grids]
        found["evaluations"] = np.array(counts)
    write_arrays(found, cell_path(folder, cell))


def _continuations(model: Model, table: FunctionsTable, made: Made, key: Key) -> dict[str, np.ndarray]:
    """Fields of the truth on the training grid, continued to the finer ones."""
    found = {}
    for n in table.grids:
        if n > table.n_points:
            fields, drifts = continued(model, made.truth[table.n_points], table.shape(n), table.n_levels, key=key)
            found |= {f"continued_{n}": fields, f"continued_drift_{n}": drifts}
    return found
