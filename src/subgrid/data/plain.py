"""Plain fields from any source: variables on one grid, with or without coordinates, side by side.

A variable with a dimension "channel" is taken apart into variables of one channel each, here and nowhere else: u_0, u_1
or u_east, u_north, by the labels of the dimension.
"""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import xarray as xr

from subgrid.data.checks.fills import STORED, Stored
from subgrid.data.checks.missing import NOTHING, packing_of, says_missing, without_missing
from subgrid.data.checks.unseen import check_fields
from subgrid.data.fields import CHANNEL_DIM, DataError, channel_dims
from subgrid.data.grids.coordinates import gridded_variables
from subgrid.data.pooling.pooling import NOTES
from subgrid.data.sources.sources import Source, read_sources
from subgrid.data.times.stamps import has_dates
from subgrid.data.variables.quantities import QUANTITY_ATTRIBUTE
from subgrid.data.variables.unit_spellings import between_units, same_unit
from subgrid.data.variables.units import Conversion
from subgrid.data.variables.wanted import Variable, Variables, name_in, wanted_variables

Fields: TypeAlias = Source | xr.DataArray


def open_plain(
    source: Fields, variables: Variables | None = None, *, name: str = "fine", units: Sequence[str] = ()
) -> xr.Dataset:
    """The variables of an archive of plain fields, lazily, one channel each.

    Args:
        source: a DataArray, a Dataset, a NetCDF file, a Zarr store or a URL.
        variables: names, or {name: names in files}; by default the only variable that there is, or all channels of it.
        name: what messages call a source that is no file.
        units: to convert each variable to, in their order; "" and what has no units itself stay as they are.

    Returns:
        A dataset of these variables, on one grid.

    Raises:
        DataError: for a source that cannot be read, a variable that is not there, several where none is named,
            variables on different grids, and units that cannot be converted.

    Examples:
        >>> fine = open_plain("fine.zarr", ["u", "v"])
    """
    whole = _read(source, name)
    dataset = split_channels(whole)
    chosen = _chosen(dataset, whole, variables, name)
    first = next(iter(chosen.values()))
    for variable, field in chosen.items():
        if set(field.dims) != set(first.dims):
            raise DataError(
                f"{name}: {variable} has the dimensions {field.dims}, and {first.name} {first.dims}; variables of one "
                "model share their grid."
            )
    result = xr.Dataset(attrs=dataset.attrs)
    given = wanted_variables(variables) or {}
    for (variable, field), unit in zip(chosen.items(), units or [""] * len(chosen), strict=True):
        valid, notes = _valid(field)
        convert, said = _conversion(valid, unit, name)
        result[variable] = _converted(valid, convert).transpose(*first.dims)
        is_declared = NOTHING in given.get(variable, Variable()).missing
        stored = Stored(convert, packing_of(field), None, is_declared)
        result[variable].encoding = {**field.encoding, STORED: [stored], NOTES: (*notes, *said)}
    return result


def check_plain(dataset: xr.Dataset, *, name: str) -> None:
    """Every value of plain fields, read once: they have no units that could contradict them, but fill values.

    A `DataError` names number, place and share of points of what is infinite or a fill value that nothing declares.
    """
    for field in dataset.data_vars.values():
        bare = field.assign_attrs({QUANTITY_ATTRIBUTE: "other"})  # a name alone makes no quantity of it
        bare.encoding = field.encoding
        check_fields(bare, name=name)


def as_dataset(source: Fields, name: str = "field") -> Source:
    """A DataArray as a Dataset of one variable, `name` if it has none; any other source as it is."""
    return source.to_dataset(name=source.name or name) if isinstance(source, xr.DataArray) else source


def split_channels(dataset: xr.Dataset) -> xr.Dataset:
    """A dataset without channel dimensions: a variable for each channel.

    Args:
        dataset: of any variables.

    Returns:
        The dataset; variables without channels are untouched.

    Raises:
        DataError: for a channel that would have the name of another variable.

    Examples:
        >>> list(split_channels(xr.Dataset({"u": (("time", "channel", "x"), np.zeros((3, 2, 8)))})))
        ['u_0', 'u_1']
    """
    parts: dict[str, xr.DataArray] = {}
    for variable, field in dataset.data_vars.items():
        if not channel_dims(field):
            parts[str(variable)] = field
            continue
        labels = field[CHANNEL_DIM].values if CHANNEL_DIM in field.coords else np.arange(field.sizes[CHANNEL_DIM])
        for i, label in enumerate(labels):
            single = field.isel({CHANNEL_DIM: i}).drop_vars(CHANNEL_DIM, errors="ignore")
            part = str(variable) if len(labels) == 1 else f"{variable}_{label}"
            if part in parts or (part != variable and part in dataset):
                raise DataError(f"the channel {label} of {variable} would be {part}, as another variable; rename one.")
            parts[part] = single
    return xr.Dataset(parts, attrs=dataset.attrs)


