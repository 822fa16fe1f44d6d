"""The linear Monge map against its defining identities, an independent implementation, and samples."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ott.tools.gaussian_mixture.gaussian import Gaussian

from subgrid.transport.gaussian import fit_gaussian_map, monge_matrix


def covariance(d, seed):
    a = np.random.default_rng(seed).normal(size=(d, d + 2))
    return a @ a.T / d + 0.1 * np.eye(d)


def test_it_carries_one_covariance_to_the_other_and_is_symmetric_positive():
    first, second = covariance(7, 0), covariance(7, 1)
    matrix = monge_matrix(first, second)
    np.testing.assert_allclose(matrix @ first @ matrix, second, rtol=1e-10)
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-12)
    assert np.linalg.eigvalsh(matrix).min() > 0  # a gradient of a convex function: Brenier


def test_agrees_with_ott():
    first, second = covariance(5, 2), covariance(5, 3)
    with jax.enable_x64(True):
        m1, m2 = np.arange(5.0), np.ones(5)
        points = np.random.default_rng(4).normal(size=(3, 5))

        @jax.jit
        def transported(m1, m2, first, second, points):
            one, other = Gaussian.from_mean_and_cov(m1, first), Gaussian.from_mean_and_cov(m2, second)
            return one.transport(other, points)

        expected = np.asarray(transported(m1, m2, first, second, points))
    ours = m2 + (points - m1) @ monge_matrix(first, second).T
    np.testing.assert_allclose(ours, expected, rtol=1e-6)


def test_mapped_samples_have_the_target_moments():
    rng = np.random.default_rng(5)
    source = jax.device_put(np.asarray(rng.normal(size=(500, 1, 2, 3)) @ rng.normal(size=(3, 3)) + 2, np.float32))
    target = jax.device_put(np.asarray(rng.gamma(2.0, size=(800, 1, 2, 3)), np.float32))
    mapped = jax.vmap(fit_gaussian_map(source, target))(source)
    assert mapped.shape == source.shape
    flat = lambda a: np.asarray(a).reshape(len(a), -1)  # noqa: E731
    np.testing.assert_allclose(flat(mapped).mean(0), flat(target).mean(0), atol=1e-4)
    # The ridge, 1e-6 of the variance, is what keeps this from being exact.
    np.testing.assert_allclose(np.cov(flat(mapped).T), np.cov(flat(target).T), atol=1e-4 * np.cov(flat(target).T).max())


def test_directions_that_never_vary_are_left_alone():
    rng = np.random.default_rng(6)
    source = np.zeros((50, 3), np.float32)
    source[:, :2] = rng.normal(size=(50, 2))
    target = 2 * source
    mapped = jax.vmap(fit_gaussian_map(jnp.asarray(source), jnp.asarray(target)))(jnp.asarray(source))
    np.testing.assert_allclose(mapped, target, atol=1e-2)


def test_complaints():
    with pytest.raises(ValueError, match=r"4 values needs more than 4 samples; got 4 and 9"):
        fit_gaussian_map(jnp.ones((4, 4)), jnp.ones((9, 4)))
    with pytest.raises(ValueError, match="they must agree"):
        fit_gaussian_map(jnp.ones((9, 4)), jnp.ones((9, 5)))
