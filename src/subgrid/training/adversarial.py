"""Two players in one training: a generator and a critic, each with its own loss and its own optimiser.

`fit` trains one model by one loss. Here the model is the pair, and the loss the sum of both, where each player sees the
other held fixed: the gradient of the sum is then the pair of gradients of simultaneous play, and resuming, averaging
and stopping at the first value that is not finite are those of `fit`.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import optax
from jaxtyping import Scalar

from subgrid.training.steps import is_trained
from subgrid.types import Key, PyTree

PlayerLoss = Callable[[Any, Any, Any, Key], Scalar]
"""loss(generator, critic, batch, key), of one of the two."""


class Players(eqx.Module):
    """What is trained against each other; either may be any tree of modules, such as two generators.

    Args:
        generator: makes samples.
        critic: tells them from the data.
    """

    generator: Any
    critic: Any


def adversarial_loss(generator_loss: PlayerLoss, critic_loss: PlayerLoss) -> Callable[[Players, Any, Key], Scalar]:
    """L_G(G, D held fixed) + L_D(G held fixed, D), both on the same batch and the same noise.

    Args:
        generator_loss: L_G(generator, critic, batch, key), lowered by the generator.
        critic_loss: L_D(generator, critic, batch, key), lowered by the critic.

    Returns:
        The loss of `fit`, of `Players`. Its value is the sum of both; its gradient with respect to either player is
        that of the player's own loss.

    References:
        Mescheder, Geiger & Nowozin (2018), arXiv:1801.04406, on simultaneous gradients.

    Examples:
        >>> loss = adversarial_loss(generator_loss, critic_loss)
        >>> players = fit(Players(generator, critic), loss, data, draw, schedule, key=key)
    """

    def loss(players: Players, batch: Any, key: Key) -> Scalar:
        generator, critic = players.generator, players.critic
        of_generator = generator_loss(generator, held_fixed(critic), batch, key)
        return of_generator + critic_loss(held_fixed(generator), critic, batch, key)

    return loss


def held_fixed(model: Any) -> Any:
    """The same model, through whose weights no gradient flows.

    Args:
        model: any tree of modules.

    Returns:
        The model.
    """
    return jax.tree.map(lambda leaf: jax.lax.stop_gradient(leaf) if is_trained(leaf) else leaf, model)


def two_optimisers(
    generator: optax.GradientTransformation, critic: optax.GradientTransformation
) -> optax.GradientTransformation:
    """An optimiser of `Players` that leaves each player to its own.

    Args:
        generator: optimiser of the generator.
        critic: optimiser of the critic.

    Returns:
        The optimiser, for `TrainingSchedule`.

    Examples:
        >>> schedule = TrainingSchedule(1000, two_optimisers(optax.adam(2e-4, b1=0.5), optax.adam(2e-4, b1=0.5)))
    """

    def labels(players: PyTree) -> PyTree:
        of = lambda part, name: jax.tree.map(lambda _: name, part)  # noqa: E731
        return Players(of(players.generator, "generator"), of(players.critic, "critic"))

    return optax.partition({"generator": generator, "critic": critic}, labels)
