"""Coarsening operators by their identities: adjoint, pseudo-inverse, and the same map written in NumPy."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings, strategies as st

from subgrid.numerics.operators import BlockMean, SparseCoarsening, Subsample

quick = settings(max_examples=15, deadline=None, derandomize=True)
grids = st.sampled_from(
    [((12,), 3), ((8,), 1), ((6,), 6), ((4, 6), 2), ((4, 6), (4, 3)), ((6, 3), (1, 3)), ((2, 4, 4), 2)]
)
leads = st.sampled_from([(), (2,), (1, 3)])
seeds = st.integers(0, 2**31)


def random_sparse(seed, fine_shape, coarse_shape, *, deficient):
    rng = np.random.default_rng(seed)
    n_coarse, n_fine = np.prod(coarse_shape), np.prod(fine_shape)
    # Orthogonal rows scaled by 1 to 2: condition number 4 for C′C′ᵀ, so float32 leaves 1e-6 of error.
    rows = np.linalg.qr(rng.normal(size=(n_fine, n_coarse)))[0].T * rng.uniform(1, 2, (n_coarse, 1))
    if deficient:
        rows[-1] = rows[0] - 2 * rows[1]
    return SparseCoarsening(scipy.sparse.csr_array(rows), fine_shape=fine_shape, coarse_shape=coarse_shape)


@st.composite
def operators(draw):
    fine_shape, factors = draw(grids)
    kind = draw(st.sampled_from(["subsample", "block mean", "sparse", "deficient"]))
    if kind == "subsample":
        return Subsample(fine_shape, factors)
    if kind == "block mean":
        return BlockMean(fine_shape, factors)
    shapes = draw(st.sampled_from([((12,), (4,)), ((4, 6), (2, 3))]))
    return random_sparse(draw(seeds), *shapes, deficient=kind == "deficient")


def normals(seed, shape):
    return np.float32(np.random.default_rng(seed).normal(size=shape))


@eqx.filter_jit
def all_maps(operator, x, y, ridge=1.0):
    """C′x, C′ᵀy, C′⁺y, C′⁺C′x, C′C′⁺y, C′⁺C′C′⁺y, C′C′⁺C′x and the ridge's solution: one program for each operator."""
    inverse = operator.pseudo_inverse
    down, up, there_and_back, back_and_there = operator(x), inverse(y), inverse(operator(x)), operator(inverse(y))
    return (
        down,
        operator.adjoint(y),
        up,
        there_and_back,
        back_and_there,
        inverse(back_and_there),
        operator(there_and_back),
        inverse(y, ridge),
        jax.vjp(operator, x)[1](y)[0],
    )


def maps_of(operator, x, y, ridge=1.0):
    return [np.asarray(part) for part in all_maps(operator, x, y, jnp.float32(ridge))]


@quick
@given(operators(), leads, seeds)
def test_adjoint(operator, lead, seed):
    x, y = normals(seed, (*lead, *operator.fine_shape)), normals(seed + 1, (*lead, *operator.coarse_shape))
    down, adjoint, *_ = maps_of(operator, x, y)
    np.testing.assert_allclose(np.vdot(down, y), np.vdot(x, adjoint), rtol=1e-4, atol=1e-4)


@quick
@given(operators(), leads, seeds)
def test_penrose_identities(operator, lead, seed):
    x, y = normals(seed, (*lead, *operator.fine_shape)), normals(seed + 1, (*lead, *operator.coarse_shape))
    down, _, up, in_x, in_y, up_again, down_again, *_ = maps_of(operator, x, y)
    np.testing.assert_allclose(down_again, down, atol=2e-5)
    np.testing.assert_allclose(up_again, up, atol=2e-5)
    # C′⁺C′ and C′C′⁺ are symmetric.
    other_x, other_y = normals(seed + 2, x.shape), normals(seed + 3, y.shape)
    _, _, _, in_other_x, in_other_y, *_ = maps_of(operator, other_x, other_y)
    np.testing.assert_allclose(np.vdot(in_x, other_x), np.vdot(x, in_other_x), atol=2e-4)
    np.testing.assert_allclose(np.vdot(in_y, other_y), np.vdot(y, in_other_y), atol=2e-4)


