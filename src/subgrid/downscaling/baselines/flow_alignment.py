"""ClimAlign and AlignFlow: two invertible networks that take both archives to one latent space.

With z = f_y(y) and z = f_x(x) both N(0, 1), T = f_x⁻¹ ∘ f_y takes one distribution to the other, and its inverse back,
whatever the two are: T is not determined by that, but by what the networks are able to do. Triangular linear ones give
the Knothe–Rosenblatt map L₁L₀⁻¹ of the Cholesky factors of Σ₀ and Σ₁, others something else.

Coarse fields are brought to the fine grid first (`CommonGrid`), where they fill a subspace only and have no density: in
training noise is added to them (*mathematical*: the likelihood of what fills a subspace has no maximum).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
from jaxtyping import Array, Float, Scalar

from subgrid.downscaling.baselines.adversarial_losses import CriticKind, critic_loss, generator_loss
from subgrid.downscaling.baselines.unpaired import (
    Archives,
    CommonGrid,
    Game,
    archives_of,
    blank_grid,
    load_model,
    train_players,
)
from subgrid.downscaling.settings import require_at_least
from subgrid.networks.cycle_gan import CriticSettings, PatchCritic
from subgrid.networks.glow import Glow, GlowSettings, fitted_to, log_standard_normal
from subgrid.numerics.streams import substream
from subgrid.numerics.symmetries import SymmetryGroup
from subgrid.training.adversarial import Players, adversarial_loss, two_optimisers
from subgrid.training.log import MetricsReport
from subgrid.types import Coarsening, Key

KIND = "flow alignment"
FIRST_BATCH = 128
"""Fields of each archive that the flows are fitted to before training."""
CLIP = 10.0
"""Norm at which gradients of the flows are cut."""
WARMUP = 100
"""Steps before the full learning rate. Adam's first steps move all weights at once by the rate, of which the inverse of
two dozen couplings makes far more: on 64 x 64 points the third step took fields to 1e15. Glow warms up too."""
LARGEST = 5.0
"""In standard deviations of an archive: what critics are shown of flows stays within. Beyond it no field of either
lies, slopes of the critic are nobody's concern, and inverses of couplings grow exponentially: `_beyond` pulls back."""
FIRST_SCORES: dict[CriticKind, float] = {"wasserstein": 0.1, "least-squares": 1.0}
"""Gain of untrained critics. A Wasserstein critic with slopes above 1 pays flows for fields without bounds until its
penalty has brought them down: at slopes of 4, on 64 x 64 points, fields were at 1e8 before the 20th step."""
BETAS: dict[CriticKind, tuple[float, float]] = {"wasserstein": (0.5, 0.9), "least-squares": (0.5, 0.999)}
"""Of Adam, for each kind of critic."""


