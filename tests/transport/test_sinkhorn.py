"""Entropic transport against POT and against the closed form between Gaussians."""

import jax
import jax.numpy as jnp
import numpy as np
import ot
import pytest
from scipy.stats import norm

from subgrid.transport.sinkhorn import INTERACTION_SHARE, SinkhornNotConverged, fit_entropic_map, suggested_epsilon

RNG = np.random.default_rng(0)
SOURCE, TARGET = RNG.normal(size=(60, 3)), 0.5 + 1.5 * RNG.normal(size=(50, 3))


def as_float32(*arrays):
    return (jnp.asarray(a, jnp.float32) for a in arrays)


def test_the_error_is_reported_on_the_way():
    seen = []
    _, summary = fit_entropic_map(
        *as_float32(SOURCE, TARGET), epsilon=0.3, tolerance=1e-5, report=lambda n, error: seen.append((n, error))
    )
    iterations, errors = zip(*seen, strict=True)
    assert iterations[-1] == summary.iterations and errors[-1] == pytest.approx(summary.marginal_error)
    assert list(iterations) == sorted(set(iterations)) and errors[0] > errors[-1]


@pytest.mark.parametrize("epsilon", [0.3, 2.0])
def test_plan_of_pot_with_the_same_epsilon(epsilon):
    cost = ot.dist(SOURCE, TARGET)  # the full squared distance
    plan = ot.sinkhorn(np.full(60, 1 / 60), np.full(50, 1 / 50), cost, epsilon, numItermax=20000, stopThr=1e-10)
    transport, summary = fit_entropic_map(*as_float32(SOURCE, TARGET), epsilon=epsilon, tolerance=1e-5)
    got = jax.vmap(transport)(jnp.asarray(SOURCE, jnp.float32))
    np.testing.assert_allclose(got, plan @ TARGET / plan.sum(1, keepdims=True), atol=2e-3)  # marginals within 1e-5
    assert summary.marginal_error <= 1e-5
    assert (summary.n_source, summary.n_target, summary.epsilon) == (60, 50, epsilon)


@pytest.mark.parametrize("epsilon", [0.05, 1.0, 4.0])
def test_gaussian_to_gaussian(epsilon):
    # N(0, a²) → N(m, b²): the plan is Gaussian with covariance c, where c/(a²b² − c²) = 2/ε, and T(y) = m + (c/a²)y.
    # For ε → 0, c = ab and T is the optimal map m + (b/a)y. Quantiles in place of draws: no sampling error.
    a, b, m, n = 1.0, 2.0, -1.0, 600
    quantiles = norm.ppf((np.arange(n) + 0.5) / n)[:, None]
    transport, _ = fit_entropic_map(*as_float32(a * quantiles, m + b * quantiles), epsilon=epsilon, tolerance=1e-4)
    slope = (-epsilon / 4 + np.sqrt(epsilon**2 / 16 + a**2 * b**2)) / a**2
    y = np.array([-1.5, -0.5, 0.0, 0.33, 1.2])[:, None]  # unseen points, away from the ends of the quantiles
    got = jax.vmap(transport)(jnp.asarray(y, jnp.float32))
    np.testing.assert_allclose(got, m + slope * y, atol=0.02)  # 600 quantiles miss 1 % of the variance in the tails


def test_unseen_points_and_saturation():
    transport, _ = fit_entropic_map(*as_float32(SOURCE, TARGET), epsilon=1.0)
    seen = transport(jnp.asarray(SOURCE[0], jnp.float32))
    near = transport(jnp.asarray(SOURCE[0] + 1e-3, jnp.float32))
    assert 0 < np.abs(near - seen).max() < 0.01  # continuous, not a look-up
    far = transport(jnp.full(3, 1e3))
    assert np.isfinite(far).all()
    assert (far <= TARGET.max(0) + 1e-3).all()  # a convex combination of targets, however far the point


def test_fields_keep_their_shape():
    source, target = (jnp.asarray(RNG.normal(size=(30, 1, 2, 3)), jnp.float32) for _ in range(2))
    transport, _ = fit_entropic_map(source, target, epsilon=5.0)
    flat, _ = fit_entropic_map(source.reshape(30, 6), target.reshape(30, 6), epsilon=5.0)
    np.testing.assert_allclose(transport(source[0]), flat(source[0].reshape(6)).reshape(1, 2, 3), atol=1e-6)


def test_gradient_is_the_covariance_of_the_weights():
    # ∂T/∂y = (2/ε)·Cov_p(y′), symmetric and positive.
    transport, _ = fit_entropic_map(*as_float32(SOURCE, TARGET), epsilon=1.0)
    jacobian = jax.jacfwd(transport)(jnp.zeros(3))
    np.testing.assert_allclose(jacobian, jacobian.T, atol=1e-4)
    assert np.linalg.eigvalsh(jacobian).min() > 0


def test_non_convergence_raises():
    with pytest.raises(
        SinkhornNotConverged, match=r"marginal error of .* after \d+ iterations at epsilon = 0.01; raise epsilon"
    ):
        fit_entropic_map(*as_float32(SOURCE, TARGET), epsilon=0.01, tolerance=1e-6, max_iterations=20)
    with pytest.raises(SinkhornNotConverged):
        fit_entropic_map(*as_float32(np.where(SOURCE > 2, np.nan, SOURCE), TARGET), epsilon=1.0, max_iterations=40)


def test_complaints():
    source, target = as_float32(SOURCE, TARGET)
    with pytest.raises(ValueError, match=r"source fields have shape \(3,\), target fields \(2,\)"):
        fit_entropic_map(source, target[:, :2])
    with pytest.raises(ValueError, match=r"epsilon must be positive, got 0\.0"):
        fit_entropic_map(source, target, epsilon=0.0)


def test_far_from_zero_the_map_is_the_same():
    # On multiples of 2⁻⁸ a shift by 512 is exact in float32, so nothing but the solver's arithmetic can differ.
    source, target = as_float32(np.round(SOURCE * 256) / 256, np.round(TARGET * 256) / 256)
    near, _ = fit_entropic_map(source, target, epsilon=0.3)
    far, _ = fit_entropic_map(source + 512, target + 512, epsilon=0.3)
    moved = jax.vmap(far)(source + 512) - 512
    # What is left is the rounding of values near 512, 3e-5, in the mean and the image.
    np.testing.assert_allclose(moved, jax.vmap(near)(source), atol=5e-4)


def test_the_suggested_epsilon_is_a_share_of_the_spread_of_the_interaction():
    """Of 4000 draws with standard deviations (1, 2) and (3, .5), the trace is 1·9 + 4·¼ = 10, to some 5 %."""
    draw = np.random.default_rng(3).normal(size=(2, 4000, 2))
    source, target = draw[0] * [1.0, 2.0] + 300.0, draw[1] * [3.0, 0.5]
    epsilon = suggested_epsilon(*as_float32(source, target))
    assert epsilon == pytest.approx(INTERACTION_SHARE * 2 * np.sqrt(10), rel=0.05)
    assert suggested_epsilon(*as_float32(source - 300.0, target + 7.0)) == pytest.approx(epsilon, rel=1e-4)
    assert suggested_epsilon(*as_float32(1024 * source, 1024 * target)) == pytest.approx(1024**2 * epsilon, rel=1e-6)


def test_a_set_without_spread_has_a_plan_all_the_same():
    source, target = as_float32(np.ones((5, 3)), TARGET)
    transport, _ = fit_entropic_map(source, target, epsilon=suggested_epsilon(source, target))
    np.testing.assert_allclose(transport(source[0]), TARGET.mean(0), atol=1e-5)
