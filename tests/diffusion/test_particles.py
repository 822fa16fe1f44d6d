"""Particles against posteriors in closed form: a mixture, where guidance alone is wrong, and Gaussians.

The mixture is .3 N(−2·1, I) + .7 N(2·1, I) in four dimensions, and the mean of the four values is observed: the
posterior has the same two modes with other weights, and the evidence is a sum of two normal densities.
"""

import re
from functools import cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm

from subgrid.diffusion.driver import draw
from subgrid.diffusion.gaussian_conditional import condition
from subgrid.diffusion.gaussian_prior import GaussianPrior
from subgrid.diffusion.gaussian_steps import GaussianSDE
from subgrid.diffusion.guidance.gaussian import gaussian_gain
from subgrid.diffusion.guidance.moments import moment_matching
from subgrid.diffusion.guidance.projected import projection
from subgrid.diffusion.noise_levels import exponential_grid
from subgrid.diffusion.particles import (
    ParticleDiagnostics,
    effective_fraction,
    effective_size,
    sample_particles,
    systematic_resampling,
)
from subgrid.numerics.from_numpy import from_numpy
from subgrid.numerics.operators import BlockMean, Subsample

from ..cases import few

WEIGHTS, MODES, OBSERVED = np.array([0.3, 0.7]), np.array([-2.0, 2.0]), 0.5
OF_MIXTURE = GaussianPrior(
    *map(from_numpy, (np.full(4, 0.8), np.full((1, 4), 0.5), np.array([1 + 4 * 4 * 0.84]), np.array(1.0), np.ones(4)))
)
"""N of the mixture's mean and covariance I + 4·(1 − .4²)·11ᵀ."""
GUIDES = {"moment matching": moment_matching, "Gaussian gain": gaussian_gain}


def denoise_mixture(x, sigma):
    """The two posterior means, weighted by the probabilities of the components."""
    centres = jnp.asarray(MODES, x.dtype)[:, None]
    off, variance = x - centres, 1 + sigma**2
    probability = jax.nn.softmax(jnp.log(jnp.asarray(WEIGHTS, x.dtype)) - jnp.sum(off**2, 1) / (2 * variance))
    return probability @ (centres + off / variance)


class Exact(NamedTuple):
    """Of the mean of the four values given its noisy observation."""

    upper: float
    """Weight of the upper mode."""
    variance: float
    mean_in_mode: float
    variance_in_mode: float
    log_evidence: float


@cache
def exact(noise: float) -> Exact:
    prior_variance, variance = 1 / 4, 1 / 4 + noise**2
    likelihoods = WEIGHTS * norm.pdf(OBSERVED, MODES, np.sqrt(variance))
    weights, means = likelihoods / likelihoods.sum(), MODES + prior_variance / variance * (OBSERVED - MODES)
    in_mode = prior_variance * noise**2 / variance
    between = weights @ means**2 - (weights @ means) ** 2
    return Exact(weights[1], in_mode + between, means[1], in_mode, np.log(likelihoods.sum()))


class Measured(NamedTuple):
    """Each an array, one number a run, but for the pooled variances."""

    upper: np.ndarray
    variance: float
    mean_in_mode: float
    variance_in_mode: float
    evidence: np.ndarray
    diagnostics: ParticleDiagnostics


