"""Conditioning on a cut of the modes against the closed form of Gaussians, and against the guidance of `diffusion`."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from subgrid.diffusion.guidance.moments import moment_matching
from subgrid.functional.gaussian_field import as_gain
from subgrid.functional.guidance import condition_on_cutoff, from_white, gaussian_conditional, to_white, white_form
from subgrid.functional.levels import variance_levels
from subgrid.functional.operators import gaussian_operator, mixture_operator
from subgrid.functional.reverse import probability_flow
from subgrid.numerics.spectral_cutoff import SpectralCutoff

from .small import ROUGH, SMOOTH, amplitudes, wave, waves

EXACT, N, COARSE = gaussian_operator(SMOOTH, ROUGH), 16, 5
GAIN = np.array([1.0, 0.5, 2.0])
TARGET = np.cos(2 * np.pi * np.arange(COARSE) / COARSE)[None] * 0.03
FIRST, SECOND = (field.mode_variances((N,))[:5] for field in (SMOOTH, ROUGH))


@pytest.mark.parametrize("noise_variance", [0.0, 1e-3])
def test_the_conditional_of_gaussian_data(noise_variance):
    # Observed modes 0, 1, 2 with gains g; 3 and 4 are held out, and keep their variance λ₁.
    with jax.enable_x64(True):
        operator, y = SpectralCutoff((N,), (COARSE,), gain=GAIN), jnp.asarray(TARGET)
        guided = condition_on_cutoff(
            EXACT, operator, y, data=SMOOTH, noise=ROUGH, noise_variance=noise_variance, n_iterations=1
        )
        largest = 1e3 / 25  # a thousand times the largest λ₁/λ₂: the start remembers a thousandth of the data
        levels = variance_levels(400, largest=largest, smallest=1e-6)
        move = jax.jit(jax.vmap(lambda v: probability_flow(guided, v, levels, noise=ROUGH, data=SMOOTH)))
        ends = move(jnp.concatenate([jnp.zeros((1, 1, N)), waves(N)]))
        mean, variances = gaussian_conditional(operator, y, data=SMOOTH, noise_variance=noise_variance)
    expected = 0.03 * 0.5 * FIRST[1] / (0.25 * FIRST[1] + noise_variance / COARSE)
    np.testing.assert_allclose(mean, wave(N, 1, expected), atol=1e-6)
    np.testing.assert_allclose(amplitudes(ends[:1])[0, 1], expected, rtol=0.02)
    slope = np.diag(amplitudes(ends[1:] - ends[:1]))
    found = slope**2 * (FIRST + largest * SECOND)
    gamma, seen = noise_variance / COARSE, np.array([1.0, 0.5, 2.0, 0.0, 0.0])
    expected = FIRST * gamma / (seen**2 * FIRST + gamma) if noise_variance else np.where(seen > 0, 0, FIRST)
    np.testing.assert_allclose(np.asarray(variances)[:5], expected, rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(found, expected, rtol=0.02, atol=1e-3 * FIRST[0])
    assert found[3] == pytest.approx(FIRST[3], rel=0.02)


@pytest.mark.parametrize("noise_variance", [0.0, 1e-3])
def test_it_is_moment_matching_in_the_metric_of_the_noise(noise_variance):
    means = jnp.stack([wave(N, 1, 0.05), wave(N, 2, 0.03)])
    denoised = mixture_operator(np.array([0.4, 0.6]), means, SMOOTH, ROUGH)
    s = 0.05
    with jax.enable_x64(True):
        operator, y = SpectralCutoff((N,), (COARSE,)), jnp.asarray(TARGET)
        v = jnp.asarray(0.1 * np.random.default_rng(0).normal(size=(1, N)))
        ours = condition_on_cutoff(
            denoised, operator, y, data=SMOOTH, noise=ROUGH, noise_variance=noise_variance, n_iterations=12
        )
        coloured = SpectralCutoff((N,), (COARSE,), gain=np.sqrt(N * ROUGH.mode_variances((COARSE,))))
        theirs = moment_matching(
            white_form(denoised, ROUGH, (N,)), coloured, y, noise_variance=noise_variance, n_iterations=12
        )

        @jax.jit
        def both(v):
            first = ours(v, s)
            second = from_white(theirs(to_white(v, ROUGH), jnp.sqrt(s)), ROUGH)
            return first, second, denoised(v, s), operator(first)

        first, second, unguided, observed = both(v)
    np.testing.assert_allclose(first, second, atol=2e-7)
    assert np.abs(first - unguided).max() > 1e-2
    if not noise_variance:
        np.testing.assert_allclose(observed, TARGET, atol=1e-6)


def test_white_fields_are_standard_normal_at_points():
    draws = jax.jit(jax.vmap(lambda k: to_white(ROUGH.sample((15,), key=k), ROUGH)))(jr.split(jr.key(0), 2000))
    covariance = np.cov(np.asarray(draws)[:, 0].T)
    np.testing.assert_allclose(covariance, np.eye(15), atol=4.5 * np.sqrt(2 / 2000))
    assert as_gain(np.ones(1)).dtype == jnp.float32


def test_what_is_refused():
    operator = SpectralCutoff((N,), (COARSE,))
    with pytest.raises(ValueError, match=r"lives on \(7,\) points, but C' gives \(5,\)"):
        condition_on_cutoff(EXACT, operator, jnp.zeros((1, 7)), data=SMOOTH, noise=ROUGH)
    with pytest.raises(ValueError, match="must not be negative, got -1"):
        condition_on_cutoff(EXACT, operator, jnp.zeros((1, 5)), data=SMOOTH, noise=ROUGH, noise_variance=-1.0)
