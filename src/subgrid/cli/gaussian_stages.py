"""The Gaussian bridge: iterative Markovian fitting between N(−a·1, I) and N(a·1, I), against its closed form.

RUN/config.toml
RUN/dD/            checkpoints of the outer loop for dimension D
RUN/dD.json        what was measured after each outer iteration
RUN/metrics.json, table.md
"""

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr

from subgrid.cli.experiment import machine_summary
from subgrid.cli.progress import progress_bar
from subgrid.cli.run_folder import open_folder
from subgrid.cli.streams import gaussian_bridge_key
from subgrid.cli.toy_config import GaussianBridge, GaussianBridgeConfig
from subgrid.data.store import write_json, write_text
from subgrid.networks.mlp import MLP
from subgrid.numerics.noise import standard_normal
from subgrid.transport.bridge import Bridge, Direction, bridge_times, sample_bridge_path
from subgrid.transport.bridge_fitting import BridgeSettings, fit_bridge, restarting_cosine
from subgrid.transport.ends import Ends
from subgrid.transport.gaussian_bridge import GaussianBridge as ExactBridge
from subgrid.transport.gaussian_bridge import gaussian_schroedinger_bridge
from subgrid.transport.velocity import NetworkVelocity
from subgrid.types import Key
from subgrid.verification.gaussian_divergence import diagonal_gaussian_divergence, divergence_floor

Rows = list[dict[str, Any]]
"""What was measured, an outer iteration each."""

PUBLISHED = {5: 1.34e-3, 20: 5.05e-3, 50: 9.76e-3}
"""Mean KL of DSBM-IMF by dimension (Shi et al. 2023, arXiv:2303.16852); their estimator is not published."""


def run_bridges(path: Path, overrides: Sequence[str], folder: Path) -> dict[str, Any]:
    """Every dimension, then the table; the same call resumes.

    **Returns:** what `metrics.json` holds. **Raises:** as `open_folder`.
    """
    config = open_folder(
        GaussianBridgeConfig, path, overrides, folder, parts="d[0-9]*", may_change=("dimensions", "n_iterations")
    )
    rows = []
    for d in config.gaussian_bridge.dimensions:
        measured = folder / f"d{d}.json"
        if len(_read(measured)) < config.gaussian_bridge.n_iterations:
            fit_dimension(config, d, folder)
        rows.append(summary(config.gaussian_bridge, d, _read(measured)[: config.gaussian_bridge.n_iterations]))
    metrics = {"rows": rows, "n_test": config.gaussian_bridge.n_test, "machine": machine_summary()}
    write_json(folder / "metrics.json", metrics)
    write_text(folder / "table.md", as_markdown(rows))
    return metrics


def exact_bridge(table: GaussianBridge, d: int) -> ExactBridge:
    """The Schrödinger bridge of the experiment."""
    ones, eye = jnp.ones(d), jnp.eye(d)
    return gaussian_schroedinger_bridge(-table.offset * ones, eye, table.offset * ones, eye, sigma=table.sigma)


def fit_dimension(config: GaussianBridgeConfig, d: int, folder: Path) -> None:
    """The outer loop of one dimension, measured after every iteration into RUN/dD.json."""
    table, file = config.gaussian_bridge, folder / f"d{d}.json"
    key = gaussian_bridge_key(config.run.seed, d)
    data_key, forward_key, backward_key, fit_key, test_key = jr.split(key, 5)
    x0, x1 = standard_normal((2, table.n_train, d), key=data_key) + table.offset * jnp.array([-1.0, 1.0])[:, None, None]
    network = lambda key: NetworkVelocity(MLP((d,), (d,), hidden=table.hidden, key=key))  # noqa: E731
    total, started = table.n_iterations * table.n_steps, [monotonic()]

    def after_iteration(k: int, bridge: Bridge) -> None:
        before = [row for row in _read(file) if row["iteration"] < k]
        numbers = measure(bridge, exact_bridge(table, d), table, key=jr.fold_in(test_key, k))
        seconds = round(monotonic() - started[0], 1)
        started[0] = monotonic()
        write_json(file, [*before, {"iteration": k, **numbers, "seconds": seconds}])

    with progress_bar(f"Gaussian bridge, d = {d}") as update:
        bridge = fit_bridge(
            network(forward_key),
            network(backward_key),
            Ends(x0, x1),
            settings_of(table),
            optimiser=restarting_cosine(table.n_steps, peak=table.learning_rate),
            folder=folder / f"d{d}",
            report=lambda k, step, numbers: update(k * table.n_steps + step, total, f"loss {numbers['loss']:.4f}"),
            after_iteration=after_iteration,
            key=fit_key,
        )
    if len(_read(file)) < table.n_iterations:  # the measurements were removed, the checkpoints not: the last again
        after_iteration(table.n_iterations - 1, bridge)


