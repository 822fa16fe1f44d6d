"""C′ of plain fields from what two archives say of their grids, and whether space wraps around."""

import tracemalloc

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse
import xarray as xr

from subgrid.data.fields import DataError, Samples, samples_of
from subgrid.downscaling.model import coarsening
from subgrid.downscaling.model.coarsening import coarsening_of, looks_periodic
from subgrid.numerics.operators import BlockMean, SparseCoarsening, Subsample

X = np.arange(12) * 0.5


def samples(name: str, *axes, values=None) -> Samples:
    """Five fields on axes that are coordinates, or a number of points without any."""
    dims = ("y", "x")[-len(axes) :]
    shape = tuple(axis if isinstance(axis, int) else len(axis) for axis in axes)
    coords = {dim: axis for dim, axis in zip(dims, axes, strict=True) if not isinstance(axis, int)}
    values = np.zeros((5, *shape)) if values is None else values
    return samples_of(xr.DataArray(values, coords, ("time", *dims), "u"), source=name)


def found(fine: Samples, coarse: Samples):
    """What C′ does to the coordinates of the fine grid: the places that coarse values are of."""
    return coarsening_of(fine, coarse, None)


@pytest.mark.parametrize(("factor", "kind"), [(3, Subsample), (3, BlockMean), (4, BlockMean), (1, Subsample)])
def test_c_of_an_axis_takes_fine_places_to_coarse_ones(factor, kind):
    places = X[::factor] if kind is Subsample else X.reshape(-1, factor).mean(1)
    operator = found(samples("fine", X), samples("coarse", places))
    assert isinstance(operator, kind)
    np.testing.assert_allclose(operator(jnp.asarray(X)), places, rtol=1e-6)


def test_axes_may_have_factors_of_their_own_and_run_backwards():
    fine, coarse = (
        samples("fine", X[::-1], X[:8]),
        samples("coarse", X[::-1].reshape(-1, 3).mean(1), X[:8].reshape(-1, 2).mean(1)),
    )
    operator = found(fine, coarse)
    assert isinstance(operator, BlockMean) and operator.coarse_shape == (4, 4)
    np.testing.assert_allclose(operator(jnp.asarray(X[::-1][:, None] + 0 * X[:8]))[:, 0], coarse.coords.y, rtol=1e-6)


def test_an_axis_that_is_not_coarsened_needs_no_coordinate():
    operator = found(samples("fine", 4, X), samples("coarse", 4, X[::2]))
    assert isinstance(operator, Subsample) and operator.factors == (1, 2)


def test_a_coordinate_that_is_rounded_still_serves_and_one_that_is_shifted_does_not():
    rounded = (X[::3] + 0.04 * 1.5).astype(np.float32)  # less than a twentieth of a coarse cell
    assert isinstance(found(samples("fine", X), samples("coarse", rounded)), Subsample)
    with pytest.raises(DataError, match="coarse: its coordinates are neither every 3-th of fine nor the middles"):
        found(samples("fine", X), samples("coarse", X[::3] + 0.2))


def test_points_along_one_axis_and_means_along_the_other_are_refused():
    with pytest.raises(DataError, match="neither every 4-th"):
        found(samples("fine", X, X), samples("coarse", X[::3], X.reshape(-1, 4).mean(1)))


@pytest.mark.parametrize(
    ("fine", "coarse", "message"),
    [
        ((12,), (4,), "no coordinates along x, .* give operator = 3 for every 3-th point"),
        ((12,), (5,), r"\(12,\), is no multiple of the coarse one, \(5,\); give C′ as a sparse matrix"),
        ((4,), (12,), "has more points than the fine one, .* swapped?"),
        ((12, 12), (4,), "has 1 dimensions of space, and the fine fields 2"),
    ],
)
def test_grids_that_do_not_tell_are_refused_with_the_fix(fine, coarse, message):
    with pytest.raises(DataError, match=message):
        found(samples("fine", *fine), samples("coarse", *coarse))


def test_what_is_given_is_taken():
    fine, coarse = samples("fine", 12), samples("coarse", 4)
    x = np.random.default_rng(0).normal(size=12).astype(np.float32)
    every = coarsening_of(fine, coarse, 3)
    np.testing.assert_array_equal(every(jnp.asarray(x)), x[::3])
    own = BlockMean((12,), 3)
    assert coarsening_of(fine, coarse, own) is own
    weights = np.abs(np.random.default_rng(1).normal(size=(4, 12)))
    for matrix in (weights, scipy.sparse.csr_array(weights)):
        operator = coarsening_of(fine, coarse, matrix)
        assert isinstance(operator, SparseCoarsening)
        np.testing.assert_allclose(operator(jnp.asarray(x)), weights @ x, rtol=1e-4)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (5, "coarse: operator = 5 is no C′ .*5 does not divide the 12"),
        (2, r"takes fields of \(12,\) points to \(6,\), but the fine fields have \(12,\) and the coarse ones \(4,\)"),
        (BlockMean((24,), 6), r"takes fields of \(24,\) points to \(4,\)"),
        (np.ones((3, 12)), r"coarse: .*matrix has shape \(3, 12\)"),
        (np.full((4, 12), np.nan), "coarse: .*NaN"),
        ("every third", "coarse: operator = 'every third' is no C′ .*; give an operator, a factor or a sparse matrix"),
    ],
    ids=["no divisor", "other factor", "other grid", "other matrix", "nan", "a word"],
)
def test_what_is_given_and_does_not_connect_the_grids_is_refused(given, message):
    with pytest.raises(DataError, match=message):
        coarsening_of(samples("fine", 12), samples("coarse", 4), given)


def test_waves_wrap_around_and_ramps_do_not():
    x = 2 * np.pi * np.arange(32) / 32
    phases = np.random.default_rng(0).uniform(0, 6, (5, 1))
    waves = np.sin(x + phases) + 0.3 * np.sin(3 * x + 2 * phases)
    periodic, said = looks_periodic(samples("fine", 32, values=waves))
    assert periodic and said.startswith("space wraps around") and "say periodic = True or False" in said
    for other in (waves + x, np.sin(0.8 * x + phases)):
        assert not looks_periodic(samples("fine", 32, values=other))[0]


def test_a_long_archive_is_not_copied_to_be_looked_at(monkeypatch):
    monkeypatch.setattr(coarsening, "VALUES_LOOKED_AT", 32 * 100)
    x = 2 * np.pi * np.arange(32) / 32
    long = samples("fine", 32, values=np.sin(x + np.linspace(0, 90, 20_000)[:, None]))
    tracemalloc.start()
    periodic, _ = looks_periodic(long)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert periodic and peak < long.values.nbytes / 10


def test_every_axis_has_to_wrap_around():
    x = 2 * np.pi * np.arange(16) / 16
    plane = np.sin(x)[None, :, None] + np.linspace(0, 3, 16)[None, None] + np.zeros((5, 1, 1))
    assert not looks_periodic(samples("fine", 16, 16, values=plane))[0]
