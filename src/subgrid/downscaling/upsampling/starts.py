"""Where a bridge starts: the fine field that a coarse one becomes without any detail; fields may have leading axes.

| start | formula | of |
|---|---|---|
| cubic | splines, or Keys' convolution, along one axis after the other | grids whose axes are multiples of each other |
| Gaussian | x₀ = m + G(y − C′m), G = ΣC′ᵀ(C′ΣC′ᵀ)⁻¹ | any C′ and any mask |

The second is the best linear estimate of a fine field from its coarse values, with mean and covariance of the fine
archive: what geostatistics calls simple kriging (Matheron 1963, doi:10.2113/gsecongeo.58.8.1246).
"""

from collections.abc import Callable, Sequence

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from subgrid.data.normalise import Standardiser
from subgrid.diffusion.gaussian_conditional import condition
from subgrid.diffusion.gaussian_prior import FULL
from subgrid.downscaling.interpolation.cubic import cubic_interpolation
from subgrid.downscaling.prior.gaussian_part import gaussian_part_of
from subgrid.downscaling.prior.training import TrainingSettings
from subgrid.types import Coarsening


class CubicStart(eqx.Module):
    """Interpolation of one axis after the other, by the weights of any rule; most often `cubic_interpolation`.

    Args:
        matrices: for each axis one (fine, coarse).
    """

    matrices: tuple[Float[Array, "_ _"], ...]

    def __call__(self, y: Float[Array, "*lead_and_coarse"]) -> Float[Array, "*lead_and_fine"]:
        return interpolate(self.matrices, y)


class GaussianStart(eqx.Module):
    """x₀ = m + G(y − C′m), physical units.

    Args:
        mean: m, a fine field.
        coarse_mean: C′m.
        gain: G, a fine field for each value of y.
    """

    mean: Float[Array, "channel *fine"]
    coarse_mean: Float[Array, "channel *coarse"]
    gain: Float[Array, "n channel *fine"]

    def __call__(self, y: Float[Array, "*lead_and_coarse"]) -> Float[Array, "*lead_and_fine"]:
        lead = y.shape[: y.ndim - self.coarse_mean.ndim]
        innovation = (y - self.coarse_mean).reshape(*lead, -1)
        return self.mean + jnp.tensordot(innovation, self.gain, 1, precision=FULL)


def interpolate(matrices: Sequence[Array], fields: Float[Array, "*lead_and_coarse"]) -> Float[Array, "*lead_and_fine"]:
    """Each of the last axes multiplied by its matrix (fine × coarse).

    Args:
        matrices: one an axis.
        fields: with any leading axes.

    Returns:
        Fine fields.
    """
    for axis, matrix in zip(range(-len(matrices), 0), matrices, strict=True):
        fields = jnp.moveaxis(jnp.moveaxis(fields, axis, -1) @ matrix.T, -1, axis)
    return fields


def cubic_start(coarse: Sequence[int], factors: Sequence[int], *, centred: bool, periodic: bool) -> CubicStart:
    """The cubic start between two grids.

    Args:
        coarse: points along each axis.
        factors: fine points for each.
        centred: whether a coarse value lies in the middle of its fine points.
        periodic: whether axes wrap around.

    Returns:
        The start.
    """
    rule = {"centred": centred, "periodic": periodic}
    axes = zip(coarse, factors, strict=True)
    return CubicStart(
        tuple(jnp.asarray(cubic_interpolation(np.eye(n, dtype=np.float32), (f,), **rule).T) for n, f in axes)
    )


def local_start(
    rule: Callable[..., np.ndarray], coarse: Sequence[int], factors: Sequence[int], *, centred: bool, periodic: bool
) -> CubicStart:
    """The start of a rule that knows the neighbours alone.

    Args:
        rule: `keys_weights` or `linear_weights`.
        coarse: points along each axis.
        factors: fine points for each.
        centred: whether a coarse value lies in the middle of its fine points.
        periodic: whether axes wrap around.

    Returns:
        The start.

    Examples:
        >>> start = local_start(keys_weights, (16, 16), (16, 16), centred=False, periodic=True)
    """
    axes = zip(coarse, factors, strict=True)
    matrices = (rule(n, f, centred=centred, periodic=periodic) for n, f in axes)
    return CubicStart(tuple(jnp.asarray(matrix, jnp.float32) for matrix in matrices))


def gaussian_start(
    fine: Float[np.ndarray, "n channel *fine"],
    standardiser: Standardiser,
    operator: Coarsening,
    *,
    translation_invariant: bool,
) -> GaussianStart:
    """The Gaussian start of an archive of fine fields under C′.

    Args:
        fine: the archive.
        standardiser: of its fields.
        operator: C′.
        translation_invariant: whether a shifted field is as likely; the Gaussian then has the fields' spectrum.

    Returns:
        The start.

    References:
        Matheron (1963), doi:10.2113/gsecongeo.58.8.1246.

    Examples:
        >>> start = gaussian_start(fine, fit_standardiser(fine), Subsample((192,), 8), translation_invariant=True)
        >>> start(y).shape  # (1, 192) of (1, 24)
    """
    n_channels, n_space = fine.shape[1], fine.ndim - 2
    gaussian = gaussian_part_of(fine, standardiser, TrainingSettings(translation_invariant=translation_invariant))
    conditional = condition(gaussian, operator, (n_channels, *operator.coarse_shape))
    mean = standardiser.restore(gaussian.mean, n_space)
    of_coarse = jnp.repeat(standardiser.std, len(conditional.gain) // n_channels)
    gain = conditional.gain * standardiser.std.reshape(-1, *(1,) * n_space) / of_coarse.reshape(-1, *(1,) * mean.ndim)
    return GaussianStart(mean, operator(mean), gain)


def blank_gaussian_start(n_channels: int, coarse: tuple[int, ...], fine: tuple[int, ...]) -> GaussianStart:
    """Zeros of the right shapes, to load a stored start into.

    Args:
        n_channels: of the fields.
        coarse: points of the coarse grid along each axis.
        fine: of the fine one.

    Returns:
        A start of zeros.
    """
    of_coarse, of_fine = jnp.zeros((n_channels, *coarse)), jnp.zeros((n_channels, *fine))
    return GaussianStart(of_fine, of_coarse, jnp.zeros((of_coarse.size, *of_fine.shape)))
