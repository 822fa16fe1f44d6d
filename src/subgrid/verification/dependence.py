"""How cells depend on one another: correlation matrix and its error, variogram, decorrelation length.

Samples (days) stand on axis 0; every other axis is *space*, and a mask says which cells count. Pairs of cells are
numbered by the upper triangle of the matrix. Matrices of all pairs are made, so memory grows with cells²: *merely
convenient*, and cheap up to some 10⁴ cells.
"""

from dataclasses import dataclass
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int
from scipy.stats import rankdata

from subgrid.verification.masks import AnyFloat, Mask, select_cells

Distances: TypeAlias = Float[np.ndarray, "cell cell"]

EARTH_RADIUS = 6371.0088
"""Mean radius of the Earth in km (IUGG, Moritz 2000, doi:10.1007/s001900050278)."""


def great_circle_distances(lat: Float[np.ndarray, " cell"], lon: Float[np.ndarray, " cell"]) -> Distances:
    """Distances between all pairs of points on the sphere, by the haversine formula, which keeps small distances exact.

    d = 2R arcsin √( sin²(Δφ/2) + cos φ₁ cos φ₂ sin²(Δλ/2) ).

    Args:
        lat: latitudes φ in degrees.
        lon: longitudes λ in degrees, any convention.

    Returns:
        Kilometres, float64, shape (cell, cell), symmetric with a diagonal of 0.

    Raises:
        ValueError: latitudes beyond ±90.

    Examples:
        >>> great_circle_distances(np.array([0.0, 0.0]), np.array([0.0, 180.0]))[0, 1]  # 20015 km, half the equator
    """
    if np.abs(lat).max() > 90:
        raise ValueError(
            f"latitudes must lie within ±90 degrees, got {lat[np.abs(lat).argmax()]}; are lat and lon swapped?"
        )
    phi, theta = np.radians(np.asarray(lat, np.float64)), np.radians(np.asarray(lon, np.float64))
    half_phi, half_theta = (np.subtract.outer(angle, angle) / 2 for angle in (phi, theta))
    haversine = np.sin(half_phi) ** 2 + np.multiply.outer(np.cos(phi), np.cos(phi)) * np.sin(half_theta) ** 2
    return np.asarray(2 * EARTH_RADIUS * np.arcsin(np.sqrt(np.clip(haversine, 0, 1))))


@jax.jit
def _covariance(samples: Float[Array, "n cell"]) -> Float[Array, "cell cell"]:
    anomalies = samples - jnp.mean(samples, axis=0)
    return jnp.matmul(anomalies.T, anomalies, precision=lax.Precision.HIGHEST) / samples.shape[0]


def correlation_matrix(samples: AnyFloat, *, mask: Mask | None = None) -> Float[Array, "cell cell"]:
    """Pearson correlation over samples between all pairs of cells.

    Args:
        samples: n ≥ 2 samples on axis 0, any unit.
        mask: cells that count, of the trailing axes; default all.

    Returns:
        ρ_ij in [−1, 1]; NaN in the rows of a cell that never changes.

    Raises:
        ValueError: fewer than two samples, or as `masks.select_cells`.

    Examples:
        >>> z = np.random.default_rng(0).normal(size=(1000, 1))
        >>> correlation_matrix(np.concatenate([z, -z], axis=1))[0, 1]  # −1
    """
    _require_samples("samples", samples)
    covariance = _covariance(select_cells(samples, mask, name="samples"))
    deviation = jnp.sqrt(jnp.diagonal(covariance))
    return jnp.clip(covariance / jnp.outer(deviation, deviation), -1.0, 1.0)


