"""The page of models of functions, from what was sampled."""

import numpy as np

from subgrid.experiments.function_space.cells import Cell
from subgrid.experiments.function_space.config import FunctionsTable
from subgrid.experiments.function_space.figures import cost_plate, lines_plate, spectra_plate, stamps_plate
from subgrid.experiments.function_space.metrics import ABOUT, COST, last_shell
from subgrid.experiments.function_space.run import FunctionsRun
from subgrid.experiments.function_space.systems import system_box
from subgrid.experiments.function_space.table import grid_name
from subgrid.report.plates import Plate, Section
from subgrid.runs.page import Page, read_metrics

EXAMPLE = 0
"""The sample that is shown: the first."""


def page(run: FunctionsRun) -> Page:
    """Samples, spectra, cost, and what a reader must know."""
    table, metrics = run.config.functions, read_metrics(run)
    sections = [
        Section(
            "samples",
            "One function, any grid",
            "A model of functions is trained on the coarsest grid and asked for finer ones.",
            [_samples(run)],
        ),
        Section(
            "spectra",
            "Beyond the training grid",
            "Energy of samples by wavenumber, beside that of fields which were made on that grid.",
            _spectra(run, metrics),
        ),
    ]
    if (plate := _cost(metrics, table)) is not None:
        sections.append(
            Section("cost", "What a sample costs", "Evaluations of the network at every resolution.", [plate])
        )
    return Page(f"Models of functions: {run.config.run.name}", _summary(table), sections, _notes(table, metrics))


def _samples(run: FunctionsRun) -> Plate:
    table = run.config.functions
    shown = {}
    for candidate in table.candidates:
        arrays = run.samples(Cell(candidate, 0))
        shown[candidate] = {n: arrays[f"samples_{n}"][EXAMPLE] for n in table.grids}
    shown["truth"] = {n: run.made.truth[n][EXAMPLE] for n in table.grids}
    if table.n_space == 1:
        return lines_plate(shown)
    return stamps_plate(shown, float(np.quantile(np.abs(run.made.truth[table.n_points]), 0.998)))


def _spectra(run: FunctionsRun, metrics: dict) -> list[Plate]:
    table = run.config.functions
    last = last_shell(system_box(table.system, table.n_space), table.n_points)
    return [spectra_plate(metrics["spectra"][str(n)], n, last, table.n_space) for n in table.grids]


def _cost(metrics: dict, table: FunctionsTable) -> Plate | None:
    """Evaluations by flow and grid."""
    found = {row["group"]: row for row in metrics["table"] if row["metric"] == COST}
    grids = {n: found[name] for n in table.cost_grids if (name := grid_name(n, table.n_space)) in found}
    flows = [c for c in table.candidates if any(c in row for row in grids.values())]
    return cost_plate({c: {n: row[c] for n, row in grids.items()} for c in flows}) if flows else None


def _summary(table: FunctionsTable) -> list[tuple[str, str]]:
    network = (
        f"FNO, width {table.width}, {table.n_layers} layers, {table.n_modes} modes"
        if table.network == "fno"
        else f"UNet {table.channels} on the training grid; of points, an FNO of {table.n_modes} modes"
    )
    return [
        ("System", table.system),
        ("Grids", f"trained on {table.n_points}, sampled on {', '.join(map(str, table.grids))} points an axis"),
        ("Fields", f"{table.n_train} to train on, {table.n_test} to compare with"),
        ("Noise", f"C = s²(−Δ + τ²)^−α, α = {table.alpha:g}, τ = {table.tau:g}"),
        ("Network", network),
        ("Training", f"{table.n_steps} steps of {table.batch_size}, {table.n_seeds} repetitions"),
    ]


def _notes(table: FunctionsTable, metrics: dict) -> list[str]:
    shown = dict.fromkeys(row["metric"] for row in metrics["table"])
    notes = [
        "Metrics. " + ". ".join(f"{name}: {ABOUT[name]}" for name in shown) + ".",
        "The floor is the same metric between two halves of the truth, each with half as many fields as a candidate "
        "has. “cubic” interpolates fields of the truth from the training grid.",
        "“-white” candidates are models of vectors: white noise, scaled as at the training grid, on the same network. "
        "“-points” has noise that is a function, without what is known of each mode.",
    ]
    if "diffusion" in table.candidates:
        notes.append(
            "“continued” takes given fields of the training grid to the finer ones by coupled noise; the modes that "
            "were given should not drift by more than one percent."
        )
    return notes
