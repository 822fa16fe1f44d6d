"""Discrete-time diffusion: the DDPM chain with ancestral sampling, and DDIM over a sub-sequence of its steps.

Here x_t is the *scaled* variable, x_t = √ᾱ_t x₀ + √(1 − ᾱ_t) ε, and the network predicts ε from (x_t, t),
t = 0 … T−1. `as_denoiser` turns it into the continuous contract, so guidance and samplers apply to it too.
"""

from collections.abc import Callable
from typing import Literal, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, Int, Scalar

from subgrid.numerics.noise import standard_normal
from subgrid.types import Denoiser, Key

NoisePredictor: TypeAlias = Callable[[Array, Array], Array]


class Schedule(eqx.Module):
    """The variances β_t of a chain and their products ᾱ_t = Π_{i≤t}(1 − β_i).

    Args:
        betas: β_t for t = 0 … T−1, each in (0, 1).
    """

    betas: Float[Array, " time"]
    """β_t."""
    alpha_bars: Float[Array, " time"]
    """ᾱ_t, decreasing."""

    def __init__(self, betas: Float[Array, " time"]):
        self.betas = betas
        self.alpha_bars = jnp.exp(jnp.cumsum(jnp.log1p(-betas)))


def linear_schedule(n_steps: int = 1000, beta_min: float = 1e-4, beta_max: float = 0.02) -> Schedule:
    """A schedule with β_t equally spaced from `beta_min` to `beta_max`.

    Args:
        n_steps: T, default 1000.
        beta_min: β₀, default 1e-4.
        beta_max: β_{T−1}, default 0.02.

    Returns:
        The schedule of T steps.

    References:
        Ho, Jain & Abbeel (2020), arXiv:2006.11239; the defaults are theirs.

    Examples:
        >>> linear_schedule().alpha_bars[-1]  # 4e-5: x_{T−1} is nearly pure noise
    """
    return Schedule(jnp.linspace(beta_min, beta_max, n_steps))


def cosine_schedule(n_steps: int = 1000, offset: float = 0.008, beta_limit: float = 0.999) -> Schedule:
    """A schedule with ᾱ_t ∝ cos²(½π (t/T + o)/(1 + o)).

    Args:
        n_steps: T, default 1000.
        offset: o, default 0.008.
        beta_limit: largest β_t, default 0.999; larger ones are clipped to it.

    Returns:
        The schedule of T steps.

    References:
        Nichol & Dhariwal (2021), arXiv:2102.09672.

    Examples:
        >>> schedule = cosine_schedule(100)
    """
    time = jnp.arange(n_steps + 1) / n_steps
    alpha_bar = jnp.cos(0.5 * jnp.pi * (time + offset) / (1 + offset)) ** 2
    return Schedule(jnp.clip(1 - alpha_bar[1:] / alpha_bar[:-1], 0.0, beta_limit))


def noise_prediction_loss(
    predict_noise: NoisePredictor, schedule: Schedule, batch: Float[Array, "batch *shape"], *, key: Key
) -> Scalar:
    """The mean squared error of the predicted noise, E_t ‖ε − ε̂(x_t, t)‖²/d with t uniform on 0 … T−1.

    Args:
        predict_noise: ε̂(x_t, t), of one field in the scaled variable.
        schedule: of the chain.
        batch: clean normalised fields x₀.
        key: random key.

    Returns:
        A scalar, the mean over the batch; 1 for ε̂ = 0.

    References:
        Ho, Jain & Abbeel (2020), arXiv:2006.11239, Eq. 14.
    """
    time_key, noise_key = jr.split(key)
    times = jr.randint(time_key, batch.shape[:1], 0, schedule.betas.shape[0])
    noise = standard_normal(batch.shape, batch.dtype, key=noise_key)

    def error(x0, t, eps):
        alpha_bar = schedule.alpha_bars[t]
        return jnp.mean((predict_noise(jnp.sqrt(alpha_bar) * x0 + jnp.sqrt(1 - alpha_bar) * eps, t) - eps) ** 2)

    return jnp.mean(jax.vmap(error)(batch, times, noise))


