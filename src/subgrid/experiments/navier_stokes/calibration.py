"""The calibration scan: which coarse solver makes the bias that was published, by grid, scheme and time step.

RUN/calibration.json, calibration.md   raw scores of every solver at every factor, beside the published rows
"""

import jax.numpy as jnp
import numpy as np

from subgrid.data.store import write_json, write_text
from subgrid.downscaling.evaluation import distribution_scores
from subgrid.experiments.navier_stokes.archives import SPEED, starts
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
SCORES = ("covRMSE", "MELRu", "MELRw", "KLD", "W1")


def calibrate(run: NavierStokesRun, update: Update) -> None:
    """Simulates with every candidate and compares its fields with the reference, at the points they share."""
    table = run.config.calibration
    candidates: list[tuple[int, Scheme]] = [(n, scheme) for n in table.grids for scheme in table.schemes]
    rows: dict[tuple[int, str], dict] = {}
    for i, (n, scheme) in enumerate(candidates):
        name = f"{scheme}, {n} x {n}"
        update(i, len(candidates), name)
        fields = _simulated(run, n, scheme)
        for factor in run.config.navier_stokes.factors:
            points = run.config.navier_stokes.n_fine // factor
            if n % points == 0:
                thin = Subsample((n, n), n // points)
                _add(rows, factor, name, _scores(run, np.asarray(thin(jnp.asarray(fields))), factor))
    for factor in run.config.navier_stokes.factors:
        floor = np.asarray(run.operator(factor)(jnp.asarray(run.fine.independent)))
        _add(rows, factor, "floor", _scores(run, floor, factor))
        _add(
            rows,
            factor,
            f"published, {published_factor(run.config, factor)}x",
            RAW[published_factor(run.config, factor)],
        )
    update(len(candidates), len(candidates))
    listed = list(rows.values())
    shown = ScoreTable(listed, _floor_last(columns_of(listed)), by_candidate=True, title="Raw coarse fields")
    write_json(run.path(CALIBRATION), {**shown.as_dict(), "config": run.config.model_dump(mode="json")})
    write_text(run.path("calibration.md"), shown.as_markdown())


def time_step(config: NavierStokesConfig, n: int) -> float:
    """That of the Courant number, rounded down to a divisor of the interval."""
    interval = config.navier_stokes.interval
    wanted = config.calibration.courant * 2 * np.pi / n / SPEED
    return interval / int(np.ceil(interval / wanted))


def _simulated(run: NavierStokesRun, n: int, scheme: Scheme) -> np.ndarray:
    table, config = run.config.navier_stokes, run.config
    flow = KolmogorovFlow(n, table.viscosity, table.drag, table.wavenumber, table.amplitude, time_step(config, n))
    solver = StaggeredSolver(flow, scheme)
    start = starts(solver, config.calibration.n_trajectories, key=run.key("calibration", scheme, str(n)))
    schedule = Schedule(table.n_snapshots, table.interval, spin_up=table.spin_up)
    parts = list(trajectories(solver, start, schedule, speed=SPEED))
    return np.concatenate(parts, axis=1).reshape(-1, 1, n, n)


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
