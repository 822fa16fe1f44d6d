"""The stages of the 2-D table: cells, table, page."""

import json
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import jax

from subgrid.experiments.toy_2d.cells import Cell, all_cells, cell_path, make_cell
from subgrid.experiments.toy_2d.config import ToyConfig, ToyTable
from subgrid.experiments.toy_2d.table import score_table
from subgrid.runs.experiment import Recipe
from subgrid.runs.page import METRICS, Page, report_stage, write_metrics
from subgrid.runs.run import Run
from subgrid.runs.stage import Stage, Update, all_but
from subgrid.types import Key

GROWING = ("tasks", "methods", "n_seeds")


class ToyRun(Run[ToyConfig]):
    """A run of the table."""

    root = "toy"
    streams = ("moons", "scurve", "8gaussians", "moons-8gaussians")

    def cell_key(self, cell: Cell) -> Key:
        """Independent of what else is in the table."""
        return self.key(cell.task, cell.method, f"repetition {cell.seed}")


def stages(config: ToyConfig) -> list[Stage]:
    """All stages of a configuration, in order."""
    cells = Stage(
        "cells",
        make_cells,
        ("cells",),
        depends_on={"run": ("seed",), "toy": all_but(ToyTable, *GROWING)},
        grows_with={"toy": GROWING},
        whole=lambda run: all(cell_path(run.folder, cell).exists() for cell in all_cells(run.config)),
        work=len(all_cells(config)) * config.toy.n_steps,
    )
    scored = Stage("score", score, (METRICS,), needs=("cells",), depends_on={"toy": GROWING}, if_changed="remake")
    return [cells, scored, report_stage(page, config, needs=("score",))]


def make_cells(run: ToyRun, update: Update) -> None:
    """All cells that are not there yet. A distance is measured while the next cell trains, and no more wait."""
    keep_compiled_programs(run.folder)
    cells = [cell for cell in all_cells(run.config) if not cell_path(run.folder, cell).exists()]
    with ThreadPoolExecutor(1) as measuring:
        pending: list[Future] = []
        for i, cell in enumerate(cells):
            tell = lambda part, i=i, cell=cell: update(i, len(cells), f"{cell.name} {part:.0%}")  # noqa: E731
            path = cell_path(run.folder, cell)
            pending.append(measuring.submit(*make_cell(run.config.toy, cell, path, tell, key=run.cell_key(cell))))
            if len(pending) > 1:
                pending.pop(0).result()
        for future in pending:
            update(len(cells) - 1, len(cells), "measuring")
            future.result()
    update(len(cells), len(cells))


def keep_compiled_programs(folder: Path) -> None:
    """Programs are compiled once for all seeds, by JAX's cache on disk: unless the user has one, in the run folder."""
    if jax.config.jax_compilation_cache_dir is None:  # pyright: ignore[reportAttributeAccessIssue]
        jax.config.update("jax_compilation_cache_dir", str((folder / "compiled").resolve()))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)


def score(run: ToyRun, update: Update) -> None:
    """The table, from the cells."""
    cells = {
        (cell.task, cell.method, cell.seed): json.loads(cell_path(run.folder, cell).read_text(encoding="utf-8"))
        for cell in all_cells(run.config)
    }
    seconds_in_cells = round(sum(values["seconds"] for values in cells.values()), 1)
    write_metrics(run, score_table(cells), n_test=run.config.toy.n_test, seconds_in_cells=seconds_in_cells)
    update(1, 1)


def page(run: ToyRun) -> Page:
    """The table and what it is of."""
    toy = run.config.toy
    summary = [
        ("Repetitions", str(toy.n_seeds)),
        ("Points", f"{toy.n_train} to train on, {toy.n_test} to measure"),
        ("Flows", f"{toy.n_steps} steps of {toy.batch_size}"),
        ("Bridges", f"σ = {toy.sigma:g}, {toy.n_iterations} iterations of {toy.n_steps_bridge} steps"),
    ]
    notes = [
        "Numbers are means over repetitions, which train and draw anew. Published: Shi et al. 2023; their "
        "generators of points differ from ours. “floor” is the distance between two sets of the target itself."
    ]
    return Page(f"2-D transports: {run.config.run.name}", summary, notes=notes)


RECIPE = Recipe(ToyRun, stages, page)
