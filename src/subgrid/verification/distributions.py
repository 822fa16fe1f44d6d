"""Distances between two sets of samples that share no dates: covRMSE, KLD, Wasserstein-1, MMD.

Samples stand on axis 0; every other axis is *space* and is flattened to points. The two sets may differ in size.
Nothing here handles missing values: a NaN sample makes the NaN result it deserves.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Scalar

Indices: TypeAlias = np.ndarray

# Largest temporary, in values, that a chunked loop makes (4 MiB of float32: fits in cache, long enough to vectorise).
CHUNK_VALUES = 2**20
# A Gaussian kernel holds 3e-7 of its mass beyond five bandwidths: less than float32 resolves.
MARGIN_BANDWIDTHS = 5.0
# The median heuristic looks at this many reference samples at most (5e5 pairs: the median to about 0.1 %).
MEDIAN_SAMPLES = 1000


def _require_comparable(pred: Array, ref: Array, minimum: int) -> None:
    for name, samples in (("pred", pred), ("ref", ref)):
        if samples.ndim < 1 or samples.shape[0] < minimum:
            got = samples.shape[0] if samples.ndim else "a scalar"
            raise ValueError(f"{name} needs at least {minimum} sample{'s' * (minimum > 1)} on axis 0, got {got}.")
    if pred.shape[1:] != ref.shape[1:]:
        raise ValueError(
            f"pred and ref must share their space axes, got {pred.shape[1:]} and {ref.shape[1:]}; "
            "put samples on axis 0 and regrid one set to the other's grid."
        )


def _flat(samples: Float[Array, "n *space"]) -> Float[Array, "n point"]:
    return samples.reshape(samples.shape[0], -1)


def _map_rows(function: Callable[..., Any], rows: Any, values_per_row: int) -> Any:
    """Function of each row (axis 0), as many rows at a time as keep the temporaries below `CHUNK_VALUES`."""
    n_rows = len(jax.tree.leaves(rows)[0])
    chunk = min(n_rows, max(1, CHUNK_VALUES // max(1, values_per_row)))
    # One chunk needs no loop around it, which halves the time to compile.
    return jax.vmap(function)(rows) if chunk == n_rows else lax.map(function, rows, batch_size=chunk)


@jax.jit
def covariance_rmse(pred: Float[Array, "n *space"], ref: Float[Array, "m *space"]) -> Float[Array, ""]:
    """Relative Frobenius error of the covariance between points (covRMSE).

    covRMSE = ‖Cov(pred) − Cov(ref)‖_F / ‖Cov(ref)‖_F, with the unbiased (n − 1) covariance.

    Args:
        pred: samples to evaluate, any unit; n ≥ 2.
        ref: reference samples, same unit and space axes; m ≥ 2.

    Returns:
        A dimensionless scalar ≥ 0; NaN or infinite if the reference does not vary at all. Covariance rows are made
        in chunks, so memory grows with points, never with points².

    Raises:
        ValueError: fewer than two samples in a set, or different space axes.

    References:
        Wan et al. (2023), arXiv:2305.15618.

    Examples:
        >>> ref = jax.random.normal(jax.random.key(0), (1000, 8))
        >>> covariance_rmse(2 * ref, ref)  # |2² − 1| = 3
    """
    _require_comparable(pred, ref, 2)
    x, y = _scaled_anomalies(pred), _scaled_anomalies(ref)

    def row(pair: tuple[Array, Array]) -> tuple[Array, Array]:
        cov_pred = jnp.matmul(x, pair[0], precision=lax.Precision.HIGHEST)
        cov_ref = jnp.matmul(y, pair[1], precision=lax.Precision.HIGHEST)
        return jnp.sum((cov_pred - cov_ref) ** 2), jnp.sum(cov_ref**2)

    errors, norms = _map_rows(row, (x, y), x.shape[1] + x.shape[0])
    return jnp.sqrt(jnp.sum(errors) / jnp.sum(norms))


def _scaled_anomalies(samples: Float[Array, "n *space"]) -> Float[Array, "point n"]:
    """A with A Aᵀ = Cov(samples)."""
    x = _flat(samples)
    return ((x - jnp.mean(x, axis=0)) / np.sqrt(x.shape[0] - 1)).T


@partial(jax.jit, static_argnames="n_grid")
def kl_divergence_per_point(
    ref: Float[Array, "m *space"], pred: Float[Array, "n *space"], *, n_grid: int = 512
) -> Float[Array, "*space"]:
    """Kullback–Leibler divergence KL(ref‖pred) of the marginal distribution at each point (the order is ref, pred).

    KL = ∫ p ln(p/q) dx, p and q Gaussian kernel densities of ref and pred with Scott's bandwidth h = s·n^(−1/5)
    (s the unbiased standard deviation, as `scipy.stats.gaussian_kde`), by the trapezoid rule on `n_grid` points from
    min(ref) − 5h to max(ref) + 5h. The integrand vanishes with p, so this interval covers it whatever pred does, and
    a prediction that blows up cannot coarsen the grid.

    Floor: the sum of kernels Σ exp(−u²/2) is never taken below float32's smallest normal number 1.2e-38, which it
    reaches 13 bandwidths away from the nearest sample. So sets that do not overlap give about 87 nats + ln n at most.

    Args:
        ref: reference samples, any unit; m ≥ 2.
        pred: samples to evaluate, same unit and space axes; n ≥ 2.
        n_grid: quadrature points, ≥ 16, default 512. Exact to float32 while the spacing stays below the bandwidth of
            ref, that is while range/std of ref < 512·m^(−1/5); raise it for heavy tails.

    Returns:
        Nats at each point; NaN where all samples of either set coincide (no density). Smoothing biases it: Gaussians
        compare as if their variances were s² + h². Points one after another, so 50,000 samples stay in memory.

    Raises:
        ValueError: fewer than two samples in a set, different space axes, or n_grid < 16.

    References:
        Wan et al. (2023), arXiv:2305.15618; Scott (1992), Eq. 6.42, doi:10.1002/9780470316849.

    Examples:
        >>> ref = jax.random.normal(jax.random.key(0), (10_000, 8))
        >>> kl_divergence_per_point(ref, ref + 1.0)  # about 1/2 at each of the 8 points
    """
    _require_comparable(pred, ref, 2)
    if n_grid < 16:
        raise ValueError(f"n_grid must be at least 16, got {n_grid}; 512 resolves most marginals.")
    divergence = lax.map(lambda pair: _kl_divergence_1d(pair[0], pair[1], n_grid), (_flat(ref).T, _flat(pred).T))
    return divergence.reshape(ref.shape[1:])


def _kl_divergence_1d(ref: Float[Array, " m"], pred: Float[Array, " n"], n_grid: int) -> Float[Array, ""]:
    h_ref, h_pred = _scott_bandwidth(ref), _scott_bandwidth(pred)
    margin = MARGIN_BANDWIDTHS * h_ref
    grid = jnp.linspace(jnp.min(ref) - margin, jnp.max(ref) + margin, n_grid)
    log_p, log_q = _log_kernel_density(ref, h_ref, grid), _log_kernel_density(pred, h_pred, grid)
    return jnp.trapezoid(jnp.exp(log_p) * (log_p - log_q), grid)


def _scott_bandwidth(samples: Float[Array, " n"]) -> Float[Array, ""]:
    n = samples.shape[0]
    # Rounding of the mean makes the deviation of equal samples tiny rather than zero: ask the samples themselves.
    degenerate = jnp.max(samples) == jnp.min(samples)
    return jnp.where(degenerate, jnp.nan, jnp.std(samples, ddof=1) * n**-0.2)


def _log_kernel_density(
    samples: Float[Array, " n"], bandwidth: Float[Array, ""], grid: Float[Array, " g"]
) -> Float[Array, " g"]:
    n = samples.shape[0]

    def kernel_sum(x: Array) -> Array:
        return jnp.sum(jnp.exp(-0.5 * ((x - samples) / bandwidth) ** 2))

    total = _map_rows(kernel_sum, grid, n)
    floored = jnp.maximum(total, jnp.finfo(total.dtype).tiny)
    return jnp.log(floored) - jnp.log(n * np.sqrt(2 * np.pi) * bandwidth)


def kl_divergence(
    ref: Float[Array, "m *space"], pred: Float[Array, "n *space"], *, n_grid: int = 512
) -> Float[Array, ""]:
    """Kullback–Leibler divergence KL(ref‖pred) summed over points (the order is ref, pred).

    KLD = Σ_points KL(ref_point‖pred_point), each as in `kl_divergence_per_point`; divide by the number of points for
    the mean. For N(0, 1) against N(m, 1) on d points it is d·m²/2, less the smoothing.

    Args:
        ref: reference samples, any unit; m ≥ 2.
        pred: samples to evaluate, same unit and space axes; n ≥ 2.
        n_grid: quadrature points, ≥ 16, default 512.

    Returns:
        A scalar in nats; NaN if the samples of either set coincide at any point.

    Raises:
        ValueError: fewer than two samples in a set, different space axes, or n_grid < 16.

    References:
        Wan et al. (2023), arXiv:2305.15618; Kullback & Leibler (1951), doi:10.1214/aoms/1177729694.

    Examples:
        >>> ref = jax.random.normal(jax.random.key(0), (10_000, 8))
        >>> kl_divergence(ref, ref + 1.0)  # about 8 · 1/2
    """
    return jnp.sum(kl_divergence_per_point(ref, pred, n_grid=n_grid))


@jax.jit
def wasserstein_1(pred: Float[Array, "n *space"], ref: Float[Array, "m *space"]) -> Float[Array, ""]:
    """Wasserstein-1 distance between marginal distributions, exact, mean over points.

    W₁ = ∫ |F_pred − F_ref| dx = ∫₀¹ |F_pred⁻¹(u) − F_ref⁻¹(u)| du, summed over the n + m steps of the two empirical
    quantile functions.

    Args:
        pred: samples to evaluate, any unit; n ≥ 1.
        ref: reference samples, same unit and space axes; m ≥ 1.

    Returns:
        A scalar ≥ 0 in the unit of the samples.

    Raises:
        ValueError: an empty set, or different space axes.

    References:
        Ramdas, García Trillos & Cuturi (2017), Prop. 1, doi:10.3390/e19020047.

    Examples:
        >>> ref = jax.random.normal(jax.random.key(0), (1000, 8))
        >>> wasserstein_1(ref + 0.5, ref)  # 0.5
    """
    _require_comparable(pred, ref, 1)
    rank_pred, rank_ref, widths = quantile_steps(pred.shape[0], ref.shape[0])

    def distance(pair: tuple[Array, Array]) -> Array:
        gap = jnp.sort(pair[0])[rank_pred] - jnp.sort(pair[1])[rank_ref]
        return jnp.sum(widths * jnp.abs(gap))

    return jnp.mean(_map_rows(distance, (_flat(pred).T, _flat(ref).T), len(widths)))


def quantile_steps(n: int, m: int) -> tuple[Indices, Indices, Float[np.ndarray, " step"]]:
    """Steps common to two empirical quantile functions, in integer units of 1/(nm) so that no step is lost."""
    levels = np.union1d(np.arange(n + 1, dtype=np.int64) * m, np.arange(m + 1, dtype=np.int64) * n)
    below = levels[1:] - 1
    return below // m, below // n, (np.diff(levels) / (n * m)).astype(np.float32)


def maximum_mean_discrepancy(
    pred: Float[Array, "n *space"], ref: Float[Array, "m *space"], *, bandwidth: float | Scalar | None = None
) -> Float[Array, ""]:
    """Squared maximum mean discrepancy between whole fields, unbiased, with a Gaussian (RBF) kernel.

    MMD² = Σ_{i≠j} k(x_i,x_j)/(n(n−1)) + Σ_{i≠j} k(y_i,y_j)/(m(m−1)) − 2 Σ_{ij} k(x_i,y_j)/(nm),
    k(x,y) = exp(−‖x − y‖²/(2ℓ²)), the norm summing over all points.

    Args:
        pred: samples x to evaluate, any unit; n ≥ 2.
        ref: reference samples y, same unit and space axes; m ≥ 2.
        bandwidth: ℓ > 0 in the unit of the norm. Default: the median heuristic, ℓ = median of ‖y_i − y_j‖ over the
            pairs of up to 1000 evenly spaced reference samples. Fix it to compare several predictions.

    Returns:
        A dimensionless scalar, of mean 0 (so below 0 half of the time) when both sets share a distribution. It is not
        0 for a set against itself: the cross term then holds the n pairs i = j. NaN if ref does not vary and no
        bandwidth is given. Kernel rows are made in chunks; time grows with (n + m)².

    Raises:
        ValueError: fewer than two samples in a set, different space axes, or bandwidth ≤ 0.

    References:
        Gretton et al. (2012), JMLR 13, 723–773, Eq. 3 (arXiv:0805.2368); median heuristic: arXiv:1707.07269.

    Examples:
        >>> x, y = jax.random.normal(jax.random.key(0), (2, 500, 8))
        >>> maximum_mean_discrepancy(x, y + 1.0)  # 0 within sampling error had y not been shifted
    """
    _require_comparable(pred, ref, 2)
    if isinstance(bandwidth, int | float) and not bandwidth > 0:
        raise ValueError(f"bandwidth must be positive, got {bandwidth}; leave it out for the median heuristic.")
    return _maximum_mean_discrepancy(pred, ref, bandwidth)


@jax.jit
def _maximum_mean_discrepancy(
    pred: Float[Array, "n *space"], ref: Float[Array, "m *space"], bandwidth: float | Scalar | None
) -> Float[Array, ""]:
    n, m = pred.shape[0], ref.shape[0]
    origin = jnp.mean(ref, axis=0)  # distances from squared norms cancel badly far from the origin
    x, y = _flat(pred - origin), _flat(ref - origin)
    ell = _median_distance(y) if bandwidth is None else bandwidth
    # The n diagonal terms are k(x, x) = 1; the mean runs over the other n(n − 1).
    within_x = (n * _mean_kernel(x, x, ell) - 1) / (n - 1)
    within_y = (m * _mean_kernel(y, y, ell) - 1) / (m - 1)
    return within_x + within_y - 2 * _mean_kernel(x, y, ell)


def _squared_distances(x: Float[Array, " point"], others: Float[Array, "n point"]) -> Float[Array, " n"]:
    inner = jnp.matmul(others, x, precision=lax.Precision.HIGHEST)
    return jnp.maximum(jnp.sum(x**2) + jnp.sum(others**2, axis=1) - 2 * inner, 0.0)


def _mean_kernel(x: Float[Array, "n point"], y: Float[Array, "m point"], ell: float | Scalar) -> Float[Array, ""]:
    def row(x_i: Array) -> Array:
        return jnp.mean(jnp.exp(-_squared_distances(x_i, y) / (2 * ell**2)))

    return jnp.mean(_map_rows(row, x, y.shape[0]))


def _median_distance(samples: Float[Array, "n point"]) -> Float[Array, ""]:
    few = samples[:: -(-samples.shape[0] // MEDIAN_SAMPLES)]
    squared = jax.vmap(_squared_distances, in_axes=(0, None))(few, few)
    return jnp.sqrt(jnp.median(squared[np.triu_indices(few.shape[0], k=1)]))
