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


def ensemble_of_runs_dataset(
    fields: Float[np.ndarray, "run time channel y x"],
    channels: dict[str, str],
    *,
    coordinates: dict[str, np.ndarray],
    interval: float,
    domain: float,
    attributes: dict[str, str],
) -> xr.Dataset:
    """Runs of several fields on a square: dimensions run, time, y, x, one variable a channel; chunks of whole runs.

    **Arguments:** `channels`, long names by variable; `coordinates`, along runs (the context of each); `interval`,
    model time between frames; `domain`, its length; `attributes`, of the dataset.
    """
    n_runs, n_times, _, n_points, _ = fields.shape
    place = np.arange(n_points) * domain / n_points
    axes = {
        "run": ("run", np.arange(n_runs), {"cf_role": "trajectory_id", "long_name": "independent run"}),
        "time": ("time", np.arange(n_times) * interval, {"long_name": "model time", "units": "1", "axis": "T"}),
        "y": ("y", place, {"long_name": "position, periodic", "units": "1", "axis": "Y"}),
        "x": ("x", place, {"long_name": "position, periodic", "units": "1", "axis": "X"}),
        **{name: ("run", values) for name, values in coordinates.items()},
    }
    variables = {
        name: (("run", "time", "y", "x"), fields[:, :, i], {"long_name": long_name, "units": "1"})
        for i, (name, long_name) in enumerate(channels.items())
    }
    dataset = xr.Dataset(variables, axes, {"Conventions": "CF-1.11", "source": "subgrid", **attributes})
    for name in channels:
        dataset[name].encoding["chunks"] = (1, n_times, n_points, n_points)
    return dataset
