"""The two archives: what is held out, on which scales and grid, how runs begin, and what a context is."""

import shutil

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

from subgrid.data.store import write_zarr
from subgrid.experiments.moist_turbulence import EXPERIMENT
from subgrid.experiments.moist_turbulence.archives import contexts, load_archives
from subgrid.experiments.moist_turbulence.config import TurbulenceTable
from subgrid.runs.experiment import load_config, open_run
from subgrid.simulate.moist_turbulence import MoistTurbulence
from subgrid.simulate.periodic_modes import to_modes


@pytest.mark.slow
def test_runs_held_out_are_not_trained_on_and_coarse_fields_lie_on_the_fine_grid(simulated, tiny):
    archives = open_run(EXPERIMENT, tiny, simulated).archives
    sets = [archives.fine, archives.reference, archives.independent]
    assert [len(fields.values) for fields in sets] == [6, 6, 6]
    assert not any(np.array_equal(a.values[0], b.values[0]) for a, b in [sets[:2], sets[1:], sets[::2]])
    np.testing.assert_allclose(archives.fine.values.mean((0, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(archives.fine.values.std((0, 2, 3)), 1, rtol=1e-4)
    with xr.open_zarr(simulated / "coarse.zarr", chunks=None) as coarse:
        first = np.stack([coarse.zeta.values[0, 0], coarse.c.values[0, 0]])
    np.testing.assert_allclose(archives.restore(archives.coarse.values)[0, :, ::2, ::2], first, atol=1e-4)
    # c is a normal score, ζ no more than divided: kurtosis of a normal distribution is 3.
    assert np.mean(archives.fine.values[:, 1] ** 4) == pytest.approx(3, abs=0.1)


@pytest.mark.slow
def test_spun_up_runs_go_on_from_their_state_under_forcings_of_their_own(simulated):
    with xr.open_zarr(simulated / "fine.zarr", chunks=None) as fine:
        zeta = fine.zeta.values[:, 0]
    # Two frames after a common state of ζ, whatever the context; other runs have nothing in common.
    correlation = np.corrcoef(zeta.reshape(len(zeta), -1))
    assert 0.3 < correlation[0, 3] < 1 - 1e-3
    assert abs(correlation[0, 1]) < 0.3


def test_scales_are_those_of_training_runs_alone(simulated, tiny, tmp_path):
    config = load_config(EXPERIMENT, tiny)
    shutil.copytree(simulated / "fine.zarr", tmp_path / "fine.zarr")
    plain = load_archives(config.turbulence, config.normalisation, tmp_path / "fine.zarr", simulated / "coarse.zarr")
    with xr.open_zarr(tmp_path / "fine.zarr", chunks=None) as fine:
        changed = fine.load()
    held_out = np.arange(changed.sizes["run"]) % 3 > 0  # one training run and two held out of each context
    changed["c"][held_out] *= 5
    shutil.rmtree(tmp_path / "fine.zarr")
    write_zarr(changed, tmp_path / "fine.zarr")
    other = load_archives(config.turbulence, config.normalisation, tmp_path / "fine.zarr", simulated / "coarse.zarr")
    assert eqx.tree_equal(plain.scales.transforms, other.scales.transforms)
    assert eqx.tree_equal(plain.scales.standardiser, other.scales.standardiser)
    assert not np.array_equal(plain.reference.values, other.reference.values)


def test_contexts_are_channels_of_the_saturation_pattern():
    known, group = contexts(32, np.array([4, 0]), [0, 1, 4])
    assert known.shape == (2, 1, 32, 32) and not known[1].any() and group.tolist() == [2, 0]
    modes = np.abs(np.asarray(to_modes(jnp.asarray(known[0, 0]))))
    assert modes[4, 4] == pytest.approx(0.25, rel=1e-5)  # sin sin: four modes of ¼
    assert TurbulenceTable().wavenumbers == (1, 2, 4, 8, 16)
    assert MoistTurbulence(32, wavenumber=4).wavenumber == 4
