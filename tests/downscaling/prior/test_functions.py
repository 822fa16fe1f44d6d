"""Training a prior of functions: its noise, its grid, its folder; the same bits after a stop."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from subgrid.diffusion.gaussian_steps import GaussianSDE
from subgrid.diffusion.noise_levels import exponential_grid
from subgrid.downscaling.prior.functions import (
    box_of,
    is_function_prior,
    load_function_prior,
    suited_noise,
    train_function_prior,
)
from subgrid.downscaling.prior.model import PriorSettings
from subgrid.downscaling.prior.training import TrainingSettings
from subgrid.downscaling.upsampling import functions as module
from subgrid.downscaling.upsampling.functions import KnownFunctionUpsampler, standard_target, white_conditional
from subgrid.functional.admissibility import check_noise
from subgrid.functional.function_diffusion import FunctionDiffusion
from subgrid.functional.gaussian_field import GaussianField, fit_gaussian_field
from subgrid.functional.guidance import to_white
from subgrid.numerics.operators import Subsample

SETTINGS = PriorSettings(1, (16,), channels=(8,), n_blocks=1, patch=2)
TRAINING = TrainingSettings(n_steps=20, batch_size=8, warmup=2, steps_per_dispatch=10)


def samples(noise, n, points, seed=0):
    draw = jax.jit(jax.vmap(lambda key: noise.sample((points,), key=key)))
    return np.asarray(draw(jr.split(jr.key(seed), n)))


@eqx.filter_jit
def draw(model):
    """On more points than those of the training."""
    return model.sample((32,), key=jr.key(0), n_levels=4)


@pytest.fixture(scope="module")
def fields():
    """Gaussian fields whose energy lies about four waves."""
    return samples(GaussianField(3.0, 25.0, variance=4.0), 64, 32)


@pytest.fixture(scope="module")
def trained(fields, tmp_path_factory):
    folder = tmp_path_factory.mktemp("prior") / "model"
    return train_function_prior(fields, SETTINGS, TRAINING, folder=folder, key=jr.key(1)), folder


def test_noise_is_correlated_as_far_as_the_data_and_right_for_them(fields):
    box = box_of(1, periodic=True)
    noise = suited_noise(fields, box)
    modes = np.fft.rfft(fields[:, 0] - fields.mean(), norm="forward")[:, :16]
    energy = np.mean(np.abs(modes) ** 2, 0) * np.where(np.arange(16) > 0, 2, 1)
    assert np.isclose(noise.spectrum.tau, 2 * np.pi * np.arange(16) @ energy / energy.sum(), rtol=1e-4)
    assert np.isclose(noise.variance((4096,)), 1.0, rtol=2e-3)
    assert check_noise(fit_gaussian_field(fields - fields.mean()), noise, (32,)).right
    assert noise.spectrum.alpha == 1.0


def test_rough_fields_get_rougher_noise():
    """Brownian fields: noise as rough as they, α = 1, leaves the sum of λ₁/λ₂ growing with every mode."""
    fields = samples(GaussianField(1.0, 25.0, variance=4.0), 64, 64)
    assert suited_noise(fields, box_of(1, periodic=True)).spectrum.alpha < 1


def test_it_draws_on_other_grids_than_it_was_trained_on(trained):
    model, _ = trained
    assert model.space.grid == (16,) and draw(model).shape == (1, 32)


def test_a_folder_loads_to_the_same_bits(trained):
    model, folder = trained
    assert is_function_prior(folder)
    np.testing.assert_array_equal(draw(load_function_prior(folder)), draw(model))


def known_sampler(model, operator, n_levels=4):
    levels = exponential_grid(n_levels, sigma_min=model.smallest**0.5, sigma_max=model.largest**0.5)
    return KnownFunctionUpsampler(model, operator, white_conditional(model, operator), levels, GaussianSDE)


def test_what_the_gaussian_says_is_solved_exactly_at_any_number_of_levels(trained, monkeypatch):
    """With the exact denoiser in place of the network's, four levels draw the conditional of the measured spectrum."""
    model, operator = trained[0], Subsample((32,), 4)
    space = dataclasses.replace(model.space, known=model.space.standard)
    known = FunctionDiffusion(model.operator, space, model.largest, model.smallest)
    y = jnp.asarray(np.random.default_rng(0).normal(size=(1, 8)), jnp.float32)
    gaussian = white_conditional(model, operator).given(standard_target(model.space, operator, y))
    seen = []

    def exact(operator, space, shape, shown):
        seen.append(shown)
        assert shape == (32,)
        return gaussian.denoise

    monkeypatch.setattr(module, "WhiteDenoiser", exact)
    sampler = known_sampler(known, operator)
    sampler(y, key=jr.key(0))
    np.testing.assert_array_equal(seen[0], space.shown(y))
    sample = eqx.filter_jit(jax.vmap(lambda key: sampler(y, key=key)))
    fields = model.space.standard.forward(sample(jr.split(jr.key(2), 2000)))
    drawn = np.asarray(jax.vmap(lambda u: to_white(u, model.space.noise))(fields))
    units = jnp.eye(32).reshape(32, 1, 32)
    variances = jax.vmap(lambda z: gaussian.apply(lambda v: v, z))(units).reshape(32, 32).diagonal()
    spread = np.sqrt(np.maximum(variances, 0))
    np.testing.assert_allclose(drawn.mean(0)[0], gaussian.mean[0], atol=4 * spread.max() / np.sqrt(2000))
    np.testing.assert_allclose(drawn.std(0)[0], spread, atol=0.07 * spread.max())  # four standard errors


def test_a_conditional_model_of_functions_learns_what_y_says(fields, tmp_path):
    """y at every second point determines the fields, whose energy lies below: after 100 steps the loss has fallen."""
    operator, losses = Subsample((32,), 2), []
    more = dataclasses.replace(TRAINING, n_steps=100, learning_rate=5e-3)
    model = train_function_prior(
        fields, SETTINGS, more, folder=tmp_path / "known", operator=operator, key=jr.key(1),
        report=lambda step, metrics: losses.append(metrics["loss"]),
    )  # fmt: skip
    assert losses[-1] < 0.8 * losses[0]  # nothing below 1 can be learned of Gaussian fields alone
    again, y = load_function_prior(tmp_path / "known"), jnp.asarray(fields[0, :, ::2])
    one, other = (eqx.filter_jit(known_sampler(m, operator))(y, key=jr.key(0)) for m in (model, again))
    assert one.shape == (1, 32)
    np.testing.assert_array_equal(one, other)
    with pytest.raises(ValueError, match="give known="):
        again.sample((32,), key=jr.key(0))


def test_a_stopped_training_ends_with_the_same_bits(trained, fields, tmp_path):
    def stop(step, metrics):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_function_prior(fields, SETTINGS, TRAINING, folder=tmp_path, report=stop, key=jr.key(1))
    assert not is_function_prior(tmp_path)
    model = train_function_prior(fields, SETTINGS, TRAINING, folder=tmp_path, key=jr.key(1))
    for found, wanted in zip(*map(jax.tree.leaves, (model.operator, trained[0].operator)), strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_fields_that_do_not_hold_the_training_grid_are_refused(fields, tmp_path):
    with pytest.raises(ValueError, match=r"training grid of \(64,\) points has modes that fields of \(32,\)"):
        train_function_prior(fields, PriorSettings(1, (64,)), TRAINING, folder=tmp_path, key=jr.key(0))
