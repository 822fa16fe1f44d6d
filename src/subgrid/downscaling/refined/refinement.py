"""The network that refines a Gaussian prior: its settings, its loss, its error on fields that it has not seen."""

from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float

from subgrid.diffusion.objective import denoising_loss, log_uniform_levels
from subgrid.diffusion.refinement import Refined, residual_scale
from subgrid.downscaling.settings import require_at_least, require_levels
from subgrid.networks.correlation import Padding
from subgrid.networks.unet import UNet, UNetSettings, smallest_grid
from subgrid.types import Key

STEPS_AT_ONCE = 20
"""Of one compiled call: a report comes after each."""


@dataclass(frozen=True)
class RefinementSettings:
    """The network and its training. Small and short: an archive of a thousand fields is soon memorised.

    Args:
        channels: width of each level of the UNet, finest first.
        n_blocks: residual blocks a level.
        patch: points an axis that the first level takes together.
        n_steps: some eighty passes over a thousand days, with which temperature was published. 0: the Gaussian alone.
        batch_size: fields a step.
        learning_rate: its peak; it falls along a cosine.
        sigma_min: smallest noise level, in standard deviations of the anomalies.
        sigma_max: largest one.
        padding: of its convolutions, "zero", the default, or "periodic" where space wraps around; the data decide.

    Raises:
        ValueError: for widths or numbers that are too small, and noise levels that do not rise from above 0.
    """

    channels: tuple[int, ...] = (32, 64)
    n_blocks: int = 1
    patch: int = 2
    n_steps: int = 1200
    batch_size: int = 64
    learning_rate: float = 1e-3
    sigma_min: float = 2e-3
    sigma_max: float = 80.0
    padding: Padding = "zero"

    def __post_init__(self):
        require_at_least(0, self, "n_steps")
        require_at_least(1, self, "channels", "n_blocks", "patch", "batch_size")
        require_levels(self)
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate must be positive, got {self.learning_rate}.")


def require_whole_calls(settings: RefinementSettings) -> None:
    """Passes numbers of steps that a training can take.

    Args:
        settings: of the network; models that are finished hold any number.

    Raises:
        ValueError: for one that leaves a compiled call unfilled.
    """
    if settings.n_steps % STEPS_AT_ONCE:
        above = settings.n_steps + -settings.n_steps % STEPS_AT_ONCE
        raise ValueError(
            f"n_steps = {settings.n_steps} is no multiple of {STEPS_AT_ONCE}, the steps of one compiled call; take "
            f"{above}."
        )


def padded_shape(space: tuple[int, ...], settings: RefinementSettings) -> tuple[int, ...]:
    """The smallest grid that holds `space` and is divisible as the network needs.

    Raises:
        ValueError: for a periodic grid that is not divisible, as it has no end to append to.
    """
    wide = smallest_grid(space, patch=settings.patch, n_levels=len(settings.channels))
    if settings.padding == "periodic" and wide != space:
        unit = settings.patch * 2 ** (len(settings.channels) - 1)
        raise ValueError(
            f"a periodic grid of {space} points is not divisible by patch x 2^(levels - 1) = {unit}; lower patch, or "
            "name fewer levels (one for each of channels)."
        )
    return wide


def pad(fields: Float[np.ndarray, "*shape"], space: tuple[int, ...]) -> Float[np.ndarray, "*padded"]:
    """Fields with zeros appended along the space axes."""
    grow = [(0, 0)] * (fields.ndim - len(space))
    grow += [(0, wide - n) for wide, n in zip(space, fields.shape[-len(space) :], strict=True)]
    return np.pad(fields, grow)


def along(values: Float[np.ndarray, " channel"], n_space: int) -> Float[np.ndarray, "channel *ones"]:
    """A value for each channel, the same everywhere in space."""
    return values.reshape(-1, *(1,) * n_space)


@eqx.filter_jit  # one compilation for all weights, not one for each shape
def refining_network(
    n_channels: int, n_predictors: int, n_space: int, settings: RefinementSettings, *, key: Key
) -> UNet:
    """The untrained UNet of fields with `n_space` axes, which sees the field, the Gaussian's answer and predictors."""
    size = UNetSettings(settings.channels, settings.n_blocks, settings.patch, padding=settings.padding)
    return UNet(2 * n_channels + n_predictors, n_channels, n_space, size, key=key)


def refining_loss(denoiser: Refined, batch: Array, settings: RefinementSettings, *, key: Key):
    """Denoising error in units of the Gaussian denoiser's: 1 where the network adds nothing to Gaussian fields."""
    share = denoiser.base.support.size / jnp.sum(denoiser.base.support)
    weight = lambda sigma: share / jax.vmap(lambda s: residual_scale(denoiser.base, s))(sigma) ** 2  # noqa: E731
    levels = log_uniform_levels(settings.sigma_min, settings.sigma_max)
    return denoising_loss(denoiser, batch, noise_levels=levels, weight=weight, key=key)


def left_out_error(denoiser: Refined, fields: np.ndarray, settings: RefinementSettings, *, key: Key) -> float:
    """The loss of samples that the network was not trained on, with the same noise for every denoiser."""
    evaluate = eqx.filter_jit(lambda d, batch, key: refining_loss(d, batch, settings, key=key))
    batches = [fields[i : i + 64] for i in range(0, len(fields) - 63, 64)] or [fields]
    losses = [float(evaluate(denoiser, jnp.asarray(b), jr.fold_in(key, i))) for i, b in enumerate(batches)]
    return float(np.mean(losses))
