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
    """One step of the unadjusted Langevin algorithm, x′ = x + τ∇log p(x) + √(2τ)ξ.

    Args:
        x: the state.
        score: ∇log p, of the shape of x.
        step_size: τ > 0.
        key: random key.

    Returns:
        The next state.

    References:
        Roberts & Tweedie (1996), doi:10.2307/3318418.

    Examples:
        >>> ula_step(x, lambda x: -x, 0.1, key=key)  # towards N(0, I)
    """
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

    The step is τ = relative_step·σ², so every level is crossed in the same number of its own relaxation times. The last
    step is x + σ²∇log p_σ(x) at the last σ.

    Args:
        score: score(x, σ) = ∇log p_σ(x), of the shape of x.
        x: the start, of standard deviation about σ₀.
        noise_levels: σ, decreasing.
        n_steps: of each level, 20 by default.
        relative_step: τ/σ², 0.1 by default; stable below 2.
        key: random key.

    Returns:
        A sample of the shape of x.

    References:
        Song & Ermon (2019), arXiv:1907.05600, with τ = ε·σ²/2σ_L².

    Examples:
        >>> start = 80 * standard_normal((1, 64, 64), key=start_key)
        >>> annealed_langevin(score, start, jnp.geomspace(80.0, 0.01, 100), key=key)
    """

    def step(x, sigma, key):
        return ula_step(x, lambda z: score(z, sigma), relative_step * sigma**2, key=key)

    def level(x, sigma_and_key):
        sigma, key = sigma_and_key
        return jax.lax.scan(lambda x, k: (step(x, sigma, k), None), x, jr.split(key, n_steps))

    x, _ = jax.lax.scan(level, x, (noise_levels, jr.split(key, noise_levels.shape[0])))
    last = noise_levels[-1]
    return x + last**2 * score(x, last)
