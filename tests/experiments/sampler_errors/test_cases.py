"""What samplers are measured on, against dense algebra and quadrature."""

from functools import cache
from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from subgrid.downscaling.upsampling.choices import GuidanceName
from subgrid.experiments.sampler_errors import cases
from subgrid.experiments.sampler_errors.config import SamplerErrorsConfig, SamplerErrorsTable, check
from subgrid.experiments.sampler_errors.errors import AFFINE, require_affine
from subgrid.runs.config import ConfigError


@cache
def conditioned(noise):
    with jax.enable_x64(True):
        return cases.conditioned("36 points", noise)


def test_conditioned_fields_are_those_of_dense_algebra():
    with jax.enable_x64(True):
        exact, noisy = map(conditioned, (0.0, 0.05))
        for given in exact:
            operator = given.conditional.operator
            np.testing.assert_allclose(operator(given.mean.reshape(1, 36)), given.target, atol=1e-9)
            assert np.trace(given.covariance) < 36
        for given, loose in zip(exact, noisy, strict=True):
            assert np.linalg.eigvalsh(loose.covariance - given.covariance).min() > -1e-9  # noise tells less
            # The conditional that samplers are given is the same by another route.
            conditional = loose.conditional.given(loose.target)
            np.testing.assert_allclose(conditional.mean.reshape(-1), loose.mean, atol=1e-9)


def test_mixture_by_quadrature():
    total, inside = cases.exact_mixture_spreads(0.3)
    # .3·.7·2² + .3² is the variance; inside a mode .3, but for what lies beyond the border, 3.3 deviations away.
    assert total == pytest.approx(np.sqrt(0.84 + 0.09), rel=1e-5)
    assert inside == pytest.approx(0.3, rel=2e-3)
    x, sigma = np.linspace(-3, 3, 7), 0.8
    grid = np.linspace(-5, 5, 20_001)
    density = 0.3 * norm.pdf(grid, -1.2, 0.3) + 0.7 * norm.pdf(grid, 0.8, 0.3)
    weights = density * norm.pdf(x[:, None], grid, sigma)
    expected = (weights * grid).sum(1) / weights.sum(1)
    np.testing.assert_allclose(cases.denoise_mixture(jnp.asarray(x), jnp.asarray(sigma), std=0.3), expected, atol=1e-5)


@pytest.mark.parametrize("name", get_args(GuidanceName))
def test_every_guidance_can_be_measured(name):
    check(SamplerErrorsConfig(sampler_errors=SamplerErrorsTable(guidances=(name,))))
    with jax.enable_x64(True):
        given = conditioned(0.0)[1]
        if cases.bend(name, given) > AFFINE:
            with pytest.raises(ConfigError, match=f'names "{name}".* not affine'):
                require_affine([name])
        denoised = jax.jit(lambda x, sigma: cases.guided(name, given)(x, sigma))(np.ones((1, 36)), 0.5)
        assert np.isfinite(denoised).all()


@pytest.mark.parametrize("noise", [0.0, 0.05])
@pytest.mark.parametrize("name", ["gaussian-gain", "moment-matching"])
def test_guidances_of_a_gaussian_denoise_as_its_conditional(name, noise):
    with jax.enable_x64(True):
        given = conditioned(noise)[0]
        assert cases.takes_noise(name, given)

        @jax.jit
        def both(x, sigma):
            exact = given.conditional.given(given.target).denoise(x, sigma)
            return cases.guided(name, given)(x, sigma), exact

        np.testing.assert_allclose(*both(np.ones((1, 36)), 0.5), atol=1e-6)


def test_projection_is_for_exact_values_alone():
    assert not cases.takes_noise("projection", conditioned(0.05)[0])


@pytest.mark.parametrize("bent", [0.0, 0.3])
def test_the_bend_of_a_denoiser_is_measured(bent, monkeypatch):
    """D̃ = x + bent·x²: the second difference is 2·bent·h², the first 2h + 4·bent·xh."""
    guide = lambda denoiser, operator, y: lambda x, sigma: x + bent * x**2  # noqa: E731
    monkeypatch.setattr(cases.choices, "guidance", lambda name, *_, **__: guide)
    with jax.enable_x64(True):
        x, h = np.random.default_rng(0).normal(size=(2, 1, 36))
        expected = np.linalg.norm(2 * bent * h**2) / np.linalg.norm(2 * h + 4 * bent * x * h)
        assert cases.bend("projection", conditioned(0.0)[1]) == pytest.approx(expected, abs=1e-12)
        if bent:
            with pytest.raises(ConfigError, match=r'names "projection", under which .* is not affine'):
                require_affine(["projection"])
        else:
            require_affine(["projection"])


def test_a_guidance_of_unknown_cost_is_refused_before_the_run(monkeypatch):
    monkeypatch.delitem(cases.PRODUCTS, "projection")
    with pytest.raises(ConfigError, match=r'names "projection".*PRODUCTS in'):
        check(SamplerErrorsConfig())
