"""The multilayer perceptron against the same sums in NumPy, and what it must tell apart."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from subgrid.networks.mlp import MLP, N_WAVES


def trained_like(network, key):
    """With a last layer that is not zero, as after training."""
    weight = network.layers[-1].weight
    return eqx.tree_at(lambda m: m.layers[-1].weight, network, jr.normal(key, weight.shape) / weight.shape[0] ** 0.5)


def test_by_hand():
    network = trained_like(MLP((2, 3), (4,), hidden=(8, 5), key=jr.key(0)), jr.key(1))
    x, t = np.linspace(-1, 1, 6).reshape(2, 3), 0.3
    waves = [f(k * np.pi * t) for f in (np.cos, np.sin) for k in range(1, N_WAVES + 1)]
    h = np.concatenate([x.ravel(), [t], waves])
    for i, layer in enumerate(network.layers):
        h = h @ np.float64(layer.weight) + np.float64(layer.bias)
        h = h if i == 2 else h / (1 + np.exp(-h))
    np.testing.assert_allclose(network(jnp.asarray(x, jnp.float32), jnp.asarray(t)), h, atol=1e-5)


def test_it_starts_at_zero_and_its_first_gradient_is_in_the_last_layer():
    network = MLP((3,), (3,), key=jr.key(0))
    x, t = jnp.ones(3), jnp.asarray(0.5)
    np.testing.assert_array_equal(network(x, t), jnp.zeros(3))
    gradient = eqx.filter_grad(lambda m: jnp.sum(m(x, t)))(network)
    sizes = [float(jnp.abs(layer.weight).max()) for layer in gradient.layers]
    assert sizes[:-1] == [0.0, 0.0] and sizes[-1] > 0


def test_hidden_values_keep_their_size():
    # Weights of gain √2 halve by silu: the mean square after two layers stays of order one for inputs of order one.
    network = trained_like(MLP((64,), (256,), key=jr.key(0)), jr.key(1))
    out = jax.vmap(network, (0, None))(jr.normal(jr.key(2), (200, 64)), jnp.asarray(0.5))
    assert 0.2 < float(jnp.mean(out**2)) < 2


def test_it_tells_times_apart_and_takes_fields():
    network = trained_like(MLP((1, 4, 2), (1, 4, 2), key=jr.key(0)), jr.key(1))
    x = jr.normal(jr.key(2), (1, 4, 2))
    at = jax.vmap(network, (None, 0))(x, jnp.linspace(0.0, 1.0, 21))
    assert at.shape == (21, 1, 4, 2)
    distances = jnp.linalg.norm((at[:, None] - at[None]).reshape(21, 21, -1), axis=-1) + 1e9 * jnp.eye(21)
    assert float(distances.min()) > 0.02 * float(jnp.linalg.norm(at[0]))
