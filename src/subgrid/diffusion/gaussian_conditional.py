"""A Gaussian conditioned on coarse values: N(m_y, Σ_y) with its eigenpairs, once for all y.

    m_y = m + G(y − C′m),   Σ_y = Σ − GC′Σ,   G = ΣC′ᵀS⁻¹,   S = C′ΣC′ᵀ + N

S is often near singular (neighbouring values of a smooth field are alike), the gain G never: it is computed in float64
and kept, not S⁻¹, which would cost single precision its last four digits.

With Σ of r components and a remainder ρ, Σ_y differs from ρI only in the span of those components and of the rows of
C′, so it is again a `GaussianPrior`, of at most r + n components for n coarse values.
"""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from subgrid.diffusion.gaussian_prior import FULL, GaussianPrior
from subgrid.numerics.from_numpy import from_numpy
from subgrid.numerics.threads import one_blas_thread
from subgrid.types import Coarsening

DEPENDENT = 1e-12
"""Of the largest variance of coarse values: less is one that follows from the others."""
NOTHING = 3e-14
"""Of the prior's largest variance: less is rounding, in float64, of a component that the coarse values determine."""


class ConditionalGaussian(eqx.Module):
    """p(x | C′x + noise = y) of a Gaussian x, for every y.

    Args:
        prior: N(m, Σ) of x.
        operator: C′.
        gain: G, one field for each of the n coarse values.
        whitening: S^-½, of the flattened coarse values.
        spread: N(0, Σ_y).
        noise_variance: N: one number for all values of y, or one for each.

    Examples:
        >>> conditional = condition(prior, Subsample((192,), 8), (1, 24))
        >>> x = conditional.given(y).sample(key=key)
    """

    prior: GaussianPrior
    operator: Coarsening
    gain: Float[Array, "n *shape"]
    """G, one field for each coarse value."""
    whitening: Float[Array, "n n"]
    """S^-½, of the flattened coarse values."""
    spread: GaussianPrior
    """N(0, Σ_y)."""
    noise_variance: Float[Array, "*coarse"]
    """N: one number for all values of y, or one for each."""

    def mean(self, y: Float[Array, "*coarse"]) -> Float[Array, "*shape"]:
        """m_y, of the shape of a field."""
        innovation = (y - self.operator(self.prior.mean)).reshape(-1)
        return self.prior.mean + jnp.tensordot(innovation, self.gain, 1, precision=FULL)

    def given(self, y: Float[Array, "*coarse"]) -> GaussianPrior:
        """N(m_y, Σ_y)."""
        return eqx.tree_at(lambda g: g.mean, self.spread, self.mean(y))

    def distance(self, y: Float[Array, "*coarse"]) -> Float[Array, ""]:
        """(y − C′m)ᵀS⁻¹(y − C′m)/n: how far y lies from the distribution of C′x; 1 on average inside it."""
        innovation = (y - self.operator(self.prior.mean)).reshape(-1)
        return jnp.mean(jnp.matmul(self.whitening, innovation, precision=FULL) ** 2)


