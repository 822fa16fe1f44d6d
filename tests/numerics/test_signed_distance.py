"""Signed distances: half planes and discs in closed form, one function at every resolution."""

import numpy as np
import pytest

from subgrid.numerics.signed_distance import signed_distance


def test_a_half_plane_is_exact():
    """The border lies between pixels; block means of a linear function are its values in the middle."""
    inside = np.zeros((16, 16), bool)
    inside[:, :8] = True
    for n in (16, 64):
        expected = np.tile((np.arange(n) + 0.5) / n - 0.5, (n, 1))
        np.testing.assert_allclose(signed_distance(inside, n), expected, atol=1e-12)


def test_a_disc_is_right_to_half_a_pixel_of_the_image():
    """The union of 128 × 128 pixels is the disc to half a pixel's diagonal, and the fine grid adds half a cell."""
    x = (np.arange(128) + 0.5) / 128 - 0.5
    radius = np.hypot(x[:, None], x)
    found = signed_distance(radius < 0.3, 128)
    assert np.abs(found - (radius - 0.3)).max() < 0.5 * np.sqrt(2) / 128 + 0.5 / 256 + 1e-3


def test_it_is_one_function_at_every_resolution():
    shape = np.random.default_rng(0).random((32, 32)) < 0.3
    fine = signed_distance(shape, 128)
    np.testing.assert_allclose(fine.reshape(64, 2, 64, 2).mean((1, 3)), signed_distance(shape, 64), atol=1e-12)


def test_what_has_no_distance_is_refused():
    with pytest.raises(ValueError, match="no border"):
        signed_distance(np.zeros((8, 8), bool), 8)
    with pytest.raises(ValueError, match="both divide, got measured_on = 100"):
        signed_distance(np.eye(8, dtype=bool), 8, measured_on=100)
