"""Cubic interpolation: exact on cubics, fourth order on waves, and through the coarse values."""

import numpy as np
import pytest

from subgrid.downscaling.interpolation.cubic import cubic_interpolation


def test_cubics_are_reproduced():
    fine = np.arange(32) / 8.0
    cubic = lambda x: 1 - 2 * x + 0.5 * x**2 + 0.1 * x**3  # noqa: E731
    got = cubic_interpolation(cubic(fine[::4]), (4,), centred=False, periodic=False)
    np.testing.assert_allclose(got[:29], cubic(fine[:29]), atol=1e-5)
    np.testing.assert_allclose(got[29:], cubic(fine[28]), atol=1e-5)  # held constant beyond the last point


def test_centred_values_sit_in_the_middle_of_their_blocks():
    fine = np.arange(24.0)
    got = cubic_interpolation(fine.reshape(6, 4).mean(1), (4,), centred=True, periodic=False)
    np.testing.assert_allclose(got[2:22], fine[2:22], atol=1e-5)


@pytest.mark.parametrize("centred", [False, True])
def test_waves_converge_at_fourth_order(centred):
    errors = []
    for n in (16, 32):
        x = 2 * np.pi * (np.arange(4 * n) - (1.5 if centred else 0)) / (4 * n)
        coarse = np.sin(2 * np.pi * np.arange(n) / n)
        errors.append(np.abs(cubic_interpolation(coarse, (4,), centred=centred, periodic=True) - np.sin(x)).max())
    assert errors[0] / errors[1] == pytest.approx(16, rel=0.15)


def test_two_axes_and_leading_axes():
    coarse = np.random.default_rng(0).normal(size=(3, 1, 5, 4))
    got = cubic_interpolation(coarse, (2, 3), centred=False, periodic=True)
    assert got.shape == (3, 1, 10, 12)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got[..., ::2, ::3], coarse, atol=1e-6)
    np.testing.assert_allclose(got[1], cubic_interpolation(coarse[1], (2, 3), centred=False, periodic=True), atol=1e-6)
