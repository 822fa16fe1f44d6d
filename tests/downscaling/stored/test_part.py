"""A part in its store: whole or not there, and one sentence for whatever else is found."""

import json
import os
import pickle
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from subgrid.data.fields import DataError
from subgrid.data.store import write_zarr
from subgrid.downscaling.stored.part import FORMAT, load_part, save_part

from .examples import EXAMPLES, require_same


@pytest.fixture
def store(tmp_path) -> Path:
    path = tmp_path / "model" / "part.zarr"
    save_part(path, EXAMPLES["fine side"])
    return path


def rewritten(path: Path, part: object = None, **attributes) -> None:
    """The store with another description or other attributes."""
    with xr.open_zarr(path, chunks=None) as stored:
        found = stored.load()
    described = {} if part is None else {"part": json.dumps(part)}
    write_zarr(found.assign_attrs(attributes | described), path, overwrite=True)


def complaint(path: Path) -> str:
    """The one sentence with which the store is refused; it begins with the path."""
    with pytest.raises(DataError) as caught:
        load_part(path)
    said = str(caught.value)
    assert "\n" not in said and str(path.parent) in said and said.endswith(".")
    return said


def test_parts_replace_each_other_whole(store):
    save_part(store, EXAMPLES["reading"])
    require_same(load_part(store), EXAMPLES["reading"])
    assert [each.name for each in store.parent.iterdir()] == ["part.zarr"]


def test_what_cannot_be_written_leaves_the_older_part(store):
    with pytest.raises(TypeError, match="has no kind"):
        save_part(store, {"a": object()})
    require_same(load_part(store), EXAMPLES["fine side"])


def test_every_kind_together_in_one_store(tmp_path):
    save_part(tmp_path / "all.zarr", EXAMPLES)
    require_same(load_part(tmp_path / "all.zarr"), EXAMPLES)


def test_nothing_there(tmp_path):
    assert "holds no part.zarr" in complaint(tmp_path / "model" / "part.zarr")


def test_another_format(store):
    rewritten(store, format=FORMAT + 1)
    assert f"is of format {FORMAT + 1}, and this version of Subgrid reads {FORMAT}" in complaint(store)


def test_some_other_store(store):
    write_zarr(xr.Dataset({"tas": ("x", np.zeros(3))}), store, overwrite=True)
    assert "is of format None" in complaint(store)


LATER = {
    "a part of the kind 'wavelets'": {"kind": "wavelets", "n": 3},
    "'strength' of a part of the kind 'no debiasing'": {"kind": "no debiasing", "strength": 0.5},
    "a description with frozen": {"frozen": [1, 2]},
}


@pytest.mark.parametrize("what", LATER)
def test_a_later_version(store, what):
    rewritten(store, {"mapping": {"coarse": LATER[what]}})
    said = complaint(store)
    assert f"holds {what}, which this version of Subgrid does not know" in said
    assert "use the later version that wrote it" in said


@pytest.mark.parametrize("part", [{"kind": "cells"}, {"kind": "cells", "kept": {"array": "gone", "jax": False}}])
def test_a_field_or_an_array_is_missing(store, part):
    rewritten(store, part)
    assert re.search("is damaged and cannot be read .*(kept|gone)", complaint(store))


def test_an_array_whose_numbers_are_gone(store):
    """Zarr takes what is not there for the fill value: a mask that is False everywhere, a climatology of zeros."""
    for each in store.iterdir():
        shutil.rmtree(each / "c", ignore_errors=True)
    assert "is damaged, its numbers are not those that were written" in complaint(store)


def test_a_single_number_that_is_another(store):
    with xr.open_zarr(store, chunks=None) as stored:
        found = stored.load()
    name = next(str(each) for each in found.data_vars if str(each).endswith("lat.values"))
    found[name].values[1, 2] = np.nextafter(found[name].values[1, 2], 90)
    write_zarr(found, store, overwrite=True)
    assert "is damaged, its numbers are not those that were written" in complaint(store)


def test_a_description_that_is_cut_off(store):
    text = (store / "zarr.json").read_text(encoding="utf-8")
    (store / "zarr.json").write_text(text[: len(text) // 2], encoding="utf-8")
    assert "is damaged and cannot be read" in complaint(store)


def test_a_file_in_its_place(store):
    shutil.rmtree(store)
    store.write_text("no store", encoding="utf-8")
    assert "is damaged and cannot be read" in complaint(store)


class Evil:
    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_a_pickle_among_the_arrays_is_not_opened(store):
    """Zarr's second format could hold pickled objects: none is made of one."""
    trap, array = store.parent / "trap", store / "a"
    shutil.rmtree(store)
    array.mkdir(parents=True)
    filters = [{"id": "pickle", "protocol": 5}]
    about = {"shape": [1], "chunks": [1], "dtype": "|O", "compressor": None, "fill_value": None, "order": "C"}
    objects = np.empty(1, object)
    objects[0] = Evil(trap)
    (store / ".zgroup").write_text('{"zarr_format": 2}', encoding="utf-8")
    (store / ".zattrs").write_text(json.dumps({"format": FORMAT, "part": "null"}), encoding="utf-8")
    (array / ".zarray").write_text(json.dumps({"zarr_format": 2, **about, "filters": filters}), encoding="utf-8")
    (array / ".zattrs").write_text('{"_ARRAY_DIMENSIONS": ["a.0"]}', encoding="utf-8")
    (array / "0").write_bytes(pickle.dumps(objects))
    assert "is damaged and cannot be read" in complaint(store)
    assert not trap.exists()
    pickle.loads((array / "0").read_bytes())  # which would have
    assert trap.exists()
