"""A training of two players that diverges leaves the last good weights, as a model that says so."""

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
import pytest

from subgrid.downscaling.baselines import CycleGANSettings
from subgrid.downscaling.baselines.unpaired import archives_of, blank_grid, load_model, train_players
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


def test_the_last_good_weights_can_be_opened(tmp_path):
    archives = archives_of(FIELDS[..., ::4], FIELDS, OPERATOR, None)
    players = Players(Offset(jnp.zeros(())), Offset(jnp.zeros(())))
    with pytest.raises(TrainingDiverged, match="the checkpoint of step 6 is kept"):
        train_players(
            players,
            rising,
            optax.sgd(0.1),
            archives,
            SETTINGS,
            kind="pair",
            build=lambda trained: Model(archives.grid, trained.generator),
            folder=tmp_path,
            report=None,
            key=jr.key(0),
        )
    blank = lambda settings, n_channels: Model(blank_grid(OPERATOR, n_channels), Offset(jnp.zeros(())))  # noqa: E731
    with pytest.warns(UserWarning, match="last good weights, as the loss became nan before step 7"):
        model = load_model(tmp_path, "pair", OPERATOR, blank=blank)
    assert 0 < float(model.generator.value) <= 0.55
