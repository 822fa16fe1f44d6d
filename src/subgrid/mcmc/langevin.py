"""Langevin dynamics: one unadjusted step, and the annealed chain over decreasing noise levels."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, Scalar

from subgrid.numerics.noise import standard_normal
from subgrid.types import Key, Score


def ula_step(
    x: Float[Array, "*shape"],
    score: Callable[[Float[Array, "*shape"]], Float[Array, "*shape"]],
    step_size: float | Scalar,
    *,
    key: Key,
) -> Float[Array, "*shape"]:
    """One step of the unadjusted Langevin algorithm, x + τ∇log p(x) + √(2τ)ξ (Roberts & Tweedie 1996)."""
    noise = standard_normal(x.shape, x.dtype, key=key)
    return x + step_size * score(x) + jnp.sqrt(2 * step_size) * noise


def annealed_langevin(
    score: Score,
    x: Float[Array, "*shape"],
    noise_levels: Float[Array, " level"],
    *,
    n_steps: int = 20,
    relative_step: float = 0.1,
    key: Key,
) -> Float[Array, "*shape"]:
    """Langevin chains at σ₀ > σ₁ > …, each started from the end of the one before, then one denoising step.

    The step is τ = relative_step·σ², so every level is crossed in the same number of its own relaxation times
    (Song & Ermon 2019, arXiv:1907.05600, with τ = ε·σ²/2σ_L²).

    **Arguments:** `score(x, σ)`; `x`, the start, of standard deviation about σ₀; `noise_levels`, decreasing;
    `n_steps` a level; `relative_step` (stable below 2); `key`.

    **Returns:** a sample of the shape of `x`.
    """

    def step(x, sigma, key):
        return ula_step(x, lambda z: score(z, sigma), relative_step * sigma**2, key=key)

    def level(x, sigma_and_key):
        sigma, key = sigma_and_key
        return jax.lax.scan(lambda x, k: (step(x, sigma, k), None), x, jr.split(key, n_steps))

    x, _ = jax.lax.scan(level, x, (noise_levels, jr.split(key, noise_levels.shape[0])))
    last = noise_levels[-1]
    return x + last**2 * score(x, last)
