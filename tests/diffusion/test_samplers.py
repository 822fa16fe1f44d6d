"""Samplers against Gaussians, for which the exact denoiser, and so the exact answer, are known."""

from functools import partial
from itertools import pairwise

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from subgrid.diffusion.denoiser import gaussian_denoiser
from subgrid.diffusion.guidance.inpainting import inpainting
from subgrid.diffusion.noise_levels import exponential_grid, karras_grid, time_grid
from subgrid.diffusion.process import CosineVariancePreserving, VariancePreserving
from subgrid.diffusion.samplers import (
    Ancestral,
    AncestralMultistep,
    Corrected,
    EulerMaruyama,
    ExponentialMultistep,
    Heun,
    Resampled,
    initial_noise,
    sample,
)

GRIDS = {
    "VE Karras": karras_grid,
    "VE exponential": exponential_grid,
    "VP": lambda n: time_grid(VariancePreserving(), n),
    "VP cosine": lambda n: time_grid(CosineVariancePreserving(), n),
}
ALL_METHODS = [
    Heun(),
    EulerMaruyama(),
    ExponentialMultistep(),
    Ancestral(),
    AncestralMultistep(),
    Corrected(AncestralMultistep()),
    Resampled(ExponentialMultistep(), n_resamples=2),
]
by_name = {"ids": lambda method: type(method).__name__}


def unit_gaussian(x, sigma):
    return x / (1 + sigma**2)


@eqx.filter_jit
def ode_run(x, levels, method):
    return sample(unit_gaussian, x, levels, method=method, key=jr.key(0))


def ode_std(method, levels):
    """The sampler of a deterministic method is x ↦ a·x here, so its standard deviation |a|σ₀ needs no sampling."""
    return float(ode_run(levels[:1], levels, method)[0])


def sde_std(method, levels, monkeypatch):
    """The exact standard deviation of a linear stochastic method, without sampling.

    The result is a·x₀ + Σ bᵢξᵢ. Column i of the field below gets ξᵢ = 1 and no other noise, and so ends as bᵢ.
    """
    start = float(levels[0]) * ode_gain(method, levels, monkeypatch)
    n = levels.shape[0] - 1
    step_keys = jr.key_data(jr.split(jr.key(0), n))
    monkeypatch.setattr(jr, "normal", lambda key, shape, dtype: 1.0 * (step_keys == jr.key_data(key)).all(-1))
    impulses = sample(unit_gaussian, jnp.zeros(n), levels, method=method, key=jr.key(0))
    monkeypatch.undo()
    return float(np.hypot(start, np.linalg.norm(impulses)))


def ode_gain(method, levels, monkeypatch):
    monkeypatch.setattr(jr, "normal", lambda key, shape, dtype: jnp.zeros(shape, dtype))
    gain = float(sample(unit_gaussian, jnp.ones(1), levels, method=method, key=jr.key(0))[0])
    monkeypatch.undo()
    return gain


# Closed-form checks of the specification ----------------------------------------------------------------------------


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("method", [Heun(), ExponentialMultistep()], **by_name)
def test_unit_gaussian_from_the_flow_at_256_levels(method, grid):
    assert ode_std(method, GRIDS[grid](256)) == pytest.approx(1.0, rel=0.01)  # the specification's 1 %


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("method", [EulerMaruyama(), AncestralMultistep()], **by_name)
def test_unit_gaussian_from_the_diffusion_at_256_levels(method, grid, monkeypatch):
    assert sde_std(method, GRIDS[grid](256), monkeypatch) == pytest.approx(1.0, rel=0.01)  # the specification's 1 %


def test_sampled_standard_deviation_is_the_propagated_one(monkeypatch):
    levels = karras_grid(64)
    start = initial_noise((100_000,), levels[0], key=jr.key(1))
    sampled = sample(unit_gaussian, start, levels, method=AncestralMultistep(), key=jr.key(2)).std()
    # Relative standard error of a standard deviation of 10⁵ values: 1/√(2·10⁵) = .0022; four of them.
    assert sampled == pytest.approx(sde_std(AncestralMultistep(), levels, monkeypatch), rel=0.009)


def test_default_ode_sampler_at_32_evaluations():
    assert ode_std(ExponentialMultistep(), exponential_grid(32)) == pytest.approx(1.0, rel=0.01)


