"""A run folder is a model folder: `subgrid.load` finds it, and its transport and prior serve new files."""

import jax.random as jr
import numpy as np
import pytest
import xarray as xr

import subgrid
from subgrid.data.fields import samples_of
from subgrid.data.plain import open_plain
from subgrid.downscaling.debiasing.static import NoDebiasing
from subgrid.downscaling.model.folder import load_preparation
from subgrid.downscaling.model.plain import open_plain_pair
from subgrid.downscaling.model.settings import FitSettings
from subgrid.numerics.operators import BlockMean

from ...tiny import waves
from .opening import SETTINGS, files, finished


@pytest.fixture(scope="module")
def run(archives, tmp_path_factory):
    """Debiased by the linear map, and a conditional model, trained."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    return finished(folder, [*SETTINGS, *files(archives)], until="downscale")


@pytest.mark.slow
def test_the_transport_of_a_run_gives_the_fields_that_the_run_debiased(run, archives):
    """Held-out coarse fields again, from the file: the bits of debiased.zarr."""
    model, debiased = subgrid.load(run.folder), xr.open_zarr(run.folder / "debiased.zarr")
    held_out = xr.open_dataset(archives / "coarse.nc").sel(time=debiased.time)
    values = samples_of(held_out.u, source="coarse").values
    np.testing.assert_array_equal(values, debiased.raw)
    np.testing.assert_allclose(model.coarse.debiaser.adjust(values), debiased.debiased, atol=1e-6)
    assert float(abs(debiased.debiased - debiased.raw).max()) > 0.05


@pytest.mark.slow  # tests/cli/test_models.py downscales new files with a model, which a run is too
def test_new_files_are_downscaled_with_it(run):
    new = waves(5, 8, seed=7)
    drawn = subgrid.downscale(new, run.folder, n_members=2, key=jr.key(0), progress=False)
    assert drawn.u.dims == ("realization", "time", "x") and drawn.u.attrs["units"] == "m s-1"
    model = subgrid.load(run.folder)
    assert isinstance(model.fine.operator, BlockMean)
    wanted = model.coarse.debiaser.adjust(new.u.values[:, None])[:, 0]
    found = drawn.u.values.reshape(2, 5, 8, 4).mean(-1)
    np.testing.assert_allclose(found, np.broadcast_to(wanted, found.shape), atol=1e-4)
    np.testing.assert_allclose(drawn.x, waves(1, 32, seed=0).x)


def test_it_is_the_preparation_that_fit_makes(run, archives):
    """Of the same archives, but for the debiaser, which a run fits on its training part."""
    opened = [open_plain(archives / f"{name}.nc") for name in ("fine", "coarse")]
    pair = open_plain_pair(*opened, None, BlockMean((32,), 4), FitSettings(debias="none", periodic=True))
    sides = pair.sides(FitSettings(debias="none"), folder=run.folder, report=None, key=jr.key(0), shifted=False)[:2]
    for here, there in zip(sides, load_preparation(run.folder), strict=True):
        xr.testing.assert_identical(here.grid, there.grid)
    assert sides[0].reading == load_preparation(run.folder)[0].reading


@pytest.mark.slow  # it fits a bridge
@pytest.mark.parametrize("source", ["raw", "coarsened"])
def test_a_bridge_from_raw_fields_debiases_them_itself(archives, tmp_path, source):
    bridge = [
        "downscaling.method=bridge", f"downscaling.source={source}", "downscaling.n_steps=10",
        "downscaling.n_iterations=2", "downscaling.n_sampling_steps=4",
    ]  # fmt: skip
    run = finished(tmp_path / "run", [*SETTINGS, *bridge, *files(archives)], until="downscale")
    model = subgrid.load(run.folder)
    assert isinstance(model.coarse.debiaser.debiaser, NoDebiasing) == (source == "raw")
    drawn = subgrid.downscale(waves(3, 8, seed=7), model, n_members=2, key=jr.key(0), progress=False)
    assert drawn.u.shape == (2, 3, 32) and np.isfinite(drawn.u).all()
