"""Localisation: a correlation function of compact support, by which accidental covariances of far points are damped."""

import numpy as np
from jaxtyping import Float


def gaspari_cohn(distance: Float[np.ndarray, "*shape"], support: float) -> Float[np.ndarray, "*shape"]:
    """The fifth-order piecewise rational correlation function with compact support.

    With z = 2·distance/support,

        ρ = −z⁵/4 + z⁴/2 + 5z³/8 − 5z²/3 + 1                        for z ≤ 1,
        ρ = z⁵/12 − z⁴/2 + 5z³/8 + 5z²/3 − 5z + 4 − 2/(3z)          for 1 < z < 2,     0 beyond.

    It is positive definite in three dimensions, and so for points of the sphere at their chordal distances; the product
    of a covariance and ρ, entry by entry, is again a covariance (Schur).

    Args:
        distance: not negative, any unit.
        support: beyond which ρ is 0, same unit.

    Returns:
        ρ, from 1 at distance 0 to 0.

    References:
        Gaspari & Cohn (1999), Eq. 4.10, doi:10.1002/qj.49712555417; as localisation of sample covariances: Houtekamer
        & Mitchell (2001), doi:10.1175/1520-0493(2001)129<0123:ASEKFF>2.0.CO;2.

    Examples:
        >>> gaspari_cohn(np.array([0.0, 500.0, 1000.0]), 1000.0)  # 1, .208, 0
    """
    z = 2 * np.asarray(distance, np.float64) / support
    near = 1 + z**2 * (-5 / 3 + z * (5 / 8 + z * (1 / 2 - z / 4)))
    far_z = np.clip(z, 1, 2)
    far = 4 - 5 * far_z + far_z**2 * (5 / 3 + far_z * (5 / 8 + far_z * (-1 / 2 + far_z / 12))) - 2 / (3 * far_z)
    return np.where(z <= 1, near, np.where(z < 2, far, 0.0))
