"""The few numbers behind a figure that `verification` does not already have: densities, lag covariances, bands."""

import numpy as np
from jaxtyping import Float
from scipy.fft import next_fast_len
from scipy.stats import binom

from subgrid.report.style import Number

VALUES_PER_CHUNK = 2**22
"""Padded values transformed at a time: bounds memory at some 100 MB."""


def density(values: np.ndarray, edges: Float[np.ndarray, " edge"]) -> Float[np.ndarray, " bin"]:
    """Probability density of all values in each bin; values outside the edges count in the total but are not shown.

    Args:
        values: of any shape.
        edges: (edge,), rising, same unit.

    Returns:
        (bin,), one less than the edges, in the inverse unit.

    Examples:
        >>> density(fields, np.linspace(-3, 3, 61))
    """
    counts, _ = np.histogram(values, edges)
    return counts / (max(values.size, 1) * np.diff(edges))


def covariance_matrix(fields: Float[np.ndarray, "n space"]) -> Float[np.ndarray, "space space"]:
    """Sample covariance (1/n) between the points of 1-D fields."""
    anomalies = np.asarray(fields, np.float64) - np.mean(fields, axis=0, dtype=np.float64)
    return anomalies.T @ anomalies / len(fields)


def lag_covariance(fields: Float[np.ndarray, "n *space"]) -> Float[np.ndarray, "*lag"]:
    """Covariance between points a lag apart, averaged over all such pairs inside the domain.

    C(l) = ⟨ a(x) a(x + l) ⟩ over samples and over x with x and x + l both on the grid; a is the anomaly from the mean
    of each point, so that C(0) is the mean variance. Nothing is wrapped around: domains need not be periodic.

    Args:
        fields: (n, *space).

    Returns:
        Lags −n//2 … n//2 on each axis, zero in the middle: shape 2(n//2) + 1.
    """
    space = fields.shape[1:]
    padded = [int(next_fast_len(size + size // 2 + 1, real=True) or 0) for size in space]
    axes = tuple(range(1, fields.ndim))
    mean = np.mean(fields, axis=0, dtype=np.float64)
    power = np.zeros((*padded[:-1], padded[-1] // 2 + 1))
    chunk = max(VALUES_PER_CHUNK // int(np.prod(padded)), 1)
    for start in range(0, len(fields), chunk):
        transform = np.fft.rfftn(fields[start : start + chunk] - mean, padded, axes=axes)
        power += np.sum(np.abs(transform) ** 2, axis=0)
    sums = np.fft.irfftn(power / len(fields), padded, axes=range(len(space)))
    for axis, size in enumerate(space):
        lags = np.arange(-(size // 2), size // 2 + 1)
        n_pairs = (size - np.abs(lags)).reshape([-1 if i == axis else 1 for i in range(len(space))])
        sums = np.take(sums, lags, axis=axis) / n_pairs
    return sums


def effective_points(fields: Float[np.ndarray, "n *space"]) -> float:
    """How many independent points a field is worth: N / Σ_l ρ(l)², with ρ the lag correlation.

    It is the number of degrees of freedom of a mean square over a homogeneous field: a guide to sampling error, not an
    exact count.

    Args:
        fields: (n, *space), samples, any unit.

    Returns:
        Between 1 and N, the number of points.

    References:
        Bretherton et al. (1999), doi:10.1175/1520-0442(1999)012<1990:TENOSD>2.0.CO;2.

    Examples:
        >>> effective_points(fields[:, 0])
    """
    covariance = lag_covariance(fields)
    centre = tuple(size // 2 for size in covariance.shape)
    n_points = int(np.prod(fields.shape[1:]))
    if covariance[centre] <= 0:
        return 1.0
    return float(np.clip(n_points / np.sum((covariance / covariance[centre]) ** 2), 1, n_points))


def smoothed_magnitude(difference: Float[np.ndarray, " n"], half_width: int = 2) -> Float[np.ndarray, " n"]:
    """Root mean square over a window of neighbours: the scale of a noisy difference, as a smooth curve.

    Args:
        difference: (n,).
        half_width: neighbours on either side, default 2; the window is cut at the ends.

    Returns:
        (n,), not negative, same unit.

    Examples:
        >>> band = smoothed_magnitude(independent - reference)
    """
    window = np.ones(2 * half_width + 1)
    total = np.convolve(np.square(difference), window, mode="full")[half_width : half_width + len(difference)]
    count = np.convolve(np.ones(len(difference)), window, mode="full")[half_width : half_width + len(difference)]
    return np.sqrt(total / count)


def running_mean(values: Float[np.ndarray, " n"], half_width: int) -> Float[np.ndarray, " n"]:
    """Mean over a centred window, cut at the ends."""
    sums = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    positions = np.arange(len(values))
    first, last = np.maximum(positions - half_width, 0), np.minimum(positions + half_width + 1, len(values))
    return (sums[last] - sums[first]) / (last - first)


def flat_rank_interval(n_ranks: int, n_points: Number, confidence: float = 0.95) -> tuple[float, float]:
    """Share of the points in a rank's bin that sampling alone explains, were all ranks equally likely.

    The central binomial interval for n_points independent points, as fractions of n_points.
    """
    n = max(round(float(n_points)), 1)
    low, high = binom.interval(confidence, n, 1 / n_ranks)
    return low / n, high / n
