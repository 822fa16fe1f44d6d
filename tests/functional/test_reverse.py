"""Probability flow and reverse diffusion: exact for Gaussians, orders of convergence, there and back."""

import itertools

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from subgrid.functional.flow import denoised_of_velocity, solve_adaptively
from subgrid.functional.gaussian_field import GaussianField
from subgrid.functional.levels import level_range, variance_levels
from subgrid.functional.operators import gaussian_operator, mixture_operator, noise_form
from subgrid.functional.reverse import encode, probability_flow, reverse_diffusion, start
from subgrid.numerics.from_numpy import from_numpy

from .small import ROUGH, SMOOTH, amplitudes, wave, waves

EXACT = gaussian_operator(SMOOTH, ROUGH)
FIRST, SECOND = (field.mode_variances((16,))[:5] for field in (SMOOTH, ROUGH))
LARGEST, SMALLEST = level_range(SMOOTH, ROUGH, (16,))
MIXTURE = mixture_operator(
    np.array([0.5, 0.5]), from_numpy(np.stack([wave(16, 1, 0.1), wave(16, 1, -0.1)])), SMOOTH, ROUGH
)


def gains(move, n=16):
    with jax.enable_x64(True):
        return np.diag(amplitudes(jax.jit(jax.vmap(move))(waves(n))))


def test_the_flow_of_a_gaussian_is_the_root_of_its_variance():
    with jax.enable_x64(True):
        levels = variance_levels(5, largest=LARGEST, smallest=SMALLEST)
    found = gains(lambda v: probability_flow(EXACT, v, levels, noise=ROUGH, data=SMOOTH))
    np.testing.assert_allclose(found, np.sqrt(FIRST / (FIRST + LARGEST * SECOND)), rtol=1e-6)


def test_the_equation_of_the_flow_has_that_solution():
    # dv/ds = −F/(2s), solved by a library's adaptive solver.
    noise = noise_form(EXACT)
    with jax.enable_x64(True):
        move = lambda v: solve_adaptively(lambda v, s: -noise(v, s) / (2 * s), v, start=0.4, end=0.001, tolerance=1e-9)  # noqa: E731
        found = gains(lambda v: move(v).field)
    np.testing.assert_allclose(found, np.sqrt((FIRST + 0.001 * SECOND) / (FIRST + 0.4 * SECOND)), rtol=1e-6)


def test_without_the_spectrum_heun_converges_in_second_order():
    errors = []
    for n in (32, 64, 128):
        with jax.enable_x64(True):
            levels = variance_levels(n, largest=0.4, smallest=1e-4)
        found = gains(lambda v, levels=levels: probability_flow(EXACT, v, levels, noise=ROUGH))
        total, end = FIRST + 0.4 * SECOND, FIRST + 1e-4 * SECOND
        errors.append(np.abs(found - np.sqrt(end / total) * FIRST / end).max())
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.25) and errors[1] / errors[2] == pytest.approx(4, rel=0.15)


def test_the_diffusion_of_a_gaussian_is_exact_at_any_number_of_levels():
    def variance(data, n_levels):
        """By recursion: v′ = qv + (1 − q)G + noise, of which only G is the operator's."""
        v, levels = FIRST + LARGEST * SECOND, np.geomspace(LARGEST, SMALLEST, n_levels)
        for s, after in itertools.pairwise(levels):
            q, total = after / s, FIRST + s * SECOND
            spread = (1 - q) ** 2 * s * FIRST * SECOND / total if data else 0.0
            v = (q + (1 - q) * FIRST / total) ** 2 * v + after * (1 - q) * SECOND + spread
        total = FIRST + SMALLEST * SECOND
        return (FIRST / total) ** 2 * v + (SMALLEST * FIRST * SECOND / total if data else 0.0)

    np.testing.assert_allclose(variance(True, 3), FIRST, rtol=1e-9)
    assert np.all(variance(False, 8) < 0.8 * FIRST)  # the negative control: too few levels lose variance
    with jax.enable_x64(False):
        draw = jax.jit(
            jax.vmap(
                lambda k: reverse_diffusion(
                    EXACT,
                    start(ROUGH, (16,), LARGEST, data=SMOOTH, key=jr.fold_in(k, 1)),
                    variance_levels(3, largest=LARGEST, smallest=SMALLEST),
                    noise=ROUGH,
                    data=SMOOTH,
                    key=k,
                )
            )
        )
        modes = np.fft.rfft(draw(jr.split(jr.key(0), 2000))[:, 0], norm="forward")[:, :5]
    np.testing.assert_allclose(np.mean(np.abs(modes) ** 2, 0), FIRST, rtol=4 * np.sqrt(2 / 2000))


@pytest.mark.parametrize("data", [None, SMOOTH])
def test_a_start_has_the_variance_of_noisy_data(data):
    draw = jax.jit(jax.vmap(lambda k: start(ROUGH, (16,), 0.3, data=data, n_channels=2, key=k)))
    modes = np.fft.rfft(draw(jr.split(jr.key(0), 1000)), norm="forward")[..., :5]
    expected = (FIRST if data else 0) + 0.3 * SECOND
    np.testing.assert_allclose(np.mean(np.abs(modes) ** 2, (0, 1)), expected, rtol=4 * np.sqrt(2 / 2000))


