"""The mean of flows that a force along x makes different at each y, and what is left without it."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

Fields = Float[np.ndarray | Array, "n channel y x"]


def mean_profile(samples: Fields) -> Float[Array, "channel y"]:
    """E[ω], of y: the mean over samples and over x, along which the statistics do not change.

    Args:
        samples: fields indexed [y, x], any unit; n ≥ 1.

    Returns:
        The mean at each y, in the unit of the samples.

    Examples:
        >>> profile = mean_profile(vorticity)
    """
    return jnp.mean(jnp.asarray(samples), axis=(0, 3))


def profile_amplitude(samples: Fields, wavenumber: int) -> Float[Array, " channel"]:
    """a, of the mean a cos(k_f y) that a force A sin(k_f y) along x gives to the vorticity.

    a = 2⟨ω cos(k_f y)⟩ over samples and points, y_j = 2πj/n. It is −A k_f/(νk_f² + μ) of the laminar flow, and smaller
    in size of a turbulent one. White fields of variance s² at N points in all have a = 0 with standard error s√(2/N).

    Args:
        samples: ω on [0, 2π)², indexed [y, x]; n ≥ 1.
        wavenumber: k_f, below half of the points along y.

    Returns:
        a, in the unit of the samples, for each channel.

    Raises:
        ValueError: for a wave that the grid does not resolve.

    Examples:
        >>> profile_amplitude(vorticity, 4)
    """
    profile = mean_profile(samples)
    n = profile.shape[1]
    if not 1 <= wavenumber < n / 2:
        raise ValueError(f"wavenumber must be from 1 to {(n - 1) // 2} on {n} points along y, got {wavenumber}.")
    return 2 * jnp.mean(profile * np.cos(2 * np.pi * wavenumber * np.arange(n) / n).astype(profile.dtype), axis=1)


def profile_anomalies(samples: Fields) -> Float[Array, "n channel y x"]:
    """ω − E[ω]: fields without the mean profile of their own set.

    Args:
        samples: fields indexed [y, x], any unit; n ≥ 1.

    Returns:
        The differences.

    Examples:
        >>> kurtosis(profile_anomalies(vorticity))
    """
    return jnp.asarray(samples) - mean_profile(samples)[:, :, None]
