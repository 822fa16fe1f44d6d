"""Particles as an upsampler: what its draws and their effective sizes are, and what is said when particles collapse."""

import warnings
from functools import partial

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from subgrid.data.normalise import Standardiser
from subgrid.diffusion.gaussian_conditional import condition
from subgrid.diffusion.gaussian_prior import GaussianPrior
from subgrid.diffusion.guidance.gaussian import gaussian_gain
from subgrid.diffusion.noise_levels import exponential_grid
from subgrid.downscaling.upsampling.guided import sample_ensemble
from subgrid.downscaling.upsampling.particles import ParticleUpsampler, sample_with_diagnostics
from subgrid.numerics.from_numpy import from_numpy
from subgrid.numerics.operators import Subsample

N, FACTOR = 16, 4
MEAN, STD = 7.0, 3.0
DISTANCE = np.minimum(d := abs(np.arange(N)[:, None] - np.arange(N)), N - d)
VARIANCES, VECTORS = np.linalg.eigh(np.exp(-0.5 * (DISTANCE / 2) ** 2) + 0.01 * np.eye(N))
COVARIANCE = (VECTORS * VARIANCES) @ VECTORS.T
PRIOR = GaussianPrior(
    from_numpy(np.zeros((1, N))),
    from_numpy(VECTORS.T.reshape(N, 1, N)),
    from_numpy(VARIANCES),
    from_numpy(VARIANCES[0]),
    from_numpy(np.ones((1, N))),
)


def cautious(denoiser, operator, y):
    """Guidance that does not believe values beyond four standard deviations: proposals that miss them."""
    return gaussian_gain(denoiser, operator, jnp.clip(y, -4, 4), prior=PRIOR)


def upsampler(n_particles: int, guide=partial(gaussian_gain, prior=PRIOR)) -> ParticleUpsampler:  # noqa: B008
    conditional = condition(PRIOR, Subsample((N,), FACTOR), (1, N // FACTOR))
    standardiser = Standardiser(jnp.asarray([MEAN]), jnp.asarray([STD]))
    levels = exponential_grid(6, sigma_max=20.0, sigma_min=0.01)
    return ParticleUpsampler(PRIOR, conditional, standardiser, guide, levels, n_particles)


COARSE = np.float32(np.random.default_rng(1).normal(MEAN, STD, (2, 1, N // FACTOR)))


def test_draws_are_the_posterior_in_physical_units_and_all_particles_count():
    n = 2000
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ensemble, diagnostics = sample_with_diagnostics(upsampler(4), COARSE[:1], n, chunk=2000, key=jr.key(0))
    C = np.eye(N)[::FACTOR]
    gain = np.linalg.solve(C @ COVARIANCE @ C.T, C @ COVARIANCE).T
    mean, covariance = MEAN + gain @ (COARSE[0, 0] - MEAN), STD**2 * (COVARIANCE - gain @ C @ COVARIANCE)
    draws = np.float64(ensemble[0, :, 0])
    trace, frobenius = np.trace(covariance), np.linalg.norm(covariance)
    assert np.linalg.norm(draws.mean(0) - mean) < 3 * np.sqrt(trace / n)
    assert np.linalg.norm(np.cov(draws.T) - covariance) < 3 * np.sqrt((trace**2 + frobenius**2) / n)
    np.testing.assert_allclose(draws[:, ::FACTOR], np.tile(COARSE[0, 0], (n, 1)), atol=1e-3)
    np.testing.assert_allclose(diagnostics["effective_size"], np.full((1, n), 4), rtol=1e-3)
    np.testing.assert_allclose(diagnostics["effective_fraction"], np.ones((1, n)), rtol=1e-3)


@pytest.mark.slow
def test_members_depend_on_their_own_key_whatever_the_chunk():
    upsample = upsampler(4)
    ensemble, diagnostics = sample_with_diagnostics(upsample, COARSE, 3, chunk=8, key=jr.key(0))
    assert ensemble.shape == (2, 3, 1, N) and diagnostics["effective_size"].shape == (2, 3)
    alone = upsample(jnp.asarray(COARSE[1]), key=jr.fold_in(jr.fold_in(jr.key(0), 1), 2))
    np.testing.assert_allclose(alone, ensemble[1, 2], atol=1e-3)
    np.testing.assert_allclose(sample_ensemble(upsample, COARSE, 3, key=jr.key(0)), ensemble, atol=1e-3)
    # A chunk below the number of particles is one member at a time.
    seen = []
    sample_with_diagnostics(upsample, COARSE, 1, chunk=3, report=lambda *p: seen.append(p), key=jr.key(0))
    assert seen == [(1, 2), (2, 2)]


def test_collapse_is_diagnostics_with_its_level_and_condition():
    coarse = np.stack([COARSE[0], COARSE[0]])
    coarse[1, 0, 0] = MEAN + 30 * STD
    upsample = upsampler(64, cautious)
    with pytest.warns(UserWarning, match="particles collapsed in 2 of 4 draws") as caught:
        _, diagnostics = sample_with_diagnostics(upsample, coarse, 2, key=jr.key(0))
    message = str(caught[0].message)
    member = int(np.argmin(diagnostics["effective_size"][1]))
    assert f"for condition 1, member {member}" in message
    assert f"effective size {diagnostics['effective_size'].min():.2f} of 64" in message
    assert any(f"at sigma = {level:.2g}," in message for level in np.asarray(upsample.noise_levels))
    assert diagnostics["effective_size"][1].max() < 2 and diagnostics["effective_fraction"][1].max() < 0.05
    np.testing.assert_allclose(diagnostics["effective_size"][0], 64, rtol=1e-3)


def test_other_upsamplers_have_nothing_to_tell():
    doubled = eqx.Partial(lambda y, *, key: 2 * y)
    ensemble, diagnostics = sample_with_diagnostics(doubled, COARSE, 2, key=jr.key(0))
    np.testing.assert_array_equal(ensemble, np.repeat(2 * COARSE[:, None], 2, axis=1))
    assert diagnostics == {}


@pytest.mark.parametrize(("n", "members", "chunk"), [(0, 4, 8), (2, 0, 8), (2, 4, 0)])
def test_empty_ensembles_are_refused(n, members, chunk):
    with pytest.raises(ValueError, match=f"got {n} fields, n_members = {members} and chunk = "):
        sample_with_diagnostics(upsampler(4), COARSE[:n], members, chunk=chunk, key=jr.key(0))
