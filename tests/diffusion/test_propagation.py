"""Propagated moments against recursions by hand and against draws; and what every method costs on whole fields."""

from itertools import pairwise

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from subgrid.diffusion.denoiser import gaussian_denoiser
from subgrid.diffusion.driver import draw
from subgrid.diffusion.gaussian_steps import IsotropicGaussian
from subgrid.diffusion.noise_levels import exponential_grid
from subgrid.diffusion.propagation import moments_by_steps, sampled_moments
from subgrid.diffusion.resampling import Resampled
from subgrid.diffusion.samplers import (
    Ancestral,
    AncestralMultistep,
    Corrected,
    EulerMaruyama,
    ExponentialMultistep,
)
from subgrid.downscaling.upsampling.choices import METHODS
from subgrid.experiments.sampler_errors.errors import n_levels
from subgrid.numerics.operators import BlockMean

from .gaussian_fields import as_prior, matrix_of, posterior, ring, torus


def by_recursion(levels, mean, variance, gain_and_noise):
    """Mean and variance of a one-step method on N(mean, variance): x ↦ g x + (1 − g) mean + √v ξ, step by step."""
    m, v = 0.0, levels[0] ** 2
    for sigma, following in pairwise(levels):
        g, added = gain_and_noise(sigma, following, variance / (variance + sigma**2))
        m, v = g * m + (1 - g) * mean, g**2 * v + added
    shrink = variance / (variance + levels[-1] ** 2)  # the last denoising
    return shrink * m + (1 - shrink) * mean, shrink**2 * v


RULES = {
    Ancestral(): lambda s, t, k: ((t / s) ** 2 + (1 - (t / s) ** 2) * k, t**2 * (1 - (t / s) ** 2)),
    EulerMaruyama(): lambda s, t, k: (1 + 2 * (t - s) * (1 - k) / s, s**2 - t**2),
}


@pytest.mark.parametrize("method", RULES, ids=lambda method: type(method).__name__)
def test_moments_of_one_step_methods_by_hand(method):
    levels, mean, variance = exponential_grid(12, sigma_max=20.0, sigma_min=0.05), 1.3, 0.49
    denoiser = gaussian_denoiser(jnp.full(1, mean), jnp.full((1, 1), variance))
    got = sampled_moments(denoiser, (1,), levels, method=method)
    expected = by_recursion(np.float64(levels), mean, variance, RULES[method])
    np.testing.assert_allclose([got[0][0], got[1][0, 0]], expected, rtol=1e-4)  # float32


@pytest.mark.parametrize("method", [AncestralMultistep(), Corrected(Ancestral()), ExponentialMultistep()])
def test_moments_are_those_of_draws(method):
    covariance, n = ring(12), 20_000
    mean, levels = np.linspace(0, 2, 12), exponential_grid(4)  # few levels: wrong moments, and these must be found too
    denoiser = gaussian_denoiser(*(jnp.asarray(part, jnp.float32) for part in (mean, covariance)))
    run = jax.jit(jax.vmap(lambda key: draw(denoiser, (1, 12), levels, method=method, key=key)))
    draws = np.float64(run(jr.split(jr.key(0), n))).reshape(n, 12)
    expected = [np.float64(part) for part in sampled_moments(denoiser, (1, 12), levels, method=method)]
    trace, frobenius = np.trace(expected[1]), np.linalg.norm(expected[1])
    # Three standard errors: √(tr/n) of the mean's norm, √((tr² + ‖·‖²)/n) of the covariance's.
    assert np.linalg.norm(draws.mean(0) - expected[0]) < 3 * np.sqrt(trace / n)
    assert np.linalg.norm(np.cov(draws.T) - expected[1]) < 3 * np.sqrt((trace**2 + frobenius**2) / n)
    assert np.linalg.norm(expected[1] - covariance) > 6 * np.sqrt((trace**2 + frobenius**2) / n)


