"""A generative prior of anomalies: a Gaussian chosen by what is left out, refined by a small network.

MODEL/settings.json   shapes, normalisation, how it was chosen
MODEL/cost.json       seconds a draw takes with and without the network, where there is one to compare
MODEL/gaussian/       mean, components and their variances
MODEL/weights/        the network's averaged weights
MODEL/checkpoints/    the training state, to resume from
MODEL/training.jsonl  one line of numbers a dispatch
"""

import dataclasses
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Float

from subgrid.data.batches import draw_batch
from subgrid.data.fields import DataError
from subgrid.data.store import write_json
from subgrid.diffusion.gaussian_conditional import ConditionalGaussian, condition
from subgrid.diffusion.gaussian_prior import GaussianPrior, fit_gaussian_prior
from subgrid.diffusion.refinement import Refined
from subgrid.downscaling.refined.conditions import Conditions, TrainingAnomalies
from subgrid.downscaling.refined.network_gain import MEMBERS, NetworkGain, compare_draws
from subgrid.downscaling.refined.prior_choice import PriorChoice, choose_prior, taper_of
from subgrid.downscaling.refined.refinement import (
    STEPS_AT_ONCE,
    RefinementSettings,
    along,
    left_out_error,
    pad,
    padded_shape,
    refining_loss,
    refining_network,
)
from subgrid.downscaling.spread.calibration import conditional_means
from subgrid.downscaling.spread.draws import conditional_draws
from subgrid.numerics.operators import PaddedCoarsening
from subgrid.numerics.streams import draw_keys, substream
from subgrid.training.checkpoint import Checkpoints, load_weights, save_weights
from subgrid.training.distributed import is_first_process
from subgrid.training.fitting import TrainingSchedule, fit, warmup_cosine
from subgrid.training.log import MetricsReport, all_of, json_lines
from subgrid.training.origin import digest, key_data, require_same_origin
from subgrid.training.progress import Update, progress, say, training_progress
from subgrid.types import Key

FORMAT = 2
CHECKPOINT_EVERY = 200
"""Steps: under a minute on two cores, which is what a killed training loses at most."""
N_LEVELS = 8
"""Noise levels of a draw: the Gaussian part is exact at any number; with precipitation's network 8 give the mean of 64
within sampling noise, and their spread within 1.4 %."""
N_COMPONENTS = (10, 20, 40, 60, 80, 100, 120, 160, 200, 300, 400)


@dataclass(frozen=True)
class RefinedPrior:
    """A denoiser of normalised, padded fields, and what is needed to feed it.

    Args:
        denoiser: the Gaussian, refined by the network.
        settings: of the network and its training.
        scale: (channel,), standard deviation of each channel's anomalies, by which fields are divided.
        choice: how far the Gaussian's covariances reach and how many components it has.
        gain: what the network brought to draws for left-out groups of fields; None where none was trained.
    """

    denoiser: Refined
    settings: RefinementSettings
    scale: Float[np.ndarray, " channel"]
    choice: PriorChoice
    gain: NetworkGain | None

    @property
    def refined(self) -> bool:
        """Whether the network is used."""
        return self.gain is not None and self.gain.accepted

    def normalised(self, fields: Float[np.ndarray, "n channel *space"]) -> Float[np.ndarray, "n channel *padded"]:
        """As the denoiser sees them: in units of their scale, on its own grid."""
        space = self.denoiser.base.mean.shape[1:]
        return pad(fields / along(self.scale, len(space)), space)


