"""A prior of functions: trained on a grid of its own, and good for any other that holds its modes.

MODEL/functions.zarr   the whole model: network, noise, measured spectrum, training grid, standardisation
MODEL/functions.json   its settings; written last

and the files of its training (`training.py`).
"""

import dataclasses
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Float

from subgrid.data.normalise import Standardiser
from subgrid.data.store import write_json
from subgrid.downscaling.prior.model import PriorSettings, build_network
from subgrid.downscaling.prior.training import TrainingFields, TrainingSettings, train_on_fields
from subgrid.downscaling.stored.part import load_part, save_part
from subgrid.functional.admissibility import MIN_OCTAVES, check_noise, octaves, require_right_noise
from subgrid.functional.function_diffusion import FunctionDiffusion
from subgrid.functional.gaussian_field import GaussianField, fit_gaussian_field
from subgrid.functional.levels import level_range
from subgrid.functional.objective import operator_loss
from subgrid.functional.preconditioning import BandNetwork, ModewiseOperator, n_features
from subgrid.functional.preparation import FunctionSettings, FunctionSpace, prepare
from subgrid.networks.unet import smallest_grid
from subgrid.numerics.modes import Box
from subgrid.numerics.streams import substream
from subgrid.training.distributed import is_first_process
from subgrid.training.log import MetricsReport
from subgrid.types import Coarsening, Key

FORMAT = 2
"""Of the training: raised whenever another version's would not go on to the same bits."""
STORE, DESCRIPTION = "functions.zarr", "functions.json"
SMOOTHNESS = (0.5, 0.25, 0.1)
"""How far α may lie above half the dimension, from Brownian roughness down to hardly trace class."""
MOST_POINTS = 4096
"""Of a fine grid, whose Gaussian part is one dense matrix: 130 MB at this number, and as the square beyond."""
OF_MODES = FunctionSettings().of_modes
"""Share of the loss that counts every mode the same: as of any model of functions."""
FIELDS_AT_ONCE = 1024
"""Moved to the training grid together: bounds memory."""


def box_of(n_space: int, *, periodic: bool) -> Box:
    """Where fields live, sides of 1.

    Args:
        n_space: number of space axes.
        periodic: whether space wraps around; else there are walls, at which cosines end.

    Returns:
        The box.
    """
    return Box((1.0,) * n_space, "periodic" if periodic else "neumann")


def suited_noise(fields: Float[np.ndarray, "n channel *space"], box: Box) -> GaussianField:
    """Noise of unit variance, as far correlated as the fields, and as smooth as they allow.

    C = (−Δ + τ²)^−α with τ the mean wavenumber of the fields' energy. α is the first of `SMOOTHNESS` above half the
    dimension that is right for them (`functional.check_noise`): smoother noise leaves a flow less to do, and noise
    that is too smooth for rough fields leaves their short waves uncovered.

    Args:
        fields: samples, any unit.
        box: in which they live.

    Returns:
        N(0, C); the roughest where none is right.
    """
    anomaly = fields - fields.mean((0, *range(2, fields.ndim)), keepdims=True)
    grid = fields.shape[2:]
    data = fit_gaussian_field(anomaly, box.length, box.boundary)
    energies = np.mean(np.asarray(data.mode_variances(grid)), 0) * box.weights(grid)
    tau = float(np.sum(np.sqrt(box.squared_wavenumbers(grid)) * energies) / np.sum(energies))
    noises = [GaussianField(box.n_space / 2 + more, tau, box.length, box.boundary, variance=1.0) for more in SMOOTHNESS]
    if len(octaves(box, grid)) < MIN_OCTAVES:  # too few to tell
        return noises[0]
    return next((noise for noise in noises if check_noise(data, noise, grid).right), noises[-1])


def require_few_points(shape: tuple[int, ...]) -> None:
    """Passes if a fine grid is not too large for the Gaussian part of a model of functions.

    Args:
        shape: of the fine grid.

    Raises:
        ValueError: for more than `MOST_POINTS` points.
    """
    if np.prod(shape) > MOST_POINTS:
        raise ValueError(
            f"a fine grid of {shape} has {int(np.prod(shape))} points, and the Gaussian part of a model of functions "
            f'is dense, for {MOST_POINTS} at most; take prior = "network".'
        )


