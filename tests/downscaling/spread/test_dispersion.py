"""The spread by what is expected, where it is known."""

import jax.numpy as jnp
import numpy as np

from subgrid.downscaling.spread.dispersion import fit_dispersion, no_dispersion

N, CELLS = 4000, 24


def test_an_error_that_grows_with_what_is_expected_is_found():
    """Errors of standard deviation e^x where x is expected, beside a constant variance that was predicted."""
    rng = np.random.default_rng(0)
    expected = rng.normal(size=(N, 1, CELLS))
    error = np.exp(expected) * rng.normal(size=expected.shape)
    found = fit_dispersion(expected, error**2, np.full_like(expected, 4.0), active=(True,))
    middle = slice(2, -2)  # the outermost bins are wide
    # 8000 values a bin: a standard deviation to .8 %, times 4; and the mean of e^2x in a bin .2 wide, half a per cent.
    np.testing.assert_allclose(np.log(2 * found.scales[0, middle]), found.levels[0, middle], atol=0.05)


def test_a_prediction_that_is_right_is_left_alone_and_so_are_other_channels():
    rng = np.random.default_rng(1)
    expected, variance = rng.normal(size=(N, 2, CELLS)), rng.uniform(0.5, 2, size=(N, 2, CELLS))
    error = np.sqrt(variance) * rng.normal(size=expected.shape)
    found = fit_dispersion(expected, error**2, variance, active=(True, False))
    np.testing.assert_allclose(found.scales[0], 1, atol=4 * np.sqrt(1 / (2 * N * CELLS / 12)) * 1.3)
    np.testing.assert_array_equal(found.scales[1], 1)


def test_it_is_linear_between_levels_and_constant_beyond():
    table = no_dispersion(1, 3)
    given = type(table)(jnp.asarray([[0.0, 1.0, 2.0]]), jnp.asarray([[1.0, 3.0, 2.0]]))
    np.testing.assert_allclose(given(jnp.asarray([[-5.0, 0.5, 1.5, 9.0]])), [[1.0, 2.0, 2.5, 2.0]])
    np.testing.assert_array_equal(table(jnp.asarray([[-5.0, 0.5]])), 1)
