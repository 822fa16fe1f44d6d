"""Fixed-step integration of dx = v(x, t) dt and dx = v(x, t) dt + g dW over a grid of times, rising or falling.

One `lax.scan`; a method is a function of one step. Adaptive steps and dense output are diffrax's business.
"""

from collections.abc import Callable
from typing import TypeAlias

import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, Scalar

from subgrid.numerics.noise import standard_normal
from subgrid.types import Key

Rate: TypeAlias = Callable[[Array, Array], Array]
"""v(x, t), of the shape of x."""
Step: TypeAlias = Callable[[Rate, Array, Array, Array], Array]
"""(v, x, t, t′) → x at t′."""


def euler_step(rate: Rate, x: Float[Array, "*shape"], t: Scalar, t_next: Scalar) -> Float[Array, "*shape"]:
    """One Euler step, first order with one evaluation: x′ = x + h v(x, t), h = t′ − t.

    Args:
        rate: v(x, t), of the shape of x.
        x: the state at t.
        t: where the step begins.
        t_next: where it ends, before or after t.

    Returns:
        The state at t_next.
    """
    return x + (t_next - t) * rate(x, t)


def heun_step(rate: Rate, x: Float[Array, "*shape"], t: Scalar, t_next: Scalar) -> Float[Array, "*shape"]:
    """One step of the trapezoidal rule with an Euler predictor, second order with two evaluations.

    x′ = x + ½h (v(x, t) + v(x + h v(x, t), t′)), h = t′ − t.

    Args:
        rate: v(x, t), of the shape of x.
        x: the state at t.
        t: where the step begins.
        t_next: where it ends, before or after t.

    Returns:
        The state at t_next.
    """
    h, slope = t_next - t, rate(x, t)
    return x + h / 2 * (slope + rate(x + h * slope, t_next))


def midpoint_step(rate: Rate, x: Float[Array, "*shape"], t: Scalar, t_next: Scalar) -> Float[Array, "*shape"]:
    """One step of the midpoint rule, second order with two evaluations, none of them at t′.

    x′ = x + h v(x + ½h v(x, t), t + ½h), h = t′ − t. The method of choice where v is singular at the far end.

    Args:
        rate: v(x, t), of the shape of x.
        x: the state at t.
        t: where the step begins.
        t_next: where it ends, before or after t.

    Returns:
        The state at t_next.
    """
    h = t_next - t
    return x + h * rate(x + h / 2 * rate(x, t), t + h / 2)


def runge_kutta_step(rate: Rate, x: Float[Array, "*shape"], t: Scalar, t_next: Scalar) -> Float[Array, "*shape"]:
    """One step of the classical Runge–Kutta rule, fourth order with four evaluations.

    x′ = x + h/6 (k₁ + 2k₂ + 2k₃ + k₄), h = t′ − t.

    Args:
        rate: v(x, t), of the shape of x.
        x: the state at t.
        t: where the step begins.
        t_next: where it ends, before or after t.

    Returns:
        The state at t_next.
    """
    h, middle = t_next - t, (t + t_next) / 2
    k1 = rate(x, t)
    k2 = rate(x + h / 2 * k1, middle)
    k3 = rate(x + h / 2 * k2, middle)
    k4 = rate(x + h * k3, t_next)
    return x + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)


def integrate_path(
    rate: Rate, x: Float[Array, "*shape"], times: Float[Array, " time"], *, step: Step = heun_step
) -> Float[Array, "time *shape"]:
    """The solution of dx/dt = v(x, t) at all `times`.

    Args:
        rate: v(x, t), of the shape of x.
        x: the state at the first of the times.
        times: rising or falling; one step leads from each to the next.
        step: the method, `heun_step` by default.

    Returns:
        The states at all times, x itself first.

    Examples:
        >>> path = integrate_path(lambda x, t: -x, jnp.ones(1), jnp.linspace(0, 1, 33))
        >>> path[-1]  # 1/e
    """

    def body(x, interval):
        reached = step(rate, x, *interval)
        return reached, reached

    _, rest = jax.lax.scan(body, x, (times[:-1], times[1:]))
    return jnp.concatenate([x[None], rest])


