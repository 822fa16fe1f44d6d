"""Where latitude and longitude of a variable are in a file, by CF meaning or by name, in degrees."""

import re
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float

from subgrid.data.fields import DataError
from subgrid.data.times.stamps import TIME_DIMS

LATITUDES = ("lat", "latitude", "Latitude", "nav_lat", "XLAT", "LAT", "lat_2d", "TLAT", "yt_ocean", "gphit", "xlat")
LONGITUDES = (
    "lon", "longitude", "Longitude", "nav_lon", "XLONG", "LON", "long", "lon_2d", "TLONG", "xt_ocean", "glamt", "xlon",
    "xlong",
)  # fmt: skip
DEGREES = re.compile(r"(deg|degs|degrees?|arc_?degrees?|°)([ _]?(n|e|s|w|north|east|true|N|E))?", re.IGNORECASE)
RADIANS = re.compile(r"rad(ians?)?", re.IGNORECASE)
UNSTRUCTURED = {
    "MPAS": r"nCells|nVertices",
    "FESOM": r"nod2d?|nodes?_?2?d?",
    "spectral element": r"ncol(_d)?|lndgrid",
    "UGRID": r"\w*n?_?faces?|nMesh\w+",
    "ICON": r"ncells|cell(_index)?",
    "reduced Gaussian": r"values|rgrid|reduced_points",
}
"""Kinds of grids by the name of their one dimension."""
REGRID = (
    "regrid it to latitudes and longitudes first, for instance with CDO (remapcon, or remapdis where its cells have no "
    "corners)"
)


@dataclass(frozen=True)
class Axis:
    """Latitude or longitude as a file has it.

    Args:
        name: in the file.
        dims: its dimensions, one or two.
        degrees: values.
        bounds: of each cell, 2 or more, along the last axis; None where the file has none.
        attributes: without units and bounds.
    """

    name: str
    dims: tuple[str, ...]
    degrees: Float[np.ndarray, "..."]
    bounds: Float[np.ndarray, "..."] | None
    attributes: dict[Hashable, Any]


@dataclass(frozen=True)
class Position:
    """Both axes of a variable, and what was converted.

    Args:
        lat: latitude.
        lon: longitude, on the same dimensions where it has two.
        notes: a sentence each.
    """

    lat: Axis
    lon: Axis
    notes: tuple[str, ...] = ()


def has_position(dataset: xr.Dataset, variable: str) -> bool:
    """Whether a variable has a latitude and a longitude, of the file or by a rotated pole."""
    return _names(dataset, variable) is not None or _rotated_axes(dataset, variable) is not None


def position_of(dataset: xr.Dataset, variable: str, *, file: str) -> Position:
    """Latitude and longitude of a variable, read and in degrees.

    Args:
        dataset: decoded.
        variable: in it.
        file: for messages.

    Returns:
        Both axes, each of one dimension of its own or of the same two.

    Raises:
        DataError: for a variable without them, on a list of cells, on a grid that moves in time, in units that are no
            angles, or in none that could be radians.

    Examples:
        >>> position_of(dataset, "tas", file="tas.nc").lat.degrees
    """
    names = _names(dataset, variable)
    if names is None:
        rotated = _rotated_axes(dataset, variable)
        if rotated is None:
            raise DataError(f"{file}: {no_position(dataset, variable)}")
        return rotated
    lat, lon = (dataset[name] for name in names)
    _refuse_exchanged(lat, lon, file)
    if lat.ndim == 1 and lat.dims == lon.dims:
        raise DataError(f"{file}: {variable} is {_list_of_cells(dataset, str(lat.dims[0]), lat.size)}.")
    lat, lon = (_at_one_time(axis, variable, file) for axis in (lat, lon))
    if lat.ndim == 2:
        lon = lon.transpose(*lat.dims)
    factors = [_to_degrees(axis, file) for axis in (lat, lon)]
    _refuse_ambiguous(lat, lon, file)
    notes = () if factors[0] == 1.0 else (f"{lat.name} and {lon.name}: radians became degrees",)
    return Position(_axis(dataset, lat, factors[0]), _axis(dataset, lon, factors[1]), notes)


def listed_position(
    dataset: xr.Dataset, variable: str, *, file: str
) -> tuple[Float[np.ndarray, " place"], Float[np.ndarray, " place"]] | None:
    """Latitude and longitude of a variable at a list of places, as stations are.

    Args:
        dataset: decoded.
        variable: in it.
        file: for messages.

    Returns:
        Degrees, along the one dimension of both; None for fields, and where there are none.

    Raises:
        DataError: for units that are no angles, or none where the numbers could be radians.
    """
    names = _names(dataset, variable)
    if names is None:
        return None
    lat, lon = (dataset[name] for name in names)
    if lat.ndim != 1 or lat.dims != lon.dims:
        return None
    _refuse_ambiguous(lat, lon, file)
    first, second = (_to_degrees(axis, file) * axis.values.astype(np.float64) for axis in (lat, lon))
    return first, second


