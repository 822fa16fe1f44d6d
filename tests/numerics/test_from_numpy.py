import jax
import jax.numpy as jnp
import numpy as np
import pytest

from subgrid.numerics.from_numpy import from_numpy


@pytest.mark.parametrize("values", [np.linspace(0, 1, 7), np.arange(6).reshape(2, 3), 0.1, np.array([True, False])])
def test_the_numbers_are_those_of_a_cast(values):
    found = from_numpy(values)
    assert isinstance(found, jax.Array) and found.dtype == jnp.float32
    np.testing.assert_array_equal(found, np.asarray(values).astype(np.float32))


def test_a_program_that_overwrites_its_input_leaves_the_numpy_array_alone():
    values = np.zeros(1 << 16, np.float32)  # large enough to be handed over without a copy
    assert jax.jit(lambda x: x + 1, donate_argnums=0)(from_numpy(values)).max() == 1
    assert values.max() == 0


def test_another_type():
    assert from_numpy(np.arange(3), np.int32).dtype == jnp.int32
    with jax.enable_x64(True):
        assert from_numpy(np.arange(3), jnp.result_type(float)).dtype == jnp.float64
