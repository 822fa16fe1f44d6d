"""Debiasing by diffusion models of the coarse grid: halfway to noise with one, back with the other.

| method | up to the level σ* | back | needs |
|---|---|---|---|
| DDIB, EDDIB | probability flow of the source's model | probability flow of the target's | both models |
| SDEdit | add noise σ*ε | probability flow of the target's | the target's |

Between Gaussians of variances l and l′, with s = σ*² and in common units, both give fields of variance
l′(l + s)/(l′ + s): the target's for s → ∞ alone. DDIB moves a field by the factor √(l′(l + s)/(l(l′ + s))), without
noise; SDEdit keeps √(l′/(l′ + s)) of it. A level remakes what is smaller than its noise, and leaves the bias of what is
larger.

FOLDER/source/   the model of raw coarse fields, as `train_prior` keeps it
FOLDER/target/   that of coarsened fine fields
"""

from dataclasses import dataclass
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float

from subgrid.data.normalise import Standardiser
from subgrid.diffusion.process import VariancePreserving
from subgrid.downscaling.prior.model import Prior, PriorSettings, load_prior, train_prior
from subgrid.downscaling.prior.training import Fields, TrainingSettings
from subgrid.downscaling.upsampling.diffusion_bridge import decode, encode, noised
from subgrid.numerics.streams import substream
from subgrid.training.log import MetricsReport
from subgrid.types import Denoiser, Key

N_STEPS = 64
"""Of Heun's rule in each direction: between Gaussians the slope is then right to 1e-3 for σ* up to 3."""


class DiffusionBridgeDebiaser(eqx.Module):
    """T(y): the probability flow of the source's model up to σ*, then that of the target's down. No noise.

    Each model sees fields in units of its own archive: mean and standard deviation of the source become those of the
    target before any diffusion.

    Args:
        source: D(x, σ) of normalised raw coarse fields.
        target: D(x, σ) of normalised coarsened fine fields.
        source_standardiser: physical ↔ normalised, of raw coarse fields.
        target_standardiser: of coarsened fine ones.
        level: σ*, in standard deviations.
        sigma_min: where the flows begin and end, > 0.
        n_steps: of Heun's rule, in each direction; second order.

    References:
        Su, Song, Meng & Ermon (2022), arXiv:2203.08382 (DDIB).
    """

    source: Denoiser
    target: Denoiser
    source_standardiser: Standardiser
    target_standardiser: Standardiser
    level: float = eqx.field(static=True)
    sigma_min: float = eqx.field(static=True, default=2e-3)
    n_steps: int = eqx.field(static=True, default=N_STEPS)

    def __call__(self, y: Float[Array, "channel *coarse"]) -> Float[Array, "channel *coarse"]:
        z, ends = self.source_standardiser.normalise(y, y.ndim - 1), {"sigma_min": self.sigma_min, "level": self.level}
        latent = encode(self.source, z, **ends, n_steps=self.n_steps)
        return self.target_standardiser.restore(_down(self.target, latent, self.n_steps, **ends), y.ndim - 1)


class NoisingDebiaser(eqx.Module):
    """T(y): noise of level σ* added, then the probability flow of the target's model down.

    A debiaser has no key, so the noise of a field is drawn from a stream that belongs to the field's own values: the
    same field gets the same noise in whatever batch and order, two fields get independent noise.

    Args:
        target: D(x, σ) of normalised coarsened fine fields.
        standardiser: physical ↔ normalised, of coarsened fine fields; nothing is known of raw ones.
        noise_key: of all noise.
        level: σ*, in standard deviations.
        sigma_min: where the flow ends, > 0.
        n_steps: of Heun's rule; second order.

    References:
        Meng et al. (2022), arXiv:2108.01073 (SDEdit, which reverses the diffusion in place of following the flow).
    """

    target: Denoiser
    standardiser: Standardiser
    noise_key: Key
    level: float = eqx.field(static=True)
    sigma_min: float = eqx.field(static=True, default=2e-3)
    n_steps: int = eqx.field(static=True, default=N_STEPS)

    def __call__(self, y: Float[Array, "channel *coarse"]) -> Float[Array, "channel *coarse"]:
        z = self.standardiser.normalise(y, y.ndim - 1)
        noisy = noised(z, self.level, key=field_key(y, key=self.noise_key))
        down = _down(self.target, noisy, self.n_steps, sigma_min=self.sigma_min, level=self.level)
        return self.standardiser.restore(down, y.ndim - 1)


@dataclass(frozen=True)
class CoarsePriors:
    """Diffusion models of both archives on the coarse grid.

    Args:
        source: of raw coarse fields.
        target: of coarsened fine fields.
    """

    source: Prior
    target: Prior


