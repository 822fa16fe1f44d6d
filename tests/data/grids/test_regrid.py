"""Conservative regridding against xarray-regrid, conserved integrals, cell means in closed form, and identities."""

import os
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from hypothesis import assume, given, settings, strategies as st

from subgrid.data.fields import DataError
from subgrid.data.grids.cells import curvilinear_grid, grid_of, regular_grid
from subgrid.data.grids.regrid import conservative_coarsening, overlap_areas

DATA = Path(os.environ.get("SUBGRID_DATA", Path(__file__).parents[3] / "../shared/data"))
quick = settings(max_examples=8, deadline=None, derandomize=True)
seeds = st.integers(0, 2**31)
ROTATED_POLE = (60.0, 10.0)  # the rotated origin lies at 30 N on the date line: longitudes wrap within the grid


def uniform(start, stop, n):
    return start + (stop - start) * (np.arange(n) + 0.5) / n


def cut(rng, start, stop, n):
    """A grid axis of n cells of unequal size, as centres and bounds."""
    parts = np.cumsum(rng.uniform(0.5, 1.5, n))
    edges = start + (stop - start) * np.append(0.0, parts / parts[-1])
    return (edges[1:] + edges[:-1]) / 2, np.stack([edges[:-1], edges[1:]], 1)


def random_pair(rng, *, lat=(30.0, 50.0), lon=(-10.0, 15.0)):
    """Two irregular grids of one region, a finer and a coarser; of two pairs of sizes, as each pair is compiled for."""
    grids = []
    sizes = [((8, 15), (4, 2)), ((13, 9), (2, 3))][rng.integers(2)]
    for (n_lat, n_lon), name in zip(sizes, ("fine", "coarse"), strict=True):
        (y, y_bounds), (x, x_bounds) = cut(rng, *lat, n_lat), cut(rng, *lon, n_lon)
        grids.append(regular_grid(y, x, lat_bounds=y_bounds, lon_bounds=x_bounds, source=name))
    return grids


def random_mask(rng, shape):
    return rng.random(shape) < rng.uniform(0.3, 1.0)


def normals(rng, shape):
    return rng.normal(size=shape).astype(np.float32)


def rotated_nodes(n, half_width=12.0):
    rlat, rlon = np.meshgrid(*2 * [np.linspace(-half_width, half_width, n + 1)], indexing="ij")
    phi, lam, tilt = np.radians(rlat), np.radians(rlon), np.radians(90.0 - ROTATED_POLE[0])
    x, y, z = np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)
    x, z = np.cos(tilt) * x - np.sin(tilt) * z, np.sin(tilt) * x + np.cos(tilt) * z
    lon = np.degrees(np.arctan2(y, x)) + ROTATED_POLE[1] + 170.0
    return np.degrees(np.arcsin(z)), (lon + 180.0) % 360.0 - 180.0


def from_nodes(lat, lon):
    """A curvilinear grid whose corners are known."""
    corners = [np.stack([k[:-1, :-1], k[:-1, 1:], k[1:, 1:], k[1:, :-1]], -1) for k in (lat, lon)]
    turned = corners[1] + 360.0 * np.round((corners[1][..., :1] - corners[1]) / 360.0)
    centres = corners[0].mean(-1), (turned.mean(-1) + 180.0) % 360.0 - 180.0
    return curvilinear_grid(*centres, lat_corners=corners[0], lon_corners=corners[1], source="rotated")


def xarray_regrid_conservative(values, fine, coarse, **options):
    pytest.importorskip("xarray_regrid", reason="xarray-regrid is not installed: pip install xarray-regrid")
    field = xr.DataArray(values.astype(np.float64), {"lat": fine[0], "lon": fine[1]}, ("lat", "lon"))
    target = xr.Dataset(coords={"lat": coarse[0], "lon": coarse[1]})
    return field.regrid.conservative(target, latitude_coord="lat", **options).values


