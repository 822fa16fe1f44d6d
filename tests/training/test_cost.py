"""What a fit will take, by its operations: those of a product of matrices are known."""

import jax
import jax.numpy as jnp
import pytest

from subgrid.training import cost as module
from subgrid.training.cost import COPIES, GRADIENT, SHARE, Cost, decomposition_cost, training_cost


@pytest.fixture(autouse=True)
def _known_rate(monkeypatch):
    monkeypatch.setattr(module, "_rate", lambda: 1e9)


def test_a_product_of_matrices_costs_its_operations():
    n = 64
    found = training_cost(
        jnp.ones((n, n)), lambda w: w @ jnp.ones((n, n)), batch_size=4, n_steps=100, data_bytes=1000.0
    )
    reached = 1e9 * SHARE[jax.default_backend()]
    assert found.seconds == pytest.approx(2 * n**3 * GRADIENT * 4 * 100 / reached)
    assert found.parameters == n * n
    assert found.bytes > COPIES * 4 * n * n + 2000


def test_decompositions_cost_the_smaller_dimension_squared():
    few, many = (decomposition_cost(n, 1000, times=1, dense=False).seconds for n in (10, 20))
    assert many / few == pytest.approx(4, rel=0.03)  # 9 n³ beside 4 d n²
    assert decomposition_cost(10, 1000, times=7, dense=False).seconds == pytest.approx(7 * few)
    assert decomposition_cost(10, 1000, times=1, dense=True).seconds > 1000 * few  # of all values, however few fields


def test_what_follows_adds_time_and_takes_the_same_memory():
    both = Cost(60.0, 2.0**30, 5) + Cost(50.0, 2.0**29, 0)
    assert both == Cost(110.0, 2.0**30, 5)
    assert "a network of 5 parameters; after debiasing the fit takes about 2 min and 1.0 GiB" in str(both)
    assert str(Cost(7.0, 0.0, 0)).startswith("after debiasing the fit takes about 7 s")
