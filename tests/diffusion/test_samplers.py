"""Samplers against Gaussians, for which the exact denoiser, and so the exact answer, are known."""

import re
from itertools import pairwise
from typing import get_args

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from subgrid.diffusion.denoiser import gaussian_denoiser
from subgrid.diffusion.driver import draw, sample, sample_with
from subgrid.diffusion.gaussian_steps import IsotropicGaussian
from subgrid.diffusion.guidance.known_values import inpainting
from subgrid.diffusion.noise_levels import exponential_grid, karras_grid, time_grid
from subgrid.diffusion.process import CosineVariancePreserving, VariancePreserving
from subgrid.diffusion.propagation import sampled_moments
from subgrid.diffusion.resampling import Resampled
from subgrid.diffusion.samplers import (
    Ancestral,
    AncestralMultistep,
    Corrected,
    ExponentialMultistep,
    Heun,
)
from subgrid.downscaling.model.draws import SamplingSettings
from subgrid.downscaling.upsampling.choices import METHODS
from subgrid.experiments.downscale import EXPERIMENT
from subgrid.experiments.downscale.build import grid_of, method_of
from subgrid.experiments.downscale.config import DownscaleConfig, PriorTable
from subgrid.experiments.sampler_errors.errors import n_levels
from subgrid.runs.experiment import load_config

GRIDS = {
    "VE Karras": karras_grid,
    "VE exponential": exponential_grid,
    "VP": lambda n: time_grid(VariancePreserving(), n),
    "VP cosine": lambda n: time_grid(CosineVariancePreserving(), n),
}
UNIT = IsotropicGaussian(*jax.device_put((np.zeros(1, np.float32), np.float32(1.0))))
NAMED = {name: make(UNIT) for name, make in METHODS.items()}
"""Every method that users can name."""
PLAIN = [method for method in NAMED.values() if not hasattr(method, "reference")]
"""Those that know no Gaussian part, and begin with white noise."""
ALL_METHODS = [*PLAIN, Corrected(AncestralMultistep()), Resampled(ExponentialMultistep(), n_resamples=2)]
SECOND_ORDER_FLOWS = [Heun(), ExponentialMultistep()]
CRUDE = ("ancestral", "predictor-corrector")
"""Of first order, and one that keeps its step: they miss a percent even at 256 levels."""
by_name = {"ids": lambda method: type(method).__name__}


def unit_gaussian(x, sigma):
    return x / (1 + sigma**2)


sample_at_once = eqx.filter_jit(lambda *given, **options: sample(*given, **options))


@eqx.filter_jit
def propagated_variance(method, levels):
    return sampled_moments(unit_gaussian, (1,), levels, method=method)[1][0, 0]


def std_of(method, levels):
    """The exact standard deviation of a method on a unit Gaussian, without sampling (see test_propagation.py)."""
    return float(jnp.sqrt(propagated_variance(method, levels)))


# Closed-form checks of the specification ----------------------------------------------------------------------------


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("name", [name for name in NAMED if name not in CRUDE])
def test_unit_gaussian_at_256_levels(name, grid):
    assert std_of(NAMED[name], GRIDS[grid](256)) == pytest.approx(1.0, rel=0.01)  # the specification's 1 %


# Standard deviation of a unit Gaussian at no more than 32 evaluations, by grid in the order of GRIDS (found once by
# propagation in float64; 3 digits).
AT_32 = {
    "gaussian-sde": (1.0, 1.0, 1.0, 1.0),
    "gaussian-ode": (1.0, 1.0, 1.0, 1.0),
    "ode-multistep": (1.014, 1.007, 1.076, 1.015),
    "sde-multistep": (1.036, 1.018, 1.252, 1.068),
    "heun": (1.058, 1.075, 1.020, 1.058),
    "euler-maruyama": (0.998, 1.010, 0.974, 1.001),
    "ancestral": (0.848, 0.851, 0.889, 0.933),
    "predictor-corrector": (0.754, 0.757, 0.827, 0.898),
    "resampled": (0.648, 0.642, 0.653, 0.725),
}
MEASURED = NAMED | {"resampled": Resampled(Ancestral())}


@pytest.mark.parametrize("name", MEASURED)
def test_unit_gaussian_at_32_evaluations(name):
    method = MEASURED[name]
    got = tuple(round(std_of(method, grid(n_levels(method, 32))), 3) for grid in GRIDS.values())
    known = AT_32.get(name)
    assert known is not None, f"AT_32 lacks {name!r}, which gives {got}"
    np.testing.assert_allclose(got, known, atol=1.1e-3)  # the third digit