@quick
@given(seeds, st.integers(2, 5), st.integers(2, 5))
def test_agrees_with_xarray_regrid(seed, factor, n_coarse):
    # Fine parallels at all coarse ones, meridians anywhere. Elsewhere xarray-regrid is the one that is off: it splits a
    # fine cell in degrees of latitude, not in area (see the next test).
    rng = np.random.default_rng(seed)
    south, west = rng.uniform(-80, 20), rng.uniform(-170, 100)
    fine = uniform(south, south + 40, n_coarse * factor), uniform(west, west + 60, 25)
    coarse = uniform(south, south + 40, n_coarse), uniform(west + rng.uniform(0, 9), west + 60 - rng.uniform(0, 9), 7)
    x = normals(rng, (len(fine[0]), len(fine[1])))
    expected = xarray_regrid_conservative(x, fine, coarse, skipna=False)
    regridding = conservative_coarsening(regular_grid(*fine), regular_grid(*coarse))
    assert regridding.kept.all() and np.isfinite(expected).all()
    np.testing.assert_allclose(regridding.scatter(regridding.operator(jnp.asarray(x))), expected, atol=1e-6)


def test_xarray_regrid_converges_to_it_on_any_grids():
    # The grids of E-OBS and CNRM-CM5. The same field in k slices a row leaves less to split: error ~ 1/k².
    fine = uniform(35.0, 44.5, 19), uniform(-10.0, 4.5, 29)
    coarse = 35.7195 + 1.4008 * np.arange(6), -8.4375 + 1.40625 * np.arange(9)
    x = normals(np.random.default_rng(0), (19, 29))
    regridding = conservative_coarsening(regular_grid(*fine), regular_grid(*coarse), minimum_valid=0.9)
    got = regridding.scatter(regridding.operator(jnp.asarray(x)))
    errors = []
    for k in (1, 10, 100):
        sliced = uniform(35.0, 44.5, 19 * k), fine[1]
        errors.append(np.abs(xarray_regrid_conservative(np.repeat(x, k, 0), sliced, coarse, skipna=False) - got).max())
    assert errors[0] > 1e-5
    assert errors[1] < errors[0] / 20
    assert errors[2] < 1e-6


@pytest.mark.slow
@quick
@given(seeds)
def test_masks_agree_with_xarray_regrid(seed):
    rng = np.random.default_rng(seed)
    fine, coarse = (uniform(30, 50, 16), uniform(-10, 14, 18)), (uniform(30, 50, 4), uniform(-10, 14, 6))
    mask = random_mask(rng, (16, 18))
    x = np.where(mask, normals(rng, (16, 18)), np.nan).astype(np.float32)
    expected = xarray_regrid_conservative(x, fine, coarse, skipna=True, nan_threshold=0.5)
    regridding = conservative_coarsening(regular_grid(*fine), regular_grid(*coarse), mask=mask, minimum_valid=0.5)
    # Cells of 4 × 3 points are half valid only to rounding, if at all: areas of rows differ.
    assume(np.abs(regridding.valid_fraction - 0.5).min() > 1e-6)
    np.testing.assert_array_equal(regridding.kept, np.isfinite(expected))
    # The field itself is NaN outside the mask: what has no weight is not read.
    np.testing.assert_allclose(regridding.scatter(regridding.operator(jnp.asarray(x))), expected, atol=1e-6)


@quick
@given(seeds)
def test_integrals_are_conserved_and_constants_reproduced(seed):
    rng = np.random.default_rng(seed)
    fine, coarse = random_pair(rng)
    regridding = conservative_coarsening(fine, coarse)
    x = normals(rng, fine.shape)
    y = regridding.scatter(regridding.operator(jnp.asarray(x)))
    size = (fine.areas * np.abs(x)).sum()
    # Single precision: rounding of 6e-8 a value, some 100 of them.
    np.testing.assert_allclose((coarse.areas * y).sum() / size, (fine.areas * x).sum() / size, atol=1e-6)
    mask = random_mask(rng, fine.shape)
    masked = conservative_coarsening(fine, coarse, mask=mask, minimum_valid=0.0)
    constant = np.where(mask, 273.15, np.nan).astype(np.float32)
    np.testing.assert_allclose(masked.operator(jnp.asarray(constant)), 273.15, rtol=1e-6)


