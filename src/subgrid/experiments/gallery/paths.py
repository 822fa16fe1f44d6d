"""The toy gallery: one set reached from noise by denoising, a flow, its reflow and a bridge, as paths to animate.

All four start from the same points of N(0, s²I), s the standard deviation of the target set, and are seen at the same
equally spaced times.
"""

from collections.abc import Callable
from itertools import count
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float, Scalar

from subgrid.diffusion.denoiser import Preconditioned
from subgrid.diffusion.objective import denoising_loss, karras_weight, log_uniform_levels
from subgrid.experiments.gallery.config import GalleryTable
from subgrid.networks.mlp import MLP
from subgrid.numerics.integration import integrate_path
from subgrid.runs.stage import Update
from subgrid.simulate import toy_2d
from subgrid.training.fitting import TrainingSchedule, fit, warmup_cosine
from subgrid.transport.bridge import bridge_times, sample_bridge_path
from subgrid.transport.bridge_fitting import BridgeSettings, Drifts, fit_bridge
from subgrid.transport.ends import Ends
from subgrid.transport.flow_matching import Flow
from subgrid.transport.rectified_flow import fit_rectified_flow
from subgrid.transport.velocity import NetworkVelocity
from subgrid.types import Key

PointPaths = Float[Array, "frame n 2"]
TITLES = ("denoising", "flow", "reflow", "bridge")
SIGMA_MAX, SIGMA_MIN = 40.0, 5e-3
SUBSTEPS = 4
"""Steps of each sampler between two frames."""
STEPS_AT_ONCE = 100
"""Training steps between two reports."""