def train_refined_prior(
    anomalies: TrainingAnomalies,
    conditions: Conditions,
    *,
    settings: RefinementSettings = RefinementSettings(),  # noqa: B008 frozen
    n_components: Sequence[int] = N_COMPONENTS,
    n_levels: int = N_LEVELS,
    folder: str | Path,
    key: Key,
) -> RefinedPrior:
    """Fits the Gaussian, then the network on what it leaves; shows its progress, and resumes from its last checkpoint.

    The network is trained and scored beside a Gaussian of the same groups as itself, and kept where its draws for other
    groups have a lower CRPS, beyond the uncertainty of the difference (`network_gain.py`). With two groups there are no
    others, and none is trained. Training ends after a third of its steps where the denoising error of the other groups
    is no lower than the Gaussian's by then.

    Args:
        anomalies: of the fine fields, with their groups, mask and predictors.
        conditions: C′ and what else the choices are made on.
        settings: of the network and its training.
        n_components: numbers of leading components to choose from.
        n_levels: of noise, for draws of the network.
        folder: of the model.
        key: of weights, batches and noise.

    Returns:
        The prior, also saved in `folder`.

    Raises:
        ValueError: for too few samples or groups.
        CheckpointMismatch: if the folder holds checkpoints of other settings, data or key; and as `fit`.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    values, groups, predictors = anomalies.values, anomalies.groups, anomalies.predictors
    space = padded_shape(values.shape[2:], settings)
    inside = np.asarray(anomalies.mask) > 0
    variance = np.mean(values[:, :, inside].astype(np.float64) ** 2, axis=(0, 2))
    scale = np.sqrt(np.where(variance > 0, variance, 1.0)).astype(np.float32)
    fields = pad(values * inside / along(scale, len(space)), space).astype(np.float32)
    support = np.broadcast_to(pad(inside.astype(np.float32), space), fields.shape[1:])
    with progress("fit the Gaussian") as update:
        choice = _choose(fields[:, support > 0], groups, conditions, len(scale), n_components, update)
    fit_base = partial(
        fit_gaussian_prior,
        n_components=choice.n_components,
        support=support,
        taper=prior_taper(conditions.distances, len(scale), choice.support),
    )
    static = [support[:1], *([] if predictors is None else [_standard(predictors, inside, space)])]
    static = jnp.asarray(np.concatenate(static))
    start = refining_network(len(scale), len(static), len(space), settings, key=substream(key, "network"))
    trained, left_out = _split_groups(groups)
    network, gain = start, None
    if settings.n_steps and left_out.size:
        apart = Refined(fit_base(fields[trained]), start, static)
        _require_same_training(folder, fields, np.asarray(static), groups, settings, choice, key)
        network = _refine(apart, fields[trained], fields[left_out], settings, folder, key=key)
        refined = Refined(apart.base, network, static)
        normal = pad(conditions.climatology[left_out] / along(scale, len(space)), space)
        draws = _Draws(settings, n_levels, folder, substream(key, "left-out draws"))
        with progress("compare with the Gaussian"):
            gain = draws.compare(refined, conditions, fields[left_out], normal, groups[left_out])
    denoiser = Refined(fit_base(fields), network if gain is not None and gain.accepted else start, static)
    prior = RefinedPrior(denoiser, settings, scale, choice, gain)
    _save(folder, prior)
    return prior


def _choose(
    values: np.ndarray,
    groups: np.ndarray,
    conditions: Conditions,
    n_channels: int,
    n_components: Sequence[int],
    update: Update,
) -> PriorChoice:
    """Of all channels together: values are (n, channel · cell)."""
    rows = np.kron(np.eye(n_channels), conditions.rows) if conditions.distances is not None else conditions.rows
    distances = _of_channels(conditions.distances, n_channels)
    return choose_prior(values, rows, groups, distances=distances, n_components=n_components, report=update)


def _of_channels(distances: np.ndarray | None, n_channels: int) -> Float[np.ndarray, "d d"] | None:
    """Distances between the values of all channels."""
    return None if distances is None else np.tile(distances, (n_channels, n_channels))


def prior_taper(
    distances: Float[np.ndarray, "cell cell"] | None, n_channels: int, support: float | None
) -> Float[np.ndarray, "d d"] | None:
    """The taper that a choice of the support names, between the values of all channels.

    Args:
        distances: (cell, cell), between the cells of the mask, any unit; None for no taper.
        n_channels: of the fields.
        support: in units of the largest distance; None for no taper.

    Returns:
        Factors (d, d) of the covariance, d = channels × cells, 1 at distance 0; or None.

    References:
        Gaspari & Cohn (1999), doi:10.1002/qj.49712555417.
    """
    every = _of_channels(distances, n_channels)
    return None if every is None else taper_of(every, support)


def _require_same_training(
    folder: Path, fields: np.ndarray, static: np.ndarray, groups: np.ndarray, settings, choice: PriorChoice, key: Key
) -> None:
    """Passes if the folder holds no checkpoints of another training; else a `CheckpointMismatch`."""
    origin = {
        "refinement": dataclasses.asdict(settings),
        "n_directions": choice.n_components,
        "support": choice.support,
        "fields": digest(fields, static, groups),
        "key": key_data(key),
    }
    resuming = Checkpoints(folder / "checkpoints").latest() is not None
    require_same_origin(folder / "fit.json", origin, resuming=resuming, write=is_first_process())


@dataclass(frozen=True)
class _Draws:
    """Draws of two priors for the same left-out fields."""

    settings: RefinementSettings
    n_levels: int
    folder: Path
    key: Key

    def compare(
        self, refined: Refined, conditions: Conditions, truth: np.ndarray, climatology: np.ndarray, groups: np.ndarray
    ) -> NetworkGain:
        base = refined.base
        shape, cells = base.mean.shape, np.asarray(base.support)[0] > 0
        coarse = (shape[0], *conditions.operator.coarse_shape)
        conditional = condition(base, PaddedCoarsening(conditions.operator, shape[1:]), coarse)
        expected = climatology + conditional_means(conditional, truth)[0]
        targets = np.repeat(np.asarray(jax.vmap(conditional.operator)(jnp.asarray(truth))), MEMBERS, axis=0)
        keys = draw_keys(self.key, np.arange(len(truth)), np.arange(MEMBERS)).reshape(-1)
        ensembles: list[np.ndarray] = []
        seconds: list[float] = []
        for denoiser in (None, refined):
            drawn = partial(self._of, denoiser, conditional)
            drawn(targets[:1], keys[:1])  # compiles
            started = time.monotonic()
            draws = drawn(targets, keys)
            seconds.append((time.monotonic() - started) / len(draws))
            ensembles.append(draws.reshape(len(truth), MEMBERS, *shape)[..., cells])
        gaussian, network = ensembles
        if is_first_process():
            write_json(self.folder / "cost.json", dict(zip(("gaussian", "network"), seconds, strict=True)))
        active = conditions.censored
        return compare_draws(truth[..., cells], gaussian, network, expected[..., cells], groups, active=active)

    def _of(self, denoiser: Refined | None, conditional: ConditionalGaussian, targets: np.ndarray, keys) -> np.ndarray:
        trained = self.settings.sigma_min, self.settings.sigma_max
        return conditional_draws(denoiser, conditional, targets, keys, n_levels=self.n_levels, trained=trained)


def _split_groups(groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Samples to train the network on, and those of every fifth group, on which it is evaluated."""
    left_out = np.isin(groups, np.unique(groups)[2::5])
    return np.flatnonzero(~left_out), np.flatnonzero(left_out)


