"""A tiny synthetic pair of climate archives, whose distribution is known, for the tests of the climate path."""

from pathlib import Path

import numpy as np
import xarray as xr

FINE = (np.arange(36.25, 42.0, 0.5), np.arange(-8.75, -2.0, 0.5))
COARSE = (np.arange(36.75, 42.0, 1.5), np.arange(-8.25, -2.0, 1.5))
"""Cell centres: 12 x 14 fine cells of half a degree, 4 x 5 coarse ones of one and a half; the last ones reach out."""

TINY = {"channels": (8,), "n_steps": 20, "batch_size": 16}
"""A network that trains in a second; the Gaussian part of the prior is as it would be."""
TINY_CONFIGURATION = """
[debias]
n_quantiles = 20

[prior]
directions = [5, 10]
channels = [8]
n_steps = 20
batch_size = 16

[sampling]
n_levels = 4
n_members = 3
"""


def winters(first: int = 1990, n: int = 4, length: int = 30, calendar: str = "standard") -> np.ndarray:
    """The first days of n Januaries, in one calendar."""
    parts = [
        xr.date_range(f"{year}-01-01", periods=length, calendar=calendar, use_cftime=calendar != "standard")
        for year in range(first, first + n)
    ]
    return np.concatenate([np.asarray(part.values) for part in parts])


WAVES = np.array(
    [(0.0, 0.0), (0.5, 0.2), (0.2, 0.6), (-0.4, 0.5), (0.9, 0.3), (-0.7, 0.8), (4.5, 1.0), (1.0, 4.5), (3.5, -3.5)]
)
"""Wave numbers in radians a degree; the last three are shorter than a coarse cell, which cannot tell them."""


def weather(n: int, lat: np.ndarray, lon: np.ndarray, seed: int) -> np.ndarray:
    """Gaussian fields (n, lat, lon) of variance one half or so on whatever grid: a few waves in space."""
    size = np.where(np.hypot(*WAVES.T) < 2, 1.0, 0.3)[:, None] / np.sqrt(6)
    wave = size * np.random.default_rng(seed).normal(size=(n, len(WAVES), 2))
    phase = WAVES[:, 0, None, None] * lat[:, None] + WAVES[:, 1, None, None] * lon
    return np.einsum("nk,kij->nij", wave[..., 0], np.cos(phase)) + np.einsum("nk,kij->nij", wave[..., 1], np.sin(phase))


def temperature(
    grid: tuple, seed: int, *, first: int = 1990, n: int = 4, bias: float = 0.0, calendar: str = "standard"
):
    """tas in K of n Januaries: a slope from south to north, weather of a few degrees, a bias."""
    lat, lon = grid
    time = winters(first, n, calendar=calendar)
    values = 285.0 + bias - 0.8 * (lat[:, None] - 39) + 3 * weather(len(time), lat, lon, seed)
    return _dataset("tas", values, time, grid, {"units": "K", "standard_name": "air_temperature"})


def rain(grid: tuple, seed: int, *, first: int = 1990, factor: float = 1.0):
    """pr in mm/day: dry on half of all days."""
    time = winters(first)
    values = factor * np.maximum(4 * weather(len(time), *grid, seed), 0) ** 1.5
    return _dataset("pr", values, time, grid, {"units": "mm day-1", "standard_name": "lwe_precipitation_rate"})


def with_sea(dataset: xr.Dataset) -> xr.Dataset:
    """No values in the south-western corner."""
    return dataset.where((dataset.lat > 37) | (dataset.lon > -7.5))


def write_pair(folder: Path, *, rainy: bool = False, scenario: bool = True) -> Path:
    """fine.nc (land only), coarse.nc (2 K too warm) and scenario.nc (another 3 K warmer) in a folder."""
    fine, coarse = with_sea(temperature(FINE, seed=1)), temperature(COARSE, seed=2, bias=2.0)
    if rainy:
        fine, coarse = (
            fine.merge(with_sea(rain(FINE, seed=1))),
            coarse.merge(rain(COARSE, seed=2, factor=0.7)),
        )
    fine.to_netcdf(folder / "fine.nc")
    coarse.to_netcdf(folder / "coarse.nc")
    if scenario:
        later = temperature(COARSE, seed=3, bias=5.0, first=2080)
        later = later.merge(rain(COARSE, seed=3, factor=0.9, first=2080)) if rainy else later
        later.to_netcdf(folder / "scenario.nc")
    return folder


def write_configuration(folder: Path, *variables: str, scenario: bool = True, tables: str = TINY_CONFIGURATION) -> Path:
    """run.toml for the pair in the folder."""
    names = ", ".join(f'"{name}"' for name in variables or ("tas",))
    lines = ["[climate]", 'fine = "fine.nc"', 'coarse = "coarse.nc"', f"variables = [{names}]"]
    lines += ['scenario = "scenario.nc"'] if scenario else []
    (folder / "run.toml").write_text("\n".join(lines) + "\n" + tables)
    return folder / "run.toml"


def _dataset(name: str, values: np.ndarray, time: np.ndarray, grid: tuple, attributes: dict) -> xr.Dataset:
    lat, lon = grid
    coordinates = {
        "time": ("time", time, {"standard_name": "time"}),
        "lat": ("lat", lat, {"units": "degrees_north", "standard_name": "latitude"}),
        "lon": ("lon", lon, {"units": "degrees_east", "standard_name": "longitude"}),
    }
    dims = ("time", "lat", "lon")
    return xr.Dataset({name: (dims, values.astype(np.float32), attributes)}, coordinates, {"history": "made by a test"})