def no_position(dataset: xr.Dataset, variable: str) -> str:
    """Why a variable has no place on the globe, and what to do.

    Args:
        dataset: decoded.
        variable: in it.

    Returns:
        The end of a sentence that begins with the file.
    """
    field = dataset[variable]
    mapping = _mapping(dataset, field)
    kind = "" if mapping is None else str(mapping.attrs.get("grid_mapping_name", ""))
    for dim in field.dims:
        found = _kind_of_list(dataset, str(dim), field.sizes[dim])
        if found is not None and (kind == "healpix" or field.sizes[dim] > 100):
            return f"{variable} is {_list_of_cells(dataset, str(dim), field.sizes[dim])}."
    if kind not in ("", "latitude_longitude", "rotated_latitude_longitude"):
        return (
            f"{variable} lies on a projected grid ({kind}) without the latitude and longitude of its cells; add both "
            "as coordinates of two dimensions, with the units 'degrees_north' and 'degrees_east' (pyproj computes them "
            "from x, y and the grid mapping)."
        )
    return (
        f"{variable} has dimensions {field.dims} and no latitude and longitude among its coordinates; add both, with "
        "the units 'degrees_north' and 'degrees_east'."
    )


def _names(dataset: xr.Dataset, variable: str) -> tuple[str, str] | None:
    """Of latitude and longitude, by CF meaning (cf-xarray), else by name."""
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
            rotated = str(found.attrs.get("standard_name", "")).startswith(("grid_", "projection_"))
            if found.ndim and set(found.dims) <= dims and not rotated:
                return str(name)
    return None


def _at_one_time(axis: xr.DataArray, variable: str, file: str) -> xr.DataArray:
    """Without the times at which a file repeats its coordinates (WRF does)."""
    if axis.ndim <= 2:
        return axis
    times = [d for d in axis.dims if d in TIME_DIMS or (d in axis.coords and axis[d].dtype.kind in "MO")]
    lead = times if len(times) == axis.ndim - 2 else axis.dims[:-2]
    first, last = (axis.isel(dict.fromkeys(lead, at)) for at in (0, -1))
    if not np.allclose(first.values, last.values, rtol=0, atol=1e-4, equal_nan=True):
        raise DataError(
            f"{file}: {axis.name} changes along {', '.join(map(repr, map(str, lead)))}: the grid of {variable} moves, "
            "so that its cells are no places; regrid it to a grid that stays."
        )
    return first


def _to_degrees(axis: xr.DataArray, file: str) -> float:
    units = str(axis.attrs.get("units", "")).strip()
    if RADIANS.fullmatch(units):
        return 180.0 / np.pi
    if units in ("", "1") or DEGREES.fullmatch(units):
        return 1.0
    raise DataError(
        f"{file}: {axis.name} is in {units!r}, which is no angle; set its attribute 'units' to 'degrees_north' or "
        "'degrees_east', or name the coordinate that holds degrees."
    )


def _refuse_exchanged(lat: xr.DataArray, lon: xr.DataArray, file: str) -> None:
    """A latitude that is one by its name, in degrees east, would turn the map."""
    for axis, names, own, taken, right in (
        (lat, LONGITUDES, "longitude", "latitude", "degrees_east"),
        (lon, LATITUDES, "latitude", "longitude", "degrees_north"),
    ):
        described = str(axis.attrs.get("standard_name", ""))
        if described == own or (axis.name in names and described != taken):
            raise DataError(
                f"{file}: {axis.name} is a {own} by its name and a {taken} by its units, {axis.attrs.get('units')!r}; "
                f"correct one of them: a {own} has the units {right!r}."
            )


def _refuse_ambiguous(lat: xr.DataArray, lon: xr.DataArray, file: str) -> None:
    """Without units, numbers below π could be degrees around (0, 0) or radians of anywhere."""
    given = [str(axis.attrs.get("units", "")).strip() for axis in (lat, lon)]
    largest = [float(np.nanmax(np.abs(axis.values), initial=0.0)) for axis in (lat, lon)]
    if given == ["", ""] and 0 < largest[0] <= np.pi / 2 + 1e-3 and largest[1] <= 2 * np.pi + 1e-3:
        raise DataError(
            f"{file}: {lat.name} and {lon.name} have no attribute 'units' and reach {largest[0]:.3g} and "
            f"{largest[1]:.3g}: radians, or degrees near 0 N, 0 E; set 'units' of both to 'radian' or to "
            "'degrees_north' and 'degrees_east'."
        )


