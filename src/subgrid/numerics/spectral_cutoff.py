"""The coarsening that keeps the modes of a coarse grid: a field of low resolution as functions have it."""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Scalar

from subgrid.numerics.from_numpy import from_numpy
from subgrid.numerics.modes import Boundary, Box
from subgrid.types import Spatial


class SpectralCutoff(eqx.Module):
    """The field on a coarse grid that has its modes, multiplied by a gain: (C′x)_k = g_k x_k.

    With N and n points, C′C′ᵀ = g² n/N in the modes of the coarse grid. Nyquist waves are left out.

    Args:
        fine_shape: space shape of the fine field.
        coarse_shape: space shape of the coarse field, of any ratio to the fine one.
        boundary: "periodic" (default), or "neumann" for cosines between walls.
        gain: g of the stored modes of the coarse grid (`Box.weights` has their shape), with channels first where they
            differ; default 1.

    Raises:
        ValueError: if the coarse grid has modes that the fine one lacks.

    Examples:
        >>> coarsen = SpectralCutoff((64, 64), (16, 16))
        >>> coarsen(x).shape  # (..., 16, 16)
    """

    fine_shape: Spatial = eqx.field(static=True)
    """Space shape of fine fields."""
    coarse_shape: Spatial = eqx.field(static=True)
    """Space shape of coarse fields."""
    boundary: Boundary = eqx.field(static=True)
    """What happens at the sides."""
    gain: Float[Array, "..."]
    """g."""

    def __init__(
        self,
        fine_shape: Sequence[int],
        coarse_shape: Sequence[int],
        boundary: Boundary = "periodic",
        *,
        gain: Float[Array | np.ndarray, "..."] | None = None,
    ):
        self.boundary = boundary
        box = Box((1.0,) * len(fine_shape), boundary)
        self.fine_shape = box.require_shape(fine_shape, "fine_shape")
        self.coarse_shape = box.require_shape(coarse_shape, "coarse_shape")
        if not box.holds(self.fine_shape, self.coarse_shape):
            raise ValueError(f"a grid of {self.fine_shape} points does not hold the modes of {self.coarse_shape}.")
        plain = 1.0 if gain is None else gain
        dtype = jnp.result_type(float)
        self.gain = plain.astype(dtype) if isinstance(plain, jax.Array) else from_numpy(plain, dtype)

    @property
    def _box(self) -> Box:
        return Box((1.0,) * len(self.fine_shape), self.boundary)

    @property
    def _ratio(self) -> float:
        return float(np.prod(self.coarse_shape) / np.prod(self.fine_shape))

    def __call__(self, x: Float[Array, "*fine"]) -> Float[Array, "*coarse"]:
        modes = self._box.resize_modes(self._box.to_modes(x), self.fine_shape, self.coarse_shape)
        return self._box.from_modes(self.gain * modes, self.coarse_shape)

    def adjoint(self, y: Float[Array, "*coarse"]) -> Float[Array, "*fine"]:
        """C′ᵀy: the same modes on the fine grid, times g n/N.

        Args:
            y: a coarse field, with any leading axes.

        Returns:
            A fine field.
        """
        return self._lift(self._ratio * self.gain * self._box.to_modes(y))

    def pseudo_inverse(self, y: Float[Array, "*coarse"], ridge: float | Scalar = 0.0) -> Float[Array, "*fine"]:
        """C′ᵀ(C′C′ᵀ + ridge·I)⁻¹y, which for ridge = 0 is the field of these modes and no others, divided by g.

        Args:
            y: a coarse field, with any leading axes.
            ridge: not negative.

        Returns:
            A fine field.
        """
        total = self._ratio * self.gain**2 + ridge
        return self._lift(self._ratio * self.gain / jnp.where(total > 0, total, jnp.inf) * self._box.to_modes(y))

    def _lift(self, modes: Array) -> Array:
        # Waves that the coarse grid holds by one phase only are not among those that the operator keeps.
        kept = modes * (self._box.weights(self.coarse_shape) > 0)
        return self._box.from_modes(self._box.resize_modes(kept, self.coarse_shape, self.fine_shape), self.fine_shape)
