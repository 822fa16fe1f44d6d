"""Whether a coarse and a fine archive fit together: a look at both grids, variables, units and seasons."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from subgrid.data.fields import DataError
from subgrid.data.grids.bounds import bounds_of
from subgrid.data.grids.cells import Grid, RegularGrid, grid_of
from subgrid.data.inspection.coverage import Coverage, coverage
from subgrid.data.pooling.pooling import DESCRIBED, NAMES_GIVEN, UNITS_FOUND
from subgrid.data.times.calendars import months_of, season_name
from subgrid.data.times.steps import advice, name_of_step
from subgrid.data.variables.quantities import describe
from subgrid.data.variables.readings import Reading, conflict

EARTH_RADIUS = 6371.0
"""Mean radius in km."""
ROUNDING = 1.01
"""Spacings that agree to a per cent are equal: coordinates are stored with few digits, Gaussian latitudes vary."""


@dataclass(frozen=True)
class GridSummary:
    """What a grid looks like. For messages and a first look; `grids.grid_of` has the exact cells.

    Args:
        kind: "regular", "rotated", "projected" or "curvilinear".
        shape: number of cells along latitude and longitude, or y and x.
        south: outer edge, degrees.
        north: outer edge, degrees.
        west: outer edge, degrees.
        east: outer edge, degrees; from west it runs eastward and may pass 180.
        spacing: mean step along both axes, degrees: of latitude and longitude on regular grids, else of great circles.
        spacing_km: geometric mean of both distances on the sphere.
    """

    kind: str
    shape: tuple[int, ...]
    south: float
    north: float
    west: float
    east: float
    spacing: tuple[float, float]
    spacing_km: float

    @property
    def extent(self) -> str:
        """The outer edges in words."""
        return f"{self.south:.1f} to {self.north:.1f} N, {self.west:.1f} to {self.east:.1f} E"

    @property
    def resolution(self) -> str:
        """The spacing in words."""
        return " x ".join(dict.fromkeys(f"{step:.3g}" for step in self.spacing)) + " degrees"


def summarise_grid(dataset: xr.Dataset | xr.DataArray) -> GridSummary:
    """The grid of a canonical dataset at a glance: its outer edges by bounds where there are some."""
    lat, lon = (np.asarray(dataset[name].values, np.float64) for name in ("lat", "lon"))
    kind, shape = ("regular", (len(lat), len(lon))) if lat.ndim == 1 else (_kind_of(dataset), lat.shape)
    if lat.ndim == 1:
        lat, lon = np.meshgrid(lat, lon, indexing="ij")
    lon = _in_one_piece(lon)
    angles = _regular_angles(lat[:, 0], lon[0]) if kind == "regular" else [_mean_angle(lat, lon, k) for k in (0, 1)]
    along = [float(np.rad2deg(angle)) for angle in angles]
    shrink = float(np.cos(np.deg2rad(lat)).mean())
    steps = (along[0], _mean_step(lon[0]) if kind == "regular" else along[1])
    margin = (steps[0] / 2, steps[1] / 2 if kind == "regular" else steps[1] / 2 / shrink)
    rows = max(float(lat.min()) - margin[0], -90.0), min(float(lat.max()) + margin[0], 90.0)
    columns = float(lon.min()) - margin[1], float(lon.max()) + margin[1]
    given = _given_cells(dataset)
    if given is not None:
        south, north, west, east = _edges(given, lon)
        rows, columns = (south, north), (west, east)
        steps, along = _of_single_cells(given, steps, along)
    return GridSummary(
        kind, tuple(shape), *rows, *columns, steps, EARTH_RADIUS * float(np.sqrt(np.prod(np.deg2rad(along))))
    )


def _given_cells(dataset: xr.Dataset | xr.DataArray) -> Grid | None:
    """The cells of a grid whose bounds are given and sound; what is wrong with others `misfits` says."""
    if bounds_of(dataset, "lat") is None and bounds_of(dataset, "lon") is None:
        return None
    try:
        return grid_of(dataset)
    except DataError:
        return None


def _edges(grid: Grid, lon: np.ndarray) -> tuple[float, float, float, float]:
    """South, north, west and east of given cells, each on the turn of its centre."""
    turn = lon - grid.lon if lon.shape == grid.lon.shape else lon[0] - grid.lon
    regular = isinstance(grid, RegularGrid)
    lats, lons = (grid.lat_bounds, grid.lon_bounds) if regular else (grid.lat_corners, grid.lon_corners)
    lons = lons + turn[..., None]
    return float(lats.min()), float(lats.max()), float(lons.min()), float(lons.max())


def _of_single_cells(
    grid: Grid, steps: tuple[float, float], along: Sequence[float]
) -> tuple[tuple[float, float], list[float]]:
    """The steps in degrees, of longitude and of great circles, those of an axis of one cell by the size of the cell."""
    sizes = _mean_sizes(grid)
    filled = [size if n == 1 else angle for n, size, angle in zip(grid.shape, sizes, along, strict=True)]
    wide = float(np.diff(grid.lon_bounds).mean()) if isinstance(grid, RegularGrid) else filled[1]
    return (steps[0] if grid.shape[0] > 1 else filled[0], steps[1] if grid.shape[1] > 1 else wide), filled


def _mean_sizes(grid: Grid) -> tuple[float, float]:
    """Mean height and width of cells in degrees of great circles."""
    if isinstance(grid, RegularGrid):
        shrink = float(np.cos(np.deg2rad(grid.lat)).mean())
        return float(np.diff(grid.lat_bounds).mean()), shrink * float(np.diff(grid.lon_bounds).mean())
    side = float(np.degrees(np.sqrt(np.mean(grid.areas))))
    return side, side


def check_together(
    coarse: xr.Dataset, fine: xr.Dataset, *, coarse_name: str = "coarse", fine_name: str = "fine"
) -> None:
    """Passes if two canonical archives can be used together.

    Args:
        coarse: one archive.
        fine: the other.
        coarse_name: for messages.
        fine_name: for messages.

    Raises:
        DataError: with the first of the reasons against it: the regions are disjoint, coarse is finer than fine, no
            variable is common, units or time steps differ, or the fine archive lacks months of the coarse one.

    Examples:
        >>> check_together(open_climate("gcm.nc"), open_climate("obs.nc"))
    """
    found = misfits(coarse, fine, coarse_name=coarse_name, fine_name=fine_name)
    if found:
        raise DataError(found[0])


def misfits(coarse: xr.Dataset, fine: xr.Dataset, *, coarse_name: str = "coarse", fine_name: str = "fine") -> list[str]:
    """Every reason for which two canonical archives do not fit together, each with what to change."""
    wide, narrow = summarise_grid(coarse), summarise_grid(fine)
    found = [*misfits_of_cells(coarse, coarse_name), *misfits_of_cells(fine, fine_name)]
    if covered(coarse, fine).share == 0.0:
        found.append(
            f"{coarse_name} covers {wide.extent} and {fine_name} {narrow.extent}: they do not overlap; choose files of "
            "the same region."
        )
    if wide.spacing_km * ROUNDING < narrow.spacing_km:
        found.append(
            f"{coarse_name} ({wide.resolution}) is finer than {fine_name} ({narrow.resolution}); swap the two, or "
            "bring a finer reference."
        )
    found += _misfits_of_variables(coarse, fine, coarse_name, fine_name)
    if "time" in coarse.dims and "time" in fine.dims:
        found += _misfits_of_steps(coarse, fine, coarse_name, fine_name)
        found += _misfits_of_seasons(coarse, fine, coarse_name, fine_name)
    return found


def overlap(coarse: GridSummary, fine: GridSummary) -> float:
    """The part of the fine grid's box, in latitude and longitude, that lies inside the coarse grid's box."""
    height = min(coarse.north, fine.north) - max(coarse.south, fine.south)
    width = 0.0
    for turn in (-360.0, 0.0, 360.0):
        width += max(0.0, min(coarse.east, fine.east + turn) - max(coarse.west, fine.west + turn))
    width = min(width, fine.east - fine.west)  # a global grid may count the date line twice
    whole = (fine.north - fine.south) * (fine.east - fine.west)
    return max(0.0, height) * width / whole if whole > 0 else 0.0


def covered(coarse: xr.Dataset, fine: xr.Dataset) -> Coverage:
    """The part of a fine archive's region that a coarse archive covers, and where it does not.

    By boxes for regular grids; for others by the outline of the coarse grid, which its box exceeds.
    """
    wide, narrow = summarise_grid(coarse), summarise_grid(fine)
    boxes = overlap(wide, narrow)
    by_outline = coverage(coarse, fine) if boxes > 0 else None
    if by_outline is not None:
        return by_outline
    return Coverage(boxes, "" if boxes > 0.999 else f"it covers {wide.extent} of {narrow.extent}")


def common_variables(coarse: xr.Dataset, fine: xr.Dataset) -> tuple[str, ...]:
    """Names of the variables that both datasets have, in the order of the coarse one."""
    return tuple(str(name) for name in coarse.data_vars if name in fine.data_vars)


def misfits_of_cells(dataset: xr.Dataset, name: str) -> list[str]:
    """What keeps the cells of a grid from being known, before anything is fitted on them."""
    try:
        grid_of(dataset, source=name)
    except DataError as error:
        return [str(error)]
    return []


def _misfits_of_variables(coarse: xr.Dataset, fine: xr.Dataset, coarse_name: str, fine_name: str) -> list[str]:
    common = common_variables(coarse, fine)
    if not common:
        held = [", ".join(map(str, dataset.data_vars)) for dataset in (coarse, fine)]
        return [
            f"{coarse_name} holds {held[0]} and {fine_name} {held[1]}: no variable has the same name in both; "
            f"{_one_name(coarse, fine)}."
        ]
    found = []
    for name in common:
        readings = [_reading(dataset[name], each) for dataset, each in ((coarse, coarse_name), (fine, fine_name))]
        if readings[0].described.quantity != readings[1].described.quantity:
            names = coarse[name].encoding.get(NAMES_GIVEN, ())
            found.append(conflict(name, readings[0], readings[1], names))
            continue
        units = [dataset[name].attrs.get("units", "(none)") for dataset in (coarse, fine)]
        if units[0] != units[1]:
            found.append(
                f"{name} is in {units[0]!r} in {coarse_name} and in {units[1]!r} in {fine_name}; "
                "convert one and set its attribute 'units'."
            )
    return found


def _one_name(coarse: xr.Dataset, fine: xr.Dataset) -> str:
    """Which names could mean the same, by what the variables are taken for: the advice to say so, or other files."""
    kinds = [{str(v): _reading(data[v], "").described.quantity for v in data.data_vars} for data in (coarse, fine)]
    pairs = [(ours, theirs) for ours in kinds[0] for theirs in kinds[1]]
    alike = [pair for pair in pairs if kinds[0][pair[0]] == kinds[1][pair[1]]]
    possible = alike or [pair for pair in pairs if "other" in (kinds[0][pair[0]], kinds[1][pair[1]])]
    if not possible:
        return "choose files of one variable"
    name, other = next((pair for pair in possible if kinds[0][pair[0]] != "other"), possible[0])
    return (
        f"if they mean the same, say so: variables = {{{name} = '{other}'}}, on the command line "
        f"--variable {name}={other}"
    )


def _reading(field: xr.DataArray, archive: str) -> Reading:
    """What a canonical variable is taken for, and what said so as far as it is known."""
    units = str(field.encoding.get(UNITS_FOUND, field.attrs.get("units", "")))
    return Reading(archive, field.encoding.get(DESCRIBED) or describe(field), units)


def _misfits_of_steps(coarse: xr.Dataset, fine: xr.Dataset, coarse_name: str, fine_name: str) -> list[str]:
    """The spread of means depends on what they are means of, so that one step says nothing of another."""
    names = [name_of_step(dataset["time"]) for dataset in (coarse, fine)]
    if None in names or names[0] == names[1]:
        return []
    return [
        f"{coarse_name} is {names[0]} and {fine_name} {names[1]}: their values vary differently, so none can stand for "
        f"the other; {advice(*names)}, or bring archives of one time step."
    ]


def _misfits_of_seasons(coarse: xr.Dataset, fine: xr.Dataset, coarse_name: str, fine_name: str) -> list[str]:
    months = [months_of(dataset["time"]) for dataset in (coarse, fine)]
    unknown = tuple(m for m in months[0] if m not in months[1])
    if not unknown:
        return []
    what = "the archives share no season" if len(unknown) == len(months[0]) else "some have no fine reference"
    return [
        f"{coarse_name} covers {season_name(months[0])} and {fine_name} {season_name(months[1])}: {what}; select the "
        "months that both have."
    ]


def _kind_of(dataset: xr.Dataset | xr.DataArray) -> str:
    mappings = {str(c.attrs.get("grid_mapping_name", "")) for c in dataset.coords.values()} - {""}
    if any("rotated" in mapping for mapping in mappings):
        return "rotated"
    return "projected" if mappings - {"latitude_longitude"} else "curvilinear"


def _mean_step(axis: np.ndarray) -> float:
    return float((axis[-1] - axis[0]) / (len(axis) - 1)) if len(axis) > 1 else 0.0


def _in_one_piece(lon: np.ndarray) -> np.ndarray:
    """Longitudes of a region that crosses the date line, around their mean direction; others as they are."""
    neighbours = np.abs(np.diff(lon, axis=1))
    if lon.shape[1] < 2 or neighbours.max() < 180.0:
        return lon
    middle = float(np.angle(np.exp(1j * np.deg2rad(lon)).mean(), deg=True))
    return middle + (lon - middle + 180.0) % 360.0 - 180.0


def _regular_angles(lat: np.ndarray, lon: np.ndarray) -> tuple[float, float]:
    """`_mean_angle` along both axes of a regular grid, each different step of longitude once."""
    if len(lon) < 2:
        return _mean_angle(lat[:, None], np.zeros((len(lat), 1)), 0), 0.0
    steps, counts = np.unique(np.round(np.diff(lon), 9), return_counts=True)
    ends = np.stack([np.zeros(len(steps)), steps], 1)
    each = [_mean_angle(np.repeat(lat[:, None], 2, 1), np.repeat(pair[None], len(lat), 0), 1) for pair in ends]
    return _mean_angle(lat[:, None], np.zeros((len(lat), 1)), 0), float(np.average(each, weights=counts))


def _mean_angle(lat: np.ndarray, lon: np.ndarray, axis: int) -> float:
    """Mean great-circle distance in radians between neighbours along an axis (haversine)."""
    if lat.shape[axis] < 2:
        return 0.0
    φ, λ = np.deg2rad(lat), np.deg2rad(lon)
    near, far = (np.arange(lat.shape[axis] - 1), np.arange(1, lat.shape[axis]))
    φ1, φ2, λ1, λ2 = (np.take(x, i, axis) for x in (φ, λ) for i in (near, far))
    h = np.sin((φ2 - φ1) / 2) ** 2 + np.cos(φ1) * np.cos(φ2) * np.sin((λ2 - λ1) / 2) ** 2
    return float(np.mean(2 * np.arcsin(np.sqrt(h))))
