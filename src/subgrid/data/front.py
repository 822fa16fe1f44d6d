"""`open`: any archive, as a model would see it."""

import xarray as xr

from subgrid.data.canonical import open_climate
from subgrid.data.plain import Fields, as_dataset, has_dates_and_places, open_plain
from subgrid.data.sources.sources import read_sources
from subgrid.data.times.steps import Step
from subgrid.data.variables.wanted import Variables


def open(
    source: Fields, variables: Variables | None = None, *, step: Step | None = None, name: str = "fields"
) -> xr.Dataset:
    """An archive, lazily, as a model would see it.

    With dates, latitudes and longitudes: canonical names, units and calendar, members pooled, files joined. Plain
    arrays: as they are, a variable for each channel.

    Args:
        source: a path, folder, glob or URL of NetCDF or Zarr, a Dataset, a DataArray, or a list of these.
        variables: names, a mapping {name: name or names in files}, or {name: Variable(…)}; by default all of a climate
            archive, and the only one of plain arrays.
        step: "day" or "month" averages a climate archive; None leaves its times.
        name: what messages call a source that is no file.

    Returns:
        A dataset.

    Raises:
        DataError: for what cannot be read or understood, naming the file, the variable and the fix.

    Examples:
        >>> fine = subgrid.open("EOBS_*.nc", ["tas"])
    """
    source = as_dataset(source)
    if has_dates_and_places(read_sources(source, name=name)[0].dataset):
        return open_climate(source, variables, name=name, step=step)
    return open_plain(source, variables, name=name)
