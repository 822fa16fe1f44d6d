"""Tails: distributions whose kurtosis, quantiles and density are formulas."""

import numpy as np
import pytest
import scipy.stats

from subgrid.verification.tails import kurtosis, log_density, tail_ratio

NORMAL = np.random.default_rng(0).normal(size=(50, 1, 64, 64))
LAPLACE = np.random.default_rng(1).laplace(size=NORMAL.shape)


@pytest.mark.parametrize(("values", "expected", "error"), [(NORMAL, 3, 0.011), (LAPLACE, 6, 0.12)])
def test_kurtosis(values, expected, error):
    """Four standard errors, of 2e5 values: .043 and, with the moments (2m)! of Laplace, .5."""
    assert kurtosis(values) == pytest.approx(expected, abs=4 * error)
    assert kurtosis(2 - 7 * values.astype(np.float32)) == pytest.approx(kurtosis(values), rel=1e-5)
    assert np.isnan(kurtosis(np.ones(4)))


def test_tails_of_a_multiple_and_of_another_distribution():
    assert tail_ratio(-1.5 * NORMAL, NORMAL) == pytest.approx(1.5, rel=1e-12)
    # Quantiles of |u|: −ln(.001) of Laplace, of the normal distribution 3.29; 200 values lie beyond: 1/√200 of their
    # number, which is .07 of 6.9 and .02 of 3.3; four of these.
    expected = -np.log(0.001) / scipy.stats.norm.isf(0.0005)
    assert tail_ratio(LAPLACE, NORMAL) == pytest.approx(expected, rel=0.05)
    expected = -np.log(0.1) / scipy.stats.norm.isf(0.05)
    assert tail_ratio(LAPLACE, NORMAL, level=0.9) == pytest.approx(expected, rel=0.02)


def test_density_is_that_of_the_distribution_and_knows_of_values_outside():
    edges = np.linspace(-2, 2, 41)
    middle = (edges[1:] + edges[:-1]) / 2
    # Four standard errors of counts of at least 1,100, 1/√1100 = .03; the width of .1 changes less than .001.
    np.testing.assert_allclose(log_density(NORMAL, edges), scipy.stats.norm.logpdf(middle), atol=0.12)
    assert np.exp(log_density(NORMAL, edges)).sum() * 0.1 == pytest.approx(np.mean(np.abs(NORMAL) < 2), rel=1e-12)
    assert np.isnan(log_density(NORMAL, [50.0, 51.0])).all()


def test_refusals():
    with pytest.raises(ValueError, match="between 0 and 1"):
        tail_ratio(NORMAL, NORMAL, level=99.9)
    with pytest.raises(ValueError, match="increase"):
        log_density(NORMAL, [1.0, 0.0])
