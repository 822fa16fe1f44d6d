"""How many times are drawn and written at a time: whole chunks, within bounds of memory."""

import pytest

from subgrid.downscaling.model.blocks import time_blocks


@pytest.mark.parametrize(
    ("n_times", "n_members", "n_values"), [(900, 16, 551), (7, 3, 168), (10**5, 50, 10**6), (61, 16, 10**5)]
)
def test_work_items_are_whole_chunks_and_bounded(n_times, n_members, n_values):
    item, chunk = time_blocks(n_times, n_members, n_values)
    assert item % chunk == 0 and 1 <= chunk <= item
    assert item - chunk < n_times
    assert item == 1 or item * n_members * n_values <= 2**24
