"""Fourier interpolation and filtering against waves whose values are known everywhere."""

import numpy as np
import pytest

from subgrid.numerics.spectral import low_pass, mode_statistics, refine, root_mean_square


def wave(n: int, kx: int, ky: int, phase: float = 0.3) -> np.ndarray:
    y, x = np.meshgrid(*(2 * np.pi * np.arange(n) / n,) * 2, indexing="ij")
    return np.cos(kx * x + ky * y + phase)


@pytest.mark.parametrize(("kx", "ky"), [(0, 0), (1, 0), (0, 3), (3, -2), (-1, 3)])
@pytest.mark.parametrize("m", [8, 9])
def test_a_resolved_wave_keeps_its_values_between_points(kx, ky, m):
    np.testing.assert_allclose(refine(wave(m, kx, ky), 24), wave(24, kx, ky), atol=1e-6)  # float32


def test_old_points_keep_their_values_where_there_is_no_nyquist_wave():
    rng = np.random.default_rng(0)
    coarse = low_pass(rng.normal(size=(2, 3, 16, 16)), 7.5)
    np.testing.assert_allclose(refine(coarse, 64)[..., ::4, ::4], coarse, atol=1e-6)


def test_nearest_neighbours_and_a_low_pass_damp_and_shift_what_this_keeps():
    # A wave k on m points, each repeated f times: sinc(k/m)/sinc(k/fm) as large, half a coarse cell less half a fine
    # one late.
    m, f, k = 8, 4, 2
    nearest = low_pass(np.repeat(np.repeat(wave(m, k, 0), f, 0), f, 1), 3)
    damped = np.sinc(k / m) / np.sinc(k / (f * m))
    late = k * np.pi * (1 / m - 1 / (f * m))
    np.testing.assert_allclose(nearest, damped * wave(f * m, k, 0, phase=0.3 - late), atol=1e-6)
    np.testing.assert_allclose(refine(wave(m, k, 0), f * m), wave(f * m, k, 0), atol=1e-6)


def test_the_low_pass_splits_at_the_modulus_of_the_wavenumber():
    kept, removed = wave(16, 3, 4), wave(16, 4, 4)  # |κ| = 5 and 5.66
    np.testing.assert_allclose(low_pass(kept + removed, 5), kept, atol=1e-6)


@pytest.mark.parametrize("n", [8, 9])
def test_variances_of_modes_add_up_to_those_of_points(n):
    fields = np.random.default_rng(0).normal(1.0, 2.0, (20, 2, n, n)).astype(np.float32)
    wanted = fields.var((0, 2, 3))  # of each channel
    law = mode_statistics(fields)
    assert float(root_mean_square(law.variance)) == pytest.approx(np.sqrt(wanted.mean()), rel=1e-5)
    np.testing.assert_allclose(law.mean[:, 0, 0], fields.mean((0, 2, 3)), rtol=1e-5)


def test_a_law_of_modes_is_that_of_homogeneous_isotropic_fields():
    # One field, a wave of amplitude 2 along x: its phase is forgotten, its energy shared by all modes of its shell.
    law = mode_statistics((5 + 2 * wave(16, 3, 0))[None, None].astype(np.float32))
    np.testing.assert_allclose(law.mean, np.full((1, 16, 16), 5), rtol=1e-6)
    shell = np.rint(np.hypot(*np.meshgrid(np.fft.fftfreq(16, 1 / 16), np.fft.fftfreq(16, 1 / 16)))) == 3
    np.testing.assert_allclose(law.variance[0][shell[:, :9]], 2 / shell.sum(), rtol=1e-5)  # 2²/2 in all
    np.testing.assert_allclose(law.variance[0][~shell[:, :9]], 0, atol=1e-9)


def test_fewer_points_are_refused():
    with pytest.raises(ValueError, match="n_points must be at least the 16"):
        refine(np.zeros((16, 16)), 8)
