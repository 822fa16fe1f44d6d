"""Units: conversions known from physics, and one sentence for units that cannot be."""

import numpy as np
import pytest
import xarray as xr

from subgrid.data.fields import DataError
from subgrid.data.variables.quantities import describe, describe_name
from subgrid.data.variables.units import Conversion, conversion, implausible, likely_units


def of(field: xr.DataArray, *, step_days: float | xr.DataArray | None = None) -> Conversion:
    return conversion(field, describe(field), file="f.nc", step_days=step_days)


def field(name: str, units: str | None, values=1.0, **attributes: str) -> xr.DataArray:
    if units is not None:
        attributes["units"] = units
    return xr.DataArray(np.asarray(values, np.float32), name=name, attrs=attributes)


@pytest.mark.parametrize(
    ("name", "units", "value", "expected"),
    [
        ("tas", "degC", 0.0, 273.15),
        ("tas", "Celsius", 100.0, 373.15),
        ("tasmax", "degF", 212.0, 373.15),
        ("tas", "K", 288.5, 288.5),
        # A kilogram of water on a square metre is a millimetre; a day has 86,400 s.
        ("pr", "kg m-2 s-1", 1e-4, 8.64),
        ("pr", "kg m**-2 s**-1", 1e-4, 8.64),
        ("pr", "mm/day", 3.5, 3.5),
        ("pr", "mm d-1", 3.5, 3.5),
        ("pr", "m s-1", 1e-7, 8.64),
        ("pr", "mm h-1", 0.5, 12.0),
        ("pr", "inch/day", 1.0, 25.4),
        ("psl", "hPa", 1013.25, 101_325.0),
        ("psl", "mbar", 1000.0, 100_000.0),
        ("psl", "atm", 1.0, 101_325.0),
        ("dtr", "degC", 10.0, 10.0),
        ("orog", "m", 812.0, 812.0),
    ],
)
def test_known_conversions(name, units, value, expected):
    converted = of(field(name, units))(field(name, units, value))
    assert converted.dtype == np.float32
    np.testing.assert_allclose(converted, expected, rtol=1e-6)  # six digits of float32


@pytest.mark.parametrize(("units", "step", "expected"), [("mm", 1.0, 6.0), ("mm", 0.25, 24.0), ("m", 1.0, 6000.0)])
def test_amounts_become_rates_by_the_time_step(units, step, expected):
    amount = field("tp", units, 6.0)
    np.testing.assert_allclose(of(amount, step_days=step)(amount), expected, rtol=1e-6)


def test_mass_per_area_is_an_amount_too():
    amount = field("pr", "kg m-2", 6.0)
    np.testing.assert_allclose(of(amount, step_days=1.0)(amount), 6.0, rtol=1e-6)
    with pytest.raises(DataError, match="an amount needs time steps of known length"):
        of(amount)


def test_attributes_follow():
    converted = of(field("pr", "kg m-2 s-1"))(
        field("pr", "kg m-2 s-1", 0.0, standard_name="precipitation_flux", long_name="rain")
    )
    assert converted.attrs == {"units": "mm day-1", "standard_name": "lwe_precipitation_rate", "long_name": "rain"}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("thickness_of_rainfall_amount", "rainfall_rate"),
        ("precipitation_amount", "lwe_precipitation_rate"),
        ("lwe_thickness_of_convective_precipitation_amount", "lwe_convective_precipitation_rate"),
        ("snowfall_flux", "lwe_snowfall_rate"),
        ("rainfall_rate", "rainfall_rate"),
    ],
)
def test_attributes_of_amounts_become_those_of_rates(before, after):
    """Names of the CF table of standard names: amounts are in kg m-2 or m, rates in m s-1."""
    units = {"flux": "kg m-2 s-1", "rate": "mm day-1"}.get(before.split("_")[-1], "m")
    amount = field("x", units, 0.0, standard_name=before, cell_methods="time: sum area: mean", GRIB_units=units)
    converted = of(amount, step_days=1.0)(amount)
    assert converted.attrs == {
        "units": "mm day-1", "standard_name": after, "cell_methods": "time: mean area: mean"
    }  # fmt: skip


def test_rounding_below_zero_is_no_rain_but_more_is_kept():
    values = field("pr", "mm day-1", [-1e-5, 0.0, np.nan, -1.0, 2.0])
    np.testing.assert_array_equal(of(values)(values), np.float32([0.0, 0.0, np.nan, -1.0, 2.0]))