def _axis(dataset: xr.Dataset, axis: xr.DataArray, factor: float) -> Axis:
    kept = {k: v for k, v in axis.attrs.items() if k not in ("bounds", "units")}
    source = axis.encoding.get("bounds", axis.attrs.get("bounds"))
    bounds = None
    if source in dataset.variables and set(axis.dims) < set(dataset[source].dims):
        lead = [d for d in dataset[source].dims if d not in axis.dims][:-1]
        cells = dataset[source].isel(dict.fromkeys(lead, 0)).transpose(*axis.dims, ...)
        bounds = factor * np.asarray(cells.values, np.float64)
    return Axis(str(axis.name), tuple(map(str, axis.dims)), factor * axis.values.astype(np.float64), bounds, kept)


def _rotated_axes(dataset: xr.Dataset, variable: str) -> Position | None:
    """Latitude and longitude that follow from a rotated pole, where the file does not give them."""
    field = dataset[variable]
    mapping = _mapping(dataset, field)
    if mapping is None or mapping.attrs.get("grid_mapping_name") != "rotated_latitude_longitude":
        return None
    named = {str(dataset[d].attrs.get("standard_name")): str(d) for d in field.dims if d in dataset.coords}
    if not {"grid_latitude", "grid_longitude"} <= set(named):
        return None
    dims = named["grid_latitude"], named["grid_longitude"]
    rows, columns = (np.radians(np.asarray(dataset[dim].values, np.float64)) for dim in dims)
    phi, lam = np.meshgrid(rows, columns, indexing="ij")
    lat, lon = true_place(phi, lam, mapping.attrs)
    note = f"{variable}: latitude and longitude were computed from its rotated pole"
    return Position(Axis("lat", dims, lat, None, {}), Axis("lon", dims, lon, None, {}), (note,))


def true_place(
    phi: Float[np.ndarray, "..."], lam: Float[np.ndarray, "..."], mapping: dict[str, Any]
) -> tuple[Float[np.ndarray, "..."], Float[np.ndarray, "..."]]:
    """Latitude and longitude in degrees of places given about a rotated pole, in radians.

    Args:
        phi: latitude about the pole.
        lam: longitude about it.
        mapping: CF attributes `grid_north_pole_latitude`, `grid_north_pole_longitude`, `north_pole_grid_longitude`.

    Returns:
        True latitude and longitude.
    """
    tilt = np.radians(90.0 - float(mapping["grid_north_pole_latitude"]))
    lam = lam - np.radians(float(mapping.get("north_pole_grid_longitude", 0.0)))
    x, y, z = np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)
    x, z = np.cos(tilt) * x - np.sin(tilt) * z, np.sin(tilt) * x + np.cos(tilt) * z
    lon = np.degrees(np.arctan2(y, x)) + float(mapping["grid_north_pole_longitude"]) + 180.0
    return np.degrees(np.arcsin(np.clip(z, -1.0, 1.0))), (lon + 180.0) % 360.0 - 180.0


def _mapping(dataset: xr.Dataset, field: xr.DataArray) -> xr.DataArray | None:
    name = field.encoding.get("grid_mapping", field.attrs.get("grid_mapping"))
    return dataset[name] if name in dataset.variables else None


def _list_of_cells(dataset: xr.Dataset, dim: str, size: int) -> str:
    kind = _kind_of_list(dataset, dim, size)
    if kind is None:
        return f"a list of points along {dim!r}, not a grid; grid it first"
    return f"a list of {size} cells along {dim!r} (a grid of the kind {kind}), without rows and columns; {REGRID}"


def _kind_of_list(dataset: xr.Dataset, dim: str, size: int) -> str | None:
    mappings = {str(v.attrs.get("grid_mapping_name", "")) for v in dataset.variables.values()}
    keys = {str(key).lower() for key in (*dataset.attrs, *(k for v in dataset.variables.values() for k in v.attrs))}
    if "healpix" in mappings or any(key.startswith("healpix") for key in keys):
        return "HEALPix"
    if any("reduced" in str(v.attrs.get("GRIB_gridType", "")) for v in dataset.variables.values()):
        return "reduced Gaussian"
    level = np.log2(size / 12) / 2 if size >= 12 else 0.5
    if level == int(level) and re.fullmatch(r"cells?|pix(els?)?|values|healpix\w*", dim):
        return "reduced Gaussian" if _has_other_rings(dataset, dim, size) else "HEALPix"
    return next((kind for kind, names in UNSTRUCTURED.items() if re.fullmatch(names, dim)), None)


def _has_other_rings(dataset: xr.Dataset, dim: str, size: int) -> bool:
    """Whether cells lie on parallels, but not on the 4·√(size / 12) − 1 of HEALPix."""
    named = (n for n in LATITUDES if n in dataset.variables and dataset[n].dims == (dim,))
    name = next(named, None)
    if name is None:
        return False
    rings = np.unique(np.round(dataset[name].values.astype(np.float64), 4)).size
    return rings <= size // 2 and rings != round(4 * np.sqrt(size / 12)) - 1
