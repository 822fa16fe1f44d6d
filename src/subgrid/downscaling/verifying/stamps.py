"""Time stamps of an ensemble that another program wrote, brought to their intervals as those of its reference are."""

import xarray as xr

from subgrid.data.checks.fills import STEP_DAYS, STORED, Stored
from subgrid.data.checks.missing import packing_of
from subgrid.data.fields import sample_dims
from subgrid.data.times.ends import stamped_at_end
from subgrid.data.times.given_bounds import time_bounds_of
from subgrid.data.times.stamps import dated_by, with_canonical_times

WRITTEN = "subgrid_version"
"""The attribute of a dataset that Subgrid wrote, whose stamps lie in their intervals already."""


def with_stamps(
    dataset: xr.Dataset, name: str, members: tuple[str, ...], *, source: str
) -> tuple[xr.DataArray, tuple[str, ...]]:
    """A variable whose stamps lie in the intervals that they are for, as archives have them when they are opened.

    Monthly means are often stamped at the end of their month, and hourly ones at the end of their hour: bounds of the
    times say so, and then the stamps of an ensemble have to move as those of its reference do.

    Args:
        dataset: decoded, with bounds if there are any.
        name: of the variable in it.
        members: its dimensions of members.
        source: for messages.

    Returns:
        The variable, its dimensions as they are, and what was done. Its encoding keeps what says where its stamps are.

    Raises:
        DataError: as `with_canonical_times`.
    """
    array, when = dataset[name], dated_by(dataset, name)
    lead = [d for d in sample_dims(array) if d not in members]
    if when is None or len(lead) > 1 or dataset[when].ndim > 1:  # dates beside numbers, as of forecasts
        return array, ()
    if WRITTEN in dataset.attrs and time_bounds_of(dataset, when)[0] is None:
        return array, ()
    found = with_canonical_times(dataset, name, file=source)
    own, times = dataset[when], found.dataset["time"].values
    if times.size != own.size:
        return array, ()
    result = array.assign_coords({when: (own.dims, times.reshape(own.shape), own.attrs)}).copy(deep=False)
    at_end = stamped_at_end(array, str(array.attrs.get("units", "")), bounded=found.bounded)
    # Fill values of ensembles are not looked for: what is missing in them is NaN.
    result.encoding = {**array.encoding, STORED: [Stored(None, packing_of(array), None, True, at_end)]}
    result.encoding |= {} if found.only_length is None else {STEP_DAYS: found.only_length}
    return result, found.notes