def rank_correlation(first: AnyFloat, second: AnyFloat, *, mask: Mask | None = None) -> Float[np.ndarray, " cell"]:
    """Spearman's correlation over samples between two variables, cell by cell; ties, of dry days say, share a rank.

    Args:
        first: n ≥ 2 samples of one variable on axis 0, any unit.
        second: the same samples of the other, on the same grid.
        mask: cells that count; default all.

    Returns:
        ρ in [−1, 1] for each cell; NaN where a variable never changes.

    Raises:
        ValueError: fewer than two samples, other shapes, or as `masks.select_cells`.

    References:
        Spearman (1904), doi:10.2307/1412159.

    Examples:
        >>> x = np.random.default_rng(0).normal(size=(1000, 8))
        >>> rank_correlation(x, np.exp(x))  # 1 everywhere
    """
    _require_samples("first", first)
    if first.shape != second.shape:
        raise ValueError(f"first and second must share their shape, got {first.shape} and {second.shape}.")
    ranks = (rankdata(np.asarray(select_cells(fields, mask)), axis=0) for fields in (first, second))
    x, y = (rank - rank.mean(0) for rank in ranks)
    with np.errstate(invalid="ignore"):
        return (x * y).sum(0) / np.sqrt((x**2).sum(0) * (y**2).sum(0))


def correlation_rmse(pred: AnyFloat, ref: AnyFloat, *, mask: Mask | None = None) -> float:
    """Error of the inter-cell correlation matrix (CorrRMSE).

    CorrRMSE = √( mean over pairs i < j of (ρ_ij(pred) − ρ_ij(ref))² ). Two independent sets of n *independent* samples
    of one distribution score about √(2 ⟨(1 − ρ²)²⟩ / n): compare with the floor, reference against reference.

    Args:
        pred: samples to evaluate, any unit; n ≥ 2.
        ref: reference samples on the same grid; m ≥ 2.
        mask: cells that count, default all; at least two.

    Returns:
        A dimensionless number ≥ 0. Pairs with a cell that never changes in either set have no correlation: they are
        left out, and if all are, the result is NaN.

    Raises:
        ValueError: fewer than two samples or cells, different grids, or as `masks.select_cells`.

    References:
        Vrac (2018), doi:10.5194/hess-22-3175-2018 (correlation matrices as the yardstick of multivariate correction).

    Examples:
        >>> x = np.random.default_rng(0).normal(size=(1000, 8))
        >>> correlation_rmse(x, np.repeat(x[:, :1], 8, axis=1))  # about 1: none against full correlation
    """
    if pred.shape[1:] != ref.shape[1:]:
        raise ValueError(f"pred and ref must share their space axes, got {pred.shape[1:]} and {ref.shape[1:]}.")
    difference = np.asarray(correlation_matrix(pred, mask=mask) - correlation_matrix(ref, mask=mask))
    if len(difference) < 2:
        raise ValueError("an inter-cell correlation needs at least 2 cells, got 1.")
    squares = difference[np.triu_indices(len(difference), 1)].astype(np.float64) ** 2
    known = squares[np.isfinite(squares)]
    return float(np.sqrt(known.mean())) if known.size else float("nan")


@dataclass(frozen=True)
class DistanceBins:
    """Averages over the pairs of cells in bins of distance; empty bins hold NaN."""

    distance: Float[np.ndarray, " bin"]
    """Mean distance of the pairs of a bin, km."""
    value: Float[np.ndarray, " bin"]
    """Mean over the pairs of a bin."""
    n_pairs: Int[np.ndarray, " bin"]
    """Number of pairs in a bin."""


def variogram(
    samples: AnyFloat,
    distances: Distances,
    edges: Float[np.ndarray, " edge"],
    *,
    mask: Mask | None = None,
) -> DistanceBins:
    """Empirical variogram of the anomalies from each cell's own mean over samples.

    γ(h) = ½ ⟨ (z_i − z_j)² ⟩ over samples and over pairs with edge_b ≤ d_ij < edge_{b+1}, computed from covariances as
    ½ (C_ii + C_jj) − C_ij. Taking out each cell's mean removes relief and climate gradients: what remains is how days
    vary together. γ tends to the variance where cells are uncorrelated.

    Args:
        samples: n ≥ 2 samples on axis 0, any unit.
        distances: km between the cells of the mask (`great_circle_distances`).
        edges: rising edges of the bins, km.
        mask: cells that count, default all.

    Returns:
        γ in the unit of the samples squared, with mean distance and number of pairs of every bin.

    Raises:
        ValueError: fewer than two samples, edges that do not rise, distances of other cells.

    References:
        Matheron (1963), doi:10.2113/gsecongeo.58.8.1246.

    Examples:
        >>> white = np.random.default_rng(0).normal(size=(1000, 3))
        >>> d = great_circle_distances(np.zeros(3), np.arange(3.0))
        >>> variogram(white, d, np.array([0.0, 500.0])).value  # about 1
    """
    _require_samples("samples", samples)
    covariance = np.asarray(_covariance(select_cells(samples, mask, name="samples")), np.float64)
    variance = np.diagonal(covariance)
    return _bin_pairs(np.add.outer(variance, variance) / 2 - covariance, distances, edges)


