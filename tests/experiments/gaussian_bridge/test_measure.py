"""The estimator of the Gaussian bridge, on the exact bridge and on none."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from subgrid.experiments.gaussian_bridge.config import GaussianBridgeTable
from subgrid.experiments.gaussian_bridge.measure import exact_bridge, measure
from subgrid.transport.bridge import Bridge


def test_the_exact_drifts_score_the_floor_but_for_the_steps():
    d, table = 4, GaussianBridgeTable(n_test=4000, n_sampling_steps=64)
    exact, c = exact_bridge(table, d), (np.sqrt(5) - 1) / 2

    def drift(x, left, start):
        """(E[end | x] − x)/left, `left` the time to the end, of mean −start; covariances are multiples of I."""
        gone = 1 - left
        spread = left**2 + gone**2 + gone * left * (2 * c + 1)
        expected = -start + (left * c + gone) / spread * (x - (left - gone) * start)
        return (expected - x) / left

    forward = lambda x, t, context=None: drift(x, 1 - t, -0.1)  # noqa: E731
    backward = lambda x, t, context=None: drift(x, t, 0.1)  # noqa: E731
    numbers = measure(Bridge(forward, backward, 1.0), exact, table, key=jr.key(0))
    floor = d / table.n_test
    for direction in ("forward", "backward"):
        # 65 times on one set of paths: the deviation of their mean is near that of one, √d/n. Euler steps add variance,
        # 1.6 % at 20 equal steps and a third of it here: ¼ d (.005)² = 3e-5.
        assert numbers[f"kl_{direction}"] == pytest.approx(floor, abs=3 * np.sqrt(d) / table.n_test)
        # d n products of deviation √(1 + c²): three times that, and .005 of the steps
        assert numbers[f"covariance_{direction}"] == pytest.approx((np.sqrt(5) - 1) / 2, abs=0.033)
        assert numbers[f"variance_{direction}"] == pytest.approx(1, abs=0.04)


def test_a_drift_that_ignores_the_target_is_seen():
    table = GaussianBridgeTable(n_test=500, n_sampling_steps=4)
    exact = exact_bridge(table, 2)
    still = lambda x, t, context=None: jnp.zeros_like(x)  # noqa: E731
    numbers = measure(Bridge(still, still, 1.0), exact, table, key=jr.key(0))
    # Brownian motion ends at N(∓.1, 2): KL = ½·2·(2 + .04 − 1 − ln 2) at the end alone, 5 times in the mean.
    assert numbers["kl_forward"] > (1.04 - np.log(2)) / 5
    assert numbers["variance_forward"] == pytest.approx(2, rel=0.2)  # 1000 squares of deviation 2√2, three times that
