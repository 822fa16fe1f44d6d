"""Simulated archives: values, coordinates and CF attributes, through a file and back."""

import subprocess
import sys

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
    assert back.u.encoding["chunks"] == (64, 3, 8)
    np.testing.assert_array_equal(back.u, FIELDS)
    np.testing.assert_array_equal(back.time, [0.0, 12.5, 25.0])
    np.testing.assert_array_equal(back.x, np.arange(8) * 8.0)
    assert back.attrs["config"] == "[simulate]"
    assert back.trajectory.attrs["cf_role"] == "trajectory_id"
    samples = samples_of(open_field(tmp_path / "ks.zarr"), source="ks")
    np.testing.assert_array_equal(samples.values[:, 0], FIELDS.reshape(210, 8))
    np.testing.assert_array_equal(samples.trajectory, np.repeat(np.arange(70), 3))


WITHOUT_DASK = """
import sys
sys.modules["dask"] = None  # as if it were not installed
import numpy as np
import xarray as xr
from subgrid.data.archive import trajectory_dataset
from subgrid.data.store import write_zarr

fields = np.arange(70 * 3 * 8, dtype=np.float32).reshape(70, 3, 8)
write_zarr(trajectory_dataset(fields, interval=12.5, domain=64.0, title="KS", settings=""), sys.argv[1])
np.testing.assert_array_equal(xr.open_zarr(sys.argv[1], chunks=None).u, fields)
"""


def test_dask_is_not_needed(tmp_path):
    command = [sys.executable, "-c", WITHOUT_DASK, str(tmp_path / "ks.zarr")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
