"""CycleGAN: two generators between unpaired archives, of which each must undo the other.

Its answer is not determined by its loss. Between N(0, Σ₀) and N(0, Σ₁) every Σ₁^½QΣ₀^{−½} with Q orthogonal reaches the
target and is undone by its inverse, so that all have the same, least loss: which one is found depends on the seed.

Both archives are brought to one grid first (`CommonGrid`), where both generators work. One field gives one field:
there is no spread.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
from jaxtyping import Array, Float, Scalar

from subgrid.downscaling.baselines.adversarial_losses import critic_loss, generator_loss
from subgrid.downscaling.baselines.unpaired import (
    CommonGrid,
    Game,
    archives_of,
    blank_grid,
    constant_then_linear,
    load_model,
    train_players,
)
from subgrid.downscaling.settings import require_at_least
from subgrid.networks.cycle_gan import CriticSettings, PatchCritic, Translation, TranslationSettings
from subgrid.numerics.streams import substream
from subgrid.numerics.symmetries import SymmetryGroup
from subgrid.training.adversarial import Players, adversarial_loss, two_optimisers
from subgrid.training.log import MetricsReport
from subgrid.types import Coarsening, Key

KIND = "cycleGAN"


@dataclass(frozen=True)
class CycleGANSettings:
    """Networks, losses and training; the defaults take some ten minutes on two cores for fields of 64 × 64 points.

    Args:
        generator: size of both generators.
        critic: size of both critics.
        cycle_weight: λ of what a cycle leaves, default 10.
        identity_weight: λ of what a generator changes in fields of its target, in parts of `cycle_weight`; default .5.
        n_steps: of the optimisers, a multiple of `steps_per_dispatch`, default 600.
        batch_size: fields of each archive a step, default 16.
        learning_rate: of both players, default 2e-4; it falls to 0 in the second half.
        ema_decay: of the averaged weights, a step; default .99.
        steps_per_dispatch: steps of one compiled call, and of one report; default 20.
        checkpoint_every: steps between checkpoints, default 200.

    Raises:
        ValueError: for steps or fields below 1, and weights below 0.

    References:
        Zhu, Park, Isola & Efros (2017), arXiv:1703.10593: the weights, the rate, and β₁ = .5.
    """

    generator: TranslationSettings = field(default_factory=TranslationSettings)
    critic: CriticSettings = field(default_factory=CriticSettings)
    cycle_weight: float = 10.0
    identity_weight: float = 0.5
    n_steps: int = 600
    batch_size: int = 16
    learning_rate: float = 2e-4
    ema_decay: float = 0.99
    steps_per_dispatch: int = 20
    checkpoint_every: int = 200

    def __post_init__(self):
        require_at_least(1, self, "n_steps", "batch_size", "steps_per_dispatch", "checkpoint_every")
        require_at_least(0, self, "cycle_weight", "identity_weight", "learning_rate")


class Translations(eqx.Module):
    """Both generators of a cycleGAN.

    Args:
        to_fine: G, from the coarse archive to the fine one.
        to_coarse: F, back.
    """

    to_fine: Callable[[Any], Any]
    to_coarse: Callable[[Any], Any]


class Critics(eqx.Module):
    """Of each archive one.

    Args:
        fine: scores of fine fields.
        coarse: scores of coarse ones, on the fine grid.
    """

    fine: Callable[[Any], Any]
    coarse: Callable[[Any], Any]


class CycleGANUpsampler(eqx.Module):
    """From a raw coarse field to a fine one by the trained generator; nothing is random.

    Args:
        grid: both archives in one form.
        to_fine: the generator.
    """

    grid: CommonGrid
    to_fine: Translation

    def __call__(self, y: Float[Array, "channel *coarse"], *, key: Key | None = None) -> Float[Array, "channel *fine"]:
        return self.grid.restored(self.to_fine(self.grid.lifted(y)))


def translation_loss(
    translations: Translations,
    critics: Critics,
    y: Float[Array, "n *shape"],
    x: Float[Array, "n *shape"],
    *,
    cycle_weight: float,
    identity_weight: float,
) -> Scalar:
    """E(D_x(G y) − 1)² + E(D_y(F x) − 1)² + λ (E|F G y − y| + E|G F x − x|) + λ λ_id (E|G x − x| + E|F y − y|).

    Args:
        translations: G and F.
        critics: D_x and D_y.
        y: coarse fields on the common grid.
        x: fine fields.
        cycle_weight: λ.
        identity_weight: λ_id; with 0 the last term is not computed.

    Returns:
        The loss of the generators.
    """
    to_fine, to_coarse = jax.vmap(translations.to_fine), jax.vmap(translations.to_coarse)
    fake_x, fake_y = to_fine(y), to_coarse(x)
    adversarial = generator_loss("least-squares", critics.fine, fake_x)
    adversarial += generator_loss("least-squares", critics.coarse, fake_y)
    cycle = _distance(to_coarse(fake_x), y) + _distance(to_fine(fake_y), x)
    if not identity_weight:
        return adversarial + cycle_weight * cycle
    identity = _distance(to_fine(x), x) + _distance(to_coarse(y), y)
    return adversarial + cycle_weight * (cycle + identity_weight * identity)


def critics_loss(
    translations: Translations,
    critics: Critics,
    y: Float[Array, "n *shape"],
    x: Float[Array, "n *shape"],
    *,
    key: Key,
) -> Scalar:
    """Least squares of both critics.

    Args:
        translations: G and F.
        critics: D_x and D_y.
        y: coarse fields on the common grid.
        x: fine fields.
        key: random key.

    Returns:
        The loss of the critics.
    """
    fine_key, coarse_key = jr.split(key)
    of_fine = critic_loss("least-squares", critics.fine, jax.vmap(translations.to_fine)(y), x, key=fine_key)
    of_coarse = critic_loss("least-squares", critics.coarse, jax.vmap(translations.to_coarse)(x), y, key=coarse_key)
    return of_fine + of_coarse


def train_cycle_gan(
    coarse: Float[np.ndarray, "n channel *coarse"],
    fine: Float[np.ndarray, "m channel *fine"],
    operator: Coarsening,
    settings: CycleGANSettings = CycleGANSettings(),
    *,
    folder: str | Path,
    symmetries: SymmetryGroup | None = None,
    report: MetricsReport | None = None,
    key: Key,
) -> CycleGANUpsampler:
    """Trains a cycleGAN between unpaired archives; run again on the same folder, it resumes to the same bits.

    Critics see the generated fields of the step and not those of a pool of earlier ones (50 in the original): a pool
    would be state of the training beside the weights, and batches are functions of the key alone, so that a training
    resumes. This is *merely convenient*.

    Args:
        coarse: raw, biased coarse fields, physical units.
        fine: fine fields, physical units.
        operator: C′, whose grids both archives are on.
        settings: networks, losses, training.
        folder: of the model.
        symmetries: of both distributions, which act on both grids: every batch is replaced by random images.
        report: `report(step, metrics)`, after each dispatch.
        key: of everything random; other keys give other maps.

    Returns:
        The upsampler, also saved in `folder`.

    Raises:
        CheckpointMismatch: if the folder holds checkpoints of other settings, archives or key.
        TrainingDiverged: if a loss or its gradient is not finite; weights of a checkpoint, if there is one, are saved.
        ValueError: for fields on other grids than those of C′.

    Examples:
        >>> operator = Subsample((64, 64), 4)
        >>> upsample = train_cycle_gan(coarse, fine, operator, folder="gan", key=key)
        >>> x = upsample(coarse[0])
    """
    archives = archives_of(coarse, fine, operator, symmetries)
    n_channels, n_space = archives.n_channels, len(archives.fine_shape)
    generator = lambda name: Translation(n_channels, n_space, settings.generator, key=substream(key, name))  # noqa: E731
    critic = lambda name: PatchCritic(n_channels, n_space, settings.critic, key=substream(key, name))  # noqa: E731
    translations = Translations(generator("to fine"), generator("to coarse"))
    players = Players(translations, Critics(critic("critic of fine"), critic("critic of coarse")))
    build = lambda trained: CycleGANUpsampler(archives.grid, trained.generator.to_fine)  # noqa: E731
    game = Game(players, _loss(settings), _optimisers(settings))
    return train_players(game, archives, settings, kind=KIND, build=build, folder=folder, report=report, key=key)


def load_cycle_gan(folder: str | Path, operator: Coarsening) -> CycleGANUpsampler:
    """The upsampler that `train_cycle_gan` saved.

    Args:
        folder: of the model.
        operator: C′, which must be the one that it was trained for.

    Returns:
        The upsampler.

    Raises:
        DataError: if the folder holds no such model, or one for another C′.
        CheckpointMismatch: if it is of another format or kind, or its weights do not fit.

    Examples:
        >>> upsample = load_cycle_gan("gan", Subsample((64, 64), 4))
    """

    def blank(settings: Mapping[str, Any], n_channels: int) -> CycleGANUpsampler:
        sizes = TranslationSettings(**settings["generator"])
        generator = Translation(n_channels, len(operator.fine_shape), sizes, key=jr.key(0))
        return CycleGANUpsampler(blank_grid(operator, n_channels), generator)

    return load_model(folder, KIND, operator, blank=blank)


def _loss(settings: CycleGANSettings) -> Callable[[Players, Any, Key], Scalar]:
    weights = {"cycle_weight": settings.cycle_weight, "identity_weight": settings.identity_weight}
    of_generators = lambda translations, critics, batch, key: translation_loss(translations, critics, *batch, **weights)  # noqa: E731
    of_critics = lambda translations, critics, batch, key: critics_loss(translations, critics, *batch, key=key)  # noqa: E731
    return adversarial_loss(of_generators, of_critics)


def _optimisers(settings: CycleGANSettings) -> optax.GradientTransformation:
    make = partial(optax.adam, constant_then_linear(settings.learning_rate, settings.n_steps), b1=0.5)
    return two_optimisers(make(), make())


def _distance(a: Array, b: Array) -> Scalar:
    return jnp.mean(jnp.abs(a - b))