@one_blas_thread()  # every process that draws makes it for itself, and draws follow from its bits
def condition(
    prior: GaussianPrior,
    operator: Coarsening,
    coarse_shape: tuple[int, ...],
    *,
    noise_variance: float | Float[np.ndarray | Array, "*noise"] = 0.0,
) -> ConditionalGaussian:
    """The Gaussian conditional of `prior` under `operator`, by dense algebra in float64 on the host.

    Args:
        prior: N(m, Σ) of fields of shape (channel, *space), with r components.
        operator: C′, on the space axes.
        coarse_shape: of y, (channel, *coarse).
        noise_variance: N, of the noise in y: one number for all values, or one for each; 0 for exact values.

    Returns:
        The conditional, of up to r + n components. Memory is (r + 2n)·d + n², time (r + n)²·d: *merely convenient*, for
        some thousand coarse values at most.

    Raises:
        ValueError: for a noise variance that is negative or of another shape.

    Examples:
        >>> conditional = condition(prior, Subsample((192,), 8), (1, 24))
    """
    noise = checked_noise_variance(noise_variance, coarse_shape)
    n, shape = int(np.prod(coarse_shape)), prior.mean.shape
    support = np.asarray(prior.support, np.float64).reshape(-1)
    units = from_numpy(np.eye(n).reshape(n, *coarse_shape), jnp.result_type(float))
    rows = jax.vmap(operator.adjoint)(units)
    H = np.asarray(rows, np.float64).reshape(n, -1) * support
    V = _polished(np.asarray(prior.directions, np.float64).reshape(-1, H.shape[1]))
    rho = float(prior.remainder)
    excess = np.asarray(prior.variances, np.float64) - rho
    crossed = (H @ V.T * excess) @ V + rho * H  # C′Σ
    S = crossed @ H.T + np.diag(np.broadcast_to(noise, coarse_shape).reshape(-1))
    whitening = _inverse_root(S)
    explained = whitening @ crossed  # its square is what y explains of Σ
    basis = np.concatenate([V, _beyond(V, H)])
    within = rho + np.pad(excess, (0, len(basis) - len(V)))  # Σ in this basis is diagonal
    seen = basis @ explained.T
    variances, vectors = np.linalg.eigh(np.diag(within) - seen @ seen.T)
    variances, vectors = variances[::-1], vectors[:, ::-1]  # the largest first
    variances = np.where(variances > NOTHING * within.max(initial=0.0), variances, 0.0)
    components = (vectors.T @ basis).reshape(-1, *shape)
    as_array = functools.partial(from_numpy, dtype=prior.mean.dtype)
    spread = GaussianPrior(
        as_array(np.zeros(shape)), as_array(components), as_array(variances), prior.remainder, prior.support
    )
    gain = (whitening @ explained).reshape(n, *shape)
    return ConditionalGaussian(prior, operator, as_array(gain), as_array(whitening), spread, as_array(noise))


def checked_noise_variance(
    noise_variance: float | Float[np.ndarray | Array, "*noise"], coarse_shape: tuple[int, ...]
) -> np.ndarray:
    """The noise variance as an array that fits the coarse values.

    Args:
        noise_variance: one number for all coarse values, or one for each.
        coarse_shape: of the coarse values.

    Returns:
        float64, a scalar or of that shape.

    Raises:
        ValueError: naming both shapes, or the value that is negative or not finite.
    """
    noise = np.asarray(noise_variance, np.float64)
    require_noise_shape(noise.shape, coarse_shape)
    if not (np.isfinite(noise) & (noise >= 0)).all():
        raise ValueError(f"noise_variance must be finite and not negative, got {noise.min():.4g}.")
    return noise


def require_noise_shape(found: tuple[int, ...], coarse_shape: tuple[int, ...]) -> None:
    """Passes if noise variances are one number, or one for each coarse value.

    Args:
        found: shape of the noise variances.
        coarse_shape: of the coarse values.

    Raises:
        ValueError: naming both shapes.
    """
    if found not in ((), tuple(coarse_shape)):
        raise ValueError(
            f"noise_variance has the shape {found}, but the coarse values have {tuple(coarse_shape)}; give one number "
            "for all of them, or one for each."
        )


def _inverse_root(matrix: Float[np.ndarray, "n n"]) -> Float[np.ndarray, "n n"]:
    """S^-½ of a symmetric matrix; on its range where coarse values depend on each other or do not vary."""
    values, vectors = np.linalg.eigh(matrix)
    kept = values > DEPENDENT * values.max()
    return (vectors[:, kept] / np.sqrt(values[kept])) @ vectors[:, kept].T


def _polished(rows: Float[np.ndarray, "r d"]) -> Float[np.ndarray, "r d"]:
    """Rows that are orthonormal in single precision, in double precision: a Newton–Schulz step to the polar factor."""
    return rows - 0.5 * (rows @ rows.T @ rows - rows)


def _beyond(V: Float[np.ndarray, "r d"], rows: Float[np.ndarray, "k d"]) -> Float[np.ndarray, "j d"]:
    """An orthonormal basis, as rows, of what rows add to the span of orthonormal ones."""
    size = np.linalg.norm(rows, axis=1)
    for _ in range(2):  # once more, for what rounding left
        rows = rows - rows @ V.T @ V
    left = np.linalg.norm(rows, axis=1)
    rows = rows[left > 1e-7 * size] / left[left > 1e-7 * size, None]
    _, singular, basis = np.linalg.svd(rows, full_matrices=False)
    return basis[singular > 1e-7 * singular.max(initial=1.0)]
