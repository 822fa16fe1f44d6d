"""Spread calibration: how far draws stray from the conditional mean, found from years that were left out.

    x′ = m + w ∘ h(A(x − m)/√v, c + m),    w = √v ∘ t ∘ δ(q) ∘ s(c + m),    x″ = x′ + G(y − C′x′),    m = μ + G(y − C′μ)

The conditional mean m is fitted on its training years and errs by more on others than the conditional variance says;
and by more on some days than on others. From the errors of left-out years come, in this order,

- A, a scale for every group of principal components of the conditional covariance, and so the variances v of cells;
- δ, a scale for the day, by how far its coarse values lie from the usual, q = (y − C′μ)ᵀS⁻¹(y − C′μ)/n: of a Gaussian
  the conditional variance does not depend on y, of every other elliptical distribution it grows with q (Cambanis, Huang
  & Simons 1981, doi:10.1016/0047-259X(81)90082-8), and of weather it does;
- s, for censored variables, a scale by what is expected (`dispersion.py`);
- t, a scale for every cell;
- h, the shape: quantiles of standardised draws onto those of standardised errors; for censored variables at every
  level of what is expected, since little rain can only be exceeded.

The last step puts the constraint back. A and t are ratios of squared errors to predicted variances, drawn towards what
is usual (1 for components, the mean of their kind for cells) by as much as they differ between years.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from subgrid.diffusion.gaussian_conditional import ConditionalGaussian, condition
from subgrid.diffusion.gaussian_prior import FULL, GaussianPrior, fit_gaussian_prior, left_out_folds
from subgrid.downscaling.spread.dispersion import Dispersion, fit_dispersion
from subgrid.downscaling.spread.shape import CONSTANT, Shape, no_shape
from subgrid.types import Coarsening

EDGES = (0, 4, 8, 16, 32, 64, 128, 256, 512)
"""First component of each group: components of one octave have like variances, and four have as many errors as some
hundred independent days times four, which determines a ratio to 7 %."""
DAYS = 6
"""Levels of q at which δ is found: with some hundred independent days, twenty for each."""
FOLDS = 10
"""At most: each leaves out a tenth of the years, so that what is left is nearly what the prior is fitted on."""
TINY = 1e-12


class SpreadCalibration(eqx.Module):
    """The scales of spread, A, v, t, δ and s, and its shape h: of draws that stray as far as left-out fields do.

    x′ = m + w ∘ h(A(x − m)/√v, c + m), w = √v ∘ t ∘ δ(q) ∘ s(c + m); then the constraint is put back (see the module).

    Args:
        component_scales: A, (group,), of the groups of components that begin at `EDGES`, largest variance first; the
            last is also the remainder's.
        cell_std: √v, (channel, *space), of the conditional Gaussian with scaled components.
        cell_scales: t, (channel, *space).
        by_day: δ, by ln q.
        by_expected: s, by c + m.
        shape: h.
    """

    component_scales: Float[Array, " group"]
    cell_std: Float[Array, "channel *space"]
    cell_scales: Float[Array, "channel *space"]
    by_day: Dispersion
    by_expected: Dispersion
    shape: Shape

    def __call__(
        self,
        conditional: ConditionalGaussian,
        y: Float[Array, "channel *coarse"],
        draw: Float[Array, "channel *space"],
        climatology: Float[Array, "channel *space"],
    ) -> Float[Array, "channel *space"]:
        """x″ for one draw of p(x | C′x = y), of whatever sampler."""
        mean = conditional.mean(y)
        departure = scale_components(conditional.spread, self.component_scales, draw - mean)
        standard = departure / jnp.maximum(self.cell_std, TINY)
        width = self.width(mean, conditional.distance(y), climatology)
        x = mean + width * self.shape(standard, climatology + mean)
        innovation = (y - conditional.operator(x)).reshape(-1)
        return x + jnp.tensordot(innovation, conditional.gain, 1, precision=FULL)

    def width(
        self, mean: Float[Array, "channel *space"], distance: Float[Array, ""], climatology: Float[Array, "..."]
    ) -> Float[Array, "channel *space"]:
        """w, by which a standardised departure is multiplied: the standard deviation of the errors."""
        day = self.by_day(jnp.full(mean.shape, jnp.log(jnp.maximum(distance, TINY))))
        return self.cell_std * self.cell_scales * day * self.by_expected(climatology + mean)


def scale_components(
    spread: GaussianPrior, scales: Float[Array, " group"], departure: Float[Array, "*shape"]
) -> Float[Array, "*shape"]:
    """A: every principal component of a departure times the scale of its group."""
    axes = tuple(range(departure.ndim))
    coordinates = jnp.tensordot(spread.directions, departure, (tuple(a + 1 for a in axes), axes), precision=FULL)
    of_each, rest = scales[_group_of(len(spread.variances))], scales[-1]
    return rest * departure + jnp.tensordot((of_each - rest) * coordinates, spread.directions, 1, precision=FULL)


def _group_of(n: int) -> np.ndarray:
    """The group of each of n components."""
    return np.searchsorted(EDGES, np.arange(n), side="right") - 1


@dataclass(frozen=True)
class LeftOut:
    """What years say that were left out, one fold after another: all in units of the fields, on their own grid."""

    folds: list[Bool[np.ndarray, " n"]]
    mean: Float[np.ndarray, "n channel *space"]
    """Conditional means, of priors that have not seen the year."""
    error: Float[np.ndarray, "n channel *space"]
    distance: Float[np.ndarray, " n"]
    """q of their coarse values."""
    component_errors: Float[np.ndarray, "fold group"]
    """Sum of squared errors along the components of each group."""
    component_variances: Float[np.ndarray, "fold group"]
    """The same of the variances that the prior gives them."""
    spreads: list[GaussianPrior]
    """Each fold's conditional covariance."""


