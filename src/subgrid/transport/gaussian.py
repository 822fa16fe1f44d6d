"""Optimal transport between Gaussians, in closed form: the linear map that matches mean and covariance.

    T(y) = m₂ + A (y − m₁),    A = Σ₁^(−½) (Σ₁^½ Σ₂ Σ₁^½)^½ Σ₁^(−½)

(Olkin & Pukelsheim 1982, doi:10.1016/0024-3795(82)90112-4.) Between any two distributions with these moments it is the
best *linear* transport for the squared distance, and it leaves both in the order in which it finds them: no ranks
change along the principal axes of A.
"""

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Float

from subgrid.numerics.from_numpy import from_numpy
from subgrid.transport.unpaired import require_same_fields


class GaussianMap(eqx.Module):
    """T(y) = m₂ + A (y − m₁), of fields of d values.

    Args:
        matrix: A.
        source_mean: m₁.
        target_mean: m₂.
    """

    matrix: Float[Array, "d d"]
    source_mean: Float[Array, " d"]
    target_mean: Float[Array, " d"]

    @eqx.filter_jit
    def __call__(self, y: Float[Array, "*coarse"]) -> Float[Array, "*coarse"]:
        return (self.target_mean + self.matrix @ (y.reshape(-1) - self.source_mean)).reshape(y.shape)


def fit_gaussian_map(
    source: Float[Array, "n *coarse"], target: Float[Array, "m *target_coarse"], *, ridge: float = 1e-6
) -> GaussianMap:
    """The map between the Gaussian distributions that have the samples' means and covariances.

        T(y) = m₂ + A (y − m₁),    A = Σ₁^(−½) (Σ₁^½ Σ₂ Σ₁^½)^½ Σ₁^(−½)

    Args:
        source: samples.
        target: samples in the same units and of the same shape.
        ridge: added to both covariances in units of their mean variance, default 1e-6, so that components in which
            neither set varies are left alone instead of divided by zero.

    Returns:
        The map, in float32.

    Raises:
        ValueError: shapes that do not match, or fewer than d + 1 samples of d values, which do not determine a
            covariance.

    References:
        Olkin & Pukelsheim (1982), doi:10.1016/0024-3795(82)90112-4.

    Examples:
        >>> transport = fit_gaussian_map(coarse, coarsened_fine)
        >>> debiased = jax.vmap(transport)(coarse)
    """
    require_same_fields(source, target)
    (m1, cov1), (m2, cov2) = _moments(source), _moments(target)
    d = len(m1)
    if min(len(source), len(target)) <= d:
        raise ValueError(
            f"a covariance of {d} values needs more than {d} samples; got {len(source)} and {len(target)}. "
            "Bring more data, or leave this map out (debias.corrections)."
        )
    jitter = ridge * (np.trace(cov1) + np.trace(cov2)) / (2 * d) * np.eye(d)
    matrix = monge_matrix(cov1 + jitter, cov2 + jitter)
    return GaussianMap(*map(from_numpy, (matrix, m1, m2)))


def monge_matrix(
    source_covariance: Float[np.ndarray, "d d"], target_covariance: Float[np.ndarray, "d d"]
) -> Float[np.ndarray, "d d"]:
    """A = Σ₁^(−½) (Σ₁^½ Σ₂ Σ₁^½)^½ Σ₁^(−½), symmetric, with A Σ₁ A = Σ₂; in float64, on the host.

    Args:
        source_covariance: Σ₁, positive definite.
        target_covariance: Σ₂.

    Returns:
        A.

    References:
        Olkin & Pukelsheim (1982), doi:10.1016/0024-3795(82)90112-4.

    Examples:
        >>> monge_matrix(np.eye(2), 4 * np.eye(2))  # 2 I
    """
    root, inverse_root = square_roots(source_covariance)
    middle, _ = square_roots(root @ target_covariance @ root)
    return inverse_root @ middle @ inverse_root


def square_roots(covariance: Float[np.ndarray, "d d"]) -> tuple[Float[np.ndarray, "d d"], Float[np.ndarray, "d d"]]:
    """Σ^½ and Σ^(−½) of a symmetric positive definite matrix.

    Args:
        covariance: Σ.

    Returns:
        Both, symmetric.
    """
    values, vectors = np.linalg.eigh(covariance)
    root = np.sqrt(np.maximum(values, np.finfo(float).tiny))
    return (vectors * root) @ vectors.T, (vectors / root) @ vectors.T


def _moments(samples: Array) -> tuple[np.ndarray, np.ndarray]:
    flat = np.asarray(jax.device_get(samples), np.float64).reshape(len(samples), -1)
    return flat.mean(0), np.cov(flat.T).reshape(flat.shape[1], flat.shape[1])
