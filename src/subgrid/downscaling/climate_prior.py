"""The generative prior of climate fields: a Gaussian law chosen by left-out winters, refined by a small network.

MODEL/settings.json   shapes, normalisation, how it was chosen
MODEL/gaussian/       mean, directions and variances
MODEL/weights/        the network's averaged weights
MODEL/checkpoints/    the training state, to resume from
MODEL/training.jsonl  one line of numbers a dispatch
"""

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float

from subgrid.data.batches import draw_batch
from subgrid.data.fields import DataError
from subgrid.data.store import write_json
from subgrid.diffusion.gaussian_prior import GaussianPrior, choose_directions, fit_gaussian_prior
from subgrid.diffusion.objective import denoising_loss, log_uniform_levels
from subgrid.diffusion.refinement import Refined, residual_scale
from subgrid.networks.unet import UNet
from subgrid.numerics.streams import substream
from subgrid.training.checkpoint import Checkpoints, load_weights, save_weights
from subgrid.training.distributed import is_first_process
from subgrid.training.fit import fit, warmup_cosine
from subgrid.training.log import Report, all_of, json_lines
from subgrid.training.origin import digest, key_data, require_same_origin
from subgrid.types import Key

FORMAT = 1
CHECKPOINT_EVERY = 200
"""Steps: under a minute on two cores, which is what a killed training loses at most."""
DIRECTIONS = (10, 20, 40, 60, 80, 100, 120, 160, 200, 300, 400)


@dataclass(frozen=True)
class RefinementSettings:
    """The network and its training. Small and short: an archive of a thousand days is soon learned by heart."""

    channels: tuple[int, ...] = (32, 64)
    n_blocks: int = 1
    patch: int = 2
    n_steps: int = 1200
    """Some eighty passes over a thousand days, with which temperature was published. 0: the Gaussian law alone."""
    batch_size: int = 64
    learning_rate: float = 1e-3
    sigma_min: float = 2e-3
    sigma_max: float = 80.0


@dataclass(frozen=True)
class ClimatePrior:
    """A denoiser of normalised, padded fields, and what is needed to feed it."""

    denoiser: Refined
    settings: RefinementSettings
    scale: Float[np.ndarray, " channel"]
    """Standard deviation of each channel's anomalies, by which fields are divided."""
    refined: bool
    """Whether the network lowered the denoising error of left-out samples, and is used."""
    log_likelihoods: dict[int, float]
    """Of left-out winters, by number of directions: what the choice was made on."""

    def normalised(self, fields: Float[np.ndarray, "n channel y x"]) -> Float[np.ndarray, "n channel y2 x2"]:
        """As the denoiser sees them: in units of their scale, on its own grid."""
        return pad(fields / self.scale[:, None, None], self.denoiser.base.mean.shape[1:])


