"""Shares from 0 to 1 that are called per cent, and what only looks like a relative humidity."""

import numpy as np
import pytest
import xarray as xr

from subgrid.data.canonical import check_climate, open_climate
from subgrid.data.fields import DataError
from subgrid.data.inspection.inspection import inspect

from ..climate_files import archive


def shares(name: str, low: float, high: float, **attributes: str) -> xr.Dataset:
    """Values evenly from low to high."""
    file = archive(n_times=12).rename(tas=name)
    values = np.linspace(low, high, file[name].size, dtype=np.float32).reshape(file[name].shape)
    return file.assign({name: (file[name].dims, values, attributes)})


@pytest.mark.parametrize("name", ["hurs", "r2", "clt"])
def test_a_fraction_in_per_cent_is_refused_and_either_reading_can_be_said(name):
    file = shares(name, 0.3, 0.98, units="%")
    with pytest.raises(DataError, match=f"{name} in '%' never exceeds 0.98, so it looks like a share from 0 to 1"):
        check_climate(open_climate(file))
    assert "a share from 0 to 1" in inspect(file).problems[0]
    for units, factor in (("1", 100.0), ("%", 1.0)):
        found = check_climate(open_climate(file, {name: {"units": units}}))
        np.testing.assert_allclose(found[name], factor * file[name], rtol=1e-6)


@pytest.mark.parametrize("attributes", [{"units": "1"}, {"units": "%"}, {"units": "oktas"}])
def test_ordinary_shares_pass(attributes):
    factor = {"1": 100.0, "%": 1.0, "oktas": 12.5}[attributes["units"]]
    found = check_climate(open_climate(shares("clt", 0.0, 90 / factor, **attributes)))
    assert float(found.clt.max()) == pytest.approx(90)
    check_climate(open_climate(shares("siconc", 0.0, 0.0, units="%")))  # no ice at all
    check_climate(open_climate(shares("siconc", 0.0, 0.2, units="%")))


def test_per_cent_in_units_of_one_are_refused():
    with pytest.raises(DataError, match="the attribute 'units' says '1' but the values look like %"):
        open_climate(shares("clt", 0.0, 100.0, units="1"))


def test_a_specific_humidity_is_no_relative_one():
    file = shares("hu", 0.001, 0.02, units="1")
    with pytest.raises(DataError, match=r"never exceeds 0.02, too little .*hu = {quantity = 'mass fraction'}"):
        check_climate(open_climate(file))
    said = {"hu": {"quantity": "mass fraction"}}
    for found in (open_climate(file, said), open_climate(shares("hu", 0.001, 0.02, units="1", long_name="Specific"))):
        assert found.hu.attrs["units"] == "kg kg-1" and float(found.hu.max()) == pytest.approx(0.02)


def test_a_coefficient_of_determination_is_no_humidity():
    named = shares("r2", 0.1, 0.9, units="1", long_name="coefficient of determination")
    bare = shares("r2", 0.1, 0.9, units="1").isel(time=0, drop=True)
    for file in (named, bare):
        found = open_climate(file).r2
        assert found.attrs["units"] == "1" and float(found.max()) <= 0.9
        assert "coefficient of determination" in inspect(file).files[0].variables[0].described.because
    assert float(open_climate(shares("r2", 0.1, 0.9, units="1")).r2.max()) == pytest.approx(90)
