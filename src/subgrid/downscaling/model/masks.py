"""Plain fields that have no values at some points, the same at all times: what is filled in, and C′ of the others."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Bool, Float
from scipy.sparse import csr_array, vstack

from subgrid.data.fields import CHANNEL_DIM, DataError, space_dims
from subgrid.numerics.operators import SparseCoarsening
from subgrid.types import Coarsening

VALUES_AT_ONCE = 2**22
"""Of rows that are made at a time: 16 MiB."""


@dataclass(frozen=True)
class MaskedField:
    """A field whose missing points hold the means of their channels.

    Args:
        field: finite where the file's values are finite at all times, or nowhere else missing.
        mask: (*space), True where it has values; None where there is no mask.
        fill: (channel,), what missing points hold.
    """

    field: xr.DataArray
    mask: Bool[np.ndarray, "*space"] | None
    fill: Float[np.ndarray, " channel"]


def without_mask(field: xr.DataArray) -> MaskedField:
    """Fills points that have no value at any time; those that lack one at times are left for `samples_of` to refuse.

    Args:
        field: with a dimension "channel".

    Returns:
        The field, and its mask.
    """
    space = space_dims(field)
    over = [dim for dim in field.dims if dim not in space]
    valid = field.notnull()
    always = valid.all(over)
    means = field.mean([dim for dim in field.dims if dim != CHANNEL_DIM])
    fill = np.asarray(means.values, np.float32)
    if bool(always.all()) or bool((valid.any(over) != always).any()):
        return MaskedField(field, None, fill)
    return MaskedField(field.fillna(means).transpose(*field.dims), np.asarray(always.transpose(*space).values), fill)


def masked_coarsening(
    operator: Coarsening,
    fine: Bool[np.ndarray, "*fine"] | None,
    coarse: Bool[np.ndarray, "*coarse"] | None,
    *,
    minimum_valid: float,
) -> tuple[SparseCoarsening, Bool[np.ndarray, "*coarse"]]:
    """C′ over the points that have values, weights made up to what they were; and which coarse points it keeps.

    Args:
        operator: C′ of whole fields.
        fine: fine points with values; None for all.
        coarse: coarse points with values; None for all.
        minimum_valid: share of its weight that a coarse point needs on fine points with values.

    Returns:
        C′ onto the kept coarse points, as a vector, and these.

    Raises:
        DataError: if none is left.
    """
    rows = rows_of(operator)
    inside = rows if fine is None else rows.multiply(fine.reshape(1, -1)).tocsr()
    inside.eliminate_zeros()
    share = abs(inside).sum(axis=1) / abs(rows).sum(axis=1)
    kept = (share >= minimum_valid) & (True if coarse is None else coarse.ravel())
    if not kept.any():
        raise DataError(
            "fine, coarse: no coarse point with values has fine ones with values under it; are the masks of one place?"
        )
    matrix = inside[np.flatnonzero(kept)].multiply(1 / share[kept, None])
    connecting = SparseCoarsening(matrix, fine_shape=operator.fine_shape, coarse_shape=(int(kept.sum()),))
    return connecting, kept.reshape(operator.coarse_shape)


def rows_of(operator: Coarsening) -> csr_array:
    """C′ as a sparse matrix (coarse points, fine points), float64.

    Args:
        operator: of any kind.

    Returns:
        Its rows, C′ᵀ of unit fields, some at a time: memory is that of what is not 0.
    """
    shape, n = tuple(operator.coarse_shape), int(np.prod(operator.coarse_shape))
    block = max(1, VALUES_AT_ONCE // int(np.prod(operator.fine_shape)))
    parts = []
    for first in range(0, n, block):
        units = jnp.eye(min(block, n - first), n, first).reshape(-1, *shape)
        found = np.asarray(jax.vmap(operator.adjoint)(units), np.float64)
        parts.append(csr_array(found.reshape(len(units), -1)))
    return csr_array(vstack(parts))
