"""What fields go through before a network sees them, and what a model of functions knows beside its network."""

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from subgrid.functional.borders import require_periodic
from subgrid.functional.gaussian_field import GaussianField, field_of
from subgrid.functional.resolution import require_modes
from subgrid.functional.smoothing import sharpen, smooth
from subgrid.numerics.modes import Box
from subgrid.numerics.spectra import measure_spectrum
from subgrid.training.fitting import TrainingSchedule
from subgrid.types import Spatial


@dataclass(frozen=True)
class FunctionSettings:
    """How a model of functions is trained.

    Args:
        schedule: of the training, default 10,000 steps.
        batch_size: fields a step, default 64.
        preconditioning: "modes" (default), which gives the network what is known of Gaussian data in every mode and one
            band to work in; or "points", the network alone on the grid of the field, for comparison.
        on_given_grid: whether the network of "modes" runs on the grid of the field and keeps what it gives beyond the
            band (`BandNetwork`), default not.
        of_modes: share of the loss that counts every mode of the training grid the same, beside the square at points,
            which does not see modes of little energy; of "modes" alone, default half.
        smoothing: σ of the heat equation by which fields are smoothed before and sharpened after, in length², default
            none.
        any_noise: whether scores are trained with noise that `check_noise` finds too smooth, default not.
        transport: whether a flow pairs base and data by minibatch transport (`choose_transport`), default not.
        sigma_min: σ of a flow, what is left of the base at t = 1, default 0.

    Raises:
        ValueError: a batch of less than 1 field, a share outside [0, 1], or a σ outside [0, 1).
    """

    schedule: TrainingSchedule = field(default_factory=lambda: TrainingSchedule(10_000))
    batch_size: int = 64
    preconditioning: Literal["modes", "points"] = "modes"
    on_given_grid: bool = False
    of_modes: float = 0.5
    smoothing: float = 0.0
    any_noise: bool = False
    transport: bool = False
    sigma_min: float = 0.0

    @property
    def share_of_modes(self) -> float:
        """Of the loss: none where nothing is known of modes."""
        return self.of_modes if self.preconditioning == "modes" else 0.0

    def __post_init__(self):
        if self.batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {self.batch_size}.")
        if not 0 <= self.of_modes <= 1:
            raise ValueError(f"of_modes is a share, from 0 to 1, got {self.of_modes}.")
        if not 0 <= self.sigma_min < 1:
            raise ValueError(f"sigma_min must lie between 0 and below 1, got {self.sigma_min}.")


@dataclass(frozen=True)
class Standard:
    """Fields of zero mean and unit variance at a point, and back; smoothed, and sharpened.

    Args:
        mean: of each channel, over box and samples.
        scale: standard deviation of each channel.
        box: where fields live.
        smoothing: σ of the heat equation, default none.
    """

    mean: tuple[float, ...]
    scale: tuple[float, ...]
    box: Box
    smoothing: float = 0.0

    def forward(self, x: Float[Array, "channel *space"]) -> Float[Array, "channel *space"]:
        """From the fields' own units."""
        standard = (x - self._column(self.mean)) / self._column(self.scale)
        return smooth(standard, self.box, self.smoothing) if self.smoothing else standard

    def inverse(self, z: Float[Array, "channel *space"]) -> Float[Array, "channel *space"]:
        """To the fields' own units."""
        sharp = sharpen(z, self.box, self.smoothing) if self.smoothing else z
        return self._column(self.mean) + self._column(self.scale) * sharp

    def _column(self, values: tuple[float, ...]) -> Float[Array, "..."]:
        return jnp.asarray(values, jnp.result_type(float)).reshape(-1, *(1,) * self.box.n_space)


