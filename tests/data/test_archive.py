"""Simulated archives: values, coordinates and CF attributes, through a file and back."""

import numpy as np
import xarray as xr

from subgrid.data.archive import trajectory_dataset
from subgrid.data.fields import open_field, samples_of
from subgrid.data.store import write_zarr

FIELDS = np.random.default_rng(0).normal(size=(70, 3, 8)).astype(np.float32)


def test_dataset_survives_a_store(tmp_path):
    dataset = trajectory_dataset(FIELDS, interval=12.5, domain=64.0, title="KS", settings="[simulate]")
    write_zarr(dataset, tmp_path / "ks.zarr")
    back = xr.open_zarr(tmp_path / "ks.zarr")
    np.testing.assert_array_equal(back.u, FIELDS)
    np.testing.assert_array_equal(back.time, [0.0, 12.5, 25.0])
    np.testing.assert_array_equal(back.x, np.arange(8) * 8.0)
    assert back.attrs["config"] == "[simulate]"
    assert back.trajectory.attrs["cf_role"] == "trajectory_id"
    samples = samples_of(open_field(tmp_path / "ks.zarr"), source="ks")
    np.testing.assert_array_equal(samples.values[:, 0], FIELDS.reshape(210, 8))
    np.testing.assert_array_equal(samples.trajectory, np.repeat(np.arange(70), 3))
