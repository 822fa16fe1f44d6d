"""A run whose prior is of functions: trained on half the grid, guided on the whole, loaded like any other."""

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

import subgrid
from subgrid.experiments.downscale.build import function_settings_of, prior_settings_of
from subgrid.experiments.downscale.sampler_comparison import _is_compared
from subgrid.functional.function_diffusion import FunctionDiffusion
from subgrid.runs.config import ConfigError

from .opening import SETTINGS, configured, files, finished

FUNCTIONS = ["downscaling.method=diffusion", "prior.kind=function-space", "sampling.n_levels=4"]
pytestmark = pytest.mark.filterwarnings("ignore:.*noise levels")


@pytest.mark.slow
def test_a_run_trains_guides_and_is_loaded(archives, tmp_path):
    """Slow: a network is trained and two ensembles are drawn, on 32 × 32 points."""
    run = finished(tmp_path / "run", [*SETTINGS, *files(archives), *FUNCTIONS], until="score")
    fine = run.fine[0].values.shape[2:]
    model = subgrid.load(tmp_path / "run")
    assert isinstance(model.prior, FunctionDiffusion)
    assert model.prior.space.grid == tuple(n // 2 for n in fine)
    drawn = xr.open_zarr(tmp_path / "run" / "perfect_model.zarr")
    assert np.isfinite(drawn.ensemble.values).all()
    given = np.asarray(run.operator(jnp.asarray(drawn.ensemble.values)))
    np.testing.assert_allclose(given, np.broadcast_to(drawn.target.values[:, None], given.shape), atol=0.02)


def test_the_network_is_that_of_the_grid_on_fewer_points_without_its_noise_levels():
    config = configured(FUNCTIONS)
    own, given = function_settings_of(config, 1, (32, 32)), prior_settings_of(config, 1, (32, 32))
    assert own == replace(given, space=(16, 16), sigma_min=own.sigma_min, sigma_max=own.sigma_max)


def test_models_of_functions_are_compared_where_there_are_two_levels():
    for sampler in ("function-space", "function-space-2x", "conditional-function-space"):
        assert [n for n in (1, 2, 4) if _is_compared(sampler, n)] == [2, 4]


def test_what_a_prior_of_functions_does_not_go_with_is_refused():
    with pytest.raises(ConfigError, match=r'set downscaling.method = "diffusion"'):
        configured(["prior.kind=function-space"])
    with pytest.raises(ConfigError, match="guided without them"):
        configured([*FUNCTIONS, "sampling.particles=4"])
    with pytest.raises(ConfigError, match=r'prior.n_points is of prior.kind = "function-space"'):
        configured(["prior.n_points=16"])
