"""Covariances of many values from few samples, and the linear transport between two such distributions.

With n samples of d values the sample covariance S spreads its eigenvalues, the more the larger d/n is, and a transport
that divides by the smallest of them is noise. Ledoit & Wolf (2004, doi:10.1016/S0047-259X(03)00096-4) pull S towards a
multiple of the identity,

    Σ* = ρ μ I + (1 − ρ) S,    μ = tr S/d,    ρ = min(b², δ²)/δ²,
    δ² = ‖S − μI‖²_F,          b² = (1/n²) Σ_k ‖x_k x_kᵀ − S‖²_F,

where ρ minimises the expected error E‖Σ* − Σ‖²_F for independent samples as n, d → ∞. Days that depend on each other
carry less than n samples; ρ is then too small, never too large (a limitation that is *merely convenient*).

What a transport needs is not two correlation matrices but their *difference*, and of two small samples that is mostly
noise. A strength s ∈ [0, 1] pools them,

    R₁′ = R̄ + s (R₁ − R̄),    R₂′ = R̄ + s (R₂ − R̄),    R̄ = (R₁ + R₂)/2:

at s = 1 the transport is that of the samples, at s = 0 it moves means and variances alone. Left-out years choose s
(`downscaling/debiasing/choice.py`).
"""

import jax
import numpy as np
from jaxtyping import Array, Float

from subgrid.numerics.from_numpy import from_numpy
from subgrid.transport.gaussian import GaussianMap, monge_matrix

RIDGE = 1e-6
"""Added to both correlation matrices: components in which neither set varies are left alone, not divided by zero."""


def ledoit_wolf(samples: Float[np.ndarray, "n d"]) -> tuple[Float[np.ndarray, "d d"], float]:
    """The covariance Σ* and its shrinkage ρ, in float64.

        Σ* = ρ μ I + (1 − ρ) S,    μ = tr S/d,    ρ = min(b², δ²)/δ²,
        δ² = ‖S − μI‖²_F,          b² = (1/n²) Σ_k ‖x_k x_kᵀ − S‖²_F

    Args:
        samples: rows; their mean is removed.

    Returns:
        Σ* and ρ ∈ [0, 1].

    Raises:
        ValueError: fewer than 2 samples.

    References:
        Ledoit & Wolf (2004), doi:10.1016/S0047-259X(03)00096-4.

    Examples:
        >>> covariance, shrinkage = ledoit_wolf(fields.reshape(len(fields), -1))
    """
    if len(samples) < 2:
        raise ValueError(f"a covariance needs at least 2 samples, got {len(samples)}.")
    x = samples.astype(np.float64) - samples.mean(0, dtype=np.float64)
    n, d = x.shape
    S = x.T @ x / n
    mean_variance = np.trace(S) / d
    distance = np.sum((S - mean_variance * np.eye(d)) ** 2)
    # Σ_k ‖x_k x_kᵀ − S‖² = Σ_k ‖x_k‖⁴ − n‖S‖²
    noise = (np.sum(np.sum(x**2, 1) ** 2) / n - np.sum(S**2)) / n
    shrinkage = float(np.clip(noise / distance, 0.0, 1.0)) if distance > 0 else 1.0
    return shrinkage * mean_variance * np.eye(d) + (1 - shrinkage) * S, shrinkage


def fit_shrunk_gaussian_map(
    source: Float[Array, "n *coarse"], target: Float[Array, "m *target_coarse"], *, strength: float = 1.0
) -> tuple[GaussianMap, tuple[float, float]]:
    """The linear Monge map between standardised fields, with Ledoit–Wolf correlations in place of sample covariances.

    T(y) = m₂ + D₂ A D₁⁻¹ (y − m₁),    D = diag(standard deviations),    A the Monge map of the shrunk correlations.

    Means and variances are those of the samples (shrinking them would bias every margin); only the correlations are
    shrunk. Standardising makes it the best linear transport for ‖D₂⁻¹T(y) − D₁⁻¹y‖², so K and mm/day can be mapped
    jointly. Any number of samples from 2 on will do, unlike `fit_gaussian_map`.

    Args:
        source: samples.
        target: samples in the same units and of the same shape.
        strength: s, how much of the difference of the two correlation matrices is moved, from 0 to 1, default 1.

    Returns:
        The map, and the shrinkage ρ of the source and of the target.

    Raises:
        ValueError: for shapes that do not match, fewer than 2 samples, or a strength outside 0 to 1.

    References:
        Ledoit & Wolf (2004), doi:10.1016/S0047-259X(03)00096-4.

    Examples:
        >>> transport, _ = fit_shrunk_gaussian_map(coarse, coarsened_fine, strength=0.6)
        >>> debiased = jax.vmap(transport)(coarse)
    """
    if not 0 <= strength <= 1:
        raise ValueError(f"strength must lie between 0 and 1, got {strength}.")
    if source.shape[1:] != target.shape[1:]:
        raise ValueError(
            f"source fields have shape {source.shape[1:]}, target fields {target.shape[1:]}; they must agree."
        )
    (m1, d1, first, rho1), (m2, d2, second, rho2) = _shrunk_moments(source), _shrunk_moments(target)
    pooled, jitter = (first + second) / 2, RIDGE * np.eye(len(m1))
    first, second = (pooled + strength * (each - pooled) for each in (first, second))
    matrix = d2[:, None] * monge_matrix(first + jitter, second + jitter) / d1
    return GaussianMap(*map(from_numpy, (matrix, m1, m2))), (rho1, rho2)


def _shrunk_moments(samples: Array) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Mean, standard deviation, shrunk correlation matrix and ρ; a value that never varies keeps a scale of one."""
    flat = np.asarray(jax.device_get(samples), np.float64).reshape(len(samples), -1)
    mean, std = flat.mean(0), flat.std(0)
    scale = np.where(std > 0, std, 1.0)
    correlation, shrinkage = ledoit_wolf((flat - mean) / scale)
    return mean, scale, correlation, shrinkage