def _refine(denoiser: Refined, fields, left_out, settings: RefinementSettings, folder: Path, *, key: Key) -> eqx.Module:
    """The network after all its steps, or after a third of them where they brought nothing to left-out fields."""
    base, predictors = denoiser.base, denoiser.predictors

    def loss(network, batch, key):
        return refining_loss(Refined(base, network, predictors), batch, settings, key=key)

    checkpoints, optimiser = (
        Checkpoints(folder / "checkpoints"),
        warmup_cosine(settings.n_steps, peak=settings.learning_rate),
    )
    begun = checkpoints.latest() or 0
    reports = [json_lines(folder / "training.jsonl", from_step=begun)] if is_first_process() else []

    def train(n_steps: int, shown: MetricsReport) -> eqx.Module:
        return fit(
            denoiser.network,
            loss,
            jnp.asarray(fields),
            lambda samples, key: draw_batch(samples, settings.batch_size, key=key),
            TrainingSchedule(n_steps, optimiser, 0.998, STEPS_AT_ONCE, CHECKPOINT_EVERY),
            checkpoints=checkpoints,
            report=all_of(*reports, shown),
            key=substream(key, "training"),
        )

    early = settings.n_steps // 3 // STEPS_AT_ONCE * STEPS_AT_ONCE
    with training_progress(settings.n_steps, begun=begun) as shown:
        if early and begun <= early:
            network = train(early, shown)
            noise_key = substream(key, "left-out error")  # one for both, which see the same noise
            both = (denoiser, Refined(base, network, predictors))
            before, after = (left_out_error(each, left_out, settings, key=noise_key) for each in both)
            if after >= before:
                say(_no_gain(early, after, before))
                return network
        return train(settings.n_steps, shown)


