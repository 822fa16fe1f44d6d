"""Denoising score matching: E_σ λ(σ)·‖D(x₀ + σε, σ) − x₀‖²/d, with pluggable noise levels and weights.

A noise-level sampler is a quantile function u ∈ (0, 1) → σ, which makes stratified draws over a batch a matter of
stratifying u; a weight is a function of σ.
"""

from collections.abc import Callable
from typing import TypeAlias

import jax
import jax.numpy as jnp
import jax.random as jr
from jax.scipy.stats import norm
from jaxtyping import Array, Float, PyTree, Scalar, Shaped

from subgrid.diffusion.process import Process
from subgrid.numerics.noise import standard_normal
from subgrid.numerics.stratified import stratified_uniforms
from subgrid.types import Denoiser, Key

Quantile: TypeAlias = Callable[[Array], Array]
Weight: TypeAlias = Callable[[Array], Array]


def log_uniform_levels(sigma_min: float = 2e-3, sigma_max: float = 80.0) -> Quantile:
    """Noise levels that are log-uniform on [σ_min, σ_max].

    Args:
        sigma_min: default .002.
        sigma_max: default 80.

    Returns:
        The quantile function, from u in (0, 1) to σ.
    """
    return lambda u: sigma_min * (sigma_max / sigma_min) ** u


def log_normal_levels(mean: float = -1.2, std: float = 1.2) -> Quantile:
    """Noise levels with ln σ ~ N(mean, std²).

    Args:
        mean: of ln σ, default −1.2.
        std: of ln σ, default 1.2.

    Returns:
        The quantile function, from u in (0, 1) to σ; u is clipped to [1e-6, 1 − 1e-6].

    References:
        Karras, Aittala, Aila & Laine (2022), arXiv:2206.00364; the defaults are theirs, for images of σ_d = .5.
    """
    return lambda u: jnp.exp(mean + std * norm.ppf(jnp.clip(u, 1e-6, 1 - 1e-6)))


def time_uniform_levels(process: Process) -> Quantile:
    """Noise levels σ(t) at t uniform between σ⁻¹(σ_min) and 1: the levels as the process itself visits them.

    Args:
        process: noising process.

    Returns:
        The quantile function, from u in (0, 1) to σ.
    """
    first = process.time_of(jnp.asarray(process.sigma_min))
    return lambda u: jnp.vectorize(process.noise_level)(first + u * (1 - first))


def karras_weight(sigma_data: float = 1.0) -> Weight:
    """λ = (σ² + σ_d²)/(σσ_d)², which gives the preconditioned network F a target of unit variance at every σ.

    Args:
        sigma_data: σ_d, standard deviation of the data, default 1.

    Returns:
        λ as a function of σ.

    References:
        Karras, Aittala, Aila & Laine (2022), arXiv:2206.00364, Table 1.
    """
    return lambda sigma: (sigma**2 + sigma_data**2) / (sigma * sigma_data) ** 2


def noise_weight() -> Weight:
    """λ = 1/σ², which makes the loss the error of the predicted noise (DDPM's simple loss).

    Returns:
        λ as a function of σ.
    """
    return lambda sigma: sigma**-2


def uniform_weight() -> Weight:
    """λ = 1, which makes the loss the plain squared error of the denoised field.

    Returns:
        λ as a function of σ.
    """
    return jnp.ones_like


def denoising_error(denoiser: Denoiser, x0: Float[Array, "*shape"], sigma: Scalar, *, key: Key) -> Scalar:
    """‖D(x₀ + σε, σ) − x₀‖²/d for one field and one draw of ε.

    Args:
        denoiser: D(x, σ).
        x0: a clean normalised field of d values.
        sigma: noise level.
        key: random key.

    Returns:
        A scalar ≥ 0.
    """
    noise = standard_normal(x0.shape, x0.dtype, key=key)
    return jnp.mean((denoiser(x0 + sigma * noise, sigma) - x0) ** 2)


def denoising_loss(
    denoiser: Denoiser,
    batch: Float[Array, "batch *shape"],
    *,
    noise_levels: Quantile,
    weight: Weight,
    context: PyTree[Shaped[Array, "batch ..."]] | None = None,
    key: Key,
) -> Scalar:
    """The weighted denoising error of a batch, with stratified noise levels.

        ⟨λ(σ)·‖D(x₀ + σε, σ) − x₀‖²/d⟩ over the batch

    Args:
        denoiser: D(x, σ), or D(x, σ, context) where a context is given.
        batch: clean normalised fields x₀.
        noise_levels: quantile function u → σ.
        weight: σ → λ.
        context: what each field is conditioned on, for a denoiser that takes it (`Preconditioned`: fields;
            `SpectralDenoiser`: `Context`); default none.
        key: random key.

    Returns:
        A scalar; near 1 for an untrained preconditioned network under `karras_weight`.

    Examples:
        >>> denoising_loss(denoiser, batch, noise_levels=log_uniform_levels(), weight=karras_weight(), key=key)
    """
    level_key, noise_key = jr.split(key)
    n = batch.shape[0]
    sigma = noise_levels(stratified_uniforms(n, key=level_key))

    def error(x0, known, s, k):
        conditioned = denoiser if known is None else lambda x, s: denoiser(x, s, known)  # pyright: ignore[reportCallIssue]
        return denoising_error(conditioned, x0, s, key=k)

    errors = jax.vmap(error)(batch, context, sigma, jr.split(noise_key, n))
    return jnp.mean(weight(sigma) * errors)