@cache
def runs(guide: str, noise: float, n_particles: int, n_runs: int, n_levels: int = 32) -> Measured:
    # As for modes at ±2 of width one: the start is drawn from the Gaussian conditional, which needs no large σ.
    levels = exponential_grid(n_levels, sigma_max=10.0, sigma_min=0.01)
    operator, y = BlockMean((4,), 4), jnp.array([OBSERVED])
    conditional = condition(OF_MIXTURE, operator, (1,), noise_variance=noise**2)
    guided = GUIDES[guide](denoise_mixture, operator, y, prior=OF_MIXTURE, noise_variance=noise**2)

    @jax.jit
    @jax.vmap
    def one(key):
        return sample_particles(denoise_mixture, guided, conditional, y, levels, n_particles=n_particles, key=key)

    x, log_weights, diagnostics = jax.tree.map(np.asarray, one(jr.split(jr.key(0), n_runs)))
    means = x.mean(-1).astype(float)
    w = np.exp(log_weights.astype(float))
    evidence = w.mean(1)
    w /= w.sum(1, keepdims=True)
    mean, upper = (w * means).sum(1).mean(), w * (means > 0)
    mean_in_mode = (upper * means).sum() / upper.sum()
    return Measured(
        upper.sum(1),
        (w * (means - mean) ** 2).sum(1).mean(),
        mean_in_mode,
        (upper * (means - mean_in_mode) ** 2).sum() / upper.sum(),
        evidence,
        diagnostics,
    )


@pytest.mark.slow
def test_guidance_alone_is_wrong_within_the_bound_of_its_effective_fraction():
    alone, weighted, right = runs("moment matching", 1.0, 1, 1000), runs("moment matching", 1.0, 64, 250), exact(1.0)
    upper = alone.upper.mean()
    wrong, deviation = right.upper - upper, np.sqrt(upper * (1 - upper))
    assert wrong > 3 * deviation / np.sqrt(1000) + 0.05
    fraction = np.mean(weighted.diagnostics.effective_fraction)
    assert wrong < np.sqrt(1 / fraction - 1) * deviation
    assert np.all(alone.diagnostics.effective_sizes == 1)


@pytest.mark.slow
def test_eight_particles_have_the_weights_of_the_modes():
    measured, right = runs("moment matching", 1.0, 8, 2000), exact(1.0)
    assert right.upper == pytest.approx(0.9204, abs=1e-4) and right.variance == pytest.approx(0.951, abs=1e-3)
    # A run has a standard deviation of .09, their mean one of .002.
    assert measured.upper.mean() == pytest.approx(right.upper, abs=0.02)


def test_what_lies_in_a_mode_the_evidence_and_the_effective_size():
    measured, right = runs("moment matching", 1.0, 64, 250), exact(1.0)
    assert measured.upper.mean() == pytest.approx(right.upper, abs=0.01)  # standard deviation of a run .03, of all .002
    # 250·64 particles of effective fraction .7: 1.3 %. The chain itself has 2 % too much at 32 levels.
    assert measured.variance_in_mode == pytest.approx(right.variance_in_mode, rel=0.05)
    evidence = measured.evidence / np.exp(right.log_evidence)
    assert evidence.mean() == pytest.approx(1, abs=0.01 + 3 * evidence.std() / np.sqrt(250))
    smallest = measured.diagnostics.effective_sizes.min(-1) / 64
    assert 0.65 < smallest.mean() < 0.8


@pytest.mark.slow
def test_precise_observations_are_resampled():
    """.5 lies three standard deviations from both modes: guidance alone has an effective fraction of .4."""
    measured, right = runs("moment matching", 0.1, 64, 250), exact(0.1)
    assert measured.diagnostics.resampled.sum(-1).mean() > 1
    assert np.mean(measured.diagnostics.effective_fraction) < 0.6
    assert measured.upper.mean() == pytest.approx(right.upper, abs=0.01)
    deviation = np.sqrt(right.variance_in_mode)
    # 250·64 particles, of which a quarter counts after the resampling: .016, three times that; and .04 from the chain
    # at 32 levels.
    assert measured.mean_in_mode == pytest.approx(right.mean_in_mode, abs=0.09 * deviation)
    assert measured.variance_in_mode == pytest.approx(right.variance_in_mode, rel=0.05)
    # The unguided chain itself has a fifth too many fields there at 32 levels.
    assert np.mean(measured.evidence) / np.exp(right.log_evidence) == pytest.approx(1.2, abs=0.06)


