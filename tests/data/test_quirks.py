"""Archives of all kinds at once: one truth, written in two ways, is one canonical dataset and one ensemble."""

import tempfile
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings

import subgrid
from subgrid.data.canonical import check_climate, open_climate
from subgrid.data.variables.wanted import Variable

from .archives import archives
from .truths import Truth, differences
from .written import Writing, name_of, store, tolerance_of

FREELY = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
OPTIONS = {"debias": "gaussian", "n_components": (4,), "n_steps": 0, "progress": False}


def check_written(truth: Truth, writing: Writing) -> None:
    """Fails where what is read of a written truth is not what it says."""
    with tempfile.TemporaryDirectory() as folder:
        source = store(truth, writing, Path(folder))
        dataset = check_climate(open_climate(source, {"field": Variable((name_of(truth, writing),))}))
        found = differences(dataset, "field", truth, tolerance=tolerance_of(truth, writing))
        dataset.close()
    assert not found, f"{found} of {truth} as {writing}"


@given(archives())
@settings(FREELY, max_examples=25, derandomize=True)
def test_one_truth_in_two_ways_is_one_dataset(drawn):
    truth, *ways = drawn
    for writing in ways:
        check_written(truth, writing)


@pytest.mark.slow  # minutes: each example writes and reads two archives
@given(archives())
@settings(FREELY, max_examples=500)
def test_one_truth_in_two_ways_is_one_dataset_500_times(drawn):
    truth, *ways = drawn
    for writing in ways:
        check_written(truth, writing)


HISTORY = Truth(n_times=365, start=(2001, 1, 1), seed=1)
LATER = replace(HISTORY, n_times=60, start=(2005, 1, 1), labels=("r1i1p1f1", "r10i1p1f1"), seed=2)
FINE = replace(HISTORY, region="europe", seed=3)
WAYS = [
    Writing(units=4, name=2, fill="packed", dims="yxt", north_first=True, container="zarr 3", members="auxiliary"),
    Writing(units=12, name=1, axis="absolute", turn=True, members="names", shuffle=True, container="NETCDF3_CLASSIC"),
    Writing(units=5, name=3, axis="hours since", stamp="end", bounds=True, flat=True, members="bytes", shuffle=True),
]


def fine() -> xr.Dataset:
    """Half the cell size of the truths, and their values."""
    whole = open_climate(store(FINE, Writing(container="dataset"), Path()), ["tas"]).load()
    lat, lon = (np.arange(float(whole[axis][0]), float(whole[axis][-1]) + 0.1, 0.5) for axis in ("lat", "lon"))
    return whole.interp(lat=lat, lon=lon).assign(tas=lambda made: made.tas.astype("f4").assign_attrs(whole.tas.attrs))


def ensemble(history: Writing, later: Writing, folder: Path) -> xr.DataArray:
    """Three members for each day and member of the later truth, by a model of the history."""
    folder.mkdir()
    wanted = {"tas": Variable(("tas", "t2m", "tg", "air"))}
    coarse = store(HISTORY, history, folder)
    model = subgrid.fit(fine(), coarse, wanted, folder=folder / "model", key=jax.random.key(0), **OPTIONS)
    (folder / "later").mkdir()
    scenario = store(LATER, later, folder / "later")
    return subgrid.downscale(scenario, model, n_members=3, n_levels=4, progress=False, key=jax.random.key(1)).tas


@pytest.mark.slow  # a minute: four models are trained
def test_one_truth_in_two_ways_is_one_ensemble(tmp_path):
    expected = ensemble(Writing(), Writing(), tmp_path / "plain")
    for i, way in enumerate(WAYS):
        found = ensemble(way, way, tmp_path / str(i))
        assert found.dims == expected.dims
        assert [str(label) for label in found.realization.values] == [str(v) for v in expected.realization.values]
        # 0.001 K of packing, and half a day of the seasonal cycle where stamps are at noon.
        np.testing.assert_allclose(found.values, expected.values, atol=0.1)
