"""Coarsening operators C′: known linear maps from fine to coarse fields, with adjoint and pseudo-inverse.

Every operator acts on the trailing space axes and leaves leading axes (channel, member, time) alone. All are
matrix-free or sparse, differentiable, and Equinox modules, so they pass through `jax.jit` as arguments.
"""

import functools
import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import sparse
from jaxtyping import Array, Float, Scalar

from subgrid.numerics.from_numpy import from_numpy
from subgrid.types import Spatial


class Subsample(eqx.Module):
    """Every f-th point along each axis: (C′x)_i = x_{f·i}.

    The rows are orthonormal, C′C′ᵀ = I, so the pseudo-inverse is the adjoint.

    Args:
        fine_shape: space shape of the fine field.
        factors: f, one integer an axis, or one for all.

    Raises:
        ValueError: if a factor does not divide its axis.

    Examples:
        >>> coarsen = Subsample((192,), 8)
        >>> coarsen(x).shape  # (..., 24)
    """

    fine_shape: Spatial = eqx.field(static=True)
    """Space shape of fine fields."""
    coarse_shape: Spatial = eqx.field(static=True)
    """Space shape of coarse fields."""
    factors: Spatial = eqx.field(static=True)
    """f of each axis."""

    def __init__(self, fine_shape: Sequence[int], factors: int | Sequence[int]):
        self.fine_shape, self.coarse_shape, self.factors = _blocks(fine_shape, factors)

    def __call__(self, x: Float[Array, "*fine"]) -> Float[Array, "*coarse"]:
        return x[(..., *(slice(None, None, f) for f in self.factors))]

    def adjoint(self, y: Float[Array, "*coarse"]) -> Float[Array, "*fine"]:
        """C′ᵀy: the coarse values at their points, zero elsewhere.

        Args:
            y: a coarse field, with any leading axes.

        Returns:
            A fine field.
        """
        return _with_zeros_between(y, self.factors)

    def pseudo_inverse(self, y: Float[Array, "*coarse"], ridge: float | Scalar = 0.0) -> Float[Array, "*fine"]:
        """C′ᵀ(C′C′ᵀ + ridge·I)⁻¹y, which for ridge = 0 is the Moore–Penrose inverse C′⁺y.

        Args:
            y: a coarse field, with any leading axes.
            ridge: not negative.

        Returns:
            A fine field.
        """
        return self.adjoint(y) / (1.0 + ridge)


class BlockMean(eqx.Module):
    """Mean over blocks of f₁ × f₂ × … = m points; C′C′ᵀ = I/m.

    Args:
        fine_shape: space shape of the fine field.
        factors: points of a block along each axis, or one number for all axes.

    Raises:
        ValueError: if a factor does not divide its axis.

    Examples:
        >>> coarsen = BlockMean((64, 64), 8)
        >>> coarsen(x).shape  # (..., 8, 8)
    """

    fine_shape: Spatial = eqx.field(static=True)
    """Space shape of fine fields."""
    coarse_shape: Spatial = eqx.field(static=True)
    """Space shape of coarse fields."""
    factors: Spatial = eqx.field(static=True)
    """Points of a block along each axis."""

    def __init__(self, fine_shape: Sequence[int], factors: int | Sequence[int]):
        self.fine_shape, self.coarse_shape, self.factors = _blocks(fine_shape, factors)

    def __call__(self, x: Float[Array, "*fine"]) -> Float[Array, "*coarse"]:
        lead = x.ndim - len(self.fine_shape)
        blocks = [size for pair in zip(self.coarse_shape, self.factors, strict=True) for size in pair]
        within = tuple(range(lead + 1, lead + len(blocks), 2))
        return x.reshape(*x.shape[:lead], *blocks).mean(within)

    def adjoint(self, y: Float[Array, "*coarse"]) -> Float[Array, "*fine"]:
        """C′ᵀy: each coarse value, divided by m, spread over its block.

        Args:
            y: a coarse field, with any leading axes.

        Returns:
            A fine field.
        """
        lead = y.ndim - len(self.fine_shape)
        for axis, factor in enumerate(self.factors):
            y = jnp.repeat(y, factor, axis=lead + axis)
        return y / math.prod(self.factors)

    def pseudo_inverse(self, y: Float[Array, "*coarse"], ridge: float | Scalar = 0.0) -> Float[Array, "*fine"]:
        """C′ᵀ(C′C′ᵀ + ridge·I)⁻¹y, which for ridge = 0 repeats each coarse value over its block.

        Args:
            y: a coarse field, with any leading axes.
            ridge: not negative.

        Returns:
            A fine field.
        """
        return self.adjoint(y) / (1.0 / math.prod(self.factors) + ridge)


