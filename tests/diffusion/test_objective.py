"""The denoising loss of denoisers whose error is known, and the distributions of the noise levels."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from scipy.stats import kstest, lognorm, loguniform

from subgrid.diffusion.denoiser import Preconditioned
from subgrid.diffusion.objective import (
    denoising_error,
    denoising_loss,
    karras_weight,
    log_normal_levels,
    log_uniform_levels,
    noise_weight,
    stratified_uniforms,
    time_uniform_levels,
    uniform_weight,
)
from subgrid.diffusion.process import VarianceExploding, VariancePreserving
from subgrid.numerics.from_numpy import from_numpy

N, D = 2000, 16
BATCH = from_numpy(np.random.default_rng(0).normal(size=(N, D)))
RANGE = np.log(80 / 2e-3)


def exact(x, sigma):
    return x / (1 + sigma**2)


class Silent(eqx.Module):
    def __call__(self, x, noise):
        return jnp.zeros_like(x)


# The exact denoiser of unit data errs by σ²/(1 + σ²), so the weighted means over ln σ are elementary integrals.
LOW, HIGH = np.log(2e-3), np.log(80)
HALF_LOG = (np.log1p(80.0**2) - np.log1p(2e-3**2)) / 2
EXPECTED = {
    "karras": (karras_weight(), 1.0),
    "noise": (noise_weight(), (RANGE - HALF_LOG) / RANGE),
    "uniform": (uniform_weight(), HALF_LOG / RANGE),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_loss_of_the_exact_denoiser(name):
    weight, expected = EXPECTED[name]
    got = denoising_loss(exact, BATCH, noise_levels=log_uniform_levels(), weight=weight, key=jr.key(1))
    # Each of N·D squared errors is its mean times χ²₁, variance 2; weighted means are ≤ 1. Four standard errors.
    assert got == pytest.approx(expected, abs=4 * np.sqrt(2 / (N * D)) + 1 / N)


def test_untrained_preconditioned_network_starts_near_one():
    for sigma_data in (1.0, 0.5):
        got = denoising_loss(
            Preconditioned(Silent(), sigma_data), sigma_data * BATCH,
            noise_levels=log_normal_levels(), weight=karras_weight(sigma_data), key=jr.key(1),
        )  # fmt: skip
        assert got == pytest.approx(1.0, abs=4 * np.sqrt(2 / (N * D)))


def test_no_denoiser_beats_the_exact_one():
    loss = lambda slope: denoising_loss(  # noqa: E731
        lambda x, s: (1 + slope) * exact(x, s), BATCH, noise_levels=log_uniform_levels(0.1, 10.0),
        weight=uniform_weight(), key=jr.key(2),
    )  # fmt: skip
    assert loss(0.0) < min(loss(-0.1), loss(0.1))


def test_error_of_the_identity_is_the_noise():
    got = denoising_error(lambda x, s: x, jnp.zeros(100_000), jnp.asarray(3.0), key=jr.key(0))
    assert got == pytest.approx(9.0, rel=4 * np.sqrt(2e-5))  # four standard errors


@pytest.mark.parametrize(
    ("quantile", "distribution"),
    [
        (log_uniform_levels(0.01, 50.0), loguniform(0.01, 50.0)),
        (log_normal_levels(-1.2, 1.2), lognorm(1.2, scale=np.exp(-1.2))),
        (time_uniform_levels(VarianceExploding(0.01, 50.0)), loguniform(0.01, 50.0)),
    ],
    ids=["log-uniform", "log-normal", "VE time"],
)
def test_distributions_of_the_levels(quantile, distribution):
    sigma = np.float64(quantile(stratified_uniforms(1000, key=jr.key(0))))
    # Stratified: the empirical distribution is within 1/n of the distribution (float32 adds a little at the tails).
    assert kstest(sigma, distribution.cdf).statistic < 2e-3


def test_time_uniform_levels_of_variance_preserving():
    process = VariancePreserving()
    sigma = np.float64(time_uniform_levels(process)(jnp.asarray([0.0, 0.5, 1.0])))
    times = (-0.1 + np.sqrt(0.01 + 2 * 19.9 * np.log1p(sigma**2))) / 19.9  # ln(1 + σ²) = .1t + 9.95t²
    assert sigma[0] == pytest.approx(2e-3, rel=1e-3)
    assert times[1] == pytest.approx((times[0] + 1) / 2, rel=1e-4)
    assert times[2] == pytest.approx(1.0, rel=1e-5)


def test_stratified_uniforms_take_one_value_a_cell():
    u = np.asarray(jax.vmap(lambda k: stratified_uniforms(8, key=k))(jr.split(jr.key(0), 200)))
    np.testing.assert_array_equal(np.floor(u * 8), np.tile(np.arange(8), (200, 1)))
    assert (u * 8 % 1).mean() == pytest.approx(0.5, abs=4 / np.sqrt(12 * 200))


def test_gradient_is_finite_over_the_whole_range():
    def loss(a):
        levels = log_uniform_levels(2e-3, 152.0)
        return denoising_loss(
            lambda x, s: a * exact(x, s), BATCH[:64], noise_levels=levels, weight=karras_weight(), key=jr.key(0)
        )

    assert np.isfinite(jax.grad(loss)(0.9))
