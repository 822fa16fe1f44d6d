"""The dynamic Schrödinger bridge: two drifts, the regressions that fit them, and sampling both ways.

P* = argmin KL(P | Q) over processes with P₀ = π₀, P₁ = π₁, where Q is σ·Brownian motion. A *reciprocal* process joins
pairs (X₀, X₁) by Brownian bridges,

    X_t = (1 − t) X₀ + t X₁ + σ√(t(1 − t)) Z,

and its *Markovian projection* is the diffusion with drift E[(X₁ − X_t)/(1 − t) | X_t] forwards in time and
E[(X₀ − X_t)/t | X_t] backwards. Only P* is both at once (Shi, De Bortoli, Campbell & Doucet 2023, arXiv:2303.16852).
"""

from typing import Any, Literal, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, Scalar

from subgrid.numerics.integration import euler_maruyama, euler_maruyama_path
from subgrid.numerics.noise import standard_normal
from subgrid.numerics.stratified import stratified_uniforms
from subgrid.transport.ends import Pairs
from subgrid.transport.gaussian_bridge import require_positive_sigma
from subgrid.transport.interpolants import LinearInterpolant, interpolate
from subgrid.types import Key

Direction: TypeAlias = Literal["forward", "backward"]

GRADING = 1.5
"""How fast the steps of the simulation shrink towards its end; 1 for equal steps.

The last step draws no noise, which leaves out a variance of σ²h. With 20 equal steps between unit Gaussians (d = 50,
σ = 1) that alone moves the exact fixed point of iterative Markovian fitting by a mean KL of 4.9e-3, half of what is
published for trained bridges; with 1.5, whose last step is 1/90, by 1.4e-3, and Euler's own error is no larger.
"""


class Bridge(eqx.Module):
    """The drifts of a bridge: `forward`, dX = v_f dt + σ dW from t = 0; `backward`, dX = v_b ds + σ dW from t = 1.

    The backward drift belongs to s = 1 − t but is a function of t, as both are: `drift(x, t, context)`.

    Args:
        forward: v_f.
        backward: v_b.
        sigma: σ > 0, of the reference motion.

    Raises:
        ValueError: σ ≤ 0.
    """

    forward: Any
    backward: Any
    sigma: float = eqx.field(static=True)

    def __check_init__(self):
        require_positive_sigma(self.sigma)


def bridge_point(pairs_x0: Array, pairs_x1: Array, t: Scalar, noise: Array, sigma: float) -> Array:
    """X_t = (1 − t) x₀ + t x₁ + σ√(t(1 − t)) Z of the Brownian bridge between two points.

    Args:
        pairs_x0: x₀.
        pairs_x1: x₁, of the same shape.
        t: time in [0, 1].
        noise: Z, standard normal, of the same shape.
        sigma: σ ≥ 0.

    Returns:
        X_t, of the same shape.
    """
    return interpolate(LinearInterpolant(sigma)(t), pairs_x0, pairs_x1, noise)


def drift_loss(
    drift: Any, pairs: Pairs, *, direction: Direction, sigma: float, time_margin: float = 1e-3, key: Key
) -> Scalar:
    """The regression of a Markovian projection, weighted so that the targets vary equally little at every time.

        forward   E (1−t)/σ² ‖v(X_t, t) − (X₁ − X_t)/(1 − t)‖²/d,      backward  E t/σ² ‖v(X_t, t) − (X₀ − X_t)/t‖²/d

    Given the pair, the forward target varies by σ² t/(1 − t), without bound at the far end; the weight makes that at
    most 1. t is stratified on (δ, 1 − δ).

    Args:
        drift: v(x, t, context).
        pairs: endpoints of the reciprocal process, with their context.
        direction: "forward" or "backward".
        sigma: σ > 0 of the bridge.
        time_margin: δ, default 1e-3.
        key: random key.

    Returns:
        A scalar, the mean over the pairs.

    References:
        Shi, De Bortoli, Campbell & Doucet (2023), arXiv:2303.16852.
    """
    time_key, noise_key = jr.split(key)
    n = len(pairs.x0)
    t = time_margin + (1 - 2 * time_margin) * stratified_uniforms(n, key=time_key)
    z = standard_normal(pairs.x0.shape, pairs.x0.dtype, key=noise_key)

    def error(x0, x1, context, t, z):
        x = bridge_point(x0, x1, t, z, sigma)
        end, left = (x1, 1 - t) if direction == "forward" else (x0, t)
        return jnp.mean((jnp.sqrt(left) * drift(x, t, context) - (end - x) / jnp.sqrt(left)) ** 2) / sigma**2

    return jnp.mean(jax.vmap(error)(pairs.x0, pairs.x1, pairs.context, t, z))


