"""Coordinates by their CF meaning: where latitude, longitude, time and members are in a file, and the canonical grid.

A canonical field has the dimensions "lat" and "lon" on regular grids, "y" and "x" with 2-D coordinates lat, lon on
rotated and curvilinear ones, after "realization" and "time" where it has them. Regular latitudes ascend, regular
longitudes are in [-180, 180) and ascend; a region across the date line stays in one piece, so there they ascend past
180.
"""

from collections.abc import Hashable, Iterable
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float

from subgrid.data.cf.members import member_dim
from subgrid.data.cf.sources import first_line
from subgrid.data.cf.stamps import TIME_DIMS
from subgrid.data.fields import DataError

LATITUDES = ("lat", "latitude", "Latitude", "nav_lat", "XLAT", "LAT", "lat_2d", "TLAT", "yt_ocean")
LONGITUDES = ("lon", "longitude", "Longitude", "nav_lon", "XLONG", "LON", "long", "lon_2d", "TLONG", "xt_ocean")


def gridded_variables(dataset: xr.Dataset) -> list[str]:
    """The numeric variables that have a latitude and a longitude: fields, not bounds or grid descriptions."""
    found = []
    for name, field in dataset.data_vars.items():
        is_bounds = str(name).endswith(("_bnds", "_bounds", "_vertices")) or str(name) in (*LATITUDES, *LONGITUDES)
        if field.ndim >= 2 and field.dtype.kind in "fiu" and not is_bounds and _position(dataset, str(name)):
            found.append(str(name))
    return found


def on_canonical_grid(dataset: xr.Dataset, variable: str, *, file: str) -> xr.Dataset:
    """One variable with canonical dimensions, order and coordinates; bounds and grid mapping kept, the rest dropped.

    Args:
        dataset: decoded.
        variable: in it.
        file: for messages.

    Returns:
        A dataset of that variable.

    Raises:
        DataError: if latitude, longitude or the dates of a time dimension cannot be found, or a further dimension (such
            as height) has more than one level.

    Examples:
        >>> field = on_canonical_grid(xr.open_dataset("tas.nc"), "tas", file="tas.nc")
    """
    position = _position(dataset, variable)
    if position is None:
        raise DataError(
            f"{file}: {variable} has dimensions {dataset[variable].dims} and no latitude and longitude among its "
            "coordinates; add both, with the units 'degrees_north' and 'degrees_east'."
        )
    latitude, longitude = position
    field, lat, lon = dataset[variable], dataset[latitude], dataset[longitude]
    regular = lat.ndim == 1
    if regular and lat.dims == lon.dims:
        raise DataError(f"{file}: {variable} is a list of points along {lat.dims[0]!r}, not a grid; grid it first.")
    space = (lat.dims[0], lon.dims[0]) if regular else lat.dims[-2:]
    rename = dict(zip(space, ("lat", "lon") if regular else ("y", "x"), strict=True))
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
    if regular:
        return _regular(placed, dataset, lat, lon, file)
    return _curvilinear(placed, dataset, lat, lon, field, file)


def _position(dataset: xr.Dataset, variable: str) -> tuple[str, str] | None:
    """Names of latitude and longitude of a variable, by CF meaning (cf-xarray), else by name."""
    import cf_xarray  # noqa: F401  # pyright: ignore[reportUnusedImport]  (adds the accessor .cf)

    by_meaning = dataset.cf.coordinates
    described = {
        axis: [n for n, v in dataset.data_vars.items() if v.attrs.get("standard_name") == axis]
        for axis in ("latitude", "longitude")
    }
    latitude = _first(dataset, variable, [*by_meaning.get("latitude", []), *described["latitude"], *LATITUDES])
    longitude = _first(dataset, variable, [*by_meaning.get("longitude", []), *described["longitude"], *LONGITUDES])
    if latitude is None or longitude is None or dataset[latitude].ndim != dataset[longitude].ndim:
        return None
    return latitude, longitude


def _first(dataset: xr.Dataset, variable: str, names: Iterable[Hashable]) -> str | None:
    dims = set(dataset[variable].dims)
    for name in names:
        if name in dataset.variables and name != variable:
            found = dataset[name]
            rotated = str(found.attrs.get("standard_name", "")).startswith("grid_")
            if found.ndim and set(found.dims) <= dims and not rotated:
                return str(name)
    return None


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
            raise DataError(
                f"{file}: {field.name} has {field.sizes[dim]} levels along {str(dim)!r}; choose one, for instance "
                f"with dataset.isel({dim}=0)."
            )
    return field.isel(dict.fromkeys(extra, 0))


def _regular(placed: xr.Dataset, dataset: xr.Dataset, lat: xr.DataArray, lon: xr.DataArray, file: str) -> xr.Dataset:
    degrees = np.asarray(lon.values, np.float64)
    wrapped = _wrapped_axis(degrees)
    _check_axis("latitude", np.asarray(lat.values, np.float64), (-90.0, 90.0), file)
    _check_axis("longitude", degrees, (-360.0, 540.0), file)
    placed = placed.assign_coords(
        lat=("lat", np.asarray(lat.values, np.float64), _kept(lat, standard_name="latitude", units="degrees_north")),
        lon=("lon", wrapped, _kept(lon, standard_name="longitude", units="degrees_east")),
    )
    for axis, shift in ((lat, np.zeros(lat.size)), (lon, wrapped - degrees)):
        placed = _with_bounds(placed, dataset, axis, "lat" if axis is lat else "lon", shift)
    placed = _without_cyclic_point(placed, degrees).sortby(["lat", "lon"])
    for name in ("lat", "lon"):
        if (np.diff(placed[name].values) < 1e-9).any():
            raise DataError(f"{file}: {name} holds the same value twice; remove the repeated row or column.")
    return placed


