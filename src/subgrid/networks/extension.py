"""Domains that are not periodic, continued by a fraction of their length until they are."""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from subgrid.types import Spatial


@dataclass(frozen=True)
class Extension:
    """A field continued past its last point, along each axis, so that it wraps around without a jump.

    The continuation goes over smoothly from the mirror image at the end to the mirror image before the beginning. With
    a fraction of 1 both are the same and the whole is even, as cosine modes are.

    Args:
        fraction: of each side, from 0 (the field is periodic) to 1.

    Examples:
        >>> Extension(0.25).extend(x).shape  # (channel, 80) for 64 points
    """

    fraction: float

    def n_points(self, n: int) -> int:
        """How many points an axis of n points is continued by.

        Args:
            n: points of the axis.

        Returns:
            fraction·n.

        Raises:
            ValueError: if that is no whole number: another grid would then have another domain.
        """
        exact = self.fraction * n
        if abs(exact - round(exact)) > 1e-6 * n:
            raise ValueError(
                f"{n} points cannot be extended by {self.fraction} of the domain, which is {exact:g} points; "
                "choose a grid or an extension for which it is a whole number."
            )
        return round(exact)

    def extend(self, x: Float[Array, "channel *space"]) -> Float[Array, "channel *wide"]:
        """The field with its continuation.

        Args:
            x: a field, its points at the middles of cells.

        Returns:
            The field, fraction·n points longer along each axis.
        """
        if self.fraction == 0:
            return x
        for axis, n in enumerate(x.shape[1:], start=1):
            m = self.n_points(n)
            place = (np.arange(m) + 0.5) / m
            to_end = jnp.asarray(np.cos(np.pi * place / 2) ** 2, x.dtype)
            to_end = jnp.expand_dims(to_end, [i for i in range(x.ndim) if i != axis])
            mirrored = jnp.flip(x, axis)
            past_end, before_start = (
                jnp.take(mirrored, np.arange(m), axis),
                jnp.take(mirrored, np.arange(n - m, n), axis),
            )
            x = jnp.concatenate([x, to_end * past_end + (1 - to_end) * before_start], axis)
        return x

    def restrict(self, x: Float[Array, "channel *wide"], shape: Spatial) -> Float[Array, "channel *space"]:
        """A field without its continuation.

        Args:
            x: on the extended domain.
            shape: of the domain.

        Returns:
            The first points along each axis.
        """
        return x[(slice(None), *(slice(n) for n in shape))]

    def n_coordinates(self, n_space: int) -> int:
        """How many channels `coordinates` has.

        Args:
            n_space: number of space axes.

        Returns:
            Two an axis of a periodic domain, else one.
        """
        return n_space * (2 if self.fraction == 0 else 1)

    def coordinates(self, shape: Spatial, dtype: DTypeLike) -> Float[Array, "coordinate *wide"]:
        """Where each point lies, as functions that mean the same on every grid.

        Args:
            shape: of the domain.
            dtype: of the result.

        Returns:
            Cosine and sine of 2πi/N along each axis of a periodic domain; else (i + ½)/N, continued as fields are.
        """
        found = []
        for axis, n in enumerate(shape):
            if self.fraction == 0:
                angle = 2 * np.pi * np.arange(n) / n
                each = [np.cos(angle), np.sin(angle)]
            else:
                each = [(np.arange(n) + 0.5) / n]
            others = [i for i in range(len(shape)) if i != axis]
            found += [np.broadcast_to(np.expand_dims(values, others), shape) for values in each]
        return self.extend(jnp.asarray(np.stack(found), dtype))
