"""The generative prior p(x) of fine fields: its settings, its training, and the folder it lives in.

MODEL/training.json   what is trained, on what: an unfinished training is resumed as the same one or not at all
MODEL/settings.json   what is needed to build it, to normalise fields and to use it
MODEL/weights/        the averaged weights, the normalisation, the Gaussian part
MODEL/checkpoints/    the training state, to resume from
MODEL/training.jsonl  one line of numbers a dispatch
"""

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Float

from subgrid.data.batches import draw_batch, random_shifts
from subgrid.data.fields import DataError
from subgrid.data.normalise import Standardiser, fit_standardiser
from subgrid.data.store import write_json
from subgrid.data.stream import StreamedFields
from subgrid.diffusion.denoiser import Preconditioned
from subgrid.diffusion.gaussian_prior import GaussianPrior
from subgrid.diffusion.objective import Quantile, denoising_loss, karras_weight, log_uniform_levels
from subgrid.downscaling.gaussian_part import blank_gaussian_part, fit_gaussian_part, sample_of
from subgrid.networks.unet import UNet
from subgrid.training.checkpoint import CheckpointMismatch, Checkpoints, load_weights, save_weights
from subgrid.training.distributed import is_first_process
from subgrid.training.feed import Streamed
from subgrid.training.fit import fit, warmup_cosine
from subgrid.training.log import Report, all_of, json_lines, read_json_lines, tensorboard
from subgrid.training.origin import digest, key_data, require_same_origin
from subgrid.types import Key

FORMAT = 3
"""Of the model folder: raised whenever old weights would not load, or mean something else. 1 (not written) had group
norms in the network where there are root-mean-square norms now; 2 kept no Gaussian part."""


@dataclass(frozen=True)
class PriorSettings:
    """The shape of the fields and of the network; JSON keeps it beside the weights."""

    n_channels: int
    space: tuple[int, ...]
    channels: tuple[int, ...] = (64, 128)
    n_blocks: int = 2
    patch: int = 4
    padding: tuple[str, ...] = ("periodic",)
    attention_levels: tuple[int, ...] = ()
    dtype: str = "float32"
    checkpoint: bool = False
    sigma_min: float = 2e-3
    sigma_max: float = 80.0


@dataclass(frozen=True)
class TrainingSettings:
    """How long and how fast to train. Batch 64 fills two cores; the rate and its decay follow Wan et al. (2023)."""

    n_steps: int = 4000
    batch_size: int = 64
    learning_rate: float = 1e-3
    warmup: int = 500
    ema_decay: float = 0.999
    steps_per_dispatch: int = 20
    checkpoint_every: int = 1000
    translation_invariant: bool = False
    tensorboard: bool = False


@dataclass(frozen=True)
class Prior:
    """A denoiser of normalised fine fields, with its normalisation and the Gaussian nearest to its distribution."""

    settings: PriorSettings
    denoiser: Preconditioned = field(repr=False)
    standardiser: Standardiser = field(repr=False)
    gaussian: GaussianPrior = field(repr=False)


@eqx.filter_jit  # one compilation for all weights, not one for each shape
def build_denoiser(settings: PriorSettings, *, key: Key) -> Preconditioned:
    """The untrained, preconditioned UNet that `settings` describe.

    **Raises:** `ValueError` if the field does not fit the network (see `UNet`).
    """
    network = UNet(
        settings.n_channels,
        settings.n_channels,
        len(settings.space),
        channels=settings.channels,
        n_blocks=settings.n_blocks,
        patch=settings.patch,
        padding=settings.padding * len(settings.space) if len(settings.padding) == 1 else settings.padding,  # pyright: ignore[reportArgumentType]
        attention_levels=settings.attention_levels,
        dtype=settings.dtype,
        checkpoint=settings.checkpoint,
        key=key,
    )
    network.check(settings.space)
    return Preconditioned(network)


