"""Small stores, and digests of what is in them. Workers find the samplers of `toy_sampler` by name on the path."""

import hashlib
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from subgrid.execution.template import Template, create_store

sys.path.insert(0, str(Path(__file__).parent))
SPACE = (5, 6)


def coordinates(n_times: int = 24, space: tuple[int, int] = SPACE) -> xr.Dataset:
    """Days of a calendar without leap days, on a rotated grid with two-dimensional coordinates."""
    rng = np.random.default_rng(0)
    return xr.Dataset(
        {"crs": ((), 0, {"grid_mapping_name": "rotated_latitude_longitude"}), "not_wanted": ("time", np.ones(n_times))},
        {
            "time": xr.date_range("1999-02-20", periods=n_times, calendar="noleap", use_cftime=True),
            "y": ("y", np.linspace(-1, 1, space[0]), {"units": "degrees"}),
            "x": ("x", np.linspace(-2, 2, space[1])),
            "lat": (("y", "x"), rng.normal(40, 1, space), {"standard_name": "latitude"}),
            "lon": (("y", "x"), rng.normal(0, 1, space), {"standard_name": "longitude"}),
        },
        {"history": "made by hand", "institution": "none"},
    )


def template(n_times: int = 24, **changes) -> Template:
    given = {
        "coordinates": coordinates(n_times),
        "variables": {"tas": {"units": "K", "grid_mapping": "crs"}, "pr": {"units": "mm day-1"}},
        "space": ("y", "x"),
        "n_members": 4,
        "chunks": {"time": 2, "realization": 2},
        "shards": {"time": 4, "realization": 2},
    }
    return Template(**given | changes)


@pytest.fixture
def make_store(tmp_path):
    """`make_store(name, …)`: 12 items of 4 times × 2 members unless changed; `seed`, `configuration`, … as well."""

    def make(name="out.zarr", *, seed=7, configuration=None, checkpoint="step-100", bit_rounding=None, **changes):
        return create_store(
            tmp_path / name,
            template(**changes),
            seed=seed,
            configuration={"guide": {"name": "moment-matching"}} if configuration is None else configuration,
            checkpoint=checkpoint,
            bit_rounding=bit_rounding,
        )

    return make


def chunk_digests(path: Path) -> dict[str, str]:
    """SHA-256 of every chunk file of the sampled variables."""
    files = sorted(p for name in ("tas", "pr") for p in Path(path).glob(f"{name}/c/**/*") if p.is_file())
    return {str(p.relative_to(path)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def array_digests(path: Path) -> dict[str, str]:
    """SHA-256 of the values of every variable and coordinate, as xarray reads them."""
    with xr.open_zarr(path, chunks=None, decode_times=False) as dataset:
        return {str(n): hashlib.sha256(v.values.tobytes()).hexdigest() for n, v in dataset.variables.items()}
