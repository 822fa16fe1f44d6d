"""The generative prior p(x) of fine fields: its settings, its training, and the folder it lives in.

MODEL/settings.json   what is needed to build it, to normalise fields and to use it; written last
MODEL/weights/        the averaged weights, the normalisation, the Gaussian part, and its balance where it is refined

and the files of its training (`prior/training.py`).
"""

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr

from subgrid.data.fields import DataError
from subgrid.data.normalise import Standardiser
from subgrid.data.store import write_json
from subgrid.diffusion.balance import blank_balance, fit_balance
from subgrid.diffusion.denoiser import Preconditioned
from subgrid.diffusion.gaussian_prior import GaussianPrior
from subgrid.diffusion.modewise import ModewiseRefined, modewise_loss
from subgrid.diffusion.objective import Quantile, denoising_loss, karras_weight, log_uniform_levels
from subgrid.downscaling.prior.gaussian_part import blank_gaussian_part, gaussian_part_of
from subgrid.downscaling.prior.noise_range import ENOUGH, leading_std, worth_learning
from subgrid.downscaling.prior.training import (
    Fields,
    TrainingFields,
    TrainingSettings,
    standardiser_of,
    train_on_fields,
)
from subgrid.downscaling.settings import require_at_least, require_levels
from subgrid.networks.unet import UNet, UNetSettings
from subgrid.numerics.streams import substream
from subgrid.training.checkpoint import CheckpointMismatch, load_weights, save_weights
from subgrid.training.distributed import is_first_process
from subgrid.training.log import MetricsReport
from subgrid.types import Key

FORMAT = 3
"""Of the model folder: raised whenever old weights would not load, or mean something else. 1 (not written) had group
norms in the network where there are root-mean-square norms now; 2 kept no Gaussian part. Of the preconditioning
"modes", it is one more: with 3 networks were shown noise, and had no balance."""


Preconditioning = Literal["variance", "modes"]
OF_MODES = 0.5
"""Share of the loss of a prior preconditioned by the Gaussian that counts every mode alike; the rest counts each by
what the Gaussian leaves of it, as an error at points does."""


@dataclass(frozen=True)
class PriorSettings:
    """The shape of the fields and of the network; JSON keeps it beside the weights.

    Args:
        n_channels: of the fields.
        space: points along each space axis.
        channels: width of each level of the UNet, finest first; default (64, 128).
        n_blocks: residual blocks a level, default 2.
        patch: points an axis that the first level takes together, default 4.
        padding: "periodic", "reflect" or "zero", one for all axes or one for each.
        attention_levels: levels that end in self-attention, 0 the finest; none by default.
        dtype: of the arithmetic inside, "float32" or "bfloat16".
        checkpoint: whether blocks are computed again in the backward pass, for memory; default False.
        sigma_min: smallest noise level of the training, in standard deviations of the field; default .002.
        sigma_max: largest one, default 80.
        preconditioning: "variance", the default, or "modes". By the variance of the field (`Preconditioned`), or
            mode by mode by the Gaussian part, which the network then refines (`ModewiseRefined`).

    Raises:
        ValueError: for widths or numbers below 1, noise levels that do not rise from above 0, and a preconditioning of
            neither kind.
    """

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
    preconditioning: Preconditioning = "variance"

    def __post_init__(self):
        require_at_least(1, self, "n_channels", "space", "channels", "n_blocks", "patch")
        require_levels(self)
        if self.preconditioning not in get_args(Preconditioning):
            kinds = " or ".join(map(repr, get_args(Preconditioning)))
            raise ValueError(f"preconditioning must be {kinds}, got {self.preconditioning!r}.")


@dataclass(frozen=True)
class Prior:
    """A denoiser of normalised fine fields, with its normalisation and the Gaussian nearest to its distribution.

    Args:
        settings: of the network.
        denoiser: D(x, σ) of normalised fields (channel, *space).
        standardiser: physical ↔ normalised.
        gaussian: N(m, Σ) fitted on the normalised training fields.
    """

    settings: PriorSettings
    denoiser: Preconditioned | ModewiseRefined = field(repr=False)
    standardiser: Standardiser = field(repr=False)
    gaussian: GaussianPrior = field(repr=False)


def build_denoiser(
    settings: PriorSettings, gaussian: GaussianPrior | None = None, *, key: Key
) -> Preconditioned | ModewiseRefined:
    """The untrained, preconditioned UNet that `settings` describe.

    Args:
        settings: of fields and network.
        gaussian: N(m, Σ) of normalised fields, for the preconditioning "modes".
        key: of the weights.

    Returns:
        The denoiser, D(x, σ).

    Raises:
        ValueError: if the field does not fit the network (see `UNet`), or without a Gaussian that is needed.
    """
    if settings.preconditioning == "variance":
        return Preconditioned(build_network(settings, settings.n_channels, key=key))
    if gaussian is None:
        raise ValueError("preconditioning = 'modes' needs the Gaussian of the fields.")
    network = build_network(settings, 2 * settings.n_channels, key=key)
    return _refining(gaussian, network)


