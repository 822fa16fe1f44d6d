"""The denoiser of a stationary Gaussian law, refined by a network: `refinement.py` for large periodic grids.

    D(x, σ, context) = D_G + r(σ) network([x/√(1 + σ²), D_G, context], ¼ ln σ),
    D̂_G = m̂ + s²/(s² + σ²/N) (x̂ − m̂),      r² = Σ s² σ²/N / (s² + σ²/N)

wave by wave, with s² the variance of a mode and σ²/N that of the noise in it.
"""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Scalar

from subgrid.numerics.spectral import (
    Context,
    DeviceStatistics,
    ModeStatistics,
    filtered,
    known_fields,
    of_group,
    root_mean_square,
)


class SpectralDenoiser(eqx.Module):
    """The refined denoiser of fields of unit variance (channel, y, x); with contexts, `law` has their groups stacked.

    denoiser = SpectralDenoiser(mode_statistics(fine), UNet(5, 2, 2, key=key))
    """

    law: ModeStatistics
    network: eqx.Module

    def __call__(
        self, x: Float[Array, "channel y x"], sigma: Scalar, context: Context | None = None
    ) -> Float[Array, "channel y x"]:
        law = of_group(self.law, context).fixed()
        denoised = law.mean + filtered(x - law.mean, _gain(law, sigma))
        features = jnp.concatenate([x / jnp.sqrt(1 + sigma**2), denoised, *known_fields(context)])
        refinement = self.network(features, jnp.log(sigma) / 4)  # pyright: ignore[reportCallIssue]
        return denoised + residual_scale(law, sigma) * refinement


def residual_scale(law: ModeStatistics | DeviceStatistics, sigma: Scalar) -> Float[Array, ""]:
    """r: root mean square of x₀ − D_G(x) under the Gaussian law."""
    return root_mean_square((1 - _gain(law, sigma)) * law.variance)


def residual_weight(law: ModeStatistics):
    """λ = 1/r², which gives the network a target of unit variance at every σ; of groups, by their mean variance."""
    law = law._replace(variance=np.reshape(law.variance, (-1, *law.variance.shape[-3:])).mean(0))
    return lambda sigma: jnp.vectorize(lambda s: residual_scale(law, s) ** -2)(sigma)


def _gain(law: ModeStatistics | DeviceStatistics, sigma: Scalar) -> Float[Array, "channel ky kx"]:
    noise = sigma**2 / (law.mean.shape[-2] * law.mean.shape[-1])
    return law.variance / (law.variance + noise)