@quick
@given(seeds)
def test_masked_integrals_are_those_of_the_valid_cells(seed):
    # y times the valid part of its cell adds up to the integral over all valid cells.
    rng = np.random.default_rng(seed)
    fine, coarse = random_pair(rng)
    mask, x = random_mask(rng, fine.shape), normals(rng, fine.shape)
    regridding = conservative_coarsening(fine, coarse, mask=mask, minimum_valid=0.0)
    y = regridding.scatter(regridding.operator(jnp.asarray(x)))
    total = np.nansum(coarse.areas * regridding.valid_fraction * y)
    np.testing.assert_allclose(total, (fine.areas * x)[mask].sum(), atol=1e-6 * fine.areas.sum())


@quick
@given(seeds, st.sampled_from([0.0, 0.3, 0.5]))
def test_adjoint_and_pseudo_inverse(seed, minimum_valid):
    rng = np.random.default_rng(seed)
    fine, coarse = random_pair(rng)
    operator = conservative_coarsening(
        fine, coarse, mask=random_mask(rng, fine.shape), minimum_valid=minimum_valid
    ).operator
    x, y = jnp.asarray(normals(rng, (2, *fine.shape))), jnp.asarray(normals(rng, (2, *operator.coarse_shape)))
    np.testing.assert_allclose(jnp.vdot(operator(x), y), jnp.vdot(x, operator.adjoint(y)), rtol=1e-4, atol=1e-5)
    # Means of overlapping parts: C′C′ᵀ has condition numbers of up to 1e3 here, times rounding of 6e-8.
    np.testing.assert_allclose(operator(operator.pseudo_inverse(operator(x))), operator(x), atol=5e-5)
    np.testing.assert_allclose(jax.vjp(operator, x)[1](y)[0], operator.adjoint(y), atol=1e-6)


@quick
@given(seeds)
def test_longitudes_wrap(seed):
    # Rolling a global fine grid over the date line changes nothing but the order of its columns.
    rng = np.random.default_rng(seed)
    lat, lon = uniform(-90, 90, 12), uniform(-180, 180, 24)
    coarse = regular_grid(uniform(-90, 90, 3), uniform(-180, 180, 5) + rng.uniform(0, 72))
    shift, x = int(rng.integers(24)), normals(rng, (12, 24))
    plain = conservative_coarsening(regular_grid(lat, lon), coarse).operator(jnp.asarray(x))
    rolled = conservative_coarsening(regular_grid(lat, np.roll(lon, shift) % 360), coarse)
    assert rolled.kept.all()
    np.testing.assert_allclose(rolled.valid_fraction, 1.0, rtol=1e-9)
    np.testing.assert_allclose(rolled.operator(jnp.asarray(np.roll(x, shift, 1))), plain, atol=1e-6)


def test_polygons_of_a_regular_grid_are_its_rectangles():
    rng = np.random.default_rng(3)
    fine, coarse = random_pair(rng, lon=(165.0, 200.0))
    edges = [np.append(b[:, 0], b[-1, 1]) for b in (fine.lat_bounds, fine.lon_bounds)]
    curved = from_nodes(*np.meshgrid(*edges, indexing="ij"))
    exact = overlap_areas(fine, coarse).toarray()
    np.testing.assert_allclose(overlap_areas(curved, coarse).toarray(), exact, atol=1e-12)
    np.testing.assert_allclose(overlap_areas(coarse, curved).toarray(), exact.T, atol=1e-12)


def test_rotated_cells_tile_the_coarse_ones():
    fine = from_nodes(*rotated_nodes(30))
    coarse = regular_grid(uniform(20, 40, 5), (uniform(170, 190, 4) + 180) % 360 - 180, source="coarse")
    areas = overlap_areas(fine, coarse)
    # The coarse region lies inside the rotated one: each cell is covered once, and no area is made or lost.
    np.testing.assert_allclose(areas.sum(axis=1), coarse.areas.ravel(), rtol=1e-9)
    inside = (areas.sum(axis=0) > 0.999 * fine.areas.ravel()).sum()
    assert inside > 300
    assert (areas.sum(axis=0) <= fine.areas.ravel() * (1 + 1e-9)).all()


