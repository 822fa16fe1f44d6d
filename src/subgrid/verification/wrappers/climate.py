"""The climate metrics on `xarray.DataArray`: canonical fields ([realization,] time, lat, lon) or (…, y, x) in.

Realizations are pooled as further days, and their seasons kept apart. Cells count that hold values at all times in all
sets; the others come back as NaN. Seasons are the stretches of time without a gap, in whatever calendar.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Bool, Float, Int

from subgrid.types import Key
from subgrid.verification import cells, dependence, extremes, spells, sphere_spectra
from subgrid.verification.masks import valid_cells
from subgrid.verification.wrappers.alignment import labelled, require_aligned, require_dims

MEMBER_DIMS = ("realization", "member")


def _named(values: Any, like: xr.DataArray, name: str, dims: Sequence[Any] = (), *, units: str | None = None) -> Any:
    return labelled(jnp.asarray(values), like, name, dims, units=units)


@dataclass(frozen=True)
class _Series:
    """Days of all members on axis 0, the season of each, and the cells that can be compared."""

    values: Float[np.ndarray, "day *space"]
    segment: Int[np.ndarray, " day"]
    valid: Bool[np.ndarray, "*space"]
    space: tuple[Hashable, ...]


def _series(array: xr.DataArray, name: str, time_dim: str) -> _Series:
    require_dims(name, array, [time_dim])
    member = [dim for dim in MEMBER_DIMS if dim in array.dims]
    space = tuple(dim for dim in array.dims if dim not in (*member, time_dim))
    values = np.asarray(array.transpose(*member, time_dim, *space).values, np.float32)
    n_members = int(np.prod([array.sizes[dim] for dim in member], dtype=int))
    season = _seasons(array, time_dim)
    segment = (np.arange(n_members)[:, None] * (season.max() + 1) + season).ravel()
    flat = values.reshape(-1, *(array.sizes[dim] for dim in space))
    return _Series(flat, segment, valid_cells(flat), space)


def _seasons(array: xr.DataArray, time_dim: str) -> Int[np.ndarray, " time"]:
    """Without a time coordinate all days belong to one season."""
    if time_dim not in array.coords:
        return np.zeros(array.sizes[time_dim], int)
    index = array.get_index(time_dim)
    days = [step.total_seconds() / 86400 for step in index - index[0]]
    return spells.segments_by_gap(np.asarray(days, np.float64))


def _pair(pred: xr.DataArray, ref: xr.DataArray, time_dim: str) -> tuple[_Series, _Series, np.ndarray]:
    require_aligned(pred, ref, "pred and ref", time_dim, *MEMBER_DIMS)
    y = _series(ref, "ref", time_dim)
    lead = [dim for dim in pred.dims if dim not in y.space]
    x = _series(pred.transpose(*lead, *y.space), "pred", time_dim)
    return x, y, x.valid & y.valid


def wasserstein_1_per_cell(pred: xr.DataArray, ref: xr.DataArray, *, time_dim: str = "time") -> xr.DataArray:
    """Exact Wasserstein-1 distance between the marginal distributions of every cell.

    Args:
        pred: days to evaluate, any unit.
        ref: reference days, same unit and grid; they need share no dates.
        time_dim: dimension of the days, default "time".

    Returns:
        A map in the unit of the data; its mean is the W1 of the reports.

    Raises:
        ValueError: as `cells.wasserstein_1_per_cell`, or grids that do not match.

    References:
        Ramdas, García Trillos & Cuturi (2017), doi:10.3390/e19020047.

    Examples:
        >>> wasserstein_1_per_cell(model.tas, observed.tas).mean()
    """
    x, y, mask = _pair(pred, ref, time_dim)
    return _named(cells.wasserstein_1_per_cell(x.values, y.values, mask=mask), ref, "wasserstein_1", y.space)


def correlation_rmse(pred: xr.DataArray, ref: xr.DataArray, *, time_dim: str = "time") -> xr.DataArray:
    """Root mean square error of the correlations between pairs of cells (CorrRMSE).

    Args:
        pred: days to evaluate, any unit.
        ref: reference days, same unit and grid; they need share no dates.
        time_dim: dimension of the days, default "time".

    Returns:
        A dimensionless scalar.

    Raises:
        ValueError: as `dependence.correlation_rmse`, or grids that do not match.

    References:
        Vrac (2018), doi:10.5194/hess-22-3175-2018.

    Examples:
        >>> correlation_rmse(model.tas, observed.tas)
    """
    x, y, mask = _pair(pred, ref, time_dim)
    error = dependence.correlation_rmse(x.values, y.values, mask=mask)
    return _named(np.float32(error), ref, "correlation_rmse", units="1")


def variogram(samples: xr.DataArray, edges: Float[np.ndarray, " edge"], *, time_dim: str = "time") -> xr.Dataset:
    """Variogram and correlogram of daily anomalies in bins of great-circle distance.

    Args:
        samples: days with coordinates lat and lon, of one or two dimensions.
        edges: rising edges of the bins, km.
        time_dim: dimension of the days, default "time".

    Returns:
        "variogram" (unit squared), "correlation" and "n_pairs" on the dimension "distance" (km, the bins' mean), bins
        without pairs left out; attribute "decorrelation_length" in km.

    Raises:
        ValueError: no lat or lon, or as `dependence.variogram`.

    References:
        Matheron (1963), doi:10.2113/gsecongeo.58.8.1246.

    Examples:
        >>> variogram(observed.tas, np.arange(0.0, 1000.0, 50.0)).attrs["decorrelation_length"]
    """
    for name in ("lat", "lon"):
        if name not in samples.coords:
            raise ValueError(f"samples have no coordinate {name!r}, which distances need; open them by open_climate.")
    x = _series(samples, "samples", time_dim)
    first = samples.isel({dim: 0 for dim in samples.dims if dim not in x.space}, drop=True)
    lat, lon = (samples[name].broadcast_like(first).transpose(*x.space).values[x.valid] for name in ("lat", "lon"))
    distances = np.asarray(dependence.great_circle_distances(lat, lon))
    curve = dependence.variogram(x.values, distances, edges, mask=x.valid)
    correlation = dependence.correlogram(x.values, distances, edges, mask=x.valid)
    kept = curve.n_pairs > 0
    columns = {"variogram": curve.value, "correlation": correlation.value, "n_pairs": curve.n_pairs}
    return xr.Dataset(
        {name: ("distance", values[kept]) for name, values in columns.items()},
        coords={"distance": ("distance", curve.distance[kept], {"units": "km"})},
        attrs={"decorrelation_length": dependence.decorrelation_length(correlation)},
    )


def quantile_table(pred: xr.DataArray, ref: xr.DataArray, *, time_dim: str = "time") -> xr.Dataset:
    """Quantiles of both sets, means over cells, with the root mean square error of the cells.

    Args:
        pred: days to evaluate, any unit.
        ref: reference days, same unit and grid; they need share no dates.
        time_dim: dimension of the days, default "time".

    Returns:
        "pred", "ref" and "rmse" on the dimension "level".

    Raises:
        ValueError: as `extremes.quantile_table`, or grids that do not match.

    Examples:
        >>> quantile_table(model.tas, observed.tas).sel(level=0.5)
    """
    x, y, mask = _pair(pred, ref, time_dim)
    table = extremes.quantile_table(x.values, y.values, mask=mask)
    columns = {name: ("level", getattr(table, name)) for name in ("pred", "ref", "rmse")}
    return xr.Dataset(columns, coords={"level": table.level}, attrs=dict(ref.attrs))


def precipitation_indices(
    precipitation: xr.DataArray, *, threshold: float = spells.WET_DAY, time_dim: str = "time"
) -> xr.Dataset:
    """Wet-day frequency, and mean and longest wet and dry spells within the seasons, of every cell.

    Args:
        precipitation: mm day-1.
        threshold: of a wet day, mm/day, default 1.
        time_dim: dimension of the days, default "time".

    Returns:
        Maps "wet_day_frequency", "wet_spell_mean", "wet_spell_maximum", "dry_spell_mean" and "dry_spell_maximum".

    Raises:
        ValueError: times that do not rise.

    References:
        Zhang et al. (2011), doi:10.1002/wcc.147.

    Examples:
        >>> precipitation_indices(observed.pr).wet_day_frequency.mean()
    """
    x = _series(precipitation, "precipitation", time_dim)
    wet, dry = spells.wet_and_dry_spells(x.values, x.segment, threshold=threshold)
    maps = {"wet_day_frequency": extremes.wet_day_frequency(x.values, threshold=threshold)}
    for name, found in (("wet", wet), ("dry", dry)):
        maps |= {f"{name}_spell_mean": found.mean, f"{name}_spell_maximum": found.maximum}
    return _maps(maps, precipitation, x.space, {name: "1" if name == "wet_day_frequency" else "day" for name in maps})


def warm_spells(
    temperature: xr.DataArray, threshold: xr.DataArray, *, minimum_days: int = 6, time_dim: str = "time"
) -> xr.Dataset:
    """Warm spells a season, and days in them, of every cell: means over seasons and realizations.

    Args:
        temperature: any unit.
        threshold: a map of the same unit, for instance `observed.tas.quantile(0.9, "time")`.
        minimum_days: default 6.
        time_dim: dimension of the days, default "time".

    Returns:
        Maps "warm_spell_count" and "warm_spell_days".

    Raises:
        ValueError: as `spells.warm_spells`, or a threshold on another grid.

    References:
        Zhang et al. (2011), doi:10.1002/wcc.147.

    Examples:
        >>> warm_spells(model.tas, observed.tas.quantile(0.9, "time")).warm_spell_count.mean()
    """
    x = _series(temperature, "temperature", time_dim)
    require_aligned(temperature, threshold, "temperature and threshold", time_dim, *MEMBER_DIMS)
    limit = np.asarray(threshold.transpose(*x.space).values, np.float32)
    found = spells.warm_spells(x.values, limit, x.segment, minimum_days=minimum_days)
    maps = {"warm_spell_count": found.count.mean(axis=0), "warm_spell_days": found.days.mean(axis=0)}
    return _maps(maps, temperature, x.space, {"warm_spell_count": "1", "warm_spell_days": "day"})


def return_level(
    series: xr.DataArray,
    *,
    key: Key,
    period: float = 20.0,
    n_bootstrap: int = 500,
    confidence: float = 0.9,
    time_dim: str = "time",
) -> xr.Dataset:
    """Level that a season exceeds once in `period` seasons, with its sampling interval, of every cell.

    Seasons of all realizations are pooled as if members were independent of each other: where
    they share a driving model the interval is too narrow.

    Args:
        series: any unit, with at least four seasons.
        key: randomness of the bootstrap.
        period: seasons, default 20.
        n_bootstrap: simulated records, default 500.
        confidence: of the interval, default 0.9.
        time_dim: dimension of the days, default "time".

    Returns:
        Maps "level", "lower" and "upper" in the unit of the data.

    Raises:
        ValueError: as `extremes.return_level`.

    References:
        Hosking, Wallis & Wood (1985), doi:10.1080/00401706.1985.10488049.

    Examples:
        >>> return_level(observed.pr, key=jax.random.key(0)).level.mean()
    """
    x = _series(series, "series", time_dim)
    found = extremes.return_level(
        x.values, x.segment, key=key, period=period, n_bootstrap=n_bootstrap, confidence=confidence
    )
    maps = {name: getattr(found, name) for name in ("level", "lower", "upper")}
    return _maps(maps, series, x.space, dict.fromkeys(maps, series.attrs.get("units")))


def radial_spectrum(samples: xr.DataArray, *, mask: xr.DataArray | None = None, time_dim: str = "time") -> xr.DataArray:
    """Energy in rings of wavenumber (waves per km) on a regional grid, its masked cells filled with zero anomaly.

    Args:
        samples: days on dimensions lat and lon, regular.
        mask: cells that count, default those with values at all times; give the common one to compare two sets.
        time_dim: dimension of the days, default "time".

    Returns:
        Energy on the dimension "wavenumber" (km-1), in the unit of the data squared.

    Raises:
        ValueError: other dimensions, uneven axes, or as `sphere_spectra.radial_spectrum`.

    References:
        Denis, Côté & Laprise (2002), doi:10.1175/1520-0493(2002)130<1812:SDOTDA>2.0.CO;2.

    Examples:
        >>> radial_spectrum(observed.tas).sum()  # mean spatial variance
    """
    require_dims("samples", samples, ["lat", "lon"])
    x = _series(samples.transpose(..., "lat", "lon"), "samples", time_dim)
    chosen = x.valid if mask is None else mask.transpose("lat", "lon").values.astype(bool)
    spacing = sphere_spectra.region_spacing(samples["lat"].values, samples["lon"].values)
    found = sphere_spectra.radial_spectrum(x.values[:, None], spacing, mask=chosen)
    unit = f"({samples.attrs.get('units', '1')})^2"
    energy = _named(found.energy[0], samples, "radial_spectrum", ("wavenumber",), units=unit)
    return energy.assign_coords(wavenumber=("wavenumber", found.wavenumber, {"units": "km-1"}))


def _maps(
    maps: dict[str, np.ndarray], like: xr.DataArray, space: tuple[Hashable, ...], units: dict[str, str | None]
) -> xr.Dataset:
    labelled = {name: _named(values, like, name, space, units=units[name]) for name, values in maps.items()}
    return xr.Dataset(labelled)