def integrate(
    rate: Rate, x: Float[Array, "*shape"], times: Float[Array, " time"], *, step: Step = heun_step
) -> Float[Array, "*shape"]:
    """The end of `integrate_path`, without the memory of the path.

    Args:
        rate: v(x, t), of the shape of x.
        x: the state at the first of the times.
        times: rising or falling; one step leads from each to the next.
        step: the method, `heun_step` by default.

    Returns:
        The state at the last of the times.

    Examples:
        >>> integrate(lambda x, t: -x, jnp.ones(1), jnp.linspace(0, 1, 33))  # 1/e
    """
    advance = lambda x, interval: (step(rate, x, *interval), None)  # noqa: E731
    return jax.lax.scan(advance, x, (times[:-1], times[1:]))[0]


def euler_maruyama(
    drift: Rate,
    x: Float[Array, "*shape"],
    times: Float[Array, " time"],
    *,
    diffusion: Callable[[Scalar], Scalar] | float,
    noise_at_end: bool = False,
    key: Key,
) -> Float[Array, "*shape"]:
    """The end of a path of dx = v(x, t) dt + g(t) dW over `times`, by steps x + h v + g √|h| ξ.

    Args:
        drift: v(x, t), of the shape of x.
        x: the state at the first of the times.
        times: rising or falling; if they fall, v is still dx/dt, the slope in rising time.
        diffusion: g(t), or a constant.
        noise_at_end: whether the last step draws noise. Without it the end is the mean of where that step leads, as
            samplers want it.
        key: random key.

    Returns:
        The state at the last of the times.

    Examples:
        >>> drift = lambda x, t: -x
        >>> euler_maruyama(drift, jnp.zeros(1), jnp.linspace(0, 5, 501), diffusion=2**0.5, key=key)  # nearly N(0, 1)
    """
    step, inputs = _noisy_steps(drift, times, diffusion, noise_at_end, x.dtype, key)
    return jax.lax.scan(lambda x, each: (step(x, each), None), x, inputs)[0]


def euler_maruyama_path(
    drift: Rate,
    x: Float[Array, "*shape"],
    times: Float[Array, " time"],
    *,
    diffusion: Callable[[Scalar], Scalar] | float,
    noise_at_end: bool = False,
    key: Key,
) -> Float[Array, "time *shape"]:
    """The whole path of `euler_maruyama`, start included, with the same draws.

    Args:
        drift: v(x, t), of the shape of x.
        x: the state at the first of the times.
        times: rising or falling; if they fall, v is still dx/dt, the slope in rising time.
        diffusion: g(t), or a constant.
        noise_at_end: whether the last step draws noise. Without it the end is the mean of where that step leads, as
            samplers want it.
        key: random key.

    Returns:
        The states at all times, x itself first.

    Examples:
        >>> path = euler_maruyama_path(lambda x, t: -x, jnp.zeros(1), jnp.linspace(0, 5, 501), diffusion=1.0, key=key)
        >>> path.shape
        (501, 1)
    """
    step, inputs = _noisy_steps(drift, times, diffusion, noise_at_end, x.dtype, key)

    def body(x, each):
        moved = step(x, each)
        return moved, moved

    _, rest = jax.lax.scan(body, x, inputs)
    return jnp.concatenate([x[None], rest])


def _noisy_steps(drift, times, diffusion, noise_at_end, dtype, key):
    """The function of one step, and what it takes at each: both times, whether there is noise, and a key."""
    g = diffusion if callable(diffusion) else lambda t: jnp.asarray(diffusion, dtype)
    n_steps = times.shape[0] - 1
    noisy = jnp.arange(n_steps) < n_steps - (0 if noise_at_end else 1)

    def step(x, each):
        t, t_next, scale, k = each
        noise = scale * g(t) * jnp.sqrt(jnp.abs(t_next - t)) * standard_normal(x.shape, dtype, key=k)
        return x + (t_next - t) * drift(x, t) + noise

    return step, (times[:-1], times[1:], noisy.astype(dtype), jr.split(key, n_steps))
