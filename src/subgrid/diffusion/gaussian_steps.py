"""Steps that are exact for Gaussians: the Gaussian part of the prior in closed form, the rest to second order.

Let N(m, Σ) be a Gaussian close to what is sampled, λ a variance of Σ, z = x − m, a² = λ + σ² and b² = λ + σ′². The
denoiser is split into that of the Gaussian and a residual, D = D_G + R, which is the local mean ρ = a²R/σ² of the
Gaussian. Held constant over a step from σ to σ′ it gives, in every eigendirection,

    reverse diffusion   z′ = (b/a)² z + (1 − (b/a)²) ρ + b √(1 − (b/a)²) ξ
    probability flow    z′ = (b/a) z + (1 − b/a) ρ

which for R = 0 are the Gaussian's own transitions, at any number of levels. ρ is extrapolated as in DPM-Solver++(2M)
(Lu et al. 2022, arXiv:2211.01095), ρ̃ = ρ + h/(2h₋)·(ρ − ρ₋) with h = ln(σ/σ′). The start is drawn from N(m, a₀²), which
needs no large σ₀; the last step goes to σ′ = 0, where the diffusion ends with a draw and the flow with its map.

Freezing D itself (`samplers.Ancestral`) leaves out the uncertainty of x₀: for a variance λ the additional variance
(1 − (σ′/σ)²)² λσ²/(λ + σ²), which is 30 % of the whole at 32 levels.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol, runtime_checkable

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Scalar

from subgrid.types import Denoiser, Sample

OfVariance = Callable[[Array], Array]


@runtime_checkable
class Gaussian(Protocol):
    """N(mean, Σ), known through functions of its covariance."""

    @property
    def mean(self) -> Sample:
        """m."""
        ...

    def combine(self, *terms: tuple[OfVariance, Sample]) -> Sample:
        """Σᵢ fᵢ(Σ) zᵢ."""
        ...


class IsotropicGaussian(eqx.Module):
    """N(m, λI): the reference where nothing else is known of normalised fields (m = 0, λ = 1).

    Args:
        mean: m.
        variance: λ.

    Examples:
        >>> method = GaussianSDE(IsotropicGaussian(jnp.zeros((1, 64)), jnp.array(1.0)))
    """

    mean: Float[Array, "*shape"]
    variance: Float[Array, ""]

    def combine(self, *terms: tuple[OfVariance, Sample]) -> Sample:
        """Σᵢ fᵢ(λ) zᵢ."""
        return sum((of_variance(self.variance) * z for of_variance, z in terms), jnp.zeros_like(self.mean))


class Residuals(NamedTuple):
    """What the second order remembers of the step before.

    Args:
        residual: R₋.
        sigma: σ₋, the level it was found at; infinite before the first step.
    """

    residual: Sample
    sigma: Scalar


class GaussianSDE(eqx.Module):
    """Reverse diffusion, exact for the Gaussian `reference`, second order in the rest, one evaluation a step.

    Args:
        reference: N(m, Σ) of what is sampled; for p(x | C′x = y) the Gaussian conditional that `condition` makes.

    References:
        Lu et al. (2022), arXiv:2211.01095 (the extrapolation).

    Examples:
        >>> method = GaussianSDE(prior)
        >>> x = sample(denoiser, method.start(noise, levels[0]), levels, method=method, key=key)
    """

    reference: Gaussian
    n_noises = 1

    def start(self, noise: Sample, sigma: Scalar) -> Sample:
        """m + (Σ + σ²)^½ ξ."""
        return _start(self.reference, noise, sigma)

    def init(self, x: Sample) -> Residuals:
        """No history: the first step is first order."""
        return _no_history(x)

    def mean(
        self, denoised: Sample, x: Sample, memory: Residuals, sigma: Scalar, sigma_next: Scalar
    ) -> tuple[Sample, Residuals]:
        """Mean of the transition to σ′ for a denoised field D(x, σ), and the memory after it."""
        residual = denoised - denoise(self.reference, x, sigma)
        q = (sigma_next / sigma) ** 2
        weight, past = _extrapolation(memory, sigma, sigma_next)
        z = x - self.reference.mean
        ahead = self.reference.combine(
            (lambda v: (v + sigma_next**2) / (v + sigma**2), z),
            (lambda v: -(1 - q) * weight * past(v), memory.residual),
        )
        mean = self.reference.mean + ahead + (1 - q) * (1 + weight) * residual
        return mean, Residuals(residual, sigma)

    def deviation(self, noise: Sample, sigma: Scalar, sigma_next: Scalar) -> Sample:
        """b √(1 − (b/a)²) ξ, whose covariance is that of the transition."""
        return self.reference.combine((lambda v: jnp.sqrt(transition_variance(v, sigma, sigma_next)), noise))

    def step(self, denoiser: Denoiser, x: Sample, memory: Residuals, sigma: Scalar, sigma_next: Scalar, *, noise):
        """From σ to σ′, drawn."""
        mean, memory = self.mean(denoiser(x, sigma), x, memory, sigma, sigma_next)
        return mean + self.deviation(noise[0], sigma, sigma_next), memory

    def finish(self, denoiser: Denoiser, x: Sample, memory: Residuals, sigma: Scalar, *, noise) -> Sample:
        """To σ′ = 0: D + (λσ²/(λ + σ²))^½ ξ."""
        return denoiser(x, sigma) + self.deviation(noise[0], sigma, jnp.zeros_like(sigma))


class GaussianODE(eqx.Module):
    """Probability flow, exact for the Gaussian `reference`, second order in the rest, one evaluation a step.

    Deterministic given its start.

    Args:
        reference: N(m, Σ) of what is sampled; for p(x | C′x = y) the Gaussian conditional that `condition` makes.

    References:
        Lu et al. (2022), arXiv:2211.01095 (the extrapolation).

    Examples:
        >>> x = draw(denoiser, (1, 192), exponential_grid(16), method=GaussianODE(prior), key=key)
    """

    reference: Gaussian
    n_noises = 0

    def start(self, noise: Sample, sigma: Scalar) -> Sample:
        """m + (Σ + σ²)^½ ξ."""
        return _start(self.reference, noise, sigma)

    def init(self, x: Sample) -> Residuals:
        """No history: the first step is first order."""
        return _no_history(x)

    def step(self, denoiser: Denoiser, x: Sample, memory: Residuals, sigma: Scalar, sigma_next: Scalar, *, noise):
        """From σ to σ′ along the flow. (1 − b/a)·a²/σ² = (1 − q) a/(a + b)."""
        residual = denoiser(x, sigma) - denoise(self.reference, x, sigma)
        weight, past = _extrapolation(memory, sigma, sigma_next)
        scale = lambda v: (1 - (sigma_next / sigma) ** 2) / (1 + _ratio(v, sigma, sigma_next))  # noqa: E731
        ahead = self.reference.combine(
            (lambda v: _ratio(v, sigma, sigma_next), x - self.reference.mean),
            (lambda v: (1 + weight) * scale(v), residual),
            (lambda v: -weight * scale(v) * past(v), memory.residual),
        )
        return self.reference.mean + ahead, Residuals(residual, sigma)

    def finish(self, denoiser: Denoiser, x: Sample, memory: Residuals, sigma: Scalar, *, noise) -> Sample:
        """To σ′ = 0, without extrapolation, whose step in ln σ would be infinite."""
        return self.step(denoiser, x, _no_history(x), sigma, jnp.zeros_like(sigma), noise=noise)[0]


def denoise(reference: Gaussian, x: Sample, sigma: Scalar) -> Sample:
    """D_G = m + Σ(Σ + σ²)⁻¹(x − m), the mean of x₀ given x₀ + σε = x under a Gaussian.

    Args:
        reference: N(m, Σ).
        x: a noisy field.
        sigma: noise level σ.

    Returns:
        D_G, of the shape of `x`.
    """
    return reference.mean + reference.combine((lambda v: v / (v + sigma**2), x - reference.mean))


def transition_variance(variance: Array, sigma: Scalar, sigma_next: Scalar) -> Array:
    """The variance (λ + σ′²)(σ² − σ′²)/(λ + σ²) of the reverse diffusion from σ to σ′.

    It is b²(1 − (b/a)²) with a² = λ + σ² and b² = λ + σ′².

    Args:
        variance: λ ≥ 0, of the data.
        sigma: σ.
        sigma_next: σ′ ≤ σ; 0 for the last step.

    Returns:
        The variances, of the shape of `variance`.
    """
    return (variance + sigma_next**2) * (sigma**2 - sigma_next**2) / (variance + sigma**2)


def _start(reference: Gaussian, noise: Sample, sigma: Scalar) -> Sample:
    return reference.mean + reference.combine((lambda v: jnp.sqrt(v + sigma**2), noise))


def _ratio(variance: Array, sigma: Scalar, sigma_next: Scalar) -> Array:
    """b/a."""
    return jnp.sqrt((variance + sigma_next**2) / (variance + sigma**2))


def _no_history(x: Sample) -> Residuals:
    # At an infinite previous level the extrapolation weight h/(2h₋) vanishes.
    return Residuals(jnp.zeros_like(x), jnp.asarray(jnp.inf, x.dtype))


def _extrapolation(memory: Residuals, sigma: Scalar, sigma_next: Scalar) -> tuple[Scalar, OfVariance]:
    """h/(2h₋), zero on the way to σ′ = 0, and ρ₋/ρ of equal residuals: (1 + λ/σ₋²)/(1 + λ/σ²)."""
    ahead = jnp.where(sigma_next > 0, jnp.log(sigma / jnp.where(sigma_next > 0, sigma_next, sigma)), 0.0)
    weight = ahead / (2 * jnp.log(memory.sigma / sigma))
    return weight, lambda v: (1 + v / memory.sigma**2) / (1 + v / sigma**2)
