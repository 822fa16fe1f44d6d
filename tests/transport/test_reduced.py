"""Transport on principal components against distributions whose components and map are known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from subgrid.transport.reduced import fit_reduced_map, principal_components
from subgrid.transport.shrinkage import fit_shrunk_gaussian_map

RNG = np.random.default_rng(0)
BASIS = np.linalg.qr(RNG.normal(size=(12, 12)))[0]


def with_scores(scores):
    """Fields of 12 values with the given leading scores and small Gaussian scores on the rest."""
    n, k = scores.shape
    rest = 0.1 * np.random.default_rng(n).normal(size=(n, 12 - k))
    return np.concatenate([scores, rest], 1) @ BASIS.T


def test_components_are_those_of_the_covariance():
    x = RNG.normal(size=(500, 12)) @ np.diag([5, 3, *[0.2] * 10]) @ BASIS.T
    V, explained = principal_components(x, 0.95)
    assert V.shape == (12, 2)
    np.testing.assert_allclose(V.T @ V, np.eye(2), atol=1e-12)
    np.testing.assert_allclose(np.abs(V.T @ BASIS[:, :2]), np.eye(2), atol=0.13)  # 3 × √(25·9)/(25 − 9)/√500
    kept = x @ V @ V.T
    assert explained == pytest.approx(1 - np.sum((x - kept) ** 2) / np.sum(x**2), abs=1e-12)
    assert principal_components(x, 1.0)[0].shape == (12, 12)


def test_weights_choose_the_subspace():
    # Two points of equal variance: the one with the larger area comes first.
    x = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    V, explained = principal_components(x, 0.6, weights=np.array([1.0, 3.0]))
    np.testing.assert_allclose(np.abs(V), [[0], [1]], atol=1e-12)
    assert explained == pytest.approx(0.75)


def test_a_law_that_no_linear_map_reaches_is_reached():
    # Leading score: Gaussian → two humps. All else stays Gaussian. The linear map can only rescale the one hump.
    n = 800
    quantiles = norm.ppf((np.arange(n) + 0.5) / n)
    humps = np.sort(np.concatenate([-2 + 0.3 * quantiles[::2], 2 + 0.3 * quantiles[1::2]]))
    source, target = (with_scores(RNG.permutation(q)[:, None]) for q in (quantiles, humps))
    fields = [jnp.asarray(a, jnp.float32) for a in (source, target)]
    reduced, summary = fit_reduced_map(*fields, explained_variance=0.7, epsilon=0.01)
    assert summary.n_components == 1
    scores = np.asarray(jax.vmap(reduced)(fields[0])) @ BASIS[:, 0]
    error = np.abs(np.sort(scores) - humps).mean()  # the 1-D Wasserstein distance
    linear = np.asarray(jax.vmap(fit_shrunk_gaussian_map(*fields)[0])(fields[0])) @ BASIS[:, 0]
    # ε blurs over √(.01·2·4/2) = .2, on humps .3 wide and 4 apart; linear: E|2 + .3z − 2.02|z|| ≈ 1.
    assert error < 0.15 < 0.5 < np.abs(np.sort(linear) - humps).mean()


def test_the_complement_is_moved_by_the_linear_map_alone():
    source, target = RNG.normal(size=(300, 12)), RNG.normal(size=(400, 12)) * np.linspace(1, 3, 12)
    first, second = (jnp.asarray(a, jnp.float32) for a in (source, target))
    reduced, summary = fit_reduced_map(first, second, explained_variance=0.5)
    assert 0 < summary.n_components < 12 and summary.explained_variance >= 0.5
    moved, linear = jax.vmap(reduced)(first), jax.vmap(reduced.gaussian)(first)
    difference = np.asarray((moved - linear) / reduced.scale)
    V = np.asarray(reduced.components)
    np.testing.assert_allclose(difference, difference @ V @ V.T, atol=1e-4)


def test_moments_are_those_of_the_target_and_shapes_are_kept():
    scores = RNG.gamma(2.0, size=(600, 3)) - 2
    source = jnp.asarray(RNG.normal(size=(500, 1, 3, 4)), jnp.float32)
    target = jnp.asarray(with_scores(scores).reshape(600, 1, 3, 4), jnp.float32)
    reduced, _ = fit_reduced_map(source, target, n_samples=300)
    moved = np.asarray(jax.lax.map(reduced, source, batch_size=100))
    assert moved.shape == source.shape
    np.testing.assert_allclose(moved.mean(0), target.mean(0), atol=1e-3)  # affine parts restore it exactly
    # The complement's covariance with the scores moves with them: a few per cent of the variance.
    np.testing.assert_allclose(moved.std(0), np.asarray(target).std(0), rtol=0.08)


def test_traces_once_and_has_gradients():
    source, target = (jnp.asarray(RNG.normal(size=(100, 6)), jnp.float32) for _ in range(2))
    reduced, _ = fit_reduced_map(source, target)
    count = []
    mapped = jax.jit(lambda y: count.append(1) or reduced(y))
    mapped(source[0]), mapped(source[1])
    assert len(count) == 1
    assert jnp.isfinite(jax.jacfwd(reduced)(source[0])).all()


def test_complaints():
    y = jnp.asarray(RNG.normal(size=(20, 3)), jnp.float32)
    with pytest.raises(ValueError, match=r"explained_variance must be in \(0, 1\], got 1.5"):
        fit_reduced_map(y, y, explained_variance=1.5)
    with pytest.raises(ValueError, match="weights must be positive"):
        principal_components(np.asarray(y), 0.9, weights=np.zeros(3))
    with pytest.raises(ValueError, match="they must agree"):
        fit_reduced_map(y, y[:, :2])
