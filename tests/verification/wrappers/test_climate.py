"""The climate metrics by name: the numbers of the arrays, maps with coordinates, members pooled, years kept apart."""

import jax.random as jr
import numpy as np
import pytest
import xarray as xr

from subgrid.verification import cells, dependence, extremes, spells, sphere_spectra, wrappers

LAT, LON = np.arange(36.0, 40.0, 0.5), np.arange(-6.0, -1.0, 0.5)
N_YEARS, N_DAYS = 5, 30


def field(seed, calendar="standard", **members):
    """Five Decembers, one cell masked, some members."""
    dates = [xr.date_range(f"{1990 + w}-12-01", periods=N_DAYS, calendar=calendar) for w in range(N_YEARS)]
    time = dates[0].append(dates[1:])
    sizes = {**members, "time": time.size, "lat": LAT.size, "lon": LON.size}
    values = np.random.default_rng(seed).gamma(0.7, 4.0, size=tuple(sizes.values())).astype(np.float32)
    values[..., 0, 0] = np.nan
    coords = {"time": time, "lat": LAT, "lon": LON, "height": 2.0}
    return xr.DataArray(values, dims=tuple(sizes), coords=coords, name="pr", attrs={"units": "mm day-1"})


PRED, REF = field(0, realization=2), field(1)
MASK = np.isfinite(REF.values).all(axis=0)
SEASON_YEAR = np.repeat(np.arange(N_YEARS), N_DAYS)


def pooled(array):
    return array.values.reshape(-1, LAT.size, LON.size)


def test_wasserstein_is_a_map_and_pools_members():
    found = wrappers.wasserstein_1_per_cell(PRED, REF)
    np.testing.assert_array_equal(found, cells.wasserstein_1_per_cell(pooled(PRED), REF.values, mask=MASK))
    xr.testing.assert_equal(found.lat, REF.lat)
    assert found.dims == ("lat", "lon") and found.attrs["units"] == "mm day-1" and "height" in found.coords
    xr.testing.assert_equal(
        wrappers.wasserstein_1_per_cell(PRED.transpose("lon", "time", "realization", "lat"), REF), found
    )


def test_correlation_and_quantiles_are_those_of_the_arrays():
    assert wrappers.correlation_rmse(PRED, REF) == pytest.approx(
        dependence.correlation_rmse(pooled(PRED), REF.values, mask=MASK)
    )
    table = wrappers.quantile_table(PRED, REF)
    np.testing.assert_array_equal(table.pred, extremes.quantile_table(pooled(PRED), REF.values, mask=MASK).pred)
    assert table.rmse.dims == ("level",)


@pytest.mark.parametrize("calendar", ["standard", "noleap", "360_day"])
def test_season_years_are_kept_apart_in_every_calendar_and_member(calendar):
    wet = xr.ones_like(field(2, calendar, realization=2)) * 5
    found = wrappers.precipitation_indices(wet)
    # Rain on every day: spells last as long as a season and no longer.
    np.testing.assert_array_equal(found.wet_spell_maximum, N_DAYS)
    np.testing.assert_array_equal(found.wet_day_frequency, 1)
    assert found.wet_spell_mean.attrs["units"] == "day" and found.wet_day_frequency.attrs["units"] == "1"


def test_indices_are_those_of_the_arrays_with_nan_on_the_mask():
    found = wrappers.precipitation_indices(REF)
    _, dry = spells.wet_and_dry_spells(REF.values, SEASON_YEAR)
    np.testing.assert_array_equal(found.dry_spell_mean, dry.mean)
    assert all(np.isnan(found[name].values[~MASK]).all() for name in found)


def test_warm_spells_and_return_levels():
    threshold = REF.quantile(0.7, "time").drop_vars("quantile")
    found = wrappers.warm_spells(REF, threshold, minimum_days=2)
    expected = spells.warm_spells(REF.values, threshold.values.astype(np.float32), SEASON_YEAR, minimum_days=2)
    np.testing.assert_allclose(found.warm_spell_days, expected.days.mean(axis=0), rtol=1e-6)
    level = wrappers.return_level(REF, key=jr.key(0), n_bootstrap=40)
    arrays = extremes.return_level(REF.values, SEASON_YEAR, key=jr.key(0), n_bootstrap=40)
    np.testing.assert_array_equal(level.upper, arrays.upper)
    assert level.level.attrs["units"] == "mm day-1"


def test_variogram_of_regular_and_of_two_dimensional_coordinates():
    edges = np.arange(0.0, 400.0, 40.0)
    found = wrappers.variogram(REF, edges)
    lat2, lon2 = np.meshgrid(LAT, LON, indexing="ij")
    expected = dependence.variogram(
        REF.values, dependence.great_circle_distances(lat2[MASK], lon2[MASK]), edges, mask=MASK
    )
    np.testing.assert_allclose(found.variogram, expected.value[expected.n_pairs > 0])
    curvilinear = REF.drop_vars(["lat", "lon"]).rename(lat="y", lon="x")
    curvilinear = curvilinear.assign_coords(lat=(("y", "x"), lat2), lon=(("y", "x"), lon2))
    xr.testing.assert_allclose(wrappers.variogram(curvilinear, edges), found)
    assert found.attrs["decorrelation_length"] < 56  # white noise: gone at the nearest neighbour, 56 km and less
    with pytest.raises(ValueError, match="no coordinate 'lat'"):
        wrappers.variogram(REF.drop_vars("lat"), edges)


def test_spectrum_in_waves_per_km():
    found = wrappers.radial_spectrum(PRED)
    spacing = sphere_spectra.region_spacing(LAT, LON)
    np.testing.assert_array_equal(
        found, sphere_spectra.radial_spectrum(pooled(PRED)[:, None], spacing, mask=MASK).energy[0]
    )
    assert found.dims == ("wavenumber",) and found.attrs["units"] == "(mm day-1)^2"


def test_inputs_are_not_changed_and_bad_ones_are_explained():
    before = REF.copy(deep=True)
    wrappers.precipitation_indices(REF)["wet_spell_mean"][:] = 0
    xr.testing.assert_identical(REF, before)
    with pytest.raises(ValueError, match="pred and ref differ in their coordinates"):
        wrappers.correlation_rmse(PRED.assign_coords(lat=LAT + 1), REF)
    with pytest.raises(ValueError, match="no dimension 'day'"):
        wrappers.precipitation_indices(REF, time_dim="day")
    with pytest.raises(ValueError, match="times must rise"):
        wrappers.precipitation_indices(REF.isel(time=[0, 2, 1]))