def leave_out(
    fields: Float[np.ndarray, "n channel *space"],
    groups: np.ndarray,
    operator: Coarsening,
    coarse_shape: tuple[int, ...],
    *,
    n_components: int,
    support: Float[np.ndarray, "channel *space"],
    taper: Float[np.ndarray, "d d"] | None,
    most: int = FOLDS,
) -> LeftOut:
    """Fits a prior of the same kind without some years, and conditions it on the coarse values of those.

    Raises:
        ValueError: with fewer than two groups, or too many components for what is left.
    """
    folds = left_out_folds(groups, most=most)
    mean, error, distance = np.zeros_like(fields), np.zeros_like(fields), np.zeros(len(fields))
    errors, variances = np.zeros((2, len(folds), len(EDGES)))
    spreads = []
    for i, left_out in enumerate(folds):
        rank = min(n_components, int((~left_out).sum()) - 1) if taper is None else n_components
        prior = fit_gaussian_prior(fields[~left_out], rank, support=support, taper=taper)
        conditional = condition(prior, operator, coarse_shape)
        mean[left_out], distance[left_out] = conditional_means(conditional, fields[left_out])
        error[left_out] = (fields[left_out] - mean[left_out]) * support
        errors[i], variances[i] = _by_group(conditional.spread, error[left_out])
        spreads.append(conditional.spread)
    return LeftOut(folds, mean, error, distance, errors, variances, spreads)


@eqx.filter_jit
def _means(
    conditional: ConditionalGaussian, fields: Float[Array, "n channel *space"]
) -> tuple[Float[Array, "n channel *space"], Float[Array, " n"]]:
    def one(x: Array) -> tuple[Array, Array]:
        y = conditional.operator(x)
        return conditional.mean(y), conditional.distance(y)

    return jax.lax.map(one, fields, batch_size=min(64, len(fields)))


