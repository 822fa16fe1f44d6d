"""Places that are chosen evenly: from the first to the last, none twice."""

import numpy as np
import pytest

from subgrid.numerics.evenly import evenly_spaced


@pytest.mark.parametrize(("n", "most"), [(1, 5), (5, 5), (6, 5), (7, 4), (100, 7), (1001, 1000)])
def test_they_reach_from_end_to_end_and_none_comes_twice(n, most):
    chosen = evenly_spaced(n, most)
    assert len(chosen) == min(n, most) and chosen[0] == 0 and chosen[-1] == n - 1
    steps = np.diff(chosen)
    assert (steps > 0).all() and np.ptp(steps) <= 1 if n > 1 else not steps.size


def test_none_of_none():
    assert evenly_spaced(0, 3).tolist() == []