@quick
@given(operators(), st.floats(0.01, 10.0), seeds)
def test_ridge(operator, ridge, seed):
    # z = (C′C′ᵀ + ρ)⁻¹C′x solves its own normal equations, for x in the range on which it is defined.
    fine, none = normals(seed, operator.fine_shape), jnp.zeros(operator.coarse_shape, jnp.float32)
    y = maps_of(operator, fine, none)[0]
    x = maps_of(operator, fine, y, ridge)[7]
    # C′x + ρz = y with x = C′ᵀz, hence C′ᵀ(y − C′x) = ρx.
    left = y - maps_of(operator, x, y)[0]
    np.testing.assert_allclose(maps_of(operator, x, left)[1], np.float32(ridge) * x, atol=2e-5)


@quick
@given(operators(), seeds)
def test_gradient_is_the_adjoint(operator, seed):
    x, y = normals(seed, operator.fine_shape), normals(seed + 1, operator.coarse_shape)
    _, adjoint, *_, gradient = maps_of(operator, x, y)
    np.testing.assert_allclose(gradient, adjoint, atol=1e-5)


def test_values_in_one_and_two_dimensions():
    x = np.arange(48.0, dtype=np.float32).reshape(2, 4, 6)
    np.testing.assert_array_equal(Subsample((4, 6), (2, 3))(jnp.asarray(x)), x[:, ::2, ::3])
    means = [[x[c, 2 * i : 2 * i + 2, 3 * j : 3 * j + 3].mean() for i in range(2) for j in range(2)] for c in range(2)]
    np.testing.assert_allclose(BlockMean((4, 6), (2, 3))(jnp.asarray(x)).reshape(2, 4), means, rtol=1e-6)
    weights = np.random.default_rng(0).normal(size=(4, 24))
    sparse = SparseCoarsening(weights, fine_shape=(4, 6), coarse_shape=(2, 2))
    np.testing.assert_allclose(sparse(jnp.asarray(x)).reshape(2, 4), x.reshape(2, 24) @ weights.T, rtol=1e-5, atol=1e-4)


def test_sparse_pseudo_inverse_is_that_of_numpy():
    weights = np.random.default_rng(1).normal(size=(3, 8))
    weights = np.concatenate([weights, weights[:1] + weights[1:2]])  # rank 3
    operator = SparseCoarsening(weights, fine_shape=(8,), coarse_shape=(4,))
    got = jax.vmap(operator.pseudo_inverse, 1, 1)(jnp.eye(4))
    np.testing.assert_allclose(got, np.linalg.pinv(weights), atol=1e-4)


@pytest.mark.parametrize("dtype", [bool, np.int8, np.float32])
def test_weights_of_any_type_mean_the_same(dtype):
    # Sums over 200 points: 8-bit and boolean products of the matrix with itself would overflow.
    weights = np.kron(np.eye(2), np.ones(200)).astype(dtype)
    operator = SparseCoarsening(weights, fine_shape=(400,), coarse_shape=(2,))
    np.testing.assert_allclose(operator(jnp.ones(400)), [200.0, 200.0])
    np.testing.assert_allclose(operator(operator.pseudo_inverse(jnp.asarray([1.0, -3.0]))), [1.0, -3.0], rtol=1e-5)


def test_operators_pass_through_jit_as_arguments_and_trace_once():
    traces = []

    @eqx.filter_jit
    def apply(operator, x):
        traces.append(1)
        return operator.pseudo_inverse(operator(x))

    for seed in (0, 1):
        operator = random_sparse(seed, (8,), (2,), deficient=False)
        apply(operator, jr.normal(jr.key(seed), (8,)))
    assert len(traces) == 1


@pytest.mark.parametrize("make", [Subsample, BlockMean])
def test_bad_factors(make):
    with pytest.raises(ValueError, match="coarsening factor 5 does not divide the 12 fine points"):
        make((12,), 5)
    with pytest.raises(ValueError, match="2 factors given for a field with 1 space axes"):
        make((12,), (2, 2))
    with pytest.raises(ValueError, match="factor 0"):
        make((12,), 0)


def test_bad_matrices():
    with pytest.raises(ValueError, match=r"shape \(3, 8\).*need \(2, 8\)"):
        SparseCoarsening(np.ones((3, 8)), fine_shape=(8,), coarse_shape=(2,))
    with pytest.raises(ValueError, match="NaN or infinite"):
        SparseCoarsening(np.full((2, 8), np.nan), fine_shape=(8,), coarse_shape=(2,))
