"""The normal-score transform: the monotone map that takes the histogram of a variable to a standard normal one.

    g = Φ⁻¹ ∘ F,     F the distribution function of the variable

Known as Gaussian anamorphosis in geostatistics and data assimilation (Bertino et al. 2003,
doi:10.1111/j.1751-5823.2003.tb00194.x). A law with a spike, as that of supersaturation in saturated air, is
out of reach for what is Gaussian and a hard task for a network of few channels; its normal scores are neither. What is
left is how points depend on each other.
"""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.stats import norm

SPACING, REACH = 0.125, 4.0
"""Knots every eighth of a standard deviation up to four, where one value in 30,000 lies beyond."""


class NormalScore(eqx.Module):
    """g between `quantiles` and `scores`, both rising: linear between the knots, beyond them as in the last interval.

    score = fit_normal_score(fine[:, 1])
    z = score.forward(c)
    """

    quantiles: Float[Array, " knot"]
    scores: Float[Array, " knot"]

    def forward(self, x: Float[Array, "*space"]) -> Float[Array, "*space"]:
        return _piecewise_linear(x, self.quantiles, self.scores)

    def inverse(self, z: Float[Array, "*space"]) -> Float[Array, "*space"]:
        return _piecewise_linear(z, self.scores, self.quantiles)


def fit_normal_score(values: Float[np.ndarray, "*shape"]) -> NormalScore:
    """From all values together, whatever their axes mean.

    **Raises:** `ValueError` if two knots fall on one value: a variable with an atom has no such map.

        score = fit_normal_score(fine[:, 1])
    """
    scores = np.arange(-REACH, REACH + SPACING / 2, SPACING)
    quantiles = np.quantile(values, norm.cdf(scores)).astype(np.float32)
    flat = np.flatnonzero(np.diff(quantiles) <= 0)
    if len(flat):
        raise ValueError(
            f"many values equal {quantiles[flat[0]]:g}: a variable with an atom has no normal scores; use a transform "
            "that censors, or give more samples."
        )
    return NormalScore(jnp.asarray(quantiles), jnp.asarray(scores, jnp.float32))


def _piecewise_linear(x: Array, knots: Array, values: Array) -> Array:
    place = jnp.clip(jnp.searchsorted(knots, x), 1, len(knots) - 1)
    slope = (values[place] - values[place - 1]) / (knots[place] - knots[place - 1])
    return values[place - 1] + slope * (x - knots[place - 1])
