"""Batches and shifts: uniform, with replacement, and nothing but rolls."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from subgrid.data.batches import draw_batch, random_shifts


def test_batches_are_uniform():
    drawn = np.asarray(draw_batch(jnp.arange(10.0)[:, None], 20_000, key=jr.key(0)))[:, 0]
    counts = np.bincount(drawn.astype(int), minlength=10)
    assert np.abs(counts - 2000).max() < 4.5 * np.sqrt(20_000 * 0.1 * 0.9)  # binomial standard errors, ten of them


def test_shifts_are_rolls_by_uniform_independent_offsets():
    field = jnp.arange(12.0).reshape(1, 3, 4)
    shifted = np.asarray(random_shifts(jnp.tile(field, (6000, 1, 1, 1)), 2, key=jr.key(0)))
    rolls = {np.roll(np.asarray(field), (i, j), (1, 2)).tobytes(): 4 * i + j for i in range(3) for j in range(4)}
    counts = np.bincount([rolls[one.tobytes()] for one in shifted], minlength=12)
    assert np.abs(counts - 500).max() < 4.5 * np.sqrt(500)


def test_channels_move_together_and_the_key_decides():
    fields = jnp.tile(jnp.arange(8.0), (5, 2, 1))
    first, again, other = (random_shifts(fields, 1, key=jr.key(k)) for k in (0, 0, 1))
    np.testing.assert_array_equal(first[:, 0], first[:, 1])
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_compiles_with_a_key_alone():
    run = jax.jit(lambda x, key: random_shifts(draw_batch(x, 4, key=key), 1, key=key))
    assert run(jnp.ones((3, 1, 8)), jr.key(0)).shape == (4, 1, 8)
