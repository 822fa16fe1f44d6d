"""Conditioning a prior of functions: its noise made white, so that any guidance and sampler serves.

The noise is N(0, sC). In the coordinates x = Wu, W = (N λ₂)^{−1/2} mode by mode, it is white, and the prior is a
denoiser as any other, with C′W⁻¹ in place of C′ (`functional.white_form`).
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Scalar

from subgrid.data.normalise import Standardiser
from subgrid.diffusion.driver import draw
from subgrid.diffusion.gaussian_conditional import ConditionalGaussian, condition
from subgrid.diffusion.gaussian_prior import GaussianPrior
from subgrid.downscaling.prior.functions import require_few_points
from subgrid.downscaling.upsampling.guided import DiffusionUpsampler, MethodFor
from subgrid.downscaling.upsampling.particles import ParticleUpsampler
from subgrid.functional.function_diffusion import FunctionDiffusion
from subgrid.functional.gaussian_field import GaussianField
from subgrid.functional.guidance import from_white, to_white, white_form
from subgrid.functional.preconditioning import ModewiseOperator, PointwiseOperator
from subgrid.functional.preparation import FunctionSpace
from subgrid.types import Coarsening, Denoiser, Key

ROUNDING = 1e-10
"""Of the largest eigenvalue: less is rounding of coarse values that depend on each other."""


class Whitened(eqx.Module):
    """C′W⁻¹: a coarsening of fields, of the white coordinates of a noise.

    Args:
        operator: C′.
        noise: N(0, C), whose W this is.
    """

    operator: Coarsening
    """C′."""
    values: Float[Array, " n"]
    """Eigenvalues of C′W⁻²C′ᵀ, 0 where they are rounding."""
    vectors: Float[Array, "n n"]
    """Its eigenvectors, as columns."""
    noise: GaussianField = eqx.field(static=True)
    """Of W."""
    fine_shape: tuple[int, ...] = eqx.field(static=True)
    """Of space."""
    coarse_shape: tuple[int, ...] = eqx.field(static=True)
    """Of space, as C′ gives it."""

    def __init__(self, operator: Coarsening, noise: GaussianField):
        self.operator, self.noise = operator, noise
        self.fine_shape, self.coarse_shape = tuple(operator.fine_shape), tuple(operator.coarse_shape)
        n = int(np.prod(self.coarse_shape))
        rows = jax.vmap(self.adjoint)(jnp.eye(n).reshape(n, 1, *self.coarse_shape))
        rows = np.asarray(rows, np.float64).reshape(n, -1)
        values, vectors = np.linalg.eigh(rows @ rows.T)
        kept = np.where(values > ROUNDING * values.max(), values, 0.0)
        self.values, self.vectors = jnp.asarray(kept, jnp.float32), jnp.asarray(vectors, jnp.float32)

    def __call__(self, x: Float[Array, "*lead_and_fine"]) -> Float[Array, "*lead_and_coarse"]:
        return self.operator(self._colour(x))

    def adjoint(self, y: Float[Array, "*lead_and_coarse"]) -> Float[Array, "*lead_and_fine"]:
        """W⁻¹C′ᵀy; W is its own adjoint.

        Args:
            y: a coarse field.

        Returns:
            White coordinates of a fine field.
        """
        return self._colour(self.operator.adjoint(y))

    def pseudo_inverse(
        self, y: Float[Array, "*lead_and_coarse"], ridge: float | Scalar = 0.0
    ) -> Float[Array, "*lead_and_fine"]:
        """A⁺y of A = C′W⁻¹, or Aᵀ(AAᵀ + ridge·I)⁻¹y.

        Args:
            y: a coarse field.
            ridge: ≥ 0, default 0.

        Returns:
            White coordinates of a fine field.
        """
        total = jnp.where(self.values > 0, self.values + ridge, jnp.inf)
        weights = (y.reshape(-1, len(total)) @ self.vectors / total) @ self.vectors.T
        return self.adjoint(weights.reshape(y.shape))

    def _colour(self, x: Float[Array, "*lead_and_fine"]) -> Float[Array, "*lead_and_fine"]:
        """W⁻¹ over the last axes."""
        return from_white(x.reshape(-1, *self.fine_shape), self.noise).reshape(x.shape)


def gaussian_of(model: FunctionDiffusion, shape: tuple[int, ...]) -> GaussianPrior:
    """The Gaussian of the measured spectrum on a grid, in white coordinates: variances λ₁/λ₂ of the modes.

    Dense, *merely convenient*: for grids of some thousand points.

    Args:
        model: a prior of functions.
        shape: of the grid.

    Returns:
        N(0, Σ) of fields (channel, *shape); Nyquist waves have no variance.
    """
    space, n = model.space, int(np.prod(shape))
    first, second = (np.asarray(each.mode_variances(shape)) for each in (space.data, space.noise))
    ratio = np.where(second > 0, first / np.where(second > 0, second, 1.0), 0.0)
    with jax.enable_x64(True):
        unit = jnp.eye(n, dtype=jnp.float64).reshape(n, *shape)
        covariances = [np.asarray(space.noise.box.multiply(unit, own)).reshape(n, n) for own in ratio]
    components, variances = [], []
    for channel, covariance in enumerate(covariances):
        values, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
        fields = np.zeros((n, space.n_channels, *shape))
        fields[:, channel] = vectors.T.reshape(n, *shape)
        components.append(fields)
        variances.append(np.maximum(values, 0.0))
    order = np.argsort(np.concatenate(variances))[::-1]
    parts = np.concatenate(components)[order], np.concatenate(variances)[order]
    whole = (space.n_channels, *shape)
    mean, remainder, support = np.zeros(whole), np.zeros(()), np.ones(whole)
    return GaussianPrior(*(jnp.asarray(part, jnp.float32) for part in (mean, *parts, remainder, support)))


class FunctionUpsampler(eqx.Module):
    """One draw of u ~ p(u | C′u = y) from a prior of functions, in physical units.

    Args:
        upsampler: of white coordinates.
        operator: C′ of the fine grid.
        space: of the prior.
    """

    upsampler: DiffusionUpsampler | ParticleUpsampler
    """Of white coordinates."""
    operator: Coarsening
    """C′."""
    space: FunctionSpace = eqx.field(static=True)
    """Of the prior."""

    def __call__(self, y: Float[Array, "channel *coarse"], *, key: Key) -> Float[Array, "channel *fine"]:
        x = self.upsampler(self.target(y), key=key)
        return self.space.standard.inverse(from_white(x, self.space.noise))

    def target(self, y: Float[Array, "channel *coarse"]) -> Float[Array, "channel *coarse"]:
        """C′W⁻¹ of white coordinates for every field with C′u = y.

        Args:
            y: a coarse field, physical units.

        Returns:
            The same, standardised.
        """
        return standard_target(self.space, self.operator, y)

    def white(self, u: Float[Array, "channel *fine"]) -> Float[Array, "channel *fine"]:
        """The white coordinates of a field.

        Args:
            u: on the fine grid, physical units.

        Returns:
            W(u − μ)/s.
        """
        return to_white(self.space.standard.forward(u), self.space.noise)


class KnownFunctionUpsampler(eqx.Module):
    """One draw of μ(·|y) from a conditional model of functions, which needs no guidance.

    What the Gaussian of the measured spectrum says of the field given y is solved exactly by the method. Members keep
    to y as closely as the network has learned to, not by construction.

    Args:
        model: trained with y = C′u as the known field.
        operator: C′ of the fine grid.
        conditional: the Gaussian of its spectrum under C′, from `white_conditional`.
        noise_levels: (level,), decreasing, of white coordinates.
        method: of sampling, given the Gaussian conditional.
    """

    model: FunctionDiffusion
    """Conditional."""
    operator: Coarsening
    """C′."""
    conditional: ConditionalGaussian
    """Of white coordinates."""
    noise_levels: Float[Array, " level"]
    """Decreasing."""
    method: MethodFor
    """Given the Gaussian conditional."""

    def __call__(self, y: Float[Array, "channel *coarse"], *, key: Key) -> Float[Array, "channel *fine"]:
        space, fine = self.model.space, tuple(self.operator.fine_shape)
        gaussian = self.conditional.given(standard_target(space, self.operator, y))
        denoiser = WhiteDenoiser(self.model.operator, space, fine, space.shown(y))
        x = draw(denoiser, gaussian.mean.shape, self.noise_levels, method=self.method(gaussian), key=key)
        return space.standard.inverse(from_white(x, space.noise))


def standard_target(
    space: FunctionSpace, operator: Coarsening, y: Float[Array, "channel *coarse"]
) -> Float[Array, "channel *coarse"]:
    """C′ of the standardised field for every field with C′u = y.

    Args:
        space: of the model.
        operator: C′.
        y: a coarse field, physical units.

    Returns:
        The same, standardised.
    """
    mean = space.standard.inverse(jnp.zeros((len(y), *operator.fine_shape)))
    return (y - operator(mean)) / jnp.asarray(space.standard.scale).reshape(-1, *(1,) * (y.ndim - 1))


def white_conditional(model: FunctionDiffusion, operator: Coarsening) -> ConditionalGaussian:
    """The Gaussian part of a prior of functions under C′, in white coordinates.

    Args:
        model: the prior.
        operator: C′, from a grid that holds the modes of the training's.

    Returns:
        The conditional; its operator is C′W⁻¹.

    Raises:
        ValueError: for a fine grid below the band of the training, or of more than some thousand points.
    """
    shape = model.space.require_target(tuple(operator.fine_shape))
    require_few_points(shape)
    white = Whitened(operator, model.space.noise)
    return condition(gaussian_of(model, shape), white, (model.space.n_channels, *operator.coarse_shape))


def white_denoiser(model: FunctionDiffusion, shape: tuple[int, ...]) -> Denoiser:
    """The denoiser of white coordinates on a grid.

    Args:
        model: the prior.
        shape: of the grid.

    Returns:
        D(x, σ).
    """
    return WhiteDenoiser(model.operator, model.space, shape)


def unscaled(model: FunctionDiffusion) -> Standardiser:
    """Of white coordinates, which are standardised already.

    Args:
        model: the prior.

    Returns:
        Mean 0 and standard deviation 1 of every channel.
    """
    return Standardiser(jnp.zeros(model.space.n_channels), jnp.ones(model.space.n_channels))


def trained_range(model: FunctionDiffusion) -> tuple[float, float]:
    """The smallest and the largest noise level of the training, standard deviations of white coordinates.

    Args:
        model: the prior.

    Returns:
        (√s_L, √s₁).
    """
    return model.smallest**0.5, model.largest**0.5


class WhiteDenoiser(eqx.Module):
    """D(x, σ) = W G(W⁻¹x, σ²) of a trained operator, given what is known."""

    operator: ModewiseOperator | PointwiseOperator
    space: FunctionSpace = eqx.field(static=True)
    shape: tuple[int, ...] = eqx.field(static=True)
    known: Float[Array, "known *given"] | None = None

    def __call__(self, x: Float[Array, "channel *fine"], sigma: Scalar) -> Float[Array, "channel *fine"]:
        return white_form(self._denoised, self.space.noise, self.shape)(x, sigma)

    def _denoised(self, v: Array, s: Scalar | float, known: None = None) -> Array:
        return self.operator(v, s, self.known)
