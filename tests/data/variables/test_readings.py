"""Which of two readings of a variable holds for both archives, and when neither does."""

import pytest
import xarray as xr

from subgrid.data.fields import DataError
from subgrid.data.variables.quantities import describe
from subgrid.data.variables.readings import Reading, deciding
from subgrid.data.variables.wanted import Variable


def reading(archive: str, name: str, units: str, **attributes) -> Reading:
    field = xr.DataArray(0.0, name=name, attrs={"units": units, **attributes})
    return Reading(archive, describe(field), units)


UNKNOWN = reading("fine", "quux", "mm day-1")
BY_NAME = reading("fine", "u10", "m s-1")
SPEED = reading("coarse", "x", "m s-1", standard_name="wind_speed")
RAIN = reading("coarse", "quux", "kg m-2 s-1", standard_name="precipitation_flux")
TEMPERATURE = reading("coarse", "tas", "K", standard_name="air_temperature")


def test_what_is_known_decides_for_what_is_not_in_any_order():
    assert deciding("pr", [UNKNOWN, RAIN]) == deciding("pr", [RAIN, UNKNOWN]) == RAIN


def test_a_standard_name_outweighs_a_name_and_the_word_of_subgrid_both():
    assert BY_NAME.described.quantity == "velocity"
    assert deciding("wind", [BY_NAME, SPEED]) == SPEED
    written = reading("fine", "x", "m s-1", subgrid_quantity="velocity")
    assert deciding("wind", [written, SPEED]) == written
    unknown = reading("fine", "x", "mm day-1", subgrid_quantity="other")  # that it was not known is no knowledge
    assert deciding("pr", [unknown, RAIN]) == RAIN


def test_archives_that_agree_are_left_alone():
    assert deciding("wind", [SPEED, SPEED]) is None


@pytest.mark.parametrize(
    "other", [reading("fine", "quux", "kg"), reading("fine", "quux", "K", standard_name="air_temperature")]
)
def test_units_that_cannot_be_what_the_other_says_are_refused_and_no_quantity_is_advised(other):
    with pytest.raises(DataError, match="neither can be the other") as said:
        deciding("pr", [other, RAIN])
    # Neither kg nor K becomes mm day-1, whatever the variable is called.
    assert f"in '{other.units}' in fine" in str(said.value) and "quantity =" not in str(said.value)


def test_what_could_be_the_same_is_refused_with_both_readings_and_advice():
    flags = reading("fine", "quux", "mm day-1", standard_name="precipitation_flux status_flag")
    with pytest.raises(DataError) as refused:
        deciding("pr", [flags, RAIN], Variable(("quux", "PRECT")))
    said = str(refused.value)
    assert "precipitation in 'kg m-2 s-1' in coarse (standard_name 'precipitation_flux')" in said
    assert "not known to Subgrid in 'mm day-1' in fine" in said
    assert "variables = {pr = {names = ['quux', 'PRECT'], quantity = 'precipitation'}}" in said
    assert """--variable 'pr={names = ["quux", "PRECT"], quantity = "precipitation"}'""" in said


@pytest.mark.parametrize(
    "other",
    [
        reading("fine", "x", "m s-1", standard_name="eastward_wind"),  # as well known as the speed
        reading("fine", "x", "m s-1", standard_name="wind_speed status_flag"),  # known to be something else
    ],
)
def test_two_that_know_equally_well_are_refused(other):
    with pytest.raises(DataError, match="archives of one model hold the same"):
        deciding("wind", [SPEED, other])


def test_an_anomaly_is_never_taken_for_a_temperature():
    anomaly = reading("fine", "tas", "K", long_name="temperature anomaly")
    with pytest.raises(DataError, match="a temperature difference"):
        deciding("tas", [anomaly, TEMPERATURE])


def test_units_that_are_wrong_for_the_name_are_refused_where_they_are_read():
    assert deciding("tas", [reading("fine", "tas", "Pa"), TEMPERATURE]) == TEMPERATURE
