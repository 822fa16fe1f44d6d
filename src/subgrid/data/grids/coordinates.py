"""Coordinates by their CF meaning: where latitude, longitude, time and members are in a file, and the canonical grid.

A canonical field has the dimensions "lat" and "lon" on regular grids, "y" and "x" with 2-D coordinates lat, lon on
rotated and curvilinear ones, after "realization" and "time" where it has them. Regular latitudes ascend, regular
longitudes are in [-180, 180) and ascend; a region across the date line stays in one piece, so there they ascend past
180.
"""

from collections.abc import Hashable, Iterable
from dataclasses import replace
from typing import Any

import xarray as xr

from subgrid.data.checks.missing_places import with_places
from subgrid.data.fields import DataError
from subgrid.data.grids.canonical_grid import Placed, as_regular, place_curvilinear, place_regular
from subgrid.data.grids.positions import LATITUDES, LONGITUDES, Position, has_position, position_of
from subgrid.data.pooling.members import AVAILABLE, member_dim
from subgrid.data.sources.sources import first_line
from subgrid.data.times.absent_bounds import named_bounds
from subgrid.data.times.stamps import LEVELS, TIME_DIMS


def gridded_variables(dataset: xr.Dataset, *, kinds: str = "fiu") -> list[str]:
    """The variables of some kinds of types that have a latitude and a longitude: fields, not bounds or descriptions."""
    found = []
    for name, field in dataset.data_vars.items():
        is_bounds = str(name).endswith(("_bnds", "_bounds", "_vertices")) or str(name) in (*LATITUDES, *LONGITUDES)
        if field.ndim >= 2 and field.dtype.kind in kinds and not is_bounds and has_position(dataset, str(name)):
            found.append(str(name))
    return found


def on_canonical_grid(dataset: xr.Dataset, variable: str, *, file: str) -> Placed:
    """One variable with canonical dimensions, order and coordinates; bounds and grid mapping kept, the rest dropped.

    Args:
        dataset: decoded.
        variable: in it.
        file: for messages.

    Returns:
        A dataset of that variable, and what was converted or dropped.

    Raises:
        DataError: if latitude, longitude or the dates of a time dimension cannot be found, or a further dimension (such
            as height) has more than one level.

    Examples:
        >>> field = on_canonical_grid(xr.open_dataset("tas.nc"), "tas", file="tas.nc").dataset
    """
    position = with_places(position_of(dataset, variable, file=file), dataset[variable], file=file)
    position = as_regular(replace(position, notes=(*position.notes, *_without_bounds(dataset, position))))
    field, lat, lon = dataset[variable], position.lat, position.lon
    regular = lat.degrees.ndim == 1
    space = (lat.dims[0], lon.dims[0]) if regular else lat.dims
    rename: dict[Hashable, str] = dict(zip(space, ("lat", "lon") if regular else ("y", "x"), strict=True))
    time, members = _sample_dims(field, file)
    rename |= {time: "time"} if time else {}
    rename |= {members: "realization"} if members else {}
    bare = _squeezed(field, keep=rename, file=file)
    order = [d for d in ("realization", "time", *list(rename.values())[:2]) if d in rename.values()]
    bare = bare.drop_vars(list(bare.coords)).rename(rename).transpose(*order)
    placed = xr.Dataset({variable: bare}, attrs=dataset.attrs)
    if time:
        placed = placed.assign_coords(time=("time", *_bare(dataset[time])))
    if members and members in dataset.coords:
        placed = placed.assign_coords(realization=("realization", *_bare(dataset[members])))
    if AVAILABLE in dataset.coords and set(dataset[AVAILABLE].dims) <= set(placed.dims):
        placed = placed.assign_coords({AVAILABLE: dataset[AVAILABLE].variable})
    if regular:
        return place_regular(placed, position, file=file)
    return place_curvilinear(_with_mapping(placed, dataset, lat.dims, variable), position)


def _without_bounds(dataset: xr.Dataset, position: Position) -> list[str]:
    """What is said of bounds that cannot be used: cells then end between their centres."""
    axes = [axis for axis in (position.lat, position.lon) if axis.name in dataset.variables]
    named = [(axis, name) for axis in axes if (name := named_bounds(dataset[axis.name])) is not None]
    absent = [name for _, name in named if name not in dataset.variables]
    shaped = {1: 2, 2: 4}
    strange = [
        f"{name} ({' × '.join(map(str, dataset[name].shape))})"
        for axis, name in named
        if name in dataset.variables
        and (axis.bounds is None or axis.bounds.shape != (*axis.degrees.shape, shaped[axis.degrees.ndim]))
    ]
    found = [(absent, "named, but not in the file"), (strange, "no two edges or four corners for each cell")]
    return [
        f"the bounds {' and '.join(each)} are {why}: cells end in the middle between their centres"
        for each, why in found
        if each
    ]


def _with_mapping(placed: xr.Dataset, dataset: xr.Dataset, dims: tuple[str, ...], variable: str) -> xr.Dataset:
    """A field with the coordinates of its own rows and columns, and the grid mapping that they are in."""
    for old, new in zip(dims, ("y", "x"), strict=True):
        if old in dataset.coords:
            placed = placed.assign_coords({new: (new, *_bare(dataset[old]))})
    field = dataset[variable]
    mapping = field.encoding.get("grid_mapping", field.attrs.get("grid_mapping"))
    if mapping in dataset.variables:
        placed = placed.assign_coords({str(mapping): dataset[mapping].variable})
        placed[variable].attrs["grid_mapping"] = str(mapping)
    return placed


def _sample_dims(field: xr.DataArray, file: str) -> tuple[str | None, str | None]:
    """Names of the dimensions of time and of members, where there are any."""
    by_axis = [str(d) for d in field.dims if d in field.coords and field[d].attrs.get("axis") == "T"]
    dates = [str(d) for d in field.dims if d in field.coords and field[d].dtype.kind == "M"]
    time = next(iter([*by_axis, *dates, *(d for d in TIME_DIMS if d in field.dims)]), None)
    if time is not None and time not in field.coords:
        raise DataError(f"{file}: {field.name} has a dimension {time!r} without dates; add them as a coordinate.")
    return time, member_dim(field)


def _squeezed(field: xr.DataArray, *, keep: Iterable[Hashable], file: str) -> xr.DataArray:
    extra = [d for d in field.dims if d not in set(keep)]
    for dim in extra:
        if field.sizes[dim] != 1:
            vertical = LEVELS.fullmatch(str(dim)) or (dim in field.coords and field[dim].attrs.get("axis") == "Z")
            what = "levels along" if vertical else "entries along the dimension"
            members = "" if vertical else f", or, if they are members, dataset.rename({dim}='realization')"
            raise DataError(
                f"{file}: {field.name} has {field.sizes[dim]} {what} {str(dim)!r}; choose one, for instance "
                f"with dataset.isel({dim}=0){members}."
            )
    return field.isel(dict.fromkeys(extra, 0))


def _bare(coordinate: xr.DataArray) -> tuple[Any, dict[Hashable, Any]]:
    try:
        return coordinate.values, {k: v for k, v in coordinate.attrs.items() if k != "bounds"}
    except Exception as error:  # times that are decoded when they are read
        raise DataError(f"{coordinate.name} cannot be read ({first_line(error)}).") from error
