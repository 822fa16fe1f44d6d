"""Bilinear weights on a curvilinear grid: in which quadrilateral of centres a point lies, and where in it.

Inside a quadrilateral with corners p₀₀, p₁₀, p₁₁, p₀₁ a point is p(s, t) = (1−s)(1−t) p₀₀ + s(1−t) p₁₀ + s t p₁₁ +
(1−s) t p₀₁, and a field is interpolated with the same weights: exactly, where it is linear in the coordinates. These
are longitude and latitude, as on regular grids, and near a pole the plane of the azimuthal equidistant projection.
"""

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.sparse import csr_array
from scipy.spatial import KDTree

POLAR = 75.0
"""Degrees of latitude from which longitudes are no good coordinates."""
INSIDE = 1e-6
"""Of a quadrilateral's side: points this far outside are on its edge by rounding."""
MOST_MOVES = 64
"""From the nearest centre the right quadrilateral is one or two away; more means that the grid folds back on itself."""
NEWTON_STEPS = 12
FARTHEST = 3.0
"""Sides by which a point may lie beyond a quadrilateral before the search moves on anyway."""


def curvilinear_weights(
    coarse_lat: Float[np.ndarray, "i j"],
    coarse_lon: Float[np.ndarray, "i j"],
    lat: Float[np.ndarray, " point"],
    lon: Float[np.ndarray, " point"],
) -> tuple[csr_array, Bool[np.ndarray, " point"]]:
    """Weights of the four centres around each point; beyond the outermost the value at their edge is held.

    Args:
        coarse_lat: of the centres, at least 2 along each axis, degrees.
        coarse_lon: of the centres, degrees, any turn.
        lat: of the points, degrees.
        lon: of the points, degrees, any turn.

    Returns:
        A sparse matrix (point, centre), rows of which sum to 1; and whether each point lies between centres.

    Examples:
        >>> weights, inside = curvilinear_weights(lat_c, lon_c, lat, lon)
        >>> weights @ field.ravel()
    """
    i, j = _nearest_quadrilateral(coarse_lat, coarse_lon, lat, lon)
    s, t = _place(coarse_lat, coarse_lon, i, j, lat, lon)
    for _ in range(MOST_MOVES):
        there_i = np.clip(i + (t > 1 + INSIDE) - (t < -INSIDE), 0, coarse_lat.shape[0] - 2)
        there_j = np.clip(j + (s > 1 + INSIDE) - (s < -INSIDE), 0, coarse_lat.shape[1] - 2)
        if (there_i == i).all() and (there_j == j).all():
            break
        i, j = there_i, there_j
        s, t = _place(coarse_lat, coarse_lon, i, j, lat, lon)
    inside = (np.abs(s - 0.5) <= 0.5 + INSIDE) & (np.abs(t - 0.5) <= 0.5 + INSIDE)
    s, t = np.clip(s, 0.0, 1.0), np.clip(t, 0.0, 1.0)
    corners = [(i, j, (1 - s) * (1 - t)), (i, j + 1, s * (1 - t)), (i + 1, j, (1 - s) * t), (i + 1, j + 1, s * t)]
    columns = np.concatenate([row * coarse_lat.shape[1] + column for row, column, _ in corners])
    values = np.concatenate([weight for *_, weight in corners])
    rows = np.tile(np.arange(lat.size), 4)
    return csr_array((values, (rows, columns)), shape=(lat.size, coarse_lat.size)), inside


def unit_vectors(lat: Float[np.ndarray, "..."], lon: Float[np.ndarray, "..."]) -> Float[np.ndarray, "... 3"]:
    """Points of the unit sphere: chords between them order as distances do, across the date line and the poles."""
    phi, lam = np.radians(lat), np.radians(lon)
    return np.stack([np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)], -1)


def _nearest_quadrilateral(
    coarse_lat: np.ndarray, coarse_lon: np.ndarray, lat: np.ndarray, lon: np.ndarray
) -> tuple[Int[np.ndarray, " point"], Int[np.ndarray, " point"]]:
    """One that has the centre nearest to each point as a corner."""
    tree = KDTree(unit_vectors(coarse_lat, coarse_lon).reshape(-1, 3))
    nearest = np.asarray(tree.query(unit_vectors(lat, lon))[1], int)
    i, j = np.unravel_index(nearest, coarse_lat.shape)
    return np.minimum(i, coarse_lat.shape[0] - 2), np.minimum(j, coarse_lat.shape[1] - 2)


def _place(
    coarse_lat: np.ndarray, coarse_lon: np.ndarray, i: np.ndarray, j: np.ndarray, lat: np.ndarray, lon: np.ndarray
) -> tuple[Float[np.ndarray, " point"], Float[np.ndarray, " point"]]:
    """(s, t) of each point in its quadrilateral, by Newton's method."""
    corners = [(i, j), (i, j + 1), (i + 1, j + 1), (i + 1, j)]
    p00, p10, p11, p01 = (_relative(coarse_lat[k], coarse_lon[k], lat, lon) for k in corners)
    along, across, twist = p10 - p00, p01 - p00, p00 - p10 + p11 - p01
    s, t = np.full(lat.size, 0.5), np.full(lat.size, 0.5)
    for _ in range(NEWTON_STEPS):
        missed = p00 + s * along + t * across + s * t * twist
        by_s, by_t = along + t * twist, across + s * twist
        area = by_s[0] * by_t[1] - by_s[1] * by_t[0]
        area = np.where(np.abs(area) > 1e-12, area, 1e-12)
        s = s - (missed[0] * by_t[1] - missed[1] * by_t[0]) / area
        t = t - (by_s[0] * missed[1] - by_s[1] * missed[0]) / area
        s, t = np.clip(s, -FARTHEST, 1 + FARTHEST), np.clip(t, -FARTHEST, 1 + FARTHEST)
    return s, t


def _relative(
    corner_lat: np.ndarray, corner_lon: np.ndarray, lat: np.ndarray, lon: np.ndarray
) -> Float[np.ndarray, "2 point"]:
    """Where corners lie as seen from the points, in degrees of the plane that is right for each point."""
    east = (corner_lon - lon + 180.0) % 360.0 - 180.0
    pole = np.where(lat < 0, -90.0, 90.0)
    corner, own = 90.0 - pole / 90.0 * corner_lat, 90.0 - pole / 90.0 * lat
    angle = np.radians(east)
    near_pole = np.abs(lat) > POLAR
    return np.stack(
        [
            np.where(near_pole, corner * np.sin(angle), east),
            np.where(near_pole, own - corner * np.cos(angle), corner_lat - lat),
        ]
    )