STATED = re.compile(r"([01]?\.\d{3})\s+on\s+`exponential_grid`,\s+([01]?\.\d{3})\s+on\s+`karras_grid`")


@pytest.mark.parametrize("name", MEASURED)
def test_what_misses_a_tenth_of_a_percent_says_so(name):
    """What a docstring says is what propagation gives; and nothing that is silent is wrong by .1 %."""
    assert name in AT_32, f"AT_32 lacks {name!r}; the test before gives its numbers"
    kind, (karras, exponential, *others) = type(MEASURED[name]), AT_32[name]
    stated = STATED.search(kind.__doc__)
    exact = stated is None and max(abs(std - 1) for std in (karras, exponential, *others)) < 1e-3
    assert exact or (stated and (float(stated[1]), float(stated[2])) == (exponential, karras)), (
        f"the docstring of {kind.__name__} must say what a unit Gaussian has at 32 evaluations, in three decimals: "
        f'"{exponential:.3f} on `exponential_grid`, {karras:.3f} on `karras_grid`"'
    )


def test_the_defaults_are_within_one_percent():
    gaussian = UNIT  # of `downscale`, of the configuration, and of `diffusion_bridge.decode` with and without noise
    method = SamplingSettings().stepping(gaussian)
    assert method_of(DownscaleConfig())(gaussian) == method
    assert std_of(method, grid_of(DownscaleConfig(), (2e-3, 80.0))) == pytest.approx(1.0, rel=0.01)
    for process in get_args(PriorTable.model_fields["process"].annotation):  # variance exploding, preserving, cosine
        chosen = load_config(EXPERIMENT, None, [f"prior.process={process}", "sampling.grid=process-time"])
        assert std_of(method, grid_of(chosen, (2e-3, 80.0))) == pytest.approx(1.0, rel=0.01)


def test_sampled_standard_deviation_is_the_propagated_one():
    levels = karras_grid(64)
    run = jax.jit(lambda key: draw(unit_gaussian, (100_000,), levels, method=AncestralMultistep(), key=key))
    sampled = np.std(run(jr.key(2)))
    # Relative standard error of a standard deviation of 10⁵ values: 1/√(2·10⁵) = .0022; four of them.
    assert sampled == pytest.approx(std_of(AncestralMultistep(), levels), rel=0.009)


# Orders -------------------------------------------------------------------------------------------------------------


def exact_flow_std(levels):
    """x(σ) ∝ √(1 + σ²) along the flow of a unit Gaussian; the last denoising divides by 1 + σ²."""
    first, last = float(levels[0]), float(levels[-1])
    return first / np.sqrt((1 + first**2) * (1 + last**2))


@pytest.mark.parametrize("grid", ["VE Karras", "VE exponential"])
@pytest.mark.parametrize("method", SECOND_ORDER_FLOWS, **by_name)
def test_second_order_flows(method, grid):
    errors = [abs(std_of(method, GRIDS[grid](n)) - exact_flow_std(GRIDS[grid](n))) for n in (41, 81, 161)]
    # Halving the step of a second-order method divides its error by 4; the next order still shows at these steps.
    for coarse, fine in pairwise(errors):
        assert 3.2 < coarse / fine < 5.2


@pytest.mark.parametrize(("method", "order"), [(Ancestral(), 1), (AncestralMultistep(), 2)], **by_name)
def test_order_in_distribution(method, order):
    errors = [abs(std_of(method, exponential_grid(n)) - 1) for n in (81, 161, 321)]
    for coarse, fine in pairwise(errors):
        assert 2 ** (order - 0.35) < coarse / fine < 2 ** (order + 0.35)


def test_flow_moves_a_point_as_the_exact_flow_does():
    # Not only in distribution: for N(μ, s²) the flow maps x to μ + (x − μ)·√(s² + σ²)/√(s² + σ₀²).
    mean, std, x = 1.5, 0.6, jnp.asarray([-3.0, 0.2, 7.0])
    levels = exponential_grid(200, sigma_max=5.0, sigma_min=0.01)
    denoiser = lambda x, sigma: mean + std**2 / (std**2 + sigma**2) * (x - mean)  # noqa: E731
    exact = mean + (x - mean) * std / np.sqrt(std**2 + 25.0)
    for method in SECOND_ORDER_FLOWS:
        got = sample_at_once(denoiser, x, levels, method=method, key=jr.key(0))
        np.testing.assert_allclose(got, exact, atol=3e-3)  # second order: (ln 500/199)² ≈ 1e-3, times |x − μ| ≈ 5/2


