"""Which samples of a set are compared: of every calendar month its share."""

import numpy as np
import pytest

from subgrid.downscaling.verifying.set_scores import _spread


@pytest.mark.parametrize(("n_years", "n"), [(20, 12), (20, 24), (3, 36), (7, 96)])
def test_every_calendar_month_is_there_as_often(n_years, n):
    months = np.tile(np.arange(1, 13), n_years)
    chosen = _spread(np.arange(len(months)), n, months)
    assert np.bincount(months[chosen], minlength=13)[1:].tolist() == [n // 12] * 12
    assert (np.diff(chosen) >= 0).all()


def test_samples_without_dates_are_evenly_spaced_and_repeated_where_they_are_few():
    assert _spread(np.arange(100, 200), 4, None).tolist() == [100, 125, 150, 175]
    assert _spread(np.arange(3), 6, None).tolist() == [0, 0, 1, 1, 2, 2]