Fields: TypeAlias = Float[np.ndarray, "n channel *space"] | StreamedFields
"""Of a training: in memory, or on disk."""


def train_prior(
    fields: Fields,
    settings: PriorSettings,
    training: TrainingSettings,
    *,
    folder: str | Path,
    noise_levels: Quantile | None = None,
    report: Report | None = None,
    key: Key,
) -> Prior:
    """Trains the prior on fine fields alone; run again on the same folder, it resumes to the same bits.

    **Arguments:** `fields`, physical units, or `StreamedFields` where they do not fit into memory; `settings`;
    `training`; `folder`, of the model; `noise_levels`, by default log-uniform over the settings' range; `report(step,
    metrics)`; `key`.

    **Returns:** the prior, also saved in `folder`.

    **Raises:** `CheckpointMismatch` if the folder holds checkpoints of other settings, data or key; and as `fit`.

        settings = PriorSettings(1, (192,))
        prior = train_prior(fields, settings, TrainingSettings(n_steps=400), folder="model", key=key)
    """
    if training.batch_size % len(jax.devices()):
        raise ValueError(
            f"training.batch_size = {training.batch_size} cannot be split over {len(jax.devices())} devices; "
            "use a multiple of their number."
        )
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    standardiser = _standardiser(fields)
    levels = noise_levels or log_uniform_levels(settings.sigma_min, settings.sigma_max)
    checkpoints = Checkpoints(folder / "checkpoints")
    require_same_origin(
        folder / "training.json",
        _origin(fields, settings, training, levels, key),
        resuming=checkpoints.latest() is not None,
        write=is_first_process(),
    )
    build_key, fit_key = jr.split(key)
    data, draw = _feed(fields, standardiser, len(settings.space), training, key=jr.fold_in(build_key, 1))

    def loss(denoiser, batch, key):
        return denoising_loss(denoiser, batch, noise_levels=levels, weight=karras_weight(), key=key)

    reports: list[Report] = []  # the log comes before what a caller may stop
    if is_first_process():
        reports.append(json_lines(folder / "training.jsonl", from_step=checkpoints.latest() or 0))
    if is_first_process() and training.tensorboard:
        reports.append(tensorboard(folder / "tensorboard"))
    if report is not None:
        reports.append(report)
    denoiser = fit(
        build_denoiser(settings, key=build_key),
        loss,
        data,
        draw,
        n_steps=training.n_steps,
        optimiser=warmup_cosine(training.n_steps, peak=training.learning_rate, warmup=training.warmup),
        key=fit_key,
        ema_decay=training.ema_decay,
        steps_per_dispatch=training.steps_per_dispatch,
        checkpoints=checkpoints,
        checkpoint_every=training.checkpoint_every,
        report=all_of(*reports),
    )
    few = sample_of(fields, key=jr.fold_in(build_key, 2))
    normalised = np.asarray(standardiser.normalise(jnp.asarray(few), len(settings.space)))
    gaussian = fit_gaussian_part(normalised, translation_invariant=training.translation_invariant)
    prior = Prior(settings, denoiser, standardiser, gaussian)
    save_prior(folder, prior)
    return prior


def _standardiser(fields: Fields) -> Standardiser:
    """In one pass over the archive where it stays on disk. **Raises:** `ValueError` if a channel is constant."""
    if not isinstance(fields, StreamedFields):
        return fit_standardiser(fields)
    mean, std = fields.moments()
    if not (std > 0).all():
        raise ValueError(f"{fields.path}: channel {int(np.argmin(std))} is constant; it cannot be normalised.")
    return Standardiser(jnp.asarray(mean, jnp.float32), jnp.asarray(std, jnp.float32))


