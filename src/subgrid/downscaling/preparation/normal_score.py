"""The normal-score transform: the monotone map that takes the histogram of a variable to a standard normal one.

    g = Φ⁻¹ ∘ F,     F the distribution function of the variable

Known as Gaussian anamorphosis in geostatistics and data assimilation (Bertino et al. 2003,
doi:10.1111/j.1751-5823.2003.tb00194.x). A distribution with a spike, as that of supersaturation in saturated air,
is out of reach for what is Gaussian and a hard task for a network of few channels; its normal scores are neither. What
is left is how points depend on each other.
"""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.special import ndtr, ndtri

from subgrid.numerics.from_numpy import from_numpy

SPACING, REACH = 0.125, 4.0
"""Knots every eighth of a standard deviation up to four, where one value in 30,000 lies beyond on either side."""
BEYOND, FEWEST = 10, 100
"""Values that must lie beyond the last knot on either side, and values in all, below which there is no histogram."""


class NormalScore(eqx.Module):
    """The map g between `quantiles` and `scores`: linear between the knots, beyond them as in the last interval.

    Args:
        quantiles: (knot,), rising values of the variable.
        scores: (knot,), rising standard normal quantiles.

    Examples:
        >>> score = fit_normal_score(fine[:, 1])
        >>> z = score.forward(c)
    """

    quantiles: Float[Array, " knot"]
    scores: Float[Array, " knot"]

    def forward(self, x: Float[Array, "*space"]) -> Float[Array, "*space"]:
        return _piecewise_linear(x, self.quantiles, self.scores)

    def inverse(self, z: Float[Array, "*space"]) -> Float[Array, "*space"]:
        return _piecewise_linear(z, self.scores, self.quantiles)


def fit_normal_score(values: Float[np.ndarray, "*shape"]) -> NormalScore:
    """The normal-score transform of a variable, g = Φ⁻¹ ∘ F, with F the empirical distribution function.

    Knots lie every eighth of a standard deviation up to four. Fewer than 320,000 values have knots that reach less far.

    Args:
        values: (*shape), all values of the variable together, whatever their axes mean; finite, at least 100.

    Returns:
        A `NormalScore`: `forward` is g, `inverse` is g⁻¹.

    Raises:
        ValueError: for fewer than 100 values, for values that are not finite, and if two knots fall on one value: a
            variable with an atom has no such map.

    References:
        Bertino et al. (2003), doi:10.1111/j.1751-5823.2003.tb00194.x.

    Examples:
        >>> score = fit_normal_score(fine[:, 1])
        >>> z = score.forward(c)
    """
    if values.size < FEWEST:
        raise ValueError(f"normal scores need at least {FEWEST} values, got {values.size}.")
    if not np.isfinite(values).all():
        raise ValueError("normal scores need finite values; leave out, or fill, what is missing.")
    last = min(REACH, SPACING * np.floor(-ndtri(BEYOND / values.size) / SPACING))
    scores = np.linspace(-last, last, round(2 * last / SPACING) + 1)
    quantiles = np.quantile(values, ndtr(scores)).astype(np.float32)
    flat = np.flatnonzero(np.diff(quantiles) <= 0)
    if len(flat):
        raise ValueError(
            f"many values equal {quantiles[flat[0]]:g}: a variable with an atom has no normal scores; use a transform "
            "that censors, as `CensoredRoot` does."
        )
    return NormalScore(from_numpy(quantiles), from_numpy(scores))


def _piecewise_linear(x: Array, knots: Array, values: Array) -> Array:
    place = jnp.clip(jnp.searchsorted(knots, x), 1, len(knots) - 1)
    slope = (values[place] - values[place - 1]) / (knots[place] - knots[place - 1])
    return values[place - 1] + slope * (x - knots[place - 1])
