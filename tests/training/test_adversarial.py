"""Two players in one training: each lowers its own loss, with its own optimiser."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
import pytest

from subgrid.training import Players, TrainingDiverged, TrainingSchedule, adversarial_loss, fit, two_optimisers


def of_generator(a, b, batch, key):
    return jnp.sum((a["w"] * b["w"] - batch) ** 2)


def of_critic(a, b, batch, key):
    return jnp.sum(jnp.sin(a["w"]) * b["w"] ** 2 + batch)


KEY = jr.key(0)
PAIR = jax.device_put(Players({"w": np.float32([0.3, -1.2])}, {"w": np.float32([0.7, 0.4])}))
BATCH = jax.device_put(np.float32([1.0, 2.0]))


def test_each_player_has_the_gradient_of_its_own_loss_alone():
    gradient = jax.grad(adversarial_loss(of_generator, of_critic))(PAIR, BATCH, KEY)
    own = jax.grad(of_generator, argnums=0)(PAIR.generator, PAIR.critic, BATCH, KEY)
    others = jax.grad(of_critic, argnums=1)(PAIR.generator, PAIR.critic, BATCH, KEY)
    np.testing.assert_array_equal(gradient.generator["w"], own["w"])
    np.testing.assert_array_equal(gradient.critic["w"], others["w"])


def test_each_player_moves_by_its_own_optimiser():
    optimiser = two_optimisers(optax.sgd(0.5), optax.sgd(0.25))
    ones = jax.tree.map(jnp.ones_like, PAIR)
    updates, _ = optimiser.update(ones, optimiser.init(PAIR), PAIR)
    np.testing.assert_array_equal(updates.generator["w"], [-0.5, -0.5])
    np.testing.assert_array_equal(updates.critic["w"], [-0.25, -0.25])


class Shift(eqx.Module):
    by: jax.Array


def play(critic_rate, n_steps=400):
    """A generator x = z + θ against the critic of a regularised game whose only rest is where the means agree."""

    def shift_loss(generator, critic, batch, key):
        return -critic.by * jnp.mean(batch - 3.0 + generator.by)

    def critic_loss(generator, critic, batch, key):  # a penalty on the critic makes simultaneous play converge
        return critic.by * (jnp.mean(batch - 3.0 + generator.by) - jnp.mean(batch)) + 0.5 * critic.by**2

    players = Players(Shift(jnp.asarray(0.0)), Shift(jnp.asarray(0.0)))
    schedule = TrainingSchedule(n_steps, two_optimisers(optax.sgd(0.1), optax.sgd(critic_rate)), ema_decay=0.9)
    data, draw = jr.normal(KEY, (64, 1)), lambda data, key: data
    return fit(players, adversarial_loss(shift_loss, critic_loss), data, draw, schedule, key=KEY)


def test_simultaneous_play_ends_where_the_distributions_agree():
    players = play(0.1)  # θ̇ = c, ċ = −(θ − 3) − c: a damped oscillator that rests at θ = 3, c = 0
    np.testing.assert_allclose([players.generator.by, players.critic.by], [3.0, 0.0], atol=1e-3)


def test_a_game_that_diverges_is_stopped_and_named():
    with pytest.raises(TrainingDiverged, match="became"):
        play(60.0)
