"""Draws with names: every number is where its dimensions say, whatever order samples were counted in."""

import json

import jax.random as jr
import numpy as np
import pytest
import xarray as xr

from subgrid.data.fields import sample_dims, samples_of
from subgrid.downscaling.model.output import ensemble_dataset, provenance, with_history
from subgrid.downscaling.model.request import Request
from subgrid.downscaling.model.sides import FineSide
from subgrid.downscaling.preparation.chain import Chain
from subgrid.numerics.operators import Subsample

GRID = xr.Dataset(
    {"u": ((), np.float32(0), {"units": "m"}), "v": ((), np.float32(0), {"units": "s"})},
    {"x": ("x", np.arange(4.0), {"units": "km"}), "height": 2.0},
    {"space": ["x"]},
)
SIDE = FineSide(GRID, Chain(), Subsample((4,), 2))


def request(sizes: dict[str, int], *, there=None, members=None, **coordinates) -> Request:
    n = int(np.prod(list(sizes.values())))
    there = np.ones(n, bool) if there is None else there
    targets = np.zeros((int(there.sum()), 2, 2), np.float32)
    return Request(targets, None, xr.Dataset(coords=coordinates), sizes, there, members, SIDE, (), {})


def numbered(n: int, m: int) -> np.ndarray:
    """Sample i, member j, channel c, point x hold i + j/10 + c/100 + x/1000."""
    parts = np.arange(n), np.arange(m) / 10, np.arange(2) / 100, np.arange(4) / 1000
    return sum(np.meshgrid(*parts, indexing="ij")).astype(np.float32)


def test_members_then_samples_then_space():
    made = ensemble_dataset(request({"time": 3}, time=[5, 6, 7]), numbered(3, 2), {}, {"title": "t"})
    assert made.u.dims == ("realization", "time", "x") and made.attrs == {"title": "t"}
    np.testing.assert_allclose(made.u.sel(realization=1, time=6), 1.1 + np.arange(4) / 1000, rtol=1e-6)
    np.testing.assert_allclose(made.v.sel(realization=0, time=7), 2.01 + np.arange(4) / 1000, rtol=1e-6)
    assert made.u.attrs == {"units": "m"} and made.x.attrs == {"units": "km"} and float(made.height) == 2
    assert made.realization.attrs["standard_name"] == "realization" and made.u.dtype == np.float32


def test_members_of_the_archive_have_each_their_own_draws():
    labels = np.array(["a", "b"])
    made = ensemble_dataset(request({"realization": 2, "time": 3}, members=labels), numbered(6, 2), {}, {})
    assert dict(made.sizes) == {"realization": 4, "time": 3, "x": 4}
    np.testing.assert_array_equal(made.coarse_realization, ["a", "a", "b", "b"])
    # The sample of member b at the third time is number 5; its draws are 2 and 3.
    np.testing.assert_allclose(made.u.isel(time=2, x=0), [2.0, 2.1, 5.0, 5.1], rtol=1e-6)


def test_members_of_unequal_length_lack_the_times_that_they_have_not():
    there = np.array([True, True, True, True, True, False])
    asked = request({"realization": 2, "time": 3}, there=there, members=np.array([1, 2]))
    sizes = np.arange(10, dtype=np.float32).reshape(5, 2)
    made = ensemble_dataset(asked, numbered(5, 2), {"effective_size": sizes}, {})
    np.testing.assert_array_equal(np.isnan(made.u.isel(x=0)), [[False] * 3] * 2 + [[False, False, True]] * 2)
    np.testing.assert_allclose(made.u.isel(time=1, x=0), [1.0, 1.1, 4.0, 4.1], rtol=1e-6)
    assert made.effective_size.dims == ("realization", "time")
    np.testing.assert_allclose(made.effective_size.isel(time=1), [2, 3, 8, 9])


@pytest.mark.parametrize("order", [("trajectory", "realization", "time"), ("realization", "time", "trajectory")])
def test_samples_are_where_they_were_counted(order):
    """Whichever of its dimensions an archive counts first: a draw is beside the field that it is of."""
    sizes = {"trajectory": 2, "realization": 3, "time": 4}
    field = xr.DataArray(np.zeros([sizes[d] for d in order] + [2]), dims=(*order, "x"), name="u")
    number = field.isel(x=0, drop=True).copy(data=np.arange(24.0).reshape([sizes[d] for d in order]))
    samples = samples_of(field + number, source="coarse")
    lead = sample_dims(field)
    drawn = np.repeat(samples.values[:, 0, :1, None], 2, 1)[:, :, None] + np.zeros((1, 1, 2, 4), np.float32)
    made = ensemble_dataset(request({d: sizes[d] for d in lead}), drawn.reshape(24, 2, 2, 4), {}, {})
    for member in range(3):
        for draw in range(2):
            got = made.u.isel(realization=2 * member + draw, x=0)
            xr.testing.assert_equal(
                got.drop_vars(["realization", "x", "height"]).transpose("trajectory", "time").astype(float),
                number.isel(realization=member).transpose("trajectory", "time").rename("u"),
            )


def test_an_output_says_how_it_came_about():
    given = {"title": "CNRM", "history": "made by a model"}
    found = provenance(given, {"n_members": 3, "guidance": "Δ"}, checkpoint="abc", key=jr.key(7))
    assert found["title"] == "CNRM" and found["checkpoint"] == "abc" and found["seed"] == "[0, 7]"
    first, second = found["history"].splitlines()
    assert "downscaled by subgrid.downscale" in first and second == "made by a model"
    assert json.loads(found["configuration"]) == {"n_members": 3, "guidance": "Δ", "checkpoint": "abc"}
    other = provenance(given, {"n_members": 4, "guidance": "Δ"}, checkpoint="abc", key=jr.key(7))
    assert other["configuration_hash"] != found["configuration_hash"]
    assert given == {"title": "CNRM", "history": "made by a model"}


def test_notes_come_before_the_history():
    assert with_history({"a": 1}) == {"a": 1}
    assert with_history({"history": "old"}, "one", "two")["history"] == "one\ntwo\nold"
    assert with_history({}, "one") == {"history": "one"}