@dataclass(frozen=True)
class FlowAlignmentSettings:
    """Networks, losses and training; the defaults take some ten minutes on two cores for fields of 64 × 64 points.

    Args:
        flow: size of both flows.
        critic: size of both critics.
        critic_kind: "wasserstein", the default, with a penalty on gradients in place of clipped weights, is ClimAlign;
            "least-squares" is AlignFlow.
        likelihood_weight: λ of the negative log-likelihood a value of both archives, default 1.
        adversarial_weight: of the critics, default 1; with 0 there are none, and both flows are fitted by likelihood.
        dequantisation: standard deviation of the noise added to coarse fields on the fine grid, in standard deviations
            of the archive; default .1. It adds a hundredth of the variance. With less the flow has to stretch what
            is between the blocks by more, which a short training does not learn.
        n_steps: of the optimisers, a multiple of `steps_per_dispatch`, default 600.
        batch_size: fields of each archive a step, default 16.
        learning_rate: of both players, default 5e-4, reached along a line over `WARMUP` steps or a quarter of all.
        ema_decay: of the averaged weights, a step; default .99.
        steps_per_dispatch: steps of one compiled call, and of one report; default 20.
        checkpoint_every: steps between checkpoints, default 200.

    Raises:
        ValueError: for steps or fields below 1, weights below 0, an unknown critic, and no noise at all.

    References:
        Groenke, Madaus & Monteleoni (2020), arXiv:2008.04679; Grover et al. (2020), arXiv:1905.12892.
    """

    flow: GlowSettings = field(default_factory=GlowSettings)
    critic: CriticSettings = field(default_factory=CriticSettings)
    critic_kind: CriticKind = "wasserstein"
    likelihood_weight: float = 1.0
    adversarial_weight: float = 1.0
    dequantisation: float = 0.1
    n_steps: int = 600
    batch_size: int = 16
    learning_rate: float = 5e-4
    ema_decay: float = 0.99
    steps_per_dispatch: int = 20
    checkpoint_every: int = 200

    def __post_init__(self):
        require_at_least(1, self, "n_steps", "batch_size", "steps_per_dispatch", "checkpoint_every")
        require_at_least(0, self, "likelihood_weight", "adversarial_weight", "learning_rate")
        if self.critic_kind not in BETAS:
            raise ValueError(f"critic_kind must be one of {sorted(BETAS)}, got {self.critic_kind!r}.")
        if not self.dequantisation > 0:
            raise ValueError(
                "dequantisation must be positive: coarse fields on the fine grid have no density without noise; "
                f"got {self.dequantisation}."
            )


class Flows(eqx.Module):
    """One bijection from each archive to latents; each has `forward(x) -> (latents, log_det)` and `inverse(latents)`.

    Args:
        coarse: f_y.
        fine: f_x.
    """

    coarse: Any
    fine: Any


class FlowAlignmentUpsampler(eqx.Module):
    """From a raw coarse field to a fine one, f_x⁻¹(f_y(y + noise)): a bijection of the field with its noise.

    The noise is that of the training, and part of what f_y makes latents of: without it they are shorter than N(0, 1),
    and so is what f_x⁻¹ makes of them. On Kolmogorov flow (8 × 8 to 16 × 16 points, fitted by likelihood) fine fields
    of standard deviation 4.1 came out with 1.8 without noise, and with 3.6 with it. One key for all fields makes the
    upsampler a deterministic map.

    Args:
        grid: both archives in one form.
        coarse: f_y.
        fine: f_x.
        noise: standard deviation of what is added to y, in standard deviations of its archive; with 0 no key is needed.
    """

    grid: CommonGrid
    coarse: Glow
    fine: Glow
    noise: float = eqx.field(static=True)

    def __call__(self, y: Float[Array, "channel *coarse"], *, key: Key | None = None) -> Float[Array, "channel *fine"]:
        lifted = self.grid.lifted(y)
        if self.noise:
            if key is None:
                raise ValueError("an upsampler with noise needs a key.")
            lifted = lifted + self.noise * jr.normal(key, lifted.shape)
        return self.grid.restored(align(self.fine, self.coarse, lifted))


def align(flow_x, flow_y, y: Float[Array, "channel *space"]) -> Float[Array, "channel *space"]:
    """T(y) = f_x⁻¹(f_y(y)).

    Args:
        flow_x: f_x, with `inverse(latents) -> x`.
        flow_y: f_y, with `forward(y) -> (latents, log_det)`.
        y: a field of the one distribution, on the grid of both.

    Returns:
        A field of the other.

    Examples:
        >>> align(flow_y, flow_x, align(flow_x, flow_y, y))  # y
    """
    return flow_x.inverse(flow_y.forward(y)[0])


