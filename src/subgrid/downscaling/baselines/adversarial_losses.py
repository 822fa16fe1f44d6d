"""Losses of critics and of those they score, on batches; a critic gives one score or many for one field.

| critic | critic's loss | generator's |
|---|---|---|
| least squares | ½E(D(x) − 1)² + ½E D(x̂)² | E(D(x̂) − 1)² |
| Wasserstein | E D(x̂) − E D(x) + 10·E(√n‖∇D‖ − 1)² | −E D(x̂) |

Where x̂ and x have one distribution the best least-squares critic is ½ everywhere, and its loss and the generator's ¼.
"""

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, Scalar

from subgrid.types import Key

Critic: TypeAlias = Callable[[Any], Any]
CriticKind: TypeAlias = Literal["least-squares", "wasserstein"]
PENALTY = 10.0
"""On gradients, of Gulrajani et al. (2017), arXiv:1704.00028."""


def generator_loss(kind: CriticKind, critic: Critic, fake: Float[Array, "n *shape"]) -> Scalar:
    """How far the critic is from taking generated fields for data."""
    scores = jax.vmap(critic)(fake)
    return jnp.mean((scores - 1) ** 2) if kind == "least-squares" else -jnp.mean(scores)


def critic_loss(
    kind: CriticKind, critic: Critic, fake: Float[Array, "n *shape"], real: Float[Array, "n *shape"], *, key: Key
) -> Scalar:
    """How far the critic is from telling generated fields from data."""
    of_fake, of_real = jax.vmap(critic)(fake), jax.vmap(critic)(real)
    if kind == "least-squares":
        return 0.5 * jnp.mean((of_real - 1) ** 2) + 0.5 * jnp.mean(of_fake**2)
    return jnp.mean(of_fake) - jnp.mean(of_real) + PENALTY * gradient_penalty(critic, fake, real, key=key)


def gradient_penalty(
    critic: Critic, fake: Float[Array, "n *shape"], real: Float[Array, "n *shape"], *, key: Key
) -> Scalar:
    """E(√n‖∇D‖ − 1)² between generated fields and data, n values each.

    The critic then changes by 1 where a field changes by 1 in root mean square: its scores are of the order of a
    likelihood a value, whatever the grid.

    References:
        Gulrajani et al. (2017), arXiv:1704.00028, equation 3, in Euclidean norm.
    """
    part = jr.uniform(key, (len(real), *(1,) * (real.ndim - 1)))
    between = part * real + (1 - part) * fake
    gradients = jax.vmap(jax.grad(lambda x: jnp.mean(critic(x))))(between)
    squares = jnp.sum(gradients**2, tuple(range(1, real.ndim))) * real[0].size
    return jnp.mean((jnp.sqrt(squares + 1e-12) - 1) ** 2)  # the root has no gradient at 0
