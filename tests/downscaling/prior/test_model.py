"""The prior's folder: trained, saved, loaded, resumed, and refused when it is something else."""

import dataclasses
import json
import os
import shutil

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
import xarray as xr

from subgrid.data.fields import DataError
from subgrid.data.stream import StreamedFields
from subgrid.diffusion.objective import log_normal_levels
from subgrid.downscaling.prior.model import (
    FORMAT,
    PriorSettings,
    as_asked,
    build_denoiser,
    is_trained,
    load_prior,
    train_prior,
)
from subgrid.downscaling.prior.training import TrainingSettings, loss_curve
from subgrid.training.checkpoint import CheckpointMismatch

SETTINGS = PriorSettings(1, (16,), channels=(8,), n_blocks=1, patch=2, sigma_min=0.05, sigma_max=10.0)
TRAINING = TrainingSettings(
    n_steps=60, batch_size=16, learning_rate=5e-3, steps_per_dispatch=20, ema_decay=0.9, translation_invariant=True
)
PHASES = np.random.default_rng(0).uniform(0, 2 * np.pi, (256, 1, 1))
FIELDS = (20 + 3 * np.sin(2 * np.pi * np.arange(16) / 16 + PHASES)).astype(np.float32)


def train(folder, training=TRAINING, **options):
    return train_prior(FIELDS, SETTINGS, training, folder=folder, key=jr.key(0), **options)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("prior") / "model"
    return folder, train(folder)


def same(a, b):
    for x, y in zip(
        *(jax.tree.leaves(eqx.filter((p.denoiser, p.standardiser, p.gaussian), eqx.is_array)) for p in (a, b)),
        strict=True,
    ):
        np.testing.assert_array_equal(x, y)


GAUSSIAN = dataclasses.replace(SETTINGS, preconditioning="modes")
"""Of waves of one wavenumber and any phase: the Gaussian has two components of variance 8, and nothing beside them."""


def test_what_refines_the_gaussian_is_loaded_as_it_was_trained(tmp_path):
    training = dataclasses.replace(TRAINING, n_steps=20)
    prior = train_prior(FIELDS, GAUSSIAN, training, folder=tmp_path / "model", key=jr.key(0))
    loaded = load_prior(tmp_path / "model")
    assert loaded.settings == prior.settings
    assert (loaded.settings.sigma_min, loaded.settings.sigma_max) == (pytest.approx(0.35, abs=0.01), 10.0)  # √8/8
    same(loaded, prior)
    assert loaded.denoiser.base is loaded.gaussian  # held once
    x = 3 * jr.normal(jr.key(1), (1, 16))
    found = eqx.filter_jit(loaded.denoiser)(x, jnp.asarray(0.5))
    np.testing.assert_array_equal(found, eqx.filter_jit(prior.denoiser)(x, jnp.asarray(0.5)))
    modes = np.abs(np.fft.rfft(found[0]))
    assert np.delete(modes, 1).max() < 1e-4 * modes[1]


class Stop(Exception):
    pass


@pytest.mark.slow  # of the same loop as every training
def test_what_refines_the_gaussian_goes_on_to_the_same_bits(tmp_path):
    training, stops = dataclasses.replace(TRAINING, checkpoint_every=20), [40]

    def stop(step, metrics):
        if step in stops:
            raise Stop(stops.pop())

    with pytest.raises(Stop):
        train_prior(FIELDS, GAUSSIAN, training, folder=tmp_path / "model", report=stop, key=jr.key(0))
    prior = train_prior(FIELDS, GAUSSIAN, training, folder=tmp_path / "model", report=stop, key=jr.key(0))
    same(train_prior(FIELDS, GAUSSIAN, training, folder=tmp_path / "other", key=jr.key(0)), prior)


def test_a_training_of_an_earlier_version_goes_on():
    """Its description has no preconditioning, and it had the one that is the default."""
    assert "preconditioning" not in as_asked(SETTINGS)
    assert as_asked(dataclasses.replace(SETTINGS, preconditioning="modes"))["preconditioning"] == "modes"


def test_a_network_that_refines_a_gaussian_needs_one():
    with pytest.raises(ValueError, match="needs the Gaussian"):
        build_denoiser(dataclasses.replace(SETTINGS, preconditioning="modes"), key=jr.key(0))


