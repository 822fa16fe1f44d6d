"""Spread that grows with the field: how far fine values stray from their conditional mean, told from left-out days.

    x′ = m + s(c + m) ∘ (x − m),    x″ = x′ + G(y − C′x′),    m = μ + G(y − C′μ),    G = ΣC′ᵀ(C′ΣC′ᵀ)⁻¹

A Gaussian law errs by as much on dry as on wet days; rain does not, even after a root: over Iberia the error of the
conditional mean is a twentieth of its average where no rain is expected and twice it where much is. s² is E[(x − m)²]
of left-out fields over that of draws, as a function of what is expected: 1 everywhere for a sampler that is right.
Fields are anomalies; what is expected is their mean m on the climatology c of the day and place, as a wet anomaly of
a dry corner is little rain. The second step puts the constraint back. Sharpening and widening forecasts by their errors
is called dressing (Roulston & Smith 2003, doi:10.1034/j.1600-0870.2003.201378.x).
"""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from subgrid.diffusion.gaussian_prior import GaussianPrior, fit_gaussian_prior, left_out_folds
from subgrid.diffusion.guidance.gaussian import gaussian_gain
from subgrid.types import Coarsening

N_LEVELS = 12
"""Of the mean at which s is told: some thousand values each for a winter of a small region; 8 and 20 score alike."""
WIDE = 1e4
"""A noise level beside which every variance of normalised fields is nothing: the gain there is that of no noise."""


class Dispersion(eqx.Module):
    """s(c + m), a table a channel, linear between its levels and constant beyond."""

    levels: Float[Array, "channel level"]
    scales: Float[Array, "channel level"]

    def __call__(
        self,
        mean: Float[Array, "channel *space"],
        draw: Float[Array, "channel *space"],
        climatology: Float[Array, "channel *space"],
    ) -> Float[Array, "channel *space"]:
        """x′ for one draw."""
        return mean + jax.vmap(jnp.interp)(climatology + mean, self.levels, self.scales) * (draw - mean)


def pull(
    law: GaussianPrior, operator: Coarsening, y: Float[Array, "*coarse"]
) -> Callable[[Float[Array, "*shape"]], Float[Array, "*shape"]]:
    """x ↦ x + G(y − C′x): the nearest field, in the law's own metric, that keeps the constraint."""
    guided = gaussian_gain(lambda x, _: x, operator, y, prior=law)
    return lambda x: guided(x, jnp.asarray(WIDE))


def disperse(
    dispersion: Dispersion,
    law: GaussianPrior,
    operator: Coarsening,
    y: Float[Array, "channel *coarse"],
    draw: Float[Array, "channel *space"],
    climatology: Float[Array, "channel *space"],
) -> Float[Array, "channel *space"]:
    """x″ for one draw of p(x | C′x = y)."""
    onto = pull(law, operator, y)
    return onto(dispersion(onto(law.mean), draw, climatology))


def fit_dispersion(
    law: GaussianPrior,
    operator: Coarsening,
    fields: Float[np.ndarray, "n channel *space"],
    climatology: Float[np.ndarray, "n channel *space"],
    groups: np.ndarray,
    draws: Float[np.ndarray, "n m channel *space"],
    *,
    active: tuple[bool, ...],
    n_levels: int = N_LEVELS,
) -> Dispersion:
    """The table s, from the errors of left-out groups and from draws for the same fields.

    **Arguments:** `law`, fitted on `fields`, normalised anomalies of `climatology`; `groups`, a label a field: whole
    groups are left out of a law with as many directions; `draws`, m for every field from its coarsened values;
    `active`, the channels that have a table: s = 1 in the others.

    **Raises:** `ValueError` with fewer than two groups.
    """
    support = np.asarray(law.support)
    coarse, apart = _coarsened(operator, jnp.asarray(fields)), np.empty_like(fields)
    for left_out in left_out_folds(groups):
        other = fit_gaussian_prior(fields[~left_out], len(law.variances), support=support)
        apart[left_out] = _means(other, operator, coarse[left_out])
    spread = ((draws - np.asarray(_means(law, operator, coarse))[:, None]) ** 2).mean(1)
    expected, error = climatology + apart, (fields - apart) ** 2
    tables = [
        _table(expected[:, c][:, inside], error[:, c][:, inside], spread[:, c][:, inside], n_levels)
        if active[c]
        else (np.linspace(0, 1, n_levels), np.ones(n_levels))
        for c, inside in enumerate(support > 0)
    ]
    levels, scales = (jnp.asarray(np.stack(part), jnp.float32) for part in zip(*tables, strict=True))
    return Dispersion(levels, scales)


def _table(
    expected: Float[np.ndarray, "n cell"],
    error: Float[np.ndarray, "n cell"],
    spread: Float[np.ndarray, "n cell"],
    n_levels: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Expected values of bins with as many values each, and √(E error² / E spread²) there."""
    order = np.argsort(expected, axis=None)
    bins = np.array_split(order, n_levels)
    average = lambda values: np.array([values.ravel()[b].mean(dtype=np.float64) for b in bins])  # noqa: E731
    return average(expected), np.sqrt(average(error) / average(spread))


@eqx.filter_jit
def _coarsened(operator: Coarsening, fields: Float[Array, "n channel *space"]) -> Float[Array, "n channel *coarse"]:
    return jax.lax.map(operator, fields, batch_size=min(64, len(fields)))


@eqx.filter_jit
def _means(
    law: GaussianPrior, operator: Coarsening, coarse: Float[Array, "n channel *coarse"]
) -> Float[Array, "n channel *space"]:
    """m for every y."""
    return jax.lax.map(lambda y: pull(law, operator, y)(law.mean), coarse, batch_size=min(64, len(coarse)))
