"""Flows with oracle velocities against closed forms, and two small trained ones."""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from scipy.stats import multivariate_normal

from subgrid.networks.mlp import MLP
from subgrid.numerics.divergence import exact_divergence, hutchinson_divergence
from subgrid.numerics.from_numpy import from_numpy
from subgrid.numerics.integration import integrate
from subgrid.training.fitting import TrainingSchedule
from subgrid.transport.couplings import EntropicTransport
from subgrid.transport.ends import Ends, Pairs
from subgrid.transport.flow_matching import (
    Flow,
    diffuse,
    fit_flow,
    flow_log_likelihood,
    flow_map,
    flow_matching_loss,
)
from subgrid.transport.gaussian import monge_matrix
from subgrid.transport.interpolants import (
    EncodingDecoding,
    LinearInterpolant,
    Trigonometric,
    VariancePreservingInterpolant,
    gaussian_velocity,
)
from subgrid.transport.velocity import NetworkVelocity

from ..cases import few

ZERO = from_numpy(np.zeros(2))
COV0, COV1 = (from_numpy(np.array(c)) for c in ([[1.0, 0.6], [0.6, 1.0]], [[2.0, -0.5], [-0.5, 0.5]]))
RECTIFIED = np.array([[1.7664, -1.0033], [-0.4722, 0.8811]])  # the specification's
INTERPOLANTS = {
    "linear": LinearInterpolant(),
    "linear with noise": LinearInterpolant(0.7),
    "trigonometric with noise": Trigonometric(1.0),
    "variance preserving": VariancePreservingInterpolant(),
    "encoding-decoding": EncodingDecoding(),
}


def cost(matrix):
    """E‖Mx − x‖² for x ~ N(0, Σ₀)."""
    gap = np.asarray(matrix) - np.eye(2)
    return np.trace(gap @ COV0 @ gap.T)


def line(interpolant, m0=-1.0, s0=0.5, m1=1.0, s1=1.5):
    """The exact flow between normal distributions of one number, its moments, and its noise E[Z | x] = γ(x − m)/Σ."""
    ends = (jnp.full(1, m0), jnp.full((1, 1), s0**2), jnp.full(1, m1), jnp.full((1, 1), s1**2))

    def moments(t):
        a, b, g = interpolant(jnp.asarray(t))
        return a * m0 + b * m1, a**2 * s0**2 + b**2 * s1**2 + g**2

    def noise(x, t, context=None):
        mean, spread = moments(t)
        return interpolant(t).gamma * (x - mean) / spread

    return Flow(gaussian_velocity(interpolant, *ends), interpolant, noise), moments


def test_rectified_map_and_the_costs_of_the_specification():
    velocity = gaussian_velocity(LinearInterpolant(), ZERO, COV0, ZERO, COV1)
    with jax.enable_x64(True):
        matrix = np.asarray(jax.jit(jax.jacfwd(flow_map(velocity, n_steps=64)))(jnp.zeros(2)))
    np.testing.assert_allclose(matrix, RECTIFIED, atol=5e-4)  # Heun's second order
    np.testing.assert_allclose(matrix @ COV0 @ matrix.T, COV1, atol=2e-3)
    independent = float(jnp.trace(COV0) + jnp.trace(COV1))
    optimal = cost(monge_matrix(np.float64(COV0), np.float64(COV1)))
    assert independent == pytest.approx(4.5)
    assert cost(matrix) == pytest.approx(0.97576, abs=1e-3)
    assert optimal == pytest.approx(0.87473, abs=1e-5)


def test_backward_is_the_inverse():
    velocity = gaussian_velocity(LinearInterpolant(), ZERO, COV0, ZERO, COV1)
    there, back = flow_map(velocity, n_steps=64), flow_map(velocity, n_steps=64, backward=True)
    x = jnp.asarray([0.8, -0.3])
    np.testing.assert_allclose(jax.jit(lambda x: back(there(x)))(x), x, atol=1e-3)


@pytest.mark.parametrize("name", INTERPOLANTS)
def test_laws_along_the_ordinary_equation(name):
    flow, moments = line(INTERPOLANTS[name])
    start, end = 0.02, 0.98
    move = jax.jit(lambda x: integrate(flow.velocity, x, jnp.linspace(start, end, 129)))
    slope = float((move(jnp.ones(1)) - move(jnp.zeros(1)))[0])
    (m, v), (far_m, far_v) = moments(start), moments(end)
    assert slope**2 * v == pytest.approx(float(far_v), rel=5e-3)  # second order: 128 steps
    assert float(move(jnp.full(1, m))[0]) == pytest.approx(float(far_m), abs=2e-3)


