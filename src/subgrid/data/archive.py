"""Simulated trajectories as CF-style datasets."""

import numpy as np
import xarray as xr
from jaxtyping import Float


def trajectory_dataset(
    fields: Float[np.ndarray, "trajectory time x"], *, interval: float, domain: float, title: str, settings: str
) -> xr.Dataset:
    """Simulated trajectories on a line as a CF-style dataset, with the settings that made them.

    Dimensions are trajectory, time and x, with their coordinates; the variable is u. A store has chunks of up to 64
    whole runs.

    Args:
        fields: u.
        interval: model time between snapshots.
        domain: length of the periodic domain.
        title: of the dataset.
        settings: the resolved TOML.

    Returns:
        The dataset.

    Examples:
        >>> dataset = trajectory_dataset(u, interval=12.5, domain=64.0, title="KS, fine", settings=toml)
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
    """Simulated runs of several fields on a square as a CF-style dataset.

    Dimensions are run, time, y and x, with one variable a channel. A store has chunks of one whole run.

    Args:
        fields: all channels.
        channels: long names by variable, in the order of the channels.
        coordinates: numbers along runs by name, such as the context of each.
        interval: model time between frames.
        domain: length of a side of the periodic square.
        attributes: of the dataset.

    Returns:
        The dataset.

    Examples:
        >>> channels = {"zeta": "vorticity", "c": "supersaturation"}
        >>> ensemble_of_runs_dataset(
        ...     frames, channels, coordinates={"wavenumber": k}, interval=0.25, domain=2 * np.pi, attributes={}
        ... )
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
