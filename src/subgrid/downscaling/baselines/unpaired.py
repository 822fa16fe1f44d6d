"""What the baselines that are trained on two unpaired archives have in common.

FOLDER/training.json   what is trained, on what: an unfinished training is resumed as the same one or not at all
FOLDER/checkpoints/    the training state, to resume from
FOLDER/training.jsonl  one line of numbers a dispatch
FOLDER/weights/        what the upsampler is made of
FOLDER/model.json      its settings, and the C′ that it was trained for; written last, after a training that diverged
                       too, with "stopped" in it: weights are then those of the last checkpoint
"""

import json
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
from jaxtyping import Array, Float, Scalar

from subgrid.data.batches import draw_batch
from subgrid.data.fields import DataError
from subgrid.data.normalise import Standardiser, fit_standardiser
from subgrid.data.store import write_json
from subgrid.downscaling.baselines.bcsd import whole_factors
from subgrid.downscaling.conditional.model import identity, require_own_operator
from subgrid.numerics.streams import substream
from subgrid.numerics.symmetries import SymmetryGroup, random_images
from subgrid.training.adversarial import Players
from subgrid.training.checkpoint import CheckpointMismatch, Checkpoints, load_weights, save_weights
from subgrid.training.distributed import is_first_process
from subgrid.training.fitting import TrainingDiverged, TrainingSchedule, fit
from subgrid.training.log import MetricsReport, all_of, json_lines
from subgrid.training.origin import digest, key_data, require_same_origin
from subgrid.training.steps import averaged_model, init_state
from subgrid.types import Coarsening, Key, Spatial

FORMAT = 1
MODEL = "model.json"
"""What describes a trained model."""
Model = TypeVar("Model", bound=eqx.Module)


class CommonGrid(eqx.Module):
    """Fields of both archives in one form: normalised by the moments of their own, the coarse ones on the fine grid.

    A coarse value is repeated over the block of fine points that begins at its own: nearest neighbours, up to where a
    block stands.

    Args:
        coarse: physical ↔ normalised, of the coarse archive.
        fine: of the fine archive.
        factors: fine points for each coarse one, along each axis.
    """

    coarse: Standardiser
    fine: Standardiser
    factors: Spatial = eqx.field(static=True)

    def lifted(self, y: Float[Array, "channel *coarse"]) -> Float[Array, "channel *fine"]:
        """A normalised coarse field on the fine grid."""
        z = self.coarse.normalise(y, len(self.factors))
        for axis, factor in enumerate(self.factors):
            z = jnp.repeat(z, factor, axis=1 + axis)
        return z

    def restored(self, x: Float[Array, "channel *fine"]) -> Float[Array, "channel *fine"]:
        """A fine field in physical units."""
        return self.fine.restore(x, len(self.factors))


@runtime_checkable
class Unpaired(Protocol):
    """The settings of a training that `train_players` reads."""

    @property
    def n_steps(self) -> int: ...
    @property
    def batch_size(self) -> int: ...
    @property
    def ema_decay(self) -> float: ...
    @property
    def steps_per_dispatch(self) -> int: ...
    @property
    def checkpoint_every(self) -> int: ...


@dataclass(frozen=True)
class Archives:
    """Two archives that share no dates.

    Args:
        coarse: (n, channel, *coarse), raw and biased, physical units.
        fine: (m, channel, *fine), physical units.
        grid: both in one form.
        operator: C′, whose grids they are on.
        symmetries: whose images of either archive are further samples, or None.
    """

    coarse: Float[np.ndarray, "n channel *coarse"]
    fine: Float[np.ndarray, "m channel *fine"]
    grid: CommonGrid
    operator: Coarsening
    symmetries: SymmetryGroup | None

    @property
    def n_channels(self) -> int:
        return self.fine.shape[1]

    @property
    def fine_shape(self) -> Spatial:
        return self.fine.shape[2:]

    def draw(self, size: int, data: tuple[Array, Array], key: Key) -> tuple[Array, Array]:
        """(coarse, fine), normalised, on the fine grid; which fields and images of both is independent."""
        keys = jr.split(key, 4)
        y, x = (draw_batch(each, size, key=k) for each, k in zip(data, keys[:2], strict=True))
        if self.symmetries is not None:
            y, x = (random_images(each, self.symmetries, key=k) for each, k in zip((y, x), keys[2:], strict=True))
        return jax.vmap(self.grid.lifted)(y), self.grid.fine.normalise(x, len(self.grid.factors))


