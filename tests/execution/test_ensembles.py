"""`downscale` into stores: what they record, and what is left in them by calls that were killed."""

import json
import os
import socket
import warnings
from dataclasses import replace

import jax.random as jr
import numpy as np
import pytest
import xarray as xr

import subgrid
from subgrid.cli.status import show_status
from subgrid.data.store import WORK
from subgrid.downscaling.model.draws import N_LEVELS, OF_PARTICLES
from subgrid.downscaling.prior.novelty import OutsideTraining
from subgrid.execution.health import status

from ..downscaling.plain_waves import waves

TINY = {
    "channels": (8,), "n_blocks": 1, "patch": 2, "n_steps": 10, "steps_per_dispatch": 10, "batch_size": 8,
    "progress": False,
}  # fmt: skip


@pytest.fixture(scope="module")
def coarse():
    return waves(8, 4, 8, seed=1, bias=0.4)


@pytest.fixture(scope="module")
def model(coarse, tmp_path_factory):
    """A network, guided, of waves on a ring; nothing is debiased."""
    options = {"debias": "none", "prior": "network", "key": jr.key(0), **TINY}
    return subgrid.fit(waves(32, 8, 6, 0, noise=0.2), coarse, folder=tmp_path_factory.mktemp("m") / "model", **options)


def downscaled(coarse, model, **options) -> xr.Dataset:
    given = {"n_members": 2, "guidance": "gaussian-gain", "progress": False, "key": jr.key(1)}
    return subgrid.downscale(coarse, model, **given | options)


def configuration(dataset: xr.Dataset) -> dict:
    return json.loads(dataset.attrs["configuration"])


def test_what_is_not_given_is_recorded_as_what_is_used(coarse, model, tmp_path):
    one = downscaled(coarse, model, out=tmp_path / "e.zarr", n_levels=None, time=None)
    assert configuration(one)["n_levels"] == str(N_LEVELS["guided"])
    assert "time" not in configuration(one) and "None" not in one.attrs["configuration"]
    downscaled(coarse, model, out=tmp_path / "e.zarr", n_levels=N_LEVELS["guided"])  # the same call


def test_a_seed_is_the_key_of_it(coarse, model):
    seeded, keyed = (downscaled(coarse, model, key=key) for key in (3, jr.key(3)))
    xr.testing.assert_equal(seeded, keyed)


def test_what_a_killed_call_left_in_a_store_is_removed_by_the_next(coarse, model, tmp_path, monkeypatch):
    """Killed while the targets were written, then while the work items were done."""
    out, work = tmp_path / "e.zarr", tmp_path / "e.zarr" / WORK

    def killed(*arguments, **options):
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr("subgrid.execution.ensembles.run", killed)
        with pytest.raises(SystemExit):
            downscaled(coarse, model, out=out)
    pid = os.posix_spawn("/bin/true", ["true"], {})
    os.waitpid(pid, 0)
    left = work / "partial" / f"{socket.gethostname()}-{pid}-aa"
    (left / "targets.zarr").mkdir(parents=True)
    assert {path.name for path in work.iterdir()} >= {"targets", "partial"}
    stored = downscaled(coarse, model, out=out)
    assert np.isfinite(stored.u).all()
    assert not list((work / "partial").iterdir()) and not (work / "targets").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["e.zarr"]


@pytest.mark.filterwarnings("ignore:GaussianSDE at 3")
def test_what_particles_tell_of_the_draws_is_kept_in_a_store(coarse, model, tmp_path, capsys):
    options = {"n_particles": 2, "n_levels": 3, "guidance": None}
    stored = downscaled(coarse, model, out=tmp_path / "e.zarr", **options)
    assert {*OF_PARTICLES} <= {*map(str, stored.coords)}  # as in memory
    for name, attributes in OF_PARTICLES.items():
        assert stored[name].dims == ("realization", "time") and stored[name].attrs == attributes
        assert ((stored[name] > 0) & (stored[name] <= 2)).all()
    sizes = stored.effective_size.values
    assert status(tmp_path / "e.zarr").told["effective_size"] == (sizes.min(), np.median(sizes))
    show_status(tmp_path / "e.zarr")
    assert f"effective size of the draws: {sizes.min():.3g} at least" in capsys.readouterr().out
    found = subgrid.verify(stored, waves(32, 2, 4, 0), progress=False, paired=False)
    assert any(f"an effective size of {sizes.min():.3g} at least" in note for note in found.notes)


def test_fields_far_from_the_archive_of_the_fit_are_warned_of_once_and_the_output_says_so(coarse, model, tmp_path):
    far = coarse.copy(deep=True)
    far[:, 1, 2] += 50
    with pytest.warns(OutsideTraining, match=r"^1 of 32 coarse fields .* first of them number 10") as caught:
        stored = downscaled(far, model, out=tmp_path / "e.zarr")
    assert len(caught) == 1
    said = str(caught[0].message)
    assert stored.attrs["outside_training"] == said
    with pytest.warns(OutsideTraining):
        assert downscaled(far, model).attrs["outside_training"] == said
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "outside_training" not in downscaled(coarse, model).attrs
        older = replace(model, coarse=replace(model.coarse, seen=None))
        assert "outside_training" not in downscaled(far, older).attrs


def test_a_file_that_cannot_be_written_leaves_nothing(coarse, model, tmp_path, monkeypatch):
    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("subgrid.data.store._write_netcdf", full)
    with pytest.raises(OSError, match="no space left"):
        downscaled(coarse, model, out=tmp_path / "e.nc")
    assert not list(tmp_path.iterdir())
