"""Similarity by its pattern correlation, quality by scipy's two-sample statistic."""

import numpy as np
import pytest
from scipy.stats import ks_2samp

from subgrid.verification.similarity import kolmogorov_smirnov, source_distance


def waves(*amplitudes_by_k: tuple[float, int], n: int = 32) -> np.ndarray:
    """(1, 1, n, n): Σ a √2 cos(kx), each of variance a²."""
    x = 2 * np.pi * np.arange(n) / n
    row = sum(a * np.sqrt(2) * np.cos(k * x) for a, k in amplitudes_by_k)
    return np.tile(row, (1, 1, n, 1))


@pytest.mark.parametrize("sizes", [(50, 50), (70, 33), (1, 5)])
def test_kolmogorov_smirnov_is_that_of_scipy(sizes):
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=sizes[0]).round(1), rng.normal(0.4, 1.5, sizes[1]).round(1)  # with ties
    assert kolmogorov_smirnov(x.reshape(1, -1), y) == pytest.approx(ks_2samp(x, y).statistic, abs=1e-12)


def test_empty_sets_are_refused():
    with pytest.raises(ValueError, match="both sets need values, got 0 and 2"):
        kolmogorov_smirnov(np.zeros(0), np.zeros(2))


def test_strength_units_and_small_scales_do_not_count():
    source = waves((1.0, 2))
    same = 5 + 3 * source + waves((9.0, 7))
    np.testing.assert_allclose(source_distance(same, source, 3), 0, atol=1e-5)  # float32


def test_opposite_and_unrelated_patterns():
    source = waves((1.0, 2))
    np.testing.assert_allclose(source_distance(-source, source, 3), 2, rtol=1e-5)
    np.testing.assert_allclose(source_distance(waves((1.0, 3)), source, 3), np.sqrt(2), rtol=1e-5)


def test_distance_is_that_of_the_pattern_correlation():
    source, output = waves((1.0, 2)), waves((0.6, 2), (0.8, 3))  # ρ = .6
    np.testing.assert_allclose(source_distance(output, source, 4), np.sqrt(2 - 2 * 0.6), rtol=1e-5)
    np.testing.assert_allclose(source_distance(output, source, 2), 0, atol=1e-5)


def test_bad_input():
    with pytest.raises(ValueError, match="must have one shape"):
        source_distance(waves((1.0, 2)), waves((1.0, 2), n=16), 3)
    with pytest.raises(ValueError, match="holds no wave up to 3"):
        source_distance(waves((1.0, 5)), waves((1.0, 2)), 3)
