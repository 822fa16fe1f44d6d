"""Bounds of cells that a file gives: found, kept beside their variables, and checked, once for all that use them."""

from collections.abc import Sequence

import numpy as np
import xarray as xr
from jaxtyping import Float

from subgrid.data.fields import DataError

SLACK = 1e-4
"""Degrees. Files hold bounds in single precision: a centre on its bound (a polar point) may lie past it by rounding."""
REPAIR = "repair the bounds, or drop them and the middles between centres are used."


def with_variables(dataset: xr.Dataset, names: Sequence[str]) -> xr.Dataset:
    """Some variables of a dataset, with all of its coordinates.

    `dataset[names]` loses the coordinates that have a dimension of their own, as bounds do.
    """
    chosen = dataset[list(names)]
    return chosen.assign_coords({n: c.variable for n, c in dataset.coords.items() if n not in chosen.coords})


def bounds_of(dataset: xr.Dataset | xr.DataArray, axis: str) -> np.ndarray | None:
    """The bounds of "lat" or "lon" of a canonical dataset: (n, 2), or (y, x, 4) of two-dimensional coordinates.

    None where the variable that the attribute `bounds` names is not there or has another shape.
    """
    coordinate = dataset[axis]
    name = coordinate.attrs.get("bounds", coordinate.encoding.get("bounds"))
    known = dataset.variables if isinstance(dataset, xr.Dataset) else dataset.coords
    if name not in known:
        return None
    bounds = dataset[name].transpose(*coordinate.dims, ...)
    expected = 2 if coordinate.ndim == 1 else 4
    return bounds.values.astype(np.float64) if bounds.shape == (*coordinate.shape, expected) else None


def check_bounds(
    name: str, centres: Float[np.ndarray, " cell"], bounds: Float[np.ndarray, "cell 2"], source: str
) -> None:
    """Passes for bounds in degrees that hold their centres, on the same turn; else names the first cell."""
    inside = (bounds[:, 0] - SLACK <= centres) & (centres <= bounds[:, 1] + SLACK) & (bounds[:, 0] < bounds[:, 1])
    if not inside.all():
        k = int(np.argmin(inside))
        raise DataError(
            f"{source}: the bounds of {name} = {centres[k]:g} are {bounds[k, 0]:g} and {bounds[k, 1]:g}, which is no "
            f"cell around it; {REPAIR}"
        )


def check_corners(
    lat: Float[np.ndarray, "y x"],
    lon: Float[np.ndarray, "y x"],
    lat_corners: Float[np.ndarray, "y x 4"],
    lon_corners: Float[np.ndarray, "y x 4"],
    source: str,
) -> None:
    """Passes for corners that lie around their centres: none is further from their middle than the furthest corner.

    Distances are those of unit vectors, so that poles and the date line need no care.

    Args:
        lat: centres, degrees.
        lon: centres, degrees.
        lat_corners: degrees, in any turn and order.
        lon_corners: degrees, in any turn and order.
        source: the file, for messages.

    Raises:
        DataError: with the first cell whose corners are elsewhere.
    """
    corners = _directions(lat_corners, lon_corners)
    middle = corners.mean(-2)
    reach = np.linalg.norm(corners - middle[..., None, :], axis=-1).max(-1)
    away = np.linalg.norm(_directions(lat, lon) - middle, axis=-1)
    # A chord's middle lies inside the sphere, by less than the reach of cells below a radian.
    inside = away <= reach + np.radians(SLACK)
    if not inside.all():
        j, i = (int(k) for k in np.argwhere(~inside)[0])
        shown = ", ".join(f"{a:.4g} N {b:.4g} E" for a, b in zip(lat_corners[j, i], lon_corners[j, i], strict=True))
        raise DataError(
            f"{source}: the corners of the cell at y = {j}, x = {i} ({lat[j, i]:.4g} N {lon[j, i]:.4g} E) are {shown}, "
            f"which is no cell around it; {REPAIR}"
        )


def _directions(lat: np.ndarray, lon: np.ndarray) -> np.ndarray:
    phi, lam = np.radians(lat), np.radians(lon)
    return np.stack([np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)], -1)
