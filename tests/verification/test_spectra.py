"""Spectra against Parseval, single modes, a full complex transform, and power laws known in advance."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from subgrid.verification.spectra import energy_spectrum, mean_energy_log_ratio

GRIDS = [(16,), (15,), (2,), (16, 16), (16, 15), (6, 8, 5)]


def normals(seed, shape):
    return jax.device_put(np.asarray(np.random.default_rng(seed).normal(size=shape), np.float32))


def wave(n, k):
    return jax.device_put(np.cos(2 * np.pi * k * np.arange(n) / n).astype(np.float32))


@pytest.mark.parametrize("grid", GRIDS)
def test_parseval_the_shells_sum_to_the_variance(grid):
    samples = 5.0 + normals(0, (3, 2, *grid))
    variance = np.var(np.float64(samples), axis=tuple(range(2, samples.ndim))).mean(axis=0)
    np.testing.assert_allclose(energy_spectrum(samples, len(grid)).sum(axis=1), variance, rtol=1e-5)


@pytest.mark.parametrize(("n", "k"), [(32, 1), (32, 7), (32, 16), (31, 15)])
def test_a_cosine_lands_in_its_shell(n, k):
    energy = energy_spectrum(wave(n, k)[None, None], 1)[0]
    # cos² averages to ½, but at the Nyquist wavenumber it is (±1)² = 1.
    expected = jnp.zeros(n // 2).at[k - 1].set(1.0 if 2 * k == n else 0.5)
    np.testing.assert_allclose(energy, expected, atol=1e-6)


@pytest.mark.parametrize(("kx", "ky", "shell"), [(3, 4, 5), (0, 6, 6), (6, 0, 6), (2, 2, 3), (1, 1, 1)])
def test_a_plane_wave_lands_in_its_shell(kx, ky, shell):
    i, j = jnp.meshgrid(jnp.arange(16), jnp.arange(16), indexing="ij")
    field = jnp.cos(2 * jnp.pi * (kx * i + ky * j) / 16 + 0.3)
    energy = energy_spectrum(field[None, None], 2)[0]
    assert energy[shell - 1] == pytest.approx(0.5, rel=1e-5)
    assert energy.sum() == pytest.approx(0.5, rel=1e-5)


@pytest.mark.parametrize("grid", [(16, 16), (15, 16), (16, 15)])
def test_the_half_transform_counts_like_the_full_one(grid):
    field = np.random.default_rng(1).normal(size=grid)
    energy = np.abs(np.fft.fft2(field) / field.size) ** 2
    frequencies = np.meshgrid(*(np.fft.fftfreq(n, 1 / n) for n in grid), indexing="ij")
    expected = np.bincount(np.rint(np.hypot(*frequencies)).astype(int).ravel(), energy.ravel())[1:]
    found = energy_spectrum(jnp.asarray(field[None, None], jnp.float32), 2)[0]
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_opposite_coefficients_do_not_cancel():
    # +u and −u, and two orthogonal waves of opposite sign in one shell: summing before the modulus would give 0.
    samples = jnp.stack([wave(16, 3), -wave(16, 3)])[:, None]
    assert energy_spectrum(samples, 1)[0, 2] == pytest.approx(0.5, rel=1e-5)
    crossed = wave(16, 4)[:, None] - wave(16, 4)[None, :]
    assert energy_spectrum(crossed[None, None], 2)[0, 3] == pytest.approx(1.0, rel=1e-5)


def test_many_samples_are_averaged_in_chunks():
    # White noise: E(k) is 2/n a shell and 1/n at Nyquist; 5000 samples make it ±1.4 % (χ² with 2 or 1 degrees).
    energy = energy_spectrum(normals(2, (5000, 1, 16)), 1)[0]
    np.testing.assert_allclose(energy, [2 / 16] * 7 + [1 / 16], rtol=0.08)


def test_a_large_mean_leaves_the_small_shells_alone():
    field = 290.0 + 1e-2 * wave(64, 5)
    # 290 K in float32 has steps of 3e-5, which as rounding noise is (1e-5)²/32 a shell.
    energy = energy_spectrum(field[None, None], 1)[0]
    assert energy[4] == pytest.approx(0.5e-4, rel=1e-2)
    assert energy.at[4].set(0).max() < 1e-9


@pytest.mark.parametrize("grid", [(32,), (31,), (12, 12)])
@pytest.mark.parametrize("factor", [0.5, 1.0, 3.0])
def test_scaling_by_a_gives_twice_the_log_of_a(grid, factor):
    ref = normals(3, (10, 2, *grid))
    for ratio in mean_energy_log_ratio(factor * ref, ref, len(grid)):
        assert ratio == pytest.approx(2 * abs(np.log(factor)), abs=1e-5)


def test_weights_are_the_energy_of_the_reference():
    # Reference energies 4:1 in shells 1 and 2; only shell 2 is wrong, by e². Unweighted 2/2, weighted 2·1/5.
    ref = 2 * wave(4, 1) + wave(4, 2) / np.sqrt(2)
    pred = 2 * wave(4, 1) + np.e * wave(4, 2) / np.sqrt(2)
    unweighted, weighted = mean_energy_log_ratio(pred[None, None], ref[None, None], 1)
    assert unweighted == pytest.approx(1.0, rel=1e-4)
    assert weighted == pytest.approx(2 / 5, rel=1e-4)


def test_channels_of_any_unit_weigh_the_same():
    ref = normals(4, (10, 2, 32)) * jnp.array([1.0, 1e5])[:, None]
    pred = ref * jnp.array([np.e, 1.0])[:, None]
    for ratio in mean_energy_log_ratio(pred, ref, 1):
        assert ratio == pytest.approx(1.0, rel=1e-4)


def test_shells_empty_in_both_sets_count_nothing():
    # Band-limited fields: above k = 4 there is only rounding noise, whose ratio means nothing.
    phases = np.random.default_rng(5).uniform(0, 2 * np.pi, size=(2, 6, 1, 1, 4))
    waves = np.cos(2 * np.pi * np.arange(1, 5) * np.arange(64)[:, None] / 64 + phases)
    fields = jnp.asarray(waves.sum(axis=-1), jnp.float32)
    unweighted, weighted = mean_energy_log_ratio(2 * fields[0], fields[1], 1)
    # Four shells of 32 differ by ln 4, and so do the floors of the others, each relative to its own set.
    assert unweighted == pytest.approx(np.log(4), rel=0.02)
    assert weighted == pytest.approx(np.log(4), rel=1e-4)
    same, _ = mean_energy_log_ratio(fields[0], fields[1], 1)
    assert same < 1e-4


def test_traces_once_and_has_finite_gradients():
    traces = []

    @jax.jit
    def metric(pred, ref):
        traces.append(1)
        return mean_energy_log_ratio(pred, ref, 2)

    pred, ref = normals(6, (2, 4, 1, 8, 8))
    metric(pred, ref)
    metric(ref, pred)
    assert len(traces) == 1
    gradient = jax.grad(lambda x: sum(mean_energy_log_ratio(x, ref, 2)))(pred)
    assert jnp.all(jnp.isfinite(gradient)) and jnp.any(gradient != 0)


def test_bad_input_is_explained():
    with pytest.raises(ValueError, match="n_space must be 1, 2 or 3, got 4"):
        energy_spectrum(jnp.zeros((1, 1, 2, 2, 2, 2)), 4)
    with pytest.raises(ValueError, match="add a channel axis"):
        energy_spectrum(jnp.zeros((5, 16)), 1)
    with pytest.raises(ValueError, match="at least 1 sample and 2 points an axis"):
        energy_spectrum(jnp.zeros((0, 1, 16)), 1)
    with pytest.raises((ValueError, TypeError)):  # TypeError from jaxtyping when its import hook is on
        mean_energy_log_ratio(jnp.ones((2, 1, 16)), jnp.ones((2, 1, 8)), 1)


def test_noise_in_shells_that_the_reference_leaves_empty_counts_nothing():
    # A solver that keeps waves up to 8 of 16: what a network leaves beyond is a millionth of the energy.
    modes = jr.normal(jr.key(3), (40, 1, 32, 32))
    kept = np.abs(np.fft.fftfreq(32, 1 / 32)) <= 8
    truth = np.fft.ifft2(np.fft.fft2(np.asarray(modes)) * (kept[:, None] & kept)).real.astype(np.float32)
    noisy = truth + 1e-3 * truth.std() * np.asarray(jr.normal(jr.key(4), truth.shape))
    first, second = (jnp.asarray(each) for each in (truth[:20], truth[20:]))
    floor = mean_energy_log_ratio(first, second, 2)
    np.testing.assert_allclose(mean_energy_log_ratio(jnp.asarray(noisy[:20]), second, 2), floor, rtol=1e-2)
    assert float(floor[0]) < 0.2  # and it is that of the waves there are, some 1/sqrt(20 modes) each
