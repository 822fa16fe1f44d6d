"""Interpolation by splines, Keys' convolution and hats: polynomials, orders on waves, what noise becomes."""

import numpy as np
import pytest

from subgrid.downscaling.interpolation.cubic import cubic_interpolation, fine_positions, keys_weights, linear_weights


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


def test_white_noise_between_coarse_points_loses_variance():
    # Σ of the squared weights, by hand. Keys: at a half (−1, 9, 9, −1)/16, at a quarter (−9, 111, 29, −3)/128.
    keys, linear = (f(8, 4, centred=False, periodic=True) for f in (keys_weights, linear_weights))
    kept = (keys**2).sum(1)[:4]
    np.testing.assert_allclose(kept, [1, 13_252 / 128**2, 164 / 256, 13_252 / 128**2], rtol=1e-12)
    np.testing.assert_allclose(np.round(kept, 3), [1, 0.809, 0.641, 0.809])
    np.testing.assert_allclose((linear**2).sum(1)[:4], [1, 0.625, 0.5, 0.625], rtol=1e-12)
    # A spline with second derivatives M, M̂ = 6(2 cos ω − 2)/(4 + 2 cos ω) ŷ, is ½(y₀ + y₁) − (M₀ + M₁)/16 midway.
    omega = 2 * np.pi * np.arange(64) / 64
    gain = np.cos(omega / 2) * (1 + 6 * (2 - 2 * np.cos(omega)) / (8 * (4 + 2 * np.cos(omega))))
    spline = cubic_interpolation(np.eye(64), (2,), centred=False, periodic=True)
    assert (spline[:, 1] ** 2).sum() == pytest.approx((gain**2).mean(), rel=1e-6) == pytest.approx(0.756, abs=5e-4)


def test_keys_convolution_reproduces_parabolas_and_hats_lines():
    x = fine_positions(12, 4, centred=True)
    own = np.arange(12.0)
    inside = (x >= 1) & (x <= 10)
    parabola = lambda t: 2 - t + 0.3 * t**2  # noqa: E731
    keys, linear = (f(12, 4, centred=True, periodic=False) for f in (keys_weights, linear_weights))
    np.testing.assert_allclose((keys @ parabola(own))[inside], parabola(x[inside]), atol=1e-12)
    np.testing.assert_allclose(linear @ own, np.clip(x, 0, 11), atol=1e-12)  # held beyond the ends


@pytest.mark.parametrize(("weights", "order"), [(keys_weights, 3), (linear_weights, 2)])
@pytest.mark.parametrize("centred", [False, True])
def test_local_rules_converge_at_their_order(weights, order, centred):
    errors = []
    for n in (32, 64):
        x = 2 * np.pi * fine_positions(n, 4, centred=centred) / n
        errors.append(
            np.abs(
                weights(n, 4, centred=centred, periodic=True) @ np.sin(2 * np.pi * np.arange(n) / n) - np.sin(x)
            ).max()
        )
    assert np.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.1)