@pytest.mark.slow  # three times the levels
def test_evidence_far_from_the_modes_converges_with_the_levels():
    measured, right = runs("moment matching", 0.1, 64, 400, n_levels=96), exact(0.1)
    # A ninth of the error at 32 levels, .02; a run has a standard deviation of .2.
    assert np.mean(measured.evidence) / np.exp(right.log_evidence) == pytest.approx(1, abs=0.05)


@pytest.mark.slow  # 200 runs of 256 particles: 20 s
@pytest.mark.parametrize("guide", GUIDES)
def test_one_run_of_256_particles_is_right(guide):
    measured, right = runs(guide, 1.0, 256, 200), exact(1.0)
    error = np.sqrt(np.mean((measured.upper - right.upper) ** 2))
    assert error < 0.02  # known to 5 % from 200 runs
    assert measured.variance == pytest.approx(right.variance, rel=0.05)
    assert measured.variance_in_mode == pytest.approx(right.variance_in_mode, rel=0.05)


N, K = 24, 4000
SHAPE = (1, N)
INSIDE = (np.arange(N) != 7).astype(float).reshape(SHAPE)


def gaussian_fields(support) -> tuple[GaussianPrior, np.ndarray]:
    """A smooth Gaussian of ten components and a remainder on the support, and its covariance."""
    inside = support.ravel() > 0
    distance = abs(np.arange(N)[:, None] - np.arange(N))
    smooth = np.exp(-0.5 * (np.minimum(distance, N - distance) / 2.5) ** 2)[inside][:, inside]
    variances, vectors = np.linalg.eigh(smooth)
    components = np.zeros((10, N))
    components[:, inside] = vectors.T[:-11:-1]
    variances = variances[:-11:-1]
    remainder = 1e-3
    covariance = (components.T * (variances - remainder)) @ components + remainder * np.diag(support.ravel())
    parts = (0.3 * support, components.reshape(10, *SHAPE), variances, remainder, support)
    return GaussianPrior(*(jnp.asarray(part, jnp.float32) for part in parts)), covariance


@pytest.mark.parametrize(
    "support",
    [pytest.param(np.ones(SHAPE), id="everywhere", marks=pytest.mark.slow), pytest.param(INSIDE, id="with a gap")],
)
@pytest.mark.parametrize("noise", few([np.linspace(0.01, 0.3, 6)[None], 0.0]))
@pytest.mark.parametrize("guide", GUIDES)
def test_gaussian_weights_are_equal_at_four_levels(guide, noise, support):
    """Then the particles are independent draws of the posterior, and each weight is the evidence."""
    prior, covariance = gaussian_fields(support)
    operator, y = Subsample((N,), 4), jnp.asarray(np.random.default_rng(0).normal(0.3, 0.5, (1, 6)), jnp.float32)
    noise_variance = jnp.asarray(noise, jnp.float32) if np.any(noise) else 0.0
    guided = GUIDES[guide](prior, operator, y, prior=prior, noise_variance=noise_variance)
    conditional = condition(prior, operator, (1, 6), noise_variance=noise)
    levels = exponential_grid(4, sigma_max=80.0, sigma_min=2e-3)
    run = jax.jit(lambda key: sample_particles(prior, guided, conditional, y, levels, n_particles=K, key=key))
    particles = run(jr.key(0))
    # Weights agree to 1e-3: squares that add up to 24, in float32.
    np.testing.assert_allclose(particles.diagnostics.effective_sizes, K, rtol=1e-4)
    assert not particles.diagnostics.resampled.any()
    C, m = np.eye(N)[::4], 0.3 * support.ravel()
    S = C @ covariance @ C.T + np.diag(np.broadcast_to(np.ravel(noise), 6))
    evidence = multivariate_normal(C @ m, S).logpdf(np.ravel(y))
    np.testing.assert_allclose(particles.log_weights, evidence, atol=0.01)
    np.testing.assert_allclose(particles.log_evidence(), evidence, atol=1e-3)
    gain = np.linalg.solve(S, C @ covariance).T
    mean, posterior = m + gain @ (np.ravel(y) - C @ m), covariance - gain @ C @ covariance
    x = np.float64(particles.x).reshape(K, N)
    trace, frobenius = np.trace(posterior), np.linalg.norm(posterior)
    assert np.linalg.norm(x.mean(0) - mean) < 3 * np.sqrt(trace / K)
    assert np.linalg.norm(np.cov(x.T) - posterior) < 3 * np.sqrt((trace**2 + frobenius**2) / K)
    np.testing.assert_allclose(x[:, support.ravel() == 0], 0, atol=1e-6)
    if not np.any(noise):
        np.testing.assert_allclose(x @ C.T, np.tile(y, (K, 1)), atol=1e-5)


