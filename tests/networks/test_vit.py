"""The vision transformer: blocks that know no order, waves that know distance, pixels in their place, linear maps."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
import pytest

from subgrid.networks.vit import TransformerBlock, ViT, ViTSettings, position_waves

from .weights import normal, perturbed

TINY = ViTSettings(patch=1, width=16, n_layers=2, heads=4)


def test_a_block_carries_any_permutation_of_its_tokens_through():
    block, h = eqx.filter_jit(perturbed(TransformerBlock(8, 2, key=jr.key(0)), 0.3)), normal(2, 12, 8)
    order, out = np.random.default_rng(3).permutation(12), np.asarray(block(h))
    assert np.abs(out - h).max() > 0.1  # it does something
    np.testing.assert_allclose(out[order], block(h[order]), atol=1e-5)  # sums in another order


def test_products_of_waves_depend_on_distance_alone_and_tell_all_places_apart():
    waves = np.asarray(position_waves((6, 4)), np.float64).reshape(24, -1)
    np.testing.assert_allclose((waves**2).mean(1), 1, atol=1e-6)
    products = (waves @ waves.T).reshape(6, 4, 6, 4)
    shifted = np.roll(products, (2, 1, 2, 1), (0, 1, 2, 3))
    np.testing.assert_allclose(products, shifted, atol=1e-5)
    nearest = products.reshape(24, 24) - 1e9 * np.eye(24)
    assert nearest.max() < waves.shape[1] - 0.5  # a place is most like itself


@pytest.mark.parametrize("n_space", [1, 2])
def test_without_positions_shifts_by_patches_pass_through(n_space):
    coarse = (8, 6)[:n_space]
    network = perturbed(ViT(2, 3, coarse, 3, dataclasses.replace(TINY, patch=2), key=jr.key(0)), 0.3)
    network = eqx.tree_at(lambda v: v.position, network, replace_fn=lambda p: jax.tree.map(jnp.zeros_like, p))
    y, run = normal(4, 2, *coarse), eqx.filter_jit(network)
    shift, axes, out = (2, 4)[:n_space], tuple(range(1, n_space + 1)), np.asarray(run(y))
    moved = run(np.roll(y, shift, axes))
    expected = np.roll(out, tuple(3 * s for s in shift), axes)
    np.testing.assert_allclose(moved, expected, atol=2e-5 * np.abs(expected).max())
    # Other shifts than by whole patches do not pass: the test sees patches at all.
    assert np.abs(np.asarray(run(np.roll(y, 1, 1))) - np.roll(out, 3, 1)).max() > 1e-2


def test_positions_break_that_symmetry():
    run = eqx.filter_jit(perturbed(ViT(1, 1, (8,), 2, TINY, key=jr.key(0)), 0.3))
    y = normal(4, 1, 8)
    assert np.abs(np.asarray(run(np.roll(y, 1, 1))) - np.roll(run(y), 2, 1)).max() > 1e-2


def test_the_head_puts_every_pixel_where_it_belongs():
    # Blocks silent, one channel a coarse point, and a head of weights 1, 10, 100, 1000: a fine value is its coarse
    # value times the weight of its place in the cell, row by row.
    network = ViT(1, 1, (2, 3), 2, ViTSettings(width=1, n_layers=1, heads=1), key=jr.key(0))
    one, none = jnp.ones((1, 1)), lambda p: jax.tree.map(jnp.zeros_like, p)
    network = eqx.tree_at(lambda v: v.stem.weight, network, one)
    network = eqx.tree_at(lambda v: v.position, network, replace_fn=none)
    network = eqx.tree_at(lambda v: v.head.weight, network, jnp.asarray([[1.0, 10.0, 100.0, 1000.0]]))
    y = np.arange(1, 7, dtype=np.float32).reshape(1, 2, 3)
    expected = np.kron(y[0], [[1, 10], [100, 1000]])
    np.testing.assert_allclose(np.asarray(eqx.filter_jit(network)(y))[0], expected, rtol=1e-6)


def test_it_learns_a_linear_map_whose_optimum_is_known():
    # x = M y exactly, y white: the least-squares optimum is M, with error 0; saying nothing costs the variance of x.
    n, factor = 4, 2
    matrix = np.random.default_rng(0).normal(size=(n * factor, n)) / np.sqrt(n)
    network = ViT(1, 1, (n,), factor, dataclasses.replace(TINY, width=32), key=jr.key(0))

    def error(network, key):
        y = jr.normal(key, (64, 1, n))
        return jnp.mean((jax.vmap(network)(y) - y @ matrix.T) ** 2)

    optimiser = optax.adam(optax.cosine_decay_schedule(5e-3, 300))
    params, static = eqx.partition(network, eqx.is_array)

    def step(carry, key):
        params, state = carry
        gradient = jax.grad(lambda p: error(eqx.combine(p, static), key))(params)
        updates, state = optimiser.update(gradient, state)
        return (optax.apply_updates(params, updates), state), None

    (params, _), _ = jax.jit(lambda carry: jax.lax.scan(step, carry, jr.split(jr.key(1), 300)))(
        (params, optimiser.init(params))
    )
    trained = eqx.combine(params, static)
    saying_nothing = float((matrix**2).sum(1).mean())
    # Measured .17 % after 300 steps at width 32; six times that is allowed.
    assert float(eqx.filter_jit(error)(trained, jr.key(2))) < 0.01 * saying_nothing


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="not divisible into patches of 2"):
        ViT(1, 1, (7,), 2, dataclasses.replace(TINY, patch=2), key=jr.key(0))
    with pytest.raises(ValueError, match="cannot be divided among 3"):
        ViT(1, 1, (8,), 2, dataclasses.replace(TINY, heads=3), key=jr.key(0))
    with pytest.raises(ValueError, match="n_layers must be at least 1"):
        ViTSettings(n_layers=0)
