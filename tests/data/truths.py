"""What a made-up archive says, however it is written: canonical values, places, dates and members."""

from dataclasses import dataclass
from typing import Any

import cftime
import numpy as np
import xarray as xr


@dataclass(frozen=True)
class Kind:
    """A kind of variable.

    Args:
        units: canonical.
        edges: of its values, in canonical units.
        spellings: of units in files, each with factor and offset: canonical = factor · value + offset.
        amounts: units of sums over a time step, each with its factor per day.
        names: in files, each with a standard name or None; None for both where what it is has to be given.
    """

    units: str
    edges: tuple[float, float]
    spellings: tuple[tuple[str, float, float], ...]
    names: tuple[tuple[str, str | None], ...]
    amounts: tuple[tuple[str, float], ...] = ()


CELSIUS = [(text, 1.0, 273.15) for text in ("degC", "degrees C", "°C", "deg_C", "Celsius", "degree_Celsius", "C")]
KELVIN = [(text, 1.0, 0.0) for text in ("K", "Kelvin", "degrees_K", "degK")]
FAHRENHEIT = [(text, 5 / 9, 459.67 * 5 / 9) for text in ("degF", "degrees F", "Fahrenheit")]
KINDS = {
    "temperature": Kind(
        "K", (260.0, 300.0), (*KELVIN, *CELSIUS, *FAHRENHEIT),
        (("tas", "air_temperature"), ("t2m", None), ("tg", None), ("air", "air_temperature"), ("tmp", None)),
    ),
    "temperature range": Kind(
        "K", (1.0, 20.0),
        (("K", 1.0, 0.0), ("degrees Celsius", 1.0, 0.0), ("degC", 1.0, 0.0), ("degF", 5 / 9, 0.0)),
        (("dtr", None), ("tasrange", None), ("diurnal_temperature_range", None)),
    ),
    "precipitation": Kind(
        "mm day-1", (0.0, 40.0),
        (("mm day-1", 1.0, 0.0), ("mm/d", 1.0, 0.0), ("kg m-2 s-1", 86_400.0, 0.0), ("kg m**-2 s**-1", 86_400.0, 0.0),
         ("m s-1", 86_400e3, 0.0), ("mm/hr", 24.0, 0.0), ("inch/day", 25.4, 0.0), ("cm/day", 10.0, 0.0)),
        (("pr", "precipitation_flux"), ("prcp", None), ("ppt", None), ("pre", None), ("precipitationCal", None)),
        (("mm", 1.0), ("m", 1e3), ("kg m-2", 1.0), ("m of water equivalent", 1e3), ("0.1 mm", 0.1)),
    ),
    "pressure": Kind(
        "Pa", (95_000.0, 105_000.0),
        (("Pa", 1.0, 0.0), ("hPa", 100.0, 0.0), ("millibars", 100.0, 0.0), ("mbar", 100.0, 0.0), ("kPa", 1e3, 0.0)),
        (("psl", "air_pressure_at_mean_sea_level"), ("msl", None), ("slp", None), ("prmsl", None)),
    ),
    "relative humidity": Kind(
        "%", (5.0, 99.0), (("%", 1.0, 0.0), ("percent", 1.0, 0.0), ("1", 100.0, 0.0), ("0-1", 100.0, 0.0)),
        (("hurs", "relative_humidity"), ("rh", None), ("r2", None), ("relhum", None)),
    ),
    "speed": Kind(
        "m s-1", (0.0, 30.0),
        (("m s-1", 1.0, 0.0), ("m s**-1", 1.0, 0.0), ("m/s", 1.0, 0.0), ("knots", 1852 / 3600, 0.0),
         ("km/h", 1 / 3.6, 0.0)),
        (("sfcWind", "wind_speed"), ("ws", None), ("si10", None)),
    ),
    "radiation": Kind(
        "W m-2", (0.0, 400.0), (("W m-2", 1.0, 0.0), ("W m**-2", 1.0, 0.0), ("Watt/m2", 1.0, 0.0)),
        (("rsds", "surface_downwelling_shortwave_flux_in_air"), ("ssrd", None)),
        (("J m-2", 1 / 86_400), ("J m**-2", 1 / 86_400), ("MJ m-2", 1e6 / 86_400)),
    ),
}  # fmt: skip
REGIONS: dict[str, tuple[float, float]] = {"europe": (40.5, 9.0), "greenwich": (40.5, -2.0), "date line": (-3.0, 178.0)}
"""Southernmost latitude, westernmost longitude."""
SHAPE, CELL = (6, 5), 1.0


