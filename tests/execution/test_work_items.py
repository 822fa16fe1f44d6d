"""Work items: a partition of the ensemble, and keys that do not know about it."""

import jax.random as jr
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from subgrid.execution.work_items import WorkItem, blocks, sample_keys, share, work_items
from subgrid.numerics.streams import draw_keys, substream

COUNT = st.integers(1, 40)


@settings(max_examples=30, deadline=None)
@given(COUNT, COUNT, COUNT, COUNT, st.integers(1, 7))
def test_items_of_all_slices_cover_every_draw_once(n_times, n_members, times, members, n):
    items = work_items(n_times, n_members, times_per_item=times, members_per_item=members)
    shares = [share(items, i, n) for i in range(n)]
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
    times_seen = np.zeros((n_times, n_members), int)
    for item in (item for part in shares for item in part):
        times_seen[slice(*item.time), slice(*item.member)] += 1
    assert (times_seen == 1).all()
    assert sum(item.n_fields for item in items) == n_times * n_members
    assert len({item.name for item in items}) == len(items)
    assert sorted(items, key=lambda item: item.name) == items


def test_keys_are_those_of_the_position_in_whatever_block():
    seed = 2**40 + 3
    keys = jr.key_data(sample_keys(seed, ("a", "b"), np.arange(10), np.arange(4)))
    part = jr.key_data(sample_keys(seed, ("a", "b"), np.arange(6, 9), np.arange(1, 3)))
    np.testing.assert_array_equal(part, keys[6:9, 1:3])
    other = jr.key_data(sample_keys(seed, ("a", "c"), np.arange(10), np.arange(4)))
    assert len({tuple(key) for key in np.concatenate([keys, other]).reshape(-1, 2)}) == 80
    assert len({tuple(key) for key in np.asarray(keys).reshape(-1, 2)}) == 40


def test_the_words_of_a_key_give_what_the_key_gives():
    """So that a store draws what is drawn in memory; the key of a number is that number's seed."""
    times, members, key = np.arange(3, 6), np.arange(2), jr.split(jr.key(5), 3)[1]
    wanted = jr.key_data(draw_keys(substream(key, "a", "b"), times, members))
    words = tuple(np.asarray(jr.key_data(key)).tolist())
    np.testing.assert_array_equal(jr.key_data(sample_keys(words, ("a", "b"), times, members)), wanted)
    of_number, of_words = (
        jr.key_data(sample_keys(seed, ("a",), times, members))
        for seed in (7, tuple(np.asarray(jr.key_data(jr.key(7))).tolist()))
    )
    np.testing.assert_array_equal(of_number, of_words)


def test_bad_numbers():
    with pytest.raises(ValueError, match="at least 1"):
        blocks(0, 3)
    with pytest.raises(ValueError, match="numbered from 0 to 2"):
        share([], 3, 3)


def test_item_says_what_it_is():
    assert str(WorkItem((0, 4), (2, 4))) == "times 0 to 3, members 2 to 3"
    assert WorkItem((0, 4), (2, 4)).name == "t00000000-00000004_m0002-0004"