NAMED = [make(as_prior(np.full(12, 0.5), ring(12), (1, 12))) for make in METHODS.values()]
ALL_METHODS = [*NAMED, Corrected(AncestralMultistep()), Resampled(Ancestral(), n_resamples=2)]


@pytest.mark.slow
@pytest.mark.parametrize("method", ALL_METHODS, ids=lambda method: type(method).__name__)
def test_step_by_step_gives_the_same(method):
    # Two ways to the same numbers: pulled back through the whole sampler, and carried forward step by step, along the
    # first six of nine levels. The Gaussians of the methods are not those of the denoiser, so their memory counts.
    covariance, levels = 2 * ring(12), exponential_grid(6)
    denoiser = gaussian_denoiser(*(jnp.asarray(part, jnp.float32) for part in (np.linspace(0, 2, 12), covariance)))
    expected = sampled_moments(denoiser, (1, 12), levels, method=method)
    longer = jnp.concatenate([levels, jnp.asarray([1e-3, 5e-4, 2e-4])])
    run = jax.jit(lambda n: moments_by_steps(denoiser, (1, 12), longer, n, method=method))
    for got, wanted in zip(run(6), expected, strict=True):
        np.testing.assert_allclose(got, wanted, atol=1e-4 * float(jnp.abs(wanted).max()))  # float32


# Every method on fields, unconditional and conditional, at no more than 32 evaluations on `exponential_grid`: largest
# error of a point's standard deviation, in standard deviations of the prior's points, found once and rounded up.
# ring: 36 points of a circle; torus: 12 × 12; "given" six block means, or 4 × 4.
AT_32 = {
    "gaussian-sde": (1e-8, 1e-8, 1e-8, 1e-8),
    "gaussian-ode": (1e-8, 1e-8, 1e-8, 1e-8),
    "ode-multistep": (0.0070, 0.0040, 0.0070, 0.0050),
    "sde-multistep": (0.0180, 0.0100, 0.0180, 0.0120),
    "euler-maruyama": (0.0110, 0.0060, 0.0110, 0.0070),
    "heun": (0.0750, 0.0420, 0.0750, 0.0500),
    "ancestral": (0.1490, 0.0820, 0.1490, 0.0990),
    "predictor-corrector": (0.2430, 0.1330, 0.2430, 0.1610),
}
FIELDS = {"ring": (ring(), (1, 36), BlockMean((36,), 6)), "torus": (torus(), (1, 12, 12), BlockMean((12, 12), 3))}


@eqx.filter_jit
def propagated(mean, covariance, reference, method, levels):
    return sampled_moments(gaussian_denoiser(mean, covariance), reference.mean.shape, levels, method=method(reference))


@pytest.mark.slow
@pytest.mark.parametrize("case", ["ring", "ring, given", "torus", "torus, given"])
def test_every_method_on_fields_at_32_evaluations(case):
    covariance, shape, operator = FIELDS[case.split(",")[0]]
    mean, scale = np.zeros(len(covariance)), np.sqrt(covariance[0, 0])
    if "given" in case:
        y = np.random.default_rng(0).normal(size=(1, *operator.coarse_shape))
        mean, covariance = posterior(mean, covariance, matrix_of(operator, shape), y, 0.05)
    exact = np.sqrt(np.diag(covariance))
    column = ["ring", "ring, given", "torus", "torus, given"].index(case)
    found = {}
    with jax.enable_x64(True):
        reference = as_prior(mean, covariance, shape)
        single = IsotropicGaussian(jnp.zeros(1), jnp.ones(()))
        for name, method in METHODS.items():
            levels = exponential_grid(n_levels(method(single), 32))
            moments = propagated(jnp.asarray(mean), jnp.asarray(covariance), reference, method, levels)
            found[name] = np.abs(np.sqrt(np.diag(moments[1])) - exact).max() / scale
    for name, error in found.items():
        assert name in AT_32, f"AT_32 lacks {name!r}, whose error {case} is {error:.4f}"
        assert error < AT_32[name][column], f"{name}: {error:.4f}"
