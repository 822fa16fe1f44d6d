"""A Gaussian denoiser refined by a network: the network learns only what is not Gaussian.

    D(x, σ) = D_G(x, σ) + c_out(σ) F(c_in x, D_G, predictors; ¼ ln σ),    c_out² = tr Cov_G[x₀ | x] / d

c_out is the error that D_G makes if the fields are Gaussian, so F's target has unit variance at every noise level,
F = 0 is the exact answer for Gaussian fields, and a small archive cannot make the sum much worse than D_G.
"""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Scalar

from subgrid.diffusion.gaussian_prior import GaussianPrior


class Refined(eqx.Module):
    """The refined denoiser of fields (channel, *space).

    Args:
        base: the Gaussian distribution.
        network: F(features, c_noise), from 2·channel + predictor channels to channel, zero at first.
        predictors: fixed fields that the network sees, such as the mask or orography.

    Examples:
        >>> denoiser = Refined(fit_gaussian_prior(fields, 40), network, orography[None])
    """

    base: GaussianPrior
    network: eqx.Module
    predictors: Float[Array, "predictor *space"]

    def __call__(self, x: Float[Array, "channel *space"], sigma: Scalar) -> Float[Array, "channel *space"]:
        denoised = self.base(x, sigma)
        scaled = x / jnp.sqrt(1 + sigma**2)
        features = jnp.concatenate([scaled, denoised, self.predictors])
        refinement = self.network(features, jnp.log(sigma) / 4)  # pyright: ignore[reportCallIssue]
        return denoised + residual_scale(self.base, sigma) * self.base.support * refinement


def residual_scale(base: GaussianPrior, sigma: Scalar) -> Scalar:
    """c_out: root mean square, over the support, of x₀ − E[x₀ | x] under the Gaussian distribution.

        c_out² = ⟨σ²v/(v + σ²)⟩, the mean over the variances v of Σ on the support

    Args:
        base: the Gaussian distribution.
        sigma: noise level.

    Returns:
        A scalar in the unit of the fields.
    """
    left = lambda v: sigma**2 * v / (v + sigma**2)  # noqa: E731
    n = jnp.sum(base.support)
    rest = left(base.remainder) * (n - base.variances.shape[0])
    return jnp.sqrt((jnp.sum(left(base.variances)) + rest) / n)
