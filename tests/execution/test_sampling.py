"""Samplers by name: found by other processes, loaded once, stopped when they diverge."""

import numpy as np
import pytest
import toy_sampler

from subgrid.execution.sampling import load, loader_of, run_item
from subgrid.execution.work_items import WorkItem

from .conftest import SPACE

SHAPE = [2, *SPACE]


def test_a_sampler_is_loaded_once(tmp_path, make_store):
    loader = loader_of(toy_sampler.load_gaussian, shape=SHAPE, log=str(tmp_path / "log"))
    assert loader.target == "toy_sampler:load_gaussian"
    store = make_store()
    for item in store.items()[:3]:
        run_item(item, load(loader), store)
    assert len((tmp_path / "log").read_text().splitlines()) == 1


def test_blocks_do_not_change_the_bits():
    from subgrid.execution.work_items import sample_keys

    sample = load(loader_of(toy_sampler.load_gaussian, shape=SHAPE))

    def draw(times, members):
        return sample(times, members, keys=sample_keys(1, ("draws",), times, members))

    whole = draw(np.arange(6), np.arange(4))
    np.testing.assert_array_equal(draw(np.arange(2, 4), np.arange(1, 3)), whole[2:4, 1:3])


def test_what_other_processes_cannot_load():
    def inner():
        raise NotImplementedError

    for function in (inner, lambda: None):
        with pytest.raises(TypeError, match="cannot be found by other processes; define it at the top level"):
            loader_of(function)
    with pytest.raises(TypeError, match="pass numbers, text, lists and dictionaries only"):
        loader_of(toy_sampler.load_gaussian, shape=np.ones(3))
    with pytest.raises(TypeError, match="pass lists for tuples"):
        loader_of(toy_sampler.load_gaussian, shape=(2, 5))


@pytest.mark.parametrize("value", ["inf", "nan"])
def test_a_sample_that_diverged_is_not_written(make_store, value):
    store = make_store()
    sample = load(loader_of(toy_sampler.load_failing, shape=SHAPE, value=value))
    run_item(WorkItem((0, 4), (0, 2)), sample, store)
    with pytest.raises(FloatingPointError, match=r"out\.zarr: the sample of tas at time 5, member 0 is not finite"):
        run_item(WorkItem((4, 8), (0, 2)), sample, store)
    assert len(store.pending()) == len(store.items()) - 1
