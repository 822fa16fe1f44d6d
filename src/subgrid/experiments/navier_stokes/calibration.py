"""The calibration scan: which coarse solver makes the bias that was published, by grid, scheme and time step.

RUN/calibration.json, calibration.md   raw scores of every solver at every factor, beside the published rows
"""

from typing import TypeAlias

import jax.numpy as jnp
import numpy as np

from subgrid.data.store import write_json, write_text
from subgrid.downscaling.evaluation import distribution_scores
from subgrid.experiments.navier_stokes.archives import images, n_training, starts
from subgrid.experiments.navier_stokes.config import NavierStokesConfig, Scheme
from subgrid.experiments.navier_stokes.published import RAW, published_factor
from subgrid.experiments.navier_stokes.run import NavierStokesRun
from subgrid.numerics.operators import Subsample
from subgrid.runs.score_table import ScoreTable, columns_of
from subgrid.runs.stage import Update
from subgrid.simulate.kolmogorov_flow import KolmogorovFlow
from subgrid.simulate.snapshots import Schedule, trajectories
from subgrid.simulate.staggered import StaggeredSolver

CALIBRATION = "calibration.json"
Candidate: TypeAlias = tuple[int, Scheme, float]
"""Points a side, advection, time step."""
SCORES = ("covRMSE", "MELRu", "MELRw", "KLD", "W1")


def calibrate(run: NavierStokesRun, update: Update) -> None:
    """Simulates with every candidate and compares its fields with the reference, at the points they share."""
    config, scanned = run.config.navier_stokes, candidates(run.config)
    rows: dict[tuple[int, str], dict] = {}
    for i, (n, scheme, dt) in enumerate(scanned):
        name = f"{scheme}, {n} x {n}, step {dt:.3g}" + ", this run" * (i == 0)
        update(i, len(scanned), name)
        fields = _simulated(run, n, scheme, dt)
        for factor in config.factors:
            points = config.n_fine // factor
            if n % points == 0:
                thin = Subsample((n, n), n // points)
                _add(rows, factor, name, _scores(run, np.asarray(thin(jnp.asarray(fields))), factor))
    for factor in config.factors:
        floor = np.asarray(run.operator(factor)(jnp.asarray(run.fine.independent)))
        _add(rows, factor, "floor", _scores(run, floor, factor))
        published = published_factor(run.config, factor)
        _add(rows, factor, f"published, {published}x", RAW[published])
    update(len(scanned), len(scanned))
    listed = list(rows.values())
    shown = ScoreTable(listed, _floor_last(columns_of(listed)), by_candidate=True, title="Raw coarse fields")
    write_json(run.path(CALIBRATION), {**shown.as_dict(), "config": run.config.model_dump(mode="json")})
    write_text(run.path("calibration.md"), shown.as_markdown())


def candidates(config: NavierStokesConfig) -> list[Candidate]:
    """The solver of the run first, then those of the scan, each once."""
    table, own = config.calibration, config.navier_stokes
    configured: Candidate = own.n_coarse, own.advection, own.coarse_time_step
    scanned: list[Candidate] = [(n, scheme, time_step(config, n)) for n in table.grids for scheme in table.schemes]
    return list(dict.fromkeys([configured, *scanned]))


def time_step(config: NavierStokesConfig, n: int) -> float:
    """That of the Courant number, rounded down to a divisor of the interval."""
    interval = config.navier_stokes.interval
    wanted = config.calibration.courant * 2 * np.pi / n / config.navier_stokes.speed
    return interval / int(np.ceil(interval / wanted))


def _simulated(run: NavierStokesRun, n: int, scheme: Scheme, dt: float) -> np.ndarray:
    """As many trajectories, snapshots and images as the reference has."""
    table = run.config.navier_stokes
    flow = KolmogorovFlow(n, table.viscosity, table.drag, table.wavenumber, table.amplitude, dt)
    solver, first = StaggeredSolver(flow, scheme), n_training(table)
    n_runs = (first + table.n_trajectories) // 2 - first
    start = starts(solver, n_runs, key=run.key("calibration", scheme, str(n), f"{dt:g}"))
    schedule = Schedule(table.n_snapshots, table.interval, spin_up=table.spin_up)
    runs = np.concatenate(list(trajectories(solver, start, schedule, speed=table.speed)), axis=1)
    return images(run.config, runs, key=run.key("images of the scan", scheme, str(n), f"{dt:g}"))


def _scores(run: NavierStokesRun, fields: np.ndarray, factor: int) -> dict[str, float]:
    reference = np.asarray(run.operator(factor)(jnp.asarray(run.fine.reference)))
    found = distribution_scores(fields, reference, 2)
    return {name: found[name] for name in SCORES}


def _add(rows: dict, factor: int, column: str, scores: dict[str, float]) -> None:
    for metric, value in scores.items():
        row = rows.setdefault((factor, metric), {"group": f"{factor}x", "metric": metric, "target": "0"})
        row[column] = value


def _floor_last(columns: tuple[str, ...]) -> tuple[str, ...]:
    return (*(c for c in columns if c != "floor"), "floor")
