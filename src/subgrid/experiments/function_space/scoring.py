"""The scores of all cells, of cubic interpolation, and the noise floor."""

from collections.abc import Mapping

import numpy as np

from subgrid.downscaling.interpolation.cubic import cubic_interpolation
from subgrid.experiments.function_space.cells import all_cells
from subgrid.experiments.function_space.config import FunctionsTable
from subgrid.experiments.function_space.metrics import Score, drift, scores, spectrum
from subgrid.experiments.function_space.run import FunctionsRun
from subgrid.experiments.function_space.systems import Fields, system_box
from subgrid.experiments.function_space.table import CONTINUED_FIELDS, CUBIC, FLOOR, score_table
from subgrid.runs.page import write_metrics
from subgrid.runs.stage import Update

Scores = dict[tuple[str, int], list[Mapping[str, Score]]]


def score(run: FunctionsRun, update: Update) -> None:
    """Every metric on every grid, spectra, and evaluations."""
    table, cells = run.config.functions, all_cells(run.config)
    found: Scores = {}
    evaluations: dict[str, dict[int, list[float]]] = {}
    for i, cell in enumerate(cells):
        update(i, len(cells) + 1, cell.name)
        arrays = run.samples(cell)
        for n in table.grids:
            _add(found, cell.candidate, n, _scores_of_cell(run, arrays, n))
            if f"continued_{n}" in arrays:
                own = scores(table, arrays[f"continued_{n}"], run.made.truth[n])
                _add(
                    found, CONTINUED_FIELDS, n, {**own, "drift": Score(float(np.mean(arrays[f"continued_drift_{n}"])))}
                )
        for n, count in zip(table.cost_grids, arrays.get("evaluations", ()), strict=False):
            evaluations.setdefault(cell.candidate, {}).setdefault(n, []).append(float(count))
    update(len(cells), len(cells) + 1, "baselines")
    for n in table.grids:
        _add(found, FLOOR, n, _floor(table, run.made.truth[n]))
        if n > table.n_points:
            _add(found, CUBIC, n, scores(table, interpolated(run, n), run.made.truth[n]))
    write_metrics(run, score_table(found, evaluations, table.n_space), spectra=_spectra(run))
    update(len(cells) + 1, len(cells) + 1)


def interpolated(run: FunctionsRun, n: int) -> Fields:
    """The truth of the training grid, by cubic splines on a finer one."""
    table = run.config.functions
    box = system_box(table.system, table.n_space)
    return cubic_interpolation(
        run.made.truth[table.n_points],
        (n // table.n_points,) * table.n_space,
        centred=box.boundary == "neumann",
        periodic=box.boundary == "periodic",
    )


def _scores_of_cell(run: FunctionsRun, arrays: Mapping[str, np.ndarray], n: int) -> dict[str, Score]:
    table = run.config.functions
    fields, coarse = arrays[f"samples_{n}"], arrays[f"samples_{table.n_points}"]
    own = scores(table, fields, run.made.truth[n])
    if n == table.n_points:
        return own
    return {**own, "drift": Score(drift(coarse, fields, system_box(table.system, table.n_space)))}


def _floor(table: FunctionsTable, truth: Fields) -> dict[str, Score]:
    """The metrics between two halves of the truth."""
    half = len(truth) // 2
    return scores(table, truth[:half], truth[half : 2 * half])


def _add(found: Scores, column: str, n: int, values: Mapping[str, Score]) -> None:
    found.setdefault((column, n), []).append(values)


def _spectra(run: FunctionsRun) -> dict[str, dict[str, list[float]]]:
    """Energies by shell of the first seed, by grid and candidate, for figures."""
    table = run.config.functions
    box = system_box(table.system, table.n_space)
    energies = lambda fields: spectrum(fields, box)[: fields.shape[-1] // 2].tolist()  # noqa: E731
    found = {str(n): {"truth": energies(run.made.truth[n])} for n in table.grids}
    for cell in all_cells(run.config):
        if cell.seed == 0:
            arrays = run.samples(cell)
            for n in table.grids:
                found[str(n)][cell.candidate] = energies(arrays[f"samples_{n}"])
    return found
