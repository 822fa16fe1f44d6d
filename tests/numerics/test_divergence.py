"""Divergences of fields whose divergence is known."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from subgrid.numerics.divergence import exact_divergence, hutchinson_divergence

MATRIX = np.random.default_rng(0).normal(size=(6, 6)).astype(np.float32)


def linear(x):
    return (MATRIX @ x.reshape(-1)).reshape(x.shape)


def test_of_a_linear_field_it_is_the_trace():
    x = jr.normal(jr.key(1), (1, 2, 3))
    value, divergence = jax.jit(lambda x: exact_divergence(linear, x))(x)
    np.testing.assert_allclose(value, linear(x), rtol=1e-6)
    np.testing.assert_allclose(divergence, jnp.trace(MATRIX), atol=1e-5)


def test_of_a_nonlinear_field():
    x = jnp.asarray([0.3, -1.2, 2.0])
    _, divergence = exact_divergence(lambda x: jnp.sin(x) * jnp.sum(x), x)  # Σ cos(xᵢ)S + sin xᵢ
    np.testing.assert_allclose(divergence, np.sum(np.cos(x) * np.sum(x) + np.sin(x)), rtol=1e-5)


def test_one_probe_of_signs_is_exact_where_the_jacobian_is_diagonal():
    x = jnp.asarray([0.3, -1.2, 2.0])
    _, divergence = hutchinson_divergence(key=jr.key(2))(jnp.sin, x)
    np.testing.assert_allclose(divergence, np.cos(x).sum(), rtol=1e-5)


def test_probes_have_the_mean_and_the_spread_of_the_theory():
    # One probe of signs: mean tr A, variance ½Σ_{i≠j}(A_ij + A_ji)².
    estimate = lambda key: hutchinson_divergence(1, key=key)(linear, jnp.zeros(6))[1]  # noqa: E731
    n = 20_000
    got = np.asarray(jax.jit(jax.vmap(estimate))(jr.split(jr.key(3), n)), np.float64)
    both = np.asarray(MATRIX + MATRIX.T, np.float64)
    variance = (np.sum(both**2) - np.sum(np.diag(both) ** 2)) / 2
    assert abs(got.mean() - np.trace(MATRIX)) < 4 * np.sqrt(variance / n)
    assert abs(got.var() / variance - 1) < 0.06  # four standard errors for a kurtosis of about 3: 4√(2/n) = .04
    many = hutchinson_divergence(n, key=jr.key(4))(linear, jnp.zeros(6))[1]
    assert abs(many - np.trace(MATRIX)) < 4 * np.sqrt(variance / n)
