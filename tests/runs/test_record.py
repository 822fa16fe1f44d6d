"""Records: what they tell apart, seconds of stages that are resumed or interrupted, fingerprints of inputs."""

import time
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

from subgrid.data.store import OutputExists
from subgrid.runs.record import (
    SAMPLE,
    Record,
    fingerprint,
    fingerprints,
    identity,
    read_record,
    record_path,
    records_of,
    seconds_of,
    spent,
    write_record,
)
from subgrid.runs.runner import make_stages
from subgrid.runs.stage import Stage

from .letters import opened

BOTH = {"fine": {"fine.nc": "a"}, "coarse": {"coarse.nc": "b", "more.nc": "c"}}
MADE = Record("train", {"training.n_steps": 20, "prior.channels": [8, 16]}, BOTH)


def test_a_record_reads_back_as_itself(tmp_path):
    record = replace(MADE, needs={"debias": "0f"}, finished=True, seconds=1.5, peak_memory=2**30, work=7)
    write_record(tmp_path, record)
    assert read_record(tmp_path, "train") == record
    assert records_of(tmp_path) == {"train": record}
    assert read_record(tmp_path, "debias") is None


def test_names_of_stages_are_names_of_files(tmp_path):
    assert record_path(tmp_path, "simulate fine") == tmp_path / "records" / "simulate_fine.json"
    assert record_path(tmp_path, "fit bridge/2").parent == tmp_path / "records"


def test_what_is_made_from_the_same_by_the_same_version_is_the_same():
    made = identity(MADE, MADE.values)
    assert identity(replace(MADE, seconds=3.0, finished=True, work=2), MADE.values) == made
    assert identity(replace(MADE, inputs=BOTH | {"fine": {"moved.nc": "a"}}), MADE.values) == made
    others = [
        replace(MADE, stage="fit"),
        replace(MADE, values={**MADE.values, "training.n_steps": 40}),
        replace(MADE, inputs=BOTH | {"fine": {"fine.nc": "x"}}),
        replace(MADE, needs={"debias": "0f"}),
        replace(MADE, version="2"),
        replace(MADE, commit="c0ffee"),
    ]
    assert len({identity(each, each.values) for each in others} | {made}) == len(others) + 1


@pytest.mark.parametrize(
    ("values", "inputs", "difference"),
    [
        ({}, BOTH, None),
        ({"training.n_steps": 20}, BOTH | {"fine": {"moved/fine.nc": "a"}}, None),
        ({}, BOTH | {"coarse": {"01.nc": "c", "02.nc": "b"}}, None),  # files of one key may be renamed
        ({"training.n_steps": 40}, {"fine": {"fine.nc": "c"}}, "with training.n_steps = 20, not 40"),
        ({"prior.channels": [8]}, BOTH, "with prior.channels = [8, 16], not [8]"),
        ({"training.n_steps": 20, "training.warmup": 5}, BOTH, "by a version that had no training.warmup"),
        ({}, {"fine": {"fine.nc": "c"}}, "from fine.nc as it was before, which has changed since"),
        ({}, {"fine": {"coarse.nc": "b"}}, "from another file than coarse.nc as fine"),  # two files change places
        ({}, BOTH | {"coarse": {"coarse.nc": "b"}}, "from more.nc too, which coarse does not name now"),
        ({}, {"fine": {"fine.nc": "a"}}, "from coarse.nc too, which coarse does not name now"),
        ({}, BOTH | {"fine": {}}, None),  # what is gone cannot be compared, and need not
    ],
)
def test_what_differs_is_named(values, inputs, difference):
    assert MADE.difference(values, inputs) == difference


def test_paths_that_went_up_are_those_without(tmp_path):
    up, plain = (f"{tmp_path}/{path}" for path in ("runs/../archive/tas_*.nc", "archive/tas_*.nc"))
    values = {"functions.digits": f"{tmp_path}/runs/../digits", "names": ["a", "b"]}
    made = Record("data", values, {"fine": {up.replace("*", "1"): "a", up.replace("*", "2"): "b"}})
    now = {**values, "functions.digits": f"{tmp_path}/digits"}
    assert made.difference(now, {"fine": {plain: ""}}) is None  # the archive is not there any more
    assert made.has_values_of(replace(made, values=now))
    assert "from another file" in str(made.difference(now, {"fine": {f"{tmp_path}/other/tas_*.nc": ""}}))
    there = {plain.replace("*", "1"): "a", plain.replace("*", "2"): "x"}
    assert made.difference(now, {"fine": there}) == f"from {tmp_path}/archive/tas_2.nc as it was before, which has " + (
        "changed since"
    )
    other = {**values, "functions.digits": f"{tmp_path}/runs/digits"}
    assert "with functions.digits" in str(made.difference(other, {}))
    url = {"fine": {"https://host/a/../b.nc": "a"}}
    assert Record("data", {}, url).difference({}, {"fine": {"https://host/b.nc": ""}}) is not None  # as it is


