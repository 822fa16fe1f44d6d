"""The conditional sampler in physical units against a Gaussian posterior, and the keys of an ensemble."""

import gc

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from subgrid.data.normalise import Standardiser
from subgrid.diffusion.denoiser import gaussian_denoiser
from subgrid.diffusion.gaussian_conditional import condition
from subgrid.diffusion.gaussian_prior import GaussianPrior
from subgrid.diffusion.gaussian_steps import GaussianODE, GaussianSDE, IsotropicGaussian
from subgrid.diffusion.guidance.moments import moment_matching
from subgrid.diffusion.noise_levels import exponential_grid, karras_grid
from subgrid.diffusion.samplers import Ancestral, ExponentialMultistep, Heun
from subgrid.downscaling.upsampling.guided import DiffusionUpsampler, method_for, sample_ensemble
from subgrid.numerics.operators import SparseCoarsening, Subsample

N = 16
DISTANCE = np.minimum(d := abs(np.arange(N)[:, None] - np.arange(N)), N - d)
COVARIANCE = np.exp(-0.5 * (DISTANCE / 2) ** 2) + 0.01 * np.eye(N)
MEAN, STD = 7.0, 3.0
# Rows that do not add up to one: the mean must go through C′ as a field.
WEIGHTS = np.kron(np.eye(4), [[0.5, 0.5, 0.5, 0.5]])


def gaussian_part(covariance, shape):
    """All components of N(0, Σ) but the last, which is the remainder."""
    variances, vectors = np.linalg.eigh(covariance)
    components = vectors.T[:0:-1].reshape(-1, *shape)
    parts = np.zeros(shape), components, variances[:0:-1], variances[0], np.ones(shape)
    return GaussianPrior(*(jnp.asarray(part, jnp.float32) for part in parts))


def upsampler_with(method, levels):
    denoiser = gaussian_denoiser(jnp.zeros(N), jnp.asarray(COVARIANCE, jnp.float32))
    operator = SparseCoarsening(WEIGHTS, fine_shape=(N,), coarse_shape=(4,))
    standardiser = Standardiser(jnp.asarray([MEAN]), jnp.asarray([STD]))
    conditional = condition(gaussian_part(COVARIANCE, (1, N)), operator, (1, 4))
    return DiffusionUpsampler(denoiser, conditional, standardiser, moment_matching, levels, method)


@pytest.fixture(scope="module")
def upsampler():
    return upsampler_with(method_for(ExponentialMultistep()), karras_grid(48))


SAMPLERS = {
    "ODE multistep, 48 levels": (method_for(ExponentialMultistep()), 48),
    "Gaussian SDE, 4 levels": (GaussianSDE, 4),
    "Gaussian ODE, 4 levels": (GaussianODE, 4),
}


@pytest.mark.parametrize("name", SAMPLERS)
def test_ensemble_is_the_posterior_in_physical_units(name):
    method, n_levels = SAMPLERS[name]
    upsampler = upsampler_with(method, exponential_grid(n_levels))
    y = np.array([[16.0, 10.0, 12.0, 15.0]])
    n = 4000
    ensemble = sample_ensemble(upsampler, jnp.asarray(y[None], jnp.float32), n, chunk=1000, key=jr.key(0))
    draws = np.float64(ensemble[0, :, 0])
    prior = STD**2 * COVARIANCE
    gain = prior @ WEIGHTS.T @ np.linalg.inv(WEIGHTS @ prior @ WEIGHTS.T)
    mean, covariance = MEAN + gain @ (y[0] - WEIGHTS @ np.full(N, MEAN)), prior - gain @ WEIGHTS @ prior
    trace, frobenius = np.trace(covariance), np.linalg.norm(covariance)
    # Three standard errors, √(tr P/n) and √(((tr P)² + ‖P‖²)/n), and 2 % for the steps.
    assert np.linalg.norm(draws.mean(0) - mean) < 3 * np.sqrt(trace / n) + 0.02 * np.linalg.norm(mean - MEAN)
    assert np.linalg.norm(np.cov(draws.T) - covariance) < 3 * np.sqrt((trace**2 + frobenius**2) / n) + 0.02 * frobenius
    np.testing.assert_allclose(draws @ WEIGHTS.T, np.tile(y, (n, 1)), atol=1e-3)


