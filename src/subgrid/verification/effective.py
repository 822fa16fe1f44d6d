"""How many independent fields a series is worth: neighbouring days say nearly the same."""

import numpy as np
from jaxtyping import Float, Int


def effective_sample_size(
    fields: Float[np.ndarray, "time *shape"], segment: Int[np.ndarray, " label"] | None = None
) -> float:
    """N_eff = N/(1 + 2 Σ_τ ρ_τ), with ρ_τ = tr C_τ / tr C₀ the autocorrelation of whole fields at lag τ.

    The sum ends before the first lag with ρ_τ ≤ 0, and with the lags that a quarter of a segment holds.

    Args:
        fields: equally spaced within each segment, any unit, no NaN; at least 2.
        segment: stretch of consecutive times that each field belongs to (a season); None takes all as one.

    Returns:
        From 1 to N; N for fields that never vary, of which each is as good as all.

    Raises:
        ValueError: fewer than 2 fields, or another number of labels than fields.

    References:
        Geyer (1992), Statistical Science 7, 473, doi:10.1214/ss/1177011137 (where the sum ends).

    Examples:
        >>> effective_sample_size(np.random.default_rng(0).normal(size=(900, 84)))  # about 900
    """
    if len(fields) < 2:
        raise ValueError(f"an autocorrelation needs at least 2 fields, got {len(fields)}.")
    label = np.zeros(len(fields), int) if segment is None else np.asarray(segment)
    if label.shape != (len(fields),):
        raise ValueError(f"needs one segment label a field, got {label.shape[0]} for {len(fields)} fields.")
    x = np.asarray(fields, np.float64).reshape(len(fields), -1)
    x = x - x.mean(0)
    variance, total = np.mean(np.sum(x**2, 1)), 1.0
    if variance == 0:
        return float(len(x))
    longest = max(np.unique(label, return_counts=True)[1]) // 4
    for lag in range(1, longest + 1):
        same = label[lag:] == label[:-lag]
        if not same.any():
            break
        correlation = np.mean(np.sum(x[lag:][same] * x[:-lag][same], 1)) / variance
        if correlation <= 0:
            break
        total += 2 * correlation
    return float(np.clip(len(x) / total, 1.0, len(x)))
