"""The dynamic bridge with oracle drifts: moments of what is sampled, orders, and the minimum of the regression."""

from functools import partial

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from subgrid.numerics.from_numpy import from_numpy
from subgrid.numerics.integration import integrate
from subgrid.transport.bridge import (
    Bridge,
    ProbabilityFlow,
    bridge_point,
    bridge_times,
    drift_loss,
    sample_bridge,
    sample_bridge_path,
)
from subgrid.transport.ends import Pairs
from subgrid.transport.gaussian_bridge import GaussianBridge, gaussian_schroedinger_bridge

MEAN0, MEAN1 = (from_numpy(np.array(m)) for m in ([0.5, -1.0], [-0.3, 2.0]))
COV0, COV1 = (from_numpy(np.array(c)) for c in ([[1.0, 0.6], [0.6, 1.0]], [[2.0, -0.5], [-0.5, 0.5]]))
SIGMA, N = 0.8, 20_000
PLANE = gaussian_schroedinger_bridge(MEAN0, COV0, MEAN1, COV1, sigma=SIGMA)
ONE = from_numpy(np.ones((1, 1)))
LINE = gaussian_schroedinger_bridge(from_numpy(np.zeros(1)), ONE, from_numpy(np.ones(1)), ONE, sigma=1.0)
WAYS = {"forward": (PLANE.forward, 0.0, 1.0), "backward": (PLANE.backward, 1.0, 0.0)}


def chain_moments(drift, mean, spread, times, sigma, *, noise_at_end):
    """Exact moments of Euler–Maruyama under an affine drift: m ← m + h v(m), Σ ← (I + hA)Σ(I + hA)ᵀ + σ²h I."""
    at, mean, times = jax.jit(lambda m, t: (drift(m, t), jax.jacfwd(drift)(m, t))), np.float64(mean), np.asarray(times)
    for i, (t, h) in enumerate(zip(times[:-1], np.abs(np.diff(np.float64(times))), strict=True)):
        value, slope = at(np.float32(mean), jnp.asarray(t))
        a = np.eye(len(mean)) + h * np.float64(slope)
        mean = mean + h * np.float64(value)
        noisy = noise_at_end or i < len(times) - 2
        spread = a @ np.float64(spread) @ a.T + noisy * sigma**2 * h * np.eye(len(mean))
    return mean, spread


def line_variance(n_steps, *, noise_at_end, grading=1.0):
    times = bridge_times("forward", n_steps, grading=grading)
    return float(chain_moments(LINE.forward, jnp.zeros(1), ONE, times, 1.0, noise_at_end=noise_at_end)[1][0, 0])


@pytest.mark.parametrize("direction", WAYS)
def test_samples_have_the_moments_of_the_chain_and_nearly_those_of_the_bridge(direction):
    drift, start, end = WAYS[direction]
    (mean, spread), (far_mean, far_spread) = PLANE.moments(start), PLANE.moments(end)
    x = jr.multivariate_normal(jr.key(0), mean, spread, (N,))
    move = partial(sample_bridge, drift, direction=direction, sigma=SIGMA, n_steps=20)
    got = np.float64(jax.jit(jax.vmap(lambda x, k: move(x, key=k)))(x, jr.split(jr.key(1), N)))
    times = bridge_times(direction, 20)
    mean, spread = chain_moments(drift, mean, spread, times, SIGMA, noise_at_end=False)
    error = 5 * np.sqrt(2 / N)  # of variances of order one; five standard errors
    np.testing.assert_allclose(np.cov(got.T), spread, atol=error * 2)
    np.testing.assert_allclose(got.mean(0), mean, atol=error)
    np.testing.assert_allclose(mean, far_mean, atol=1e-3)  # straight: Euler's rule misses nothing
    np.testing.assert_allclose(spread, far_spread, atol=0.08)  # first order: 20 steps


def test_variance_on_the_way():
    times = bridge_times("forward", 100)
    move = partial(sample_bridge_path, LINE.forward, direction="forward", sigma=1.0, times=times, noise_at_end=True)
    path = jax.jit(jax.vmap(lambda x, k: move(x, key=k)))(jr.normal(jr.key(2), (N, 1)), jr.split(jr.key(3), N))
    t = np.float64(times)
    expected = (1 - t) ** 2 + t**2 + t * (1 - t) * np.sqrt(5)
    # Five standard errors, and what 100 Euler steps add.
    np.testing.assert_allclose(np.float64(path[..., 0]).var(0), expected, rtol=5 * np.sqrt(2 / N) + 0.005)
    np.testing.assert_allclose(path[..., 0].mean(0), t, atol=5 / np.sqrt(N))


def test_twenty_euler_steps_add_one_point_six_percent_and_the_order_is_one():
    excess = {n: line_variance(n, noise_at_end=True) - 1 for n in (20, 40, 80)}
    assert excess[20] == pytest.approx(0.016, abs=5e-4)
    for n in (20, 40):
        assert np.log2(excess[n] / excess[2 * n]) == pytest.approx(1.0, abs=0.1)


def test_graded_steps_lose_less_variance_to_the_silent_last_step():
    even, graded = (line_variance(20, noise_at_end=False, grading=p) - 1 for p in (1.0, 1.5))
    assert even == pytest.approx(0.016 - 1 / 20, abs=1e-3)  # σ²h of the last step is not drawn
    assert abs(graded) < abs(even) / 3