class SparseCoarsening(eqx.Module):
    """Any sparse matrix C′ of shape (coarse points, fine points), acting on flattened space axes.

    The pseudo-inverse uses the eigendecomposition C′C′ᵀ = UΛUᵀ, made once on the host in float64; eigenvalues below
    `rank_tolerance`·max Λ are treated as zero, so dependent rows are allowed. Its size, coarse points squared, is a
    limitation that is *merely convenient*: beyond some 10⁴ coarse points an iterative solve would replace it.

    Args:
        matrix: C′, anything that `scipy.sparse.csr_array` accepts.
        fine_shape: space shape of the fine field.
        coarse_shape: space shape of the coarse field.
        rank_tolerance: part of the largest eigenvalue below which one counts as zero, 1e-6 by default.

    Raises:
        ValueError: if the matrix does not connect the two grids or holds values that are not finite.

    Examples:
        >>> regrid = SparseCoarsening(weights, fine_shape=(192,), coarse_shape=(24,))
    """

    matrix: sparse.BCOO
    """C′, float32."""
    transpose: sparse.BCOO
    """C′ᵀ, float32."""
    eigenvectors: Float[Array, "coarse coarse"]
    """U, one a column."""
    eigenvalues: Float[Array, " coarse"]
    """Λ, ascending, 0 below the tolerance."""
    fine_shape: Spatial = eqx.field(static=True)
    """Space shape of fine fields."""
    coarse_shape: Spatial = eqx.field(static=True)
    """Space shape of coarse fields."""

    def __init__(self, matrix, *, fine_shape: Sequence[int], coarse_shape: Sequence[int], rank_tolerance: float = 1e-6):
        from scipy.sparse import csr_array

        weights = csr_array(matrix).astype(np.float64)  # integers would overflow in the product below
        self.fine_shape, self.coarse_shape = tuple(fine_shape), tuple(coarse_shape)
        expected = (math.prod(self.coarse_shape), math.prod(self.fine_shape))
        if weights.shape != expected:
            raise ValueError(
                f"the matrix has shape {weights.shape}, but the grids {self.coarse_shape} and {self.fine_shape} "
                f"need {expected}: rows are coarse points, columns fine points."
            )
        if not np.isfinite(weights.data).all():
            raise ValueError("the coarsening matrix holds NaN or infinite weights.")
        gram = (weights @ weights.T).toarray()
        eigenvalues, eigenvectors = np.linalg.eigh(gram)
        eigenvalues[eigenvalues < rank_tolerance * eigenvalues.max()] = 0.0
        self.eigenvalues, self.eigenvectors = from_numpy(eigenvalues), from_numpy(eigenvectors)
        self.matrix, self.transpose = _of_scipy(weights), _of_scipy(weights.T)

    def __call__(self, x: Float[Array, "*fine"]) -> Float[Array, "*coarse"]:
        return _apply(self.matrix, x, self.fine_shape, self.coarse_shape)

    def adjoint(self, y: Float[Array, "*coarse"]) -> Float[Array, "*fine"]:
        """C′ᵀy.

        Args:
            y: a coarse field, with any leading axes.

        Returns:
            A fine field.
        """
        return _apply(self.transpose, y, self.coarse_shape, self.fine_shape)

    def pseudo_inverse(self, y: Float[Array, "*coarse"], ridge: float | Scalar = 0.0) -> Float[Array, "*fine"]:
        """C′ᵀ(C′C′ᵀ + ridge·I)⁻¹y on the range of C′; for ridge = 0 the Moore–Penrose inverse C′⁺y.

        Args:
            y: a coarse field, with any leading axes.
            ridge: not negative.

        Returns:
            A fine field.
        """
        kept = self.eigenvalues > 0
        inverse = jnp.where(kept, 1.0 / jnp.where(kept, self.eigenvalues + ridge, 1.0), 0.0)
        # Factor by factor: cheaper than their product, and the rounding of (C′C′ᵀ)⁻¹ as one matrix would grow with 1/λ.
        modes = _apply(self.eigenvectors.T, y, self.coarse_shape, self.eigenvalues.shape)
        return self.adjoint(_apply(self.eigenvectors, modes * inverse, self.eigenvalues.shape, self.coarse_shape))