def make_paths(table: GalleryTable, target: str, *, report: Update, key: Key) -> dict[str, np.ndarray]:
    """The paths of all four, in the units of the set: float32, frame × point × 2."""
    data_key, source_key, start_key, *keys = jr.split(key, 6)
    points = points_of(target, table.n_train, key=data_key)
    scale = float(jnp.std(points))
    ends = Ends(toy_2d.gaussian(table.n_train, key=source_key), points / scale)
    x = toy_2d.gaussian(table.n_points, key=start_key)
    total = 3 * table.n_steps + table.n_iterations * (table.n_steps // 2)
    denoised = denoising_paths(table, ends, x, lambda n: report(n, total, "denoising"), key=keys[0])
    flows = flow_paths(table, ends, x, lambda n: report(table.n_steps + n, total, "flows"), key=keys[1])
    bridged = bridge_paths(table, ends, x, lambda n: report(3 * table.n_steps + n, total, "bridge"), key=keys[2])
    named = zip(TITLES, (denoised, *flows, bridged), strict=True)
    return {title: np.asarray(path * scale, np.float32) for title, path in named}


def points_of(target: str, n: int, *, key: Key) -> Float[Array, "n 2"]:
    """The set, its eight Gaussians narrow enough to be distinguished."""
    return toy_2d.eight_gaussians(n, std=0.5, key=key) if target == "8gaussians" else toy_2d.draw(target, n, key=key)


def denoising_paths(
    table: GalleryTable, ends: Ends, x: Float[Array, "n 2"], report: Callable, *, key: Key
) -> PointPaths:
    """The probability flow of a diffusion, as its variance-preserving picture x_σ/√(1 + σ²).

    σ = tan θ with θ falling steadily: signal and noise are cos θ and sin θ of the picture.
    """
    network_key, fit_key = jr.split(key)
    denoiser = fit(
        Preconditioned(MLP((2,), (2,), hidden=table.hidden, key=network_key)),
        lambda d, batch, k: denoising_loss(
            d, batch, noise_levels=log_uniform_levels(SIGMA_MIN, SIGMA_MAX), weight=karras_weight(), key=k
        ),
        ends.target,
        lambda points, k: points[jr.randint(k, (table.batch_size,), 0, len(points))],
        _schedule(table),
        report=lambda step, _: report(step),
        key=fit_key,
    )
    angles = jnp.linspace(jnp.arctan(SIGMA_MAX), jnp.arctan(SIGMA_MIN), table.n_frames * SUBSTEPS + 1)
    levels = jnp.tan(angles)
    return _walk(ProbabilityFlow(denoiser), SIGMA_MAX * x, levels) / jnp.sqrt(1 + levels[::SUBSTEPS, None, None] ** 2)


class ProbabilityFlow(eqx.Module):
    """dx/dσ = (x − D(x, σ))/σ."""

    denoiser: Any

    def __call__(self, x: Float[Array, "2"], sigma: Scalar) -> Float[Array, "2"]:
        return (x - self.denoiser(x, sigma)) / sigma


@eqx.filter_jit
def _walk(rate: Any, x: Float[Array, "n 2"], times: Float[Array, " time"]) -> PointPaths:
    """The paths from x, every `SUBSTEPS`-th point of them."""
    return jax.vmap(lambda z: integrate_path(lambda y, t: rate(y, t), z, times)[::SUBSTEPS], out_axes=1)(x)


@eqx.filter_jit
def _wander(drift: Any, x: Float[Array, "n 2"], sigma: float, n_steps: int, key: Key) -> PointPaths:
    """The same along dX = v dt + σ dW."""
    times = bridge_times("forward", n_steps, grading=1.0)
    options: Any = {"direction": "forward", "sigma": sigma, "times": times}
    walk = lambda z, k: sample_bridge_path(drift, z, key=k, **options)[::SUBSTEPS]  # noqa: E731
    return jax.vmap(walk, out_axes=1)(x, jr.split(key, len(x)))


def flow_paths(
    table: GalleryTable, ends: Ends, x: Float[Array, "n 2"], report: Callable, *, key: Key
) -> tuple[PointPaths, PointPaths]:
    """Flow matching with independent pairs, and the same after one reflow."""
    network_key, fit_key = jr.split(key)
    steps = count(STEPS_AT_ONCE, STEPS_AT_ONCE)  # those of both rounds together, which each count from 0
    tell = lambda step, _: report(next(steps))  # noqa: E731
    flow = Flow(NetworkVelocity(MLP((2,), (2,), hidden=table.hidden, key=network_key)))
    options: Any = {"batch_size": table.batch_size, "report": tell}
    flows = fit_rectified_flow(flow, ends, _schedule(table), n_rounds=2, key=fit_key, **options)
    times = jnp.linspace(0.0, 1.0, table.n_frames * SUBSTEPS + 1)
    return _walk(flows[0].velocity, x, times), _walk(flows[1].velocity, x, times)


def bridge_paths(table: GalleryTable, ends: Ends, x: Float[Array, "n 2"], report: Callable, *, key: Key) -> PointPaths:
    """The Schrödinger bridge of diffusion σ."""
    forward_key, backward_key, fit_key, path_key = jr.split(key, 4)
    n_steps = table.n_steps // 2
    network = lambda k: NetworkVelocity(MLP((2,), (2,), hidden=table.hidden, key=k))  # noqa: E731
    bridge = fit_bridge(
        Drifts(network(forward_key), network(backward_key)),
        ends,
        BridgeSettings(
            sigma=table.sigma,
            n_iterations=table.n_iterations,
            n_steps=n_steps,
            batch_size=table.batch_size,
            learning_rate=table.learning_rate,
        ),
        report=lambda k, step, _: report(k * n_steps + step),
        key=fit_key,
    )
    return _wander(bridge.forward, x, table.sigma, table.n_frames * SUBSTEPS, path_key)


def _schedule(table: GalleryTable) -> TrainingSchedule:
    optimiser = warmup_cosine(table.n_steps, peak=table.learning_rate)
    return TrainingSchedule(table.n_steps, optimiser, steps_per_dispatch=STEPS_AT_ONCE)
