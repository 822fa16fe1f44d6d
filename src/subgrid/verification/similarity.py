"""Whether a downscaled field still is the field that it came from, and whether values have the right distribution."""

import numpy as np
from jaxtyping import Float

from subgrid.numerics.spectral import low_pass

ROUNDING = 1e-5
"""What float32 leaves of a field after a filter that removes all of it, relative, with a margin."""


def kolmogorov_smirnov(pred: Float[np.ndarray, "*shape"], ref: Float[np.ndarray, "*other"]) -> float:
    """sup_x |F_pred(x) − F_ref(x)| of all values pooled: the largest gap between two frequency histograms of any bins.

    Args:
        pred: values, of any shape and unit.
        ref: reference values, same unit.

    Returns:
        A number between 0 and 1.

    Raises:
        ValueError: an empty set.

    Examples:
        >>> kolmogorov_smirnov(np.arange(4.0), np.arange(4.0) + 1)  # 1/4
    """
    if not pred.size or not ref.size:
        raise ValueError(f"both sets need values, got {pred.size} and {ref.size}.")
    x, y = np.sort(pred, axis=None), np.sort(ref, axis=None)
    at = np.concatenate([x, y])
    below = lambda values: np.searchsorted(values, at, side="right") / len(values)  # noqa: E731
    return float(np.max(np.abs(below(x) - below(y))))


def source_distance(
    output: Float[np.ndarray, "n channel y x"], source: Float[np.ndarray, "m other v u"], wavenumber: float | int
) -> Float[np.ndarray, "n channel"]:
    """How far each output is from its own source at large scales, whatever their units and strength.

        ‖z(L x) − z(L y)‖₂ / √N = √(2 − 2ρ)

    L keeps |κ| ≤ wavenumber, z takes away the mean over the field and divides by the standard deviation: ρ is the
    pattern correlation.

    Args:
        output: periodic fields x.
        source: periodic fields y, of the same shape; their unit may differ.
        wavenumber: ≥ 1, waves per domain.

    Returns:
        0 for the same pattern, √2 for unrelated ones (in the mean), 2 for the opposite one.

    Raises:
        ValueError: shapes that differ, or a field without waves up to the wavenumber.

    References:
        Shi et al. (2023), arXiv:2303.16852, section 6.

    Examples:
        >>> source_distance(downscaled, upsampled, 4).mean()
    """
    if output.shape != source.shape:
        raise ValueError(f"outputs and sources must have one shape, got {output.shape} and {source.shape}.")
    difference = _pattern(output, wavenumber) - _pattern(source, wavenumber)
    return np.sqrt(np.mean(difference**2, axis=(-2, -1)))


def _pattern(fields: np.ndarray, wavenumber: float | int) -> np.ndarray:
    """z(L x)."""
    smooth = low_pass(fields, wavenumber)
    anomaly = smooth - smooth.mean((-2, -1), keepdims=True)
    std = anomaly.std((-2, -1), keepdims=True)
    if not (std > ROUNDING * fields.std((-2, -1), keepdims=True)).all():
        raise ValueError(f"a field holds no wave up to {wavenumber}; it has no pattern to compare.")
    return anomaly / std