def test_what_is_loaded_is_what_was_trained(trained):
    folder, prior = trained
    assert is_trained(folder)
    loaded = load_prior(folder)
    assert loaded.settings == SETTINGS
    same(loaded, prior)
    assert prior.standardiser.mean[0] == pytest.approx(FIELDS.mean(), rel=1e-4)
    assert prior.standardiser.std[0] == pytest.approx(FIELDS.std(), rel=1e-4)


def test_training_beats_the_best_linear_guess(trained):
    steps, losses = loss_curve(trained[0])
    np.testing.assert_array_equal(steps, [20, 40, 60])
    assert losses[-1] < losses[0]
    assert losses[-1] < 0.9  # a silent network scores 1, white noise could do no better; sine waves can


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("prior") / "interrupted"
    with pytest.raises(Crash):
        train(folder, EVERY_20, report=crash_at(40))
    return folder


@pytest.fixture
def begun(interrupted, tmp_path):
    """A folder of a training that was stopped after 40 of 60 steps."""
    return shutil.copytree(interrupted, tmp_path / "begun")


def test_an_interrupted_run_resumes_to_the_same_bits(trained, begun):
    assert not is_trained(begun)
    same(train(begun, EVERY_20), trained[1])


def test_a_finished_run_can_be_repeated(trained):
    same(train(trained[0]), trained[1])
    same(load_prior(trained[0]), trained[1])


@pytest.fixture(scope="module")
def on_disk(tmp_path_factory):
    path = tmp_path_factory.mktemp("archive") / "u.zarr"
    dataset = xr.Dataset({"u": (("time", "x"), FIELDS[:, 0])})
    dataset.to_zarr(path, zarr_format=3, consolidated=True, encoding={"u": {"chunks": (16, 16)}})
    return StreamedFields(path, "u")


@pytest.mark.slow
def test_a_streamed_training_learns_resumes_to_the_same_bits_and_knows_its_archive(on_disk, trained, tmp_path):
    def streamed(folder, **options):
        return train_prior(on_disk, SETTINGS, EVERY_20, folder=folder, key=jr.key(0), **options)

    whole = streamed(tmp_path / "whole")
    # One pass in blocks against all at once, both in float64 and rounded to float32.
    np.testing.assert_allclose(whole.standardiser.mean, trained[1].standardiser.mean, rtol=1e-6)
    np.testing.assert_allclose(whole.standardiser.std, trained[1].standardiser.std, rtol=1e-6)
    assert loss_curve(tmp_path / "whole")[1][-1] < 0.9  # as above
    with pytest.raises(Crash):
        streamed(tmp_path / "cut", report=crash_at(40))
    same(streamed(tmp_path / "cut"), whole)
    chunk = next(p for p in (on_disk.path / "u" / "c").rglob("*") if p.is_file())
    os.utime(chunk, ns=(0, 0))  # written anew since
    with pytest.raises(CheckpointMismatch, match="was begun with fields"):
        streamed(tmp_path / "cut")


def test_folders_without_a_model(tmp_path):
    with pytest.raises(DataError, match="holds no trained model"):
        load_prior(tmp_path)
    (tmp_path / "settings.json").write_text(f'{{"format": {FORMAT}, "colour": "blue"}}')
    with pytest.raises(DataError, match=r"settings\.json: not a model description of this version"):
        load_prior(tmp_path)
    assert loss_curve(tmp_path).shape == (2, 0)
    assert not is_trained(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("stored", "found"), [({}, 1), ({"format": FORMAT - 1}, FORMAT - 1), ({"format": FORMAT + 1}, FORMAT + 1)]
)
def test_models_of_another_format_are_refused(trained, tmp_path, stored, found):
    """Older weights have the same names and shapes, and would load into a network that means something else by them."""
    settings = json.loads((trained[0] / "settings.json").read_text())
    settings.pop("format", None)
    (tmp_path / "weights").symlink_to(trained[0] / "weights")
    (tmp_path / "settings.json").write_text(json.dumps(settings | stored))
    with pytest.raises(CheckpointMismatch, match=rf"settings\.json: is a model of format {found}, and this version"):
        load_prior(tmp_path)


class Crash(Exception):
    pass


def crash_at(step):
    def report(done, metrics):
        if done == step:
            raise Crash

    return report