def _refining(gaussian: GaussianPrior, network: eqx.Module) -> ModewiseRefined:
    """Up to the level above which fields look Gaussian, with what rounding a grid of levels may add."""
    highest = ENOUGH * leading_std(gaussian) * (1 + 1e-5)
    return ModewiseRefined(gaussian, network, highest=highest, sees_noise=False)


def as_asked(settings: PriorSettings) -> dict[str, Any]:
    """Settings as a training keeps them, to go on with the same: what earlier versions did not have is left out where
    it says what they did.
    """
    described = dataclasses.asdict(settings)
    if settings.preconditioning == "variance":
        del described["preconditioning"]
    return described


@eqx.filter_jit  # one compilation for all weights, not one for each shape
def build_network(settings: PriorSettings, in_channels: int, *, key: Key) -> UNet:
    """The untrained UNet of `settings`, from `in_channels` to the channels of the field.

    Args:
        settings: of fields and network.
        in_channels: of what the network sees.
        key: of the weights.

    Returns:
        The network.

    Raises:
        ValueError: if the field does not fit the network (see `UNet`).
    """
    size = UNetSettings(
        channels=settings.channels,
        n_blocks=settings.n_blocks,
        patch=settings.patch,
        padding=settings.padding * len(settings.space) if len(settings.padding) == 1 else settings.padding,  # pyright: ignore[reportArgumentType]
        attention_levels=settings.attention_levels,
        dtype=settings.dtype,
        checkpoint=settings.checkpoint,
    )
    network = UNet(in_channels, settings.n_channels, len(settings.space), size, key=key)
    network.check(settings.space)
    return network


def train_prior(
    fields: Fields,
    settings: PriorSettings,
    training: TrainingSettings,
    *,
    folder: str | Path,
    noise_levels: Quantile | None = None,
    report: MetricsReport | None = None,
    on_balance: Callable[[int, int], None] | None = None,
    key: Key,
) -> Prior:
    """Trains the prior on fine fields alone; run again on the same folder, it resumes to the same bits.

    Args:
        fields: (n, channel, *space), physical units, or `StreamedFields` where they do not fit into memory.
        settings: of fields and network.
        training: how long and how fast.
        folder: of the model.
        noise_levels: u → σ, by default log-uniform over the settings' range; where the network refines a Gaussian, over
            the part of it that is `worth_learning`: the prior's settings then say the smallest level, and above the
            largest it is the Gaussian.
        report: `report(step, metrics)`, called after each dispatch.
        on_balance: called with levels done, and their number, as a prior of modes is balanced (`fit_balance`).
        key: of weights, batches and noise.

    Returns:
        The prior, also saved in `folder`.

    Raises:
        ValueError: for a constant channel, a field that does not fit the network, or as `train_on_fields`.
        CheckpointMismatch: as `train_on_fields`.

    Examples:
        >>> settings = PriorSettings(1, (192,))
        >>> prior = train_prior(fields, settings, TrainingSettings(n_steps=400), folder="model", key=key)
    """
    standardiser = standardiser_of(fields)
    gaussian = gaussian_part_of(fields, standardiser, training)  # first: what fails here fails at once
    asked, trained_range = settings, (settings.sigma_min, settings.sigma_max)
    if settings.preconditioning == "modes" and noise_levels is None:
        trained_range = worth_learning(gaussian, trained_range)
        settings = dataclasses.replace(settings, sigma_min=trained_range[0])
    levels = noise_levels or log_uniform_levels(*trained_range)
    untrained = build_denoiser(settings, gaussian, key=substream(key, "network"))

    def loss(part, batch, key):
        denoiser = _with_trained(untrained, part)
        if isinstance(denoiser, ModewiseRefined):
            return modewise_loss(denoiser, batch, noise_levels=levels, of_modes=OF_MODES, key=key)
        return denoising_loss(denoiser, batch, noise_levels=levels, weight=karras_weight(), key=key)

    quantiles = [float(f"{float(levels(jnp.asarray(u))):.5g}") for u in (0.1, 0.5, 0.9)]
    origin = {"format": FORMAT, "prior": as_asked(asked), "noise levels": quantiles}
    options = {"origin": origin, "folder": folder, "report": report, "key": key}
    trained = train_on_fields(_trained(untrained), loss, TrainingFields(fields, standardiser), training, **options)
    denoiser = _with_trained(untrained, trained)
    if isinstance(denoiser, ModewiseRefined):
        seen = trained_range if noise_levels is None else (float(levels(jnp.asarray(u))) for u in (0.001, 0.999))
        smallest, largest = seen
        ends = min(denoiser.highest, largest), smallest
        balance = fit_balance(denoiser, ends, report=on_balance, key=substream(key, "balance"))
        denoiser = dataclasses.replace(denoiser, balance=balance)
    prior = Prior(settings, denoiser, standardiser, gaussian)
    save_prior(folder, prior)
    return prior


