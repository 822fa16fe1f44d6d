"""Every prior with every guidance and sampler draws from the posterior of Gaussian fields, which is a formula."""

import warnings
from functools import cache, partial

import jax.random as jr
import numpy as np
import pytest

from subgrid.downscaling.model.draws import SamplingSettings, draws_of

from .gaussian_models import GaussianModel, network_model, refined_model, wave_prior

N = 1500
MODELS = {
    "network": network_model,
    "refined": refined_model,
    "refined by a network": partial(refined_model, network=True),
}
SETTINGS = {
    "by default": {},
    "gaussian-gain": {"guidance": "gaussian-gain"},
    "moment-matching": {"guidance": "moment-matching"},
    "gaussian-sde": {"method": "gaussian-sde"},
    "heun": {"method": "heun", "n_levels": 48},
    "particles": {"n_particles": 3, "n_levels": 6},
    "all at once": {"guidance": "moment-matching", "method": "gaussian-sde", "n_particles": 2, "n_levels": 8},
}
ERROR = {"heun": 0.02}
"""Of the sampler itself, in standard deviations of the field: those that solve Gaussians exactly have none."""


@cache
def model_of(name: str) -> GaussianModel:
    return MODELS[name]()


def drawn(model: GaussianModel, n: int, **settings) -> np.ndarray:
    """(n, values inside the mask), flattened channel by channel, as the formulas have them."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="GaussianSDE at")  # few levels, which say nothing wrong of Gaussians
        sampler = model.sampler(chunk=1000, **settings)
        fields = sampler(model.target, model.phase, keys=jr.split(jr.key(7), (1, n)))[0]
    assert np.isnan(fields[..., ~model.fine.mask]).all()
    return np.float64(fields[..., model.fine.mask]).reshape(n, -1)


CASES = [(name, settings) for name in MODELS for settings in SETTINGS]
QUICK = [("refined", "by default"), ("refined", "gaussian-gain")]
"""Those of a network and of particles are asked the same in `upsampling`."""


@pytest.mark.parametrize(
    ("name", "settings"), [pytest.param(*case, marks=() if case in QUICK else pytest.mark.slow) for case in CASES]
)
def test_draws_have_the_posteriors_mean_and_covariance(name, settings):
    model = model_of(name)
    got = drawn(model, N, **SETTINGS[settings])
    trace, frobenius = np.trace(model.covariance), np.linalg.norm(model.covariance)
    own = ERROR.get(settings, 0.0)
    # E‖m̂ − m‖² = tr Σ/n, and E‖Σ̂ − Σ‖² = (tr²Σ + tr Σ²)/n: three times their roots, and the sampler's own error.
    assert np.linalg.norm(got.mean(0) - model.mean) < 3 * np.sqrt(trace / N) + own * np.sqrt(trace)
    assert np.linalg.norm(np.cov(got.T) - model.covariance) < 3 * np.sqrt((trace**2 + frobenius**2) / N) + own * trace


def test_a_climate_with_particles_tells_their_effective_sizes():
    """All particles of a Gaussian count: the proposals are exact."""
    model = model_of("refined")
    sampler = model.sampler(n_particles=3, n_levels=8)
    _, told = sampler.with_diagnostics(model.target, model.phase, keys=jr.split(jr.key(1), (1, 4)))
    np.testing.assert_allclose(told["effective_size"], np.full((1, 4), 3), rtol=1e-2)
    np.testing.assert_allclose(told["effective_fraction"], np.ones((1, 4)), rtol=1e-2)


def test_the_constraint_is_kept_by_every_draw():
    model = model_of("refined")
    # The last noise level is σ_min = .002 of a scale of 2; a coarse value averages nine of them.
    got = (drawn(model, 4, guidance="moment-matching") - _climatology(model)) @ model.matrix.T
    np.testing.assert_allclose(got, np.tile(model.target.reshape(-1), (4, 1)), atol=0.02)


def _climatology(model: GaussianModel) -> np.ndarray:
    zero = np.zeros((1, 2, *model.fine.space), np.float32)
    return model.fine.restore(zero, model.phase)[0][:, model.fine.mask].reshape(-1)


@pytest.mark.parametrize(("name", "settings"), [("refined", {}), ("network", {"guidance": "gaussian-gain"})])
def test_a_draw_follows_from_its_target_and_key_alone(name, settings):
    model, keys = model_of(name), jr.split(jr.key(5), (3, 2))
    targets = np.concatenate([model.target * factor for factor in np.float32([1, 0.5, -1])])
    phase = None if model.phase is None else np.array([0.1, 0.5, 0.9])
    sampler = model.sampler(chunk=4, **settings)
    whole = sampler(targets, phase, keys=keys)
    part = sampler(targets[2:], None if phase is None else phase[2:], keys=keys[2:, 1:])
    # Not to the bits: a batch of another size is another program, whose sums have another order.
    np.testing.assert_allclose(part[0, 0], whole[2, 1], atol=1e-4)


@pytest.mark.parametrize(
    ("guidance", "chunks"),
    [
        ("gaussian-gain", (1, 8)),
        pytest.param("gaussian-gain", (3, 8), marks=pytest.mark.slow),
        pytest.param("moment-matching", (1, 3, 8), marks=pytest.mark.slow),
    ],
)
def test_draws_do_not_depend_on_how_many_are_drawn_at_once(guidance, chunks):
    """Where coarse values determine each other, and the target does not keep to that."""
    prior, operator = wave_prior()
    targets = np.random.default_rng(2).normal(size=(8, 1, 6)).astype(np.float32)
    asked = targets, jr.split(jr.key(3), 8), np.zeros((8, 1, 24), np.float32)
    shape = {"mask": np.ones(24, bool), "bounded": (False,)}
    first, *others = (
        draws_of(prior, operator, SamplingSettings(guidance=guidance, chunk=n, n_levels=8), **shape)(*asked)[0]
        for n in chunks
    )
    for other in others:
        np.testing.assert_allclose(other, first, atol=1e-4)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_particles": 2, "method": "heun"}, 'n_particles = 2 needs method = "gaussian-sde"'),
        ({"guidance": "hope"}, "guidance 'hope': there are moment-matching, gaussian-gain, projection"),
        ({"method": "luck"}, "method 'luck': there are gaussian-sde"),
        ({"n_levels": 0}, "n_levels must be at least 1, got 0"),
        ({"chunk": 0}, "chunk must be at least 1, got 0"),
    ],
)
@pytest.mark.parametrize("name", ["refined", "network"])
def test_settings_that_do_not_go_together_are_refused(name, settings, message):
    with pytest.raises(ValueError, match=message):
        model_of(name).sampler(**settings)


def test_settings_that_are_the_usual_ones_are_known():
    assert SamplingSettings(n_levels=3).is_default and not SamplingSettings(n_particles=2).is_default
    assert not SamplingSettings(method="gaussian-sde").is_default
