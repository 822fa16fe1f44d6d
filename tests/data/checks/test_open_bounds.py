"""What nothing keeps above 0 is said with advice that works."""

import re

import numpy as np
import pytest
import xarray as xr

from subgrid.cli.inspect import wanted_of
from subgrid.data.canonical import check_climate, open_climate
from subgrid.data.inspection.inspection import inspect
from subgrid.data.pooling.pooling import notes_of

from ..climate_files import archive


def leaves(values=None, name="lai", **attributes) -> xr.Dataset:
    """Leaf area, from 0 to 6 m2 m-2."""
    like = archive(n_times=9).tas
    values = np.random.default_rng(0).uniform(0, 6, like.shape) if values is None else values
    field = xr.DataArray(values.astype(np.float32), like.coords, like.dims, attrs={"units": "m2 m-2", **attributes})
    return xr.Dataset({name: field})


def said(file, variables=None) -> list[str]:
    """On that, by an inspection and by the checks of a fit, which agree."""
    looked = [note for report in inspect(file, variables=variables).files for note in report.advice]
    opened = notes_of(check_climate(open_climate(file, variables)))
    found = [[note for note in notes if "never below 0" in note] for notes in (looked, opened)]
    assert found[0] == found[1]
    return found[0]


def test_what_is_never_negative_and_unknown_is_said_and_both_forms_of_the_advice_work():
    (note,) = said(leaves())
    option = re.search(r'--variable "(.*)"', note)
    assert option is not None
    given = wanted_of([option[1]])
    assert given == {"lai": {"bounds": [0, "none"]}}
    assert said(leaves(), given) == []
    (report,) = inspect(leaves(), variables=given).files[0].variables
    assert report.described.bounds == (0.0, None)
    assert report.described.transform == "root"


@pytest.mark.parametrize(
    "file",
    [
        leaves(np.random.default_rng(0).normal(size=archive(n_times=9).tas.shape)),
        leaves(5500 + np.random.default_rng(0).normal(size=archive(n_times=9).tas.shape), name="zg"),
        leaves(standard_name="wind_speed", units="m s-1"),
    ],
    ids=["of both signs", "far from 0", "known"],
)
def test_nothing_is_said_of_others(file):
    assert said(file) == []


def test_nothing_is_said_of_what_was_told():
    assert said(leaves(), {"lai": {"quantity": "other"}}) == []
