"""Tails of the distribution of values, all points and samples together: how rare the largest ones are.

Where the mean changes from place to place, take it away first (`profile_anomalies`).
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Array, Float

Values = Float[np.ndarray | Array, "..."]


def kurtosis(samples: Values) -> float:
    """⟨(u − ū)⁴⟩/⟨(u − ū)²⟩² of all values: 3 for a Gaussian, more where large values come in bursts.

    n independent Gaussian values have a standard error of √(24/n).

    Args:
        samples: of any shape, any unit.

    Returns:
        A number ≥ 1; NaN of values that are all the same.

    Examples:
        >>> kurtosis(np.random.default_rng(0).normal(size=10_000))  # about 3
    """
    anomaly = np.asarray(samples, np.float64) - np.mean(samples, dtype=np.float64)
    variance = np.mean(anomaly**2)
    return float(np.mean(anomaly**4) / variance**2) if variance > 0 else float("nan")


def tail_ratio(pred: Values, ref: Values, *, level: float = 0.999) -> float:
    """The quantile of |u| at a high level, over that of the reference: 1 if extremes are as large, less if they lack.

    Args:
        pred: values to evaluate, of any shape, their mean taken away.
        ref: reference values, same unit, their mean taken away.
        level: between 0 and 1, default .999, which needs some thousands of independent values.

    Returns:
        A number ≥ 0 without unit; |a| where pred is a times ref.

    Raises:
        ValueError: for a level that is not between 0 and 1.

    Examples:
        >>> tail_ratio(profile_anomalies(pred), profile_anomalies(ref))
    """
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, got {level}; use .999 for one value in a thousand.")
    return float(_quantile_of_size(pred, level) / _quantile_of_size(ref, level))


def _quantile_of_size(values: Values, level: float) -> float:
    return float(np.quantile(np.abs(np.asarray(values)).astype(np.float64), level))


def log_density(samples: Values, edges: Sequence[float] | Float[np.ndarray, " edge"]) -> Float[np.ndarray, " interval"]:
    """ln p of values in intervals: log of their share of all values, over the width.

    Args:
        samples: of any shape, any unit.
        edges: of the intervals, increasing, in the unit of the samples; values beyond count in the total.

    Returns:
        One number an interval; NaN where there is no value, so that lines break there.

    Raises:
        ValueError: for edges that do not increase.

    Examples:
        >>> density = log_density(anomalies, np.linspace(-30, 30, 121))
    """
    widths = np.diff(np.asarray(edges, np.float64))
    if not (len(widths) and np.all(widths > 0)):
        raise ValueError("edges must be at least two numbers that increase.")
    values = np.asarray(samples).ravel()
    counts = np.histogram(values, np.asarray(edges))[0]
    return np.log(np.where(counts > 0, counts, np.nan) / (values.size * widths))