def flows_loss(
    flows: Flows, critics: Flows | None, y: Float[Array, "n *shape"], x: Float[Array, "n *shape"], *, settings
) -> Scalar:
    """λ_MLE·(mean of −log p a value, of both archives) + λ_adv·(what the critics say of T(y) and of T⁻¹(x), `_beyond`).

    Args:
        flows: f_y and f_x.
        critics: D_y and D_x; not asked where λ_adv = 0.
        y: coarse fields on the common grid.
        x: fine fields.
        settings: weights and kind of the critics.

    Returns:
        The loss of the flows.
    """
    (of_y, y_det), (of_x, x_det) = jax.vmap(flows.coarse.forward)(y), jax.vmap(flows.fine.forward)(x)
    likelihood = jax.vmap(log_standard_normal)(of_y) + y_det + jax.vmap(log_standard_normal)(of_x) + x_det
    loss = -settings.likelihood_weight * jnp.mean(likelihood) / y[0].size
    if critics is None or not settings.adversarial_weight:
        return loss
    fake_x, fake_y = jax.vmap(flows.fine.inverse)(of_y), jax.vmap(flows.coarse.inverse)(of_x)
    adversarial = generator_loss(settings.critic_kind, critics.fine, _shown(fake_x)) + _beyond(fake_x)
    adversarial += generator_loss(settings.critic_kind, critics.coarse, _shown(fake_y)) + _beyond(fake_y)
    return loss + settings.adversarial_weight * adversarial


def critics_loss(
    flows: Flows, critics: Flows, y: Float[Array, "n *shape"], x: Float[Array, "n *shape"], *, settings, key: Key
) -> Scalar:
    """Of both critics; 0 where λ_adv = 0.

    Args:
        flows: f_y and f_x.
        critics: D_y and D_x.
        y: coarse fields on the common grid.
        x: fine fields.
        settings: weights and kind of the critics.
        key: random key.

    Returns:
        The loss of the critics.
    """
    if not settings.adversarial_weight:
        return jnp.zeros(())
    fine_key, coarse_key = jr.split(key)
    fake_x = _shown(jax.vmap(lambda one: align(flows.fine, flows.coarse, one))(y))
    fake_y = _shown(jax.vmap(lambda one: align(flows.coarse, flows.fine, one))(x))
    of_fine = critic_loss(settings.critic_kind, critics.fine, fake_x, x, key=fine_key)
    return of_fine + critic_loss(settings.critic_kind, critics.coarse, fake_y, y, key=coarse_key)


def _shown(fake: Float[Array, "n *shape"]) -> Float[Array, "n *shape"]:
    return jnp.clip(fake, -LARGEST, LARGEST)


def _beyond(fake: Float[Array, "n *shape"]) -> Scalar:
    """Mean of ln(1 + excess over what critics are shown), whose slope brings back what they cannot see.

    The logarithm, as couplings multiply: a field that explodes has a slope no larger than one that is just beyond.
    """
    return jnp.mean(jnp.log1p(jnp.maximum(jnp.abs(fake) - LARGEST, 0.0)))


def train_flow_alignment(
    coarse: Float[np.ndarray, "n channel *coarse"],
    fine: Float[np.ndarray, "m channel *fine"],
    operator: Coarsening,
    settings: FlowAlignmentSettings = FlowAlignmentSettings(),
    *,
    folder: str | Path,
    symmetries: SymmetryGroup | None = None,
    report: MetricsReport | None = None,
    key: Key,
) -> FlowAlignmentUpsampler:
    """Trains two flows on unpaired archives; run again on the same folder, it resumes to the same bits.

    Args:
        coarse: raw, biased coarse fields, physical units.
        fine: fine fields, physical units.
        operator: C′, whose grids both archives are on.
        settings: networks, losses, training.
        folder: of the model.
        symmetries: of both distributions, which act on both grids: every batch is replaced by random images.
        report: `report(step, metrics)`, after each dispatch.
        key: of everything random.

    Returns:
        The upsampler, also saved in `folder`.

    Raises:
        CheckpointMismatch: if the folder holds checkpoints of other settings, archives or key.
        TrainingDiverged: if a loss or its gradient is not finite; weights of a checkpoint, if there is one, are saved.
        ValueError: for fields on other grids than those of C′, and a grid that the flows do not divide.

    Examples:
        >>> operator = Subsample((64, 64), 4)
        >>> upsample = train_flow_alignment(coarse, fine, operator, folder="flows", key=key)
        >>> x = upsample(coarse[0], key=key)
    """
    archives = archives_of(coarse, fine, operator, symmetries)
    n_channels, n_space = archives.n_channels, len(archives.fine_shape)
    gain = FIRST_SCORES[settings.critic_kind]
    critic = lambda name: PatchCritic(n_channels, n_space, settings.critic, gain=gain, key=substream(key, name))  # noqa: E731
    critics = Flows(critic("critic of coarse"), critic("critic of fine"))
    players = Players(_first_flows(archives, settings, key=key), critics)
    build = lambda trained: FlowAlignmentUpsampler(  # noqa: E731
        archives.grid, trained.generator.coarse, trained.generator.fine, settings.dequantisation
    )
    game = Game(players, _loss(settings), _optimisers(settings))
    return train_players(game, archives, settings, kind=KIND, build=build, folder=folder, report=report, key=key)


