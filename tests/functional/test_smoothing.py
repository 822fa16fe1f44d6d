"""Smoothing by the heat equation against its solution for one wave."""

import jax.numpy as jnp
import numpy as np
import pytest

from subgrid.functional.smoothing import heat_factors, sharpen, smooth
from subgrid.numerics.modes import Box

LINE = Box((2.0,))


def wave(k):
    return jnp.asarray(np.cos(2 * np.pi * k * np.arange(64) / 64))[None]


@pytest.mark.parametrize("k", [0, 1, 5])
def test_a_wave_decays_as_the_heat_equation_has_it(k):
    np.testing.assert_allclose(smooth(wave(k), LINE, 0.01), np.exp(-0.01 * (np.pi * k) ** 2) * wave(k), atol=1e-6)


def test_sharpening_undoes_it_on_what_is_left():
    v = wave(2) + wave(4)
    np.testing.assert_allclose(sharpen(smooth(v, LINE, 0.01), LINE, 0.01), v, atol=1e-5)
    lost = wave(30)  # damped by exp(−.01·8883): nothing is left to restore
    np.testing.assert_allclose(sharpen(smooth(lost, LINE, 0.01), LINE, 0.01), 0, atol=1e-6)
    assert heat_factors(LINE, (64,), 0.0).min() == 1


def test_the_index_of_published_blurs_counts_half_waves():
    # exp(−n²σ_B²/2) with n the index of the cosine transform and σ_B = .05: mode 20 is .607 at the data's end.
    walls = Box((1.0,), "neumann")
    assert heat_factors(walls, (32,), 0.05**2 / (2 * np.pi**2))[20] == pytest.approx(0.607, abs=5e-4)


def test_time_does_not_run_backwards():
    with pytest.raises(ValueError, match="must not be negative"):
        smooth(wave(1), LINE, -1e-3)
