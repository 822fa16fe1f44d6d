"""Tabulated linear velocities against the closed form that they were made from."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from subgrid.transport.flow_matching import flow_map
from subgrid.transport.gaussian import monge_matrix
from subgrid.transport.interpolants import LinearInterpolant, gaussian_velocity
from subgrid.transport.linear_velocity import CorrectedVelocity, tabulate

SOURCE = jnp.array([[1.0, 0.6], [0.6, 1.0]])
TARGET = jnp.array([[2.0, -0.5], [-0.5, 0.5]])
RECTIFIED = np.array([[1.7664, -1.0033], [-0.4722, 0.8811]])
"""The map of the rectified flow between the two, to four digits (specification of transport)."""


@pytest.fixture(scope="module")
def linear():
    velocity = gaussian_velocity(LinearInterpolant(), jnp.zeros(2), SOURCE, jnp.ones(2), TARGET)
    return velocity, tabulate(velocity, 2)


def test_the_table_holds_the_velocity(linear):
    velocity, table = linear
    x, times = jnp.array([0.3, -1.2]), jnp.linspace(0.01, 0.99, 25)
    exact, tabled = (jax.vmap(lambda t, v=v: v(x, t))(times) for v in (velocity, table))
    # Linear interpolation errs by h²/8·|v''| with h = 1/64; |v''| is up to some 100 for this strongly turning pair.
    np.testing.assert_allclose(tabled, exact, atol=1e-2)


def test_its_flow_is_the_rectified_map(linear):
    move = flow_map(linear[1], n_steps=128)
    matrix = jax.jacobian(move)(jnp.zeros(2))
    # The error of the table, integrated.
    np.testing.assert_allclose(matrix, RECTIFIED, atol=3e-3)
    np.testing.assert_allclose(move(jnp.zeros(2)), jnp.ones(2), atol=3e-3)
    assert np.abs(np.asarray(matrix) - monge_matrix(np.asarray(SOURCE), np.asarray(TARGET))).max() > 0.1


def test_one_value_acts_on_all_points_alike():
    velocity = gaussian_velocity(LinearInterpolant(), jnp.zeros(1), jnp.eye(1), jnp.ones(1), 4 * jnp.eye(1))
    fields = jr.normal(jr.key(0), (3, 2, 5))
    moved = jax.vmap(flow_map(tabulate(velocity, 1)))(fields)
    # Between Gaussians of one value every flow is the monotone map 1 + 2x; Heun with 32 steps errs by some 1e-4.
    np.testing.assert_allclose(moved, 1 + 2 * fields, atol=5e-3)


def test_the_table_is_not_trained(linear):
    class Constant(eqx.Module):
        value: jax.Array

        def __call__(self, x, t, context=None):
            return self.value * jnp.ones_like(x)

    model = CorrectedVelocity(linear[1], Constant(jnp.array(2.0)))
    gradient = eqx.filter_grad(lambda model: jnp.sum(model(jnp.ones(2), jnp.array(0.4))))(model)
    assert float(gradient.learned.value) == pytest.approx(2.0)
    assert not jnp.any(gradient.linear.matrices) and not jnp.any(gradient.linear.offsets)
