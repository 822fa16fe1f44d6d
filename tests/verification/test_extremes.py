"""Quantiles, wet days and return levels against closed forms, scipy and xsdba."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
import scipy.special
import scipy.stats

from subgrid.verification.extremes import (
    fit_gev,
    gev_return_level,
    quantile_table,
    return_level,
    segment_maxima,
    wet_day_frequency,
)


def test_quantiles_of_a_shifted_and_scaled_set():
    ref = np.random.default_rng(0).normal(size=(20_000, 3))
    table = quantile_table(2 * ref + 1, ref, levels=(0.05, 0.5, 0.95))
    np.testing.assert_allclose(table.pred, 2 * table.ref + 1, rtol=1e-5)
    # 60,000 values: the 5 % quantile is known to √(.05 · .95/60000)/φ(1.64) = .009.
    np.testing.assert_allclose(table.ref, scipy.stats.norm.ppf(table.level), atol=0.035)


def test_quantile_errors_of_opposite_sign_do_not_cancel():
    ref = np.random.default_rng(1).normal(size=(500, 2))
    table = quantile_table(ref + np.array([1.0, -1.0]), ref)
    np.testing.assert_allclose(table.pred, table.ref, atol=1e-5)
    np.testing.assert_allclose(table.rmse, 1.0, rtol=1e-5)


def test_wet_days_of_an_exponential_and_of_a_masked_cell():
    rain = np.random.default_rng(2).exponential(2.0, size=(40_000, 2))
    rain[7, 1] = np.nan
    frequency = wet_day_frequency(rain)
    # P(X ≥ 1) = e^(−1/2) = .6065, known to √(.24/40000) = .0024.
    assert frequency[0] == pytest.approx(np.exp(-0.5), abs=0.01) and np.isnan(frequency[1])


def test_wet_days_agree_with_xsdba_relative_frequency():
    pytest.importorskip("xclim", reason="xsdba.properties needs xclim: pip install xclim")
    xr, properties = pytest.importorskip("xarray"), pytest.importorskip("xsdba.properties")
    rain = np.random.default_rng(3).exponential(1.0, size=365)
    series = xr.DataArray(
        rain, dims="time", coords={"time": xr.date_range("2001-01-01", periods=365)}, attrs={"units": "mm/d"}
    )
    theirs = properties.relative_frequency(series, op=">=", thresh="1 mm/d", group="time")
    assert float(theirs) == pytest.approx(float(wet_day_frequency(rain)), rel=1e-6)


def test_maxima_season_by_season():
    days = np.array([[1.0, 5.0], [4.0, 2.0], [0.0, np.nan]])
    np.testing.assert_array_equal(segment_maxima(days, np.array([3, 3, 9])), [[4.0, 5.0], [0.0, np.nan]])


@pytest.mark.parametrize("shape", [-0.2, 0.0, 0.25])
def test_gev_parameters_of_a_large_sample(shape):
    sample = scipy.stats.genextreme.rvs(shape, loc=10.0, scale=2.0, size=(50_000,), random_state=4)
    location, scale, k = fit_gev(jnp.asarray(sample, jnp.float32))
    # Standard errors are of order α/√n = .009 for location and scale and 1/√n = .0045 for k (which is approximated to
    # 9e-4): some six of them.
    assert location == pytest.approx(10.0, abs=0.06)
    assert scale == pytest.approx(2.0, abs=0.06)
    assert k == pytest.approx(shape, abs=0.025)


@pytest.mark.parametrize("shape", [-0.2, -1e-6, 0.0, 1e-8, 9e-5, 0.25])
@pytest.mark.parametrize("period", [2.0, 20.0, 100.0])
def test_return_levels_are_quantiles_of_the_distribution(shape, period):
    found = gev_return_level(jnp.array(10.0), jnp.array(2.0), jnp.array(shape, jnp.float32), period)
    expected = scipy.stats.genextreme.ppf(1 - 1 / period, shape, loc=10.0, scale=2.0)
    # 1 − 1/T in float32 is off by 3e-8, which the tail multiplies by T: 3e-6 scales at T = 100.
    assert found == pytest.approx(expected, rel=2e-6)


def test_fit_and_level_do_not_lose_digits_to_a_large_mean():
    maxima = jnp.asarray(scipy.stats.genextreme.rvs(0.2, size=(20, 4), random_state=5), jnp.float32)
    level = gev_return_level(*fit_gev(maxima), 20.0)
    shifted = gev_return_level(*fit_gev(maxima + 290.0), 20.0)
    # 290 K are stored to 3e-5.
    np.testing.assert_allclose(shifted - 290.0, level, atol=3e-4)


@pytest.mark.slow
@pytest.mark.parametrize(("seasons", "shape"), [(10, 0.1), (20, -0.1), (50, 0.3)])
def test_interval_covers_the_truth_about_as_often_as_stated(seasons, shape):
    truth = scipy.stats.genextreme.ppf(0.95, shape)
    maxima = scipy.stats.genextreme.rvs(shape, size=(seasons, 800), random_state=6)
    found = return_level(maxima, np.arange(seasons), key=jr.key(0), n_bootstrap=300)
    # Nominal .9, in truth some .87 (measured .84–.92 on other seeds). A share of 800 cells is known to .012, and 300
    # draws, shared by all cells, to .018: three of both together are .065. Resampling seasons gives .64, .70 and .84.
    assert np.mean((found.lower <= truth) & (truth <= found.upper)) == pytest.approx(0.87, abs=0.065)
    # Neither end is missed much more often than the other: .065 each, .04 for three standard errors of one end.
    assert max(np.mean(truth > found.upper), np.mean(truth < found.lower)) < 0.105
    assert np.all((found.lower <= found.level) & (found.level <= found.upper))


@pytest.mark.parametrize("shape", [1e-5, 2e-4, 5e-3, 0.029, 0.031])
def test_float32_keeps_its_digits_where_the_shape_is_near_zero(shape):
    sample = scipy.stats.genextreme.ppf((np.arange(400) + 0.5) / 400, shape).astype(np.float32)
    x, j = np.sort(np.float64(sample)), np.arange(400)
    b = [x.mean(), np.mean(j / 399 * x), np.mean(j * (j - 1) / (399 * 398) * x)]
    c = 2 / (3 + (6 * b[2] - 6 * b[1] + b[0]) / (2 * b[1] - b[0])) - np.log(2) / np.log(3)
    k = 7.8590 * c + 2.9554 * c**2
    alpha = (2 * b[1] - b[0]) * k / ((1 - 2**-k) * scipy.special.gamma(1 + k))
    location = b[0] - alpha * (1 - scipy.special.gamma(1 + k)) / k
    expected = scipy.stats.genextreme.ppf(0.95, k, location, alpha)
    # Moments in float32 are sums of 400 values: some 1e-6, which c and the level multiply by ten.
    assert gev_return_level(*fit_gev(jnp.asarray(sample)), 20.0) == pytest.approx(expected, abs=5e-5)


def test_masked_cells_stay_masked_and_the_key_decides():
    days = np.random.default_rng(7).normal(size=(200, 2))
    days[3, 1] = np.nan
    segment = np.repeat(np.arange(10), 20)
    one, again, other = (return_level(days, segment, key=jr.key(seed), n_bootstrap=50) for seed in (0, 0, 1))
    assert np.isnan(one.level[1]) and np.isfinite(one.level[0])
    assert one.lower[0] == again.lower[0] and one.lower[0] != other.lower[0] and one.level[0] == other.level[0]


def test_bad_input_is_explained():
    days, segment = np.zeros((6, 1)), np.array([0, 0, 1, 1, 2, 2])
    with pytest.raises(ValueError, match="needs at least 4 block maxima, got 3"):
        return_level(days, segment, key=jr.key(0))
    with pytest.raises(ValueError, match="must exceed one season"):
        gev_return_level(jnp.array(0.0), jnp.array(1.0), jnp.array(0.0), 1.0)
    with pytest.raises(ValueError, match="above 2 seasons"):
        return_level(np.zeros((6, 1)), np.arange(6), key=jr.key(0), period=1.5)
    with pytest.raises(ValueError, match="confidence must lie between"):
        return_level(days, segment, key=jr.key(0), confidence=1.0)
    with pytest.raises(ValueError, match=r"levels must lie in \[0, 1\]"):
        quantile_table(days, days, levels=(1.5,))
    with pytest.raises(ValueError, match="got 2 labels for 6 days"):
        segment_maxima(days, segment[:2])
    with pytest.raises(ValueError, match="holds no days"):
        wet_day_frequency(np.zeros((0, 3)))
