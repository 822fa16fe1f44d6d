"""Affine normalisation, one mean and one standard deviation a channel."""

import equinox as eqx
import numpy as np
from jaxtyping import Array, Float

from subgrid.numerics.from_numpy import from_numpy


class Standardiser(eqx.Module):
    """x ↦ (x − m)/s and back, for arrays of shape (…, channel, *space), with m and s constant in space.

    Constants in space keep translation invariance and commute with every coarsening whose rows sum to one.
    """

    mean: Float[Array, " channel"]
    """m of each channel."""
    std: Float[Array, " channel"]
    """s of each channel, positive."""

    def normalise(self, x: Float[Array, "*shape"], n_space: int) -> Float[Array, "*shape"]:
        """Normalised values, (x − m)/s.

        Args:
            x: with the channel before the space axes.
            n_space: number of space axes.

        Returns:
            An array of the same shape.
        """
        return (x - self._expand(self.mean, n_space)) / self._expand(self.std, n_space)

    def restore(self, x: Float[Array, "*shape"], n_space: int) -> Float[Array, "*shape"]:
        """Values from normalised ones, s·x + m.

        Args:
            x: with the channel before the space axes.
            n_space: number of space axes.

        Returns:
            An array of the same shape.
        """
        return x * self._expand(self.std, n_space) + self._expand(self.mean, n_space)

    @staticmethod
    def _expand(values: Float[Array, " channel"], n_space: int) -> Array:
        return values.reshape(-1, *(1,) * n_space)


def fit_standardiser(samples: Float[np.ndarray, "n channel *space"]) -> Standardiser:
    """Mean and standard deviation of each channel over samples and space.

    Args:
        samples: any unit.

    Returns:
        The standardiser, float32.

    Raises:
        ValueError: if a channel is constant.

    Examples:
        >>> standardiser = fit_standardiser(samples.values)
        >>> z = standardiser.normalise(x, n_space=2)
    """
    axes = (0, *range(2, samples.ndim))
    mean, std = samples.mean(axes, dtype=np.float64), samples.std(axes, dtype=np.float64)
    if not (std > 0).all():
        raise ValueError(
            f"channel {int(np.argmin(std))} is constant ({mean[np.argmin(std)]:.4g}); it cannot be normalised."
        )
    return Standardiser(from_numpy(mean), from_numpy(std))
