"""A network as a velocity: fields and their context side by side as channels, time as the network's coordinate."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Scalar


class NetworkVelocity(eqx.Module):
    """v(x, t, context) = scale · network([x, context], t).

    **Arguments:** `network(features, t)`, whose leading axis takes the channels of x and of the context and gives back
    those of x; `scale`, the size of the velocities that a network of unit outputs should learn (1 for normalised
    fields).
    """

    network: eqx.Module
    scale: float = eqx.field(static=True, default=1.0)

    def __call__(
        self, x: Float[Array, "*shape"], t: Scalar, context: Float[Array, "*context"] | None = None
    ) -> Float[Array, "*shape"]:
        features = x if context is None else jnp.concatenate([x, context])
        return self.scale * self.network(features, t)  # pyright: ignore[reportCallIssue]