def archives_of(
    coarse: Float[np.ndarray, "n channel *coarse"],
    fine: Float[np.ndarray, "m channel *fine"],
    operator: Coarsening,
    symmetries: SymmetryGroup | None,
) -> Archives:
    """Both archives, if their grids are those of C′.

    Raises:
        ValueError: for other grids, other channels, or grids that are not multiples of each other.
    """
    coarse, fine = np.asarray(coarse, np.float32), np.asarray(fine, np.float32)
    for name, fields, space in (("coarse", coarse, operator.coarse_shape), ("fine", fine, operator.fine_shape)):
        if fields.shape[2:] != tuple(space):
            raise ValueError(f"{name} fields have {fields.shape[2:]} points, those of the operator {tuple(space)}.")
    if coarse.shape[1] != fine.shape[1]:
        raise ValueError(f"coarse fields have {coarse.shape[1]} channels, fine ones {fine.shape[1]}; they must agree.")
    grid = CommonGrid(fit_standardiser(coarse), fit_standardiser(fine), whole_factors(operator))
    return Archives(coarse, fine, grid, operator, symmetries)


class Game(NamedTuple):
    """What is trained, by which loss and which steps."""

    players: Players
    """Untrained."""
    loss: Callable[[Players, Any, Key], Scalar]
    """Of a batch (coarse, fine) on the common grid."""
    optimiser: optax.GradientTransformation
    """Of both."""


def train_players(
    game: Game,
    archives: Archives,
    settings: Unpaired,
    *,
    kind: str,
    build: Callable[[Players], Model],
    folder: str | Path,
    report: MetricsReport | None,
    key: Key,
) -> Model:
    """The model of trained players, also saved; run again on the folder, it ends with the same bits.

    Of a training that diverges the weights of the last checkpoint are saved, as a model that says so when it is opened.
    Run again, it diverges again: other settings ask for another folder.

    Args:
        game: players, loss and optimiser.
        archives: to draw batches from.
        settings: how long, and, in all their fields, what decides the bits beside archives and key.
        kind: of the model.
        build: the model of players with averaged weights.
        folder: of the model.
        report: `report(step, metrics)`, called after each dispatch.
        key: of batches, images and noise.

    Returns:
        The model.

    Raises:
        CheckpointMismatch: if the folder holds checkpoints of other settings, archives or key.
        TrainingDiverged: if a loss or its gradient is not finite.
        ValueError: for a batch that the devices cannot share.
    """
    if settings.batch_size % len(jax.devices()):
        raise ValueError(
            f"batch_size = {settings.batch_size} cannot be split over {len(jax.devices())} devices; "
            "use a multiple of their number."
        )
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    checkpoints = Checkpoints(folder / "checkpoints")
    begun = checkpoints.latest()
    group = archives.symmetries
    whole = {
        **described(settings, archives.operator),
        "key": key_data(key),
        "symmetries": None if group is None else asdict(group),
        "coarse": digest(archives.coarse),
        "fine": digest(archives.fine),
    }
    require_same_origin(folder / "training.json", whole, resuming=begun is not None, write=is_first_process())
    schedule = TrainingSchedule(
        settings.n_steps, game.optimiser, settings.ema_decay, settings.steps_per_dispatch, settings.checkpoint_every
    )
    data = jnp.asarray(archives.coarse), jnp.asarray(archives.fine)
    draw = lambda data, key: archives.draw(settings.batch_size, data, key)  # noqa: E731
    logs = [json_lines(folder / "training.jsonl", from_step=begun or 0)] if is_first_process() else []
    reports = all_of(*logs, *([] if report is None else [report]))
    options = {"checkpoints": checkpoints, "report": reports, "key": substream(key, "training")}
    try:
        model = build(fit(game.players, game.loss, data, draw, schedule, **options))
    except TrainingDiverged as error:
        if checkpoints.latest():
            _, state = checkpoints.restore(like=init_state(game.players, game.optimiser))
            kept = build(averaged_model(game.players, state))
            _save_model(folder, kind, kept, settings, archives, stopped=str(error))
            error.add_note(f"{folder}: a model of the last weights that were kept; it can be opened.")
        raise
    _save_model(folder, kind, model, settings, archives)
    return model