def quadrature(field, grid, n=12):
    """Means of a function over regular cells by Gauss–Legendre in longitude and sine of latitude."""
    nodes, weights = np.polynomial.legendre.leggauss(n)
    s, lam = np.sin(np.radians(grid.lat_bounds)), np.radians(grid.lon_bounds)
    s = s.mean(1)[:, None] + np.diff(s) / 2 * nodes
    lam = lam.mean(1)[:, None] + np.diff(lam) / 2 * nodes
    values = field(np.arcsin(s)[:, None, :, None], lam[None, :, None, :])
    return np.einsum("abij,i,j->ab", values, weights, weights) / 4


def smooth(phi, lam):
    return np.sin(3 * lam) * np.cos(phi) + np.sin(4 * phi)


def test_means_of_a_smooth_field_on_a_rotated_grid_converge_at_second_order():
    coarse = regular_grid(uniform(22, 38, 3), uniform(172, 188, 3))
    errors = []
    for n in (12, 24, 48):
        fine = curvilinear_grid(*(from_nodes(*rotated_nodes(n)).lat, from_nodes(*rotated_nodes(n)).lon))
        regridding = conservative_coarsening(fine, coarse, minimum_valid=0.99)
        x = smooth(np.radians(fine.lat), np.radians(fine.lon)).astype(np.float32)
        y = regridding.scatter(regridding.operator(jnp.asarray(x)))
        errors.append(np.sqrt(np.mean((y - quadrature(smooth, coarse)) ** 2)))
    orders = np.log2(np.divide(errors[:-1], errors[1:]))
    assert errors[-1] < 1e-3
    assert (orders > 1.7).all(), (errors, orders)


def test_nested_rotated_grids_give_block_means():
    nodes = rotated_nodes(24)
    fine, coarse = from_nodes(*nodes), from_nodes(*(k[::4, ::4] for k in nodes))
    regridding = conservative_coarsening(fine, coarse, minimum_valid=0.9)
    assert regridding.kept.all()
    x = normals(np.random.default_rng(0), fine.shape)
    blocks = [(w * x).reshape(6, 4, 6, 4).sum((1, 3)) / w.reshape(6, 4, 6, 4).sum((1, 3)) for w in (fine.areas,)]
    got = regridding.scatter(regridding.operator(jnp.asarray(x)))
    # Edges of 4-degree cells are straight in another sense than those of 1-degree ones; they part by up to
    # (4/57)²/8·tan φ ~ 4e-4 rad of 0.017: some 2 % of the outer fine cells, each a sixteenth of a mean.
    np.testing.assert_allclose(got, blocks[0], atol=0.02)


def test_a_cell_that_is_not_convex():
    # An arrowhead of area 1 (2·2/2 − 2·1/2) over unit squares: its parts add up to it, the notch is left out.
    from subgrid.data.grids.regrid import _polygon_overlaps

    arrow = np.array([[[0.0, 0.0], [2.0, 0.0], [1.0, 2.0], [1.0, 1.0]]])
    squares = np.array([[[i, j], [i + 1, j], [i + 1, j + 1], [i, j + 1]] for j in (0, 1) for i in (0, 1)], float)
    # Diagonal from (0, 0) to (1, 1); right side from (2, 0) to (1, 2): by elementary geometry.
    expected = [0.5, 0.75, 0.0, 0.25]
    np.testing.assert_allclose(_polygon_overlaps(squares, arrow).toarray()[0], expected, atol=1e-12)
    np.testing.assert_allclose(_polygon_overlaps(arrow, squares).toarray()[:, 0], expected, atol=1e-12)


