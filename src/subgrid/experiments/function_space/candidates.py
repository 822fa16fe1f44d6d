"""The candidates of a table of functions: a name becomes a trained model, which is sampled on any grid.

"diffusion" and "flow" start from noise that is a function and are given what is known of Gaussian data in every mode.
The control of each has white noise and sees points: a model of vectors, on a network that is one operator on all
grids. "diffusion-points" stands between: noise that is a function, at points.
"""

from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float, Scalar

from subgrid.experiments.function_space.config import Candidate, FunctionsTable
from subgrid.functional.flow import solve_adaptively
from subgrid.functional.function_diffusion import FunctionDiffusion
from subgrid.functional.function_flow import FunctionFlow
from subgrid.functional.gaussian_field import GaussianField, white_field
from subgrid.functional.preconditioning import n_features
from subgrid.functional.preparation import FunctionSettings
from subgrid.networks.extension import Extension
from subgrid.networks.fno import FNO, FNOSettings
from subgrid.networks.unet import UNet, UNetSettings
from subgrid.numerics.modes import Box
from subgrid.training.checkpoint import Checkpoints
from subgrid.training.fitting import TrainingSchedule, warmup_cosine
from subgrid.training.log import MetricsReport
from subgrid.types import Key

Model = FunctionDiffusion | FunctionFlow
POINTS_AT_ONCE = 2**20
"""Of all fields that are sampled together: bounds memory."""
EMA_DECAY = 0.998
"""Averages over the last 500 of some thousand steps, in which the learning rate has fallen."""


def train(
    candidate: Candidate,
    fields: Float[np.ndarray, "n channel *space"],
    box: Box,
    table: FunctionsTable,
    *,
    checkpoints: Checkpoints,
    report: MetricsReport,
    key: Key,
) -> Model:
    """One candidate, trained on fields of the training grid."""
    network_key, fit_key = jr.split(key)
    n = fields.shape[1]
    white, points = candidate.endswith("-white"), candidate.endswith(("-white", "-points"))
    kind = FunctionFlow if candidate.startswith("flow") else FunctionDiffusion
    optimiser = warmup_cosine(table.n_steps, peak=table.learning_rate)
    schedule = TrainingSchedule(
        table.n_steps, optimiser, ema_decay=EMA_DECAY, steps_per_dispatch=50, checkpoint_every=500
    )
    settings = FunctionSettings(
        schedule=schedule, batch_size=table.batch_size, preconditioning="points" if points else "modes"
    )
    return kind.fit(
        fields,
        noise=_white(box, table.n_points) if white else _trace_class(box, table),
        network=_operator(n, n, box, table, key=network_key) if points else _network(n, box, table, key=network_key),
        settings=settings,
        checkpoints=checkpoints,
        report=report,
        key=fit_key,
    )


def _trace_class(box: Box, table: FunctionsTable) -> GaussianField:
    return GaussianField(table.alpha, table.tau, box.length, box.boundary, variance=1.0)


def _white(box: Box, n_points: int) -> GaussianField:
    """Of unit variance at a point of the training grid."""
    return white_field(box.length, box.boundary, scale=float(np.sqrt(box.volume / n_points**box.n_space)))


def _network(n_channels: int, box: Box, table: FunctionsTable, *, key: Key) -> eqx.Module:
    """Of a model that works on the modes of the training grid: any network is one operator on all grids there."""
    if table.network == "fno":
        return _operator(n_features(n_channels), n_channels, box, table, key=key)
    padding = "reflect" if box.boundary == "neumann" else "periodic"
    size = UNetSettings(channels=table.channels, patch=table.patch, padding=padding)
    extra = box.n_space * (1 if padding == "reflect" else 2) if table.coordinates else 0
    network = UNet(n_features(n_channels) + extra, n_channels, box.n_space, size, key=key)
    return Placed(network, box.boundary == "neumann") if extra else network


class Placed(eqx.Module):
    """A network that is shown where each point lies: (i + ½)/N between walls, cosine and sine where space wraps around.

    Args:
        network: from the field and the places to the field.
        walls: whether there are walls.
    """

    network: UNet
    walls: bool = eqx.field(static=True)

    def __call__(self, x: Float[Array, "channel *space"], time: Scalar) -> Float[Array, "out *space"]:
        places = Extension(1.0 if self.walls else 0.0).coordinates(x.shape[1:], x.dtype)
        return self.network(jnp.concatenate([x, places[(slice(None), *(slice(n) for n in x.shape[1:]))]]), time)


def _operator(n_seen: int, n_channels: int, box: Box, table: FunctionsTable, *, key: Key) -> FNO:
    """The only network that is one operator on all grids by itself, which those of points need."""
    walls = box.boundary == "neumann"
    settings = FNOSettings(
        table.width, table.n_layers, table.n_modes, extension=1.0 if walls else 0.0, coordinates=table.coordinates
    )
    return FNO(n_seen, n_channels, box.n_space, settings, key=key)


def draw(
    model: Model, shape: tuple[int, ...], n: int, n_levels: int, *, key: Key
) -> Float[np.ndarray, "n channel *space"]:
    """Samples on a grid; the same key on another grid starts from the same functions of noise."""
    one = eqx.filter_jit(jax.vmap(lambda key: model.sample(shape, key=key, n_levels=n_levels)))
    return _in_parts(one, jr.split(key, n), shape)


def continued(
    model: Model,
    given: Float[np.ndarray, "n channel *coarse"],
    shape: tuple[int, ...],
    n_levels: int,
    *,
    key: Key,
) -> tuple[Float[np.ndarray, "n channel *space"], Float[np.ndarray, " n"]]:
    """Given fields on a finer grid, by coupled noise, and how far the given modes have drifted."""
    one = eqx.filter_jit(jax.vmap(lambda y, key: tuple(model.super_resolve(y, shape, key=key, n_levels=n_levels))))
    at_once = max(1, POINTS_AT_ONCE // int(np.prod(shape)))
    keys, parts = jr.split(key, len(given)), range(0, len(given), at_once)
    found = [one(given[i : i + at_once], keys[i : i + at_once]) for i in parts]
    return np.concatenate([np.asarray(f) for f, _ in found]), np.concatenate([np.asarray(d) for _, d in found])


def evaluations(model: FunctionFlow, shape: tuple[int, ...], n: int, *, key: Key) -> float:
    """How often an adaptive solver asks for the velocity, mean of n samples."""
    velocity, space = model.velocity(), model.space

    def count(key):
        x = space.noise.sample(shape, n_channels=space.n_channels, key=key)
        return solve_adaptively(partial(velocity), x, tolerance=SOLVER_TOLERANCE).n_evaluations

    return float(np.mean(eqx.filter_jit(lambda keys: jax.lax.map(count, keys))(jr.split(key, n))))


SOLVER_TOLERANCE = 1e-3
"""Relative, of the root mean square over points; float32 and a trained network have no use for less."""


def _in_parts(one: Any, keys: Array, shape: tuple[int, ...]) -> np.ndarray:
    at_once = max(1, POINTS_AT_ONCE // int(np.prod(shape)))
    return np.concatenate([np.asarray(one(keys[i : i + at_once])) for i in range(0, len(keys), at_once)])