def constant_then_linear(rate: float, n_steps: int) -> optax.Schedule:
    """A learning rate that stays for half of the training and falls to 0 in the other, as of Zhu et al. (2017)."""
    return optax.linear_schedule(rate, 0.0, n_steps - n_steps // 2, transition_begin=n_steps // 2)


def described(settings: Any, operator: Coarsening) -> dict[str, Any]:
    """What decides the bits of a training beside archives and key; how often it is saved does not."""
    kept = {name: value for name, value in asdict(settings).items() if name != "checkpoint_every"}
    return {"format": FORMAT, "settings": kept, "operator": identity(operator)}


def _save_model(
    folder: Path, kind: str, model: eqx.Module, settings: Any, archives: Archives, *, stopped: str | None = None
) -> None:
    """Weights first, settings last: what `model.json` describes is there."""
    save_weights(folder / "weights", eqx.filter(model, eqx.is_array))
    if is_first_process():
        whole = {"kind": kind, "n_channels": archives.n_channels, **described(settings, archives.operator)}
        whole |= {} if stopped is None else {"stopped": stopped}
        write_json(folder / MODEL, whole)


def as_tuples(stored: Any) -> Any:
    """Settings as they were before JSON made lists of tuples."""
    if isinstance(stored, dict):
        return {name: as_tuples(value) for name, value in stored.items()}
    return tuple(map(as_tuples, stored)) if isinstance(stored, list) else stored


def blank_grid(operator: Coarsening, n_channels: int) -> CommonGrid:
    """A common grid whose moments are to be loaded."""
    zeros = jnp.zeros(n_channels)
    return CommonGrid(Standardiser(zeros, zeros), Standardiser(zeros, zeros), whole_factors(operator))


def load_model(
    folder: str | Path,
    kind: str,
    operator: Coarsening,
    *,
    blank: Callable[[Mapping[str, Any], int], eqx.Module],
) -> Any:
    """What `train_players` wrote, with a warning if its training diverged.

    Args:
        folder: of the model.
        kind: as it was saved.
        operator: C′, the one that it was trained for.
        blank: a model of these settings and this number of channels, whose arrays are replaced.

    Returns:
        The model.

    Raises:
        DataError: if the folder holds no such model, or one for another C′.
        CheckpointMismatch: if it is of another format, or its weights do not fit.
    """
    path = Path(folder) / MODEL
    if not path.exists():
        raise DataError(f"{folder}: holds no trained {kind} (no {MODEL}).")
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        if (stored["format"], stored["kind"]) != (FORMAT, kind):
            raise CheckpointMismatch(
                f"{path}: is a {stored['kind']} of format {stored['format']}, not a {kind} of format {FORMAT}."
            )
        require_own_operator(path, stored["operator"], operator)
        untrained = blank(as_tuples(stored["settings"]), stored["n_channels"])
    except (CheckpointMismatch, DataError):
        raise
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: not a model description of this version ({error}).") from error
    if "stopped" in stored:
        warnings.warn(f"{folder}: a {kind} whose training did not end, as {stored['stopped']}", stacklevel=3)
    arrays, static = eqx.partition(untrained, eqx.is_array)
    return eqx.combine(load_weights(Path(folder) / "weights", like=arrays), static)
