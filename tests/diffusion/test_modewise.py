"""The modewise refinement: exact for Gaussian fields, empty modes stay empty, the network's target is what it says."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from subgrid.diffusion.gaussian_prior import fit_gaussian_prior
from subgrid.diffusion.gaussian_steps import IsotropicGaussian
from subgrid.diffusion.modewise import ModewiseRefined, modewise_error, modewise_loss, refined
from subgrid.diffusion.objective import log_uniform_levels
from subgrid.diffusion.stationary_prior import fit_stationary_prior
from subgrid.networks.unet import UNet, UNetSettings
from subgrid.numerics.noise import standard_normal

RNG = np.random.default_rng(0)
SMOOTH = np.real(np.fft.ifft(np.fft.fft(RNG.normal(size=(400, 1, 16))) * (abs(np.fft.fftfreq(16, 1 / 16)) < 5)))
"""White below wavenumber 5, nothing beyond: 9 of 16 modes."""
BASE = fit_stationary_prior(SMOOTH)


class Silent(eqx.Module):
    def __call__(self, features, t):
        return jnp.zeros_like(features[:1])


class Says(eqx.Module):
    answer: jax.Array

    def __call__(self, features, t):
        return self.answer


class Loud(eqx.Module):
    """Any network: large values everywhere, in every mode."""

    def __call__(self, features, t):
        return 3 + 10 * jnp.sin(7 * features[:1]) + jnp.cos(5 * features[1:2])


class First(eqx.Module):
    """Says what it sees whitened."""

    def __call__(self, features, t):
        return features[:1]


@pytest.mark.parametrize("sigma", [0.01, 1.0, 30.0])
def test_a_silent_network_leaves_the_exact_gaussian(sigma):
    x = standard_normal((1, 16), key=jr.key(0))
    found = ModewiseRefined(BASE, Silent())(x, jnp.asarray(sigma))
    np.testing.assert_allclose(found, BASE(x, jnp.asarray(sigma)), atol=1e-6)


@pytest.mark.parametrize("sigma", [0.01, 1.0, 30.0])
def test_modes_that_no_field_has_stay_empty_whatever_the_network_says(sigma):
    x = standard_normal((1, 16), key=jr.key(1)) * (1 + sigma)
    modes = np.abs(np.fft.rfft(ModewiseRefined(BASE, Loud())(x, jnp.asarray(sigma))[0]))
    assert modes[5:].max() < 1e-5 * modes[:5].max()
    assert modes[:5].max() > 0.01


@pytest.mark.parametrize("sigma", [0.05, 1.0, 20.0])
def test_a_network_that_meets_its_target_gives_the_clean_field(sigma):
    """The target, found from the error of a silent network, as the error is F less the target."""
    sigma = jnp.asarray(sigma)
    x0, xi = jnp.asarray(SMOOTH[0], jnp.float32), standard_normal((1, 16), key=jr.key(2))
    target = -modewise_error(ModewiseRefined(BASE, Silent()), x0, sigma, xi)
    exact = ModewiseRefined(BASE, Says(target))
    np.testing.assert_allclose(exact(x0 + sigma * xi, sigma), x0, atol=2e-5)
    assert float(jnp.abs(modewise_error(exact, x0, sigma, xi)).max()) < 1e-5


@pytest.mark.parametrize("of_modes", [0.0, 0.5, 1.0])
def test_the_loss_is_one_for_gaussian_fields(of_modes):
    base = fit_gaussian_prior(SMOOTH, 6)  # with a remainder
    fields = jax.vmap(lambda key: base.sample(key=key))(jr.split(jr.key(3), 512))
    denoiser = ModewiseRefined(base, Silent())
    loss = modewise_loss(
        denoiser, fields, noise_levels=log_uniform_levels(0.02, 20.0), of_modes=of_modes, key=jr.key(4)
    )
    assert float(loss) == pytest.approx(1, abs=4 * np.sqrt(2 / (512 * 6)))  # of six equal modes or more


def test_known_fields_are_seen():
    known = (jnp.full((1, 16), 2.0),)
    network = UNet(3, 1, 1, UNetSettings((4,), 1, 2, padding=("periodic",)), key=jr.key(5))
    network = jax.tree.map(lambda leaf: leaf + 0.1 if eqx.is_inexact_array(leaf) else leaf, network)
    x, sigma = standard_normal((1, 16), key=jr.key(6)), jnp.asarray(0.5)
    one, other = (ModewiseRefined(BASE, network, k)(x, sigma) for k in (known, (-known[0],)))
    assert float(jnp.abs(one - other).max()) > 1e-3


@pytest.mark.parametrize("sees_noise", [False, True])
def test_modes_that_hold_noise_alone_are_seen_only_where_asked(sees_noise):
    x, sigma = standard_normal((1, 16), key=jr.key(8)), jnp.asarray(0.5)
    kept = BASE.combine((refined, x))
    one, other = (ModewiseRefined(BASE, First(), sees_noise=sees_noise).refine(v, sigma) for v in (x, kept))
    assert (float(jnp.abs(one - other).max()) > 0.1) == sees_noise
    modes = np.abs(np.fft.rfft(one[0]))
    assert (modes[5:].max() > 0.1) == sees_noise and modes[:5].max() > 0.1


def test_above_its_training_it_is_the_gaussian():
    x, denoiser = standard_normal((1, 16), key=jr.key(7)), ModewiseRefined(BASE, Loud(), highest=2.0)
    np.testing.assert_allclose(denoiser(x, jnp.asarray(2.1)), BASE(x, jnp.asarray(2.1)), atol=1e-6)
    assert float(jnp.abs(denoiser(x, jnp.asarray(1.9)) - BASE(x, jnp.asarray(1.9))).max()) > 0.1


def test_the_loss_needs_a_gaussian_with_a_trace():
    denoiser = ModewiseRefined(IsotropicGaussian(jnp.zeros((1, 16)), jnp.ones(())), Silent())
    with pytest.raises(ValueError, match="IsotropicGaussian tells none"):
        modewise_loss(denoiser, jnp.zeros((2, 1, 16)), noise_levels=log_uniform_levels(), of_modes=0.5, key=jr.key(0))