def test_default_ode_sampler_beats_heun_on_exponential_steps_at_32_evaluations():
    heun = ode_std(Heun(), exponential_grid(17))  # 2 evaluations a step and the last denoising: 33 in all
    assert abs(ode_std(ExponentialMultistep(), exponential_grid(32)) - 1) < abs(heun - 1)


# Orders -------------------------------------------------------------------------------------------------------------


def exact_flow_std(levels):
    """x(σ) ∝ √(1 + σ²) along the flow of a unit Gaussian; the last denoising divides by 1 + σ²."""
    first, last = float(levels[0]), float(levels[-1])
    return first / np.sqrt((1 + first**2) * (1 + last**2))


@pytest.mark.parametrize("grid", ["VE Karras", "VE exponential"])
@pytest.mark.parametrize("method", [Heun(), ExponentialMultistep()], **by_name)
def test_second_order_flows(method, grid):
    errors = [abs(ode_std(method, GRIDS[grid](n)) - exact_flow_std(GRIDS[grid](n))) for n in (41, 81, 161)]
    # Halving the step of a second-order method divides its error by 4; the next order still shows at these steps.
    for coarse, fine in pairwise(errors):
        assert 3.2 < coarse / fine < 5.2


@pytest.mark.parametrize(("method", "order"), [(Ancestral(), 1), (AncestralMultistep(), 2)], **by_name)
def test_order_in_distribution(method, order, monkeypatch):
    errors = [abs(sde_std(method, exponential_grid(n), monkeypatch) - 1) for n in (81, 161, 321)]
    for coarse, fine in pairwise(errors):
        assert 2 ** (order - 0.35) < coarse / fine < 2 ** (order + 0.35)


def test_flow_moves_a_point_as_the_exact_flow_does():
    # Not only in distribution: for N(μ, s²) the flow maps x to μ + (x − μ)·√(s² + σ²)/√(s² + σ₀²).
    mean, std, x = 1.5, 0.6, jnp.asarray([-3.0, 0.2, 7.0])
    levels = exponential_grid(200, sigma_max=5.0, sigma_min=0.01)
    denoiser = lambda x, sigma: mean + std**2 / (std**2 + sigma**2) * (x - mean)  # noqa: E731
    exact = mean + (x - mean) * std / np.sqrt(std**2 + 25.0)
    for method in (Heun(), ExponentialMultistep()):
        got = sample(denoiser, x, levels, method=method, key=jr.key(0))
        np.testing.assert_allclose(got, exact, atol=3e-3)  # second order: (ln 500/199)² ≈ 1e-3, times |x − μ| ≈ 5/2


# Fields -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def correlated():
    points = np.arange(8)
    distance = np.minimum(abs(points[:, None] - points), 8 - abs(points[:, None] - points))
    return 0.7, np.exp(-0.5 * (distance / 1.5) ** 2) + 0.1 * np.eye(8)


@pytest.mark.parametrize("shape", [(1, 8), (2, 2, 2)])
@pytest.mark.parametrize("method", ALL_METHODS, **by_name)
def test_every_method_samples_a_correlated_field(method, shape, correlated):
    mean, covariance = correlated
    denoiser = gaussian_denoiser(jnp.full(8, mean), jnp.asarray(covariance, jnp.float32))
    levels, n = karras_grid(96), 4000

    @jax.vmap
    def draw(key):
        start_key, key = jr.split(key)
        return sample(denoiser, initial_noise(shape, levels[0], key=start_key), levels, method=method, key=key)

    draws = np.float64(jax.jit(draw)(jr.split(jr.key(3), n))).reshape(n, -1)
    # Standard errors: √(tr Σ/n) of the mean's norm, √(((tr Σ)² + ‖Σ‖²)/n) of the covariance's Frobenius norm; three of
    # them, and 6 % for the steps (first-order methods lose 2-3 % of the standard deviation on this grid).
    trace, frobenius = np.trace(covariance), np.linalg.norm(covariance)
    first_order = 0.16 if isinstance(method, Ancestral) else 0.06
    assert np.linalg.norm(draws.mean(0) - mean) < 3 * np.sqrt(trace / n) + 0.01
    error = np.linalg.norm(np.cov(draws.T) - covariance)
    assert error < 3 * np.sqrt((trace**2 + frobenius**2) / n) + first_order * frobenius


def test_corrections_improve_a_crude_predictor():
    levels = karras_grid(32)
    start = initial_noise((100_000,), levels[0], key=jr.key(1))
    run = partial(sample, unit_gaussian, start, levels, key=jr.key(2))
    plain = abs(run(method=Ancestral()).std() - 1)
    once = abs(run(method=Corrected(Ancestral())).std() - 1)
    often = abs(run(method=Corrected(Ancestral(), n_corrections=5)).std() - 1)
    # Standard error .0022; the gaps are ten times that.
    assert often + 0.01 < once < plain - 0.01


