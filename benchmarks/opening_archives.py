"""What it costs to open, check and prepare archives, and to inspect large ones.

    .venv/bin/python -m benchmarks.opening_archives 50

prints the rows with that many files of 1 GB to inspect, of which four are checked. These are sparse: they take up a few
MB of the disk, and nearly all values are one. Iberia lies beside the project; without it there is no row of it.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import netCDF4
import numpy as np

from benchmarks.timing import interleaved_seconds

DATA = Path(os.environ.get("SUBGRID_DATA", Path(__file__).parents[2] / "shared" / "data")) / "iberia"
FINE, COARSE = "EOBS_Iberia_tas.nc", "CMIP5_Iberia_tas.nc"
N_FILES, SHAPE, DAYS = 50, (360, 480), 1461
WRITTEN = 16
"""Times with values of their own, evenly spread, among them those that are looked at."""


def run(n_files: int = N_FILES) -> list[tuple[str, float, str]]:
    """Rows of (name, ratio, meaning)."""
    with tempfile.TemporaryDirectory() as folder:
        files = [large_file(Path(folder) / f"tas_{i:02d}.nc", number=i) for i in range(n_files)]
        seconds = measured("inspect", files)["seconds"]
        one, once, twice = (measured("check", files[:n]) for n in (1, 2, 4))
    rows = [
        (f"inspect on {n_files} files of 1 GB", seconds / 10, f"of 10 s; {seconds:.1f} s"),
        ("checking 4 GB, peak memory", twice["peak"] / once["peak"], "over 2 GB (wanted: at most 1.05)"),
        ("… its time", twice["seconds"] / once["seconds"], f"over 2 GB; {once['seconds']:.1f} s"),
        ("checking 2 GB in two files, peak memory", once["peak"] / one["peak"], "over 1 GB in one file, never joined"),
    ]
    return [*(iberia() if (DATA / FINE).is_file() else []), *rows]


def iberia() -> list[tuple[str, float, str]]:
    """Opening, checking and preparing both archives, beside reading them whole with xarray."""
    import xarray as xr

    from subgrid.data.canonical import check_climate, open_climate
    from subgrid.downscaling.climate.domain import connect, fit_anomalies
    from subgrid.downscaling.preparation.series import series_of

    def read() -> None:
        for name in (FINE, COARSE):
            with xr.open_dataset(DATA / name) as dataset:
                dataset["tas"].load()

    def checked() -> list[xr.Dataset]:
        return [check_climate(open_climate(DATA / name, ["tas"]), gaps="mask") for name in (FINE, COARSE)]

    def prepared() -> None:
        fine, coarse = checked()
        domain, series = connect(fine, coarse, ["tas"]), series_of(fine, ["tas"])
        fit_anomalies(series, domain.transforms).forward(series.values, series.phase)

    taken = interleaved_seconds({"read": read, "checked": checked, "prepared": prepared}, repeats=5)
    floor = taken["read"][0]
    rows = (("opening and checking Iberia", "checked"), ("opening, checking and preparing Iberia", "prepared"))
    meaning = "over reading both files whole with xarray"
    return [(name, taken[key][0] / floor, f"{meaning}; {taken[key][0]:.2f} s") for name, key in rows]


def large_file(path: Path, *, number: int) -> Path:
    """Four years of daily temperatures, the next of an archive, in 1 GB of NetCDF that is nearly all holes."""
    n_lat, n_lon = SHAPE
    with netCDF4.Dataset(path, "w") as file:
        file.set_fill_off()
        axes = {
            "time": np.arange(DAYS) + DAYS * number,
            "lat": np.linspace(-89.75, 89.75, n_lat),
            "lon": np.arange(n_lon) * 0.75,
        }
        units = {"time": "days since 1850-01-01", "lat": "degrees_north", "lon": "degrees_east"}
        for name, values in axes.items():
            file.createDimension(name, len(values))
            axis = file.createVariable(name, "f8", (name,))
            axis.units, axis[:] = units[name], values
        field = file.createVariable("tas", "f4", ("time", "lat", "lon"), contiguous=True)
        field.set_auto_maskandscale(False)
        field.units, field.standard_name, field.add_offset = "K", "air_temperature", np.float32(280)  # of a hole
        random = np.random.default_rng(number)
        for at in np.unique(np.linspace(0, DAYS - 1, WRITTEN).astype(int)):
            field[at] = random.normal(0, 5, SHAPE)
    return path


def measured(what: str, files: list[Path]) -> dict[str, float]:
    """Seconds and peak memory of a process of its own, its start and imports not counted in the seconds."""
    command = [sys.executable, "-m", "benchmarks.opening_archives", what, *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def work(what: str, files: list[str]) -> None:
    """What a process of its own does."""
    import resource

    from subgrid.data.canonical import check_climate, open_climate
    from subgrid.data.inspection.inspection import inspect

    started = time.perf_counter()
    if what == "inspect":
        found = inspect(*files)
        assert not found.problems, found.problems[0]
    else:
        check_climate(open_climate(files, ["tas"]))
    seconds = time.perf_counter() - started
    print(json.dumps({"seconds": seconds, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}))


def main() -> None:
    """Rows with a number of files of one's own, or the work of a process."""
    first, *files = sys.argv[1:] or [str(N_FILES)]
    if not first.isdigit():
        return work(first, files)
    for name, ratio, meaning in run(int(first)):
        print(f"{name}: {ratio:.2f} {meaning}")


if __name__ == "__main__":
    main()
