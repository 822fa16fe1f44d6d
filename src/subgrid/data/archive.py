"""Simulated trajectories as CF-style datasets."""

import numpy as np
import xarray as xr
from jaxtyping import Float


def trajectory_dataset(
    fields: Float[np.ndarray, "trajectory time x"], *, interval: float, domain: float, title: str, settings: str
) -> xr.Dataset:
    """Dimensions trajectory, time, x with their coordinates, and the settings that made it; a store has chunks of runs.

    **Arguments:** `interval`, model time between snapshots; `domain`, its length; `settings`, the resolved TOML.
    """
    n_runs, n_times, n_points = fields.shape
    coordinates = {
        "trajectory": ("trajectory", np.arange(n_runs), {"cf_role": "trajectory_id", "long_name": "independent run"}),
        "time": (
            "time",
            np.arange(n_times) * interval,
            {"long_name": "model time after spin-up", "units": "1", "axis": "T"},
        ),
        "x": (
            "x",
            np.arange(n_points) * domain / n_points,
            {"long_name": "position, periodic", "units": "1", "axis": "X"},
        ),
    }
    attributes = {"Conventions": "CF-1.11", "title": title, "source": "subgrid simulate", "config": settings}
    dataset = xr.Dataset({"u": (("trajectory", "time", "x"), fields)}, coordinates, attributes)
    dataset.u.attrs = {"long_name": "velocity", "units": "1"}
    dataset.u.encoding["chunks"] = (min(64, n_runs), n_times, n_points)
    return dataset