def test_members_depend_on_their_own_key_alone(upsampler):
    coarse = 14 + jr.normal(jr.key(1), (3, 1, 4))
    whole = sample_ensemble(upsampler, coarse, 4, chunk=4, key=jr.key(0))
    assert whole.shape == (3, 4, 1, N)
    # Other chunks compile to other code: float32 rounding, nothing more.
    np.testing.assert_allclose(sample_ensemble(upsampler, coarse, 4, chunk=5, key=jr.key(0)), whole, atol=1e-3)
    alone = eqx.filter_jit(upsampler)(coarse[2], key=jr.fold_in(jr.fold_in(jr.key(0), 2), 1))
    np.testing.assert_allclose(alone, whole[2, 1], atol=1e-3)
    larger = sample_ensemble(upsampler, coarse[:1], 6, chunk=4, key=jr.key(0))
    np.testing.assert_allclose(larger[0, :4], whole[0], atol=1e-3)
    assert np.abs(whole[0, 0] - whole[0, 1]).max() > 0.1


def test_progress_is_reported(upsampler):
    seen = []
    sample_ensemble(upsampler, jnp.full((2, 1, 4), 14.0), 5, chunk=4, report=lambda *p: seen.append(p), key=jr.key(0))
    assert seen == [(4, 10), (8, 10), (10, 10)]


def test_channels_in_two_dimensions():
    denoiser, white = gaussian_denoiser(jnp.zeros(32), jnp.eye(32)), gaussian_part(np.eye(32), (2, 4, 4))
    standardiser = Standardiser(jnp.asarray([1.0, -100.0]), jnp.asarray([2.0, 10.0]))
    conditional = condition(white, Subsample((4, 4), 2), (2, 2, 2))
    upsample = DiffusionUpsampler(
        denoiser, conditional, standardiser, moment_matching, karras_grid(24), method_for(Ancestral())
    )
    y = jnp.stack([jnp.full((2, 2), 3.0), jnp.full((2, 2), -90.0)])
    draws = np.asarray(jax.jit(jax.vmap(lambda k: upsample(y, key=k)))(jr.split(jr.key(0), 500)))
    np.testing.assert_allclose(draws[:, :, ::2, ::2], np.tile(y, (500, 1, 1, 1)), rtol=1e-4)
    # The other points are independent of y: the prior's mean, within four errors over 12 points × 500 draws.
    free = draws[:, :, 1::2, :].mean((0, 2, 3))
    np.testing.assert_allclose((free - [1.0, -100.0]) / [2.0, 10.0], 0, atol=4 / np.sqrt(500 * 8))


def test_methods_that_know_the_gaussian_are_made_from_it_and_others_stay_themselves():
    gaussian = IsotropicGaussian(jnp.zeros(3), jnp.asarray(2.0))
    assert method_for(GaussianSDE)(gaussian).reference is gaussian
    heun = Heun()
    assert method_for(heun)(gaussian) is heun
    assert method_for(lambda g: GaussianODE(g))(gaussian).reference is gaussian


@pytest.mark.parametrize(("n", "members", "chunk"), [(0, 4, 8), (3, 0, 8), (3, 4, 0)])
def test_empty_ensembles_are_refused(upsampler, n, members, chunk):
    with pytest.raises(ValueError, match=f"got {n} fields, n_members = {members} and chunk = {chunk}"):
        sample_ensemble(upsampler, np.zeros((n, 1, 4), np.float32), members, chunk=chunk, key=jr.key(0))


def test_one_chunk_at_a_time_is_on_the_device():
    """Neither the archive nor the ensemble: only what a chunk needs, whatever the number of fields."""
    coarse = np.random.default_rng(0).normal(size=(300, 1, 64)).astype(np.float32)
    held = []

    def report(done, total):
        held.append(sum(array.nbytes for array in jax.live_arrays()) - before)

    gc.collect()  # what other tests have left
    before = sum(array.nbytes for array in jax.live_arrays())
    ensemble = sample_ensemble(lambda y, *, key: y + 1, coarse, 2, chunk=10, report=report, key=jr.key(0))
    np.testing.assert_array_equal(ensemble, np.repeat(coarse[:, None] + 1, 2, axis=1))
    # A chunk is 10·64·4 bytes = 2.5 kB; the archive and the ensemble are 77 and 154 kB.
    assert max(held) < 50_000
