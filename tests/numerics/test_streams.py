"""Named streams: keys that follow from names alone, and meet neither each other nor the numbers of draws."""

import subprocess
import sys

import jax
import jax.random as jr
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from subgrid.numerics.streams import draw_keys, stream, substream

NAMES = st.lists(st.text(max_size=8), min_size=1, max_size=3).map(tuple)


def data(key) -> list[tuple[int, ...]]:
    return [tuple(words) for words in np.asarray(jr.key_data(key)).reshape(-1, 2).tolist()]


@settings(max_examples=60, deadline=None)
@given(st.lists(NAMES, min_size=2, max_size=8, unique=True))
def test_other_names_give_other_keys(paths):
    assert len({word for names in paths for word in data(stream(3, *names))}) == len(paths)


def test_names_make_a_tree():
    assert data(stream(5, "climate", "draws")) == data(substream(stream(5, "climate"), "draws"))
    assert data(stream(5, "a", "bc")) != data(stream(5, "ab", "c"))
    assert data(stream(5, "a", "b")) != data(stream(5, "b", "a"))
    assert data(stream(5, "a")) != data(stream(6, "a"))


def test_a_key_is_the_same_in_every_process_and_version():
    """Python's own hash differs from process to process; a change of these numbers changes every published run."""
    code = (
        "import jax.random as r; from subgrid.numerics.streams import stream; "
        "print(r.key_data(stream(7, 'é', 'b')).tolist())"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == str(list(data(stream(7, "é", "b"))[0]))


def test_a_name_is_folded_in_as_the_two_words_of_its_published_hash():
    # BLAKE2b of "abc" with 8 bytes: `printf abc | b2sum --length 64`.
    words = bytes.fromhex("d8bb14d833d59559")
    key = jr.key(1)
    for part in (words[:4], words[4:]):
        key = jr.fold_in(key, np.uint32(int.from_bytes(part, "little")))
    assert data(stream(1, "abc")) == data(key)


def test_no_named_stream_is_a_numbered_child_of_its_parent():
    """In JAX a split and a fold_in of its number are one key: what made numbered streams collide."""
    parent = jr.key(0)
    assert data(jr.split(parent, 5)) == [data(jr.fold_in(parent, i))[0] for i in range(5)]
    numbered = {*data(jr.split(parent, 1000)), *data(parent)}
    assert not numbered & {*data(substream(parent, "network")), *data(substream(parent, "training"))}


def test_draws_follow_from_their_time_and_member_alone():
    key = stream(2, "ensemble")
    keys = draw_keys(key, np.arange(10), np.arange(4))
    assert len({*data(keys)}) == 40
    assert data(draw_keys(key, np.arange(6, 9), np.arange(1, 3))) == data(keys[6:9, 1:3])
    # The definition, one draw at a time.
    assert data(keys[7, 2]) == data(jr.fold_in(jr.fold_in(substream(key, "draws"), 7), 2))


def test_keys_can_be_made_inside_a_compiled_function():
    key = jr.key(4)
    assert data(jax.jit(lambda k: substream(k, "noise"))(key)) == data(substream(key, "noise"))


def test_a_stream_needs_a_name():
    with pytest.raises(ValueError, match="needs a name"):
        stream(0)
