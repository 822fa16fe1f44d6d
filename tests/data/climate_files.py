"""Small climate archives for the tests, and the place of the real ones beside the project."""

import os
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

DATA = Path(os.environ.get("SUBGRID_DATA", Path(__file__).parents[3] / "shared" / "data"))
needs_data = pytest.mark.skipif(not (DATA / "iberia").is_dir(), reason=f"the real data are not in {DATA}")

UNITS = {"tas": "K", "pr": "mm day-1", "psl": "Pa"}
STANDARD_NAMES = {
    "tas": "air_temperature",
    "pr": "lwe_precipitation_rate",
    "psl": "air_pressure_at_mean_sea_level",
}
TYPICAL = {"tas": (280.0, 5.0), "pr": (4.0, 1.0), "psl": (101_000.0, 500.0)}


def archive(
    variable: str = "tas",
    *,
    n_times: int = 6,
    start: str = "2000-12-30",
    calendar: str = "standard",
    lat: np.ndarray | None = None,
    lon: np.ndarray | None = None,
    seed: int = 0,
) -> xr.Dataset:
    """A CF dataset of plausible noise, daily, on a regular grid of Iberia's size; already canonical."""
    lat = np.linspace(36.0, 42.0, 4) if lat is None else lat
    lon = np.linspace(-9.0, 3.0, 5) if lon is None else lon
    middle, spread = TYPICAL[variable]
    noise = np.random.default_rng(seed).normal(size=(n_times, len(lat), len(lon)))
    values = (middle + spread * np.clip(noise, -3, 3)).astype(np.float32)
    dataset = xr.Dataset(
        {variable: (("time", "lat", "lon"), values)},
        {
            "time": xr.date_range(start, periods=n_times, calendar=calendar, use_cftime=calendar != "standard"),
            "lat": ("lat", lat, {"units": "degrees_north", "standard_name": "latitude"}),
            "lon": ("lon", lon, {"units": "degrees_east", "standard_name": "longitude"}),
        },
    )
    dataset[variable].attrs = {"units": UNITS[variable], "standard_name": STANDARD_NAMES[variable]}
    return dataset


def rotated_archive(n_times: int = 3) -> xr.Dataset:
    """CORDEX-like: dimensions rlat and rlon, 2-D lat and lon, a grid mapping."""
    rlat, rlon = np.arange(-1.0, 1.1, 0.5), np.arange(-1.5, 1.6, 0.5)
    north_pole = np.deg2rad(39.25)
    φ, λ = np.meshgrid(np.deg2rad(rlat), np.deg2rad(rlon), indexing="ij")
    lat = np.arcsin(np.sin(φ) * np.sin(north_pole) + np.cos(φ) * np.cos(λ) * np.cos(north_pole))
    east = np.arctan2(
        np.cos(φ) * np.sin(λ), np.sin(north_pole) * np.cos(φ) * np.cos(λ) - np.cos(north_pole) * np.sin(φ)
    )
    values = np.random.default_rng(1).normal(285, 3, (n_times, *lat.shape)).astype(np.float32)
    dataset = xr.Dataset(
        {"tas": (("time", "rlat", "rlon"), values), "rotated_pole": ((), 0)},
        {
            "time": xr.date_range("2000-01-01", periods=n_times),
            "rlat": ("rlat", rlat, {"standard_name": "grid_latitude", "units": "degrees", "axis": "Y"}),
            "rlon": ("rlon", rlon, {"standard_name": "grid_longitude", "units": "degrees", "axis": "X"}),
            "lat": (("rlat", "rlon"), np.rad2deg(lat), {"units": "degrees_north", "standard_name": "latitude"}),
            "lon": (("rlat", "rlon"), 18 + np.rad2deg(east), {"units": "degrees_east", "standard_name": "longitude"}),
        },
    )
    dataset.rotated_pole.attrs = {
        "grid_mapping_name": "rotated_latitude_longitude",
        "grid_north_pole_latitude": 39.25,
        "grid_north_pole_longitude": -162.0,
    }
    dataset.tas.attrs = {"units": "K", "standard_name": "air_temperature", "grid_mapping": "rotated_pole"}
    return dataset
