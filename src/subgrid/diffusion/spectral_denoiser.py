"""The denoiser of a stationary Gaussian, refined by a network: `refinement.py` for large periodic grids.

    D(x, σ, context) = D_G + r(σ) network([x/√(1 + σ²), D_G, context], ¼ ln σ),
    D̂_G = m̂ + s²/(s² + σ²/N) (x̂ − m̂),      r² = Σ s² σ²/N / (s² + σ²/N)

wave by wave, with s² the variance of a mode and σ²/N that of the noise in it.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Scalar

from subgrid.networks.context import Context, Groups, known_fields, of_group
from subgrid.numerics.spectral import DeviceStatistics, ModeStatistics, filtered, root_mean_square


class SpectralDenoiser(eqx.Module):
    """The refined denoiser of fields of unit variance (channel, y, x), whose distribution may depend on their context.

    Args:
        law: mean and variance of the modes, or `Groups` of them, one for each group of contexts.
        network: F(features, ¼ ln σ), from 2·channel + known channels to channel.

    Examples:
        >>> denoiser = SpectralDenoiser(mode_statistics(fine), UNet(4, 2, 2, key=key))
    """

    law: ModeStatistics | Groups[ModeStatistics]
    network: eqx.Module

    def __call__(
        self, x: Float[Array, "channel y x"], sigma: Scalar, context: Context | None = None
    ) -> Float[Array, "channel y x"]:
        statistics = of_group(self.law, context).fixed()
        denoised = statistics.mean + filtered(x - statistics.mean, _gain(statistics, sigma))
        features = jnp.concatenate([x / jnp.sqrt(1 + sigma**2), denoised, *known_fields(context)])
        refinement = self.network(features, jnp.log(sigma) / 4)  # pyright: ignore[reportCallIssue]
        return denoised + spectral_residual_scale(statistics, sigma) * refinement


def spectral_residual_scale(statistics: ModeStatistics | DeviceStatistics, sigma: Scalar) -> Float[Array, ""]:
    """r: root mean square of x₀ − D_G(x) under the Gaussian distribution.

        r² = Σ s² σ²/N / (s² + σ²/N), over modes

    Args:
        statistics: mean and variance s² of the modes.
        sigma: noise level σ.

    Returns:
        A scalar.
    """
    return root_mean_square((1 - _gain(statistics, sigma)) * statistics.variance)


def residual_weight(statistics: ModeStatistics | Groups[ModeStatistics]):
    """λ = 1/r², which gives the network a target of unit variance at every σ; of groups, one over the mean of their r².

    Args:
        statistics: mean and variance of the modes, or `Groups` of them.

    Returns:
        λ as a function of σ, for `denoising_loss`.

    Examples:
        >>> weight = residual_weight(mode_statistics(fine))
    """

    def squared(sigma: Scalar) -> Float[Array, ""]:
        if isinstance(statistics, Groups):
            return jnp.mean(jax.vmap(lambda own: spectral_residual_scale(own, sigma) ** 2)(statistics.stacked))
        return spectral_residual_scale(statistics, sigma) ** 2

    return lambda sigma: 1 / jnp.vectorize(squared)(sigma)


def _gain(statistics: ModeStatistics | DeviceStatistics, sigma: Scalar) -> Float[Array, "channel ky kx"]:
    noise = sigma**2 / (statistics.mean.shape[-2] * statistics.mean.shape[-1])
    variance = jnp.asarray(statistics.variance)
    return variance / (variance + noise)