def _trained(denoiser: Preconditioned | ModewiseRefined) -> eqx.Module:
    """What a training changes of a denoiser: not the Gaussian, which is known."""
    return denoiser.network if isinstance(denoiser, ModewiseRefined) else denoiser


def _with_trained(denoiser: Preconditioned | ModewiseRefined, part: eqx.Module) -> Preconditioned | ModewiseRefined:
    if isinstance(denoiser, ModewiseRefined):
        return dataclasses.replace(denoiser, network=part)
    assert isinstance(part, Preconditioned)
    return part


def save_prior(folder: str | Path, prior: Prior) -> None:
    """Weights first, settings last: a folder with `settings.json` is whole."""
    folder = Path(folder)
    balance = prior.denoiser.balance if isinstance(prior.denoiser, ModewiseRefined) else None
    arrays = eqx.filter((_trained(prior.denoiser), prior.standardiser, prior.gaussian, balance), eqx.is_array)
    save_weights(folder / "weights", arrays)  # by all processes together
    if is_first_process():
        described = {"format": _format(prior.settings.preconditioning), "n_directions": len(prior.gaussian.variances)}
        write_json(folder / "settings.json", described | dataclasses.asdict(prior.settings))


def load_prior(folder: str | Path) -> Prior:
    """The prior that `train_prior` saved.

    Args:
        folder: of the model.

    Returns:
        The prior.

    Raises:
        DataError: if the folder holds no trained model, or its description cannot be read.
        CheckpointMismatch: if it is of another format, or its weights do not fit.

    Examples:
        >>> prior = load_prior("model")
        >>> prior.settings.space
    """
    path = Path(folder) / "settings.json"
    if not path.exists():
        if (Path(folder) / "bridge.json").exists():
            raise DataError(
                f"{folder}: holds a fitted bridge, which is no prior; `subgrid.load` of the folder around it finds it."
            )
        raise DataError(f"{folder}: holds no trained model (no settings.json); make one with `subgrid fit`.")
    try:
        stored = dict(json.loads(path.read_text(encoding="utf-8")))
        if "refinement" in stored:
            raise DataError(
                f"{folder}: holds the prior of a climate run, which has a calendar, units and a mask; "
                "`subgrid.load` of the folder around it finds the whole model."
            )
        found, expected = stored.pop("format", 1), _format(stored.get("preconditioning", "variance"))
        if found != expected:
            raise CheckpointMismatch(
                f"{path}: is a model of format {found}, and this version reads format {expected}, whose network "
                "differs; train the model again, or use the version of Subgrid that trained it."
            )
        n_components = stored.pop("n_directions")
        keys: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in stored.items()}
        settings = PriorSettings(**keys)
    except (CheckpointMismatch, DataError):
        raise
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: not a model description of this version ({error}).") from error
    channels = jnp.zeros(settings.n_channels)
    blank = blank_gaussian_part((settings.n_channels, *settings.space), n_components)
    untrained = build_denoiser(settings, blank, key=jr.key(0))
    balance = blank_balance(n_components) if isinstance(untrained, ModewiseRefined) else None
    like = (_trained(untrained), Standardiser(channels, channels), blank, balance)
    arrays, static = eqx.partition(like, eqx.is_array)
    part, standardiser, gaussian, balance = eqx.combine(load_weights(Path(folder) / "weights", like=arrays), static)
    if isinstance(untrained, ModewiseRefined):
        untrained = dataclasses.replace(_refining(gaussian, untrained.network), balance=balance)
    return Prior(settings, _with_trained(untrained, part), standardiser, gaussian)


def _format(preconditioning: str) -> int:
    return FORMAT if preconditioning == "variance" else FORMAT + 1


def is_trained(folder: str | Path) -> bool:
    """Whether the folder holds a whole prior.

    Args:
        folder: of a model; it need not exist.

    Returns:
        True if there is a `settings.json`, which is written last.
    """
    return (Path(folder) / "settings.json").exists()
