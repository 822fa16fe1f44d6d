"""The bridge between Gaussian fields: against the general closed form at one point, and as a base that stays fixed."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from subgrid.networks.context import Context, Groups
from subgrid.numerics.spectral import ModeStatistics, mode_statistics
from subgrid.transport.bridge import drift_loss
from subgrid.transport.ends import Pairs
from subgrid.transport.gaussian_bridge import gaussian_schroedinger_bridge
from subgrid.transport.spectral_bridge import RefinedDrift, RefinedVelocity, SpectralBridge, projecting_independent_ends

SIGMA, S0, S1, M1 = 0.8, 1.3, 0.6, 2.0


def white(std: float, mean: float = 0.0, n: int = 8) -> ModeStatistics:
    """The distribution of white noise: every mode has std²/n²."""
    variance = np.full((1, n, n // 2 + 1), std**2 / n**2, np.float32)
    return ModeStatistics(np.full((1, n, n), mean, np.float32), variance)


class Silent(eqx.Module):
    weight: jax.Array

    def __call__(self, features, t):
        return self.weight * features[:1]


class Last(eqx.Module):
    """What a network is shown last: the known field."""

    def __call__(self, features, t):
        return features[-1:]


class Known(eqx.Module):
    field: jax.Array

    def __call__(self, features, t):
        return self.field


def pointwise():
    return gaussian_schroedinger_bridge(
        jnp.zeros(1), jnp.array([[S0**2]]), jnp.array([M1]), jnp.array([[S1**2]]), sigma=SIGMA
    )


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_between_white_fields_a_silent_network_leaves_the_closed_form_of_every_point(direction):
    drift = RefinedDrift(SpectralBridge(white(S0), white(S1, M1), SIGMA), Silent(jnp.zeros(())), direction)
    x = jr.normal(jr.key(0), (1, 8, 8))
    exact = getattr(pointwise(), direction)
    both = jax.jit(lambda x, t: (jax.vmap(lambda v: exact(v[None], t)[0])(x.reshape(-1)), drift(x, t)))
    for t in (0.05, 0.5, 0.95):
        wanted, found = both(x, jnp.asarray(t))
        np.testing.assert_allclose(found.reshape(-1), wanted, rtol=1e-4, atol=1e-4)  # float32 transforms


def test_draws_have_the_coupling_of_the_bridge():
    n = 4000
    x0 = S0 * jr.normal(jr.key(1), (n, 1, 8, 8))
    bridge = SpectralBridge(white(S0), white(S1, M1), SIGMA)
    x1 = jax.jit(jax.vmap(lambda x, k: bridge.draw(x, key=k)))(x0, jr.split(jr.key(2), n))
    # 64 n values: four standard errors of a mean, a standard deviation, a covariance.
    error = 4 / np.sqrt(64 * n)
    assert float(x1.mean()) == pytest.approx(M1, abs=S1 * error)
    assert float(x1.std()) == pytest.approx(S1, rel=error)
    assert float(jnp.mean(x0 * (x1 - M1))) == pytest.approx(float(pointwise().coupling[0, 0]), abs=2 * S0 * S1 * error)


def test_the_error_is_that_of_the_estimate():
    n, t = 2000, 0.4
    bridge = SpectralBridge(white(S0), white(S1), SIGMA)
    x0 = S0 * jr.normal(jr.key(3), (n, 1, 8, 8))
    x1 = jax.jit(jax.vmap(lambda x, k: bridge.draw(x, key=k)))(x0, jr.split(jr.key(4), n))
    x = (1 - t) * x0 + t * x1 + SIGMA * np.sqrt(t * (1 - t)) * jr.normal(jr.key(5), x0.shape)
    expected, error = jax.jit(jax.vmap(lambda x: bridge.expected(x, jnp.asarray(t), "backward")))(x)
    assert float(jnp.sqrt(jnp.mean((expected - x0) ** 2))) == pytest.approx(
        float(error[0]), rel=4 / np.sqrt(2 * 64 * n)
    )


def test_the_base_has_no_gradient_and_the_network_has_one():
    drift = RefinedDrift(SpectralBridge(white(S0), white(S1), SIGMA), Silent(jnp.ones(())), "backward")
    pairs = Pairs(jr.normal(jr.key(6), (4, 1, 8, 8)), jr.normal(jr.key(7), (4, 1, 8, 8)))
    loss = lambda drift: drift_loss(drift, pairs, direction="backward", sigma=SIGMA, key=jr.key(8))  # noqa: E731
    gradient = eqx.filter_jit(eqx.filter_grad(loss))(drift)
    assert all(not np.any(leaf) for leaf in jax.tree.leaves(gradient.base))
    assert np.isfinite(gradient.network.weight) and gradient.network.weight != 0


def test_the_velocity_is_that_of_flow_matching_between_independent_gaussians():
    velocity = RefinedVelocity(white(S0), white(S1, M1), Silent(jnp.zeros(())))
    x, t = jr.normal(jr.key(9), (1, 8, 8)), 0.3
    slope = (t * S1**2 - (1 - t) * S0**2) / ((1 - t) ** 2 * S0**2 + t**2 * S1**2)
    found = eqx.filter_jit(velocity)(x, jnp.asarray(t))
    np.testing.assert_allclose(found, M1 + slope * (x - t * M1), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("group", [0, 1])
def test_with_a_context_drift_and_velocity_follow_the_law_of_its_group(group):
    distributions, coarse = [white(S0), white(2.0, mean=-1.0)], white(S1, M1)
    context = Context(jr.normal(jr.key(10), (1, 8, 8)), jnp.asarray(group))
    x, t = jr.normal(jr.key(11), (1, 8, 8)), jnp.asarray(0.3)

    bridges = Groups([SpectralBridge(distribution, coarse, SIGMA) for distribution in distributions])
    expected, error = SpectralBridge(distributions[group], coarse, SIGMA).expected(x, t, "backward")
    found = RefinedDrift(bridges, Last(), "backward")(x, t, context)
    np.testing.assert_allclose(found, (expected + error * context.known - x) / t, rtol=1e-5, atol=1e-5)

    own = RefinedVelocity(coarse, distributions[group], Known(context.known))(x, t)
    np.testing.assert_allclose(
        RefinedVelocity(coarse, Groups(distributions), Last())(x, t, context), own, rtol=1e-5, atol=1e-5
    )


def test_statistics_of_modes_are_those_of_parseval():
    fields = (S0 * np.random.default_rng(0).normal(size=(500, 2, 8, 8))).astype(np.float32)
    statistics = mode_statistics(fields)
    assert statistics.variance.shape == (2, 8, 5)
    # 500 samples of each mode, 1/√500 its error; 80 modes together are known ten times better.
    assert statistics.variance.mean() == pytest.approx(S0**2 / 64, rel=4 / np.sqrt(500 * 64))


def test_bad_input():
    with pytest.raises(ValueError, match="sigma"):
        SpectralBridge(white(1), white(1), 0.0)
    with pytest.raises(ValueError, match="must share channels and grid"):
        SpectralBridge(white(1), white(1, n=16), 1.0)


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_of_independent_ends_the_drift_is_the_regression_on_them(direction):
    drift = RefinedDrift(SpectralBridge(white(S0), white(S1, M1), SIGMA), Silent(jnp.zeros(())), direction)
    x, t = jr.normal(jr.key(12), (1, 8, 8)), 0.3
    spread = (1 - t) ** 2 * S0**2 + t**2 * S1**2 + t * (1 - t) * SIGMA**2
    anomaly = (x - t * M1) / spread
    end, left = (M1 + t * S1**2 * anomaly, 1 - t) if direction == "forward" else ((1 - t) * S0**2 * anomaly, t)
    found = eqx.filter_jit(projecting_independent_ends(drift))(x, jnp.asarray(t))
    np.testing.assert_allclose(found, (end - x) / left, rtol=1e-4, atol=1e-4)
