"""Transforms of variables to scales on which linear maps and Gaussian noise make sense, one a channel.

Precipitation is the case in point: an atom at zero, a long tail, and a spread that grows with the mean. On daily E-OBS
winters over Iberia the standard deviation of wet days grows like mean^.88 in mm/day and like mean^.46 after the square
root; roots of higher order flatten it further but their inverse, zᵏ, blows up every error in the tail (bias adjustment
by a Gaussian map left a 1-D Wasserstein distance of .56 mm/day after the cube root against .43 after the square root).
"""

from collections.abc import Sequence
from typing import TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from subgrid.data.variables.quantities import Described
from subgrid.downscaling.preparation.normal_score import NormalScore


class Unchanged(eqx.Module):
    """g(x) = x."""

    def forward(self, x: Float[Array, "*space"]) -> Float[Array, "*space"]:
        return x

    def inverse(self, z: Float[Array, "*space"]) -> Float[Array, "*space"]:
        return z


class CensoredRoot(eqx.Module):
    """g(x) = x^p for x ≥ τ, 0 below;    g⁻¹(z) = max(z, τ^p)^(1/p) for z ≥ ½τ^p, 0 below.

    On its image, {0} ∪ [τ^p, ∞), the inverse is exact up to rounding. Any other real number is taken to the nearest
    point of the image first, so what comes back is either exactly dry or at least τ: never negative, never drizzle.

    Args:
        threshold: τ > 0, default .1 mm/day: the resolution of gauges, below which E-OBS holds nothing but zero while a
            climate model drizzles on half of all days (48 % of CNRM-CM5's winter days over Iberia, .2 % of the amount).
            A *wet day* in the sense of ETCCDI, ≥ 1 mm, is a matter of verification: censoring at 1 mm would throw away
            1.4 % of the amount and a fifth of all rainy days.
        exponent: p in (0, 1], default the square root (see the module).

    Raises:
        ValueError: for a threshold that is not positive or an exponent outside (0, 1].

    Examples:
        >>> root = CensoredRoot()
        >>> root.inverse(root.forward(precipitation))  # below .1 mm/day: 0; all else unchanged
    """

    threshold: float = eqx.field(static=True, default=0.1)
    exponent: float = eqx.field(static=True, default=0.5)

    def __check_init__(self):
        if self.threshold <= 0:
            raise ValueError(f"threshold must be positive, got {self.threshold}; .1 mm/day is usual.")
        if not 0 < self.exponent <= 1:
            raise ValueError(f"exponent must be in (0, 1], got {self.exponent}; .5 is the square root.")

    def forward(self, x: Float[Array, "*space"]) -> Float[Array, "*space"]:
        # The inner `maximum` keeps the derivative of the root finite where the outer choice discards it.
        root = jnp.maximum(x, self.threshold) ** self.exponent
        return jnp.where(jnp.isnan(x), jnp.nan, jnp.where(x >= self.threshold, root, 0.0))

    def inverse(self, z: Float[Array, "*space"]) -> Float[Array, "*space"]:
        lowest = self.threshold**self.exponent
        # The outer `maximum` undoes a rounding that would bring τ back as slightly less than τ, and so as dry.
        wet = jnp.maximum(jnp.maximum(z, lowest) ** (1 / self.exponent), self.threshold)
        return jnp.where(jnp.isnan(z), jnp.nan, jnp.where(z >= 0.5 * lowest, wet, 0.0))


class Root(eqx.Module):
    """g(x) = √(x − a) above a bound a, or −√(b − x) below a bound b; the inverse takes any real number into the bounds.

    The square root evens out a spread that grows with the distance from the bound, as that of wind speed does. Values
    beyond the bound count as the bound.

    Args:
        lowest: a; None if the bound is an upper one.
        highest: b; None if the bound is a lower one.

    Raises:
        ValueError: unless there is exactly one bound.

    Examples:
        >>> root = Root(lowest=0.0)
        >>> root.inverse(root.forward(wind_speed))  # the same, ≥ 0
    """

    lowest: float | None = eqx.field(static=True, default=0.0)
    highest: float | None = eqx.field(static=True, default=None)

    def __check_init__(self):
        if (self.lowest is None) == (self.highest is None):
            raise ValueError(f"Root needs one bound, got {self.lowest} and {self.highest}; Arcsine takes two.")

    def forward(self, x: Float[Array, "*space"]) -> Float[Array, "*space"]:
        if self.lowest is not None:
            return _root(x - self.lowest)
        return -_root((self.highest or 0.0) - x)

    def inverse(self, z: Float[Array, "*space"]) -> Float[Array, "*space"]:
        if self.lowest is not None:
            return self.lowest + jnp.maximum(z, 0.0) ** 2
        return (self.highest or 0.0) - jnp.maximum(-z, 0.0) ** 2


