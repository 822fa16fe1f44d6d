"""Spread that grows with the field: by how much values stray from their mean, as a function of what is expected.

A Gaussian errs by as much on dry as on wet days; rain does not, even after a root: over Iberia the error of the
conditional mean is a twentieth of its average where no rain is expected and twice it where much is. s² is the mean
squared error of left-out fields over the variance that was predicted for them, as a function of what is expected: 1
everywhere for a prediction that is right. Fields are anomalies; what is expected is their mean on the climatology of
the day and place, as a wet anomaly of a dry corner is little rain. Sharpening and widening forecasts by their errors is
called dressing (Roulston & Smith 2003, doi:10.1034/j.1600-0870.2003.201378.x).
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

N_LEVELS = 12
"""Of the mean at which s is found: some thousand values each for a season of a small region; 8 and 20 score alike."""


class Dispersion(eqx.Module):
    """s, a table a channel, linear between its levels and constant beyond."""

    levels: Float[Array, "channel level"]
    scales: Float[Array, "channel level"]

    def __call__(self, expected: Float[Array, "channel *space"]) -> Float[Array, "channel *space"]:
        """s of what is expected."""
        return jax.vmap(jnp.interp)(expected, self.levels, self.scales)


def no_dispersion(n_channels: int, n_levels: int = N_LEVELS) -> Dispersion:
    """s = 1 everywhere."""
    levels = jnp.broadcast_to(jnp.linspace(0.0, 1.0, n_levels), (n_channels, n_levels))
    return Dispersion(levels, jnp.ones_like(levels))


def fit_dispersion(
    expected: Float[np.ndarray, "n channel cell"],
    squared_error: Float[np.ndarray, "n channel cell"],
    variance: Float[np.ndarray, "n channel cell"],
    *,
    active: tuple[bool, ...],
    n_levels: int = N_LEVELS,
) -> Dispersion:
    """The table of s: √(E error² / E variance) in bins of as many values each.

    Args:
        expected: (n, channel, cell), climatology and conditional mean of left-out fields.
        squared_error: (n, channel, cell), of those means.
        variance: (n, channel, cell), that was predicted for them.
        active: the channels that have a table; s = 1 in the others.
        n_levels: bins a channel, default 12.

    Returns:
        s, linear between the means of the bins and constant beyond.

    References:
        Roulston & Smith (2003), doi:10.1034/j.1600-0870.2003.201378.x.

    Examples:
        >>> table = fit_dispersion(expected, error**2, variance, active=(True,))
        >>> scale = table(expected_today)  # (channel, *space)
    """
    none = no_dispersion(len(active), n_levels)
    levels, scales = np.array(none.levels), np.array(none.scales)
    for c in np.flatnonzero(active):
        order = np.argsort(expected[:, c], axis=None, kind="stable")
        bins = np.array_split(order, n_levels)
        mean = lambda of: np.array([of[:, c].ravel()[b].mean(dtype=np.float64) for b in bins])  # noqa: E731, B023
        levels[c] = mean(expected)
        scales[c] = np.sqrt(mean(squared_error) / np.maximum(mean(variance), np.finfo(np.float32).tiny))
    return Dispersion(jnp.asarray(levels), jnp.asarray(scales))
