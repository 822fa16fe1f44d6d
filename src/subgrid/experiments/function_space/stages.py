"""The stages of models of functions: data, cells, table, page."""

from subgrid.data.store import Arrays, write_arrays
from subgrid.experiments.function_space.cells import Cell, all_cells, cell_path, make_cell
from subgrid.experiments.function_space.config import FunctionsConfig, FunctionsTable
from subgrid.experiments.function_space.page import page
from subgrid.experiments.function_space.run import FunctionsRun
from subgrid.experiments.function_space.scoring import score
from subgrid.experiments.function_space.systems import make
from subgrid.runs.experiment import Recipe
from subgrid.runs.page import METRICS, report_stage
from subgrid.runs.stage import Stage, Update, all_but

DATA = "data.npz"
OF_DATA = ("system", "digits", "n_train", "n_test", "n_points", "grids")
GROWING = ("candidates", "n_seeds")


def stages(config: FunctionsConfig) -> list[Stage]:
    """All stages of a configuration, in order."""
    data = Stage("data", make_data, (DATA,), depends_on={"run": ("seed",), "functions": OF_DATA})
    cells = Stage(
        "cells",
        make_cells,
        ("cells",),
        needs=("data",),
        depends_on={"run": ("seed",), "functions": all_but(FunctionsTable, *GROWING)},
        grows_with={"functions": GROWING},
        state=("training",),
        whole=lambda run: all(cell_path(run.folder, cell).exists() for cell in all_cells(run.config)),
        work=len(all_cells(config)) * config.functions.n_steps,
    )
    scored = Stage(
        "score", score, (METRICS,), needs=("data", "cells"), depends_on={"functions": GROWING}, if_changed="remake"
    )
    return [data, cells, scored, report_stage(page, config, needs=("score",))]


def make_data(run: FunctionsRun, update: Update) -> None:
    """Fields to train on, and the truth."""
    made = make(run.config.functions, report=update, key=run.key("data"))
    arrays: Arrays = {"train": made.train, **{f"truth_{n}": fields for n, fields in made.truth.items()}}
    write_arrays(arrays, run.path(DATA))


def make_cells(run: FunctionsRun, update: Update) -> None:
    """All cells that are not there yet."""
    table, cells = run.config.functions, all_cells(run.config)
    for i, cell in enumerate(cells):
        if not cell_path(run.folder, cell).exists():
            tell = _teller(update, i, len(cells), cell)
            make_cell(table, cell, run.made, run.folder, tell, key=run.cell_key(cell))
    update(1000 * len(cells), 1000 * len(cells))


def _teller(update: Update, i: int, n: int, cell: Cell):
    """A cell counts as a thousand parts."""
    return lambda part, what: update(1000 * i + int(1000 * part), 1000 * n, f"{cell.name}, {what}")


RECIPE = Recipe(FunctionsRun, stages, page)