def conditional_means(
    conditional: ConditionalGaussian, fields: Float[np.ndarray, "n channel *space"]
) -> tuple[Float[np.ndarray, "n channel *space"], Float[np.ndarray, " n"]]:
    """m of the coarse values of every field, and their distance q from the usual.

    q = (y − C′μ)ᵀS⁻¹(y − C′μ)/n, with y = C′x, μ the prior's mean, S its covariance of y and n the size of y.

    Args:
        conditional: for all targets.
        fields: (n, channel, *space), x, normalised, on the prior's grid.

    Returns:
        m, (n, channel, *space), and q, (n,); q is 1 on average inside the prior's distribution.
    """
    mean, distance = _means(conditional, jnp.asarray(fields))
    return np.asarray(mean), np.asarray(distance)


def _by_group(spread: GaussianPrior, error: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Squared errors and predicted variances, summed over fields and the components of each group.

    The remainder counts in the last group that has components.
    """
    components = np.asarray(spread.directions, np.float64).reshape(len(spread.variances), -1)
    variances = np.asarray(spread.variances, np.float64)
    flat = error.reshape(len(error), -1).astype(np.float64)
    coordinates = flat @ components.T
    group, n = _group_of(len(variances)), len(flat)
    free = variances > TINY * variances.max(initial=0.0)  # components that y determines have no error but rounding
    squares = np.bincount(group, (coordinates**2).sum(0) * free, len(EDGES))
    predicted = np.bincount(group, n * variances * free, len(EDGES))
    rest = float(np.asarray(spread.support).sum()) - len(variances)
    squares[-1] += max((flat**2).sum() - (coordinates**2).sum(), 0.0)
    predicted[-1] += n * rest * float(spread.remainder)
    return squares, predicted


def fit_components(left_out: LeftOut) -> Float[np.ndarray, " group"]:
    """√ of the ratio of errors to variances of every group, in logarithms drawn towards 1 (James & Stein 1961)."""
    errors, variances = left_out.component_errors, left_out.component_variances
    known = variances.sum(0) > 0
    ratio = np.ones(len(EDGES))
    ratio[known] = errors.sum(0)[known] / variances.sum(0)[known]
    logarithm = np.log(np.maximum(ratio, TINY))
    of_folds = np.log(np.maximum(errors, TINY) / np.where(variances > 0, variances, 1.0))
    uncertainty = of_folds.std(0, ddof=1) / np.sqrt(len(errors)) if len(errors) > 1 else np.abs(logarithm)
    shrunk = logarithm * np.maximum(0.0, 1 - uncertainty**2 / np.maximum(logarithm**2, TINY))
    return np.exp(0.5 * np.where(known, shrunk, 0.0))


def fit_cells(
    left_out: LeftOut,
    predicted: Float[np.ndarray, "n channel *space"],
    kinds: Sequence[Bool[np.ndarray, "channel *space"]],
) -> Float[np.ndarray, "channel *space"]:
    """√ of the ratio of errors to predicted variances of every cell; in logarithms drawn towards the mean of its kind.

    Args:
        left_out: errors.
        predicted: variances for the same fields.
        kinds: sets of cells that have much in common: those that a coarse value constrains, and the others.
    """
    by_fold = lambda x: np.stack([x[f].mean(0, dtype=np.float64) for f in left_out.folds])  # noqa: E731
    squares, variances = by_fold(left_out.error**2), by_fold(predicted)
    sizes = np.array([f.sum() for f in left_out.folds], np.float64)
    pooled = lambda x: np.average(x, axis=0, weights=sizes)  # noqa: E731
    logarithm = np.log(np.maximum(pooled(squares), TINY) / np.maximum(pooled(variances), TINY))
    of_folds = np.log(np.maximum(squares, TINY) / np.maximum(variances, TINY))
    n = len(sizes)
    uncertainty = of_folds.var(0, ddof=1) / n if n > 1 else np.full(logarithm.shape, np.inf)
    result = np.zeros_like(logarithm)
    error = pooled(squares)
    varies = error > CONSTANT * error.max(initial=0.0)  # a cell that never varies has no error, and no say
    for kind in (kind & varies for kind in kinds):
        if not kind.any():
            continue
        centre = logarithm[kind].mean()
        signal = max(logarithm[kind].var() - uncertainty[kind].mean(), 0.0)
        weight = signal / (signal + uncertainty[kind]) if signal > 0 else 0.0
        result[kind] = centre + weight * (logarithm[kind] - centre)
    return np.exp(0.5 * result)


def fit_spread_calibration(
    left_out: LeftOut,
    spread: GaussianPrior,
    climatology: Float[np.ndarray, "n channel *space"],
    *,
    constrained: Bool[np.ndarray, "*space"],
    active: tuple[bool, ...],
) -> SpreadCalibration:
    """A, δ, s and t from the errors of left-out years; h is left as it is.

    Args:
        left_out: from `leave_out`.
        spread: the conditional covariance of the prior of all years.
        climatology: of the same fields, same units.
        constrained: cells that a coarse value constrains.
        active: channels whose spread has a table by what is expected.
    """
    support = np.asarray(spread.support)
    inside, square = support > 0, left_out.error**2
    components = fit_components(left_out)
    predicted = np.zeros_like(left_out.error)
    for fold, each in zip(left_out.folds, left_out.spreads, strict=True):
        predicted[fold] = cell_variances(each, components)
    cells = inside.all(0)
    of_day = lambda x: x[:, :, cells].mean(-1, keepdims=True)  # noqa: E731
    logarithm = np.log(np.maximum(left_out.distance, TINY)).astype(np.float32)
    each_channel = np.broadcast_to(logarithm[:, None, None], (len(square), len(support), 1))
    by_day = fit_dispersion(
        each_channel, of_day(square), of_day(predicted), active=(True,) * len(support), n_levels=DAYS
    )
    of_days = np.asarray(jax.vmap(by_day)(jnp.asarray(each_channel)))
    predicted = predicted * of_days.reshape(*of_days.shape[:2], *(1,) * (predicted.ndim - 2)) ** 2
    expected = climatology + left_out.mean
    by_expected = fit_dispersion(expected[:, :, cells], square[:, :, cells], predicted[:, :, cells], active=active)
    predicted = predicted * np.asarray(jax.vmap(by_expected)(jnp.asarray(expected))) ** 2
    scales = fit_cells(left_out, predicted, (inside & constrained, inside & ~constrained))
    as_float = lambda x: jnp.asarray(x, jnp.float32)  # noqa: E731
    return SpreadCalibration(
        as_float(components),
        as_float(np.sqrt(cell_variances(spread, components)) * inside),
        as_float(np.where(inside, scales, 1.0)),
        by_day,
        by_expected,
        no_shape(np.where(constrained, 0, 1), by_expected.levels if any(active) else by_expected.levels[:, :1]),
    )


def cell_variances(spread: GaussianPrior, scales: Float[np.ndarray, " group"]) -> Float[np.ndarray, "channel *space"]:
    """v: the variance of every cell, with scaled components.

    v = r a² + Σ_i (λ_i a_i² − r a²) u_i², with components u_i of variance λ_i and scale a_i, and r, a those of the
    remainder.

    Args:
        spread: the conditional covariance, of normalised fields.
        scales: (group,), of the groups of components, see `SpreadCalibration`.

    Returns:
        v, (channel, *space), at least 10⁻¹².
    """
    square = scales[_group_of(len(spread.variances))] ** 2
    components = np.asarray(spread.directions, np.float64)
    rest = float(spread.remainder) * scales[-1] ** 2
    leading = np.asarray(spread.variances, np.float64) * square - rest
    return np.maximum(rest * np.asarray(spread.support) + np.tensordot(leading, components**2, 1), TINY)


def widths(
    calibration: SpreadCalibration,
    mean: Float[np.ndarray, "n channel *space"],
    distance: Float[np.ndarray, " n"],
    climatology: Float[np.ndarray, "n channel *space"],
) -> Float[np.ndarray, "n channel *space"]:
    """w of every field."""
    return np.asarray(
        jax.vmap(calibration.width)(*(jnp.asarray(x, jnp.float32) for x in (mean, distance, climatology)))
    )
