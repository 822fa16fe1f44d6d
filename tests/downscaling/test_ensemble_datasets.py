"""Ensembles as datasets: names, coordinates and units of what was downscaled."""

import numpy as np
import xarray as xr

from subgrid.data.fields import samples_of
from subgrid.data.store import write_zarr
from subgrid.downscaling.ensemble_datasets import conditions_dataset

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