def function_settings(
    shape: tuple[int, ...], edges: str, network: Mapping[str, Any], *, n_points: int | None = None
) -> PriorSettings:
    """The network of a prior of functions, on the training grid that it can take.

    Args:
        shape: (channel, *space), of a field.
        edges: "periodic", where space wraps around; else there are walls.
        network: settings that are given, of `PriorSettings`.
        n_points: of the training grid, an axis; by default as many as half of those of the fields, or a few more, so
            that the network can halve them from level to level.

    Returns:
        The settings.

    Raises:
        ValueError: for a training grid that fields of this shape do not hold, or the network cannot take.
    """
    n_channels, *space = shape
    require_few_points(tuple(space))
    if edges == "zero":
        raise ValueError(
            'prior = "function-space" is of fields that fill a box, periodic or between walls; these have cells '
            'without values around them. Take prior = "network".'
        )
    if told := [name for name in network if name.startswith("sigma")]:
        raise ValueError(
            f'{told[0]} does not go with prior = "function-space", whose noise levels follow from the spectrum of the '
            "fields; leave it out."
        )
    padding = "periodic" if edges == "periodic" else "reflect"
    first = PriorSettings(n_channels, tuple(space), padding=(padding,), **network)
    unit = {"patch": first.patch, "n_levels": len(first.channels)}
    grid = (n_points,) * len(space) if n_points else smallest_grid(tuple(-(-n // 2) for n in space), **unit)
    if not box_of(len(space), periodic=padding == "periodic").holds(tuple(space), grid):
        raise ValueError(
            f"a prior of functions would be trained on {grid} points, which fields of {tuple(space)} do not hold; "
            f"choose a smaller patch ({first.patch}) or fewer levels of channels {first.channels}."
        )
    settings = dataclasses.replace(first, space=grid)
    eqx.filter_eval_shape(partial(build_network, settings, n_features(n_channels)), key=jr.key(0))
    return settings


def train_function_prior(
    fields: Float[np.ndarray, "n channel *space"],
    settings: PriorSettings,
    training: TrainingSettings,
    *,
    folder: str | Path,
    operator: Coarsening | None = None,
    report: MetricsReport | None = None,
    key: Key,
) -> FunctionDiffusion:
    """Trains a prior of functions on fields of any grid; run again on the same folder, it resumes to the same bits.

    Args:
        fields: (n, channel, *space), physical units; their modes are cut to the training grid.
        settings: of the network, `space` the training grid; the padding says whether space wraps around. Noise levels
            follow from the spectrum.
        training: how long and how fast.
        folder: of the model.
        operator: C′ of a fine grid that holds the training grid; the model then is a conditional one, of μ(·|y) with
            y = C′u, which knows y (`known=`). Default none.
        report: `report(step, metrics)`, called after each dispatch.
        key: of weights, batches and noise.

    Returns:
        The model, also saved in `folder`.

    Raises:
        ValueError: for fields that do not hold the training grid, as `functional.prepare`, or as `train_on_fields`.
        CheckpointMismatch: as `train_on_fields`.

    Examples:
        >>> model = train_function_prior(fields, PriorSettings(1, (96,)), TrainingSettings(), folder="model", key=key)
    """
    box = box_of(len(settings.space), periodic="periodic" in settings.padding)
    if not box.holds(fields.shape[2:], settings.space):
        raise ValueError(
            f"a training grid of {settings.space} points has modes that fields of {fields.shape[2:]} do not hold."
        )
    coarse = on_grid(fields, settings.space, box)
    space = _space_of(coarse, box, knows=operator is not None)
    noise = space.noise
    levels = level_range(space.data, noise, space.grid)
    standardiser = Standardiser(jnp.asarray(space.standard.mean), jnp.asarray(space.standard.scale))
    n_known = 0 if operator is None else settings.n_channels
    network = build_network(settings, n_features(settings.n_channels, n_known), key=substream(key, "network"))
    untrained = ModewiseOperator(BandNetwork(network, box, space.grid, sees_answer=True), space.data, noise)

    def loss(trained, batch, key):
        known = None if operator is None else operator(box.resize(batch, operator.fine_shape))
        return operator_loss(
            trained, batch, data=space.data, noise=noise, levels=levels, known=known, of_modes=OF_MODES, key=key
        )

    own = {name: value for name, value in dataclasses.asdict(settings).items() if not name.startswith("sigma")}
    origin = {"format": FORMAT, "prior of functions": own}
    if operator is not None:
        origin["known"] = [list(operator.fine_shape), list(operator.coarse_shape)]
    trained = train_on_fields(
        untrained, loss, TrainingFields(coarse, standardiser), training, origin=origin, folder=folder, report=report,
        key=key,
    )  # fmt: skip
    model = FunctionDiffusion(trained, space, *levels)
    if is_first_process():
        save_part(Path(folder) / STORE, model)
        write_json(Path(folder) / DESCRIPTION, {"format": FORMAT, **own})
    return model


def _space_of(fields: Float[np.ndarray, "n channel *grid"], box: Box, *, knows: bool) -> FunctionSpace:
    """Suited noise, and what `prepare` measures, if noise is right for the fields; of conditional models with y."""
    _, _, space = prepare(fields, suited_noise(fields, box))
    try:
        require_right_noise(space.data, space.noise, space.grid)
    except ValueError as error:
        raise ValueError(
            f"these fields are too rough for a prior of functions on {space.grid} points: even noise that is hardly a "
            f'function is smoother than they need. Take prior = "network", of the fine grid. ({error})'
        ) from error
    # C′ keeps constants: y is standardised as u is.
    return dataclasses.replace(space, known=space.standard) if knows else space


def load_function_prior(folder: str | Path) -> FunctionDiffusion:
    """The model that `train_function_prior` saved.

    Args:
        folder: of the model.

    Returns:
        The model.

    Raises:
        DataError: if the folder holds none.
    """
    return load_part(Path(folder) / STORE)


def is_function_prior(folder: str | Path) -> bool:
    """Whether the folder holds a whole prior of functions.

    Args:
        folder: of a model; it need not exist.

    Returns:
        True if there is a `functions.json`, which is written last.
    """
    return (Path(folder) / DESCRIPTION).exists()


def on_grid(
    fields: Float[np.ndarray, "n channel *space"], grid: tuple[int, ...], box: Box
) -> Float[np.ndarray, "n channel *grid"]:
    """The waves of many fields on another grid, some fields at a time.

    Args:
        fields: on a uniform grid of the box.
        grid: of the result; waves that it does not hold are left out.
        box: where they live.

    Returns:
        The fields on that grid.
    """
    parts = range(0, len(fields), FIELDS_AT_ONCE)
    return np.concatenate([np.asarray(box.resize(jnp.asarray(fields[i : i + FIELDS_AT_ONCE]), grid)) for i in parts])
