"""A silent network leaves the exact denoiser of a Gaussian distribution; what the network is for has unit variance."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from subgrid.diffusion.spectral_denoiser import SpectralDenoiser, residual_weight, spectral_residual_scale
from subgrid.networks.context import Context, Groups
from subgrid.numerics.spectral import ModeStatistics


class Constant(eqx.Module):
    value: float

    def __call__(self, features, noise):
        return jnp.full_like(features[:1], self.value)


class Last(eqx.Module):
    """What a network is shown last: the known field."""

    def __call__(self, features, noise):
        return features[-1:]


def white(std: float, n: int = 8) -> ModeStatistics:
    return ModeStatistics(np.zeros((1, n, n), np.float32), np.full((1, n, n // 2 + 1), std**2 / n**2, np.float32))


@pytest.mark.parametrize("sigma", [0.01, 0.7, 20.0])
def test_of_white_noise_it_shrinks_every_point(sigma):
    x, s = jr.normal(jr.key(0), (1, 8, 8)), jnp.asarray(sigma)
    shrunk = 1.3**2 / (1.3**2 + sigma**2)
    silent, loud = SpectralDenoiser(white(1.3), Constant(0.0)), SpectralDenoiser(white(1.3), Constant(1.0))
    np.testing.assert_allclose(silent(x, s), shrunk * x, rtol=1e-4, atol=1e-5)
    left = np.sqrt(1.3**2 * sigma**2 / (1.3**2 + sigma**2))  # standard deviation of the posterior
    np.testing.assert_allclose(loud(x, s) - silent(x, s), left, rtol=1e-4, atol=1e-5)
    weight = residual_weight(white(1.3))(jnp.array([sigma, 1.0]))
    assert float(weight[0] * spectral_residual_scale(white(1.3), s) ** 2) == pytest.approx(1, rel=1e-5)


def test_with_a_context_the_law_is_that_of_its_group_and_the_weight_of_the_mean_error():
    distributions = [white(1.3), white(0.4)]
    context = Context(jnp.full((1, 8, 8), 3.0), jnp.asarray(1))
    x, s = jr.normal(jr.key(1), (1, 8, 8)), jnp.asarray(0.7)
    found = SpectralDenoiser(Groups(distributions), Last())(x, s, context)
    own = SpectralDenoiser(distributions[1], Constant(3.0))(x, s)
    np.testing.assert_allclose(found, own, rtol=1e-5, atol=1e-5)
    r2 = [float(spectral_residual_scale(distribution, s)) ** 2 for distribution in distributions]
    np.testing.assert_allclose(residual_weight(Groups(distributions))(s[None]), [2 / sum(r2)], rtol=1e-5)
    with pytest.raises(ValueError, match="call with a Context"):
        SpectralDenoiser(Groups(distributions), Last())(x, s)


def test_the_law_has_no_gradient():
    denoiser = SpectralDenoiser(white(1.0), Constant(0.5))
    gradient = eqx.filter_grad(lambda d: jnp.sum(d(jnp.ones((1, 8, 8)), jnp.asarray(1.0)) ** 2))(denoiser)
    assert all(not np.any(leaf) for leaf in jax.tree.leaves(gradient.law))
