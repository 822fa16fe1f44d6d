"""Plain fields whose values are known at every point: waves on a ring."""

import numpy as np
import xarray as xr

LENGTH = 8.0


def waves(n_points: int, n_runs: int, n_times: int, seed: int, *, bias: float = 0.0, noise: float = 0.0):
    """Random waves of wavenumbers 1 and 2 about 3 + bias, dimensions (x, trajectory, time): space first on purpose.

    Eight points determine waves; of noise they do not.
    """
    draw = np.random.default_rng(seed)
    x = np.arange(n_points) * LENGTH / n_points
    phases = draw.uniform(0, 2 * np.pi, (2, n_runs, n_times, 1))
    angle = 2 * np.pi * x / LENGTH
    values = 3 + bias + np.cos(angle + phases[0]) + 0.5 * np.cos(2 * angle + phases[1])
    values = values + noise * draw.normal(size=values.shape)
    coords = {
        "x": ("x", x, {"units": "m"}),
        "time": ("time", np.arange(n_times) * 6.0, {"units": "hours"}),
        "height": ((), 2.0, {"units": "m"}),
    }
    field = xr.DataArray(values, coords, ("trajectory", "time", "x"), "u", {"units": "m s-1", "long_name": "velocity"})
    return field.transpose("x", "trajectory", "time")
