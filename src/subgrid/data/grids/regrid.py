"""C′ from coordinates: area-weighted conservative regridding from a fine to a coarse grid, with masks.

(C′x)_c = Σ_f A_cf·v_f·x_f / Σ_f A_cf·v_f, where A_cf is the area that cells c and f share and v_f is 1 on valid cells.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Array, Bool, Float
from scipy import sparse
from scipy.spatial import KDTree

from subgrid.data.fields import DataError
from subgrid.data.grids.cells import Grid, RegularGrid, polygon_areas
from subgrid.numerics.operators import SparseCoarsening

ROUNDING = 1e-9
"""Areas below this part of a cell are rounding, not overlap: coordinates in files have 7 digits, sums here 16."""


@dataclass(frozen=True, eq=False)
class Regridding:
    """C′ between two grids, and which coarse cells it makes.

    Args:
        operator: C′, from fine fields (…, *fine) to vectors (…, n_kept): the kept coarse cells in row-major order.
        kept: marks them on the coarse grid.
        valid_fraction: part of every coarse cell that valid fine cells cover, from 0 to 1.
    """

    operator: SparseCoarsening
    kept: Bool[np.ndarray, "*coarse"]
    valid_fraction: Float[np.ndarray, "*coarse"]

    def select(
        self, field: Float[Array, "..."] | Float[np.ndarray, "..."]
    ) -> Float[Array, "..."] | Float[np.ndarray, "..."]:
        """The kept cells of a coarse field, which compare with the operator's output.

        Args:
            field: (…, *coarse).

        Returns:
            A vector (…, n_kept).

        Raises:
            ValueError: if the last axes are not the coarse grid.
        """
        if field.shape[field.ndim - self.kept.ndim :] != self.kept.shape:
            raise ValueError(f"the field has shape {field.shape}; its last axes must be the grid {self.kept.shape}.")
        return field[..., self.kept]

    def scatter(self, vector: Float[Array, "... kept"] | Float[np.ndarray, "... kept"]) -> Float[np.ndarray, "..."]:
        """Kept cells back on the coarse grid, for files and figures.

        Args:
            vector: (…, n_kept).

        Returns:
            A field (…, *coarse), NaN outside the kept cells.

        Raises:
            ValueError: if the last axis has not one value for every kept cell.
        """
        values = np.asarray(vector)
        if values.shape[-1] != self.kept.sum():
            raise ValueError(f"the vector has {values.shape[-1]} values for {self.kept.sum()} kept cells.")
        field = np.full((*values.shape[:-1], *self.kept.shape), np.nan, values.dtype)
        field[..., self.kept] = values
        return field


def conservative_coarsening(
    fine: Grid,
    coarse: Grid,
    *,
    mask: Bool[np.ndarray, "*fine"] | None = None,
    coarse_mask: Bool[np.ndarray, "*coarse"] | None = None,
    minimum_valid: float = 0.5,
) -> Regridding:
    """The area-weighted mean over the valid fine cells under each coarse cell, as a sparse linear operator.

    (C′x)_c = Σ_f A_cf v_f x_f / Σ_f A_cf v_f, where A_cf is the area that cells c and f share and v_f is 1 on valid
    cells, else 0. Constants stay what they are, and where the fine grid covers a coarse cell whole, its area integral
    does too.

    Args:
        fine: grid of the fields that C′ takes.
        coarse: grid of the fields that it makes.
        mask: true on valid fine cells; by default on all.
        coarse_mask: true on coarse cells that have data; by default on all.
        minimum_valid: from 0 to 1, .5 by default: a coarse cell with less of its area under valid fine cells leaves the
            constraint (with 0, one without any).

    Returns:
        The operator, the kept cells, the valid fractions.

    Raises:
        DataError: for regions that do not overlap, a coarse grid finer than the fine one, masks of another shape, and
            when no coarse cell is kept.
        ValueError: for `minimum_valid` outside 0 to 1.

    References:
        Jones (1999), Mon. Wea. Rev. 127, 2204, the first-order scheme, with a mask normalised by the covered area;
        doi:10.1175/1520-0493(1999)127<2204:FASOCR>2.0.CO;2.

    Examples:
        >>> regridding = conservative_coarsening(grid_of(eobs), grid_of(cmip), mask=land)
        >>> y = regridding.operator(x)  # compare with regridding.select(coarse_field)
    """
    if not 0 <= minimum_valid <= 1:
        raise ValueError(f"minimum_valid is a fraction from 0 to 1, got {minimum_valid:g}.")
    valid = _flat_mask(mask, fine, "mask")
    overlaps = overlap_areas(fine, coarse)
    _check_pair(overlaps, fine, coarse)
    covered = overlaps.multiply(valid).tocsr()
    covered.eliminate_zeros()
    areas = np.asarray(covered.sum(axis=1)).ravel()
    fraction = areas / coarse.areas.ravel()
    kept = (fraction >= max(minimum_valid - ROUNDING, ROUNDING)) & _flat_mask(coarse_mask, coarse, "coarse_mask")
    if not kept.any():
        raise DataError(
            f"no coarse cell of {coarse.source} has {minimum_valid:g} of its area under valid cells of {fine.source} "
            f"(the most is {fraction.max():.2g}); lower minimum_valid, or check the masks and regions."
        )
    weights = sparse.diags_array(1 / areas[kept]) @ covered[kept]
    operator = SparseCoarsening(weights, fine_shape=fine.shape, coarse_shape=(int(kept.sum()),))
    return Regridding(operator, kept.reshape(coarse.shape), fraction.reshape(coarse.shape))


def overlap_areas(fine: Grid, coarse: Grid) -> sparse.csr_array:
    """Areas that cells share, in steradians.

    Between regular grids Δλ·Δ(sin φ) of the common rectangle, exactly; otherwise by clipping polygons in longitude and
    sine of latitude, exact for cells with straight edges in that plane: rectangles for a regular grid, and for a
    curvilinear one of cell size h an area off by a part of order h² from cells between great circles.

    Args:
        fine: a grid.
        coarse: a grid.

    Returns:
        A sparse matrix (coarse cells, fine cells), both in row-major order.

    Examples:
        >>> overlap_areas(fine, coarse).sum(axis=0)  # areas of the fine cells, where the coarse grid covers them
    """
    if isinstance(fine, RegularGrid) and isinstance(coarse, RegularGrid):
        heights = _interval_overlaps(_sines(fine), _sines(coarse))
        turns = [np.radians(fine.lon_bounds) + 2 * np.pi * turn for turn in (-1, 0, 1)]
        widths = np.sum([_interval_overlaps(turned, np.radians(coarse.lon_bounds)) for turned in turns], axis=0)
        areas = sparse.csr_array(sparse.kron(sparse.csr_array(heights), sparse.csr_array(widths)))
    else:
        areas = _polygon_overlaps(fine.polygons, coarse.polygons)
    smallest = np.minimum(fine.areas.min(), coarse.areas.min())
    areas.data[areas.data < ROUNDING * smallest] = 0.0
    areas.eliminate_zeros()
    return areas


def _sines(grid: RegularGrid) -> np.ndarray:
    return np.sin(np.radians(grid.lat_bounds))


def _interval_overlaps(fine: np.ndarray, coarse: np.ndarray) -> np.ndarray:
    """Lengths that intervals share, (n_coarse, n_fine)."""
    lower = np.maximum(coarse[:, None, 0], fine[None, :, 0])
    upper = np.minimum(coarse[:, None, 1], fine[None, :, 1])
    return np.maximum(upper - lower, 0.0)


def _polygon_overlaps(fine: np.ndarray, coarse: np.ndarray) -> sparse.csr_array:
    """Areas that polygons of the plane share; a fine one may lie a full turn of longitude beside a coarse one."""
    rows, columns, areas = [np.empty(0, int)], [np.empty(0, int)], [np.empty(0)]
    near = _neighbours(fine)
    for row, cell in enumerate(coarse):
        for turn in (-2 * np.pi, 0.0, 2 * np.pi):
            shifted = cell - np.array([turn, 0.0])
            if len(found := near(shifted)):
                rows.append(np.full(len(found), row))
                columns.append(found)
                areas.append(_shared_areas(fine[found], shifted))
    triplets = (np.concatenate(areas), (np.concatenate(rows), np.concatenate(columns)))
    return sparse.csr_array(triplets, shape=(len(coarse), len(fine)))


def _neighbours(polygons: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """A function that lists the polygons whose bounding box meets that of a cell, by a tree of their middles."""
    low, high = polygons.min(1), polygons.max(1)
    middle, reach = (low + high) / 2, (high - low).max(0) / 2
    tree = KDTree(middle / reach)

    def near(cell: np.ndarray) -> np.ndarray:
        west_south, east_north = cell.min(0), cell.max(0)
        radius = ((east_north - west_south) / 2 / reach).max() + 1
        centre = (west_south + east_north) / 2 / reach
        found = np.asarray(tree.query_ball_point(centre, radius, p=np.inf), int)
        return found[((low[found] < east_north) & (high[found] > west_south)).all(1)]

    return near


def _shared_areas(polygons: np.ndarray, cell: np.ndarray) -> np.ndarray:
    """Areas shared with one cell, a signed fan of triangles: right for cells that are not convex, too."""
    polygons, cell = polygons - cell[0], cell - cell[0]
    total = np.zeros(len(polygons))
    for b, c in itertools.pairwise(cell[1:]):
        twice = b[0] * c[1] - b[1] * c[0]
        if twice == 0.0:
            continue
        corners = np.array([cell[0], b, c] if twice > 0 else [cell[0], c, b])
        clipped = polygons
        for start, end in zip(corners, np.roll(corners, -1, 0), strict=True):
            clipped = _clamp_to_left(clipped, start, end)
        total += np.sign(twice) * polygon_areas(clipped)
    return total


def _clamp_to_left(polygons: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Polygons cut by a line, in the manner of Sutherland and Hodgman (1974), doi:10.1145/360767.360802.

    Corners to the right are moved onto the line and crossings become corners: twice as many corners, whatever the case,
    and what lies on the line adds no area.
    """
    direction = end - start
    length = np.hypot(*direction)
    if length == 0.0:
        return polygons
    normal = np.array([-direction[1], direction[0]]) / length
    distance = (polygons - start) @ normal
    following, ahead = np.roll(distance, -1, -1), np.roll(polygons, -1, -2)
    clamped = polygons - np.minimum(distance, 0.0)[..., None] * normal
    crosses = distance * following < 0
    part = distance / np.where(crosses, distance - following, 1.0)
    crossing = np.where(crosses[..., None], polygons + part[..., None] * (ahead - polygons), clamped)
    return np.stack([clamped, crossing], -2).reshape(len(polygons), -1, 2)


