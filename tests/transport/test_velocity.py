"""A network as a velocity: what it is handed, and in which units it answers."""

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from subgrid.networks.mlp import MLP
from subgrid.transport.bridge import drift_loss
from subgrid.transport.ends import Pairs
from subgrid.transport.velocity import NetworkDrift, NetworkVelocity


class Echo(eqx.Module):
    """t times the channels of x, plus the sum of those of the context."""

    channels: int

    def __call__(self, features, t):
        return t * features[: self.channels] + features[self.channels :].sum(0)


def test_context_comes_after_the_field_and_scale_multiplies():
    x, context = jr.normal(jr.key(0), (2, 4, 4)), jr.normal(jr.key(1), (1, 4, 4))
    velocity = NetworkVelocity(Echo(2), scale=3.0)
    np.testing.assert_allclose(velocity(x, jnp.asarray(0.5), context), 3 * (0.5 * x + context), rtol=1e-6)
    np.testing.assert_allclose(velocity(x, jnp.asarray(0.5)), 1.5 * x, rtol=1e-6)


def test_over_a_perceptron_it_starts_at_rest():
    velocity = NetworkVelocity(MLP((3,), (2,), key=jr.key(0)))
    np.testing.assert_array_equal(velocity(jnp.ones(2), jnp.asarray(0.1), jnp.ones(1)), jnp.zeros(2))


class Undo(eqx.Module):
    """−x/(σ√left): what the network of a `NetworkDrift` has to say where both ends are zero."""

    direction: str
    sigma: float

    def __call__(self, features, t):
        return -features / (self.sigma * jnp.sqrt(1 - t if self.direction == "forward" else t))


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_the_network_of_a_drift_has_a_target_of_at_most_unit_variance(direction):
    # Between X₀ = X₁ = 0 the bridge is σ√(t(1−t)) z and its drift −x/left, which grows without bound; the network's
    # part of it is −√(1−left) z.
    n, sigma = 4096, 0.4
    pairs = Pairs(jnp.zeros((n, 8)), jnp.zeros((n, 8)))
    network = Undo(direction, sigma)
    loss = drift_loss(NetworkDrift(network, direction, sigma), pairs, direction=direction, sigma=sigma, key=jr.key(0))
    assert float(loss) < 1e-3  # the margin, which ends the growth within t < 1e-3, costs its own length
    for left in (1e-3, 0.1, 0.9):
        t = 1 - left if direction == "forward" else left
        x = sigma * np.sqrt(t * (1 - t)) * jr.normal(jr.key(1), (n,))
        said = network(x, jnp.asarray(t))
        assert float(said.std()) == pytest.approx(np.sqrt(1 - left), rel=4 / np.sqrt(2 * n) + 1e-3)
