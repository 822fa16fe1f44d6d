"""Guidance by the posterior covariance of a Gaussian prior, known in closed form.

    D̃ = D + S C′ᵀ (C′ S C′ᵀ + Σ_y)⁻¹ (y − C′D),    S = σ²Σ(Σ + σ²I)⁻¹

Moment matching (see `moments.py`) with S in the place of the network's own σ²∂D/∂x: no vector–Jacobian
products, no iterations, one network evaluation a level. Exact when the prior is that Gaussian; where a network refines
it, the mean D is the network's and only the *gain* is Gaussian, as in an ensemble Kalman filter (Evensen 2003,
doi:10.1007/s10236-003-0036-9).
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Scalar

from subgrid.diffusion.gaussian_conditional import require_noise_shape
from subgrid.diffusion.gaussian_prior import FULL, GaussianPrior
from subgrid.types import Coarsening, Denoiser

NoiseVariance = float | Float[Array, "*noise"]
"""Σ_y: one number, or an array of the coarse values' shape, which the guidance checks."""
ROUNDING = 32 * float(jnp.finfo(jnp.float32).eps)
"""Of the largest eigenvalue: what float32 leaves of one that is 0 is up to some units in the last place of it."""


class Innovations(NamedTuple):
    """How coarse values vary given x at one noise level, under the Gaussian.

    Args:
        spread: S C′ᵀ, a row for each of the n coarse values.
        variances: eigenvalues of C′ S C′ᵀ + Σ_y.
        directions: its eigenvectors, as columns.
    """

    spread: Float[Array, "n *shape"]
    """S C′ᵀ, a row for each coarse value."""
    variances: Float[Array, " n"]
    """Eigenvalues of C′ S C′ᵀ + Σ_y."""
    directions: Float[Array, "n n"]
    """Its eigenvectors, as columns."""

    @property
    def precisions(self) -> Float[Array, " n"]:
        """1/λ of every eigenvalue λ, and 0 of those that are rounding: 1/(λ + λ(τ/λ)⁸), τ = `ROUNDING`·λ_max.

        A direction in which C′x does not vary has an eigenvalue and a spread of rounding errors, whose quotient is any
        number. The filter has no edge, which rounding could step over; it is 1/λ but for .4 % at 2τ.
        """
        relative = jnp.maximum(self.variances / self._largest, 1e-3 * ROUNDING)
        return 1 / (relative * (1 + (ROUNDING / relative) ** 8)) / self._largest

    @property
    def log_normalisation(self) -> Scalar:
        """½ log det 2π(C′ S C′ᵀ + Σ_y), eigenvalues that are rounding taken for τ."""
        return jnp.sum(jnp.log(2 * math.pi * jnp.maximum(self.variances, ROUNDING * self._largest))) / 2

    @property
    def _largest(self) -> Scalar:
        return jnp.maximum(jnp.max(self.variances), jnp.finfo(self.variances.dtype).tiny)

    def solve(self, values: Float[Array, "n *rest"]) -> Float[Array, "n *rest"]:
        """(C′ S C′ᵀ + Σ_y)⁻¹ times coarse values, in the directions in which they vary."""
        within = jnp.tensordot(self.directions, values, (0, 0), precision=FULL)
        weighed = self.precisions.reshape(-1, *(1,) * (values.ndim - 1)) * within
        return jnp.tensordot(self.directions, weighed, 1, precision=FULL)


def innovations(
    prior: GaussianPrior, operator: Coarsening, shape: tuple[int, ...], sigma: Scalar, noise_variance: NoiseVariance
) -> Innovations:
    """S C′ᵀ, and C′ S C′ᵀ + Σ_y by its eigenpairs, at one noise level, with S = σ²Σ(Σ + σ²I)⁻¹.

    n products with Σ, dense in n.

    Args:
        prior: N(m, Σ).
        operator: C′.
        shape: of the coarse values, n of them.
        sigma: noise level σ.
        noise_variance: Σ_y, one number or one for each coarse value.

    Returns:
        Both matrices.
    """
    units = jnp.eye(math.prod(shape)).reshape(-1, *shape)
    rows = jax.vmap(operator.adjoint)(units)
    spread = jax.vmap(lambda row: prior.posterior_covariance(row, sigma))(rows)
    gram = jax.vmap(operator)(spread).reshape(len(units), len(units))
    noise = jnp.broadcast_to(jnp.asarray(noise_variance), shape).reshape(-1)
    return Innovations(spread, *jnp.linalg.eigh(gram + jnp.diag(noise)))


def gaussian_gain(
    denoiser: Denoiser,
    operator: Coarsening,
    target: Float[Array, "*coarse"],
    *,
    prior: GaussianPrior,
    noise_variance: NoiseVariance = 0.0,
) -> Denoiser:
    """The denoiser D̃ of p(x | C′x + N(0, Σ_y) = y), its gain from `prior`.

        D̃ = D + S C′ᵀ (C′ S C′ᵀ + Σ_y)⁻¹ (y − C′D),    S = σ²Σ(Σ + σ²I)⁻¹

    With exact observations C′D̃ = y at every noise level, whatever the denoiser, in all directions in which C′x varies
    by more than rounding; in others, where no x of the prior has another value than C′m, nothing is put in.

    Args:
        denoiser: D of p(x).
        operator: C′.
        target: y in the denoiser's units.
        prior: with the covariance Σ.
        noise_variance: Σ_y, one number or one for each value of y.

    Returns:
        A denoiser. Each level decomposes one dense matrix of as many rows as y has values (merely convenient: a few
        thousand at most).

    Raises:
        ValueError: for a noise variance of another shape.

    References:
        Evensen (2003), doi:10.1007/s10236-003-0036-9 (the gain of the ensemble Kalman filter).

    Examples:
        >>> guided = gaussian_gain(denoiser, operator, y, prior=prior)
    """
    require_noise_shape(jnp.shape(noise_variance), target.shape)

    def guided(x, sigma):
        denoised = denoiser(x, sigma)
        found = innovations(prior, operator, target.shape, sigma, noise_variance)
        weights = found.solve((target - operator(denoised)).reshape(-1))
        return denoised + jnp.tensordot(weights, found.spread, 1, precision=FULL)

    return guided
