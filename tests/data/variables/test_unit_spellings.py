"""Spellings of units: those of CF, UDUNITS and well-known archives, and none that turns words into other physics."""

import logging
import sys

import pytest

from subgrid.data.variables import unit_spellings
from subgrid.data.variables.unit_spellings import UnknownUnit, between_units, parse_unit, same_unit

CELSIUS = (
    "degree_C|degrees_C|degreeC|deg_C|degrees_Celsius|degree_celsius|degrees_celsius|Celsius|celsius|celcius|degC|Deg_C|oC|"
    "C|°C|ºC|degree_Celsius|Degree_celsius|DEGC|degrees Celsius|deg C|Deg C|degC |degrees C|Degrees Celsius|° C|℃|"
    "C degrees"
)


@pytest.mark.parametrize("text", CELSIUS.split("|"))
def test_celsius(text):
    found = parse_unit(text)
    assert (found.scale, str(found.unit), found.offset) == (1.0, "kelvin", "celsius")


@pytest.mark.parametrize(
    "text", ["K", "K ", "degK", "degree_K", "deg_K", "Kelvin", "kelvin", "Kelvins", "degrees Kelvin"]
)
def test_kelvin(text):
    found = parse_unit(text)
    assert (found.scale, str(found.unit), found.offset) == (1.0, "kelvin", None)


@pytest.mark.parametrize("text", ["degree_F", "degF", "deg F", "Fahrenheit", "degrees Fahrenheit", "°F", "℉"])
def test_fahrenheit(text):
    found = parse_unit(text)
    assert (found.scale, str(found.unit), found.offset) == (5 / 9, "kelvin", "fahrenheit")


SAME = {
    "kg m-2 s-1": ["kg.m-2.s-1", "kg·m⁻²·s⁻¹", "kg m^{-2} s^{-1}",
                   "kgm-2s-1", "Kg/m^2/s", "kg m^-2 s^-1", "kg/m2/s", "kg/m^2/s", "kg m**-2 s**-1",
                   "kg m⁻² s⁻¹",
                   "kg/(m^2 s)", "KG M-2 S-1"],
    "mm day-1": ["mm/d", "mm d-1", "mm/dy", "mm/day", "mmday", "mm.day-1", "mm per day", "[mm/day]",
                 "MM/DAY", "l m-2 day-1", "millimeters/day"],
    "mm s-1": ["mm/s", "mm*s^-1", "mm/sec"],
    "0.1 mm": ["tenths of mm", "1e-4 m"],
    "m": ["m of water equivalent", "metres", "m w.e.", "gpm"],
    "mm h-1": ["3 mm/3hr", "mm hr-1", "mm/hour", "mmh-1"],
    "mm (3 h)-1": ["mm 3h-1", "mm/3h", "mm (3h)-1"],
    "km h-1": ["kmh-1", "km/hr", "kmph", "kph"],
    "133.322387415 Pa": ["mmHg", "mm Hg"],
    "kWh m-2 day-1": ["kW-hr/m^2/day"],
    "m s-1": ["ms-1", "m s^{-1}", "m s**-1", "m/s", "meters/second", "m.s-1", "M/S"],
    "hPa": ["millibars", "mb", "mbar", "hpa", "100 Pa"],
    "Pa": ["Pascals", "pascal", "N m-2"],
    "1": ["(0 - 1)", "0-1", "fraction", "-", "", "unitless", "kg kg**-1", "m**3 m**-3", "[0, 1]",
          "fraction (0-1)"],
    "%": ["percent", "0.01", "%RH", "% RH", "percent (%)"],
    "12.5 %": ["octas", "okta", "1/8"],
    "W m-2": ["W m**-2", "Watt/m2", "J m-2 s-1", "Wm**-2"],
}  # fmt: skip


@pytest.mark.parametrize(("unit", "other"), [(unit, other) for unit, others in SAME.items() for other in others])
def test_one_unit_in_many_spellings(unit, other):
    assert same_unit(unit, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("mm", "m"), ("degC", "K"), ("degrees", "K"), ("MJ m-2", "mJ m-2"), ("mm/month", "mm/day"), ("g kg-1", "1"),
     ("quux", "quux")],
)  # fmt: skip
def test_what_is_not_the_same(one, other):
    assert not same_unit(one, other)


@pytest.mark.parametrize(
    "text",
    [
        "quux",
        "degree days",
        "c m",
        "hours since 1900-01-01",
        "mm day--1",
        "kg m^",
        "(mm",
        "m)",
        "dBZ",
        "G s-1",
        "degrees north",
        "%%",
        "mm mm",
        "RH",
        "mm/pentad",
    ],
)
def test_what_is_no_unit_is_not_read_as_one(text):
    with pytest.raises(UnknownUnit):
        parse_unit(text)


def test_the_registry_is_made_without_a_word_and_others_keep_theirs(caplog, monkeypatch):
    """cf-xarray defines "d" and "h" anew, on purpose; pint would warn of it wherever logging is set up."""
    import pint
    from pint.delegates.formatter._to_register import REGISTERED_FORMATTERS

    monkeypatch.delitem(REGISTERED_FORMATTERS, "cf", raising=False)  # which cannot be registered twice
    used = pint.get_application_registry().get()
    monkeypatch.delitem(sys.modules, "cf_xarray.units", raising=False)
    with caplog.at_level(logging.WARNING):
        assert unit_spellings.registry.__wrapped__() is not used  # really made anew
        pint.set_application_registry(used)
        assert caplog.messages == []
        logging.getLogger("pint.util").warning("something else")
        assert caplog.messages == ["something else"]


CONVERSIONS = {
    ("degC", "K"): (-40.0, 233.15),
    ("K", "degC"): (233.15, -40.0),
    ("degF", "degC"): (-40.0, -40.0),
    ("degF", "K"): (32.0, 273.15),
    ("K", "degF"): (373.15, 212.0),
    ("m s-1", "km h-1"): (10.0, 36.0),
    ("knots", "m s-1"): (900.0, 463.0),
    ("hPa", "Pa"): (1013.25, 101325.0),
    ("%", "1"): (55.0, 0.55),
    ("g kg-1", "kg kg-1"): (7.0, 0.007),
    ("mm day-1", "m s-1"): (86.4, 1e-6),
}
"""A value in the first unit and the same in the second, from tables of physics."""


@pytest.mark.parametrize("units", CONVERSIONS)
def test_values_between_units(units):
    value, wanted = CONVERSIONS[units]
    factor, offset = between_units(*units)
    assert factor * value + offset == pytest.approx(wanted, rel=1e-9, abs=1e-9)
    back, ahead = between_units(*reversed(units))
    assert back * wanted + ahead == pytest.approx(value, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("units", [("K", "m"), ("mm", "mm day-1"), ("kg", "1")])
def test_there_is_nothing_between_units_of_other_things(units):
    with pytest.raises(ValueError, match="is no unit of what"):
        between_units(*units)


def test_there_is_nothing_between_what_is_no_unit():
    with pytest.raises(ValueError, match="furlongs of joy"):
        between_units("furlongs of joy", "m")
