"""Whether coarse fields come from outside what a model was trained on: their distance in the distribution of C′x."""

import warnings
from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from subgrid.data.normalise import Standardiser
from subgrid.diffusion.gaussian_conditional import ConditionalGaussian
from subgrid.downscaling.upsampling.guided import normalised_target
from subgrid.numerics.evenly import evenly_spaced

BEYOND = 0.99
"""The quantile of training distances beyond which one field in a hundred should lie."""
MOST = 4096
"""Training fields, evenly over the archive, whose distances are the scale: enough for a quantile of .999."""


class OutsideTraining(UserWarning):
    """Coarse fields lie where the model has seen none."""


@dataclass(frozen=True)
class Outside:
    """Where coarse fields lie among those of the training, by Mahalanobis distance under the Gaussian of C′x.

    Args:
        quantile: (n,), the share of training fields that lie nearer, for each field.
        ratio: (n,), its distance over that of the farthest training field.
        n_training: training fields that are the scale, default 4096.
    """

    quantile: Float[np.ndarray, " n"]
    ratio: Float[np.ndarray, " n"]
    n_training: int = MOST

    @property
    def beyond(self) -> float:
        """The share of fields beyond the `BEYOND` quantile; .01 if they come from the same distribution."""
        return float(np.mean(self.quantile > BEYOND))

    def warn(self) -> None:
        """Warns, once, if more lie beyond than chance explains, or one is twice as far as any in training."""
        n, m = len(self.quantile), self.n_training
        # The share beyond all but k of m fields is Beta(k, m + 1 − k), and their number among n is binomial given it.
        chance = (m - np.floor(BEYOND * m)) / (m + 1)
        allowed = chance + 4 * np.sqrt(chance * (1 - chance) * (1 / n + 1 / (m + 2)))
        if self.beyond <= allowed and self.ratio.max() < 2:
            return
        farthest = int(np.argmax(self.ratio))
        warnings.warn(
            f"{self.beyond:.1%} of {n} coarse fields lie beyond the {BEYOND:.0%} quantile of the coarsened fine fields "
            f"that the model was trained on ({chance:.1%} would by chance); the farthest, field {farthest}, at "
            f"quantile {self.quantile[farthest]:.4f} and {self.ratio[farthest]:.2g} times the largest distance in "
            "training. Look at the debiasing first; where inputs are truly new, no model trained here can be trusted.",
            OutsideTraining,
            stacklevel=2,
        )


def outside(
    conditional: ConditionalGaussian,
    standardiser: Standardiser,
    coarse: Float[np.ndarray, "n channel *coarse"],
    training: Float[np.ndarray, "m channel *fine"],
) -> Outside:
    """Where `coarse` fields lie in the distribution of C′x.

    The distance of y is √((y − C′m)ᵀ S⁻¹ (y − C′m)), S the Gaussian's covariance of C′x; training fields are its
    scale.

    Args:
        conditional: of normalised fields.
        standardiser: physical ↔ normalised.
        coarse: (n, channel, *coarse), debiased, physical units.
        training: (m, channel, *fine), fine fields of the training, physical units; at most 4096 of them are used.

    Returns:
        Quantile and ratio of every field; `warn` says if too many lie outside.

    Examples:
        >>> outside(model.conditional, model.standardiser, debiased, fine).warn()
    """
    kept = training[evenly_spaced(len(training), MOST)]
    coarsened = np.asarray(conditional.operator(jnp.asarray(kept)))
    scale = np.sort(np.asarray(_distances(conditional, standardiser, jnp.asarray(coarsened))))
    found = np.asarray(_distances(conditional, standardiser, jnp.asarray(coarse)))
    return Outside(np.searchsorted(scale, found) / len(scale), np.sqrt(found / scale[-1]), len(scale))


@eqx.filter_jit
def _distances(conditional: ConditionalGaussian, standardiser: Standardiser, fields: Array) -> Float[Array, " n"]:
    normalised = lambda y: normalised_target(standardiser, conditional.operator, y)  # noqa: E731
    return jax.lax.map(lambda y: conditional.distance(normalised(y)), fields, batch_size=64)