def stacked(dataset: xr.Dataset) -> xr.DataArray:
    """The variables of a dataset as channels of one field, for `samples_of`.

    Args:
        dataset: from `open_plain`.

    Returns:
        A field with a dimension "channel"; attributes of the first variable.
    """
    names = list(dataset.data_vars)
    field = xr.concat([dataset[n] for n in names], CHANNEL_DIM, coords="minimal", compat="override")
    return field.rename(str(names[0])).assign_attrs(dataset[names[0]].attrs if len(names) == 1 else {})


def _read(source: Fields, name: str) -> xr.Dataset:
    source = as_dataset(source)
    files = read_sources(source, name=name)
    if len(files) > 1:
        raise DataError(
            f"{name}: stands for {len(files)} files; give one, or join them first with "
            "xarray.open_mfdataset([…]).to_netcdf('joined.nc')."
        )
    return files[0].dataset


def _chosen(dataset: xr.Dataset, whole: xr.Dataset, variables: Variables | None, name: str) -> dict[str, xr.DataArray]:
    """Of a dataset with a variable a channel, and the same before it was taken apart."""
    held = [str(each) for each in dataset.data_vars if dataset[each].ndim > 1]
    wanted = wanted_variables(variables)
    if wanted is None:
        if not held or (len(held) != 1 and sum(each.ndim > 1 for each in whole.data_vars.values()) != 1):
            raise DataError(
                f"{name}: holds the variables {', '.join(held) or '(none)'}; say which with variables=[…], on the "
                "command line --variable."
            )
        return {each: dataset[each] for each in held}
    found: dict[str, xr.DataArray] = {}
    held = [str(each) for each in dataset.data_vars if dataset[each].ndim]  # one that is asked for may lack samples
    for variable, given in wanted.items():
        called = name_in(held, variable, given)
        if called is None:
            raise DataError(f"{name}: no variable {variable!r}; it holds {', '.join(held) or 'none'}.")
        found[variable] = _as_given(dataset[called].rename(variable), given, name)
    return found


def _valid(field: xr.DataArray) -> tuple[xr.DataArray, tuple[str, ...]]:
    """Without what the attributes of a file call no value, without these attributes, and what was left out."""
    packing = packing_of(field)
    if not says_missing(field, packing):
        return field, ()
    return without_missing(field if field.chunks is not None else field.chunk(), packing)


def _as_given(field: xr.DataArray, given: Variable, name: str) -> xr.DataArray:
    """With the units and the missing values that are given.

    Raises:
        DataError: for what only climate archives know.
    """
    if given.bounds is not None or given.quantity is not None:
        raise DataError(
            f"{name}: bounds and quantity of {field.name} are of archives with dates, latitudes and longitudes; plain "
            "arrays are taken as they are, so leave them out."
        )
    field = without_given(field, given.missing)
    return field if given.units is None else field.assign_attrs({**field.attrs, "units": given.units})


def without_given(field: xr.DataArray, missing: Sequence[float | str]) -> xr.DataArray:
    """A variable without values that are given as missing, as they are read; texts say nothing here."""
    for value in missing:
        field = field.where(field != value) if isinstance(value, int | float) else field
    return field


def _conversion(field: xr.DataArray, unit: str, name: str) -> tuple[Conversion | None, tuple[str, ...]]:
    """To another unit, where both are known; and a sentence where they are not the same."""
    own: Any = field.attrs.get("units", "")
    if unit and not own:
        return None, (f"{field.name}: no attribute 'units', taken to be in {unit!r} as those of the model are",)
    if not unit or same_unit(str(own), unit):
        return None, ()
    try:
        factor, offset = between_units(str(own), unit)
    except ValueError as error:
        raise DataError(
            f"{name}: {field.name} is in {own!r}, and the model in {unit!r}; convert it, or correct the attribute."
        ) from error
    return Conversion(factor, offset, "other", unit), (f"{field.name}: converted from {own!r} to {unit!r}",)


def _converted(field: xr.DataArray, convert: Conversion | None) -> xr.DataArray:
    """In another unit, in the precision of the field."""
    if convert is None:
        return field
    return (field * convert.factor + convert.offset).assign_attrs({**field.attrs, "units": convert.units})


def has_dates_and_places(dataset: xr.Dataset) -> bool:
    """Whether some variable of an archive has dates, latitudes and longitudes, as climate archives are read."""
    return not what_is_lacking(dataset)


def what_is_lacking(dataset: xr.Dataset) -> str:
    """What keeps an archive from being one with dates and places on the earth, in words.

    Args:
        dataset: an archive, opened.

    Returns:
        "latitudes and longitudes", "dates", or both; an empty text where nothing is lacking.
    """
    placed = gridded_variables(dataset, kinds="fiuSUO")
    if any(has_dates(dataset, name) for name in placed):
        return ""
    dated = any(has_dates(dataset, str(name)) for name in dataset.data_vars)
    missing = [*([] if placed else ["latitudes and longitudes"]), *([] if dated and not placed else ["dates"])]
    return " and ".join(missing)
