"""Names to objects: noise levels stay within what the prior was trained on; grids that C' connects."""

from typing import get_args

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from subgrid.data.fields import DataError
from subgrid.data.normalise import Standardiser
from subgrid.diffusion.driver import Method
from subgrid.diffusion.gaussian_prior import GaussianPrior
from subgrid.diffusion.gaussian_steps import IsotropicGaussian
from subgrid.downscaling.prior.gaussian_part import blank_gaussian_part
from subgrid.downscaling.prior.model import Prior, PriorSettings, build_denoiser
from subgrid.experiments.downscale import build
from subgrid.experiments.downscale.config import SamplingTable
from subgrid.numerics.operators import BlockMean, Subsample

from .opening import configured

PROCESSES = ("variance-exploding", "variance-preserving", "cosine")


@pytest.mark.parametrize("grid", ["karras", "exponential", "central", "process-time"])
@pytest.mark.parametrize("process", PROCESSES)
@pytest.mark.parametrize("noise_range", [(0.01, 20.0), (2e-3, 300.0)])
def test_grids_run_down_the_trained_range_exactly(grid, process, noise_range):
    config = configured([f"sampling.grid={grid}", f"prior.process={process}"])
    levels = np.asarray(build.grid_of(config, noise_range))
    assert levels.shape == (32,)
    assert np.all(np.diff(levels) < 0)
    assert (levels[0], levels[-1]) == (np.float32(noise_range[1]), np.float32(noise_range[0]))


@pytest.mark.parametrize("process", PROCESSES)
@pytest.mark.parametrize("levels", ["log-uniform", "time-uniform"])
def test_training_draws_the_range_of_the_prior(process, levels):
    config = configured([f"training.noise_levels={levels}", f"prior.process={process}", "prior.sigma_max=50.0"])
    drawn = build.noise_levels_of(config)(jnp.array([0.0, 0.5, 1.0]))
    # Some rounding of float32 through exponentials and their inverses.
    np.testing.assert_allclose(drawn[jnp.array([0, 2])], [2e-3, 50.0], rtol=2e-3)
    assert 2e-3 < drawn[1] < 50


def test_the_sampler_goes_by_the_range_in_the_model_not_in_the_configuration():
    settings = PriorSettings(1, (16,), channels=(8,), n_blocks=1, sigma_min=0.02, sigma_max=30.0)
    gaussian = blank_gaussian_part((1, 16), 3)
    prior = Prior(settings, build_denoiser(settings, key=jr.key(0)), Standardiser(jnp.zeros(1), jnp.ones(1)), gaussian)
    for method, last in (("ode-multistep", 30.0), ("gaussian-sde", 0.04)):  # the least range, of fields that are one
        upsampler = build.upsampler_of(configured([f"sampling.method={method}"]), prior, Subsample((16,), 4))
        assert (upsampler.noise_levels[0], upsampler.noise_levels[-1]) == (np.float32(last), np.float32(0.02))


WHITE = IsotropicGaussian(*jax.device_put((np.zeros((1, 8), np.float32), np.float32(1.0))))


@pytest.mark.parametrize("name", get_args(SamplingTable.model_fields["method"].annotation))
def test_every_method_is_built(name):
    """Which one it is, `tests/diffusion/test_samplers.py` sees by the numbers of each name."""
    made = build.method_of(configured([f"sampling.method={name}"]))(WHITE)
    assert isinstance(made, Method) and getattr(made, "reference", WHITE) is WHITE


@pytest.mark.parametrize(
    ("settings", "n"),
    [
        (["downscaling.method=diffusion", "sampling.method=gaussian-sde"], 8),
        (["downscaling.method=diffusion", "sampling.method=heun"], 15),  # seven steps, and the last denoising
        (["downscaling.method=diffusion", "sampling.method=predictor-corrector"], 15),
        (["downscaling.method=conditional-diffusion"], 8),
        (["downscaling.method=conditional-diffusion", "sampling.method=heun"], 14),  # the mean, six steps, the last
        (["downscaling.method=conditional-flow"], 8),
    ],
)
def test_evaluations_of_a_draw_are_counted_stage_by_stage(settings, n):
    assert build.n_evaluations(configured([*settings, "sampling.n_levels=8"])) == n


LOOSE: set[str] = set()
"""Guidances that do not mean to keep C′x = y."""


@pytest.mark.parametrize(
    "guidance",
    [name for name in get_args(SamplingTable.model_fields["guidance"].annotation) if name not in LOOSE],
)
def test_every_guidance_keeps_the_coarse_field(guidance):
    config = configured([f"sampling.guidance={guidance}"])
    operator, y = Subsample((8,), 2), jr.normal(jr.key(1), (1, 4))
    white = GaussianPrior(jnp.zeros((1, 8)), jnp.eye(8)[:3, None], jnp.ones(3), jnp.ones(()), jnp.ones((1, 8)))
    guided = jax.jit(lambda x: build.guide_of(config, white)(white, operator, y)(x, jnp.asarray(0.7)))
    x = guided(jr.normal(jr.key(2), (1, 8)))
    np.testing.assert_allclose(operator(x), y, atol=1e-5, err_msg="name it in LOOSE if it does not mean to")


def test_operators_and_the_factor_that_would_connect():
    coarsening = configured(["coarsening.factor=4"]).coarsening
    assert isinstance(build.operator_of(coarsening, (32,), (8,)), Subsample)
    means = configured(["coarsening.factor=4", "coarsening.kind=block-mean"]).coarsening
    assert isinstance(build.operator_of(means, (32, 16), (8, 4)), BlockMean)
    with pytest.raises(DataError, match=r"cannot connect them; coarsening.factor = 8 would"):
        build.operator_of(coarsening, (32,), (4,))
    with pytest.raises(DataError, match=r"coarsening.factor = 4"):
        build.operator_of(coarsening, (30,), (8,))


def test_settings_build_the_network_they_describe():
    bounded = ["data.periodic=false", "data.translation_invariant=false"]
    config = configured(["prior.channels=[8, 16]", "prior.n_blocks=1", *bounded])
    settings = build.prior_settings_of(config, 2, (32,))
    denoised = lambda key, x, sigma: build_denoiser(settings, key=key)(x, sigma)  # noqa: E731
    out = jax.eval_shape(denoised, jr.key(0), jnp.zeros((2, 32)), jnp.asarray(1.0))
    assert settings.padding == ("reflect",) and out.shape == (2, 32)
    assert not build.training_settings_of(config).translation_invariant