@pytest.mark.parametrize(
    ("name", "units", "message"),
    [
        ("tas", None, r"f\.nc: tas has no attribute 'units'; set it .* for instance 'K'"),
        ("tas", "quux", r"f\.nc: tas has the unknown units 'quux'"),
        ("hurs", "quux", r"f\.nc: hurs has the unknown units 'quux'"),
    ],
)
def test_units_that_cannot_be(name, units, message):
    with pytest.raises(DataError, match=message):
        of(field(name, units))


@pytest.mark.parametrize("units", ["mm/pentad", "quux"])
def test_the_canonical_units_are_never_offered_for_values_in_others(units):
    with pytest.raises(DataError, match=r"units = '…'.* convert the values to 'mm day-1' ") as raised:
        of(field("pr", units))
    assert "units = 'mm day-1'" not in str(raised.value)


@pytest.mark.parametrize(
    ("standard_name", "units", "message"),
    [
        (
            "air_temperature",
            "mm",
            r"x is a temperature \(standard_name 'air_temperature'\), in units 'mm', which cannot",
        ),
        (
            "precipitation_flux",
            "hPa",
            r"cannot become mm day-1; .* variables = \{x = \{quantity = 'vapour pressure'\}\}",
        ),
        (
            "precipitation_amount",
            "mm",
            r"needs time steps of known length .* variables = \{x = \{units = 'mm day-1'\}\}",
        ),
        ("precipitation_flux", "K/decade", "which cannot become mm day-1"),
    ],
)
def test_units_that_a_standard_name_cannot_have(standard_name, units, message):
    with pytest.raises(DataError, match=message):
        of(field("x", units, standard_name=standard_name))


def test_a_name_whose_units_say_otherwise_decides_nothing():
    assert of(field("pr", "degC"))(field("pr", "degC", 3.0)) == 3.0
    assert "its name, 'pr', says precipitation, and its units do not" in describe(field("pr", "degC")).because


@pytest.mark.parametrize("units", ["mm", "mm/month", "mm month-1"])
def test_sums_of_months_are_divided_by_the_length_of_each(units):
    lengths = xr.DataArray([31.0, 28.0, 31.0], dims="time")
    amount = xr.DataArray(np.float32([310, 280, 310]), dims="time", name="pr", attrs={"units": units})
    np.testing.assert_allclose(of(amount, step_days=lengths)(amount), 10.0, rtol=1e-6)


def test_metres_at_monthly_steps_may_be_of_a_day():
    with pytest.raises(DataError, match=r"a sum over each month, or of a day .* units = 'm month-1'"):
        of(field("tp", "m"), step_days=31.0)


def test_guesses_at_wrong_units():
    assert implausible(describe_name("tas"), 12.0, 300.0) == "too low"
    assert implausible(describe_name("tas"), 200.0, 320.0) is None
    assert likely_units("temperature", "K", 12.0) == "degC"
    assert likely_units("temperature", "degC", 288.0 + 273.15) == "K"
    assert likely_units("precipitation", "kg m-2 s-1", 10.0 * 86_400) == "mm day-1"
    assert likely_units("pressure", "hPa", 1e7) == "Pa"
    assert likely_units("temperature", "K", 1000.0) == ""


@pytest.mark.parametrize("units", ["deg", "degrees", "radian"])
def test_an_angle_is_neither_a_temperature_nor_a_share(units):
    tas, hurs = (xr.DataArray([12.0], dims="x", name=name, attrs={"units": units}) for name in ("tas", "hurs"))
    with pytest.raises(DataError, match=r"cannot become K; .*variables = {tas = {units = 'degC'}}"):
        conversion(tas, describe(tas, quantity="temperature"), file="f")
    with pytest.raises(DataError, match=r"cannot become %; .*variables = {hurs = {units = '%'}}"):
        conversion(hurs, describe(hurs, quantity="relative humidity"), file="f")


@pytest.mark.parametrize(
    "direction",
    [
        field("x", "degree", standard_name="wind_from_direction"),
        field("wd", "degrees"),
        field("angle", "degrees true", long_name="Mean wave direction"),
    ],
)
def test_a_direction_is_refused_and_can_be_taken_as_numbers(direction):
    with pytest.raises(DataError, match=r"is a direction, .* eastward and northward components .*quantity = 'other'"):
        of(direction)
    described = describe(direction, quantity="other")
    told = direction.assign_attrs(units="degree", **described.attributes)
    for each in (described, describe(told)):
        assert conversion(told, each, file="f.nc")(told) == 1.0


def test_what_only_speaks_of_a_direction_is_none():
    for other in (field("u", "m s-1", long_name="wind in x direction"), field("slope", "degrees"), field("dd", "1")):
        assert of(other)(other) == 1.0, other.name  # its numbers are taken as they are
