"""The bridge between Gaussians against the specification's numbers, and against the equations it must solve."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from scipy.linalg import sqrtm

from subgrid.transport.gaussian_bridge import (
    GaussianBridge,
    bridge_velocity,
    gaussian_schroedinger_bridge,
    markovian_coupling,
)

GOLDEN = (np.sqrt(5) - 1) / 2
MEAN0, MEAN1 = np.array([0.5, -1.0]), np.array([-0.3, 2.0])
COV0, COV1 = np.array([[1.0, 0.6], [0.6, 1.0]]), np.array([[2.0, -0.5], [-0.5, 0.5]])


def standard(coupling, sigma=1.0):
    one = jnp.ones((1, 1))
    return GaussianBridge(jnp.full(1, -0.1), jnp.full(1, 0.1), one, one, jnp.full((1, 1), coupling), sigma)


def plane(sigma):
    distributions = (jnp.asarray(part, jnp.float32) for part in (MEAN0, COV0, MEAN1, COV1))
    return gaussian_schroedinger_bridge(*distributions, sigma=sigma)


def test_coupling_of_unit_gaussians_is_the_golden_ratio():
    d = 5
    bridge = gaussian_schroedinger_bridge(jnp.full(d, -0.1), jnp.eye(d), jnp.full(d, 0.1), jnp.eye(d), sigma=1.0)
    np.testing.assert_allclose(bridge.coupling, GOLDEN * np.eye(d), atol=1e-6)


@pytest.mark.parametrize("sigma", [0.3, 1.0, 2.0])
def test_coupling_of_correlated_gaussians(sigma):
    root = np.real(sqrtm(COV0))
    middle = np.real(sqrtm(4 * root @ COV1 @ root + sigma**4 * np.eye(2)))
    expected = (root @ middle @ np.linalg.inv(root) - sigma**2 * np.eye(2)) / 2
    coupling = np.float64(plane(sigma).coupling)
    np.testing.assert_allclose(coupling, expected, atol=1e-5)
    # What makes it the static bridge: the joint precision has −I/σ² off its diagonal, as the reference's density has.
    precision = np.linalg.inv(np.block([[COV0, coupling], [coupling.T, COV1]]))
    np.testing.assert_allclose(precision[:2, 2:], -np.eye(2) / sigma**2, rtol=1e-3, atol=1e-3 / sigma**2)


def test_coupling_tends_to_the_optimal_map_and_to_independence():
    monge = np.array([[1.7006, -0.6342], [-0.6342, 0.8731]])  # the specification's
    np.testing.assert_allclose(plane(0.01).coupling, COV0 @ monge, atol=2e-3)
    np.testing.assert_allclose(plane(30.0).coupling, 0, atol=2e-3)


@pytest.mark.parametrize("sigma", [0.5, 1.0])
@pytest.mark.parametrize("t", [0.25, 0.5, 0.9])
def test_variance_along_the_bridge(sigma, t):
    one = jnp.ones((1, 1))
    bridge = gaussian_schroedinger_bridge(jnp.zeros(1), one, jnp.ones(1), one, sigma=sigma)
    mean, spread = bridge.moments(t)
    assert float(mean[0]) == pytest.approx(t)
    expected = (1 - t) ** 2 + t**2 + t * (1 - t) * np.sqrt(4 + sigma**4)
    assert float(spread[0, 0]) == pytest.approx(expected, rel=1e-5)


def test_iterative_markovian_fitting_from_independence():
    coupling, got = 0.0, []
    for _ in range(12):
        coupling = float(markovian_coupling(standard(coupling))[0, 0])
        got.append(coupling)
    np.testing.assert_allclose(got[:3], [0.5463, 0.6111, 0.6174], atol=1e-4)
    assert got[-1] == pytest.approx(GOLDEN, abs=1e-5)


def test_the_bridge_is_the_fixed_point():
    bridge = plane(0.8)
    np.testing.assert_allclose(markovian_coupling(bridge, n_steps=500), bridge.coupling, atol=1e-4)


@pytest.mark.parametrize("t", [0.2, 0.6])
def test_drifts_transport_the_moments(t):
    # Forward dX = (u + A(x − m))dt + σdW needs ṁ = u and Σ̇ = AΣ + ΣAᵀ + σ²I; backward, in falling time, the mirror.
    bridge, h = plane(0.8), 0.1  # moments are quadratic in time: central differences are exact
    (mean, spread), (m_before, s_before), (m_after, s_after) = (bridge.moments(s) for s in (t, t - h, t + h))
    rate, change = (m_after - m_before) / (2 * h), (s_after - s_before) / (2 * h)
    for drift, sign, noise in ((bridge.forward, 1, 0.64), (bridge.backward, -1, 0.64), (bridge_velocity(bridge), 1, 0)):
        slope = jax.jacfwd(drift)(mean, jnp.asarray(t))
        np.testing.assert_allclose(sign * drift(mean, jnp.asarray(t)), rate, atol=1e-5)
        gained = slope @ spread + spread @ slope.T + noise * jnp.eye(2)
        np.testing.assert_allclose(sign * gained, change, atol=2e-5)


def test_drawn_pairs_have_the_joint_moments():
    n = 40_000
    x0, x1 = plane(0.8).draw(n, key=jr.key(0))
    joint = np.cov(np.concatenate([x0, x1], 1).T)
    coupling = np.asarray(plane(0.8).coupling)
    expected = np.block([[COV0, coupling], [coupling.T, COV1]])
    np.testing.assert_allclose(joint, expected, atol=5 * 2 * np.sqrt(2 / n))  # variances up to 2
    np.testing.assert_allclose(np.mean(x1, 0), MEAN1, atol=5 * np.sqrt(2 / n))


@pytest.mark.parametrize("sigma", [0.0, -1.0])
def test_without_noise_there_is_no_bridge(sigma):
    with pytest.raises(ValueError, match=f"sigma must be positive, got {sigma}; for paths without noise use a rect"):
        plane(sigma)
