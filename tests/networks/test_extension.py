"""Domains continued by a fraction of their length."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from subgrid.networks.extension import Extension


def function(n):
    x = (np.arange(n) + 0.5) / n
    return np.float32(x**2 + np.sin(3 * x))[None]


def extended(x, fraction):
    return np.asarray(jax.jit(Extension(fraction).extend)(x))


def test_a_full_mirror_image_is_even():
    wide = extended(function(8), 1.0)
    np.testing.assert_allclose(wide[:, 8:], wide[:, 7::-1], atol=1e-6)


@pytest.mark.parametrize("fraction", [0.25, 0.5, 1.0])
def test_the_field_is_kept_and_goes_on_without_a_jump(fraction):
    x, extension = function(64), Extension(fraction)
    wide = extended(x, fraction)
    np.testing.assert_array_equal(extension.restrict(jnp.asarray(wide), (64,)), x)
    around = np.diff(np.concatenate([wide, wide[:, :1]], axis=1))
    # The ends lie apart by 1.13; over 16 points a smooth way between them takes steps of a tenth of that.
    assert np.abs(around).max() < 0.13 < abs(x[0, -1] - x[0, 0])


def test_a_finer_grid_continues_the_same_function():
    coarse, fine = extended(function(64), 0.25), extended(function(256), 0.25)
    means = fine.reshape(1, -1, 4).mean(-1)
    np.testing.assert_allclose(coarse, means, atol=2e-3)  # a mean over a cell is its middle to second order


def test_a_grid_that_the_fraction_does_not_divide_is_refused():
    with pytest.raises(ValueError, match=r"10 points cannot be extended by 0.25 .* 2.5 points"):
        Extension(0.25).extend(jnp.zeros((1, 10)))


def test_coordinates_mean_the_same_on_every_grid():
    fine, coarse = (Extension(0.0).coordinates((n, 4), jnp.float32) for n in (16, 8))
    assert fine.shape == (Extension(0.0).n_coordinates(2), 16, 4)
    np.testing.assert_allclose(fine[:, ::2], coarse, atol=1e-6)
    assert Extension(0.5).coordinates((8,), jnp.float32).shape == (Extension(0.5).n_coordinates(1), 12)