def settings_of(table: GaussianBridge) -> BridgeSettings:
    return BridgeSettings(
        sigma=table.sigma,
        start=table.start,
        n_iterations=table.n_iterations,
        n_steps=table.n_steps,
        batch_size=table.batch_size,
        n_pairs=table.n_pairs,
        n_simulation_steps=table.n_sampling_steps,
    )


def measure(bridge: Bridge, exact: ExactBridge, table: GaussianBridge, *, key: Key) -> dict[str, float]:
    """Mean KL over the times of the sampler, both ways; coupling covariance and the variance at the end reached."""
    numbers: dict[str, float] = {}
    directions: tuple[Direction, Direction] = ("forward", "backward")
    for direction, k in zip(directions, jr.split(key), strict=True):
        drift = getattr(bridge, direction)
        found = _measure_one_way(drift, exact, direction, table.n_test, table.n_sampling_steps, k)
        numbers |= {f"{name}_{direction}": float(value) for name, value in found.items()}
    return numbers


@eqx.filter_jit
def _measure_one_way(drift, exact: ExactBridge, direction: Direction, n: int, n_steps: int, key: Key):
    draw_key, path_key = jr.split(key)
    start = exact.mean0 if direction == "forward" else exact.mean1
    x = start + standard_normal((n, len(start)), key=draw_key)
    # Noise on the last step too: the laws at all 21 times are then those of one diffusion.
    simulate = partial(sample_bridge_path, direction=direction, sigma=exact.sigma, n_steps=n_steps, noise_at_end=True)
    paths = jax.vmap(lambda x, k: simulate(drift, x, key=k))(x, jr.split(path_key, n))
    means, spreads = jax.vmap(exact.moments)(bridge_times(direction, n_steps))
    variances = jnp.diagonal(spreads, axis1=1, axis2=2)
    divergences = jax.vmap(diagonal_gaussian_divergence, in_axes=(1, 0, 0))(paths, means, variances)
    first, last = (paths[:, i] - paths[:, i].mean(0) for i in (0, -1))
    return {"kl": divergences.mean(), "covariance": (first * last).mean(), "variance": (last**2).mean()}


def summary(table: GaussianBridge, d: int, rows: Rows) -> dict[str, Any]:
    """One row of the table: the last iteration, and how far the coupling strays over the last half of them."""
    last, later = rows[-1], [row["covariance_forward"] for row in rows[len(rows) // 2 :]]
    return {
        "d": d,
        **{name: value for name, value in last.items() if name != "seconds"},
        "kl_floor": divergence_floor(table.n_test, d),
        "kl_published": PUBLISHED.get(d) if (table.offset, table.sigma) == (0.1, 1.0) else None,
        "covariance_exact": float(exact_bridge(table, d).coupling[0, 0]),
        "covariance_range": max(later) - min(later),
        "seconds": round(sum(row["seconds"] for row in rows), 1),
        "iterations": rows,
    }


COLUMNS = ("d", "KL x 1e3", "backward", "floor", "published", "covariance", "exact", "variance", "drift", "minutes")


def lines_of(rows: list[dict[str, Any]]) -> list[list[str]]:
    """One line a dimension, in the order of `COLUMNS`."""
    return [
        [
            str(row["d"]),
            f"{1e3 * row['kl_forward']:.2f}",
            f"{1e3 * row['kl_backward']:.2f}",
            f"{1e3 * row['kl_floor']:.2f}",
            "–" if row["kl_published"] is None else f"{1e3 * row['kl_published']:.2f}",
            f"{row['covariance_forward']:.4f}",
            f"{row['covariance_exact']:.4f}",
            f"{row['variance_forward']:.4f}",
            f"{row['covariance_range']:.4f}",
            f"{row['seconds'] / 60:.1f}",
        ]
        for row in rows
    ]


def as_markdown(rows: list[dict[str, Any]]) -> str:
    return "".join(f"| {' | '.join(line)} |\n" for line in [COLUMNS, ["---"] * len(COLUMNS), *lines_of(rows)])


def show(rows: list[dict[str, Any]]) -> None:
    """Prints the table."""
    from rich.console import Console
    from rich.table import Table

    table = Table(*COLUMNS, title="Gaussian bridge: mean KL to the Schrödinger bridge over the sampler's times")
    for line in lines_of(rows):
        table.add_row(*line)
    Console(width=120).print(table)


def _read(file: Path) -> Rows:
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else []
