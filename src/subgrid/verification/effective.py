"""How many independent fields a series is worth, how many directions they spread over, and what covRMSE that leaves."""

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


def covariance_dimension(samples: Float[np.ndarray, "n *space"]) -> float:
    """d_e = (tr C)²/‖C‖_F², the number of directions that a covariance spreads over: d if white, 1 for a single one.

    The same of the sample covariance S would be far too small while n is not much larger than d_e. Both squares are
    replaced by unbiased estimates for Gaussian samples, with ν = n − 1:

        ‖C‖_F² ≈ c [tr S² − (tr S)²/ν],      (tr C)² ≈ c (ν + 1)/ν [(tr S)² − 2 tr S²/(ν + 1)]

    with one factor c, which cancels. tr S² comes from products of samples, not of points, if those are fewer.

    Args:
        samples: independent fields on axis 0, any unit; n ≥ 4.

    Returns:
        From about 1 to about d; infinite where so few samples do not tell.

    Raises:
        ValueError: for fewer than 4 samples.

    References:
        Srivastava (2005), doi:10.14490/jjss.35.251 (the estimates).

    Examples:
        >>> covariance_dimension(np.random.default_rng(0).normal(size=(100, 60)))  # about 60
    """
    nu = len(samples) - 1
    if nu < 3:
        raise ValueError(f"the dimension of a covariance needs at least 4 samples, got {len(samples)}.")
    x = np.asarray(samples, np.float64).reshape(nu + 1, -1)
    x = x - x.mean(0)
    products = x @ x.T if x.shape[0] < x.shape[1] else x.T @ x
    trace, square = np.trace(products) / nu, np.sum(products**2) / nu**2
    spread = square - trace**2 / nu
    return float((nu + 1) / nu * (trace**2 - 2 * square / (nu + 1)) / spread) if spread > 0 else float("inf")


def covariance_rmse_floor(dimension: float | int, n_pred: float | int, n_ref: float | int | None = None) -> float:
    """The covRMSE of a perfect model: what so many Gaussian samples of the distribution itself score.

        √((1 + d_e)(1/n + 1/m)),      of one-sided error √((1 + d_e)/n),      of two halves of n each √(2(1 + d_e)/n)

    To first order in 1/n: E‖S − C‖_F² = (‖C‖_F² + (tr C)²)/(n − 1) for a Gaussian. Heavy tails raise it.

    Args:
        dimension: d_e of the reference, as from `covariance_dimension`.
        n_pred: n, independent samples of what is evaluated (`effective_sample_size`).
        n_ref: m, of the reference; None (default) for a covariance that is known.

    Returns:
        A number without unit, as covRMSE.

    Examples:
        >>> covariance_rmse_floor(133, 20_000)  # .082
    """
    return float(np.sqrt((1 + dimension) * (1 / n_pred + (0.0 if n_ref is None else 1 / n_ref))))
