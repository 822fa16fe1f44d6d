"""Coefficients of a band against sums of waves, on even and odd grids."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from subgrid.networks.band import cut, from_band, to_band, wave_table, widen, without_nyquist

from .weights import normal

M = 3


def coefficients(n_space, n_modes=M):
    """Random ones; the sine of wavenumber 0 is none."""
    c = normal(0, 2, *(2 * n_modes + 2,) * n_space)
    for axis in range(1, n_space + 1):
        np.moveaxis(c, axis, 0)[n_modes + 1] = 0
    return c


def on_grid(c, shape):
    """The field as a sum of waves, without a transform."""
    for axis, n in enumerate(shape, start=1):
        c = np.moveaxis(np.tensordot(wave_table(n, c.shape[axis] // 2 - 1), c, axes=(1, axis)), 0, axis)
    return c


def of_waves(x, n_modes):
    """The coefficients of a field as means of products with waves."""
    for axis, n in enumerate(x.shape[1:], start=1):
        x = np.moveaxis(np.tensordot(wave_table(n, n_modes).T / n, x, axes=(1, axis)), 0, axis)
    return x


@pytest.mark.parametrize("shape", [(7,), (8,), (7, 12)])
def test_they_are_those_of_the_waves(shape):
    c = coefficients(len(shape))
    field = np.float32(on_grid(c, shape))
    there, back = jax.jit(lambda c, x: (from_band(c, shape), to_band(x, M)))(c, field)
    np.testing.assert_allclose(there, field, atol=1e-5)
    np.testing.assert_allclose(back, c, atol=1e-5)
    np.testing.assert_allclose(of_waves(field, M), c, atol=1e-5)
    np.testing.assert_allclose(np.mean(field**2), np.sum(c**2) / 2, rtol=1e-5)  # two channels


def test_what_lies_above_the_band_is_left_out():
    x = np.float32(np.cos(2 * np.pi * 5 * np.arange(16) / 16))[None]
    np.testing.assert_allclose(jax.jit(lambda x: to_band(x, M))(x), 0, atol=1e-6)


def test_bands_are_cut_and_widened():
    c = coefficients(2)
    wide, same, narrow = jax.jit(lambda c: (widen(c, 6), cut(widen(c, 6), M), cut(c, 1)))(c)
    np.testing.assert_array_equal(same, c)
    np.testing.assert_allclose(on_grid(wide, (16, 16)), on_grid(c, (16, 16)), atol=1e-5)
    np.testing.assert_allclose(narrow, of_waves(on_grid(c, (8, 8)), 1), atol=1e-5)


@pytest.mark.parametrize("shape", [(8,), (9,), (6, 7)])
def test_the_nyquist_wave_is_taken_away(shape):
    x = normal(1, 1, *shape)
    waves, kept = (np.fft.fftn(each, axes=range(1, x.ndim)) for each in (x, jax.jit(without_nyquist)(x)))
    for axis, n in enumerate(shape, start=1):
        if n % 2 == 0:
            np.moveaxis(waves, axis, 0)[n // 2] = 0
    np.testing.assert_allclose(kept, waves, atol=1e-5)


def test_a_grid_below_the_band_is_refused():
    with pytest.raises(ValueError, match=r"6 points does not hold the 3 modes .* give 7 points .* n_modes <= 2"):
        to_band(jnp.zeros((1, 6)), M)
