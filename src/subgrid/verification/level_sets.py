"""Shapes as the places where a function is negative: their area and outline, and whether it is a distance to them."""

import numpy as np
from jaxtyping import Float

BAND = 0.1
"""|u| up to which a distance is looked at, in sides: further away its ridges count."""


def eikonal_residual(u: Float[np.ndarray, "y x"], *, band: float = BAND) -> float:
    """Mean of | |∇u| − 1 | where |u| < band: 0 for a distance, but for its ridges.

    Gradients are central differences.

    Args:
        u: on cells of the unit square.
        band: default .1.

    Returns:
        The mean; NaN where |u| is nowhere below the band.

    Examples:
        >>> eikonal_residual(signed_distance(shape, 64))
    """
    slopes = np.gradient(u, 1 / u.shape[0], 1 / u.shape[1])
    near = np.abs(u) < band
    return float(np.mean(np.abs(np.hypot(*slopes) - 1)[near])) if near.any() else float("nan")


def area(u: Float[np.ndarray, "y x"]) -> float:
    """The share of the square where u < 0, with cells on the border counted in part.

    A cell of width h counts ½ − u/h, between 0 and 1: the part that a border along the grid cuts off; a slanted
    one is right on average.

    Args:
        u: on cells of the unit square, near the border a distance.

    Returns:
        From 0 to 1.

    Examples:
        >>> area(np.hypot(x, y) - 0.25)  # π/16
    """
    return float(np.mean(np.clip(0.5 - u * u.shape[0], 0, 1)))


def perimeter(u: Float[np.ndarray, "y x"]) -> float:
    """The length of the line u = 0, in sides.

    ∫ δ(u)|∇u| with δ the hat of two cells' width (co-area formula): second order for smooth lines, and no search for
    crossings.

    Args:
        u: on cells of the unit square, whose slope is about 1 at the line.

    Returns:
        The length.

    References:
        Engquist, Tornberg & Tsai (2005), doi:10.1016/j.jcp.2004.09.018, on δ with |∇u|.

    Examples:
        >>> perimeter(np.hypot(x, y) - 0.25)  # π/2
    """
    n = u.shape[0]
    gy, gx = np.gradient(u, 1 / u.shape[0], 1 / u.shape[1])
    slope = np.hypot(gx, gy)
    # The width follows the direction of the line: |∂x| + |∂y| cells keeps the sum of the hat over cells at 1.
    width = (np.abs(gx) + np.abs(gy)) / n
    hat = np.where(width > 0, np.maximum(1 - np.abs(u) / np.where(width > 0, width, 1.0), 0.0), 0.0)
    return float(np.mean(np.where(width > 0, hat * slope / np.where(width > 0, width, 1.0), 0.0)))
