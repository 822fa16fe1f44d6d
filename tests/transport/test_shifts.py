"""Pairs up to translation: found by brute force, and the distributions that they must keep."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from subgrid.transport.ends import Pairs
from subgrid.transport.shifts import ExactTransportUpToShifts, align_pairs, nearest_shift


@pytest.mark.parametrize("space", [(6,), (4, 6)])
def test_the_nearest_shift_is_that_of_brute_force(space):
    n_space, axes = len(space), tuple(range(-len(space), 0))
    x0, x1 = np.asarray(jr.normal(jr.key(0), (2, 2, *space)))
    distances = {s: float(np.sum((x0 - np.roll(x1, s, axes)) ** 2)) for s in np.ndindex(space)}
    assert tuple(np.asarray(nearest_shift(*jax.device_put((x0, x1)), n_space))) == min(
        distances, key=distances.__getitem__
    )


def test_the_assignment_is_that_of_brute_force():
    x0, x1 = jr.normal(jr.key(1), (2, 7, 1, 5))
    shifted = jnp.stack([jnp.roll(x1, s, -1) for s in range(5)])
    cost = jnp.min(jnp.sum((x0[None, :, None] - shifted[:, None]) ** 2, (-1, -2)), 0)
    _, expected = linear_sum_assignment(np.asarray(cost))
    i, j = jax.jit(lambda a, b: ExactTransportUpToShifts(1)(a, b, key=jr.key(0)))(x0, x1)
    np.testing.assert_array_equal(i, np.arange(7))
    np.testing.assert_array_equal(j, expected)


def test_shifts_of_one_field_are_aligned_to_nothing_and_keep_their_distribution():
    x0 = jnp.broadcast_to(jnp.array([3.0, 1.0, 0.0, -1.0]), (4000, 1, 4))
    x1 = jnp.roll(2 * x0, 2, -1)
    aligned = align_pairs(Pairs(x0, x1), 1, key=jr.key(2))
    np.testing.assert_allclose(aligned.x1, 2 * aligned.x0, atol=1e-6)
    # Each of four offsets has 1000 +- 27 of 4000 draws.
    counts = np.bincount(np.argmax(np.asarray(aligned.x0[:, 0]), axis=1), minlength=4)
    assert np.abs(counts - 1000).max() < 4 * 27


def test_contexts_are_refused():
    x = jnp.ones((3, 1, 4))
    with pytest.raises(ValueError, match="cannot be aligned"):
        align_pairs(Pairs(x, x, x), 1, key=jr.key(0))