def test_a_start_that_asks_the_operator_keeps_the_mean():
    # Fields N(m, λ₁/2), m² = λ₁/2 in one mode: a Gaussian of their spectrum λ₁ has none of m at s₁ = 10 λ₁/λ₂, and the
    # flow would keep 1 − √(.5/10.5) = .78 of it. By hand, one step from s = ∞ keeps .99.
    spread = GaussianField(2.0, 5.0, scale=np.sqrt(0.5))
    mean = wave(16, 1, np.sqrt(2 * FIRST[1]))
    operator, levels = gaussian_operator(spread, ROUGH, mean), variance_levels(16, largest=LARGEST, smallest=SMALLEST)

    def sample(key, asked):
        v = start(ROUGH, (16,), LARGEST, data=SMOOTH, denoised=asked, key=key)
        return probability_flow(operator, v, levels, noise=ROUGH, data=SMOOTH)

    kept = []
    for asked in (None, operator):
        draws = jax.jit(jax.vmap(lambda k, asked=asked: sample(k, asked)))(jr.split(jr.key(0), 4000))
        found = amplitudes(draws)[:, 1]
        kept.append(found.mean() / amplitudes(mean)[1])
        error = found.std() / np.sqrt(4000) / amplitudes(mean)[1]
    ratio = LARGEST * SECOND[1] / FIRST[1]
    without = 1 - np.sqrt(0.5 / (0.5 + ratio))
    assert kept[0] == pytest.approx(without, abs=4 * error)
    assert kept[1] == pytest.approx(1, abs=0.02 + 4 * error)


@pytest.mark.parametrize("times", [1.0, 1e3])
def test_pairs_that_are_not_independent_ask_for_a_larger_level(times):
    # x_t = (1 − t + rt) x₀, r² = λ₁/λ₀, so that v = (√s + r) x₀ and G = r/(√s + r) v.
    ratio = np.sqrt(SMOOTH.mode_variances((16,)) / ROUGH.mode_variances((16,)))
    velocity = lambda x, t, known=None: ROUGH.box.multiply(x, (ratio - 1) / (1 - t + t * ratio))  # noqa: E731
    denoised = denoised_of_velocity(velocity)
    largest = times * LARGEST

    def sample(key):
        levels = variance_levels(64, largest=largest, smallest=SMALLEST)
        v = start(ROUGH, (16,), largest, data=SMOOTH, denoised=denoised, key=key)
        return probability_flow(denoised, v, levels, noise=ROUGH, data=SMOOTH), ROUGH.sample((16,), key=key)

    found, base = jax.jit(sample)(jr.key(0))
    amplitude = np.abs(np.fft.rfft(found[0])[1] / np.fft.rfft(base[0])[1]) / ratio[1]
    r = ratio[1] / np.sqrt(largest)
    begun = np.sqrt(1 + r**2) * (1 + r / (1 + r) - r**2 / (1 + r**2))
    assert amplitude == pytest.approx(begun / (1 + r), rel=5e-3)  # of Heun's steps
    assert (amplitude > 0.99) == (times > 1)


@pytest.mark.parametrize("data", [None, SMOOTH])
def test_a_mixture_there_and_back(data):
    u = wave(16, 1, 0.09) + wave(16, 3, 0.002)
    levels = variance_levels(128, largest=40 * LARGEST, smallest=SMALLEST)

    @jax.jit
    def there_and_back(u):
        v = encode(MIXTURE, u, levels, noise=ROUGH, data=data)
        return v, probability_flow(MIXTURE, v, levels, noise=ROUGH, data=data)

    v, back = there_and_back(u)
    # Of Heun's 128 steps, and of the last level, where the plain flow gives the mean.
    np.testing.assert_allclose(back, u, atol=2e-4 if data else 1e-3)
    assert float(jnp.std(v)) > 3 * float(jnp.std(u))


def test_the_flow_of_a_mixture_finds_both_components():
    levels = variance_levels(48, largest=100 * LARGEST, smallest=SMALLEST)

    def sample(key):
        v = start(ROUGH, (16,), levels[0], data=SMOOTH, key=key)
        return probability_flow(MIXTURE, v, levels, noise=ROUGH, data=SMOOTH)

    amplitude = amplitudes(jax.jit(jax.vmap(sample))(jr.split(jr.key(1), 1000)))[:, 1]
    assert np.mean(amplitude > 0) == pytest.approx(0.5, abs=4 * 0.5 / np.sqrt(1000))
    # Within a component: the mean ±.1 and the variance 2λ₁ of a cosine's amplitude.
    inside = np.abs(amplitude) - 0.1
    assert inside.mean() == pytest.approx(0, abs=4e-3)
    assert inside.std() == pytest.approx(np.sqrt(2 * FIRST[1]), rel=0.1)