RISING, FALLING = (0.05, 0.95), (0.95, 0.05)
STOCHASTIC = [  # both ways, and noise of every kind
    ("linear with noise", RISING),
    ("encoding-decoding", FALLING),
    ("trigonometric with noise", RISING),
    ("linear with noise", FALLING),
    ("encoding-decoding", RISING),
    ("trigonometric with noise", FALLING),
]


@pytest.mark.parametrize(("name", "ends"), few(STOCHASTIC, 3))
def test_laws_along_the_stochastic_equation(name, ends):
    flow, moments = line(INTERPOLANTS[name])
    n, n_steps, epsilon = 4000, 100, 0.3
    (m, v), (far_m, far_v) = moments(ends[0]), moments(ends[1])
    x = m + jnp.sqrt(v) * jr.normal(jr.key(0), (n, 1))
    times = jnp.linspace(*ends, n_steps + 1)
    move = jax.jit(jax.vmap(lambda x, k: diffuse(flow, x, times, epsilon=epsilon, key=k)))
    got = np.float64(move(x, jr.split(jr.key(1), n)))
    silent = 2 * epsilon * 0.9 / n_steps  # the variance that the last step does not draw
    # Four standard errors of a variance are 9 %, and Euler's rule adds about 1 %.
    assert got.var() + silent == pytest.approx(float(far_v), rel=4 * np.sqrt(2 / n) + 0.02)
    assert got.mean() == pytest.approx(float(far_m), abs=float(4 * np.sqrt(far_v / n)) + 0.01)


def test_score_of_a_gaussian():
    flow, moments = line(LinearInterpolant(0.7))
    m, v = moments(0.3)
    np.testing.assert_allclose(flow.score(jnp.full(1, 0.4), jnp.asarray(0.3)), [-(0.4 - m) / v], rtol=1e-5)


@pytest.mark.parametrize(
    "divergence", [exact_divergence, hutchinson_divergence(256, key=jr.key(0))], ids=["exact", "Hutchinson"]
)
def test_likelihood_of_a_gaussian(divergence):
    m1, x = jnp.asarray([0.5, -1.0]), jnp.asarray([1.2, -0.7])
    velocity = gaussian_velocity(LinearInterpolant(), ZERO, COV0, m1, COV1)
    density = lambda z: jax.scipy.stats.multivariate_normal.logpdf(z, ZERO, COV0)  # noqa: E731
    got = jax.jit(lambda x: flow_log_likelihood(velocity, x, log_density=density, divergence=divergence))(x)
    # Exact: the solver's tolerance. Hutchinson: one probe deviates by |A₁₂ + A₂₁|, whose integral over time is about
    # |log M|₁₂ + |log M|₂₁ = 1.3 of the rectified map; four standard errors of 256 probes.
    tolerance = 2e-3 if divergence is exact_divergence else 4 * 1.3 / np.sqrt(256)
    assert float(got) == pytest.approx(multivariate_normal(m1, COV1).logpdf(x), abs=tolerance)


def test_losses_have_their_minimum_at_the_oracle():
    # ‖v + θ − Ẋ‖² and ‖η + φ − Z‖² rise by θ² and φ², and, but for sampling, have no slope at zero.
    n, oracle, pairs_key = 100_000, line(LinearInterpolant(0.7))[0], jr.key(2)
    x0, x1 = (m + s * jr.normal(k, (n, 1)) for m, s, k in zip((-1, 1), (0.5, 1.5), jr.split(pairs_key), strict=True))

    @jax.jit
    def loss(theta):
        velocity = lambda x, t, context=None: oracle.velocity(x, t) + theta[0]  # noqa: E731
        noise = lambda x, t, context=None: oracle.noise(x, t) + theta[1]  # noqa: E731
        return flow_matching_loss(Flow(velocity, oracle.interpolant, noise), Pairs(x0, x1), key=jr.key(3))

    value, slope = jax.value_and_grad(loss)(jnp.zeros(2))
    # Residuals: Ẋ within 1.6 and γ̇Z, of heavy tails near the ends, within 1; Z within 1. Five standard errors.
    np.testing.assert_allclose(slope, 0, atol=5 * 2 * 2 / np.sqrt(n))
    moved = loss(jnp.asarray([0.5, -0.5]))
    assert float(moved - value) == pytest.approx(0.5, abs=0.05)


def network(key, hidden=(64, 64), d=2):
    return NetworkVelocity(MLP((d,), (d,), hidden=hidden, key=key))