class PaddedCoarsening(eqx.Module):
    """C′ on a grid that was padded at its far ends, for a network: it reads the part of the field that exists.

    Args:
        operator: C′ on the grid itself.
        padded: space shape of the padded grid.

    Raises:
        ValueError: for a padded grid that is smaller, or of another number of axes.

    Examples:
        >>> PaddedCoarsening(Subsample((19, 29), 1), (20, 32)).fine_shape
        (20, 32)
    """

    operator: Any
    """C′ on the grid itself."""
    fine_shape: Spatial = eqx.field(static=True)
    """Space shape of padded fields."""
    coarse_shape: Spatial = eqx.field(static=True)
    """Space shape of coarse fields."""

    def __init__(self, operator: Any, padded: Sequence[int]):
        inner = tuple(operator.fine_shape)
        if len(padded) != len(inner) or any(wide < n for wide, n in zip(padded, inner, strict=True)):
            raise ValueError(f"a grid of {inner} points cannot be padded to {tuple(padded)}.")
        self.operator, self.fine_shape, self.coarse_shape = operator, tuple(padded), tuple(operator.coarse_shape)

    def __call__(self, x: Float[Array, "*fine"]) -> Float[Array, "*coarse"]:
        return self.operator(x[(..., *(slice(0, n) for n in self.operator.fine_shape))])

    def adjoint(self, y: Float[Array, "*coarse"]) -> Float[Array, "*fine"]:
        """C′ᵀy, zero where the grid was padded.

        Args:
            y: a coarse field, with any leading axes.

        Returns:
            A padded fine field.
        """
        return self._pad(self.operator.adjoint(y))

    def pseudo_inverse(self, y: Float[Array, "*coarse"], ridge: float | Scalar = 0.0) -> Float[Array, "*fine"]:
        """C′ᵀ(C′C′ᵀ + ridge·I)⁻¹y, zero where the grid was padded.

        Args:
            y: a coarse field, with any leading axes.
            ridge: not negative.

        Returns:
            A padded fine field.
        """
        return self._pad(self.operator.pseudo_inverse(y, ridge))

    def _pad(self, x: Array) -> Array:
        grow = [(0, 0)] * (x.ndim - len(self.fine_shape))
        grow += [(0, wide - n) for wide, n in zip(self.fine_shape, self.operator.fine_shape, strict=True)]
        return jnp.pad(x, grow)


AnyCoarsening: TypeAlias = Subsample | BlockMean | SparseCoarsening


@functools.partial(jax.jit, static_argnums=1)
def _with_zeros_between(y: Array, factors: Spatial) -> Array:
    """f − 1 zeros after each value along the last axes."""
    lead = y.ndim - len(factors)
    return jax.lax.pad(y, jnp.zeros((), y.dtype), [(0, 0, 0)] * lead + [(0, f - 1, f - 1) for f in factors])


def _of_scipy(weights) -> sparse.BCOO:
    """A SciPy matrix as one of JAX, row by row, float32."""
    rows = weights.tocsr()
    rows.sum_duplicates()
    entries = rows.tocoo()
    arrays = from_numpy(entries.data), from_numpy(np.stack([entries.row, entries.col], axis=1), np.int32)
    return sparse.BCOO(arrays, shape=rows.shape, indices_sorted=True, unique_indices=True)


@functools.partial(jax.jit, static_argnums=(2, 3))
def _apply(matrix, x: Array, shape_in: Spatial, shape_out: Spatial) -> Array:
    lead = x.shape[: x.ndim - len(shape_in)]
    flat = x.reshape(-1, math.prod(shape_in))
    return (matrix @ flat.T).T.reshape(*lead, *shape_out)


def _blocks(fine_shape: Sequence[int], factors: int | Sequence[int]) -> tuple[Spatial, Spatial, Spatial]:
    """Fine shape, coarse shape and one factor an axis."""
    per_axis = (factors,) * len(fine_shape) if isinstance(factors, int) else tuple(factors)
    if len(per_axis) != len(fine_shape):
        raise ValueError(f"{len(per_axis)} factors given for a field with {len(fine_shape)} space axes.")
    for size, factor in zip(fine_shape, per_axis, strict=True):
        if factor < 1 or size % factor:
            raise ValueError(
                f"coarsening factor {factor} does not divide the {size} fine points; use a divisor of {size}."
            )
    coarse_shape = tuple(size // factor for size, factor in zip(fine_shape, per_axis, strict=True))
    return tuple(fine_shape), coarse_shape, per_axis