def load_flow_alignment(
    folder: str | Path, operator: Coarsening, *, noise: float | None = None
) -> FlowAlignmentUpsampler:
    """The upsampler that `train_flow_alignment` saved.

    Args:
        folder: of the model.
        operator: C′, which must be the one that it was trained for.
        noise: of each draw, see `FlowAlignmentUpsampler`; by default that of the training.

    Returns:
        The upsampler.

    Raises:
        DataError: if the folder holds no such model, or one for another C′.
        CheckpointMismatch: if it is of another format or kind, or its weights do not fit.

    Examples:
        >>> upsample = load_flow_alignment("flows", Subsample((64, 64), 4))
    """

    def blank(settings: Mapping[str, Any], n_channels: int) -> FlowAlignmentUpsampler:
        added = settings["dequantisation"] if noise is None else noise
        flow = Glow(n_channels, tuple(operator.fine_shape), GlowSettings(**settings["flow"]), key=jr.key(0))
        return FlowAlignmentUpsampler(blank_grid(operator, n_channels), flow, flow, added)

    return load_model(folder, KIND, operator, blank=blank)


def _first_flows(archives: Archives, settings: FlowAlignmentSettings, *, key: Key) -> Flows:
    """Untrained flows, fitted to one batch."""
    batch_key, noise_key = jr.split(substream(key, "first batch"))
    y, x = archives.draw(FIRST_BATCH, (jnp.asarray(archives.coarse), jnp.asarray(archives.fine)), batch_key)
    y = _dequantised(y, settings, key=noise_key)
    flow = lambda name: Glow(archives.n_channels, archives.fine_shape, settings.flow, key=substream(key, name))  # noqa: E731
    fit_first = eqx.filter_jit(fitted_to)
    return Flows(fit_first(flow("flow of coarse"), y), fit_first(flow("flow of fine"), x))


def _dequantised(y: Float[Array, "n *shape"], settings: FlowAlignmentSettings, *, key: Key) -> Float[Array, "n *shape"]:
    return y + settings.dequantisation * jr.normal(key, y.shape)


def _loss(settings: FlowAlignmentSettings) -> Callable[[Players, Any, Key], Scalar]:
    """Both players see the same noise on the same batch."""

    def split(batch, key):
        noise_key, penalty_key = jr.split(key)
        return (_dequantised(batch[0], settings, key=noise_key), batch[1]), penalty_key

    def of_flows(flows, critics, batch, key):
        ends, _ = split(batch, key)
        return flows_loss(flows, critics, *ends, settings=settings)

    def of_critics(flows, critics, batch, key):
        ends, penalty_key = split(batch, key)
        return critics_loss(flows, critics, *ends, settings=settings, key=penalty_key)

    return adversarial_loss(of_flows, of_critics)


def _optimisers(settings: FlowAlignmentSettings) -> optax.GradientTransformation:
    b1, b2 = BETAS[settings.critic_kind]
    rate = optax.linear_schedule(0.0, settings.learning_rate, min(WARMUP, max(1, settings.n_steps // 4)))
    adam = optax.adam(rate, b1=b1, b2=b2)
    return two_optimisers(optax.chain(optax.clip_by_global_norm(CLIP), adam), adam)
