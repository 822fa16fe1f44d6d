"""What a variable is, is one decision for both archives: when they are fitted, and when they are inspected."""

import numpy as np
import pytest
import xarray as xr
from tests.cli.test_inspect import printed
from tests.data.climate_files import archive

from subgrid.data.canonical import open_climate
from subgrid.data.fields import DataError
from subgrid.data.inspection.inspection import inspect
from subgrid.data.inspection.together import misfits
from subgrid.data.variables.quantities import QUANTITY_ATTRIBUTE
from subgrid.data.variables.wanted import Variable
from subgrid.data.variables_of_archives import agreed
from subgrid.downscaling.model.dated import open_dated
from subgrid.downscaling.model.settings import FitSettings

LAT, LON = np.arange(36.5, 42.0), np.arange(-8.5, 3.0)


def rain(name, lat, lon, units="mm day-1", **attrs) -> xr.Dataset:
    """Four years of months of rain, under a name that says nothing."""
    made = archive("pr", n_times=1461, lat=lat, lon=lon, start="2001-01-01").rename(pr=name)
    made[name].attrs = {"units": units, **attrs}
    return made


@pytest.fixture(scope="module")
def pair():
    """Fine rain that nothing says to be rain, and coarse rain by its standard name."""
    coarse = rain("quux", np.arange(37, 42, 2.0), np.arange(-8, 3, 2.0), standard_name="lwe_precipitation_rate")
    return rain("quux", LAT, LON), coarse


@pytest.fixture(scope="module")
def opposed(pair):
    """Both are sure: the fine standard name says that these are flags."""
    fine, coarse = (each.copy() for each in pair)
    fine["quux"] = fine.quux.assign_attrs(standard_name="lwe_precipitation_rate status_flag")
    return fine, coarse


def test_the_archive_that_knows_decides_for_a_fit_and_says_so(pair):
    found = open_dated(*pair, {"quux": Variable()}, FitSettings())
    assert found.domain.descriptions[0].quantity == "precipitation"
    assert found.coarse.quux.attrs[QUANTITY_ATTRIBUTE] == "precipitation"
    assert found.decisions[0].startswith(
        "quux: taken for precipitation in fine too, as in coarse, by standard_name 'lwe_precipitation_rate'"
    )
    assert found.notes[0] == found.decisions[0]


def test_names_that_differ_are_one_variable_too(pair):
    fine, coarse = pair
    renamed = coarse.rename(quux="other")
    wanted = {"pr": Variable(("other", "quux"))}
    assert agreed(wanted, {"fine": fine, "coarse": renamed}).variables["pr"].quantity == "precipitation"
    assert "taken for precipitation in dataset 1 too" in inspect(fine, renamed, variables=wanted).fit.remarks[0]


def test_what_is_given_needs_no_decision(pair):
    given = {"quux": Variable(quantity="snow amount")}
    assert agreed(given, dict(zip(("fine", "coarse"), pair, strict=True))).variables == given


def test_an_inspection_shows_the_decision(pair):
    text = " ".join(printed(*pair, width=400).split())
    assert text.count("quux is taken for precipitation") == 2 and "They fit together" in text
    assert "(as in dataset 2, by standard_name 'lwe_precipitation_rate')" in text


def test_a_decision_that_nobody_can_take_is_a_problem_of_both(opposed):
    with pytest.raises(DataError, match=r"not known to Subgrid in 'mm day-1' in fine .*quantity = 'precipitation'"):
        open_dated(*opposed, {"quux": Variable()}, FitSettings())
    assert "quantity = 'precipitation'" in " ".join(inspect(*opposed).problems)


def test_no_quantity_is_advised_that_the_units_cannot_be(pair):
    # A temperature cannot be made rain by saying so: the fit would then refuse K.
    fine, coarse = (each.copy() for each in pair)
    fine["quux"] = (fine.quux + 280.0).assign_attrs(units="K", standard_name="air_temperature")
    for said in (*inspect(fine, coarse).problems, *misfits(open_climate(coarse), open_climate(fine))):
        assert "a temperature in 'K'" in said and "quantity =" not in said
        assert "neither can be the other" in said


def test_archives_opened_one_by_one_are_compared_too(pair):
    fine, coarse = (open_climate(each) for each in pair)
    assert any("archives of one model hold the same" in each for each in misfits(coarse, fine))


def test_the_advice_keeps_the_names_that_were_given(opposed):
    fine, coarse = opposed
    wanted = {"pr": Variable(("other", "quux"))}
    (said,) = inspect(fine, coarse.rename(quux="other"), variables=wanted).problems
    assert "variables = {pr = {names = ['other', 'quux'], quantity = 'precipitation'}}" in said