@pytest.mark.parametrize("direction", ["forward", "backward"])
@pytest.mark.parametrize("grading", [1.0, 1.5, 3.0])
def test_times_shrink_towards_the_end(direction, grading):
    times = np.float64(bridge_times(direction, 12, grading=grading))
    assert (times[0], times[-1]) == ((0, 1) if direction == "forward" else (1, 0))
    steps = np.abs(np.diff(times))
    assert (np.diff(steps) < 1e-6).all() and steps[-1] == pytest.approx(12**-grading, rel=1e-3)


def test_probability_flow_joins_the_ends():
    # From .001 to .999: the oracle's drifts are 0/0 at the ends, where trained ones are not.
    velocity, times = ProbabilityFlow(Bridge(PLANE.forward, PLANE.backward, SIGMA)), jnp.linspace(1e-3, 0.999, 65)
    move = jax.jit(lambda x, times: integrate(velocity, x, times))
    (mean, spread), (far_mean, far_spread) = PLANE.moments(1e-3), PLANE.moments(0.999)
    matrix = np.float64(jax.jacfwd(move)(mean, times))
    np.testing.assert_allclose(move(mean, times), far_mean, atol=1e-3)
    np.testing.assert_allclose(matrix @ spread @ matrix.T, far_spread, atol=5e-3)  # second order: 64 steps
    np.testing.assert_allclose(move(move(mean + 0.3, times), times[::-1]), mean + 0.3, atol=1e-3)


def test_probability_flow_is_half_the_difference_of_the_drifts_and_hands_the_context_on():
    flow = ProbabilityFlow(Bridge(lambda x, t, context: 3 * x + t + context, lambda x, t, context: x - context, SIGMA))
    np.testing.assert_allclose(flow(jnp.asarray([1.0, 2.0]), 0.5, jnp.asarray(4.0)), [5.25, 6.25])


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_regression_has_its_minimum_at_the_oracle_drift(direction):
    # At the oracle the loss is ∫Var(X₁ | X_t)/((1 − t)σ²) dt; a drift changed by θu adds θ²E[(1 − t)u²]/σ² and, but
    # for sampling, no slope.
    x0, x1 = LINE.draw(200_000, key=jr.key(4))
    pairs, oracle = Pairs(x0, x1), getattr(LINE, direction)

    @jax.jit
    def loss(theta):
        drift = lambda x, t, context=None: oracle(x, t) + theta[0] + theta[1] * x  # noqa: E731
        return drift_loss(drift, pairs, direction=direction, sigma=1.0, key=jr.key(5))

    c = (np.sqrt(5) - 1) / 2
    left = np.linspace(1e-3, 1 - 1e-3, 4001)  # 1 − t forward; the ends have one variance, so backward is its mirror
    spread = left**2 + (1 - left) ** 2 + left * (1 - left) * np.sqrt(5)
    at_minimum = np.mean((1 - (left * c + 1 - left) ** 2 / spread) / left)
    value, slope = jax.value_and_grad(loss)(jnp.zeros(2))
    assert float(value) == pytest.approx(at_minimum, rel=0.02)  # 2·10⁵ squares of a heavy-tailed kind
    np.testing.assert_allclose(slope, 0, atol=0.02)  # 5·2·√(.5 · 1.2/2·10⁵)
    for theta in ([0.3, 0.0], [-0.3, 0.0], [0.0, 0.3], [0.0, -0.3]):
        assert float(loss(jnp.asarray(theta))) > float(value) + 0.5 * 0.3**2 - 0.3 * 0.02


def test_oracle_is_the_least_squares_projection_of_any_coupling():
    # Ends that are independent: not the optimal coupling, and the projection is another drift.
    bridge = GaussianBridge(MEAN0, MEAN1, COV0, COV1, jnp.zeros((2, 2)), SIGMA)
    n, t = 100_000, jnp.asarray(0.4)
    x0, x1 = bridge.draw(n, key=jr.key(6))
    x = bridge_point(x0, x1, t, jr.normal(jr.key(7), x0.shape), SIGMA)
    features = np.concatenate([x, np.ones((n, 1))], 1)
    for drift, target in ((bridge.forward, (x1 - x) / 0.6), (bridge.backward, (x0 - x) / 0.4)):
        fitted = np.linalg.lstsq(features, np.float64(target), rcond=None)[0]
        slope = np.asarray(jax.jacfwd(drift)(MEAN0, t))
        # Residuals of standard deviation 3, at five standard errors over a least variance of .3.
        np.testing.assert_allclose(fitted[:2].T, slope, atol=5 * 3 / np.sqrt(0.3 * n))
        np.testing.assert_allclose(fitted[2], drift(jnp.zeros(2), t), atol=5 * 3 / np.sqrt(n / 4))


def test_complaints():
    drift = lambda x, t, context=None: x  # noqa: E731
    for sigma in (0.0, -1.0):
        with pytest.raises(ValueError, match=f"sigma must be positive, got {sigma}; for paths without noise use a rec"):
            Bridge(drift, drift, sigma)
        with pytest.raises(ValueError, match="sigma must be positive"):
            sample_bridge(drift, jnp.ones(1), direction="forward", sigma=sigma, key=jr.key(0))
    with pytest.raises(ValueError, match="n_steps must be at least 1, got 0"):
        bridge_times("forward", 0)
    with pytest.raises(ValueError, match="grading must be at least 1"):
        bridge_times("backward", 5, grading=0.5)