def test_exact_observations_of_the_mixture_hold_for_every_particle():
    operator, y = BlockMean((4,), 4), jnp.array([OBSERVED])
    conditional = condition(OF_MIXTURE, operator, (1,))
    guided = gaussian_gain(denoise_mixture, operator, y, prior=OF_MIXTURE)
    levels = exponential_grid(32, sigma_max=10.0, sigma_min=0.01)
    run = jax.jit(lambda k: sample_particles(denoise_mixture, guided, conditional, y, levels, n_particles=4000, key=k))
    particles = run(jr.key(0))
    np.testing.assert_allclose(particles.x.mean(-1), OBSERVED, atol=1e-5)
    # Across the mean both modes are N(0, I), in three dimensions; √(2/(3·4000·.7)) = 1.5 %.
    across = np.sum(np.float64(particles.x - OBSERVED) ** 2, -1)
    weights = np.asarray(jax.nn.softmax(particles.log_weights), np.float64)
    assert weights @ across == pytest.approx(3, rel=0.06)


def test_the_comb_rounds_expected_numbers_up_or_down():
    log_weights = jr.normal(jr.key(0), (50,)) * 2
    expected = np.asarray(50 * jax.nn.softmax(log_weights))
    chosen = jax.vmap(lambda k: systematic_resampling(log_weights, key=k))(jr.split(jr.key(1), 2000))
    counts = np.asarray(jax.vmap(lambda c: jnp.bincount(c, length=50))(chosen))
    assert np.all(counts >= np.floor(expected - 1e-4)) and np.all(counts <= np.ceil(expected + 1e-4))
    # A count is one of two neighbours: its standard deviation is at most a half.
    np.testing.assert_allclose(counts.mean(0), expected, atol=4 * 0.5 / np.sqrt(2000))


def test_effective_sizes():
    assert effective_size(jnp.full(7, -1e4)) == pytest.approx(7, rel=1e-3)
    assert effective_size(jnp.array([0.0, -jnp.inf, -1e5])) == pytest.approx(1)
    assert effective_size(jnp.log(jnp.array([3.0, 1.0]))) == pytest.approx(1.6, rel=1e-5)


def test_the_effective_fraction_without_resampling_is_the_effective_size():
    log_weights = jr.normal(jr.key(0), (50,)) - 1e3
    found = effective_fraction(log_weights, log_weights)
    assert found == pytest.approx(float(effective_size(log_weights)) / 50, rel=1e-3)  # float32 at a thousand


def test_the_effective_fraction_is_that_of_both_stages_together():
    """w₁ = w₂ = exp(sx), x ~ N(0, 1): E[W²]/E[W]² = e^{4s²}, while the stages' own fractions multiply to e^{−2s²}."""
    n, s = 200_000, 0.5
    x = jr.normal(jr.key(0), (n,))
    chosen = systematic_resampling(s * x, key=jr.key(1))
    mean = jax.nn.logsumexp(s * x) - np.log(n)
    log_weights, log_paths = mean + s * x[chosen], 2 * s * x[chosen]
    stages = effective_size(s * x) * effective_size(log_weights) / float(n) ** 2
    # W under the target is log-normal of variance 4s² too: √(e − 1)/√n = .3 %; resampling adds as much.
    assert stages == pytest.approx(np.exp(-2 * s**2), rel=0.02)
    assert effective_fraction(log_weights, log_paths) == pytest.approx(np.exp(-4 * s**2), rel=0.02)


