"""A network as a velocity: what it is handed, and in which units it answers."""

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from subgrid.networks.mlp import MLP
from subgrid.transport.velocity import NetworkVelocity


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