EVERY_20 = TrainingSettings(**{**TRAINING.__dict__, "checkpoint_every": 20})
OTHER = {
    "fields": lambda f: train_prior(FIELDS + 1, SETTINGS, EVERY_20, folder=f, key=jr.key(0)),
    r"key = \[0, 0\], not \[0, 1\]": lambda f: train_prior(FIELDS, SETTINGS, EVERY_20, folder=f, key=jr.key(1)),
    "training: n_steps = 60, not 80": lambda f: train(f, TrainingSettings(**{**EVERY_20.__dict__, "n_steps": 80})),
    "prior: sigma_max = 10.0, not 9.0": lambda f: train_prior(
        FIELDS, PriorSettings(**{**SETTINGS.__dict__, "sigma_max": 9.0}), EVERY_20, folder=f, key=jr.key(0)
    ),
    "noise levels": lambda f: train(f, EVERY_20, noise_levels=log_normal_levels()),
}


def test_a_training_resumes_as_itself_or_not_at_all(begun):
    for message, other in OTHER.items():
        with pytest.raises(CheckpointMismatch, match=f"was begun with {message}"):
            other(begun)
    # What changes nothing in the result may change.
    train(begun, TrainingSettings(**{**EVERY_20.__dict__, "checkpoint_every": 60}))


def test_checkpoints_of_an_earlier_version_are_refused(begun):
    (begun / "training.json").unlink()
    with pytest.raises(CheckpointMismatch, match=r"no readable training\.json"):
        train(begun, EVERY_20)


@pytest.mark.slow
def test_a_training_that_saved_nothing_can_be_replaced(tmp_path):
    with pytest.raises(Crash):
        train(tmp_path, report=crash_at(20))
    train_prior(FIELDS + 1, SETTINGS, TRAINING, folder=tmp_path, key=jr.key(0))
    np.testing.assert_array_equal(loss_curve(tmp_path)[0], [20, 40, 60])


def test_the_log_of_a_killed_run_has_every_step_once(trained, tmp_path):
    training = TrainingSettings(**{**TRAINING.__dict__, "checkpoint_every": 40})
    with pytest.raises(Crash):
        train(tmp_path, training, report=crash_at(60))  # saved at 40, logged to 60
    log = tmp_path / "training.jsonl"
    log.write_text(log.read_text() + '{"step": 80, "los')
    np.testing.assert_array_equal(loss_curve(tmp_path)[0], [20, 40, 60])
    train(tmp_path, training)
    np.testing.assert_array_equal(loss_curve(tmp_path), loss_curve(trained[0]))


def test_weights_of_another_model(trained, tmp_path):
    folder = tmp_path / "copy"
    folder.mkdir()
    (folder / "weights").symlink_to(trained[0] / "weights")
    settings = json.loads((trained[0] / "settings.json").read_text())
    (folder / "settings.json").write_text(json.dumps(settings | {"channels": [16]}))
    with pytest.raises(CheckpointMismatch, match="holds another model"):
        load_prior(folder)


def test_grids_that_do_not_fit():
    with pytest.raises(ValueError, match=r"a grid of \(18,\) points is not divisible by .* = 4"):
        build_denoiser(PriorSettings(1, (18,), channels=(8, 8), patch=2), key=jr.key(0))


def test_two_dimensions_and_one_padding_for_all():
    denoiser = build_denoiser(PriorSettings(2, (8, 8), channels=(8,), n_blocks=1, patch=2), key=jr.key(0))
    x = np.random.default_rng(1).normal(size=(2, 8, 8)).astype(np.float32)
    # Untrained: the best linear guess c_skip·x.
    np.testing.assert_allclose(eqx.filter_jit(denoiser)(x, jnp.asarray(2.0)), x / 5, rtol=1e-5)


@pytest.mark.parametrize(
    ("file", "advice"),
    [
        ("settings.json", "holds the prior of a climate run.*`subgrid.load` of the folder around it"),
        ("bridge.json", "holds a fitted bridge, which is no prior"),
    ],
)
def test_models_of_another_kind_are_distinguished(file, advice, tmp_path):
    (tmp_path / file).write_text('{"format": 2, "refinement": {}}')
    with pytest.raises(DataError, match=advice):
        load_prior(tmp_path)