@dataclass(frozen=True, eq=False)
class FunctionSpace:
    """What a model of functions knows beside its network.

    Args:
        noise: N(0, C), the noise of a diffusion or the base of a flow.
        data: Gaussian of the spectrum of standardised fields.
        grid: of the training, whose modes are the band.
        standard: of the fields.
        known: of the known fields, None where there are none.
    """

    noise: GaussianField
    data: GaussianField
    grid: Spatial
    standard: Standard
    known: Standard | None

    @property
    def n_channels(self) -> int:
        """Of the fields."""
        return len(self.standard.mean)

    def require_target(self, shape: Spatial) -> Spatial:
        """The shape of a grid to sample on, if it holds the band."""
        shape = self.noise.box.require_shape(shape)
        fix = f"ask for {self.grid} points or more, and cut what is drawn (Box.resize)"
        require_modes(shape, self.grid, self.noise.box, "asked for", fix=fix)
        return shape

    def require_given(self, given: Float[Array, "channel *space"], shape: Spatial) -> None:
        """Passes if a given field holds the band, and the target its modes."""
        box = self.noise.box
        self.require_channels(given)
        fix = "condition() takes fields of less"
        require_modes(given.shape[1:], self.grid, box, "the given field has", fix=fix)
        if not box.holds(shape, given.shape[1:]):
            raise ValueError(f"a grid of {shape} points does not hold the modes of the given {given.shape[1:]}.")

    def require_channels(self, given: Float[Array, "channel *space"]) -> None:
        """Passes if a field has the channels and axes of the training's."""
        if given.ndim != 1 + self.noise.box.n_space or len(given) != self.n_channels:
            axes = "channel" + ", points" * self.noise.box.n_space
            raise ValueError(f"fields have {self.n_channels} channels and axes ({axes}), got the shape {given.shape}.")

    def shown(self, known: Float[Array, "known *given"] | None) -> Float[Array, "known *given"] | None:
        """Known fields as the network sees them."""
        if (known is None) != (self.known is None):
            missing = (
                "was trained with known fields: give known=" if known is None else "knows no fields: leave known out"
            )
            raise ValueError(f"this model {missing}.")
        return None if known is None or self.known is None else self.known.forward(known)


class Prepared(NamedTuple):
    """Fields for training, and the space that they live in."""

    fields: Float[Array, "n channel *space"]
    """Standardised, smoothed where asked for, without Nyquist waves."""
    known: Float[Array, "n known *given"] | None
    """Standardised."""
    space: FunctionSpace
    """Noise, measured spectrum, training grid and standardisation."""


def prepare(
    fields: Float[np.ndarray, "n channel *space"],
    noise: GaussianField,
    *,
    known: Float[np.ndarray, "n_known known *given"] | None = None,
    smoothing: float = 0.0,
) -> Prepared:
    """Standardises fields, measures their spectrum, and refuses what does not go together.

    Args:
        fields: samples on a uniform grid.
        noise: N(0, C) on the box of the fields.
        known: what each is conditioned on, on a uniform grid of its own over the same box, default nothing.
        smoothing: σ of the heat equation, default none.

    Returns:
        Fields, known fields and the space.

    Raises:
        ValueError: for fields of another dimension, that hold NaN, are constant, or do not wrap around in a periodic
            box; or known fields of another number.
    """
    box = noise.box
    standard, values = _standardised(fields, box, "fields", smoothing)
    require_periodic(np.asarray(fields), box)
    clean = box.resize(values, values.shape[2:])
    if smoothing:
        clean = smooth(clean.reshape(-1, *values.shape[2:]), box, smoothing).reshape(values.shape)
    data = field_of(measure_spectrum(np.asarray(clean), box), box.length, box.boundary)
    if known is None:
        return Prepared(clean, None, FunctionSpace(noise, data, values.shape[2:], standard, None))
    if len(known) != len(fields):
        raise ValueError(f"there are {len(known)} known fields for {len(fields)} fields; each needs one.")
    known_standard, known_values = _standardised(known, box, "known fields", 0.0)
    return Prepared(clean, known_values, FunctionSpace(noise, data, values.shape[2:], standard, known_standard))


def _standardised(
    fields: Float[np.ndarray, "n channel *space"], box: Box, what: str, smoothing: float
) -> tuple[Standard, Float[Array, "n channel *space"]]:
    if fields.ndim != 2 + box.n_space:
        raise ValueError(
            f"{what} need the axes (sample, channel{', points' * box.n_space}) of the noise's box, got the shape "
            f"{fields.shape}."
        )
    values = np.asarray(fields, np.float64)
    axes = (0, *range(2, values.ndim))
    mean, scale = values.mean(axes, keepdims=True), values.std(axes, keepdims=True)
    if not (np.isfinite(scale).all() and (scale > 0).all()):
        raise ValueError(f"{what} are constant in a channel, or hold NaN or infinite values.")
    standard = Standard(tuple(map(float, mean.ravel())), tuple(map(float, scale.ravel())), box, smoothing)
    return standard, jnp.asarray((values - mean) / scale, jnp.result_type(float))
