"""Exact operators: the fixtures of the specification, and averages over draws."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from subgrid.functional.gaussian_field import GaussianField
from subgrid.functional.operators import (
    denoised_form,
    gaussian_operator,
    mixture_operator,
    noise_form,
    noisy_variances,
    posterior_variances,
    responsibilities,
)

from .small import ROUGH, SMOOTH, amplitudes, wave, waves

RHO = [0.2, 0.392017, 0.646535, 0.791799, 0.867839]


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


@pytest.mark.parametrize("n", [16, 17, 64])
def test_the_noise_form_of_a_gaussian(n):
    exact = noise_form(gaussian_operator(SMOOTH, ROUGH))
    np.testing.assert_allclose(
        amplitudes(jax.jit(jax.vmap(lambda v: exact(v, 0.01)))(waves(n))), -np.diag(RHO), atol=1e-6
    )


def test_the_two_forms_differ_by_the_field():
    v, exact = wave(16) + 1, gaussian_operator(SMOOTH, ROUGH)
    np.testing.assert_allclose(exact(v, 0.01), v + noise_form(exact)(v, 0.01))
    np.testing.assert_allclose(denoised_form(noise_form(exact))(v, 0.01), exact(v, 0.01))


def test_a_mean_is_subtracted_and_given_back_on_every_grid():
    exact = jax.jit(gaussian_operator(SMOOTH, ROUGH, 3 * wave(9)))
    np.testing.assert_allclose(
        exact(3 * wave(16) + wave(16, 2), 0.01), 3 * wave(16) + (1 - RHO[2]) * wave(16, 2), atol=1e-6
    )


def test_mixture_odds_of_the_specification():
    means = jnp.stack([wave(16, 1, 0.05), wave(16, 1, -0.05)])
    v, half = wave(16, 1, 0.002), np.array([0.5, 0.5])
    # The cosine's amplitude has twice the variance of the complex mode.
    assert 2 * noisy_variances(SMOOTH, ROUGH, (16,), 0.01)[1] == pytest.approx(7.91244e-4, rel=1e-5)
    exact = noise_form(mixture_operator(half, means, SMOOTH, ROUGH))
    chances, noise = jax.jit(
        lambda v: (responsibilities(half, means, v, 0.01, data=SMOOTH, noise=ROUGH), exact(v, 0.01))
    )(v)
    assert np.log(chances[0] / chances[1]) == pytest.approx(0.252767, abs=1e-6)
    assert float(chances[0]) == pytest.approx(0.562857, abs=1e-6)
    centre = 0.05 * (2 * 0.562857 - 1)
    np.testing.assert_allclose(noise, -RHO[1] * (v - wave(16, 1, centre)), atol=1e-7)


def test_a_mixture_of_one_is_a_gaussian_and_of_far_components_the_nearest():
    one = mixture_operator(np.ones(1), wave(9, 2)[None], SMOOTH, ROUGH)
    far = mixture_operator(np.array([0.5, 0.5]), jnp.stack([wave(9, 2), -wave(9, 2)]), SMOOTH, ROUGH)
    near = gaussian_operator(SMOOTH, ROUGH, wave(9, 2))
    v = 0.05 * jnp.asarray(np.random.default_rng(0).normal(size=(1, 16))) + wave(16, 2)
    from_one, from_near, from_far = jax.jit(lambda v: (one(v, 0.1), near(v, 0.1), far(v, 0.1)))(v)
    np.testing.assert_allclose(from_one, from_near, atol=1e-12)
    np.testing.assert_allclose(from_far, from_near, atol=1e-12)


def test_walls_have_the_same_formula():
    data, noise = (GaussianField(alpha, 5.0, 1.0, "neumann") for alpha in (2.0, 1.0))
    cosine = jnp.asarray(np.cos(np.pi * 3 * (np.arange(16) + 0.5) / 16))[None]
    first, second = ((9 * np.pi**2 + 25) ** -alpha for alpha in (2.0, 1.0))
    np.testing.assert_allclose(
        jax.jit(gaussian_operator(data, noise))(cosine, 0.01), first / (first + 0.01 * second) * cosine, atol=1e-9
    )


def test_the_posterior_variance_is_that_of_two_measurements():
    # 1/(1/λ₁ + 1/(sλ₂)).
    first, second = SMOOTH.mode_variances((16,)), 0.3 * ROUGH.mode_variances((16,))
    np.testing.assert_allclose(posterior_variances(SMOOTH, ROUGH, (16,), 0.3), 1 / (1 / first + 1 / second), rtol=1e-12)