def test_resampled_inpainting_approaches_the_exact_conditional(correlated):
    mean, covariance = correlated
    known = np.arange(8) % 4 == 0
    values = jnp.where(jnp.asarray(known), jnp.asarray([2.0, 0, 0, 0, -0.5, 0, 0, 0]), 0.0)
    gain = covariance[~known][:, known] @ np.linalg.inv(covariance[known][:, known])
    exact_mean = mean + gain @ (np.asarray(values)[known] - mean)
    exact_covariance = covariance[~known][:, ~known] - gain @ covariance[known][:, ~known]
    denoiser = inpainting(
        gaussian_denoiser(jnp.full(8, mean), jnp.asarray(covariance, jnp.float32)), jnp.asarray(known), values
    )
    levels, n = karras_grid(192), 2000
    errors = {}
    for n_resamples in (1, 10):
        method = Resampled(Ancestral(), n_resamples=n_resamples)
        run = jax.jit(jax.vmap(lambda x, k, method=method: sample(denoiser, x, levels, method=method, key=k)))
        draws = np.float64(run(80 * jr.normal(jr.key(0), (n, 8)), jr.split(jr.key(1), n)))
        assert (draws[:, known] == np.asarray(values)[known]).all()
        error = np.linalg.norm(draws[:, ~known].mean(0) - exact_mean) / np.linalg.norm(exact_mean)
        spread = np.linalg.norm(np.cov(draws[:, ~known].T) - exact_covariance) / np.linalg.norm(exact_covariance)
        errors[n_resamples] = (error, spread)
    # Without resampling the free part hardly hears of the given part; with it the mean is right to a few standard
    # errors (√(tr/n)/‖mean‖ ≈ .01). The covariance is known to three standard errors, √(((tr P)² + ‖P‖²)/n), and to the
    # first-order step: 3 % of the standard deviation of a unit Gaussian on this grid, 6 % of a variance.
    trace, frobenius = np.trace(exact_covariance), np.linalg.norm(exact_covariance)
    assert errors[10][0] < 0.05
    assert errors[10][0] < errors[1][0] / 2
    assert errors[10][1] < 3 * np.sqrt((trace**2 / frobenius**2 + 1) / n) + 0.06


# Behaviour ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [Heun(), ExponentialMultistep()], **by_name)
def test_flows_ignore_the_key(method):
    levels, x = karras_grid(8), jnp.arange(4.0)
    first, second = (sample(unit_gaussian, x, levels, method=method, key=jr.key(k)) for k in (0, 1))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("method", [EulerMaruyama(), Ancestral(), AncestralMultistep()], **by_name)
def test_diffusions_use_the_key_and_repeat_with_it(method):
    levels, x = karras_grid(8), jnp.arange(4.0)
    first, again, other = (sample(unit_gaussian, x, levels, method=method, key=jr.key(k)) for k in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).all()


def test_traces_once_whatever_the_number_of_steps():
    calls = []

    def counting(x, sigma):
        calls.append(1)
        return unit_gaussian(x, sigma)

    run = jax.jit(lambda x, levels: sample(counting, x, levels, method=ExponentialMultistep(), key=jr.key(0)))
    run(jnp.ones(3), karras_grid(64))
    once = len(calls)
    run(jnp.zeros(3), exponential_grid(64))
    assert len(calls) == once <= 3  # the body of the scan (which JAX may trace twice) and the last denoising


def test_gradient_with_respect_to_the_denoiser():
    # Samples of N(0, s²) are s times samples of N(0, 1), so d(std)/ds = 1.
    def std_of(s):
        denoiser = lambda x, sigma: s**2 / (s**2 + sigma**2) * x  # noqa: E731
        levels = exponential_grid(128)
        return sample(denoiser, levels[:1], levels, method=ExponentialMultistep(), key=jr.key(0))[0]

    assert jax.grad(std_of)(1.0) == pytest.approx(1.0, abs=0.01)  # the step's error in the standard deviation is 4e-4


def test_initial_noise_has_the_first_level():
    noise = initial_noise((100_000,), jnp.asarray(80.0), key=jr.key(0))
    assert noise.std() == pytest.approx(80.0, rel=0.009)  # four standard errors