class Arcsine(eqx.Module):
    """g(x) = arcsin √((x − a)/(b − a)) in [0, π/2] of a variable between a and b; the inverse is within the bounds.

    The variance of a proportion is made even by it, and it is finite at both bounds, where humidity and cloud cover
    have atoms: a logit is not. Values beyond a bound count as the bound.

    Args:
        lowest: a.
        highest: b > a.

    Raises:
        ValueError: for bounds that do not ascend.

    Examples:
        >>> angle = Arcsine(0.0, 100.0)
        >>> angle.inverse(angle.forward(humidity) + 0.3)  # never above 100 %
    """

    lowest: float = eqx.field(static=True)
    highest: float = eqx.field(static=True)

    def __check_init__(self):
        if not self.lowest < self.highest:
            raise ValueError(f"bounds must ascend, got {self.lowest} and {self.highest}.")

    def forward(self, x: Float[Array, "*space"]) -> Float[Array, "*space"]:
        part = jnp.clip((x - self.lowest) / (self.highest - self.lowest), 0.0, 1.0)
        return jnp.arctan2(_root(part), _root(1.0 - part))  # arcsin √u, exact near 1 too

    def inverse(self, z: Float[Array, "*space"]) -> Float[Array, "*space"]:
        part = jnp.sin(jnp.clip(z, 0.0, jnp.pi / 2)) ** 2
        return jnp.clip(self.lowest + (self.highest - self.lowest) * part, self.lowest, self.highest)


def _root(x: Float[Array, "*space"]) -> Float[Array, "*space"]:
    """√max(x, 0), NaN where x is."""
    return jnp.where(jnp.isnan(x), jnp.nan, jnp.sqrt(jnp.maximum(x, 0.0)))


Transform: TypeAlias = Unchanged | CensoredRoot | Root | Arcsine | NormalScore


class ChannelTransforms(eqx.Module):
    """One transform a channel of fields (channel, *space).

    Args:
        parts: the transforms, in the order of the channels.

    Examples:
        >>> transforms = ChannelTransforms((Unchanged(), CensoredRoot()))  # tas, pr
        >>> z = transforms.forward(field)
    """

    parts: tuple[Transform, ...]

    def forward(self, x: Float[Array, "channel *space"]) -> Float[Array, "channel *space"]:
        """g of every channel."""
        self._check(len(x))
        return jnp.stack([part.forward(channel) for part, channel in zip(self.parts, x, strict=True)])

    def inverse(self, z: Float[Array, "channel *space"]) -> Float[Array, "channel *space"]:
        """g⁻¹ of every channel, defined for any real numbers."""
        self._check(len(z))
        return jnp.stack([part.inverse(channel) for part, channel in zip(self.parts, z, strict=True)])

    def forward_series(self, x) -> Float[Array, "time channel *space"]:
        """g of every field of a series (time, channel, *space)."""
        return _forward_series(self, jnp.asarray(x, jnp.float32))

    def inverse_series(self, z) -> Float[Array, "time channel *space"]:
        """g⁻¹ of every field of a series (time, channel, *space)."""
        return _inverse_series(self, jnp.asarray(z, jnp.float32))

    def _check(self, n_channels: int) -> None:
        if n_channels != len(self.parts):
            raise ValueError(f"fields have {n_channels} channels, but there are {len(self.parts)} transforms.")


# One program a shape: operation by operation, there would be a dozen of them.
@eqx.filter_jit
def _forward_series(transforms: ChannelTransforms, x: Array) -> Array:
    return jax.vmap(transforms.forward)(x)


@eqx.filter_jit
def _inverse_series(transforms: ChannelTransforms, z: Array) -> Array:
    return jax.vmap(transforms.inverse)(z)


def transforms_of(descriptions: Sequence[Described]) -> ChannelTransforms:
    """The transforms of variables, by what they are: `CensoredRoot` for precipitation, `Root` and `Arcsine` for others
    with bounds, none for all else.

    Args:
        descriptions: of the channels, in their order.

    Returns:
        One transform a channel.

    Examples:
        >>> transforms_of([describe_name("tas"), describe_name("pr")])  # (Unchanged(), CensoredRoot())
    """
    return ChannelTransforms(tuple(_transform_of(each) for each in descriptions))


def _transform_of(described: Described) -> Transform:
    low, high = described.bounds
    match described.transform:
        case "none":
            return Unchanged()
        case "censored root":
            return CensoredRoot()
        case "root":
            return Root(low, None if low is not None else high)
        case "arcsine":
            return Arcsine(0.0 if low is None else low, 1.0 if high is None else high)


def is_bounded(transforms: ChannelTransforms) -> tuple[bool, ...]:
    """Which channels have a transform that keeps them within bounds.

    Args:
        transforms: of the channels.

    Returns:
        True for each channel that is not left as it is.
    """
    return tuple(not isinstance(part, Unchanged) for part in transforms.parts)


def is_censored(transforms: ChannelTransforms) -> tuple[bool, ...]:
    """Which channels have an atom that no transform takes away: precipitation, whose dry days are half of all.

    Args:
        transforms: of the channels.

    Returns:
        True for each channel that `CensoredRoot` transforms.
    """
    return tuple(isinstance(part, CensoredRoot) for part in transforms.parts)
