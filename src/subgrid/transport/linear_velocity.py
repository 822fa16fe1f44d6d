"""Velocities that are linear in the field, tabulated in time: the part of a transport that is known in closed form.

Between Gaussians every velocity of this folder is v(x, t) = A(t) x + b(t). A network that is added to the one with
the moments of the data starts from the transport that matches them, and learns only what is not Gaussian.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Scalar

from subgrid.types import Velocity

N_TIMES = 65
TIME_MARGIN = 1e-3
"""How far the table stays from 0 and 1, where drifts of bridges are 0/0."""


class LinearVelocity(eqx.Module):
    """v(x, t) = A(t) x + b(t), linear between equally spaced times. It is not trained.

    Fields are taken apart into vectors of d values: d = all of them for a full matrix, d = 1 for one number.

    Args:
        matrices: A at equally spaced times from 0 to 1.
        offsets: b at those times.
    """

    matrices: Float[Array, "time d d"]
    offsets: Float[Array, "time d"]

    def __call__(self, x: Float[Array, "*shape"], t: Scalar, context: Any = None) -> Float[Array, "*shape"]:
        last = len(self.matrices) - 1
        position = jnp.clip(t * last, 0, last)
        before = jnp.minimum(jnp.floor(position).astype(int), last - 1)
        w = position - before
        A, b = jax.lax.stop_gradient(
            jax.tree.map(lambda part: (1 - w) * part[before] + w * part[before + 1], (self.matrices, self.offsets))
        )
        return (x.reshape(-1, len(b)) @ A.T + b).reshape(x.shape)


class CorrectedVelocity(eqx.Module):
    """v = v_linear + v_learned: a network whose last layer starts at zero starts from the linear transport.

    Args:
        linear: the part that is not trained.
        learned: v(x, t, context), a module such as `NetworkVelocity`.

    Examples:
        >>> velocity = CorrectedVelocity(tabulate(known, d), NetworkVelocity(network))
    """

    linear: LinearVelocity
    learned: Any

    def __call__(self, x: Float[Array, "*shape"], t: Scalar, context: Any = None) -> Float[Array, "*shape"]:
        return self.linear(x, t) + self.learned(x, t, context)


def tabulate(velocity: Velocity, d: int, *, n_times: int = N_TIMES) -> LinearVelocity:
    """The table of a velocity that is linear in vectors of d values.

    Args:
        velocity: v(x, t), linear in x.
        d: size of the vectors.
        n_times: default 65: the error of linear interpolation is then some 1e-3 of velocities that change over the
            whole interval.

    Returns:
        The table; its ends are those at t = 1e-3 and 1 − 1e-3.

    Examples:
        >>> linear = tabulate(gaussian_velocity(LinearInterpolant(), m0, cov0, m1, cov1), len(m0))
    """
    times = jnp.clip(jnp.linspace(0.0, 1.0, n_times), TIME_MARGIN, 1 - TIME_MARGIN)

    def at(t):
        offset = velocity(jnp.zeros(d), t)
        columns = jax.vmap(lambda e: velocity(e, t))(jnp.eye(d)) - offset
        return columns.T, offset

    return LinearVelocity(*jax.jit(lambda times: jax.lax.map(at, times))(times))
