"""A balance keeps the variances of samples, whatever a network does to modes as a whole."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from subgrid.diffusion.balance import blank_balance, fit_balance, n_bins
from subgrid.diffusion.gaussian_prior import GaussianPrior
from subgrid.diffusion.gaussian_steps import IsotropicGaussian
from subgrid.diffusion.modewise import Balance, ModewiseRefined
from subgrid.numerics.noise import standard_normal

N = 128
DIRECTIONS = np.linalg.qr(np.random.default_rng(0).normal(size=(N, N)))[0].T.reshape(N, 1, N).astype(np.float32)
VARIANCES = jnp.geomspace(9.0, 1e-3, N)
BASE = GaussianPrior(jnp.zeros((1, N)), jnp.asarray(DIRECTIONS), VARIANCES, jnp.zeros(()), jnp.ones((1, N)))
LEVELS = (20.0, 0.02)


class Linear(eqx.Module):
    """Says a share of what it sees whitened."""

    share: float = eqx.field(static=True)

    def __call__(self, features, t):
        return self.share * features[:1]


def sampled_variances(denoiser, n=2000, n_levels=60):
    """Of whitened modes of samples of the probability flow, by Heun's steps from the largest level."""
    sigmas = jnp.geomspace(*LEVELS, n_levels)
    rate = lambda x, s: (x - denoiser(x, s)) / s  # noqa: E731

    def sample(key):
        x = BASE.apply(lambda v: jnp.sqrt(v + LEVELS[0] ** 2), standard_normal((1, N), key=key))

        def step(x, ends):
            h, first = ends[1] - ends[0], rate(x, ends[0])
            return x + h / 2 * (first + rate(x + h * first, ends[1])), None

        x, _ = jax.lax.scan(step, x, (sigmas[:-1], sigmas[1:]))
        return BASE.coordinates(x) / jnp.sqrt(VARIANCES + LEVELS[1] ** 2)

    return np.mean(np.asarray(jax.jit(jax.vmap(sample))(jr.split(jr.key(1), n))) ** 2, axis=0)


def test_what_a_network_does_to_modes_as_a_whole_is_measured():
    balance = fit_balance(ModewiseRefined(BASE, Linear(-0.2)), LEVELS, key=jr.key(0))
    assert balance.values.shape == (24, n_bins(N)) == (24, 4)
    np.testing.assert_allclose(balance.values, -0.2, rtol=1e-4)
    assert np.all(np.diff(balance.log_variances) < 0)


class OfTheAnswer(eqx.Module):
    """A share of the Gaussian's answer: another of every mode and level."""

    def __call__(self, features, t):
        return -0.3 * features[1:2]


def test_modes_and_levels_are_told_apart():
    # D_G = λ/(λ + σ²)^½ w: of unit modes its share of w is −.3 λ/(λ + σ²)^½.
    balance = fit_balance(ModewiseRefined(BASE, OfTheAnswer()), LEVELS, key=jr.key(0))
    sigmas = np.exp(balance.log_levels)[:, None]
    share = -0.3 * np.asarray(VARIANCES) / np.sqrt(np.asarray(VARIANCES) + sigmas**2)
    expected = np.stack([part.mean(1) for part in np.split(share, 4, axis=1)], 1)  # variances fall
    np.testing.assert_allclose(balance.values, expected, rtol=0.15, atol=1e-3)  # weighed by 128 draws of w²
    plain = ModewiseRefined(BASE, OfTheAnswer())
    x = standard_normal((1, N), key=jr.key(2))
    said = [each.refine(x, jnp.asarray(0.1)) for each in (plain, dataclasses.replace(plain, balance=balance))]
    before, after = (np.abs(np.asarray(BASE.coordinates(f))).mean() for f in said)
    assert after < 0.5 * before  # bins are wide: a quarter of all modes


@pytest.mark.parametrize("n_refined", [0, 2, 40, 70])
def test_modes_that_are_not_refined_leave_no_bin_empty(n_refined):
    variances = jnp.where(jnp.arange(N) < n_refined, VARIANCES, 1e-9)
    base = GaussianPrior(BASE.mean, BASE.directions, variances, jnp.asarray(0.5), BASE.support)
    balance = fit_balance(ModewiseRefined(base, Linear(-0.2)), LEVELS, key=jr.key(0))
    np.testing.assert_allclose(balance.values, -0.2 if n_refined else 0.0, rtol=1e-4)
    found = balance(variances, jnp.asarray(0.1))
    np.testing.assert_allclose(found, np.where(np.arange(N) < n_refined, -0.2, 0), rtol=1e-4)


def test_what_remains_beside_components_is_left():
    base = GaussianPrior(BASE.mean, BASE.directions[:64], VARIANCES[:64], jnp.asarray(0.5), BASE.support)
    denoiser = ModewiseRefined(base, Linear(-0.2))
    balanced = dataclasses.replace(denoiser, balance=fit_balance(denoiser, LEVELS, key=jr.key(0)))
    x = standard_normal((1, N), key=jr.key(2))
    one, other = (BASE.coordinates(each.refine(x, jnp.asarray(0.1))) for each in (denoiser, balanced))
    np.testing.assert_allclose(other[64:], one[64:], atol=1e-5)
    assert float(jnp.abs(other[:64]).max()) < 1e-4 < float(jnp.abs(one[:64]).max())
    isotropic = IsotropicGaussian(jnp.zeros((1, 4)), jnp.ones(()))
    with pytest.raises(ValueError, match="IsotropicGaussian has none"):
        fit_balance(ModewiseRefined(isotropic, Linear(0.0)), LEVELS, key=jr.key(0))


def test_samples_keep_their_variance():
    # Without a balance ln⟨w²⟩ falls by 2c∫σλ^½/(λ + σ²) d ln σ = πc for modes whose variance lies between the levels.
    denoiser = ModewiseRefined(BASE, Linear(-0.2))
    balanced = dataclasses.replace(denoiser, balance=fit_balance(denoiser, LEVELS, key=jr.key(0)))
    inside = slice(40, 80)
    lost = sampled_variances(ModewiseRefined(BASE, Linear(-0.2)))[inside].mean()
    kept = sampled_variances(balanced)[inside].mean()
    assert lost == pytest.approx(np.exp(-0.2 * np.pi), rel=0.05)
    assert kept == pytest.approx(1, abs=4 * np.sqrt(2 / (2000 * 40)))


def test_a_balance_is_linear_in_logarithms_and_leaves_unrefined_modes():
    balance = Balance(
        jnp.log(jnp.array([1.0, 0.01])), jnp.log(jnp.array([1.0, 1e-4])), jnp.array([[0.1, 0.2], [0.3, 0.4]])
    )
    found = balance(jnp.array([10.0, 1.0, 1e-2, 1e-5, 1e-7]), jnp.asarray(0.1))
    np.testing.assert_allclose(found, [0.2, 0.2, 0.25, 0.3, 0.0], rtol=1e-5)


def test_a_blank_has_the_shapes_of_a_fitted_one():
    fitted = fit_balance(ModewiseRefined(BASE, Linear(0.0)), LEVELS, key=jr.key(0))
    shapes = lambda tree: [leaf.shape for leaf in jax.tree.leaves(tree)]  # noqa: E731
    assert shapes(fitted) == shapes(blank_balance(N))
    assert [n_bins(n) for n in (1, 63, 64, 1848)] == [1, 1, 2, 30]
