"""A network as a velocity: fields and their context side by side as channels, time as the network's coordinate."""

from typing import Literal

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Scalar


class NetworkVelocity(eqx.Module):
    """v(x, t, context) = scale · network([x, context], t).

    Args:
        network: F(features, t), whose leading axis takes the channels of x and of the context and gives those of x.
        scale: size of the velocities that a network of unit outputs should learn, default 1 (normalised fields).

    Examples:
        >>> velocity = NetworkVelocity(UNet(3, 2, 2, key=key))
    """

    network: eqx.Module
    scale: float = eqx.field(static=True, default=1.0)

    def __call__(
        self, x: Float[Array, "*shape"], t: Scalar, context: Float[Array, "*context"] | None = None
    ) -> Float[Array, "*shape"]:
        features = x if context is None else jnp.concatenate([x, context])
        return self.scale * self.network(features, t)  # pyright: ignore[reportCallIssue]


class NetworkDrift(eqx.Module):
    """The drift of a bridge, so scaled that the network's target varies by about one given the pair, at every time.

        v(x, t, context) = σ network([x, context], t) / √(left + ½δ),    left = 1 − t forwards, t backwards

    Near the end that is left for, the drift has to undo noise of size σ√left within a time left: it grows like
    σ/√left, which a network of smooth outputs would have to learn. `drift_loss` then is the plain mean square of the
    network's own error.

    Args:
        network: F(features, t), as for `NetworkVelocity`.
        direction: "forward" or "backward".
        sigma: σ of the bridge.
        time_margin: δ of the training, within which the growth ends, default 1e-3.

    Examples:
        >>> drift = NetworkDrift(UNet(3, 2, 2, key=key), "backward", 0.5)
    """

    network: eqx.Module
    direction: Literal["forward", "backward"] = eqx.field(static=True)
    sigma: float = eqx.field(static=True)
    time_margin: float = eqx.field(static=True, default=1e-3)

    def __call__(
        self, x: Float[Array, "*shape"], t: Scalar, context: Float[Array, "*context"] | None = None
    ) -> Float[Array, "*shape"]:
        left = 1 - t if self.direction == "forward" else t
        features = x if context is None else jnp.concatenate([x, context])
        output = self.network(features, t)  # pyright: ignore[reportCallIssue]
        return self.sigma * output / jnp.sqrt(left + self.time_margin / 2)
