"""The stages of the Gaussian bridge: a fit for each dimension, table, page.

RUN/dD/       checkpoints of the outer loop for dimension D
RUN/dD.json   what was measured after each outer iteration
"""

import json
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

import jax.numpy as jnp
import jax.random as jr

from subgrid.data.store import write_json
from subgrid.experiments.gaussian_bridge.config import GaussianBridgeConfig, GaussianBridgeTable
from subgrid.experiments.gaussian_bridge.measure import exact_bridge, measure, settings_of
from subgrid.networks.mlp import MLP
from subgrid.numerics.noise import standard_normal
from subgrid.runs.experiment import Recipe
from subgrid.runs.page import METRICS, Page, report_stage, write_metrics
from subgrid.runs.run import Run
from subgrid.runs.score_table import ScoreTable
from subgrid.runs.stage import Stage, Update, all_but
from subgrid.transport.bridge import Bridge
from subgrid.transport.bridge_fitting import Drifts, fit_bridge
from subgrid.transport.ends import Ends
from subgrid.transport.velocity import NetworkVelocity
from subgrid.verification.gaussian_divergence import divergence_floor

Measured = list[dict[str, Any]]
"""What was measured, an outer iteration each."""
PUBLISHED = {5: 1.34e-3, 20: 5.05e-3, 50: 9.76e-3}
"""Mean KL of DSBM-IMF by dimension (Shi et al. 2023, arXiv:2303.16852); their estimator is not published."""
COLUMNS = ("fitted", "exact", "published", "floor")


class GaussianBridgeRun(Run[GaussianBridgeConfig]):
    """A run of all dimensions."""

    root = "gaussian bridge"
    streams = ("dimension",)

    def measured(self, d: int) -> Path:
        """What was measured of a dimension."""
        return self.path(f"d{d}.json")


def stages(config: GaussianBridgeConfig) -> list[Stage]:
    """All stages of a configuration, in order."""
    table = config.gaussian_bridge
    fitted = [_fit_stage(d, table) for d in table.dimensions]
    scored = Stage(
        "score",
        score,
        (METRICS,),
        needs=tuple(stage.name for stage in fitted),
        depends_on={"gaussian_bridge": ("dimensions", "n_iterations")},
        if_changed="remake",
    )
    return [*fitted, scored, report_stage(page, config, needs=("score",))]


def _fit_stage(d: int, table: GaussianBridgeTable) -> Stage:
    return Stage(
        f"fit {d} dimensions",
        partial(fit_dimension, d),
        (f"d{d}.json",),
        depends_on={"run": ("seed",), "gaussian_bridge": all_but(GaussianBridgeTable, "dimensions", "n_iterations")},
        grows_with={"gaussian_bridge": ("n_iterations",)},
        state=(f"d{d}",),
        work=table.n_iterations * table.n_steps,
    )


def fit_dimension(d: int, run: GaussianBridgeRun, update: Update) -> None:
    """The outer loop of one dimension, measured after every iteration."""
    table, file = run.config.gaussian_bridge, run.measured(d)
    if len(read(file)) >= table.n_iterations:
        return
    data_key, forward_key, backward_key, fit_key, test_key = jr.split(run.key("dimension", str(d)), 5)
    x0, x1 = standard_normal((2, table.n_train, d), key=data_key) + table.offset * jnp.array([-1.0, 1.0])[:, None, None]
    network = lambda key: NetworkVelocity(MLP((d,), (d,), hidden=table.hidden, key=key))  # noqa: E731
    total, clock = table.n_iterations * table.n_steps, Clock()

    def after_iteration(k: int, bridge: Bridge) -> None:
        before = [row for row in read(file) if row["iteration"] < k]
        numbers = measure(bridge, exact_bridge(table, d), table, key=jr.fold_in(test_key, k))
        write_json(file, [*before, {"iteration": k, **numbers, "seconds": clock.lap()}])

    bridge = fit_bridge(
        Drifts(network(forward_key), network(backward_key)),
        Ends(x0, x1),
        settings_of(table),
        folder=run.path(f"d{d}"),
        report=lambda k, step, numbers: update(k * table.n_steps + step, total, f"loss {numbers['loss']:.4f}"),
        after_iteration=after_iteration,
        key=fit_key,
    )
    if len(read(file)) < table.n_iterations:  # the measurements were removed, the checkpoints not: the last again
        after_iteration(table.n_iterations - 1, bridge)


class Clock:
    """Seconds between laps."""

    def __init__(self) -> None:
        self._since = monotonic()

    def lap(self) -> float:
        """Seconds since the last lap, or the beginning."""
        before, self._since = self._since, monotonic()
        return round(self._since - before, 1)


def read(file: Path) -> Measured:
    """What is measured so far."""
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else []


def score(run: GaussianBridgeRun, update: Update) -> None:
    """The table, from the last iteration of each dimension."""
    table = run.config.gaussian_bridge
    measured = {d: read(run.measured(d))[: table.n_iterations] for d in table.dimensions}
    rows = [row for d, each in measured.items() for row in rows_of(table, d, each)]
    iterations = {str(d): each for d, each in measured.items()}
    write_metrics(run, ScoreTable(rows, COLUMNS), n_test=table.n_test, iterations=iterations)
    update(1, 1)


def rows_of(table: GaussianBridgeTable, d: int, measured: Measured) -> list[dict[str, Any]]:
    """Mean KL both ways, the coupling, the variance reached, and how far the coupling strays in the second half."""
    last, later = measured[-1], [row["covariance_forward"] for row in measured[len(measured) // 2 :]]
    published = PUBLISHED.get(d) if (table.offset, table.sigma) == (0.1, 1.0) else None
    floor, exact = divergence_floor(table.n_test, d), float(exact_bridge(table, d).coupling[0, 0])
    kl = "mean over the sampler's times of the divergence of a diagonal Gaussian from the exact bridge"
    found = [
        ("mean KL", kl, {"fitted": last["kl_forward"], "published": published, "floor": floor}),
        ("mean KL, backward", kl, {"fitted": last["kl_backward"], "floor": floor}),
        ("covariance", "of both ends, mean over coordinates", {"fitted": last["covariance_forward"], "exact": exact}),
        ("variance", "at the end that is reached, mean over coordinates",
         {"fitted": last["variance_forward"], "exact": 1.0}),
        ("range of the covariance", "over the second half of the outer iterations",
         {"fitted": max(later) - min(later)}),
    ]  # fmt: skip
    rows = []
    for metric, about, numbers in found:
        target = "–" if "exact" in numbers else "0"
        rows.append({"group": f"{d} dimensions", "metric": metric, "target": target, "about": about, **numbers})
    return rows


def page(run: GaussianBridgeRun) -> Page:
    """The table and what it is of."""
    table = run.config.gaussian_bridge
    summary = [
        ("Ends", f"N(∓{table.offset:g}, I), σ = {table.sigma:g}"),
        ("Fitting", f"{table.n_iterations} outer iterations of {table.n_steps} steps, from {table.start} pairs"),
        ("Measured on", f"{table.n_test} paths of {table.n_sampling_steps} steps"),
    ]
    notes = ["The floor is what the exact bridge scores on as many paths, by the number of moments that are estimated."]
    return Page(f"Gaussian bridge: {run.config.run.name}", summary, notes=notes)


RECIPE = Recipe(GaussianBridgeRun, stages, page)