@dataclass(frozen=True)
class Truth:
    """An archive in canonical terms.

    Args:
        quantity: a key of `KINDS`.
        region: a key of `REGIONS`.
        rotated: whether the grid is one on a rotated pole.
        step: "day" or "month".
        n_times: number of times.
        start: year, month and day of the first.
        calendar: its CF name.
        labels: of members, None where there are none.
        masked: number of cells without values.
        seed: of the values.
    """

    quantity: str = "temperature"
    region: str = "europe"
    rotated: bool = False
    step: str = "day"
    n_times: int = 40
    start: tuple[int, int, int] = (2000, 12, 10)
    calendar: str = "standard"
    labels: tuple[Any, ...] | None = None
    masked: int = 0
    seed: int = 0

    @property
    def kind(self) -> Kind:
        """What is measured."""
        return KINDS[self.quantity]

    @property
    def edges(self) -> np.ndarray:
        """Beginnings and ends of the times, days since 1850-01-01 (time + 1,)."""
        number = lambda date: float(cftime.date2num(date, "days since 1850-01-01", self.calendar))  # noqa: E731
        year, month, day = self.start
        if self.step == "day":
            first = number(cftime.datetime(year, month, day, calendar=self.calendar))
            return first + np.arange(self.n_times + 1.0)
        months = 12 * year + month - 1 + np.arange(self.n_times + 1)
        dates = [cftime.datetime(int(m // 12), int(m % 12) + 1, 1, calendar=self.calendar) for m in months]
        return np.array([number(date) for date in dates])

    @property
    def dates(self) -> list[Any]:
        """Of the beginnings."""
        return [cftime.num2date(day, "days since 1850-01-01", self.calendar) for day in self.edges[:-1]]

    def places(self) -> tuple[np.ndarray, np.ndarray]:
        """Latitudes and longitudes of the cells (y, x); of regular grids ascending, west to east."""
        south, west = REGIONS[self.region]
        if not self.rotated:
            axes = south + CELL * np.arange(SHAPE[0]), west + CELL * np.arange(SHAPE[1])
            return tuple(np.meshgrid(*axes, indexing="ij"))  # pyright: ignore[reportReturnType]
        rows, columns = rotated_axes()
        φ, λ = np.meshgrid(np.deg2rad(rows), np.deg2rad(columns), indexing="ij")
        pole = np.deg2rad(90.0 - south)  # the rotated equator runs through the region
        lat = np.arcsin(np.sin(φ) * np.sin(pole) + np.cos(φ) * np.cos(λ) * np.cos(pole))
        east = np.arctan2(np.cos(φ) * np.sin(λ), np.sin(pole) * np.cos(φ) * np.cos(λ) - np.cos(pole) * np.sin(φ))
        return np.rad2deg(lat), west + np.rad2deg(east)

    def values(self) -> np.ndarray:
        """Canonical values, float64 (member, time, y, x), NaN in masked cells; one member where there is no label."""
        low, high = self.kind.edges
        random = np.random.default_rng(self.seed)
        parts = random.uniform(-0.3, 1.0, size=(len(self.labels or (None,)), self.n_times, *SHAPE))
        values = low + (high - low) * np.maximum(parts, 0.0)  # many at the lower edge: dry days
        hidden = random.permutation(SHAPE[0] * SHAPE[1])[: self.masked]
        values.reshape(*values.shape[:2], -1)[..., hidden] = np.nan
        return values


def rotated_axes() -> tuple[np.ndarray, np.ndarray]:
    """Rotated latitudes and longitudes of the rotated grid."""
    return CELL * (np.arange(SHAPE[0]) - 2.5), CELL * (np.arange(SHAPE[1]) - 2.0)


def differences(dataset: xr.Dataset, name: str, truth: Truth, *, tolerance: float) -> list[str]:
    """What of a canonical dataset is not as in the truth, a sentence each; none if all is.

    Args:
        dataset: opened and checked.
        name: of its variable.
        truth: what it should say.
        tolerance: of the values, canonical units.

    Returns:
        Sentences for a failing test.
    """
    field, found = dataset[name], []
    wanted = (*(() if truth.labels is None else ("realization",)), "time")
    if field.dims[:-2] != wanted or field.shape[-2:] != SHAPE:
        return [f"dims are {dict(field.sizes)}"]
    if field.attrs.get("units") != truth.kind.units:
        found.append(f"units are {field.attrs.get('units')!r}")
    if truth.labels is not None and [str(v) for v in field.realization.values] != [str(v) for v in truth.labels]:
        found.append(f"members are {list(field.realization.values)}, not {list(truth.labels)}")
    found += _of_times(field["time"], truth)
    order, away = _order(field, truth)
    if away > 1e-3:
        return [*found, f"a place is {away:.3g} degrees away"]
    values = field.values.reshape(-1, truth.n_times, SHAPE[0] * SHAPE[1])[..., order]
    expected = truth.values().reshape(-1, truth.n_times, SHAPE[0] * SHAPE[1])
    if (np.isnan(values) != np.isnan(expected)).any():
        found.append(f"{np.isnan(values).mean():.0%} is missing, not {np.isnan(expected).mean():.0%}")
    elif (error := np.nanmax(np.abs(values - expected))) > tolerance:
        found.append(f"values are off by {error:.6g}, from {np.nanmin(values):.6g} to {np.nanmax(values):.6g}")
    return found


def _of_times(time: xr.DataArray, truth: Truth) -> list[str]:
    """Days of daily times, the middle (to a day) of monthly ones, and the calendar."""
    calendar = str(time.dt.calendar).replace("proleptic_gregorian", "standard")
    if calendar != truth.calendar:
        return [f"the calendar is {calendar}"]
    texts = [str(each) for each in time.dt.strftime("%Y-%m-%d").values]
    middle = (truth.edges[:-1] + truth.edges[1:]) / 2 if truth.step == "month" else truth.edges[:-1]
    dates = cftime.num2date(middle, "days since 1850-01-01", truth.calendar)
    expected = [date.strftime("%Y-%m-%d") for date in dates]
    return [] if texts == expected else [f"times are {texts[0]} to {texts[-1]}, not {expected[0]} to {expected[-1]}"]


def _order(field: xr.DataArray, truth: Truth) -> tuple[np.ndarray, float]:
    """For each cell of the truth the number of that of the field, and the largest distance between them in degrees."""
    lat, lon = (np.asarray(field[axis].values, np.float64) for axis in ("lat", "lon"))
    if lat.ndim == 1:
        ascending = (np.diff(lat) > 0).all() and (np.diff(lon) > 0).all()
        lat, lon = np.meshgrid(lat, lon, indexing="ij") if ascending else (np.full(SHAPE, 99.0), np.zeros(SHAPE))
    there = np.stack([lat.ravel(), lon.ravel()], -1)[None]
    here = np.stack([each.ravel() for each in truth.places()], -1)[:, None]
    apart = np.abs(here - there)
    apart[..., 1] = np.abs((apart[..., 1] + 180.0) % 360.0 - 180.0)
    distance = apart.max(-1)
    return distance.argmin(1), float(distance.min(1).max())