# Fields -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def correlated():
    points = np.arange(8)
    distance = np.minimum(abs(points[:, None] - points), 8 - abs(points[:, None] - points))
    return 0.7, np.exp(-0.5 * (distance / 1.5) ** 2) + 0.1 * np.eye(8)


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(1, 8), (2, 2, 2)])
@pytest.mark.parametrize("method", ALL_METHODS, **by_name)
def test_every_method_samples_a_correlated_field(method, shape, correlated):
    mean, covariance = correlated
    denoiser = gaussian_denoiser(jnp.full(8, mean), jnp.asarray(covariance, jnp.float32))
    levels, n = karras_grid(96), 4000

    run = jax.jit(jax.vmap(lambda key: draw(denoiser, shape, levels, method=method, key=key)))
    draws = np.float64(run(jr.split(jr.key(3), n))).reshape(n, -1)
    # Standard errors: √(tr Σ/n) of the mean's norm, √(((tr Σ)² + ‖Σ‖²)/n) of the covariance's Frobenius norm; three of
    # them, and 6 % for the steps (first-order methods lose 2-3 % of the standard deviation on this grid).
    trace, frobenius = np.trace(covariance), np.linalg.norm(covariance)
    first_order = 0.16 if method in (Ancestral(), Corrected(Ancestral())) else 0.06
    assert np.linalg.norm(draws.mean(0) - mean) < 3 * np.sqrt(trace / n) + 0.01
    error = np.linalg.norm(np.cov(draws.T) - covariance)
    assert error < 3 * np.sqrt((trace**2 + frobenius**2) / n) + first_order * frobenius


def test_corrections_improve_a_crude_predictor():
    levels = karras_grid(32)
    plain = abs(std_of(Ancestral(), levels) - 1)
    once = abs(std_of(Corrected(Ancestral()), levels) - 1)
    often = abs(std_of(Corrected(Ancestral(), n_corrections=5), levels) - 1)
    assert often + 0.01 < once < plain - 0.01


@pytest.mark.slow
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


@pytest.mark.parametrize("method", [method for method in PLAIN if not method.n_noises], **by_name)
def test_flows_ignore_the_key(method):
    levels, x = karras_grid(8), jnp.arange(4.0)
    first, second = (sample_at_once(unit_gaussian, x, levels, method=method, key=jr.key(k)) for k in (0, 1))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("method", [method for method in PLAIN if method.n_noises], **by_name)
def test_diffusions_use_the_key_and_repeat_with_it(method):
    levels, x = karras_grid(8), jnp.arange(4.0)
    first, again, other = (
        np.asarray(sample_at_once(unit_gaussian, x, levels, method=method, key=jr.key(k))) for k in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).all()


def test_gradient_with_respect_to_the_denoiser():
    # Samples of N(0, s²) are s times samples of N(0, 1), so d(std)/ds = 1.
    def std_of(s):
        denoiser = lambda x, sigma: s**2 / (s**2 + sigma**2) * x  # noqa: E731
        levels = exponential_grid(128)
        return sample(denoiser, levels[:1], levels, method=ExponentialMultistep(), key=jr.key(0))[0]

    assert jax.jit(jax.grad(std_of))(1.0) == pytest.approx(
        1.0, abs=0.01
    )  # the step's error in the standard deviation is 4e-4


@pytest.mark.parametrize("method", ALL_METHODS, **by_name)
def test_the_start_has_the_first_level(method):
    np.testing.assert_array_equal(method.start(jnp.asarray([1.0, -0.5]), jnp.asarray(80.0)), [80.0, -40.0])


@pytest.mark.parametrize("method", ALL_METHODS, **by_name)
def test_given_noise_is_all_that_enters(method):
    # The numbers that `sample` draws itself, handed in, give the same; and every one of them counts.
    levels, x, key = karras_grid(8), jnp.arange(4.0), jr.key(5)

    @jax.jit
    def both(x, key):
        noises = jax.vmap(lambda k: jr.normal(k, (method.n_noises, 4)))(jr.split(key, 8))
        total = lambda n: (jnp.sum(s := sample_with(unit_gaussian, x, levels, n, method=method)), s)  # noqa: E731
        felt, given = jax.grad(total, has_aux=True)(noises)
        return felt, given, sample(unit_gaussian, x, levels, method=method, key=key)

    felt, given, drawn = both(x, key)
    np.testing.assert_allclose(given, drawn, rtol=1e-5, atol=1e-6)
    if method.n_noises:
        assert (felt[:-1] != 0).all()  # these methods end with the denoised field, which takes no noise
