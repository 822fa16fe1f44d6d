"""Layouts: plain facts that survive JSON, and the hash that tells them apart."""

import json
from dataclasses import asdict, replace

import pytest

from subgrid.data.store import OutputExists
from subgrid.execution.layout import Layout, check_same, layout_of
from subgrid.execution.work_items import WorkItem

LAYOUT = Layout(
    variables=("tas", "pr"),
    dims=("realization", "time", "lat", "lon"),
    shape=(5, 23, 3, 7),
    chunks=(1, 2, 3, 4),
    shards=(2, 4, 3, 4),
    times_per_item=8,
    members_per_item=2,
    bit_rounding={"pr": 9},
    seed=3,
    checkpoint="step-1",
    coordinates={"time": "ab", "lat": "cd"},
    configuration={"guide": {"steps": 3}},
    stream=("climate", "historical"),
)


def test_json_keeps_it():
    read = layout_of(json.loads(json.dumps(asdict(LAYOUT))))
    assert read == LAYOUT
    assert read.hash == LAYOUT.hash


def test_json_keeps_the_words_of_a_key():
    words = replace(LAYOUT, seed=(0, 4294967295))
    read = layout_of(json.loads(json.dumps(asdict(words))))
    assert read == words and read.hash == words.hash
    check_same("out", read, words)


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 4},
        {"seed": (0, 3)},
        {"stream": ("climate", "scenario")},
        {"variables": ("pr", "tas")},
        {"configuration": {"guide": {"steps": 4}}},
        {"times_per_item": 4},
    ],
)
def test_every_fact_changes_the_hash(change):
    other = replace(LAYOUT, **change)
    assert other.hash != LAYOUT.hash
    with pytest.raises(OutputExists, match=r"^out: was made by another configuration"):
        check_same("out", LAYOUT, other)


def test_a_store_of_a_version_without_named_streams_is_read_and_not_continued():
    old = json.loads(json.dumps(asdict(LAYOUT)))
    del old["stream"]
    with pytest.raises(OutputExists, match=r"stream = \[\] instead of \[\"climate\", \"historical\"\]"):
        check_same("out", layout_of(old), LAYOUT)


def test_many_differences_are_counted():
    other = replace(LAYOUT, seed=4, checkpoint="step-2", members_per_item=5, times_per_item=4, shape=(5, 24, 3, 7))
    with pytest.raises(OutputExists, match=r"and 2 more\); choose another output, or remove it first"):
        check_same("out", LAYOUT, other)


def test_items_fill_every_file_once():
    files = [file for item in LAYOUT.items() for file in LAYOUT.files(item)["tas"]]
    # ⌈5/2⌉ × ⌈23/4⌉ × ⌈3/3⌉ × ⌈7/4⌉ shards
    assert len(files) == len(set(files)) == 3 * 6 * 1 * 2
    assert LAYOUT.files(WorkItem((16, 23), (4, 5)))["pr"] == ["c/2/4/0/0", "c/2/4/0/1", "c/2/5/0/0", "c/2/5/0/1"]
