"""`sampling.particles`: stores, metrics and report tell what the weights of a run and of `downscale` were."""

import json

import numpy as np
import pytest
import xarray as xr

from subgrid.experiments.downscale import build
from subgrid.numerics.operators import Subsample
from subgrid.runs.config import ConfigError

from .opening import configured, files, finished

SETTINGS = [
    "data.translation_invariant=false",
    "coarsening.factor=4",
    "debias.method=none",
    "downscaling.method=diffusion",
    "prior.channels=[8]",
    "prior.n_blocks=1",
    "training.n_steps=20",
    "training.steps_per_dispatch=20",
    "training.batch_size=8",
    "sampling.guidance=gaussian-gain",
    "sampling.n_levels=4",
    "sampling.n_members=3",
    "sampling.particles=4",
    "evaluation.n_conditions=4",
    "evaluation.n_unpaired=6",
    "evaluation.n_shifts=1",
]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:particles collapsed"),
]  # the prior has seen twenty steps
DIAGNOSTICS = ("effective_size", "effective_fraction")


@pytest.fixture(scope="module")
def run(archives, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    finished(folder, [*SETTINGS, *files(archives)])
    return folder


@pytest.mark.slow
def test_every_member_has_the_effective_size_of_its_particles(run):
    for name, shape in (("ensemble", (6, 2)), ("perfect_model", (4, 3))):
        store = xr.open_zarr(run / f"{name}.zarr").load()
        for name in DIAGNOSTICS:
            assert store[name].dims == ("condition", "member") and store[name].shape == shape
        assert np.all((store.effective_size >= 0.999) & (store.effective_size <= 4.001))
        assert np.all((store.effective_fraction > 0) & (store.effective_fraction < 1.001))


def test_metrics_and_report_tell_the_medians_of_the_perfect_model(run):
    metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    store = xr.open_zarr(run / "perfect_model.zarr")
    for name in DIAGNOSTICS:
        assert metrics["particles"][name] == pytest.approx(float(np.median(store[name])))
    size = metrics["particles"]["effective_size"]
    page = (run / "report.html").read_text(encoding="utf-8")
    assert f"4 a member; medians over the perfect model: effective size at the worst noise level {size:.3g}" in page


def test_downscale_tells_it_for_every_sample(run, archives, subgrid, tmp_path):
    """The model of a run is used with the sampler that the call names; ten of its coarse fields, as NetCDF."""
    sampler = [f"--set={each}" for each in ("n_particles=4", "guidance=gaussian-gain", "n_levels=4", "chunk=64")]
    arguments = ("-o", tmp_path / "e.nc", "--members", "3", "--time", "0:4.5", *sampler)
    outcome = subgrid("downscale", archives / "coarse.nc", "-m", run, *arguments)
    assert outcome.code == 0, outcome.err
    with xr.open_dataset(tmp_path / "e.nc", decode_times=False) as found:
        for name in DIAGNOSTICS:
            assert found[name].dims == ("realization", "time") and found[name].shape == (3, 10)
        assert np.all((found.effective_size >= 0.999) & (found.effective_size <= 4.001))


def test_a_method_whose_steps_have_no_density_is_refused():
    with pytest.raises(ConfigError, match=r'sampling\.particles = 4 needs sampling\.method = "gaussian-sde"'):
        configured(["sampling.particles=4", "sampling.method=heun"])


def test_models_that_need_no_guidance_are_refused_before_training(archives, tmp_path):
    settings = [*SETTINGS, *files(archives), "downscaling.method=conditional-diffusion"]
    with pytest.raises(ConfigError, match="particles are of a guided prior"):
        finished(tmp_path / "run", settings)
    assert not (tmp_path / "run").exists()


def test_a_folder_with_a_model_that_needs_no_guidance_is_refused(tmp_path):
    (tmp_path / "conditional.json").write_text("{}", encoding="utf-8")
    config = configured(["sampling.particles=4"])
    with pytest.raises(ConfigError, match="holds a model that needs no guidance"):
        build.open_upsampler(config, tmp_path, Subsample((16,), 4))
