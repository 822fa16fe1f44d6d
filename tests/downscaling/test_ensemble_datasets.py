"""Ensembles as datasets: names, coordinates and units of what was downscaled."""

import numpy as np
import xarray as xr

from subgrid.data.fields import samples_of
from subgrid.data.store import write_zarr
from subgrid.downscaling.ensemble_datasets import conditions_dataset

from .plain_waves import waves


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
