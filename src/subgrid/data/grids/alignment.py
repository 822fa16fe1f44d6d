"""Whether two archives speak of the same place in the same words: axes, units, coordinates of space.

C′ counts points; nothing in it would notice a map that is upside down, transposed, or in other units.
"""

import jax.numpy as jnp
import numpy as np

from subgrid.data.fields import DataError, Samples
from subgrid.types import Coarsening


def check_aligned(coarse: Samples, fine: Samples, operator: Coarsening) -> None:
    """Passes where names, units and coordinates of two archives, as far as both have them, agree.

    Args:
        coarse: samples on the coarse grid.
        fine: samples on the fine grid.
        operator: C′, from the fine to the coarse grid.

    Raises:
        DataError: for axes in another order, other units, or a coarse axis that is not the coarsened fine one to half a
            coarse cell.

    Examples:
        >>> check_aligned(coarse, fine, BlockMean((64, 64), 8))
    """
    if set(coarse.space_dims) == set(fine.space_dims) and coarse.space_dims != fine.space_dims:
        raise DataError(
            f"{coarse.source}: its space axes are {coarse.space_dims}, those of {fine.source} {fine.space_dims}; "
            "transpose one of them."
        )
    if coarse.units and fine.units and not _same_units(coarse.units, fine.units):
        raise DataError(
            f"{coarse.source}: {coarse.name} is in {coarse.units!r}, {fine.source} in {fine.units!r}; convert one of "
            "them: a debiaser would learn the units as a bias."
        )
    for axis, (there, here) in enumerate(zip(coarse.space_dims, fine.space_dims, strict=True)):
        _check_axis(coarse, fine, operator, axis, there, here)


def _check_axis(coarse: Samples, fine: Samples, operator: Coarsening, axis: int, there: str, here: str) -> None:
    """C′ of the fine axis against the coarse one; nothing where either has no numbers along it."""
    given, known = _numbers(coarse, there), _numbers(fine, here)
    if given is None or known is None or len(given) < 2:
        return
    along = known.reshape([-1 if a == axis else 1 for a in range(fine.n_space)])
    middle, offset = float(known.mean()), np.broadcast_to(along - known.mean(), operator.fine_shape)
    wanted = np.asarray(operator(jnp.asarray(offset[None], jnp.float32)))[0] + middle
    wanted = np.moveaxis(wanted, axis, 0).reshape(wanted.shape[axis], -1).mean(1)
    cell = np.abs(np.diff(given)).max()
    if np.abs(wanted - given).max() > 0.51 * cell:
        raise DataError(
            f"{coarse.source}: {there} runs from {given[0]:.6g} to {given[-1]:.6g}, but {here} of {fine.source}, "
            f"coarsened, from {wanted[0]:.6g} to {wanted[-1]:.6g}; sort, shift or cut one of them."
        )


def _numbers(samples: Samples, dim: str) -> np.ndarray | None:
    """The coordinate of an axis as numbers, if it has one."""
    if dim not in samples.coords or samples.coords[dim].dims != (dim,):
        return None
    values = samples.coords[dim].values
    return values.astype(np.float64) if np.issubdtype(values.dtype, np.number) else None


def _same_units(first: str, second: str) -> bool:
    """Whether two names are of one unit; names that are not known have to be equal."""
    if first.strip() == second.strip():
        return True
    from subgrid.data.variables.unit_spellings import same_unit

    return same_unit(first, second)