def _feed(fields: Fields, standardiser: Standardiser, n_space: int, training: TrainingSettings, *, key: Key):
    """What `fit` draws from, and how: normalised samples on the device, or batches of this process from the disk."""

    def shifted(batch, key):
        return random_shifts(batch, n_space, key=key) if training.translation_invariant else batch

    if isinstance(fields, StreamedFields):
        stream = fields.batches(training.batch_size, key=key).part(jax.process_index(), jax.process_count())
        return Streamed(stream), lambda batch, key: shifted(standardiser.normalise(batch, n_space), key)

    def draw(samples, key):
        index_key, shift_key = jr.split(key)
        return shifted(draw_batch(samples, training.batch_size, key=index_key), shift_key)

    return standardiser.normalise(jnp.asarray(fields), n_space), draw


def _origin(
    fields: Fields, settings: PriorSettings, training: TrainingSettings, levels: Quantile, key: Key
) -> dict[str, Any]:
    """All that decides the bits of a training."""
    aside = ("checkpoint_every", "tensorboard")  # change nothing in the result
    return {
        "format": FORMAT,
        "prior": dataclasses.asdict(settings),
        "training": {k: v for k, v in dataclasses.asdict(training).items() if k not in aside},
        "noise levels": [float(f"{float(levels(jnp.asarray(u))):.5g}") for u in (0.1, 0.5, 0.9)],
        "key": key_data(key),
        "fields": fields.facts() if isinstance(fields, StreamedFields) else digest(fields),
    }


def save_prior(folder: str | Path, prior: Prior) -> None:
    """Weights first, settings last: a folder with `settings.json` is whole."""
    folder = Path(folder)
    arrays = eqx.filter((prior.denoiser, prior.standardiser, prior.gaussian), eqx.is_array)
    save_weights(folder / "weights", arrays)  # by all processes together
    if is_first_process():
        described = {"format": FORMAT, "n_directions": len(prior.gaussian.variances)}
        write_json(folder / "settings.json", described | dataclasses.asdict(prior.settings))


def load_prior(folder: str | Path) -> Prior:
    """The prior that `save_prior` wrote.

    **Raises:** `DataError` if the folder holds no trained model; `CheckpointMismatch` if it is of another format, or
    its weights do not fit.

        prior = load_prior("model")
        prior.settings.space
    """
    path = Path(folder) / "settings.json"
    if not path.exists():
        raise DataError(f"{folder}: holds no trained model (no settings.json); train one with `subgrid train`.")
    try:
        stored = dict(json.loads(path.read_text(encoding="utf-8")))
        found = stored.pop("format", 1)
        if found != FORMAT:
            raise CheckpointMismatch(
                f"{path}: is a model of format {found}, and this version reads format {FORMAT}, whose network differs; "
                "train the model again, or use the version of Subgrid that trained it."
            )
        n_directions = stored.pop("n_directions")
        keys: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in stored.items()}
        settings = PriorSettings(**keys)
    except CheckpointMismatch:
        raise
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: not a model description of this version ({error}).") from error
    channels = jnp.zeros(settings.n_channels)
    blank = blank_gaussian_part((settings.n_channels, *settings.space), n_directions)
    like = (build_denoiser(settings, key=jr.key(0)), Standardiser(channels, channels), blank)
    arrays, static = eqx.partition(like, eqx.is_array)
    loaded = eqx.combine(load_weights(Path(folder) / "weights", like=arrays), static)
    return Prior(settings, *loaded)


def loss_curve(folder: str | Path) -> Float[np.ndarray, "2 step"]:
    """Steps and losses from a model folder's log."""
    rows = read_json_lines(Path(folder) / "training.jsonl")
    return np.array([[row["step"], row["loss"]] for row in rows], float).T.reshape(2, -1)


def is_trained(folder: str | Path) -> bool:
    """Whether the folder holds a whole model."""
    return (Path(folder) / "settings.json").exists()


def device_summary() -> str:
    """The devices that training and sampling will use, for reports."""
    devices = jax.devices()
    return f"{len(devices)} x {devices[0].device_kind}"