def ancestral_sample(
    predict_noise: NoisePredictor,
    schedule: Schedule,
    x: Float[Array, "*shape"],
    *,
    variance: Literal["beta", "posterior"] = "posterior",
    key: Key,
) -> Float[Array, "*shape"]:
    """A sample by all steps of the chain, from t = T−1 down to 0, without noise at the last step.

        x_{t−1} = (x_t − β_t/√(1 − ᾱ_t)·ε̂)/√(1 − β_t) + σ_t ξ

    Args:
        predict_noise: ε̂(x_t, t).
        schedule: of the chain.
        x: the start, a draw of N(0, I).
        variance: "beta" for σ_t² = β_t; "posterior" (default) for σ_t² = β_t(1 − ᾱ_{t−1})/(1 − ᾱ_t).
        key: random key.

    Returns:
        A sample, of the shape of `x`. T evaluations.

    References:
        Ho, Jain & Abbeel (2020), arXiv:2006.11239, Algorithm 2.

    Examples:
        >>> x = ancestral_sample(predict_noise, schedule, jr.normal(start_key, (1, 64)), key=key)
    """
    previous = jnp.concatenate([jnp.ones(1), schedule.alpha_bars[:-1]])
    posterior = schedule.betas * (1 - previous) / (1 - schedule.alpha_bars)
    variances = (schedule.betas if variance == "beta" else posterior).at[0].set(0.0)

    def step(x, inputs):
        t, k = inputs
        beta, alpha_bar = schedule.betas[t], schedule.alpha_bars[t]
        mean = (x - beta / jnp.sqrt(1 - alpha_bar) * predict_noise(x, t)) / jnp.sqrt(1 - beta)
        return mean + jnp.sqrt(variances[t]) * standard_normal(x.shape, x.dtype, key=k), None

    n = schedule.betas.shape[0]
    return jax.lax.scan(step, x, (jnp.arange(n)[::-1], jr.split(key, n)))[0]


def ddim_sample(
    predict_noise: NoisePredictor,
    schedule: Schedule,
    x: Float[Array, "*shape"],
    *,
    n_steps: int = 50,
    eta: float = 0.0,
    key: Key,
) -> Float[Array, "*shape"]:
    """A sample along n_steps ≤ T of the chain's times (DDIM).

        x_s = √ᾱ_s (x_t − √(1 − ᾱ_t) ε̂)/√ᾱ_t + √(1 − ᾱ_s − σ²) ε̂ + σξ,
        σ = η √((1 − ᾱ_s)/(1 − ᾱ_t) · (1 − ᾱ_t/ᾱ_s))

    Args:
        predict_noise: ε̂(x_t, t).
        schedule: of the chain.
        x: the start, a draw of N(0, I).
        n_steps: 1 to T, default 50; times are equally spaced.
        eta: η, 0 (default) for the deterministic map, 1 for the ancestral variance.
        key: random key, without effect for η = 0.

    Returns:
        A sample, of the shape of `x`. One evaluation a step.

    Raises:
        ValueError: n_steps outside 1 to T.

    References:
        Song, Meng & Ermon (2021), arXiv:2010.02502, Eq. 12.

    Examples:
        >>> x = ddim_sample(predict_noise, schedule, jr.normal(start_key, (1, 64)), n_steps=20, key=key)
    """
    n = schedule.betas.shape[0]
    if not 1 <= n_steps <= n:
        raise ValueError(f"n_steps must be between 1 and the chain's {n}, got {n_steps}.")
    times = jnp.linspace(n - 1, 0, n_steps).round().astype(int)
    bars = schedule.alpha_bars[times]
    bars_next = jnp.append(bars[1:], 1.0)

    def step(x, inputs):
        t, bar, bar_next, k = inputs
        noise = predict_noise(x, t)
        clean = (x - jnp.sqrt(1 - bar) * noise) / jnp.sqrt(bar)
        std = eta * jnp.sqrt((1 - bar_next) / (1 - bar) * (1 - bar / bar_next))
        direction = jnp.sqrt(jnp.maximum(1 - bar_next - std**2, 0.0)) * noise
        return jnp.sqrt(bar_next) * clean + direction + std * standard_normal(x.shape, x.dtype, key=k), None

    return jax.lax.scan(step, x, (times, bars, bars_next, jr.split(key, n_steps)))[0]


def as_denoiser(predict_noise: NoisePredictor, schedule: Schedule) -> Denoiser:
    """The chain's network as D(x, σ) in unscaled variables, at the step whose σ_t = √(1/ᾱ_t − 1) is nearest in ln σ.

        D(x, σ) = x − σ·ε̂(x/√(1 + σ²), t)

    Args:
        predict_noise: ε̂(x_t, t).
        schedule: of the chain.

    Returns:
        A denoiser of fields of any shape that the network takes.

    Examples:
        >>> x = draw(as_denoiser(predict_noise, schedule), (1, 64), karras_grid(32), method=Heun(), key=key)
    """
    sigmas = jnp.sqrt(1 / schedule.alpha_bars - 1)

    def denoise(x, sigma):
        t: Int[Array, ""] = jnp.argmin(jnp.abs(jnp.log(sigmas / sigma)))
        return x - sigma * predict_noise(x / jnp.sqrt(1 + sigma**2), t)

    return denoise