@pytest.mark.slow
@pytest.mark.parametrize(("noise", "rel"), [(1.0, 0.05), (0.1, 0.2)])
def test_the_effective_fraction_is_that_of_single_particles(noise, rel):
    """A single particle is not resampled to any effect: its weight is W under q, whose moments are means over runs.

    W² has a heavy tail: standard errors of 1 % and of 6 %, found from tenths of the runs.
    """
    alone, many = runs("moment matching", noise, 1, 20_000), runs("moment matching", noise, 64, 250)
    fraction = np.mean(alone.evidence) ** 2 / np.mean(alone.evidence**2)
    # Of each run Z² over the fraction is Z·ΣωW, whose mean is E[W²].
    pooled = np.mean(many.evidence) ** 2 / np.mean(many.evidence**2 / many.diagnostics.effective_fraction)
    assert pooled == pytest.approx(fraction, rel=rel)


@pytest.mark.slow
def test_particles_that_are_not_numbers_die_out():
    operator, y = BlockMean((4,), 4), jnp.array([OBSERVED])
    broken = lambda x, sigma: jnp.where(x[0] > 3, jnp.nan, denoise_mixture(x, sigma))  # noqa: E731
    guided = gaussian_gain(broken, operator, y, prior=OF_MIXTURE, noise_variance=1.0)
    conditional = condition(OF_MIXTURE, operator, (1,), noise_variance=1.0)
    levels = exponential_grid(8, sigma_max=10.0, sigma_min=0.01)
    run = jax.jit(lambda k: sample_particles(broken, guided, conditional, y, levels, n_particles=200, key=k))
    particles = run(jr.key(0))
    alive = np.isfinite(np.asarray(particles.log_weights))
    assert alive.mean() > 0.1 and np.isfinite(particles.x[alive]).all()
    assert np.isfinite(particles.diagnostics.effective_sizes).all()
    picked = jax.vmap(lambda k: particles.pick(key=k))(jr.split(jr.key(1), 500))
    assert np.isfinite(picked).all()


@pytest.mark.slow
@pytest.mark.parametrize("guide", [gaussian_gain, moment_matching, projection])
def test_the_network_is_evaluated_once_a_particle_and_level(guide):
    """The compiler finds the evaluation inside the guidance to be that beside it: counted in the program."""
    prior, _ = gaussian_fields(np.ones(SHAPE))
    operator, y, levels = Subsample((N,), 4), jnp.ones((1, 6)), exponential_grid(4)
    up, down = jr.normal(jr.key(1), (5, 1, 3)), jr.normal(jr.key(2), (1, 5, 3))

    def network(x, sigma):
        convolve = lambda h, kernel: jax.lax.conv_general_dilated(h, kernel, (1,), "SAME")  # noqa: E731
        return convolve(jax.nn.gelu(convolve(x[None], up)), down)[0] / (1 + sigma**2)

    guided = guide(network, operator, y) if guide is projection else guide(network, operator, y, prior=prior)
    conditional = condition(prior, operator, (1, 6))
    method = GaussianSDE(prior)

    def convolutions(run) -> int:
        return len(re.findall(r" convolution\(", jax.jit(run).lower(jr.key(0)).compile().as_text()))

    def particles(key):
        return sample_particles(network, guided, conditional, y, levels, n_particles=3, key=key).x

    # Two programs each, of the steps and of the last level, which needs no guidance.
    free = convolutions(lambda key: draw(network, SHAPE, levels, method=method, key=key))
    steered = convolutions(lambda key: draw(guided, SHAPE, levels, method=method, key=key))
    assert free == 4 and convolutions(particles) == free // 2 + steered // 2