def bridge_times(direction: Direction, n_steps: int, *, grading: float = GRADING) -> Float[Array, " time"]:
    """n + 1 times, rising for forward and falling for backward, whose steps shrink towards the end that is sampled.

        forward   t_i = 1 − (1 − i/n)^p,      backward   t_i = (1 − i/n)^p

    Args:
        direction: "forward" or "backward".
        n_steps: n ≥ 1.
        grading: p ≥ 1, default 1.5; 1 for equal steps.

    Returns:
        The times, from one end of [0, 1] to the other.

    Raises:
        ValueError: another direction, no step, or p < 1.

    Examples:
        >>> bridge_times("forward", 20, grading=1.0)  # 0, .05, … 1
    """
    if direction not in ("forward", "backward"):
        raise ValueError(f'direction must be "forward" or "backward", got {direction!r}.')
    if n_steps < 1:
        raise ValueError(f"n_steps must be at least 1, got {n_steps}.")
    if grading < 1:
        raise ValueError(f"grading must be at least 1 (equal steps), got {grading}.")
    left = jnp.linspace(1.0, 0.0, n_steps + 1) ** grading
    return 1 - left if direction == "forward" else left


def sample_bridge(
    drift: Any,
    x: Float[Array, "*shape"],
    context: Any = None,
    *,
    direction: Direction,
    sigma: float,
    n_steps: int = 30,
    grading: float = GRADING,
    key: Key,
) -> Float[Array, "*shape"]:
    """The other end of the bridge from x, by Euler–Maruyama with no noise on the last step.

    Args:
        drift: v(x, t, context) of the direction.
        x: at t = 0 for forward, at t = 1 for backward.
        context: given to the drift, default none.
        direction: "forward" or "backward".
        sigma: σ > 0 of the bridge.
        n_steps: default 30.
        grading: p of `bridge_times`, default 1.5.
        key: random key.

    Returns:
        The other end, of the shape of `x`.

    Raises:
        ValueError: σ ≤ 0; and as `bridge_times`.

    Examples:
        >>> fine = sample_bridge(bridge.backward, coarse, direction="backward", sigma=bridge.sigma, key=key)
    """
    require_positive_sigma(sigma)
    rate, times = _in_rising_time(drift, context, direction), bridge_times(direction, n_steps, grading=grading)
    return euler_maruyama(rate, x, times, diffusion=sigma, key=key)


def sample_bridge_path(
    drift: Any,
    x: Float[Array, "*shape"],
    context: Any = None,
    *,
    direction: Direction,
    sigma: float,
    times: Float[Array, " time"],
    noise_at_end: bool = False,
    key: Key,
) -> Float[Array, "time *shape"]:
    """All states of `sample_bridge`, at the times of its steps.

    Args:
        drift: v(x, t, context) of the direction.
        x: at t = 0 for forward, at t = 1 for backward.
        context: given to the drift, default none.
        direction: "forward" or "backward".
        sigma: σ > 0 of the bridge.
        times: from one end to the other, of `bridge_times(direction, n_steps)`.
        noise_at_end: whether the last step draws noise too, default not.
        key: random key.

    Returns:
        The path, `x` first.

    Raises:
        ValueError: σ ≤ 0.

    Examples:
        >>> times = bridge_times("forward", 20)
        >>> path = sample_bridge_path(bridge.forward, x, direction="forward", sigma=0.5, times=times, key=key)
    """
    require_positive_sigma(sigma)
    rate = _in_rising_time(drift, context, direction)
    return euler_maruyama_path(rate, x, times, diffusion=sigma, noise_at_end=noise_at_end, key=key)


class ProbabilityFlow(eqx.Module):
    """½(v_f − v_b), the velocity of the deterministic map between the ends with the marginals of a bridge.

    Args:
        bridge: both drifts.

    Examples:
        >>> debiased = flow_map(ProbabilityFlow(bridge))(coarse)
    """

    bridge: Bridge

    def __call__(self, x: Float[Array, "*shape"], t: Any, context: Any = None) -> Float[Array, "*shape"]:
        return (self.bridge.forward(x, t, context) - self.bridge.backward(x, t, context)) / 2


def _in_rising_time(drift: Any, context: Any, direction: Direction):
    sign = 1.0 if direction == "forward" else -1.0
    return lambda x, t: sign * drift(x, t, context)
