"""How far apart two Gaussian measures of independent modes are."""

import numpy as np
from jaxtyping import Float

from subgrid.numerics.modes import Box
from subgrid.types import Spatial


def gaussian_wasserstein_2(
    first: Float[np.ndarray, "..."], second: Float[np.ndarray, "..."], box: Box, shape: Spatial
) -> float:
    """W₂ in L²(dx)/|L| between centred Gaussians of given variances of the modes: W₂² = Σ (√V_k − √S_k)².

    Noise of variance s moves data by at most √(s tr C) (`GaussianField.variance`), which a point mass attains; data of
    their own variance are moved less, like s^{q/2} with q up to 2.

    Args:
        first: V of the stored modes, of all channels.
        second: S.
        box: of the modes.
        shape: of their grid.

    Returns:
        The distance, in the unit of the fields.

    References:
        Lim et al. (2023), arXiv:2302.07400.

    Examples:
        >>> clean = data.mode_variances((64,))
        >>> gaussian_wasserstein_2(clean, clean + 1e-4 * noise.mode_variances((64,)), data.box, (64,))
    """
    return float(np.sqrt(np.sum(box.weights(shape) * (np.sqrt(first) - np.sqrt(second)) ** 2)))
