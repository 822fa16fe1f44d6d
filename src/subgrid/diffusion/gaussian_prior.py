"""A Gaussian distribution of fields with few leading components: the prior that small archives can support.

    Σ = V (Λ − ρI) Vᵀ + ρI       on the support, 0 outside

with r principal components V, their variances Λ and the mean variance ρ of all others: probabilistic principal
components (Tipping & Bishop 1999, doi:10.1111/1467-9868.00196). Its denoiser, posterior covariance and conditionals are
closed forms that cost r·d operations; a network may refine the denoiser where the fields are not Gaussian, and samplers
solve the Gaussian part exactly (`gaussian_steps.py`).

The sample covariance of n fields has no more than n components, and its small covariances of far points are accidents.
A *taper*, a correlation matrix that falls with distance (`numerics/localisation.py`), damps them, entry by entry.
"""

from collections.abc import Callable, Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg
from jaxtyping import Array, Bool, Float, Scalar

from subgrid.numerics.from_numpy import from_numpy
from subgrid.numerics.noise import standard_normal
from subgrid.types import Key

FULL = jax.lax.Precision.HIGHEST
"""Of products: the default of some GPUs keeps three digits, and components of little variance lie below those."""


class GaussianPrior(eqx.Module):
    """N(μ, Σ) of fields of one shape, Σ of r components and a remainder; values outside the support are μ exactly.

    Args:
        mean: μ.
        directions: the r principal components, orthonormal, 0 outside the support.
        variances: Λ, of the components, the largest first.
        remainder: ρ, the variance of every component that is not among the r.
        support: 1 where the field has values, 0 where it has none.

    Examples:
        >>> prior = fit_gaussian_prior(fields, 40)
        >>> x = prior.sample(key=key)
    """

    mean: Float[Array, "*shape"]
    directions: Float[Array, "r *shape"]
    variances: Float[Array, " r"]
    remainder: Float[Array, ""]
    """ρ, the variance of every component that is not among the r."""
    support: Float[Array, "*shape"]
    """1 where the field has values, 0 where it has none."""

    def combine(self, *terms: tuple[Callable[[Array], Array], Float[Array, "*shape"]]) -> Float[Array, "*shape"]:
        """Σᵢ fᵢ(Σ) zᵢ for functions of a variance and fields: projected onto the components and lifted once.

        Outside the support the variance is zero, and fᵢ(0) multiplies.
        """
        axes, fields = tuple(range(1, self.mean.ndim + 1)), jnp.stack([z for _, z in terms])
        leading = jnp.tensordot(fields, self.directions, (axes, axes), precision=FULL)
        weights, total = jnp.zeros_like(self.variances), jnp.zeros_like(self.mean)
        for (of_variance, z), coordinates in zip(terms, leading, strict=True):
            rest, outside = of_variance(self.remainder), of_variance(jnp.zeros_like(self.remainder))
            weights = weights + (of_variance(self.variances) - rest) * coordinates
            total = total + (outside + (rest - outside) * self.support) * z
        return total + jnp.tensordot(weights, self.directions, 1, precision=FULL)

    def coordinates(self, z: Float[Array, "*shape"]) -> Float[Array, " r"]:
        """Vᵀz, of the r components."""
        axes = tuple(range(self.mean.ndim))
        return jnp.tensordot(self.directions, z, (tuple(a + 1 for a in axes), axes), precision=FULL)

    def lift(self, coordinates: Float[Array, " r"]) -> Float[Array, "*shape"]:
        """V c, the field of these coordinates."""
        return jnp.tensordot(coordinates, self.directions, 1, precision=FULL)

    def apply(self, of_variance: Callable[[Array], Array], z: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """f(Σ) z for a function of a variance."""
        return self.combine((of_variance, z))

    def trace(self, of_variance: Callable[[Array], Array]) -> Scalar:
        """tr f(Σ), over the support."""
        rest = of_variance(self.remainder)
        return jnp.sum(of_variance(self.variances) - rest) + jnp.sum(self.support) * rest

    def denoise(self, x: Float[Array, "*shape"], sigma: Scalar) -> Float[Array, "*shape"]:
        """E[x₀ | x₀ + σε = x] = μ + Σ(Σ + σ²I)⁻¹(x − μ)."""
        return self.mean + self.apply(lambda v: v / (v + sigma**2), x - self.mean)

    def __call__(self, x: Float[Array, "*shape"], sigma: Scalar) -> Float[Array, "*shape"]:
        return self.denoise(x, sigma)

    def posterior_covariance(self, z: Float[Array, "*shape"], sigma: Scalar) -> Float[Array, "*shape"]:
        """Cov[x₀ | x] z = σ²Σ(Σ + σ²I)⁻¹ z."""
        return self.apply(lambda v: sigma**2 * v / (v + sigma**2), z)

    def sample(self, *, key: Key) -> Float[Array, "*shape"]:
        """One draw."""
        return self.mean + self.apply(jnp.sqrt, standard_normal(self.mean.shape, key=key))


def fit_gaussian_prior(
    fields: Float[np.ndarray, "n *shape"],
    n_components: int,
    *,
    support: Float[np.ndarray, "*shape"] | None = None,
    taper: Float[np.ndarray, "d d"] | None = None,
) -> GaussianPrior:
    """The distribution with `n_components` leading components; without a taper, that of maximum likelihood.

    Args:
        fields: samples, with 0 outside the support.
        n_components: r, below the number d of values inside the support, and without a taper below that of fields.
        support: 1 inside and 0 outside, by default everywhere.
        taper: correlations between the d values that multiply the sample covariance, by default 1.

    Returns:
        The prior, in float32.

    Raises:
        ValueError: for too many components.

    References:
        Tipping & Bishop (1999), doi:10.1111/1467-9868.00196.

    Examples:
        >>> prior = fit_gaussian_prior(fields, 40)
    """
    shape = fields.shape[1:]
    inside = np.ones(shape, bool) if support is None else np.asarray(support) > 0
    values = np.asarray(fields, np.float64)[:, inside]
    n, d = values.shape
    most = d if taper is not None else min(n, d)
    if not 0 < n_components < most:
        raise ValueError(f"{n} fields of {d} values support 1 to {most - 1} components, got {n_components}.")
    mean, variances, components = principal_components(values, taper=taper, most=n_components)
    remainder = _remainder(values, mean, variances, n_components)
    lifted = np.zeros((n_components, *shape))
    lifted[:, inside] = components[:n_components]
    centre = np.zeros(shape)
    centre[inside] = mean
    parts = (centre, lifted, variances[:n_components], remainder, inside)
    return GaussianPrior(*map(from_numpy, parts))


def principal_components(
    values: Float[np.ndarray, "n d"], *, taper: Float[np.ndarray, "d d"] | None = None, most: int | None = None
) -> tuple[Float[np.ndarray, " d"], Float[np.ndarray, " k"], Float[np.ndarray, "k d"]]:
    """Mean, variances (largest first) and principal components of a sample covariance.

    Args:
        values: n samples of d values.
        taper: correlations that multiply the covariance, entry by entry; time then grows with d³. Default none.
        most: how many components are wanted, default all d; used with a taper alone.

    Returns:
        Mean, variances (divisor n), and components as rows; min(n, d) of them without a taper.
    """
    mean = values.mean(0)
    if taper is None:
        _, singular, components = np.linalg.svd(values - mean, full_matrices=False)
        return mean, singular**2 / len(values), components
    centred, d = values - mean, values.shape[1]
    k = d if most is None else min(most, d)
    covariance = centred.T @ centred / len(values) * taper
    variances, components = scipy.linalg.eigh(covariance, subset_by_index=[d - k, d - 1], overwrite_a=True)
    return mean, np.maximum(variances[::-1], 0.0), components[:, ::-1].T


def _remainder(values: np.ndarray, mean: np.ndarray, variances: np.ndarray, r: int) -> float:
    """ρ: what the r leading components leave of the total variance, which no taper changes, a component."""
    total = values.var(0, mean=mean).sum()
    return float(max(total - variances[:r].sum(), 0.0) / (values.shape[1] - r))


def left_out_folds(groups: np.ndarray, *, most: int = 5) -> list[Bool[np.ndarray, " n"]]:
    """Which samples each of up to `most` folds leaves out: whole groups, each once.

    Args:
        groups: a label a sample.
        most: folds at most, default 5.

    Returns:
        For each fold, True where a sample is left out.

    Raises:
        ValueError: with fewer than two groups.

    Examples:
        >>> left_out_folds(np.array([2001, 2001, 2002]))  # [True, True, False] and [False, False, True]
    """
    labels = np.unique(groups)
    if len(labels) < 2:
        raise ValueError(f"choosing by left-out groups needs at least two groups of samples, got {len(labels)}.")
    return [np.isin(groups, labels[i::most]) for i in range(min(most, len(labels)))]


def choose_n_components(
    values: Float[np.ndarray, "n d"],
    groups: np.ndarray,
    *,
    candidates: Sequence[int],
    taper: Float[np.ndarray, "d d"] | None = None,
) -> tuple[int, dict[int, float]]:
    """The number of components under which left-out groups are likeliest, and the mean log-likelihood of each.

    Args:
        values: one row a sample.
        groups: a label a sample: whole groups are left out together, for example season years, since neighbouring days
            are alike.
        candidates: numbers to try.
        taper: as for `fit_gaussian_prior`.

    Returns:
        The best number, and the mean log density (less its constant) of left-out samples for every possible candidate.

    Raises:
        ValueError: with fewer than two groups, or no candidate below the samples and values left.

    Examples:
        >>> n_components, scores = choose_n_components(values, season_years, candidates=(10, 20, 40))
    """
    folds, d = left_out_folds(groups), values.shape[1]
    smallest = min(int((~left_out).sum()) for left_out in folds)
    most = d if taper is not None else min(smallest, d)
    possible = [r for r in candidates if 0 < r < most]
    if not possible:
        raise ValueError(f"no candidate of {list(candidates)} lies below {most} components.")
    scores = dict.fromkeys(possible, 0.0)
    for left_out in folds:
        kept = values[~left_out]
        mean, variances, components = principal_components(kept, taper=taper, most=max(possible))
        for r in possible:
            remainder = _remainder(kept, mean, variances, r)
            scores[r] += _log_likelihood(values[left_out] - mean, variances, components, r, remainder) / len(folds)
    return max(scores, key=scores.__getitem__), scores


def _log_likelihood(
    centred: np.ndarray, variances: np.ndarray, components: np.ndarray, r: int, remainder: float
) -> float:
    """Mean log density, without its constant, of rows under r components and a remainder."""
    d = centred.shape[1]
    tiny = 1e-12 * variances.sum()  # fields of fewer dimensions than values: no 0/0
    variances, remainder = np.maximum(variances, tiny), max(remainder, tiny)
    leading = centred @ components[:r].T
    rest = (centred**2).sum(1) - (leading**2).sum(1)
    quadratic = (leading**2 / variances[:r]).sum(1) + rest / remainder
    return float(-0.5 * (quadratic.mean() + np.log(variances[:r]).sum() + (d - r) * np.log(remainder)))
