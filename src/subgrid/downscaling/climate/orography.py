"""The height of the ground as a predictor: found in a static file, in metres, on the fine grid."""

import logging
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Float

from subgrid.data.canonical import open_climate
from subgrid.data.fields import DataError
from subgrid.data.grids.cells import grid_of
from subgrid.data.grids.coordinates import gridded_variables
from subgrid.data.grids.regrid import conservative_coarsening
from subgrid.data.inspection.together import summarise_grid
from subgrid.data.sources.sources import Source, SourceFile, read_sources
from subgrid.data.variables.heights import by_name, by_standard_name, by_units, metres_in
from subgrid.downscaling.interpolation.linear import bilinear

LOG = logging.getLogger("subgrid")


def static_predictors(source: Source, fine: xr.Dataset, *, variable: str | None = None) -> Float[np.ndarray, "1 y x"]:
    """The height of the ground on the fine grid, in metres; 0 where it has no value.

    Means over fine cells where the file is finer than they are, else bilinear interpolation.

    Args:
        source: a static file, as for `open_climate`.
        fine: a canonical dataset on the fine grid.
        variable: its name in the file; None, the default, to find it by standard name, name and units.

    Returns:
        One field.

    Raises:
        DataError: for a source that cannot be read, holds no height or several, or does not cover the fine grid.

    Examples:
        >>> static_predictors("static.nc", fine, variable="orog")
    """
    name = orography_variable(source, variable)
    opened = _first_field(open_climate(source, name, name="orography"))
    field = opened[name]
    metres = (field * _metres(str(field.attrs.get("units", "")), name)).assign_attrs(field.attrs)
    return _on_fine_grid(metres, opened, fine)[None]


def orography_variable(source: Source, wanted: str | None = None) -> str:
    """The name of the variable of a static file that is the height of the ground.

    By its standard name (surface_altitude, surface_geopotential …), else its name (orog, topo, elevation, z, hgt,
    HSURF …) with units of height or geopotential or none, else units of length or geopotential alone.

    Args:
        source: as for `open_climate`.
        wanted: the name, if it is given.

    Returns:
        The name.

    Raises:
        DataError: for none, or several that are alike, naming all.

    Examples:
        >>> orography_variable("static.nc")
        'orog'
    """
    return _found(source, wanted)[0]


def orography_in_words(source: Source, wanted: str | None = None) -> str:
    """Which variable of a static file serves as the height of the ground, and why.

    Args:
        source: as for `open_climate`.
        wanted: the name, if it is given.

    Returns:
        Words such as "orog of static.nc by its standard name surface_altitude".

    Raises:
        DataError: as `orography_variable`.

    Examples:
        >>> orography_in_words("static.nc")
    """
    name, file, why = _found(source, wanted)
    said = str(file.dataset[name].attrs.get(why.replace(" ", "_"), ""))
    return f"{name} of {Path(file.name).name} " + (f"by its {why} {said}".rstrip() if why else "as it was asked for")


def _found(source: Source, wanted: str | None) -> tuple[str, SourceFile, str]:
    """The name of the variable, the file that holds it, and what of it told; nothing where it is given."""
    files = read_sources(source, name="orography")
    held = {name: file for file in files for name in gridded_variables(file.dataset)}
    listing = ", ".join(f"{name} ({_about(file.dataset[name])})" for name, file in held.items()) or "none on a grid"
    if wanted is not None:
        if wanted not in held:
            raise DataError(f"{files[0].name}: no variable {wanted!r} for the orography; there are: {listing}.")
        return wanted, held[wanted], ""
    for why, fits in (("standard name", by_standard_name), ("name", by_name), ("units", by_units)):
        found = [name for name, file in held.items() if fits(file.dataset[name])]
        if len(found) == 1:
            return found[0], held[found[0]], why
        if found:
            raise DataError(
                f"{files[0].name}: {' and '.join(found)} may each be the orography; say which one with "
                f"orography_variable = {found[0]!r}."
            )
    raise DataError(
        f"{files[0].name}: no orography, which is known by its standard name (surface_altitude, surface_geopotential), "
        f"its name (orog, topo, elevation, z, hgt, HSURF) or units of m or m2 s-2; there are: {listing}. Say which one "
        "it is with orography_variable = '…'."
    )


def _metres(units: str, name: str) -> float:
    """The factor that makes metres; 1 where there are no units."""
    if not units.strip():
        return 1.0
    factor = metres_in(units)
    if factor is None:
        raise DataError(f"orography: {name} is in {units!r}, which is neither a height nor a geopotential.")
    if factor != 1.0:
        LOG.info("orography: %s in %s became metres, times %.6g", name, units, factor)
    return factor


def _about(field: xr.DataArray) -> str:
    units = field.attrs.get("units", "no units")
    return ", ".join(str(each) for each in (field.attrs.get("standard_name"), units) if each)


def _first_field(opened: xr.Dataset) -> xr.Dataset:
    lead = [dim for dim in ("realization", "time") if dim in opened.dims]
    return opened.isel(dict.fromkeys(lead, 0), drop=True)


def _on_fine_grid(field: xr.DataArray, opened: xr.Dataset, fine: xr.Dataset) -> Float[np.ndarray, "y x"]:
    """Means over fine cells, or values between the centres of a coarser grid; 0 for what has no value.

    The dataset that the field is of has the bounds of its cells.
    """
    here, there = summarise_grid(opened), summarise_grid(fine)
    values, known = field.values.astype(np.float32), np.isfinite(field.values)
    if here.spacing_km > there.spacing_km:
        centres = [data[axis].values for data in (field, fine) for axis in ("lat", "lon")]
        _refuse_outside(bilinear(*centres).inside, here.extent, there.extent)
        return bilinear(*centres, valid=known)(values)
    grids = grid_of(opened, source="orography"), grid_of(fine, source="fine")
    whole = conservative_coarsening(*grids, minimum_valid=0.0)
    _refuse_outside(whole.valid_fraction > 0.5, here.extent, there.extent)
    if not known.any():
        raise DataError("orography: it holds no value at all; choose another file or variable.")
    regridding = conservative_coarsening(*grids, mask=known, minimum_valid=0.0)
    mean = regridding.operator(jnp.asarray(np.nan_to_num(values)))
    return np.nan_to_num(regridding.scatter(np.asarray(mean)))


def _refuse_outside(inside: np.ndarray, extent: str, wanted: str) -> None:
    if not inside.all():
        raise DataError(
            f"orography: it covers {extent}, and {100 * float(np.mean(~inside)):.3g} % of the fine cells ({wanted}) "
            "lie outside; bring one that covers them all."
        )
