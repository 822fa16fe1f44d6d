"""Training a network on fine fields: what priors and conditional models have in common.

FOLDER/training.json   what is trained, on what: an unfinished training is resumed as the same one or not at all
FOLDER/checkpoints/    the training state, to resume from
FOLDER/training.jsonl  one line of numbers a dispatch
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float, Scalar

from subgrid.data.batches import draw_batch
from subgrid.data.normalise import Standardiser, fit_standardiser
from subgrid.data.stream import StreamedFields
from subgrid.downscaling.settings import require_at_least, require_one_group, symmetries_of
from subgrid.numerics.streams import substream
from subgrid.numerics.symmetries import SymmetryGroup, random_images
from subgrid.training.checkpoint import Checkpoints
from subgrid.training.distributed import is_first_process
from subgrid.training.feed import Streamed
from subgrid.training.fitting import TrainingSchedule, fit, warmup_cosine
from subgrid.training.log import MetricsReport, all_of, json_lines, read_json_lines, tensorboard
from subgrid.training.origin import digest, key_data, require_same_origin
from subgrid.training.steps import Model
from subgrid.types import Key

Fields: TypeAlias = Float[np.ndarray, "n channel *space"] | StreamedFields
"""Of a training: in memory, or on disk."""


@dataclass(frozen=True)
class TrainingSettings:
    """How long and how fast to train. Batch 64 fills two cores; the rate and its decay follow Wan et al. (2023).

    Args:
        n_steps: of the optimiser, default 4000.
        batch_size: fields a step, a multiple of the number of devices; default 64.
        learning_rate: its peak, default .001; it falls along a cosine.
        warmup: steps in which the rate rises to its peak, default 500.
        ema_decay: of the averaged weights, a step; default .999.
        steps_per_dispatch: steps of one compiled call, and of one report; default 20.
        checkpoint_every: steps between checkpoints, default 1000.
        translation_invariant: whether every batch is shifted at random along the space axes, which must be periodic.
        tensorboard: whether a log for TensorBoard is written too.
        symmetries: in place of all shifts, those under which the distribution is invariant: every batch is replaced by
            random images. None by default.

    Raises:
        ValueError: for numbers of steps or fields below 1, steps that do not fill their compiled calls, a rate that is
            not positive, an average that is none, and symmetries of two kinds.
    """

    n_steps: int = 4000
    batch_size: int = 64
    learning_rate: float = 1e-3
    warmup: int = 500
    ema_decay: float = 0.999
    steps_per_dispatch: int = 20
    checkpoint_every: int = 1000
    translation_invariant: bool = False
    tensorboard: bool = False
    symmetries: SymmetryGroup | None = None

    def __post_init__(self):
        require_at_least(1, self, "n_steps", "batch_size", "steps_per_dispatch", "checkpoint_every")
        require_at_least(0, self, "warmup", "ema_decay")
        require_one_group(self)
        if self.n_steps % self.steps_per_dispatch:
            raise ValueError(
                f"n_steps must be a multiple of steps_per_dispatch = {self.steps_per_dispatch}, got {self.n_steps}."
            )
        if not self.learning_rate > 0 or self.ema_decay >= 1:
            raise ValueError(
                f"learning_rate must be positive and ema_decay below 1, got {self.learning_rate} and {self.ema_decay}."
            )


@dataclass(frozen=True)
class TrainingFields:
    """What a network is trained on.

    Args:
        values: (n, channel, *space), physical units, or `StreamedFields` where they do not fit into memory.
        standardiser: physical ↔ normalised.
    """

    values: Fields
    standardiser: Standardiser


def train_on_fields(
    network: Model,
    loss: Callable[[Model, Float[Array, "batch channel *space"], Key], Scalar],
    fields: TrainingFields,
    training: TrainingSettings,
    *,
    origin: Mapping[str, Any],
    folder: str | Path,
    report: MetricsReport | None = None,
    key: Key,
) -> Model:
    """The network with the averaged weights of its training; run again on the same folder, it resumes to the same bits.

    Args:
        network: what is trained.
        loss: `loss(network, batch, key)` of a batch (batch, channel, *space) of normalised fields.
        fields: with their standardiser.
        training: how long and how fast.
        origin: whatever else decides the bits of the training, plain enough for JSON.
        folder: of the model.
        report: `report(step, metrics)`, after each dispatch.
        key: of batches, images and noise.

    Returns:
        The trained network.

    Raises:
        CheckpointMismatch: if the folder holds checkpoints of other settings, data or key.
        ValueError: for a batch that the devices cannot share; and as `fit`.
    """
    if training.batch_size % len(jax.devices()):
        raise ValueError(
            f"training.batch_size = {training.batch_size} cannot be split over {len(jax.devices())} devices; "
            "use a multiple of their number."
        )
    folder, values = Path(folder), fields.values
    folder.mkdir(parents=True, exist_ok=True)
    checkpoints = Checkpoints(folder / "checkpoints")
    begun = checkpoints.latest()
    whole = {**origin, **_origin(values, training, key)}
    require_same_origin(folder / "training.json", whole, resuming=begun is not None, write=is_first_process())
    n_space = len(values.shape) - 2
    data, draw = _feed(values, fields.standardiser, n_space, training, key=substream(key, "batches"))
    schedule = TrainingSchedule(
        training.n_steps,
        warmup_cosine(training.n_steps, peak=training.learning_rate, warmup=training.warmup),
        training.ema_decay,
        training.steps_per_dispatch,
        training.checkpoint_every,
    )
    reports = _reports(folder, training, begun or 0, report)
    options = {"checkpoints": checkpoints, "report": reports, "key": substream(key, "training")}
    return fit(network, loss, data, draw, schedule, **options)


def standardiser_of(fields: Fields) -> Standardiser:
    """Mean and standard deviation of every channel, in one pass over the archive where it stays on disk.

    Args:
        fields: (n, channel, *space), physical units, or `StreamedFields`.

    Returns:
        Physical ↔ normalised.

    Raises:
        ValueError: if a channel is constant.
    """
    if not isinstance(fields, StreamedFields):
        return fit_standardiser(fields)
    mean, std = fields.moments()
    if not (std > 0).all():
        raise ValueError(f"{fields.path}: channel {int(np.argmin(std))} is constant; it cannot be normalised.")
    return Standardiser(jnp.asarray(mean, jnp.float32), jnp.asarray(std, jnp.float32))


def loss_curve(folder: str | Path) -> Float[np.ndarray, "2 step"]:
    """Steps and losses from a model folder's log.

    Args:
        folder: of the model.

    Returns:
        (2, step): numbers of steps and losses, as logged.

    Examples:
        >>> steps, losses = loss_curve("model")
    """
    rows = read_json_lines(Path(folder) / "training.jsonl")
    return np.array([[row["step"], row["loss"]] for row in rows], float).T.reshape(2, -1)


def _reports(folder: Path, training: TrainingSettings, begun: int, report: MetricsReport | None) -> MetricsReport:
    reports: list[MetricsReport] = []  # the log comes before what a caller may stop
    if is_first_process():
        reports.append(json_lines(folder / "training.jsonl", from_step=begun))
    if is_first_process() and training.tensorboard:
        reports.append(tensorboard(folder / "tensorboard"))
    if report is not None:
        reports.append(report)
    return all_of(*reports)


def _feed(fields: Fields, standardiser: Standardiser, n_space: int, training: TrainingSettings, *, key: Key):
    """What `fit` draws from, and how: normalised samples on the device, or batches of this process from the disk."""

    group = symmetries_of(training, fields.shape[2:])

    def images(batch, key):
        return batch if group is None else random_images(batch, group, key=key)

    if isinstance(fields, StreamedFields):
        stream = fields.batches(training.batch_size, key=key).part(jax.process_index(), jax.process_count())
        return Streamed(stream), lambda batch, key: images(standardiser.normalise(batch, n_space), key)

    def draw(samples, key):
        index_key, image_key = jr.split(key)
        return images(draw_batch(samples, training.batch_size, key=index_key), image_key)

    return standardiser.normalise(jnp.asarray(fields), n_space), draw


def _origin(fields: Fields, training: TrainingSettings, key: Key) -> dict[str, Any]:
    """All that decides the bits of any training."""
    aside = ("checkpoint_every", "tensorboard")  # change nothing in the result
    return {
        "training": {k: v for k, v in asdict(training).items() if k not in aside and v is not None},
        "key": key_data(key),
        "fields": fields.facts() if isinstance(fields, StreamedFields) else digest(fields),
    }
