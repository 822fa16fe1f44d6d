"""The generative prior p(x) of fine fields: its settings, its training, and the folder it lives in.

MODEL/settings.json   what is needed to build it, to normalise fields and to use it
MODEL/weights/        the averaged weights
MODEL/checkpoints/    the training state, to resume from
MODEL/training.jsonl  one line of numbers a dispatch
"""

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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
from subgrid.diffusion.denoiser import Preconditioned
from subgrid.diffusion.objective import Quantile, denoising_loss, karras_weight, log_uniform_levels
from subgrid.networks.unet import UNet
from subgrid.training.checkpoint import Checkpoints, load_weights, save_weights
from subgrid.training.fit import fit, warmup_cosine
from subgrid.training.log import Report, all_of, json_lines, tensorboard
from subgrid.types import Key


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
    """A denoiser of normalised fine fields, with its normalisation."""

    settings: PriorSettings
    denoiser: Preconditioned = field(repr=False)
    standardiser: Standardiser = field(repr=False)


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
    unit = settings.patch * 2 ** (len(settings.channels) - 1)
    if any(size % unit for size in settings.space):
        raise ValueError(
            f"a fine grid of {settings.space} points is not divisible by patch x 2^(levels - 1) = {unit}; "
            "change prior.patch or the number of prior.channels."
        )
    return Preconditioned(network)


def train_prior(
    fields: Float[np.ndarray, "n channel *space"],
    settings: PriorSettings,
    training: TrainingSettings,
    *,
    folder: str | Path,
    noise_levels: Quantile | None = None,
    report: Report | None = None,
    key: Key,
) -> Prior:
    """Trains the prior on fine fields alone; run again on the same folder, it resumes to the same bits.

    **Arguments:** `fields`, physical units; `settings`; `training`; `folder`, of the model; `noise_levels`, by default
    log-uniform over the settings' range; `report(step, metrics)`; `key`.

    **Returns:** the prior, also saved in `folder`. **Raises:** as `fit` and `Checkpoints.restore`.
    """
    if training.batch_size % len(jax.devices()):
        raise ValueError(
            f"training.batch_size = {training.batch_size} cannot be split over {len(jax.devices())} devices; "
            "use a multiple of their number."
        )
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    build_key, fit_key = jr.split(key)
    n_space = len(settings.space)
    standardiser = fit_standardiser(fields)
    data = standardiser.normalise(jnp.asarray(fields), n_space)
    levels = noise_levels or log_uniform_levels(settings.sigma_min, settings.sigma_max)

    def draw(samples, key):
        index_key, shift_key = jr.split(key)
        batch = draw_batch(samples, training.batch_size, key=index_key)
        return random_shifts(batch, n_space, key=shift_key) if training.translation_invariant else batch

    def loss(denoiser, batch, key):
        return denoising_loss(denoiser, batch, noise_levels=levels, weight=karras_weight(), key=key)

    reports: list[Report] = [json_lines(folder / "training.jsonl"), *([report] if report else [])]
    if training.tensorboard:
        reports.append(tensorboard(folder / "tensorboard"))
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
        checkpoints=Checkpoints(folder / "checkpoints"),
        checkpoint_every=training.checkpoint_every,
        report=all_of(*reports),
    )
    prior = Prior(settings, denoiser, standardiser)
    save_prior(folder, prior)
    return prior


def save_prior(folder: str | Path, prior: Prior) -> None:
    """Weights first, settings last: a folder with `settings.json` is whole."""
    folder = Path(folder)
    arrays = eqx.filter((prior.denoiser, prior.standardiser), eqx.is_array)
    save_weights(folder / "weights", arrays)
    write_json(folder / "settings.json", dataclasses.asdict(prior.settings))


def load_prior(folder: str | Path) -> Prior:
    """The prior that `save_prior` wrote.

    **Raises:** `DataError` if the folder holds no trained model; `CheckpointMismatch` if its weights do not fit.
    """
    path = Path(folder) / "settings.json"
    if not path.exists():
        raise DataError(f"{folder}: holds no trained model (no settings.json); train one with `subgrid train`.")
    try:
        stored = json.loads(path.read_text())
        keys: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in stored.items()}
        settings = PriorSettings(**keys)
    except (TypeError, ValueError) as error:
        raise DataError(f"{path}: not a model description of this version ({error}).") from error
    channels = jnp.zeros(settings.n_channels)
    like = (build_denoiser(settings, key=jr.key(0)), Standardiser(channels, channels))
    arrays, static = eqx.partition(like, eqx.is_array)
    loaded = eqx.combine(load_weights(Path(folder) / "weights", like=arrays), static)
    return Prior(settings, *loaded)


def loss_curve(folder: str | Path) -> Float[np.ndarray, "2 step"]:
    """Steps and losses from a model folder's log."""
    path = Path(folder) / "training.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return np.array([[row["step"], row["loss"]] for row in rows], float).T.reshape(2, -1)


def is_trained(folder: str | Path) -> bool:
    """Whether the folder holds a whole model."""
    return (Path(folder) / "settings.json").exists()


def device_summary() -> str:
    """The devices that training and sampling will use, for reports."""
    devices = jax.devices()
    return f"{len(devices)} x {devices[0].device_kind}"
