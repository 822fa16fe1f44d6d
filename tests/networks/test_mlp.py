"""The multilayer perceptron against the same sums in NumPy, and what it must tell apart."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from subgrid.networks.mlp import MLP, N_WAVES

from .weights import normal


def trained_like(network):
    """With a last layer that is not zero, as after training."""
    shape = network.layers[-1].weight.shape
    weight = normal(1, *shape) / np.float32(shape[0] ** 0.5)
    return eqx.tree_at(lambda m: m.layers[-1].weight, network, jax.device_put(weight))


def test_by_hand():
    network = trained_like(MLP((2, 3), (4,), hidden=(8, 5), key=jr.key(0)))
    x, t = np.linspace(-1, 1, 6).reshape(2, 3), 0.3
    waves = [f(k * np.pi * t) for f in (np.cos, np.sin) for k in range(1, N_WAVES + 1)]
    h = np.concatenate([x.ravel(), [t], waves])
    for i, layer in enumerate(network.layers):
        h = h @ np.float64(layer.weight) + np.float64(layer.bias)
        h = h if i == 2 else h / (1 + np.exp(-h))
    np.testing.assert_allclose(eqx.filter_jit(network)(np.float32(x), jnp.asarray(t)), h, atol=1e-5)


def test_it_starts_at_zero_and_its_first_gradient_is_in_the_last_layer():
    network = MLP((3,), (3,), key=jr.key(0))
    x, t = jnp.ones(3), jnp.asarray(0.5)
    np.testing.assert_array_equal(eqx.filter_jit(network)(x, t), np.zeros(3))
    gradient = eqx.filter_jit(eqx.filter_grad(lambda m: jnp.sum(m(x, t))))(network)
    sizes = [np.abs(layer.weight).max() for layer in gradient.layers]
    assert sizes[:-1] == [0.0, 0.0] and sizes[-1] > 0


def test_hidden_values_keep_their_size():
    # Weights of gain √2 halve by silu: the mean square after two layers stays of order one for inputs of order one.
    network = trained_like(MLP((64,), (256,), key=jr.key(0)))
    out = eqx.filter_jit(eqx.filter_vmap(network, in_axes=(0, None)))(normal(2, 200, 64), jnp.asarray(0.5))
    assert 0.2 < np.mean(np.square(out)) < 2


def test_it_tells_times_apart_and_takes_fields():
    network = trained_like(MLP((1, 4, 2), (1, 4, 2), key=jr.key(0)))
    x = normal(2, 1, 4, 2)
    at = np.asarray(
        eqx.filter_jit(eqx.filter_vmap(network, in_axes=(None, 0)))(x, np.linspace(0, 1, 21, dtype=np.float32))
    )
    assert at.shape == (21, 1, 4, 2)
    distances = np.linalg.norm((at[:, None] - at[None]).reshape(21, 21, -1), axis=-1) + 1e9 * np.eye(21)
    assert distances.min() > 0.02 * np.linalg.norm(at[0])
