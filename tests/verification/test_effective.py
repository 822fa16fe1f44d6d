"""The number of independent fields, where autocorrelation is known."""

import numpy as np
import pytest

from subgrid.verification.effective import effective_sample_size


def autoregressive(n: int, a: float, *, cells: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = np.empty((n, cells))
    x[0] = rng.normal(size=cells)
    for i in range(1, n):
        x[i] = a * x[i - 1] + np.sqrt(1 - a**2) * rng.normal(size=cells)
    return x


@pytest.mark.parametrize("a", [0.0, 0.5, 0.8])
def test_a_first_order_process_has_its_known_number(a):
    """N (1 − a)/(1 + a), from 40 cells that are independent of each other."""
    found = effective_sample_size(autoregressive(4000, a, cells=40, seed=0))
    assert found == pytest.approx(4000 * (1 - a) / (1 + a), rel=0.06)  # lags of 160000 values, to their noise


def test_seasons_do_not_run_on_into_each_other():
    """Twenty seasons of 50 days, each independent of the next: the pairs across them do not count."""
    seasons = np.repeat(np.arange(20), 50)
    x = np.concatenate([autoregressive(50, 0.7, cells=40, seed=i) for i in range(20)])
    assert effective_sample_size(x, seasons) == pytest.approx(1000 * 0.3 / 1.7, rel=0.15)


def test_fields_that_never_vary_and_bad_input():
    assert effective_sample_size(np.ones((7, 3))) == 7
    with pytest.raises(ValueError, match="at least 2 fields, got 1"):
        effective_sample_size(np.ones((1, 3)))
    with pytest.raises(ValueError, match="one segment label a field, got 3 for 4"):
        effective_sample_size(np.ones((4, 3)), np.zeros(3, int))