def _curvilinear(
    placed: xr.Dataset, dataset: xr.Dataset, lat: xr.DataArray, lon: xr.DataArray, field: xr.DataArray, file: str
) -> xr.Dataset:
    lead = dict.fromkeys(lat.dims[:-2], 0)  # WRF repeats the coordinates at every time
    lat, lon = lat.isel(lead), lon.isel(lead).transpose(*lat.dims[-2:])
    degrees = (np.asarray(lon.values, np.float64) + 180.0) % 360.0 - 180.0
    if not (np.isfinite(lat.values).all() and np.isfinite(degrees).all()):
        raise DataError(f"{file}: latitude or longitude is not finite in some cells; fill the 2-D coordinates.")
    values = np.asarray(lat.values, np.float64)
    placed = placed.assign_coords(
        lat=(("y", "x"), values, _kept(lat, standard_name="latitude", units="degrees_north")),
        lon=(("y", "x"), degrees, _kept(lon, standard_name="longitude", units="degrees_east")),
    )
    for old, new in zip(lat.dims, ("y", "x"), strict=True):
        if old in dataset.coords:
            placed = placed.assign_coords({new: (new, *_bare(dataset[old]))})
    for axis, name in ((lat, "lat"), (lon, "lon")):
        placed = _with_bounds(placed, dataset, axis, name, np.zeros(axis.shape))
    mapping = field.encoding.get("grid_mapping", field.attrs.get("grid_mapping"))
    if mapping in dataset.variables:
        placed = placed.assign_coords({str(mapping): dataset[mapping].variable})
        placed[str(field.name)].attrs["grid_mapping"] = str(mapping)
    return placed


def _with_bounds(placed: xr.Dataset, dataset: xr.Dataset, axis: xr.DataArray, name: str, shift: np.ndarray):
    """The bounds of a coordinate as "lat_bnds" or "lon_bnds", moved with it, in ascending pairs."""
    source = axis.encoding.get("bounds", axis.attrs.get("bounds"))
    if source not in dataset.variables or dataset[source].ndim != axis.ndim + 1:
        return placed
    bounds = dataset[source].transpose(*axis.dims, ...)
    corners = np.asarray(bounds.values, np.float64) + shift[..., None]
    corners = np.sort(corners, axis=-1) if axis.ndim == 1 else corners
    dims = (*(("y", "x") if axis.ndim == 2 else (name,)), "bnds" if axis.ndim == 1 else "vertices")
    placed = placed.assign_coords({f"{name}_bnds": (dims, corners)})
    placed[name].attrs["bounds"] = f"{name}_bnds"
    return placed


def _wrapped_axis(degrees: Float[np.ndarray, " lon"]) -> Float[np.ndarray, " lon"]:
    """Longitudes in [-180, 180), or going on past 180 where that range would tear a region apart.

    A region is torn if the widest gap on the circle lies inside the range and not at the date line.
    """
    wrapped = (degrees + 180.0) % 360.0 - 180.0
    ascending = np.unique(wrapped)
    gaps = np.diff(ascending, append=ascending[0] + 360.0)
    if gaps.max() <= 1.5 * gaps[-1]:
        return wrapped
    west = ascending[np.argmax(gaps) + 1]
    return np.where(wrapped < west, wrapped + 360.0, wrapped)


def _without_cyclic_point(placed: xr.Dataset, degrees: np.ndarray) -> xr.Dataset:
    """Files for plotting repeat the first meridian at the end, 360 degrees on; once is enough."""
    repeats = len(degrees) > 2 and abs(abs(degrees[-1] - degrees[0]) - 360.0) < 1e-6
    return placed.isel(lon=slice(0, -1)) if repeats else placed


def _check_axis(what: str, degrees: np.ndarray, limits: tuple[float, float], file: str) -> None:
    bad = ~np.isfinite(degrees) | (degrees < limits[0] - 1e-6) | (degrees > limits[1] + 1e-6)
    if bad.any():
        raise DataError(
            f"{file}: {what} is {degrees[bad][0]} at position {int(np.argmax(bad))}; it must be degrees between "
            f"{limits[0]:g} and {limits[1]:g}."
        )


def _bare(coordinate: xr.DataArray) -> tuple[Any, dict[Hashable, Any]]:
    try:
        return coordinate.values, {k: v for k, v in coordinate.attrs.items() if k != "bounds"}
    except Exception as error:  # times that are decoded when they are read
        raise DataError(f"{coordinate.name} cannot be read ({first_line(error)}).") from error


def _kept(coordinate: xr.DataArray, **defaults: str) -> dict[Hashable, Any]:
    return {**{k: v for k, v in coordinate.attrs.items() if k != "bounds"}, **defaults}
