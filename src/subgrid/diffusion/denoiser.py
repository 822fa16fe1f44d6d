"""The three parametrisations of one function — denoiser, score, noise — and the preconditioned network.

With x = x₀ + σε the three carry the same information (Tweedie's formula):

    score = (D − x)/σ²,      noise = (x − D)/σ,      D = E[x₀ | x].
"""

from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Scalar

from subgrid.types import Denoiser, Score


def score_from_denoiser(denoiser: Denoiser) -> Score:
    """The score of a denoiser, ∇ log p_σ(x) = (D(x, σ) − x)/σ².

    Args:
        denoiser: D(x, σ).

    Returns:
        A function of x and σ, of the shape of x.
    """
    return lambda x, sigma: (denoiser(x, sigma) - x) / sigma**2


def denoiser_from_score(score: Score) -> Denoiser:
    """The denoiser of a score, D(x, σ) = x + σ²·∇ log p_σ(x).

    Args:
        score: ∇ log p_σ(x), a function of x and σ.

    Returns:
        D(x, σ).
    """
    return lambda x, sigma: x + sigma**2 * score(x, sigma)


def noise_from_denoiser(denoiser: Denoiser) -> Denoiser:
    """The noise that a denoiser finds, ε̂(x, σ) = (x − D(x, σ))/σ = E[ε | x].

    Args:
        denoiser: D(x, σ).

    Returns:
        A function of x and σ, of the shape of x.
    """
    return lambda x, sigma: (x - denoiser(x, sigma)) / sigma


def denoiser_from_noise(noise: Callable) -> Denoiser:
    """The denoiser of a predicted noise, D(x, σ) = x − σ·ε̂(x, σ).

    Args:
        noise: ε̂(x, σ), x unscaled.

    Returns:
        D(x, σ).
    """
    return lambda x, sigma: x - sigma * noise(x, sigma)


def gaussian_denoiser(mean: Float[Array, " d"], covariance: Float[Array, "d d"]) -> Denoiser:
    """The exact denoiser of N(μ, Σ), D = μ + Σ(Σ + σ²I)⁻¹(x − μ), through one eigendecomposition.

    The yardstick for samplers, guidance and likelihood: with it every answer has a closed form.

    Args:
        mean: μ, the flattened field of d values.
        covariance: Σ, symmetric and positive semidefinite.

    Returns:
        D(x, σ), for x of any shape of d values.

    Examples:
        >>> gaussian_denoiser(jnp.zeros(2), jnp.eye(2))(jnp.ones(2), 1.0)  # 1/2 twice
    """
    eigenvalues, vectors = jnp.linalg.eigh(covariance)

    def denoise(x, sigma):
        shrunk = eigenvalues / (eigenvalues + sigma**2) * (vectors.T @ (x.reshape(-1) - mean))
        return (mean + vectors @ shrunk).reshape(x.shape)

    return denoise


class Preconditioned(eqx.Module):
    """D(x, σ) = c_skip·x + c_out·F(c_in·x, c_noise), a network F that denoises.

        c_skip = σ_d²/(σ² + σ_d²),  c_out = σσ_d/√(σ² + σ_d²),  c_in = 1/√(σ² + σ_d²),  c_noise = ¼ ln σ

    so that input and training target of F have unit variance at every noise level. Called with a `context`, known
    fields on the same grid, it is D(x, σ, context) = E[x₀ | x, context]: they are channels beside c_in·x, free of
    noise.

    Args:
        network: F(features, c_noise), from channels of x (and context) to channels of x.
        sigma_data: σ_d, standard deviation of the data, default 1 (after normalisation).

    References:
        Karras, Aittala, Aila & Laine (2022), arXiv:2206.00364, Table 1.

    Examples:
        >>> denoiser = Preconditioned(network)
        >>> x = draw(denoiser, (1, 64), exponential_grid(32), method=ExponentialMultistep(), key=key)
    """

    network: eqx.Module
    sigma_data: float = eqx.field(static=True, default=1.0)

    def __call__(
        self, x: Float[Array, "*shape"], sigma: Scalar, context: Float[Array, "*context"] | None = None
    ) -> Float[Array, "*shape"]:
        total = sigma**2 + self.sigma_data**2
        skip, out = self.sigma_data**2 / total, sigma * self.sigma_data / jnp.sqrt(total)
        scaled = x / jnp.sqrt(total)
        features = scaled if context is None else jnp.concatenate([scaled, context])
        return skip * x + out * self.network(features, jnp.log(sigma) / 4)  # pyright: ignore[reportCallIssue]
