"""Fourier interpolation and filtering against waves whose values are known everywhere."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from subgrid.numerics.operators import BlockMean
from subgrid.numerics.spectral import low_pass, mode_statistics, refine, root_mean_square, translate


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
    statistics = mode_statistics(fields)
    assert float(root_mean_square(statistics.variance)) == pytest.approx(np.sqrt(wanted.mean()), rel=1e-5)
    np.testing.assert_allclose(statistics.mean[:, 0, 0], fields.mean((0, 2, 3)), rtol=1e-5)


def test_a_law_of_modes_is_that_of_isotropic_fields_and_empty_modes_stay_empty():
    # Waves of random phase and amplitudes 2 and 1 along x and y, |κ| = 3; nothing elsewhere, nor at (2, 2), |κ| = 2.8.
    rng = np.random.default_rng(0)
    phases = rng.uniform(0, 2 * np.pi, (50, 2))
    fields = np.stack([5 + 2 * wave(16, 3, 0, a) + wave(16, 0, 3, b) for a, b in phases])[:, None].astype(np.float32)
    statistics = mode_statistics(fields)
    expected = np.zeros((16, 9))
    expected[0, 3] = expected[3, 0] = expected[13, 0] = (2**2 / 4 + 1 / 4) / 2
    np.testing.assert_allclose(
        statistics.variance[0], expected, atol=0.02
    )  # the mean over points of 50 phases is not zero
    assert (statistics.variance[0][expected == 0] < 1e-3).all() and statistics.variance[0][2, 2] == 0
    np.testing.assert_allclose(statistics.mean, np.full((1, 16, 16), 5), atol=1e-5)


def test_a_known_pattern_is_of_the_mean_and_not_of_the_variance():
    rng = np.random.default_rng(1)
    noise = rng.normal(size=(200, 2, 16, 16)).astype(np.float32)
    pattern = np.stack([np.zeros((16, 16)), wave(16, 2, 2, 0.0)]).astype(np.float32)
    plain, patterned = mode_statistics(noise), mode_statistics(3 * pattern + noise, pattern)
    np.testing.assert_allclose(patterned.mean[0], plain.mean[0], atol=1e-5)
    np.testing.assert_allclose(patterned.mean[1], 3 * pattern[1], atol=0.05)  # 200 fields of 256 points: .006
    np.testing.assert_allclose(patterned.variance, plain.variance, rtol=0.02)
    assert mode_statistics(3 * pattern + noise).variance[1][2, 2] > 10 * patterned.variance[1][2, 2]


def test_fewer_points_are_refused():
    with pytest.raises(ValueError, match="n_points must be at least the 16"):
        refine(np.zeros((16, 16)), 8)


def test_translated_fields_are_their_interpolants():
    """Random trigonometric polynomials, evaluated between the points by their own formula."""
    n, rng = 16, np.random.default_rng(0)
    waves = [(ky, kx, *rng.normal(size=2)) for ky in range(-7, 8) for kx in range(8)]
    exact = lambda y, x: sum(a * np.cos(ky * y + kx * x) + b * np.sin(ky * y + kx * x) for ky, kx, a, b in waves)  # noqa: E731
    x, y = np.meshgrid(*[2 * np.pi * np.arange(n) / n] * 2)
    h = 2 * np.pi / n
    with jax.enable_x64(True):
        field = jnp.asarray(exact(y, x))
        for offset in ((0.5, 0.5), (0.0, 7 / 16), (-1.25, 0.3)):
            moved = translate(field, offset)
            np.testing.assert_allclose(moved, exact(y + offset[0] * h, x + offset[1] * h), atol=1e-10)
            np.testing.assert_allclose(translate(moved, (-offset[0], -offset[1])), field, atol=1e-10)
        # Every f-th point of a fine grid is the interpolant of the coarse one, if there are no other waves.
        xf, yf = np.meshgrid(*[2 * np.pi * np.arange(4 * n) / (4 * n)] * 2)
        np.testing.assert_allclose(exact(yf, xf)[1::4, 2::4], translate(field, (0.25, 0.5)), atol=1e-10)
        np.testing.assert_allclose(translate(field, (2.0, -3.0)), jnp.roll(field, (-2, 3), (0, 1)), atol=1e-10)
        checkers = jnp.asarray((-1.0) ** np.arange(n)) + jnp.zeros((n, 1))
        np.testing.assert_allclose(translate(checkers, (0.0, 0.5)), 0, atol=1e-12)  # the Nyquist wave: cos(π/2)


def test_block_means_and_translated_points_are_in_phase():
    """Both are at the middles of the blocks: every wave has one phase, and block means are damped by a real factor."""
    n, factor = 16, 4
    x, y = np.meshgrid(*[2 * np.pi * np.arange(factor * n) / (factor * n)] * 2)
    with jax.enable_x64(True):
        fine = jnp.asarray(sum(np.cos(a * x + b * y + a - b) for a, b in [(1, 0), (0, 3), (2, -5), (6, 1)]))
        means = np.fft.rfft2(BlockMean(fine.shape, factor)(fine))
        points = np.fft.rfft2(translate(fine[::factor, ::factor], ((factor - 1) / (2 * factor),) * 2))
    there = np.abs(points) > 1
    assert there.sum() >= 4
    ratio = means[there] / points[there]
    np.testing.assert_allclose(ratio.imag, 0, atol=1e-10)
    assert (ratio.real > 0.5).all() and (ratio.real < 1).all()