def test_a_record_that_cannot_be_read_is_refused_where_it_counts_and_passed_where_it_is_listed(tmp_path):
    write_record(tmp_path, MADE)
    write_record(tmp_path, replace(MADE, stage="debias", finished=True, seconds=3.0))
    record_path(tmp_path, "train").write_text('{"stage": "train"')
    with pytest.raises(OutputExists, match="the record of 'train' cannot be read") as refused:
        read_record(tmp_path, "train")
    assert len(str(refused.value).splitlines()) == 1
    assert list(records_of(tmp_path)) == ["debias"]
    assert seconds_of(tmp_path) == {"debias": 3.0}


def test_seconds_are_those_of_finished_stages_in_the_order_of_their_making(tmp_path):
    assert seconds_of(tmp_path) == {}
    for name, finished in (("b", True), ("a", True), ("c", False)):
        write_record(tmp_path, Record(name, {}, seconds=2.0, finished=finished))
        time.sleep(0.02)  # dates of files tell the order, and some file systems have coarse ones
    assert list(seconds_of(tmp_path).items()) == [("b", 2.0), ("a", 2.0)]


def test_seconds_add_up_and_the_largest_memory_stays():
    record = spent(MADE, 1.26, finished=False, peak_memory=200)
    record = spent(record, 2.0, finished=True, peak_memory=100)
    assert (record.seconds, record.peak_memory, record.finished) == (pytest.approx(3.3), 200, True)


class Waiting:
    """A stage that takes 0.15 s, and is interrupted as long as it is asked to."""

    interrupted = True

    def stage(self):
        return Stage("train", self.make, ("model",), depends_on={"letters": ("word",)})

    def make(self, run, update):
        time.sleep(0.15)
        if self.interrupted:
            raise KeyboardInterrupt
        run.path("model").touch()


def test_an_interrupted_stage_leaves_its_seconds_a_resumed_one_adds_to_them_and_one_made_anew_replaces_them(tmp_path):
    waiting, run = Waiting(), opened(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        make_stages(run, [waiting.stage()], progress=False)
    stopped = read_record(tmp_path, "train")
    assert stopped.seconds >= 0.1 and not stopped.finished and seconds_of(tmp_path) == {}
    write_record(tmp_path, replace(stopped, seconds=1000.0))
    waiting.interrupted = False
    make_stages(run, [waiting.stage()], progress=False)
    assert seconds_of(tmp_path)["train"] >= 1000.1
    run.path("model").unlink()
    make_stages(run, [waiting.stage()], progress=False)
    assert 0.1 <= seconds_of(tmp_path)["train"] < 1000


def test_the_fingerprint_of_a_file_is_of_its_contents_alone(tmp_path):
    first, second = tmp_path / "a.nc", tmp_path / "b.nc"
    first.write_bytes(b"values")
    second.write_bytes(b"values")
    assert fingerprint(first) == fingerprint(second)
    second.write_bytes(b"others")
    assert fingerprint(first) != fingerprint(second)


@pytest.mark.parametrize("place", [0, 3 * SAMPLE, 6 * SAMPLE - 1], ids=["start", "middle", "end"])
def test_the_fingerprint_of_a_large_file_sees_both_ends_the_middle_and_the_size(tmp_path, place):
    path, content = tmp_path / "a.nc", bytearray(6 * SAMPLE)
    path.write_bytes(content)
    before = fingerprint(path)
    content[place] = 1
    path.write_bytes(content)
    assert fingerprint(path) != before
    path.write_bytes(bytes(6 * SAMPLE + 1))
    assert fingerprint(path) != before


def test_the_fingerprint_of_a_store_is_of_its_files_and_metadata_wherever_it_lies(tmp_path):
    dataset = xr.Dataset({"u": ("x", np.arange(4.0))})
    dataset.to_zarr(tmp_path / "a.zarr")
    dataset.to_zarr(tmp_path / "b.zarr")
    assert fingerprint(tmp_path / "a.zarr") == fingerprint(tmp_path / "b.zarr")
    dataset.assign_attrs(units="K").to_zarr(tmp_path / "b.zarr", mode="w")
    assert fingerprint(tmp_path / "a.zarr") != fingerprint(tmp_path / "b.zarr")


def test_patterns_are_resolved_and_what_is_not_there_has_no_fingerprint(tmp_path):
    for name in ("a1.nc", "a2.nc"):
        (tmp_path / name).write_text(name)
    found = fingerprints({"fine": [f"{tmp_path}/a*.nc", f"{tmp_path}/gone.nc"]})["fine"]
    assert list(found) == [f"{tmp_path}/{name}.nc" for name in ("a1", "a2", "gone")]
    assert [bool(each) for each in found.values()] == [True, True, False]
