"""Cells out of a grid and back: round trips and what is refused."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as hnp

from subgrid.verification.masks import restore_cells, select_cells, valid_cells


@settings(max_examples=25, deadline=None)
@given(mask=hnp.arrays(bool, hnp.array_shapes(min_dims=1, max_dims=3, max_side=5)), lead=st.integers(1, 3))
def test_out_and_back_keeps_the_values_of_the_mask_and_nothing_else(mask, lead):
    fields = np.random.default_rng(0).normal(size=(lead, 2, *mask.shape)).astype(np.float32)
    if not mask.any():
        with pytest.raises(ValueError, match="leaves no cell"):
            select_cells(fields, mask)
        return
    fields[..., ~mask] = np.nan
    cells = select_cells(fields, mask)
    assert cells.shape == (lead, 2, mask.sum())
    np.testing.assert_array_equal(restore_cells(np.asarray(cells), mask), fields)


def test_valid_cells_hold_values_at_all_times_in_all_sets():
    one, other = np.ones((3, 2, 2)), np.ones((5, 2, 2))
    one[1, 0, 0], other[4, 1, 1] = np.nan, np.inf
    np.testing.assert_array_equal(valid_cells(one, other), [[False, True], [True, False]])
    with pytest.raises(ValueError, match="must share their space axes"):
        valid_cells(one, other[:, :1])


def test_a_nan_within_the_mask_is_located():
    fields = np.ones((3, 2, 2))
    fields[2, 1, 0] = np.nan
    with pytest.raises(ValueError, match=r"pred hold nan at index \(2, 1, 0\), within the mask; take such cells out"):
        select_cells(fields, np.ones((2, 2), bool), name="pred")


def test_shapes_that_do_not_match_are_refused():
    with pytest.raises(ValueError, match=r"the mask has shape \(3,\), but fields have shape \(4, 2\)"):
        select_cells(np.ones((4, 2)), np.ones(3, bool))
    with pytest.raises(ValueError, match="got 3 values for the 2 cells"):
        restore_cells(np.ones(3), np.ones(2, bool))
