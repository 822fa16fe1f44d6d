"""Does a network earn its cost? Its draws against the Gaussian's, by their CRPS on fields that neither has seen.

A denoising error that is smaller by a per cent says nothing of draws: both ensembles are scored as forecasts, each with
the spread that suits it best, so that a difference is one of shape. The network is used where its gain is beyond its
uncertainty.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from subgrid.downscaling.spread.dispersion import fit_dispersion
from subgrid.verification.effective import effective_sample_size
from subgrid.verification.ensembles import fair_crps

MEMBERS = 8
"""Draws for every left-out field: the CRPS of a day is an average over hundreds of cells already."""
BEYOND = 2.0
"""Standard errors that the gain must be: one of forty networks that bring nothing is used."""


@dataclass(frozen=True)
class NetworkGain:
    """CRPS of left-out fields, in units of the channels' standard deviations."""

    gaussian: float
    network: float
    uncertainty: float
    """Standard error of the difference, on the effective number of days."""
    n_fields: int
    n_effective: float

    @property
    def gain(self) -> float:
        """By how much the network's CRPS is smaller."""
        return self.gaussian - self.network

    @property
    def accepted(self) -> bool:
        """Whether the gain is beyond its uncertainty."""
        return self.gain > BEYOND * self.uncertainty

    def sentence(self) -> str:
        """Whether the network is used and what it gained, for the terminal and the page."""
        verdict = "used" if self.accepted else "not used"
        share = 100 * self.gain / self.gaussian
        return (
            f"network {verdict}: CRPS of left-out fields {self.gaussian:.4f} without and {self.network:.4f} with it, a "
            f"gain of {share:.2f} ± {100 * self.uncertainty / self.gaussian:.2f} % (standard error; "
            f"{self.n_effective:.0f} independent of {self.n_fields} fields)"
        )


def compare_draws(
    truth: Float[np.ndarray, "n channel cell"],
    gaussian: Float[np.ndarray, "n member channel cell"],
    network: Float[np.ndarray, "n member channel cell"],
    expected: Float[np.ndarray, "n channel cell"],
    groups: Int[np.ndarray, " n"],
    *,
    active: tuple[bool, ...],
) -> NetworkGain:
    """The gain of one ensemble over the other.

    Args:
        truth: left-out fields, normalised.
        gaussian: draws for them of the Gaussian.
        network: draws of the network.
        expected: climatology and conditional mean, by which the spread of active channels is fitted.
        groups: of each field, its season year or stretch of the archive, within which they follow each other.
        active: channels whose spread has a table by what is expected; the others have one scale.
    """
    scores = [_daily_crps(truth, draws, expected, active) for draws in (gaussian, network)]
    difference = scores[0] - scores[1]
    n = effective_sample_size(difference[:, None], groups)
    return NetworkGain(
        gaussian=float(scores[0].mean()),
        network=float(scores[1].mean()),
        uncertainty=float(difference.std(ddof=1) / np.sqrt(n)),
        n_fields=len(truth),
        n_effective=n,
    )


def _daily_crps(
    truth: np.ndarray, draws: np.ndarray, expected: np.ndarray, active: tuple[bool, ...]
) -> Float[np.ndarray, " n"]:
    mean, m = draws.mean(1), draws.shape[1]
    variance = draws.var(1, ddof=1)
    error = (truth - mean) ** 2 * m / (m + 1)  # of a mean of m draws
    table = fit_dispersion(expected, error, variance, active=active)
    scale = np.array(jax.vmap(table)(jnp.asarray(expected)))
    for c in np.flatnonzero(~np.asarray(active)):
        drawn = variance[:, c].mean()
        scale[:, c] = np.sqrt(error[:, c].mean() / drawn) if drawn > 0 else 1.0
    scaled = mean[:, None] + scale[:, None] * (draws - mean[:, None])
    return np.asarray(_mean_crps(jnp.asarray(scaled, jnp.float32), jnp.asarray(truth)), np.float64)


@jax.jit
def _mean_crps(
    ensembles: Float[Array, "n member channel cell"], truth: Float[Array, "n channel cell"]
) -> Float[Array, " n"]:
    return jax.lax.map(lambda pair: jnp.mean(fair_crps(*pair)), (ensembles, truth))
