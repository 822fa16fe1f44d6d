"""Limited slopes of finite-volume schemes: second order where a field is smooth, no new extremes where it is not."""

import jax.numpy as jnp
from jaxtyping import Array, Float


def van_leer_mean(a: Float[Array, "*shape"], b: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """The harmonic mean 2ab/(a + b) of two slopes of one sign, else 0.

    It is φ(r)·b with r = a/b and the limiter φ = 2r/(1 + r), without a division by a slope that vanishes.

    Args:
        a: differences on one side.
        b: those on the other side.

    Returns:
        The limited differences.

    References:
        Van Leer (1974), doi:10.1016/0021-9991(74)90019-9.
    """
    same_sign = a * b > 0
    return jnp.where(same_sign, 2 * a * b / jnp.where(same_sign, a + b, 1.0), 0.0)
