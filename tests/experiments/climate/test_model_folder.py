"""The folder of a climate run is that of a model: it is loaded, sampled and downscaled with as any other."""

import shutil
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest
import xarray as xr

import subgrid as library
from subgrid.data.fields import DataError
from subgrid.downscaling.model.draws import SamplingSettings
from subgrid.downscaling.model.sampler import Sampler
from subgrid.downscaling.preparation.series import series_of
from subgrid.experiments.climate.run import ClimateRun
from subgrid.numerics.streams import draw_keys, stream
from subgrid.runs.record import read_record, write_record

from ...tiny import Call
from .conftest import STORES, chunks, continued, values

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("small_work_items")]


def unseen_days(pair: Path) -> xr.Dataset:
    """The days that a run downscales: those of its unseen season years."""
    with xr.open_dataset(pair / "coarse.nc") as coarse:
        return coarse[["tas", "pr"]].isel(time=coarse.time.dt.year.values % 2 == 0).load()


def test_the_run_folder_is_a_model_with_the_same_bits(pair, finished):
    """The key of a draw counts times from the first."""
    model, series = library.load(finished[0]), series_of(unseen_days(pair), ["tas", "pr"])
    sampler = Sampler(model.fine, model.draws(SamplingSettings(n_levels=4)))
    key = stream(0, *ClimateRun.stream_name("historical"))
    keys = draw_keys(key, np.arange(len(series)), np.arange(3))
    found = sampler(model.coarse.targets(series), series.phase, keys=keys)
    for channel, name in enumerate(("tas", "pr")):
        np.testing.assert_array_equal(np.moveaxis(found[:, :, channel], 1, 0), values(finished[0], "ensemble", name))


def test_the_run_folder_is_a_model_that_downscales(pair, finished):
    """Its members coarsen to the fields that the run has debiased, whatever they are drawn by."""
    model, days = library.load(finished[0]), unseen_days(pair)
    found = library.downscale(days, model, n_members=2, progress=False, key=jax.random.key(3))
    assert found.tas.dims == ("realization", "time", "lat", "lon") and found.tas.attrs["units"] == "K"
    land = np.isfinite(values(finished[0], "ensemble")[0])
    with xr.open_zarr(finished[0] / "targets.zarr", chunks=None) as stored:
        targets, phase = stored.target.values, stored.phase.values
    for member in range(2):
        fields = np.stack([found[name].values[member] for name in ("tas", "pr")], axis=1)
        np.testing.assert_array_equal(np.isfinite(fields[:, 0]), land)
        inner = model.fine.chain.forward(np.nan_to_num(fields), phase)
        coarsened = np.asarray(jax.vmap(model.fine.operator)(inner))[:, 0]  # what of rain is censored is lost
        np.testing.assert_allclose(coarsened, targets[:, 0], atol=1e-3)  # rounding at 285 K


def as_an_earlier_version_left_it(folder: Path) -> None:
    """Parts of other names, and records of another version."""
    for name in ("preparation.zarr", "scenario.fine.zarr"):
        shutil.rmtree(folder / name)
    (folder / "domain.zarr").mkdir()
    (folder / "debiasing.zarr").mkdir()
    earlier = read_record(folder, "prepare"), read_record(folder, "sample")
    assert earlier[0] is not None and earlier[1] is not None
    write_record(folder, replace(earlier[0], id="earlier"))
    write_record(folder, replace(earlier[1], needs={**earlier[1].needs, "prepare": "earlier"}))


def test_a_run_of_an_earlier_version_is_refused_with_its_ensembles_and_prepared_anew_without(
    subgrid: Call, pair, finished, tmp_path
):
    folder = continued(finished, tmp_path)
    as_an_earlier_version_left_it(folder)
    with pytest.raises(DataError, match=r"holds a model of an earlier version, without preparation\.zarr; fit it anew"):
        library.load(folder)
    before = chunks(folder)
    outcome = subgrid("run", pair / "run.toml", "-o", folder)
    assert outcome.code == 2 and "Traceback" not in outcome.err
    said = "ensemble.zarr was made from 'prepare' as it was before, which has been made anew since by another version"
    assert f"{folder}: {said}; remove ensemble.zarr to make it anew" in outcome.complaint
    assert chunks(folder) == before and not (folder / "preparation.zarr").exists()
    for name in STORES:
        shutil.rmtree(folder / f"{name}.zarr")
    kept = (folder / "model" / "settings.json").stat().st_mtime_ns
    assert subgrid("run", pair / "run.toml", "-o", folder, "--until", "sample").code == 0
    assert chunks(folder) == chunks(finished[0])
    assert (folder / "model" / "settings.json").stat().st_mtime_ns == kept  # the prior is that of the earlier version
