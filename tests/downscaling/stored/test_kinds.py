"""Every kind of part is found, is written, and comes back to the same bits."""

import dataclasses

import pytest

from subgrid.downscaling.stored.kinds import KINDS, class_of, kind_of
from subgrid.downscaling.stored.part import load_part, save_part

from .examples import EXAMPLES, require_same


def test_every_kind_has_an_example():
    assert set(EXAMPLES) == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_that_of_its_class_and_of_no_other(kind):
    cls = class_of(kind)
    assert f"{cls.__module__}:{cls.__qualname__}" == KINDS[kind]
    assert kind_of(EXAMPLES[kind]) == kind and type(EXAMPLES[kind]) is cls
    assert dataclasses.is_dataclass(cls)
    assert list(KINDS.values()).count(KINDS[kind]) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_comes_back_to_the_same_bits(kind, tmp_path):
    save_part(tmp_path / "part.zarr", EXAMPLES[kind])
    require_same(load_part(tmp_path / "part.zarr"), EXAMPLES[kind])


def test_what_has_no_kind_is_none():
    assert kind_of(object()) is None and kind_of(3) is None