@pytest.mark.slow
def test_a_trained_flow_is_the_rectified_map():
    roots = [np.linalg.cholesky(np.float64(c)) for c in (COV0, COV1)]
    x0, x1 = (jnp.asarray(np.random.default_rng(i).normal(size=(4000, 2)) @ roots[i].T, jnp.float32) for i in (0, 1))
    schedule = TrainingSchedule(1500, steps_per_dispatch=50)
    flow = fit_flow(Flow(network(jr.key(0))), Ends(x0, x1[:3000]), schedule, batch_size=256, key=jr.key(1))
    moved = jax.jit(jax.vmap(flow_map(flow.velocity, n_steps=16)))(x0)
    matrix = np.linalg.lstsq(np.float64(x0), np.float64(moved), rcond=None)[0].T
    # 1500 steps of 256 pairs and 3000 samples of the target: entries were within .05 for the seeds tried.
    np.testing.assert_allclose(matrix, RECTIFIED, atol=0.15)


@pytest.mark.slow
def test_a_bridge_without_simulation():
    # [SF]²M: the entropic coupling with ε = 2σ² and the Brownian path make the Schrödinger bridge of unit Gaussians,
    # whose coupling has covariance (√5 − 1)/2; the diffusion with ε = σ²/2 is that bridge.
    x0, x1 = jr.normal(jr.key(0), (4000, 1)), jr.normal(jr.key(1), (4000, 1))
    keys = jr.split(jr.key(2), 3)
    untrained = Flow(network(keys[0], (32, 32), 1), LinearInterpolant(1.0), network(keys[1], (32, 32), 1))
    schedule = TrainingSchedule(600, steps_per_dispatch=50)
    options = {"coupling": EntropicTransport(2.0), "batch_size": 64}
    flow = fit_flow(untrained, Ends(x0, x1), schedule, **options, key=keys[2])
    times = jnp.linspace(0.01, 1.0, 61)
    moved = jax.jit(jax.vmap(lambda x, k: diffuse(flow, x, times, epsilon=0.5, key=k)))(x0, jr.split(jr.key(3), 4000))
    joint = np.cov(np.float64(x0[:, 0]), np.float64(moved[:, 0]))
    # 4000 pairs: four standard errors are .07; the rest is what 600 steps leave, and the bias of minibatch plans.
    assert joint[0, 1] == pytest.approx((np.sqrt(5) - 1) / 2, abs=0.12)
    assert joint[1, 1] == pytest.approx(1.0, abs=0.15)


def test_a_context_is_used():
    # The target is where the context says: ±2. Without it, no map could send one source both ways.
    where = jnp.where(jnp.arange(400) % 2, 2.0, -2.0)[:, None]
    ends = Ends(0.1 * jr.normal(jr.key(0), (300, 1)), where + 0.1 * jr.normal(jr.key(1), (400, 1)), where)
    velocity = NetworkVelocity(MLP((2,), (1,), hidden=(32,), key=jr.key(2)))
    flow = fit_flow(Flow(velocity), ends, TrainingSchedule(500), batch_size=64, key=jr.key(3))
    move = jax.jit(jax.vmap(partial(flow_map(flow.velocity, n_steps=8)), (0, None)))
    for context in (2.0, -2.0):
        moved = move(ends.source, jnp.full(1, context))
        assert float(jnp.abs(moved - context).max()) < 0.8  # the other is 4 away


def test_complaints():
    flow, _ = line(LinearInterpolant(0.7))
    go = lambda times, flow=flow, epsilon=0.1: diffuse(flow, jnp.ones(1), times, epsilon=epsilon, key=jr.key(0))  # noqa: E731
    with pytest.raises(ValueError, match=r"times must lie in \[0, 1\], got 1\.5"):
        go(jnp.asarray([0.1, 0.5, 1.5]))
    with pytest.raises(ValueError, match="LinearInterpolant: a derivative of its coefficients is singular at t = 0"):
        go(jnp.linspace(0.0, 1.0, 4))
    with pytest.raises(ValueError, match=r"gamma is 0 at t = 0\.1, where the score .* choose an interpolant"):
        go(jnp.linspace(0.1, 0.9, 4), flow=line(LinearInterpolant())[0])
    with pytest.raises(ValueError, match=r"epsilon must not be negative, got -0\.1"):
        go(jnp.linspace(0.1, 0.9, 4), epsilon=-0.1)
    with pytest.raises(ValueError, match="this flow has no score: fit it with a network for the noise"):
        go(jnp.linspace(0.1, 0.9, 4), flow=eqx.tree_at(lambda f: f.noise, flow, None))
    with pytest.raises(ValueError, match="n_steps must be at least 1, got 0"):
        flow_map(flow.velocity, n_steps=0)
    ends = Ends(jnp.ones((3, 2)), jnp.ones((4, 2)))
    with pytest.raises(ValueError, match=r"LinearInterpolant has no noise to fit; choose one with gamma > 0"):
        fit_flow(Flow(network(jr.key(0)), noise=network(jr.key(1))), ends, key=jr.key(2))
