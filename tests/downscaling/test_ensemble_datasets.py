"""Ensembles as datasets: names, coordinates and units of what was downscaled."""

import numpy as np
import pytest
import xarray as xr

import subgrid
from subgrid.data.fields import DataError, samples_of
from subgrid.data.store import write_zarr
from subgrid.downscaling.ensemble_datasets import (
    conditions_dataset,
    ensemble_coordinates,
    ensemble_dataset,
    fine_coordinates,
)

LENGTH = 8.0


def waves(n_points: int, n_runs: int, n_times: int, seed: int, bias: float = 0.0) -> xr.DataArray:
    """Random waves of wavenumbers 1 and 2 about 3 + bias, dimensions (x, trajectory, time): space first on purpose."""
    draw = np.random.default_rng(seed)
    x = np.arange(n_points) * LENGTH / n_points
    phases = draw.uniform(0, 2 * np.pi, (2, n_runs, n_times, 1))
    angle = 2 * np.pi * x / LENGTH
    values = 3 + bias + np.cos(angle + phases[0]) + 0.5 * np.cos(2 * angle + phases[1])
    coords = {
        "x": ("x", x, {"units": "m"}),
        "time": ("time", np.arange(n_times) * 6.0, {"units": "hours"}),
        "height": ((), 2.0, {"units": "m"}),
    }
    field = xr.DataArray(values, coords, ("trajectory", "time", "x"), "u", {"units": "m s-1", "long_name": "velocity"})
    return field.transpose("x", "trajectory", "time")


def test_fine_coordinates_of_block_means_average_to_the_coarse_ones():
    x = np.array([1.5, 5.5, 9.5])
    coarse = xr.DataArray(np.zeros((2, 3)), {"x": x}, ("sample", "x"))
    found = fine_coordinates(coarse, ("x",), subgrid.BlockMean((12,), 4))["x"][1]
    np.testing.assert_allclose(found.reshape(3, 4).mean(1), x)
    np.testing.assert_allclose(np.diff(found), 1.0)


def test_unequal_spacing_gives_no_fine_coordinate():
    coarse = xr.DataArray(np.zeros((2, 3)), {"x": [0.0, 1.0, 4.0]}, ("sample", "x"))
    assert fine_coordinates(coarse, ("x",), subgrid.Subsample((12,), 4)) == {}


def test_two_space_axes_stay_in_their_order():
    coarse = xr.DataArray(np.zeros((2, 3, 4)), dims=("time", "lat", "lon"), attrs={"units": "K"})
    dataset = ensemble_dataset(coarse, np.zeros((2, 5, 1, 6, 8)), np.zeros((2, 1, 3, 4)), subgrid.BlockMean((6, 8), 2))
    assert dataset.ensemble.dims == ("time", "member", "lat", "lon")
    assert dataset.target.dims == ("time", "lat_coarse", "lon_coarse")
    assert dataset.ensemble.attrs == {"units": "K"}


@pytest.mark.parametrize(
    "order", [("trajectory", "time", "x"), ("time", "trajectory", "x"), ("x", "time", "trajectory")]
)
def test_each_ensemble_belongs_to_its_own_sample(order):
    """Members that are copies of the coarse field itself, in the order of samples_of, come back where they were."""
    coarse = waves(8, 3, 4, seed=2).transpose(*order)
    values = samples_of(coarse, source="coarse").values
    members = np.repeat(values[:, None], 2, axis=1)
    dataset = ensemble_dataset(coarse, members, values, subgrid.Subsample((8,), 1))
    assert dataset.ensemble.dims == (*(d for d in order if d != "x"), "member", "x")
    for member in (0, 1):
        xr.testing.assert_equal(dataset.ensemble.isel(member=member).transpose(*order), coarse.astype("float32"))
    xr.testing.assert_equal(dataset.target.rename(x_coarse="x").transpose(*order), coarse.astype("float32"))


def test_an_input_of_another_zarr_format_can_be_written(tmp_path):
    """Coordinates read from a Zarr v2 store bring its codecs along, which a v3 store refuses."""
    coarse = waves(8, 2, 3, seed=0)
    coarse.to_dataset().to_zarr(tmp_path / "v2.zarr", zarr_format=2)
    field = xr.open_zarr(tmp_path / "v2.zarr").u
    samples = samples_of(field, source="v2.zarr")
    dataset = ensemble_dataset(field, samples.values[:, None], samples.values, subgrid.Subsample((8,), 1))
    write_zarr(dataset, tmp_path / "v3.zarr")
    back = xr.open_zarr(tmp_path / "v3.zarr")
    xr.testing.assert_equal(back.ensemble.isel(member=0).transpose("x", ...).load(), coarse.astype("float32"))
    assert field.time.encoding  # the input keeps its own
    assert not ensemble_coordinates(field, subgrid.Subsample((8,), 1)).time.encoding


def test_ensembles_of_single_samples_keep_time_place_name_and_units(tmp_path):
    fine, coarse = (samples_of(waves(n, 3, 4, seed=0), source="f") for n in (16, 4))
    chosen = np.array([1, 7, 10])
    members = np.repeat(fine.values[chosen][:, None], 2, axis=1)
    dataset = conditions_dataset(
        coarse.take(chosen), members, coarse.values[chosen], fine=fine, coarse=coarse, truth=fine.values[chosen]
    )
    write_zarr(dataset, tmp_path / "e.zarr")
    back = xr.open_zarr(tmp_path / "e.zarr")
    assert back.ensemble.dims == ("condition", "member", "channel", "x")
    assert back.truth.attrs == {"units": "m s-1", "long_name": "velocity"}
    np.testing.assert_array_equal(back.time, [6.0, 18.0, 12.0])  # 12 samples of 3 runs, six hours apart
    assert back.time.attrs == {"units": "hours"}
    np.testing.assert_allclose(back.x, np.arange(16) / 2)
    np.testing.assert_allclose(back.x_coarse, np.arange(4) * 2)
    # What was written is read as samples again: 3 conditions × 2 members.
    again = samples_of(back.ensemble, source="e.zarr")
    np.testing.assert_array_equal(again.values[::2], fine.values[chosen])


def test_channels_stay_channels():
    values = np.random.default_rng(0).normal(size=(5, 2, 4)).astype(np.float32)
    coarse = xr.DataArray(values, {"channel": ["tas", "pr"]}, ("time", "channel", "x"))
    samples = samples_of(coarse, source="coarse")
    np.testing.assert_array_equal(samples.values, values)
    dataset = ensemble_dataset(coarse, samples.values[:, None], samples.values, subgrid.Subsample((4,), 1))
    assert dataset.ensemble.dims == ("time", "member", "channel", "x")
    np.testing.assert_array_equal(dataset.ensemble[:, 0], values)


@pytest.mark.parametrize("name", ["ensemble", "target", "x_coarse"])
def test_names_that_the_result_needs_are_refused(name):
    coarse = waves(8, 2, 3, seed=0)
    with pytest.raises(DataError, match=f"a coordinate '{name}', a name that the result needs; rename or drop it"):
        ensemble_coordinates(coarse.assign_coords({name: 1.0}), subgrid.Subsample((32,), 4))
    with pytest.raises(DataError, match="rename it"):
        ensemble_coordinates(coarse.rename(trajectory="member"), subgrid.Subsample((32,), 4))
