"""Parts as plain JSON and arrays: nothing is lost on the way, and nothing is made but what has a kind."""

import json
from dataclasses import dataclass

import jax
import numpy as np
import pytest
import xarray as xr

from subgrid.downscaling.model.sides import grid_of_fields
from subgrid.downscaling.preparation.transforms import CensoredRoot
from subgrid.downscaling.stored import kinds
from subgrid.downscaling.stored.codec import LaterVersion, decode, encode
from subgrid.numerics.operators import Subsample

from .examples import EXAMPLES, require_same


def through_json(part):
    description, arrays = encode(part)
    return decode(json.loads(json.dumps(description)), arrays)


@pytest.mark.parametrize(
    "part",
    [
        None,
        [True, 0, -1.5, "", "東京"],
        [float("inf"), -float("inf"), float("nan"), -0.0, 1e-323, 0.1 + 0.2],
        {"a": (1, (2.0, [3])), "": None, "array": "x", "kind": "subsample", "tuple": [1]},
        (np.zeros((0, 3), np.float32), np.zeros((3, 0), np.int32), np.array(7)),
        (
            *(np.array([-128, 127], np.int8), np.array([[True, False]])),
            *jax.device_put((np.array([True]), np.uint32(2**32 - 1))),
        ),
        np.array([np.nan, np.inf, -np.inf, -0.0, 5e-324]),
    ],
    ids=["none", "plain", "floats", "names of forms", "empty", "small types", "special numbers"],
)
def test_plain_parts_come_back(part):
    require_same(through_json(part), part)


def test_numpys_numbers_become_plain_ones():
    assert through_json([np.float32(0.1), np.int8(3), np.bool_(True)]) == [float(np.float32(0.1)), 3, True]


def test_arrays_whose_names_would_meet_stay_apart():
    """Keys may hold dots and slashes, of which paths and the groups of a store are made."""
    one, two, three, four = (np.full(2, float(i)) for i in range(4))
    part = {"a": {"b": one}, "a.b": two, "a/b": three, "a|b": four}
    _, arrays = encode(part)
    assert len(arrays) == 4 and not any("/" in name for name in arrays)
    require_same(through_json(part), part)


@dataclass(frozen=True)
class Awkward:
    """Its fields have the names of the forms that descriptions take."""

    array: tuple
    tuple: float
    mapping: dict
    later: int = 7


@pytest.fixture
def awkward(monkeypatch):
    """A kind of its own, which is no part of the table otherwise."""
    name = f"{Awkward.__module__}:{Awkward.__qualname__}"
    monkeypatch.setitem(kinds.KINDS, "awkward", name)
    kinds.class_of.cache_clear()
    yield Awkward((1, 2), 0.5, {"kind": "chain"})
    kinds.class_of.cache_clear()


def test_fields_may_have_the_names_of_forms(awkward):
    assert through_json(awkward) == awkward


def test_a_field_added_later_has_its_default_in_older_files(awkward):
    description, arrays = encode(Awkward((), 0.5, {}, 8))
    del description["later"]
    assert decode(description, arrays) == Awkward((), 0.5, {}, 7)


def test_a_field_without_default_is_missed_and_one_that_there_is_not_is_refused(awkward):
    description, arrays = encode(awkward)
    with pytest.raises(KeyError, match="Awkward has no tuple"):
        decode({name: value for name, value in description.items() if name != "tuple"}, arrays)
    with pytest.raises(LaterVersion, match="'much_later' of a part of the kind 'awkward'"):
        decode(description | {"much_later": 3}, arrays)


def test_what_an_init_computes_is_not_computed_again():
    """A class may come to check more, or to compute otherwise: a model stays as it was fitted."""
    description, arrays = encode(Subsample((12,), 3))
    found = decode(description | {"coarse_shape": {"tuple": [99]}}, arrays)
    assert found.coarse_shape == (99,) and found.factors == (3,)


def test_defaults_are_written_out():
    """A default that changes must not change models that were fitted with the old one."""
    description, _ = encode(CensoredRoot())
    assert description == {"kind": "censored root", "threshold": 0.1, "exponent": 0.5}


def test_no_class_is_named():
    for part in EXAMPLES.values():
        assert "subgrid." not in json.dumps(encode(part)[0])


@pytest.mark.parametrize(
    "kind",
    ["os:system", "subgrid.numerics.operators:Subsample", "Subsample", "builtins", "__class__", "", "chain "],
)
def test_nothing_is_made_but_what_has_a_kind(kind):
    with pytest.raises(LaterVersion, match="a part of the kind"):
        decode({"kind": kind, "command": "touch broken"}, {})


def test_kinds_within_attributes_and_mappings_are_text():
    """What a file says of itself is never taken for a part, whatever it looks like."""
    text = json.dumps({"kind": "os:system", "command": "touch broken"})
    grid = xr.Dataset(attrs={"space": ["x"], "title": text, "nested": {"kind": "chain"}})
    found = through_json({"grid": grid, "kind": {"kind": "os:system"}})
    assert found["kind"] == {"kind": "os:system"}
    assert found["grid"].attrs["title"] == text and isinstance(found["grid"].attrs["nested"], str)


def test_what_has_no_kind_is_refused_with_its_place():
    with pytest.raises(TypeError, match=r"part\.steps\.1: a function has no kind"):
        encode({"steps": (1, lambda x: x)})
    with pytest.raises(TypeError, match=r"part\.0: a set has no kind"):
        encode([{1, 2}])


def test_the_grid_of_a_forecast_keeps_its_reference_time():
    times = {"time": np.arange(3), "forecast_reference_time": np.datetime64("2020-01-01", "ns")}
    field = xr.DataArray(np.zeros((3, 4), np.float32), {**times, "x": np.arange(4.0)}, ("time", "x"))
    grid = grid_of_fields(field.to_dataset(name="u"), ("u",))
    xr.testing.assert_identical(through_json(grid), grid)
