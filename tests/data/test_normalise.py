"""Normalisation against NumPy, round trips, and a constant channel."""

import jax.numpy as jnp
import numpy as np
import pytest

from subgrid.data.normalise import fit_standardiser
from subgrid.numerics.operators import BlockMean

FIELDS = np.random.default_rng(0).normal([[[1.0]], [[-200.0]]], [[[2.0]], [[0.5]]], (50, 2, 4, 6)).astype(np.float32)


def test_channels_get_zero_mean_and_unit_variance():
    standard = fit_standardiser(FIELDS).normalise(jnp.asarray(FIELDS), 2)
    np.testing.assert_allclose(np.float64(standard).mean((0, 2, 3)), 0, atol=1e-4)  # −200 in float32: 1e-5/.5
    np.testing.assert_allclose(np.float64(standard).std((0, 2, 3)), 1, rtol=1e-5)


@pytest.mark.parametrize("lead", [(), (0,), (slice(3),)])
def test_round_trip_with_any_leading_axes(lead):
    x, scaler = jnp.asarray(FIELDS)[lead], fit_standardiser(FIELDS)
    np.testing.assert_allclose(scaler.restore(scaler.normalise(x, 2), 2), x, rtol=1e-6, atol=1e-5)


def test_it_commutes_with_averaging():
    scaler, coarsen, x = fit_standardiser(FIELDS), BlockMean((4, 6), 2), jnp.asarray(FIELDS)
    np.testing.assert_allclose(scaler.normalise(coarsen(x), 2), coarsen(scaler.normalise(x, 2)), atol=1e-4)


def test_constant_channel():
    fields = FIELDS.copy()
    fields[:, 1] = 0.1
    with pytest.raises(ValueError, match=r"channel 1 is constant \(0\.1\); it cannot be normalised"):
        fit_standardiser(fields)
