"""Checks of values before they are averaged: a mean of a month hides a fill value that nothing declares."""

import uuid
from collections.abc import Sequence

import numpy as np
import xarray as xr

from subgrid.data.checks.extremes import check_extremes, check_suspects
from subgrid.data.checks.fills import Suspect


class Unaveraged:
    """Checks blocks of a field while they are averaged, so that nothing is read twice and memory stays flat.

    Args:
        field: canonical, its encoding as `pool` leaves it; only its coordinates and attributes are kept.
        file: for messages where the file is not known.

    Examples:
        >>> Unaveraged(field, "tas.nc").check(values, [slice(0, 31), slice(0, 4), slice(0, 5)])
    """

    def __init__(self, field: xr.DataArray, file: str) -> None:
        nothing = np.broadcast_to(np.float32(np.nan), field.shape)
        self._field = xr.DataArray(nothing, field.coords, field.dims, field.name, field.attrs)
        self._field.encoding = dict(field.encoding)
        self._file, self._token = file, uuid.uuid4().hex

    def __dask_tokenize__(self) -> str:
        return self._token

    def check(self, values: np.ndarray, at: Sequence[slice]) -> None:
        """Passes for a block whose values the variable can have, none of them a fill value that nothing declares.

        Args:
            values: of the block.
            at: where it lies in the field.

        Raises:
            DataError: naming file, variable, time and place.
        """
        block = self._field.isel(dict(zip(self._field.dims, at, strict=True))).copy(data=values)
        suspects: dict[float, Suspect] = {}
        extremes = check_extremes(block, self._field, values, self._file, suspects)
        check_suspects(self._field, suspects, extremes, self._file)
