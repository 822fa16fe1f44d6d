"""Warnings of noise levels, against closed forms, and against moments of the samplers themselves."""

import warnings
from functools import partial

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from subgrid.data.normalise import Standardiser
from subgrid.diffusion.driver import draw
from subgrid.diffusion.gaussian_conditional import condition
from subgrid.diffusion.gaussian_prior import GaussianPrior
from subgrid.diffusion.gaussian_steps import GaussianODE, GaussianSDE, IsotropicGaussian
from subgrid.diffusion.guidance.moments import moment_matching
from subgrid.diffusion.noise_levels import exponential_grid, karras_grid
from subgrid.diffusion.samplers import Ancestral, EulerMaruyama, ExponentialMultistep, Heun
from subgrid.downscaling.upsampling.guided import DiffusionUpsampler, method_for
from subgrid.downscaling.upsampling.level_checks import (
    MOST,
    LevelWarning,
    complaints,
    mode_std,
    unit_gaussian_std,
    warn_of_levels,
)
from subgrid.downscaling.upsampling.particles import ParticleUpsampler
from subgrid.numerics.operators import Subsample


def with_variance(largest: float) -> GaussianPrior:
    """Of eight points: one direction of that variance, .1 in all others."""
    direction = jnp.full((1, 1, 8), 8**-0.5)
    return GaussianPrior(jnp.zeros((1, 8)), direction, jnp.asarray([largest]), jnp.asarray(0.1), jnp.ones((1, 8)))


def test_the_first_level_is_measured_by_the_leading_variance():
    levels = exponential_grid(32, sigma_max=10.0)
    assert complaints(levels, GaussianSDE, with_variance(11.0), guided=True) == []
    (found,) = complaints(levels, GaussianSDE, with_variance(25.0), guided=True)
    # σ/√λ = 2: (1 + 4)^−1.5 = 9 % are left out, and 3·5 = 15 is needed.
    assert "standard deviation of 5 " in found and "9% of" in found and "at least 15," in found


def test_the_skewness_that_is_left_out_is_what_the_formula_says():
    """x = √λ(e − 1), e exponential, has the skewness 2; with noise σ = 3√λ added, 2·10^−1.5."""
    rng = np.random.default_rng(0)
    x = rng.exponential(size=4_000_000) - 1 + 3 * rng.normal(size=4_000_000)
    # A skewness of n samples is known to √(6/n) = .0012; four of those.
    assert ((x - x.mean()) ** 3).mean() / x.std() ** 3 == pytest.approx(2 * 10**-1.5, abs=0.005)


PLAIN = {
    "Heun": (Heun(), karras_grid(16)),
    "Ancestral": (Ancestral(), exponential_grid(32)),
    "ExponentialMultistep": (ExponentialMultistep(), exponential_grid(12)),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", PLAIN)
def test_methods_that_know_no_gaussian_are_measured(name):
    method, levels = PLAIN[name]
    (found,) = complaints(levels, method_for(method), with_variance(1.0), guided=True)
    keys = jr.split(jr.key(0), 40_000)
    denoiser = lambda x, sigma: x / (1 + sigma**2)  # noqa: E731
    draws = jax.jit(jax.vmap(lambda k: draw(denoiser, (1,), levels, method=method, key=k)))(keys)
    # A standard deviation of n samples is known to 1/√(2n) = .35 %; four of those.
    assert unit_gaussian_std(levels, method) == pytest.approx(float(draws.std()), rel=0.015)
    assert name in found and f"{abs(unit_gaussian_std(levels, method) - 1):.1%} off" in found
    assert '"gaussian-sde"' in found


@pytest.mark.slow
def test_the_levels_that_are_named_do():
    (found,) = complaints(exponential_grid(12), method_for(ExponentialMultistep()), with_variance(1.0), guided=True)
    needed = int(found.split("; ")[1].split()[0])
    assert abs(unit_gaussian_std(exponential_grid(needed), ExponentialMultistep()) - 1) <= 0.01
    assert abs(unit_gaussian_std(exponential_grid(needed // 2 + 1), ExponentialMultistep()) - 1) > 0.01
    (found,) = complaints(exponential_grid(4), method_for(Ancestral()), with_variance(1.0), guided=True)
    assert f"more than {MOST} levels" in found or int(found.split("; ")[1].split()[0]) > 256


def test_methods_within_a_hundredth_are_not_complained_of():
    for method, levels in ((ExponentialMultistep(), exponential_grid(32)), (EulerMaruyama(), karras_grid(32))):
        assert complaints(levels, method_for(method), with_variance(1.0), guided=True) == []
    for method in (GaussianSDE, GaussianODE):
        assert complaints(exponential_grid(8), method, with_variance(1.0), guided=True) == []
        assert complaints(exponential_grid(3), method, with_variance(1.0), guided=False) == []
        assert unit_gaussian_std(exponential_grid(3), method(IsotropicGaussian(jnp.zeros(1), jnp.ones(())))) == (
            pytest.approx(1, abs=1e-5)
        )


@pytest.mark.parametrize("method", [GaussianSDE, GaussianODE])
def test_few_levels_of_a_guided_prior_are_measured_on_two_modes(method):
    (found,) = complaints(exponential_grid(4), method, with_variance(1.0), guided=True)
    assert f"{abs(mode_std(exponential_grid(4)) - 1):.0%} off" in found and "at 32" in found


def test_the_width_of_modes_is_right_with_many_levels_and_that_of_draws_with_few():
    # Second order: at 256 levels a per cent of what it is at 25.
    assert mode_std(exponential_grid(256)) == pytest.approx(1, abs=0.005)
    weights, means = jnp.asarray([0.3, 0.7]), jnp.asarray([-1.2, 0.8])

    def denoiser(x, sigma):
        variance, off = 0.09 + sigma**2, x[..., None] - means
        chance = jax.nn.softmax(jnp.log(weights) - 0.5 * off**2 / variance, -1)
        return jnp.sum(chance * (means + 0.09 / variance * off), -1)

    levels = exponential_grid(6)
    method = GaussianODE(IsotropicGaussian(jnp.asarray([0.2]), jnp.asarray(0.93)))
    one = lambda k: draw(denoiser, (1,), levels, method=method, key=k)  # noqa: E731
    draws = np.asarray(jax.jit(jax.vmap(one))(jr.split(jr.key(0), 40_000)))[:, 0]
    chance = np.stack([w * np.exp(-0.5 * ((draws - m) / 0.3) ** 2) for w, m in ((0.3, -1.2), (0.7, 0.8))])
    chance /= chance.sum(0)
    width = np.sqrt(np.mean(chance[0] * (draws + 1.2) ** 2 + chance[1] * (draws - 0.8) ** 2)) / 0.3
    # 40 000 draws: .35 % of a standard deviation of Gaussian draws; these have heavier tails.
    assert mode_std(levels) == pytest.approx(width, rel=0.03)


def test_every_upsampler_of_a_prior_is_looked_at_and_others_are_not():
    prior = with_variance(1e4)
    conditional = condition(prior, Subsample((8,), 2), (1, 4))
    standardiser = Standardiser(jnp.zeros(1), jnp.ones(1))
    parts = prior, conditional, standardiser, partial(moment_matching, prior=prior), exponential_grid(4)
    for upsampler in (DiffusionUpsampler(*parts, GaussianSDE), ParticleUpsampler(*parts, 2)):
        with pytest.warns(LevelWarning) as found:
            warn_of_levels(upsampler)
        assert len(found) == 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_levels(lambda y, *, key: y)