def test_kept_cells_go_there_and_back():
    fine, coarse = random_pair(np.random.default_rng(1))
    mask, without = np.ones(fine.shape, bool), np.ones(coarse.shape, bool)
    mask[:, : fine.shape[1] // 2], without[-1, -1] = False, False
    regridding = conservative_coarsening(fine, coarse, mask=mask, coarse_mask=without)
    assert 0 < regridding.kept.sum() < regridding.kept.size and not regridding.kept[-1, -1]
    np.testing.assert_array_equal(regridding.kept, (regridding.valid_fraction >= 0.5) & without)
    y = normals(np.random.default_rng(2), (3, 2, *coarse.shape))
    back = regridding.scatter(regridding.select(y))
    np.testing.assert_array_equal(back, np.where(regridding.kept, y, np.nan))
    np.testing.assert_array_equal(jax.jit(regridding.select)(jnp.asarray(y)), regridding.select(y))
    with pytest.raises(ValueError, match="its last axes must be the grid"):
        regridding.select(y[..., 1:])
    with pytest.raises(ValueError, match="the vector has 1 values for"):
        regridding.scatter(y[..., 0, :1])


def test_errors():
    fine = regular_grid(uniform(36, 43, 14), uniform(-10, 4, 28), source="fine.nc")
    coarse = regular_grid(uniform(36, 43, 3), uniform(-10, 4, 4), source="coarse.nc")
    elsewhere = regular_grid(uniform(50, 60, 3), uniform(-10, 4, 4), source="coarse.nc")
    with pytest.raises(DataError, match=r"fine\.nc\) covers 36..43 N, -10..4 E.*50..60 N, -10..4 E: they do not over"):
        conservative_coarsening(fine, elsewhere)
    finer = regular_grid(uniform(36, 43, 28), uniform(-10, 4, 56), source="coarse.nc")
    with pytest.raises(DataError, match=r"coarse\.nc, cells of 0.25 x 0.25 deg.*fine one \(fine\.nc, 0.5 x 0.5 deg"):
        conservative_coarsening(fine, finer)
    with pytest.raises(DataError, match=r"no coarse cell of coarse\.nc has 0.5 of its area .*fine\.nc \(the most is 0"):
        conservative_coarsening(fine, coarse, mask=np.arange(14 * 28).reshape(14, 28) % 3 == 0)
    with pytest.raises(DataError, match=r"mask has shape \(2, 2\), but the grid of fine\.nc has \(14, 28\)"):
        conservative_coarsening(fine, coarse, mask=np.ones((2, 2), bool))
    with pytest.raises(ValueError, match="minimum_valid is a fraction from 0 to 1, got 50"):
        conservative_coarsening(fine, coarse, minimum_valid=50.0)
    # The same grid is neither finer nor coarser: the operator is the identity.
    same = conservative_coarsening(fine, fine).operator
    np.testing.assert_allclose(same.matrix.todense(), np.eye(14 * 28), atol=1e-6)


@pytest.mark.skipif(not (DATA / "iberia").is_dir(), reason=f"real data of the project are not at {DATA}")
def test_the_iberia_files():
    with (
        xr.open_dataset(DATA / "iberia/EOBS_Iberia_tas.nc") as fine,
        xr.open_dataset(DATA / "iberia/CMIP5_Iberia_tas.nc") as coarse,
    ):
        field, mask = fine.tas[:10].values, np.isfinite(fine.tas.values).all(0)
        grids = grid_of(fine, source="EOBS"), grid_of(coarse, source="CMIP5")
    assert mask.sum() == 330
    regridding = conservative_coarsening(*grids, mask=mask)
    assert regridding.kept.sum() == 43
    # Over kept cells and their valid parts, both sides integrate the same land.
    y, areas = regridding.operator(jnp.asarray(field)), overlap_areas(*grids).toarray()[regridding.kept.ravel()]
    valid_areas = areas * mask.ravel()
    expected = valid_areas.sum(0) @ np.nan_to_num(field).reshape(10, -1).T
    np.testing.assert_allclose(y @ valid_areas.sum(1), expected, rtol=1e-5)
    np.testing.assert_allclose(regridding.operator(regridding.operator.pseudo_inverse(y)), y, atol=1e-4)
