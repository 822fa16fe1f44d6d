"""A training of two players that diverges leaves the last good weights, as a model that says so."""

import dataclasses
import warnings

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
import pytest

from subgrid.data.fields import DataError
from subgrid.downscaling.baselines import CycleGANSettings
from subgrid.downscaling.baselines.unpaired import Game, archives_of, blank_grid, load_model, train_players
from subgrid.numerics.operators import Subsample
from subgrid.training import Players, TrainingDiverged

OPERATOR = Subsample((16,), 4)
FIELDS = np.random.default_rng(0).normal(size=(8, 1, 16)).astype(np.float32)
SETTINGS = CycleGANSettings(n_steps=20, batch_size=2, steps_per_dispatch=1, checkpoint_every=2)


class Offset(eqx.Module):
    """Any generator."""

    value: jnp.ndarray


class Model(eqx.Module):
    """Any upsampler."""

    grid: eqx.Module
    generator: Offset


def rising(players, batch, key):
    """A loss that falls with the offset, until it is NaN."""
    value = players.generator.value
    return -value + 0 * players.critic.value + jnp.where(value > 0.55, jnp.nan, 0.0)


def train(folder, loss, **changed):
    archives = archives_of(FIELDS[..., ::4], FIELDS, OPERATOR, None)
    game = Game(Players(Offset(jnp.zeros(())), Offset(jnp.zeros(()))), loss, optax.sgd(0.1))
    build = lambda trained: Model(archives.grid, trained.generator)  # noqa: E731
    settings = dataclasses.replace(SETTINGS, **changed)
    return train_players(game, archives, settings, kind="pair", build=build, folder=folder, report=None, key=jr.key(0))


def opened(folder):
    blank = lambda settings, n_channels: Model(blank_grid(OPERATOR, n_channels), Offset(jnp.zeros(())))  # noqa: E731
    return load_model(folder, "pair", OPERATOR, blank=blank)


def test_the_last_weights_that_were_kept_can_be_opened(tmp_path):
    for _ in range(2):  # run again, it diverges again
        with pytest.raises(TrainingDiverged, match="the checkpoint of step 6 is kept") as stopped:
            train(tmp_path, rising)
        assert str(tmp_path) in stopped.value.__notes__[0]
    with pytest.warns(UserWarning, match="did not end, as the loss became nan before step 7"):
        assert 0 < float(opened(tmp_path).generator.value) <= 0.55


def test_without_a_checkpoint_there_is_no_model(tmp_path):
    with pytest.raises(TrainingDiverged, match="no checkpoint was kept"):
        train(tmp_path, rising, checkpoint_every=20)
    with pytest.raises(DataError, match="holds no trained pair"):
        opened(tmp_path)


def test_a_whole_model_says_nothing(tmp_path):
    trained = train(tmp_path, lambda players, batch, key: -players.generator.value + 0 * players.critic.value)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert float(opened(tmp_path).generator.value) == float(trained.generator.value) > 0.55