def train_coarse_priors(
    coarse: Fields,
    coarsened: Fields,
    settings: PriorSettings,
    training: TrainingSettings,
    *,
    folder: str | Path,
    report: MetricsReport | None = None,
    key: Key,
) -> CoarsePriors:
    """Trains a diffusion model of each archive; run again on the same folder, it resumes to the same bits.

    Args:
        coarse: (n, channel, *coarse), raw coarse fields, physical units.
        coarsened: (m, channel, *coarse), C′ of fine fields, same unit; unpaired.
        settings: of the coarse grid and of both networks.
        training: how long and how fast, each.
        folder: of both models.
        report: `report(step, metrics)`, after each dispatch; the steps of the target's come after the source's.
        key: of everything random.

    Returns:
        Both models, also saved in FOLDER/source and FOLDER/target.

    Raises:
        CheckpointMismatch: if the folder holds checkpoints of other settings, data or key.
        ValueError: as `train_prior`.

    Examples:
        >>> settings = PriorSettings(1, (16, 16), channels=(64, 128), patch=1)
        >>> priors = train_coarse_priors(coarse, operator(fine), settings, training, folder="models", key=key)
        >>> debiaser = diffusion_bridge_debiaser(priors)
    """

    def trained(name: str, fields: Fields, later: MetricsReport | None) -> Prior:
        options = {"folder": Path(folder) / name, "report": later, "key": substream(key, name)}
        return train_prior(fields, settings, training, **options)

    after = None if report is None else _later(report, training.n_steps)
    return CoarsePriors(trained("source", coarse, report), trained("target", coarsened, after))


def load_coarse_priors(folder: str | Path) -> CoarsePriors:
    """The models that `train_coarse_priors` saved.

    Args:
        folder: of both models.

    Returns:
        Both models.

    Raises:
        DataError: if the folder lacks one.
        CheckpointMismatch: as `load_prior`.

    Examples:
        >>> debiaser = diffusion_bridge_debiaser(load_coarse_priors("models"))
    """
    return CoarsePriors(load_prior(Path(folder) / "source"), load_prior(Path(folder) / "target"))


def diffusion_bridge_debiaser(
    priors: CoarsePriors, *, level: float | None = None, n_steps: int = N_STEPS
) -> DiffusionBridgeDebiaser:
    """DDIB; with its default level, EDDIB's half of the way.

    Args:
        priors: of both archives.
        level: σ*, in standard deviations; default `halfway_level()`, 3.4.
        n_steps: of Heun's rule in each direction, two evaluations each; default 64.

    Returns:
        A map of one raw coarse field.

    Raises:
        ValueError: for a level outside of what both models were trained on.

    Examples:
        >>> debiased = apply_debiaser(diffusion_bridge_debiaser(priors), coarse)
    """
    level, sigma_min = _levels(level, priors.source, priors.target)
    standardisers = priors.source.standardiser, priors.target.standardiser
    return DiffusionBridgeDebiaser(
        priors.source.denoiser, priors.target.denoiser, *standardisers, level, sigma_min, n_steps
    )


def noising_debiaser(prior: Prior, *, level: float | None = None, n_steps: int = N_STEPS, key: Key) -> NoisingDebiaser:
    """SDEdit, which needs no model of raw coarse fields.

    Args:
        prior: of coarsened fine fields.
        level: σ*, in their standard deviations; default `halfway_level()`, 3.4.
        n_steps: of Heun's rule, two evaluations each; default 64.
        key: of the noise.

    Returns:
        A map of one raw coarse field.

    Raises:
        ValueError: for a level outside of what the model was trained on.

    Examples:
        >>> debiased = apply_debiaser(noising_debiaser(priors.target, level=1.0, key=key), coarse)
    """
    level, sigma_min = _levels(level, prior)
    return NoisingDebiaser(prior.denoiser, prior.standardiser, key, level, sigma_min, n_steps)


def halfway_level() -> float:
    """The noise level at t = ½ of the variance-preserving process with β from .1 to 20, where EDDIB turns around: 3.4.

    Returns:
        σ*, in standard deviations.

    References:
        arXiv:2504.05443 (EDDIB).
    """
    return float(VariancePreserving().noise_level(jnp.asarray(0.5)))


def field_key(y: Float[Array, "*shape"], *, key: Key) -> Key:
    """A key that belongs to the values of a field: a hash of its bits, of 64 bits, folded into a key.

    h = Σ m_i w_i modulo 2³², with the words w_i of the field and random odd m_i, twice. The lower half of a word is
    mixed with its upper half first: values of few digits have zeros there, and a sum keeps them.

    Args:
        y: the field.
        key: of all fields, which nothing else uses.

    Returns:
        The key: the same for the same bits in whatever batch, another for other bits.
    """
    words = jax.lax.bitcast_convert_type(y.astype(jnp.float32), jnp.uint32).reshape(-1)
    words = words ^ (words >> 16)
    odd = jr.bits(substream(key, "hash"), (2, words.size), jnp.uint32) | jnp.uint32(1)
    own = substream(key, "noise")
    for word in jnp.sum(odd * words, axis=1, dtype=jnp.uint32):
        own = jr.fold_in(own, word)
    return own


def _later(report: MetricsReport, before: int) -> MetricsReport:
    return lambda step, metrics: report(before + step, metrics)


def _down(target: Denoiser, latent: Array, n_steps: int, *, sigma_min: float, level: float) -> Array:
    """Along the probability flow, which uses no key."""
    options = {"sigma_min": sigma_min, "level": level, "n_steps": 2 * n_steps}
    return decode(target, latent, **options, stochastic=False, key=jr.key(0))


def _levels(level: float | None, *priors: Prior) -> tuple[float, float]:
    """σ* and the smallest level that all models know."""
    level = halfway_level() if level is None else level
    lowest = max(prior.settings.sigma_min for prior in priors)
    highest = min(prior.settings.sigma_max for prior in priors)
    if not lowest < level <= highest:
        raise ValueError(f"level must lie above {lowest:g} and up to {highest:g}, got {level:g}.")
    return level, lowest