def padded_shape(space: tuple[int, ...], settings: RefinementSettings) -> tuple[int, ...]:
    """The smallest grid that holds `space` and is divisible as the network needs."""
    unit = settings.patch * 2 ** (len(settings.channels) - 1)
    return tuple(-(-n // unit) * unit for n in space)


def pad(fields: Float[np.ndarray, "*lead y x"], space: tuple[int, ...]) -> Float[np.ndarray, "*lead y2 x2"]:
    """Fields with zeros appended along the space axes."""
    grow = [(0, 0)] * (fields.ndim - len(space))
    grow += [(0, wide - n) for wide, n in zip(space, fields.shape[-len(space) :], strict=True)]
    return np.pad(fields, grow)


def train_climate_prior(
    anomalies: Float[np.ndarray, "n channel y x"],
    groups: np.ndarray,
    *,
    mask: Float[np.ndarray, "y x"],
    predictors: Float[np.ndarray, "p y x"] | None = None,
    settings: RefinementSettings = RefinementSettings(),
    directions: Sequence[int] = DIRECTIONS,
    folder: str | Path,
    report: Report | None = None,
    key: Key,
) -> ClimatePrior:
    """Fits the Gaussian law, then the network on what it leaves; resumes from its last checkpoint.

    The network is trained and judged beside a Gaussian law of the same groups as itself, and kept where it makes the
    error of other groups smaller; beside the law of all groups, as it is used, it is not judged again. With two groups
    there are no others, and none is trained.

    **Arguments:** `anomalies`, of the fine fields, 0 outside the mask; `groups`, a label a sample (winters): the number
    of directions is the one under which left-out groups are likeliest; `mask`, 1 where fields have values;
    `predictors`, fixed fields for the network, which always sees the mask; `directions`, numbers to choose from;
    `report(step, metrics)`; `key`.

    **Returns:** the prior, also saved in `folder`.

    **Raises:** `ValueError` for too few samples or groups; `CheckpointMismatch` if the folder holds checkpoints of
    other settings, data or key; as `fit`.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    space = padded_shape(anomalies.shape[-2:], settings)
    inside = np.asarray(mask) > 0
    scale = np.sqrt(np.mean(anomalies[:, :, inside].astype(np.float64) ** 2, axis=(0, 2))).astype(np.float32)
    fields = pad(anomalies * inside / scale[:, None, None], space).astype(np.float32)
    support = np.broadcast_to(pad(inside.astype(np.float32), space), fields.shape[1:])
    rank, likelihoods = choose_directions(fields[:, support > 0], groups, candidates=directions)
    base = fit_gaussian_prior(fields, rank, support=support)
    static = [support[:1], *([] if predictors is None else [_standard(predictors, inside, space)])]
    static = np.concatenate(static)
    start = _network(len(scale), len(static), settings, key=substream(key, "network"))
    trained, left_out = _split_groups(groups)
    network, errors = start, None
    if settings.n_steps and left_out.size:
        apart = Refined(fit_gaussian_prior(fields[trained], rank, support=support), start, jnp.asarray(static))
        origin = {
            "refinement": dataclasses.asdict(settings),
            "n_directions": rank,
            "fields": digest(fields, static, groups),
            "key": key_data(key),
        }
        resuming = Checkpoints(folder / "checkpoints").latest() is not None
        require_same_origin(folder / "fit.json", origin, resuming=resuming, write=is_first_process())
        network = _refine(apart, fields[trained], settings, folder, report, key=substream(key, "training"))
        judged = (apart, Refined(apart.base, network, apart.predictors))
        noise_key = substream(key, "left-out error")  # one for both, which see the same noise
        errors = [_left_out_error(each, fields[left_out], settings, key=noise_key) for each in judged]
    helps = errors is not None and errors[1] < errors[0]
    denoiser = Refined(base, network if helps else start, jnp.asarray(static))
    prior = ClimatePrior(denoiser, settings, scale, helps, likelihoods)
    _save(folder, prior, errors)
    return prior


def _split_groups(groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Samples to train the network on, and those of every fifth group, on which it is judged."""
    left_out = np.isin(groups, np.unique(groups)[2::5])
    return np.flatnonzero(~left_out), np.flatnonzero(left_out)


@eqx.filter_jit  # one compilation for all weights, not one for each shape
def _network(n_channels: int, n_predictors: int, settings: RefinementSettings, *, key: Key) -> UNet:
    return UNet(
        2 * n_channels + n_predictors,
        n_channels,
        2,
        channels=settings.channels,
        n_blocks=settings.n_blocks,
        patch=settings.patch,
        padding="zero",
        key=key,
    )


def _refine(denoiser: Refined, fields, settings: RefinementSettings, folder: Path, report, *, key: Key) -> eqx.Module:
    base, predictors = denoiser.base, denoiser.predictors

    def loss(network, batch, key):
        return _loss(Refined(base, network, predictors), batch, settings, key=key)

    checkpoints, reports = Checkpoints(folder / "checkpoints"), [*([report] if report else [])]
    if is_first_process():
        reports.append(json_lines(folder / "training.jsonl", from_step=checkpoints.latest() or 0))
    return fit(
        denoiser.network,
        loss,
        jnp.asarray(fields),
        lambda samples, key: draw_batch(samples, settings.batch_size, key=key),
        n_steps=settings.n_steps,
        optimiser=warmup_cosine(settings.n_steps, peak=settings.learning_rate),
        key=key,
        ema_decay=0.998,
        checkpoints=checkpoints,
        checkpoint_every=CHECKPOINT_EVERY,
        report=all_of(*reports),
    )


def _loss(denoiser: Refined, batch: Array, settings: RefinementSettings, *, key: Key):
    """Denoising error in units of the Gaussian denoiser's: 1 where the network adds nothing to Gaussian fields."""
    share = denoiser.base.support.size / jnp.sum(denoiser.base.support)
    weight = lambda sigma: share / jax.vmap(lambda s: residual_scale(denoiser.base, s))(sigma) ** 2  # noqa: E731
    levels = log_uniform_levels(settings.sigma_min, settings.sigma_max)
    return denoising_loss(denoiser, batch, noise_levels=levels, weight=weight, key=key)


def _left_out_error(denoiser: Refined, fields: np.ndarray, settings: RefinementSettings, *, key: Key) -> float:
    """The loss of samples that the network was not trained on, with the same noise for every denoiser."""
    evaluate = eqx.filter_jit(lambda d, batch, key: _loss(d, batch, settings, key=key))
    batches = [fields[i : i + 64] for i in range(0, len(fields) - 63, 64)] or [fields]
    losses = [float(evaluate(denoiser, jnp.asarray(b), jr.fold_in(key, i))) for i, b in enumerate(batches)]
    return float(np.mean(losses))


def _standard(predictors: np.ndarray, inside: np.ndarray, space: tuple[int, ...]) -> np.ndarray:
    """Each predictor with mean 0 and variance 1 inside the mask, 0 outside."""
    values = predictors[:, inside].astype(np.float64)
    spread = np.maximum(values.std(1), 1e-12)
    scaled = (predictors - values.mean(1)[:, None, None]) / spread[:, None, None]
    return pad(np.where(inside, scaled, 0.0), space).astype(np.float32)


def _save(folder: Path, prior: ClimatePrior, errors: list[float] | None) -> None:
    """Weights first, settings last: a folder with `settings.json` is whole."""
    base, network = prior.denoiser.base, prior.denoiser.network
    save_weights(folder / "gaussian", (base, prior.denoiser.predictors))
    save_weights(folder / "weights", eqx.filter(network, eqx.is_array))
    description = {
        "format": FORMAT,
        "refinement": dataclasses.asdict(prior.settings),
        "scale": prior.scale.tolist(),
        "refined": prior.refined,
        "left_out_error": None if errors is None else {"gaussian": errors[0], "refined": errors[1]},
        "log_likelihoods": prior.log_likelihoods,
        "shape": list(base.mean.shape),
        "n_directions": len(base.variances),
        "n_predictors": len(prior.denoiser.predictors),
    }
    if is_first_process():
        write_json(folder / "settings.json", description)


def is_trained(folder: str | Path) -> bool:
    """Whether the folder holds a whole prior."""
    return (Path(folder) / "settings.json").exists()


def load_climate_prior(folder: str | Path) -> ClimatePrior:
    """The prior that `train_climate_prior` wrote.

    **Raises:** `DataError` if the folder holds none of this format; `CheckpointMismatch` if its arrays do not fit.
    """
    path = Path(folder) / "settings.json"
    if not path.exists():
        raise DataError(f"{folder}: holds no trained model (no settings.json); train one with `subgrid train`.")
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path}: cannot be read ({error}); the model is damaged: train it anew.") from error
    if stored.get("format") != FORMAT or "n_directions" not in stored:
        raise DataError(f"{path}: not a climate prior of format {FORMAT}; train it anew.")
    lists: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in stored["refinement"].items()}
    settings, shape = RefinementSettings(**lists), tuple(stored["shape"])
    r, zeros = stored["n_directions"], jnp.zeros(shape)
    base = GaussianPrior(zeros, jnp.zeros((r, *shape)), jnp.zeros(r), jnp.zeros(()), zeros)
    like = (base, jnp.zeros((stored["n_predictors"], *shape[1:])))
    base, predictors = load_weights(Path(folder) / "gaussian", like=like)
    network = eqx.filter_eval_shape(_network, shape[0], stored["n_predictors"], settings, key=jr.key(0))
    arrays, static = eqx.partition(network, lambda leaf: isinstance(leaf, jax.ShapeDtypeStruct))
    network = eqx.combine(load_weights(Path(folder) / "weights", like=arrays), static)
    likelihoods = {int(k): v for k, v in stored["log_likelihoods"].items()}
    scale = np.asarray(stored["scale"], np.float32)
    return ClimatePrior(Refined(base, network, predictors), settings, scale, stored["refined"], likelihoods)
