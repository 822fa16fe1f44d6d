"""Bias adjustment through xsdba: against xsdba itself where it accepts the data, and against known distributions."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from scipy.stats import norm

from subgrid.downscaling.debiasing.bias_adjustment import (
    fit_dynamical_transport,
    fit_empirical_quantile_mapping,
    fit_quantile_delta_mapping,
)
from subgrid.downscaling.debiasing.series import SeriesDebiaser

xsdba = pytest.importorskip("xsdba", reason="xsdba is not installed: no classical bias adjustment to test.")

RNG = np.random.default_rng(0)
SOURCE = RNG.normal(0, 1, size=(600, 1, 2, 2)).astype(np.float32)
TARGET = RNG.gamma(2.0, 2.0, size=(600, 1, 2, 2)).astype(np.float32)


def as_xarray(fields):
    time = xr.date_range("1980-01-01", periods=len(fields), calendar="noleap", use_cftime=True)
    return xr.DataArray(fields.reshape(len(fields), -1), {"time": time}, ("time", "x"), attrs={"units": "K"})


@pytest.mark.slow
@pytest.mark.parametrize("n_quantiles", [20, 100])
def test_the_table_is_xsdba_s_own_mapping(n_quantiles):
    trained = xsdba.EmpiricalQuantileMapping.train(as_xarray(TARGET), as_xarray(SOURCE), nquantiles=n_quantiles)
    series = np.concatenate([SOURCE[:100], 3 * SOURCE[:100]])  # inside and outside of what was seen
    expected = trained.adjust(as_xarray(series), interp="linear").transpose("time", "x").values.reshape(series.shape)
    mapping = fit_empirical_quantile_mapping(SOURCE, TARGET, n_quantiles=n_quantiles)
    np.testing.assert_allclose(jax.vmap(mapping)(jnp.asarray(series)), expected, atol=2e-5)


def test_quantile_delta_mapping_is_xsdba_s_own():
    trained = xsdba.QuantileDeltaMapping.train(as_xarray(TARGET), as_xarray(SOURCE), nquantiles=50)
    series = SOURCE[:400] + 2
    expected = trained.adjust(as_xarray(series), interp="linear").transpose("time", "x").values.reshape(series.shape)
    mapping = fit_quantile_delta_mapping(SOURCE, TARGET, n_quantiles=50)
    np.testing.assert_allclose(mapping.adjust(series), expected, atol=2e-5)
    assert isinstance(mapping, SeriesDebiaser)


def test_archives_of_unequal_length():
    # Filling up with NaN must change nothing: quantiles of the first 300, whatever the other archive's length.
    mapping = fit_empirical_quantile_mapping(SOURCE[:300], TARGET, n_quantiles=30)
    swapped = fit_empirical_quantile_mapping(TARGET, SOURCE[:300], n_quantiles=30)
    levels = (np.arange(30) + 0.5) / 30
    first, second = (np.quantile(a.reshape(len(a), -1), levels, axis=0) for a in (SOURCE[:300], TARGET))
    np.testing.assert_allclose(mapping.source_quantiles, first, atol=1e-4)
    np.testing.assert_allclose(mapping.target_quantiles, second, atol=1e-4)
    np.testing.assert_allclose(swapped.source_quantiles, second, atol=1e-4)
    np.testing.assert_allclose(swapped.target_quantiles, first, atol=1e-4)


def test_quantile_delta_mapping_keeps_the_change_of_every_quantile():
    # Gaussians with equal variance: source N(0, 1), target N(5, 1), future N(2, 1.5²) becomes N(7, 1.5²).
    q = norm.ppf((np.arange(1000) + 0.5) / 1000)
    source, target, future = (
        np.random.default_rng(s).permutation(a)[:, None] for s, a in enumerate((q, 5 + q, 2 + 1.5 * q))
    )
    adjusted = fit_quantile_delta_mapping(source, target).adjust(future)
    np.testing.assert_allclose(np.sort(adjusted[:, 0]), 7 + 1.5 * q, atol=0.01)
    ratio = fit_quantile_delta_mapping(np.exp(source), 2 * np.exp(source), kind="*").adjust(np.exp(future))
    np.testing.assert_allclose(ratio, 2 * np.exp(future), rtol=1e-4)


def correlated(n, correlation, mean, seed):
    covariance = [[1.0, correlation], [correlation, 1.0]]
    return np.random.default_rng(seed).multivariate_normal(mean, covariance, n).astype(np.float32)


@pytest.mark.parametrize("length", [150, 500])
def test_dynamical_transport_takes_the_dependence_of_the_target_and_the_change_of_the_source(length):
    source, target = correlated(400, 0.0, [0, 0], 1), correlated(300, 0.9, [5, -5], 2)
    future = correlated(length, 0.0, [2, 1], 3)
    transport = fit_dynamical_transport(source, target)
    adjusted = transport.adjust(future)
    assert adjusted.shape == future.shape and np.isfinite(adjusted).all()
    # Robin et al.: target + (σ target/σ source)·evolution. The mean is off by the draws among the images of a sample,
    # √(1/300 + 1/150) = .1 at most; twice that.
    expected = target.mean(0) + target.std(0) / source.std(0) * (future.mean(0) - source.mean(0))
    np.testing.assert_allclose(adjusted.mean(0), expected, atol=0.2)
    # The evolution has its own scatter, which takes a part of the correlation away.
    assert np.corrcoef(adjusted.T)[0, 1] > 0.6 > 0.2 > np.corrcoef(future.T)[0, 1]


def test_dynamical_transport_is_repeatable_and_leaves_numpy_s_state_alone():
    transport = fit_dynamical_transport(SOURCE[:80], TARGET[:70])
    np.random.seed(7)  # noqa: NPY002
    expected = np.random.random()  # noqa: NPY002
    np.random.seed(7)  # noqa: NPY002
    first = transport.adjust(SOURCE[:60])
    assert np.random.random() == expected  # noqa: NPY002
    np.testing.assert_array_equal(first, transport.adjust(SOURCE[:60]))
    assert np.random.default_rng().random() != np.random.default_rng().random()
    assert first.shape == (60, 1, 2, 2)


def test_complaints():
    with pytest.raises(ValueError, match="they must agree"):
        fit_empirical_quantile_mapping(SOURCE, TARGET[:, :, :1])
    with pytest.raises(ValueError, match="at least 100 samples of each are needed; got 50 coarse and 600 fine"):
        fit_quantile_delta_mapping(SOURCE[:50], TARGET)
    with pytest.raises(ValueError, match="bin_width must be positive"):
        fit_dynamical_transport(SOURCE, TARGET, bin_width=0.0)
    with pytest.raises(ValueError, match=r"fitted on fields of shape \(1, 2, 2\), but these have \(4,\)"):
        fit_dynamical_transport(SOURCE, TARGET).adjust(SOURCE.reshape(-1, 4))


def test_a_point_that_never_changes_raises_no_warning():
    """xsdba warns of points without ranks; here each gets the median, which needs none."""
    rng = np.random.default_rng(0)
    source, target, series = (rng.normal(size=(n, 3)).astype(np.float32) for n in (60, 70, 50))
    source[:, 1] = series[:, 1] = 0.25
    mapping = fit_quantile_delta_mapping(source, target, n_quantiles=20)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        moved = mapping.adjust(series)
    others = fit_quantile_delta_mapping(source[:, ::2], target[:, ::2], n_quantiles=20).adjust(series[:, ::2])
    np.testing.assert_array_equal(moved[:, ::2], others)
    assert np.ptp(moved[:, 1]) == 0
