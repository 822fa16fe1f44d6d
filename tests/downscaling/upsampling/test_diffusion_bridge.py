"""The diffusion bridge between Gaussian distributions, whose every step has a closed form."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from subgrid.downscaling.upsampling.diffusion_bridge import conditioned, decode, encode, noised, turnaround_level

COARSE, FINE, SIGMA_MIN, LEVEL = 0.7, 1.3, 1e-2, 0.9


def gaussian(std: float):
    """The denoiser of N(0, std²), each point for itself."""
    return lambda x, sigma: x * std**2 / (std**2 + sigma**2)


def test_white_noise_turns_around_at_its_own_level_whatever_the_cut_off():
    fields = 0.4 * np.random.default_rng(0).normal(size=(64, 2, 32, 32)).astype(np.float32)
    for k in (1, 5, 12):
        # 2·64 fields of 4k modes or more, half of them independent: σ* is known to a part of 1/√(2·64·2·4k).
        assert turnaround_level(fields, k) == pytest.approx(0.4, rel=4 / np.sqrt(2 * 64 * 8 * k) / 2 + 1e-3)


def test_it_is_the_time_that_was_published():
    rng, sigma_min, sigma_max, k = np.random.default_rng(1), 1e-2, 50.0, 3
    x = 2 * np.pi * np.arange(16) / 16
    phase = rng.uniform(0, 2 * np.pi, (8, 1, 1, 1))
    fields = np.tile(np.cos(k * x + phase), (1, 1, 16, 1)).astype(np.float32)
    n_modes = sum(round(np.hypot(i, j)) == k for i in range(-8, 8) for j in range(-8, 8))
    power = 0.5 / n_modes  # a wave of amplitude 1 has variance ½
    t = 0.5 * np.log(power * 16**2 / sigma_min**2) / np.log(sigma_max / sigma_min)
    assert turnaround_level(fields, k) == pytest.approx(sigma_min * (sigma_max / sigma_min) ** t, rel=1e-5)


def test_the_grid_must_hold_the_cut_off():
    with pytest.raises(ValueError, match="between 1 and 8, got 9"):
        turnaround_level(np.ones((1, 1, 16, 16), np.float32), 9)


def test_the_flows_of_both_models_map_one_gaussian_to_the_other():
    # Up multiplies by √((c² + σ*²)/(c² + σ_min²)), down by √((f² + σ_min²)/(f² + σ*²)).
    y = jnp.asarray([-1.0, 0.5, 2.0])
    up = encode(gaussian(COARSE), y, sigma_min=SIGMA_MIN, level=LEVEL, n_steps=60)
    np.testing.assert_allclose(up / y, np.sqrt((COARSE**2 + LEVEL**2) / (COARSE**2 + SIGMA_MIN**2)), rtol=2e-3)
    options = {"sigma_min": SIGMA_MIN, "level": LEVEL, "n_steps": 120, "stochastic": False, "key": jr.key(0)}
    down = decode(gaussian(FINE), up, **options)
    # Heun's error is of second order: .2 % for 60 steps; the last denoising takes σ_min²/f² off.
    np.testing.assert_allclose(down / up, np.sqrt(FINE**2 / (FINE**2 + LEVEL**2)), rtol=2e-3)


def test_noise_and_reverse_diffusion_draw_from_the_posterior_of_the_fine_model():
    # x | y ~ N(w (y + σ*ε), w σ*²) with w = f²/(f² + σ*²): mean w y, variance w²σ*² + wσ*².
    n, y, w = 20_000, 1.5, FINE**2 / (FINE**2 + LEVEL**2)
    noise_key, sample_key = jr.split(jr.key(2))
    up = noised(jnp.full(n, y), LEVEL, key=noise_key)
    options = {"sigma_min": SIGMA_MIN, "level": LEVEL, "n_steps": 100}
    x = jax.jit(lambda up: decode(gaussian(FINE), up, **options, key=sample_key))(up)
    std = np.sqrt(w**2 * LEVEL**2 + w * LEVEL**2)
    assert float(x.mean()) == pytest.approx(w * y, abs=4 * std / np.sqrt(n))
    # Four standard errors, and half a per cent for 100 steps.
    assert float(x.std()) == pytest.approx(std, rel=4 / np.sqrt(2 * n) + 5e-3)


def test_a_context_is_handed_on():
    known = jnp.ones(2)
    denoiser = lambda x, sigma, context: x * sigma + context  # noqa: E731
    np.testing.assert_array_equal(conditioned(denoiser, known)(jnp.ones(2), jnp.asarray(3.0)), 4 * jnp.ones(2))
    plain = gaussian(1.0)
    assert conditioned(plain, None) is plain
