"""The vision transformer comes near the conditional mean of Gaussian fields, and its folder is itself or refused."""

import dataclasses
import json

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from subgrid.data.fields import DataError
from subgrid.downscaling.baselines.vision_transformer import (
    FORMAT,
    VisionTransformerSettings,
    is_vision_transformer,
    load_vision_transformer,
    train_vision_transformer,
)
from subgrid.downscaling.prior.training import TrainingSettings
from subgrid.networks.vit import ViTSettings
from subgrid.numerics.operators import BlockMean, Subsample
from subgrid.training.checkpoint import CheckpointMismatch
from subgrid.types import Upsampler

N, FACTOR, KEY = 16, 4, jr.key(0)
OPERATOR = Subsample((N,), FACTOR)
SETTINGS = VisionTransformerSettings(ViTSettings(patch=1, width=32, n_layers=2, heads=4))
TRAINING = TrainingSettings(
    n_steps=160, batch_size=64, learning_rate=5e-3, warmup=20, ema_decay=0.98, translation_invariant=True
)
SHORT = dataclasses.replace(TRAINING, n_steps=40, steps_per_dispatch=10, checkpoint_every=20)
DISTANCE = np.abs((np.arange(N)[:, None] - np.arange(N) + N // 2) % N - N // 2)
COVARIANCE = 9 * (0.5 * 0.8**DISTANCE + 0.5 * 0.7**DISTANCE * np.cos(2 * np.pi * DISTANCE / 8))
"""Waves of length 8 beside slow ones: between points 4 apart cubic interpolation gets them wrong."""


def fields(n: int, seed: int) -> np.ndarray:
    white = np.random.default_rng(seed).normal(size=(n, N))
    values, vectors = np.linalg.eigh(COVARIANCE)
    return (20 + white @ (vectors * np.sqrt(np.maximum(values, 0))).T)[:, None].astype(np.float32)


FIELDS, NEW = fields(2000, 0), fields(2000, 1)
COARSE = np.asarray(OPERATOR(jnp.asarray(NEW)))
MATRIX = np.asarray(jax.jit(jax.vmap(OPERATOR))(np.eye(N, dtype=np.float32))).T
GAIN = COVARIANCE @ MATRIX.T @ np.linalg.inv(MATRIX @ COVARIANCE @ MATRIX.T)
LEFT = np.trace(COVARIANCE - GAIN @ MATRIX @ COVARIANCE) / N
"""The exact conditional variance, a point."""


def train(folder, training=SHORT, operator=OPERATOR, **options):
    return train_vision_transformer(FIELDS, operator, SETTINGS, training, **{"key": KEY, "folder": folder, **options})


def upsampled(model, coarse) -> np.ndarray:
    return np.asarray(eqx.filter_jit(jax.vmap(lambda y: model(y, key=KEY)))(jnp.asarray(coarse)))


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    folder = tmp_path_factory.mktemp("vision transformer")
    return folder, train(folder)


def test_it_comes_near_the_conditional_mean_and_is_no_better(tmp_path):
    model = train(tmp_path, TRAINING)
    assert isinstance(model, Upsampler)
    exact = 20 + (COARSE - 20) @ GAIN.T
    ours, cubic = upsampled(model, COARSE), np.asarray(eqx.filter_jit(model.interpolate)(jnp.asarray(COARSE)))
    off, of_cubic = (float(np.mean((x - exact) ** 2)) for x in (ours, cubic))
    # Measured .5 % after 160 steps; cubic interpolation is 19 % off.
    assert off < 0.03 * LEFT
    assert of_cubic > 0.1 * LEFT
    # n fields of d points, of which those between the coarse ones have errors: their mean square is known to √(2/nd_e),
    # d_e ≥ 4 as neighbours' errors are alike.
    error = float(np.mean((ours - NEW) ** 2))
    assert error > LEFT * (1 - 4 * np.sqrt(2 / (4 * len(NEW))))
    assert error == pytest.approx(LEFT + off, rel=4 * np.sqrt(2 / (4 * len(NEW))))


def test_untrained_it_is_cubic_interpolation_in_physical_units(short):
    _, model = short
    silent = eqx.tree_at(lambda m: m.network.head, model, replace_fn=lambda h: jax.tree.map(jnp.zeros_like, h))
    coarse = COARSE[:3]
    np.testing.assert_allclose(upsampled(silent, coarse), model.interpolate(jnp.asarray(coarse)), rtol=1e-5)


def test_what_is_loaded_is_what_was_trained_whatever_the_key(short):
    folder, model = short
    assert is_vision_transformer(folder)
    loaded, y = load_vision_transformer(folder, Subsample((N,), FACTOR)), jnp.asarray(COARSE[0])
    run = eqx.filter_jit(lambda model, key: model(y, key=key))
    np.testing.assert_array_equal(run(loaded, jr.key(7)), run(model, KEY))


class Crash(Exception):
    pass


def crash_at(last):
    def report(step, metrics):
        if step == last:
            raise Crash

    return report


def test_a_training_that_was_stopped_ends_with_the_same_bits(short, tmp_path):
    with pytest.raises(Crash):
        train(tmp_path, report=crash_at(30))
    assert not is_vision_transformer(tmp_path)
    y = jnp.asarray(COARSE[0])
    np.testing.assert_array_equal(train(tmp_path)(y, key=KEY), short[1](y, key=KEY))


def test_another_coarsening_and_another_key_are_refused(short, tmp_path):
    folder, _ = short
    for other in (BlockMean((N,), FACTOR), Subsample((N,), 2)):
        with pytest.raises(DataError, match="Subsample of 16 to 4 points"):
            load_vision_transformer(folder, other)
    with pytest.raises(CheckpointMismatch):
        train(folder, key=jr.key(1))
    with pytest.raises(DataError, match="no trained vision transformer"):
        load_vision_transformer(tmp_path, OPERATOR)
    (tmp_path / "vision_transformer.json").write_text(json.dumps({"format": FORMAT + 1}))
    with pytest.raises(CheckpointMismatch, match="train it again"):
        load_vision_transformer(tmp_path, OPERATOR)
    (tmp_path / "vision_transformer.json").write_text(json.dumps({"format": FORMAT}))
    with pytest.raises(DataError, match="not a model description"):
        load_vision_transformer(tmp_path, OPERATOR)


def test_grids_that_do_not_fit_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"C' maps from \(32,\)"):
        train(tmp_path, operator=Subsample((32,), 4))
    square = np.zeros((4, 1, 8, 8), np.float32)
    square[0] = 1.0
    with pytest.raises(ValueError, match=r"one factor for all axes, got \(2, 4\)"):
        train_vision_transformer(square, Subsample((8, 8), (2, 4)), SETTINGS, SHORT, folder=tmp_path, key=KEY)
