"""The moving average of the weights: unbiased from the first update on."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from subgrid.numerics.from_numpy import from_numpy
from subgrid.training.ema import init_average, update_average

VALUE = {
    "weight": from_numpy(np.random.default_rng(0).normal(0.0, 1e3, 64)),
    "bias": from_numpy(1 / 3),
    "half": from_numpy(np.random.default_rng(1).normal(size=8), jnp.bfloat16),
}


@pytest.mark.parametrize("decay", [0.9, 0.999, 0.9999, 0.0])
@pytest.mark.parametrize("compiled", [True, False])
def test_identical_updates_return_the_value_bit_for_bit(decay, compiled):
    update = jax.jit(lambda a, p: update_average(a, p, decay)) if compiled else lambda a, p: update_average(a, p, decay)
    average = init_average(VALUE)
    for _ in range(50):
        average = update(average, VALUE)
        for name, leaf in VALUE.items():
            assert average.mean[name].dtype == leaf.dtype
            np.testing.assert_array_equal(average.mean[name], leaf)


def test_weights_are_geometric_and_add_up_to_one():
    decay, values = 0.8, np.random.default_rng(0).normal(size=30)
    average = init_average(jnp.zeros(()))
    for k, value in enumerate(values, start=1):
        average = update_average(average, jnp.asarray(value, jnp.float32), decay)
        weights = decay ** np.arange(k)[::-1]
        assert average.mean == pytest.approx(np.sum(weights * values[:k]) / weights.sum(), abs=1e-5)
        assert average.normaliser == pytest.approx(1 - decay**k, rel=1e-5)


def test_caller_keeps_its_tree():
    average = init_average(VALUE)
    update_average(average, VALUE, 0.9)
    assert float(average.normaliser) == 0.0
