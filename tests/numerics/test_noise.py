"""Flat draws against those of JAX."""

import jax
import jax.random as jr
import numpy as np
import pytest

from subgrid.numerics.noise import standard_normal


@pytest.mark.parametrize("shape", [(), (5,), (2, 3), (2, 3, 4)])
def test_the_numbers_are_those_of_jax(shape):
    key = jr.key(3)
    np.testing.assert_array_equal(standard_normal(shape, key=key), jr.normal(key, shape))


def test_under_vmap_too():
    keys = jr.split(jr.key(4), 3)
    drawn = jax.vmap(lambda k: standard_normal((2, 2), "float16", key=k))(keys)
    np.testing.assert_array_equal(drawn, jax.vmap(lambda k: jr.normal(k, (2, 2), "float16"))(keys))