def _flat_mask(mask: np.ndarray | None, grid: Grid, name: str) -> np.ndarray:
    if mask is None:
        return np.ones(int(np.prod(grid.shape)), bool)
    if mask.shape != grid.shape:
        raise DataError(f"{name} has shape {mask.shape}, but the grid of {grid.source} has {grid.shape}.")
    return mask.ravel()


def _check_pair(overlaps: sparse.csr_array, fine: Grid, coarse: Grid) -> None:
    """Cells are compared where the grids meet: a global grid has small cells near the poles."""
    shared = overlaps.sum()
    if shared == 0.0:
        raise DataError(
            f"the fine grid ({fine.source}) covers {fine.extent}, the coarse one ({coarse.source}) {coarse.extent}: "
            "they do not overlap; check the regions, and longitudes of 0..360 against -180..180."
        )
    fine_area = overlaps.sum(axis=0) @ fine.areas.ravel() / shared
    coarse_area = overlaps.sum(axis=1) @ coarse.areas.ravel() / shared
    if coarse_area < 0.98 * fine_area:  # 1 % in the cell size: coordinates of 3 digits
        raise DataError(
            f"the coarse grid ({coarse.source}, cells of {coarse.spacing}) is finer than the fine one ({fine.source}, "
            f"{fine.spacing}); swap the two, or coarsen the coarse field first."
        )
