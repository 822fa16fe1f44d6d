"""Correlations, variograms and distances against numpy and closed forms of Gaussian fields."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from subgrid.verification.dependence import (
    EARTH_RADIUS,
    DistanceBins,
    correlation_matrix,
    correlation_rmse,
    correlogram,
    decorrelation_length,
    great_circle_distances,
    rank_correlation,
    variogram,
)

LENGTH = 300.0
LAT, LON = (axis.ravel() for axis in np.meshgrid(np.arange(36.0, 43.0), np.arange(-9.0, 4.0), indexing="ij"))
DISTANCES = great_circle_distances(LAT, LON)
EDGES = np.arange(0.0, 1000.0, 50.0)


def exponential_field(n, seed=0, std=2.0):
    """Gaussian samples with covariance std² exp(−d/LENGTH), on top of a gradient that must not matter."""
    root = np.linalg.cholesky(std**2 * np.exp(-DISTANCES / LENGTH))
    return (280 + LAT - 36 + np.random.default_rng(seed).normal(size=(n, LAT.size)) @ root.T).astype(np.float32)


def test_distances_along_meridians_and_the_equator_are_arcs():
    degree = np.pi / 180 * EARTH_RADIUS
    d = great_circle_distances(np.array([0.0, 90.0, 0.0, 0.0]), np.array([0.0, 77.0, -179.0, 180.0]))
    expected = [0.0, 90 * degree, 179 * degree, 180 * degree]
    np.testing.assert_allclose(d[0], expected, rtol=1e-9)
    assert d[2, 3] == pytest.approx(degree)  # across the date line
    with pytest.raises(ValueError, match="are lat and lon swapped"):
        great_circle_distances(np.array([120.0]), np.array([0.0]))


def test_correlation_matrix_agrees_with_numpy_despite_a_large_mean():
    x = exponential_field(200)
    np.testing.assert_allclose(correlation_matrix(x), np.corrcoef(np.float64(x).T), atol=2e-5)


def test_rank_correlation_is_scipys_ties_and_all():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 2, 3)).astype(np.float32)
    y = np.maximum(0.5 * x + rng.normal(size=x.shape), 0).astype(np.float32)  # half of all days are dry
    mask = np.array([[True, True, False], [True, False, True]])
    wanted = [spearmanr(a, b).statistic for a, b in zip(x[:, mask].T, y[:, mask].T, strict=True)]
    np.testing.assert_allclose(rank_correlation(x, y, mask=mask), wanted, atol=1e-12)
    np.testing.assert_allclose(rank_correlation(x, np.exp(x)), 1)
    assert np.isnan(rank_correlation(x, np.zeros_like(x))).all()
    with pytest.raises(ValueError, match="must share their shape"):
        rank_correlation(x, y[:100])


def test_what_never_varies_has_no_dependence_rather_than_the_right_one():
    from subgrid.experiments.climate.metrics import rank_correlation_score

    x = np.random.default_rng(1).normal(size=(200, 1, 2, 2)).astype(np.float32)
    both, mask = np.concatenate([x, x], axis=1), np.ones((2, 2), bool)
    dead = both.copy()
    dead[:, 1, 0] = 0
    score = rank_correlation_score(both, mask)
    assert score(both) == 0 and score(dead) == pytest.approx(np.sqrt(0.5))


def test_correlation_rmse_counts_pairs_of_the_mask_once():
    rng = np.random.default_rng(1)
    pred, ref = rng.normal(size=(50, 2, 3)), rng.normal(size=(60, 2, 3))
    mask = np.array([[True, True, False], [True, True, False]])
    pred[:, ~mask] = np.nan
    difference = np.corrcoef(pred[:, mask].T) - np.corrcoef(ref[:, mask].T)
    expected = np.sqrt(np.mean(difference[np.triu_indices(4, 1)] ** 2))
    assert correlation_rmse(pred, ref, mask=mask) == pytest.approx(expected, rel=1e-5)


def test_correlation_rmse_sees_dependence_alone():
    x = exponential_field(300)
    # Shifting and scaling each cell changes no correlation; float32 anomalies of 280 K leave 1e-5.
    assert correlation_rmse(x * np.linspace(0.5, 2, LAT.size) + 3, x) < 1e-4


def test_floor_of_independent_sets_is_the_sampling_error_of_a_correlation():
    n = 500
    pair = correlation_rmse(exponential_field(n, 2), exponential_field(n, 3))
    rho = np.exp(-DISTANCES[np.triu_indices(LAT.size, 1)] / LENGTH)
    # Var r = (1 − ρ²)²/n for Gaussians; pairs are correlated, so some 20 % of scatter stays.
    assert pair == pytest.approx(np.sqrt(2 * np.mean((1 - rho**2) ** 2) / n), rel=0.4)


def test_cells_that_never_change_are_left_out():
    x, y = exponential_field(50, 4)[:, :4], exponential_field(50, 5)[:, :4]
    still = x.copy()
    still[:, 2] = 280.0
    kept = np.array([True, True, False, True])
    assert correlation_rmse(still, y) == pytest.approx(correlation_rmse(x, y, mask=kept), rel=1e-5)
    assert np.isnan(correlation_rmse(np.ones((5, 3)), np.ones((5, 3))))


def test_variogram_of_an_exponential_covariance():
    bins = variogram(exponential_field(4000), DISTANCES, EDGES)
    filled = bins.n_pairs > 0
    expected = 4.0 * (1 - np.exp(-bins.distance[filled] / LENGTH))
    # Bins are 50 km wide, where the curve bends by < 1 %; 4000 samples leave some 2 % of the variance.
    np.testing.assert_allclose(bins.value[filled], expected, rtol=0.04)
    assert bins.n_pairs.sum() == np.sum(DISTANCES[np.triu_indices(LAT.size, 1)] < EDGES[-1])
    assert np.isnan(bins.value[0]) and bins.n_pairs[0] == 0  # no two cells are nearer than 50 km


def test_decorrelation_length_of_an_exponential_covariance():
    bins = correlogram(exponential_field(4000, 6), DISTANCES, EDGES)
    # 50-km bins interpolated linearly err by some 1 %, sampling by 2 %.
    assert decorrelation_length(bins) == pytest.approx(LENGTH, rel=0.04)


def test_decorrelation_length_of_an_exact_curve_and_of_one_that_never_falls():
    d = np.arange(10.0, 900.0, 10.0)
    assert decorrelation_length(DistanceBins(d, np.exp(-d / LENGTH), np.ones(d.size, int))) == pytest.approx(
        LENGTH, abs=0.1
    )
    assert decorrelation_length(DistanceBins(d, np.full(d.size, 0.9), np.ones(d.size, int))) == np.inf


def test_bad_input_is_explained():
    x = exponential_field(10)
    with pytest.raises(ValueError, match="edges must rise"):
        variogram(x, DISTANCES, np.array([10.0, 5.0]))
    with pytest.raises(ValueError, match="distances of 91 cells given for 4 cells"):
        variogram(x[:, :4], DISTANCES, EDGES)
    with pytest.raises(ValueError, match="need at least 2 samples"):
        correlation_matrix(x[:1])
    with pytest.raises(ValueError, match="must share their space axes"):
        correlation_rmse(x, x[:, :3])
    with pytest.raises(ValueError, match="level must lie between 0 and 1"):
        decorrelation_length(DistanceBins(EDGES, EDGES, np.ones(EDGES.size, int)), level=1.0)