def _no_gain(n_steps: int, error: float, of_gaussian: float) -> str:
    return (
        f"the network is trained no further than step {n_steps}: its error for left-out fields, {error:.5g}, is not "
        f"below that of the Gaussian, {of_gaussian:.5g}"
    )


def _standard(predictors: np.ndarray, inside: np.ndarray, space: tuple[int, ...]) -> np.ndarray:
    """Each predictor with mean 0 and variance 1 inside the mask, 0 outside."""
    values = predictors[:, inside].astype(np.float64)
    spread = np.maximum(values.std(1), 1e-12)
    scaled = (predictors - along(values.mean(1), len(space))) / along(spread, len(space))
    return pad(np.where(inside, scaled, 0.0), space).astype(np.float32)


def _save(folder: Path, prior: RefinedPrior) -> None:
    """Weights first, settings last: a folder with `settings.json` is whole."""
    base, network = prior.denoiser.base, prior.denoiser.network
    save_weights(folder / "gaussian", (base, prior.denoiser.predictors))
    save_weights(folder / "weights", eqx.filter(network, eqx.is_array))
    description = {
        "format": FORMAT,
        "refinement": dataclasses.asdict(prior.settings),
        "scale": prior.scale.tolist(),
        "gain": None if prior.gain is None else dataclasses.asdict(prior.gain),
        "support": prior.choice.support,
        "crps_by_support": [[support, crps] for support, crps in prior.choice.crps.items()],
        "log_likelihoods": prior.choice.log_likelihoods,
        "shape": list(base.mean.shape),
        "n_directions": len(base.variances),
        "n_predictors": len(prior.denoiser.predictors),
    }
    if is_first_process():
        write_json(folder / "settings.json", description)


def is_trained(folder: str | Path) -> bool:
    """Whether the folder holds a whole prior."""
    return (Path(folder) / "settings.json").exists()


def load_refined_prior(folder: str | Path) -> RefinedPrior:
    """The prior that `fit` or `subgrid run` saved.

    Args:
        folder: of the prior, MODEL or RUN/model.

    Returns:
        The prior.

    Raises:
        DataError: if the folder holds none of this format.
        CheckpointMismatch: if its arrays do not fit.
    """
    path = Path(folder) / "settings.json"
    if not path.exists():
        raise DataError(
            f"{folder}: holds no refined Gaussian (no settings.json); make one with `subgrid.fit`, or with "
            "`subgrid run` on a configuration with the table [climate]."
        )
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path}: cannot be read ({error}); the model is damaged: train it anew.") from error
    if stored.get("format") != FORMAT or "n_directions" not in stored:
        raise DataError(f"{path}: not a refined Gaussian of format {FORMAT}; train it anew.")
    lists: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in stored["refinement"].items()}
    settings, shape = RefinementSettings(**lists), tuple(stored["shape"])
    r, zeros = stored["n_directions"], jnp.zeros(shape)
    base = GaussianPrior(zeros, jnp.zeros((r, *shape)), jnp.zeros(r), jnp.zeros(()), zeros)
    like = (base, jnp.zeros((stored["n_predictors"], *shape[1:])))
    base, predictors = load_weights(Path(folder) / "gaussian", like=like)
    network = eqx.filter_eval_shape(
        refining_network, shape[0], stored["n_predictors"], len(shape) - 1, settings, key=jr.key(0)
    )
    arrays, static = eqx.partition(network, lambda leaf: isinstance(leaf, jax.ShapeDtypeStruct))
    network = eqx.combine(load_weights(Path(folder) / "weights", like=arrays), static)
    likelihoods = {int(k): v for k, v in stored["log_likelihoods"].items()}
    choice = PriorChoice(stored["support"], r, dict(stored["crps_by_support"]), likelihoods)
    gain = None if stored["gain"] is None else NetworkGain(**stored["gain"])
    scale = np.asarray(stored["scale"], np.float32)
    return RefinedPrior(Refined(base, network, predictors), settings, scale, choice, gain)
