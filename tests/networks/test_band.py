"""Coefficients of a band against sums of waves, on even and odd grids."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from subgrid.networks.band import cut, from_band, to_band, wave_table, widen, without_nyquist

M = 3


def coefficients(n_space, n_modes=M):
    """Random ones; the sine of wavenumber 0 is none."""
    c = np.array(jr.normal(jr.key(0), (2, *(2 * n_modes + 2,) * n_space)))
    for axis in range(1, n_space + 1):
        np.moveaxis(c, axis, 0)[n_modes + 1] = 0
    return jnp.asarray(c)


@pytest.mark.parametrize("shape", [(7,), (8,), (7, 12)])
def test_they_are_those_of_the_waves(shape):
    c = coefficients(len(shape))
    field = c
    for axis, n in enumerate(shape, start=1):
        field = jnp.moveaxis(jnp.tensordot(wave_table(n, M), field, axes=(1, axis)), 0, axis)
    np.testing.assert_allclose(from_band(c, shape), field, atol=1e-5)
    np.testing.assert_allclose(to_band(field, M), c, atol=1e-5)
    np.testing.assert_allclose(jnp.mean(field**2), jnp.sum(c**2) / 2, rtol=1e-5)  # two channels


def test_what_lies_above_the_band_is_left_out():
    x = jnp.cos(2 * np.pi * 5 * np.arange(16) / 16)[None]
    np.testing.assert_allclose(to_band(x, M), 0, atol=1e-6)


def test_bands_are_cut_and_widened():
    c = coefficients(2)
    np.testing.assert_array_equal(cut(widen(c, 6), M), c)
    np.testing.assert_allclose(from_band(widen(c, 6), (16, 16)), from_band(c, (16, 16)), atol=1e-5)
    np.testing.assert_allclose(
        from_band(cut(c, 1), (8, 8)), from_band(to_band(from_band(c, (8, 8)), 1), (8, 8)), atol=1e-5
    )


@pytest.mark.parametrize("shape", [(8,), (9,), (6, 7)])
def test_the_nyquist_wave_is_taken_away(shape):
    x = jr.normal(jr.key(1), (1, *shape))
    waves, kept = np.fft.fftn(x, axes=range(1, x.ndim)), np.fft.fftn(without_nyquist(x), axes=range(1, x.ndim))
    for axis, n in enumerate(shape, start=1):
        if n % 2 == 0:
            np.moveaxis(waves, axis, 0)[n // 2] = 0
    np.testing.assert_allclose(kept, waves, atol=1e-5)


def test_a_grid_below_the_band_is_refused():
    with pytest.raises(ValueError, match=r"6 points does not hold the 3 modes .* give 7 points .* n_modes <= 2"):
        to_band(jnp.zeros((1, 6)), M)