def correlogram(
    samples: AnyFloat,
    distances: Distances,
    edges: Float[np.ndarray, " edge"],
    *,
    mask: Mask | None = None,
) -> DistanceBins:
    """Mean inter-cell correlation in bins of distance.

    Args:
        samples: n ≥ 2 samples on axis 0, any unit.
        distances: km between the cells of the mask (`great_circle_distances`).
        edges: rising edges of the bins, km.
        mask: cells that count, default all.

    Returns:
        Correlation in [−1, 1], with mean distance and number of pairs of every bin; pairs with a cell that never
        changes are left out.

    Raises:
        ValueError: fewer than two samples, edges that do not rise, distances of other cells.

    Examples:
        >>> correlogram(samples, distances, np.arange(0.0, 1000.0, 50.0)).value  # from near 1 down to 0
    """
    correlation = np.asarray(correlation_matrix(samples, mask=mask), np.float64)
    return _bin_pairs(correlation, distances, edges)


def decorrelation_length(bins: DistanceBins, *, level: float = float(np.exp(-1))) -> float:
    """Distance at which the mean correlation first falls to a level, linear between bins and from ρ(0) = 1.

    For ρ = exp(−d/L) and the default level 1/e it is L.

    Args:
        bins: a correlogram.
        level: correlation in (0, 1), default 1/e.

    Returns:
        Kilometres; infinite if the correlation stays above the level on all distances that were binned.

    Raises:
        ValueError: a level outside (0, 1).

    Examples:
        >>> d = np.linspace(50.0, 900.0, 18)
        >>> decorrelation_length(DistanceBins(d, np.exp(-d / 300.0), np.ones(18, int)))  # 300 within a km
    """
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, got {level}; 1/e is usual.")
    filled = np.isfinite(bins.value)
    d, rho = np.append(0.0, bins.distance[filled]), np.append(1.0, bins.value[filled])
    below = np.flatnonzero(rho <= level)
    if not below.size:
        return float("inf")
    i = below[0]
    return float(d[i - 1] + (rho[i - 1] - level) / (rho[i - 1] - rho[i]) * (d[i] - d[i - 1]))


def _bin_pairs(values: np.ndarray, distances: np.ndarray, edges: np.ndarray) -> DistanceBins:
    if distances.shape != values.shape:
        raise ValueError(f"distances of {distances.shape[0]} cells given for {values.shape[0]} cells of the mask.")
    if edges.size < 2 or np.any(np.diff(edges) <= 0):
        raise ValueError("edges must rise and number at least 2, for instance np.arange(0, 1000, 50).")
    upper = np.triu_indices(len(values), 1)
    value, distance = values[upper], distances[upper]
    bins = np.digitize(distance, edges) - 1
    inside = (bins >= 0) & (bins < edges.size - 1) & np.isfinite(value)
    count, d, v = (
        np.bincount(bins[inside], weights=weights, minlength=edges.size - 1)
        for weights in (None, distance[inside], value[inside])
    )
    empty = np.where(count == 0, np.nan, 1.0)
    n = np.maximum(count, 1)
    return DistanceBins(d / n * empty, v / n * empty, count.astype(np.int64))


def _require_samples(name: str, samples: AnyFloat) -> None:
    if samples.ndim < 2 or samples.shape[0] < 2:
        raise ValueError(f"{name} need at least 2 samples on axis 0 and a space axis, got shape {samples.shape}.")
