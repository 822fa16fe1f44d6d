"""Values that a file itself says are missing, in every way in which files say so."""

import re

import netCDF4
import numpy as np
import pytest
import xarray as xr

from subgrid.data.canonical import check_climate, open_climate
from subgrid.data.checks.missing import packing_of, without_missing
from subgrid.data.fields import DataError
from subgrid.data.pooling.pooling import notes_of
from subgrid.data.variables.wanted import Variable

from ..climate_files import archive

ATTRIBUTES = ("valid_range", "valid_min", "valid_max", "actual_range", "flag_values", "missing_value")


def celsius(**attributes) -> xr.Dataset:
    """−10, −9, … degC, counted along all cells of two times."""
    file = archive(n_times=2)
    values = np.arange(-10, 30, dtype=np.float32).reshape(2, 4, 5)
    file["tas"] = (file.tas.dims, values, {"units": "degC", "standard_name": "air_temperature", **attributes})
    return file


def read(file: xr.Dataset, tmp_path) -> xr.Dataset:
    path = tmp_path / "f.nc"
    file.to_netcdf(path)
    return open_climate(path)


@pytest.mark.parametrize(
    ("attributes", "valid", "words"),
    [
        ({"valid_range": np.array([-5, 20], "f4")}, (-5, 20), "outside -5 to 20 degC are missing, by its valid_range"),
        ({"valid_min": np.float32(-5)}, (-5, 99), "below -5 degC are missing, by its valid_min"),
        ({"valid_max": np.float32(20)}, (-99, 20), "above 20 degC are missing, by its valid_max"),
        ({"valid_min": -5.0, "valid_max": 20.0}, (-5, 20), "outside -5 to 20 degC .* by its valid_min and valid_max"),
        ({"valid_range": "-5, 20"}, (-5, 20), "outside -5 to 20 degC are missing"),
        ({"valid_range": np.array([20, -5], "f4")}, (-99, 99), "valid_range is not used, as 20 to -5 holds no value"),
    ],
)
def test_values_outside_the_valid_range_are_missing(tmp_path, attributes, valid, words):
    found = read(celsius(**attributes), tmp_path)
    truth = np.arange(-10, 30).reshape(2, 4, 5)
    inside = (truth >= valid[0]) & (truth <= valid[1])
    np.testing.assert_allclose(found.tas.values, np.where(inside, truth + 273.15, np.nan), rtol=1e-6)
    assert not set(ATTRIBUTES) & set(found.tas.attrs)
    (note,) = notes_of(found)
    assert re.match(f"tas: .*{words}", note)


def packed(tmp_path, dtype="i2", scale=0.1, shift=5.0, **attributes) -> xr.Dataset:
    """Numbers 0, 1, … in the file: 5, 5.1, … degC."""
    file = archive(n_times=2)
    numbers = np.arange(40, dtype=dtype).reshape(2, 4, 5)
    attributes = {"units": "degC", "scale_factor": scale, "add_offset": shift, **attributes}
    file["tas"] = (file.tas.dims, numbers, attributes)
    return read(file, tmp_path)


@pytest.mark.parametrize(
    ("attributes", "last"),
    [
        ({"valid_range": np.array([3, 30], "i2")}, (3, 30)),  # of the packed type: packed
        ({"valid_range": np.array([5.3, 8.0], "f8")}, (3, 30)),  # of the unpacked type: unpacked (NUG)
        ({"valid_max": np.int16(30), "scale": -0.1}, (0, 30)),  # descending
        ({"valid_min": np.int16(3), "scale": -0.1}, (3, 39)),
        ({"valid_range": np.array([3, 30], "i2"), "scale": -0.1}, (3, 30)),
        ({"valid_range": np.array([3, 30], "f4"), "dtype": "f4"}, (3, 30)),
    ],
)
def test_ranges_of_packed_values(tmp_path, attributes, last):
    found = packed(tmp_path, **attributes)
    numbers = np.arange(40).reshape(2, 4, 5)
    np.testing.assert_array_equal(found.tas.notnull().values, (numbers >= last[0]) & (numbers <= last[1]))


@pytest.mark.parametrize(
    ("attributes", "last", "words"),
    [
        ({"valid_range": np.array([5, 8])}, (0, 30), "outside 5 to 8 degC are missing, .* as unpacked values"),
        ({"valid_min": np.int32(6)}, (10, 39), "below 6 degC are missing, .* as unpacked values"),
        (
            {"valid_range": np.array([10, 38])},
            (10, 38),
            "to 8.8 degC are missing, .* as packed numbers",
        ),  # else none is left
        (
            {"valid_range": np.array([-30_000, 30])},
            (0, 30),
            "to 8 degC are missing, .* as packed numbers",
        ),  # −3276 to …
    ],
)
def test_ranges_of_another_integer_type_than_the_packed_one(tmp_path, attributes, last, words):
    found = packed(tmp_path, **attributes)
    numbers = np.arange(40).reshape(2, 4, 5)
    np.testing.assert_array_equal(found.tas.notnull().values, (numbers >= last[0]) & (numbers <= last[1]))
    assert any(re.search(words, note) for note in notes_of(found))


@pytest.mark.parametrize(
    "attributes",
    [{"missing": "0 of 365 days"}, {"missing_value": "0 to 20"}, {"undef": "20 at first"}, {"missing": 0.0}],
)
def test_numbers_within_a_text_are_no_fill_values(attributes):
    assert open_climate(celsius(**attributes)).tas.notnull().all()


def test_ranges_of_unsigned_values_that_are_kept_signed(tmp_path):
    file = archive(n_times=2)
    numbers = np.arange(110, 150, dtype=np.uint8).view(np.int8).reshape(2, 4, 5)
    attributes = {"units": "K", "scale_factor": 1.0, "add_offset": 150.0, "_Unsigned": "true"}
    file["tas"] = (file.tas.dims, numbers, {**attributes, "valid_range": np.array([0, -116], "i1")})  # 0 to 140
    found = read(file, tmp_path)
    truth = np.arange(110, 150).reshape(2, 4, 5)
    np.testing.assert_allclose(found.tas.values, np.where(truth <= 140, truth + 150.0, np.nan))


@pytest.mark.parametrize(
    "attributes",
    [
        {"missing_value": np.array([-5, 20], "f4")},
        {"missing_value": "-5"},
        {"missing_value": b"-5"},
        {"_FillValue": np.float32(20), "missing_value": np.float32(-5)},
        {"nodata": -5.0},
        {"fill_value": -5.0},
    ],
)
def test_declared_fill_values_of_every_kind(tmp_path, attributes):
    found = open_climate(celsius(**attributes))
    values = found.tas.values[0].ravel()
    assert np.isnan(values[5])
    assert not {"nodata", "fill_value", "missing_value", "_FillValue"} & set(found.tas.attrs)
    assert np.isnan(found.tas.values).sum() <= 2


def test_a_fill_value_of_another_precision_is_found():
    file = celsius(missing_value=-9999.9)  # a double; the values are floats, of which none equals it
    file.tas[0, 0, 0] = -9999.9
    found = open_climate(file)
    assert np.isnan(found.tas.values).sum() == 1
    assert any("-9999.9 is missing, as its attributes say" in note for note in notes_of(found))


def test_numbers_written_as_text():
    file = celsius()
    texts = file.tas.astype(str)
    texts[0, 0, 1] = "NaN"
    texts[0, 0, 2] = "--"
    file["tas"] = texts.assign_attrs(file.tas.attrs)
    found = open_climate(file, ["tas"])
    np.testing.assert_allclose(found.tas.values[0, 0], [263.15, np.nan, np.nan, 266.15, 267.15], rtol=1e-6)


def with_text(text: str) -> xr.Dataset:
    file = celsius()
    texts = file.tas.astype(str)
    texts[0, 0, 1] = text
    file["tas"] = texts.assign_attrs(file.tas.attrs)
    return file


def test_a_text_that_is_no_number_is_named_and_can_be_declared(tmp_path):
    with_text("T").to_netcdf(tmp_path / "f.nc")
    with pytest.raises(DataError, match=r"f.nc: tas holds the text 'T' .*no number.*\{missing = 'T'\}\}") as caught:
        open_climate(tmp_path / "f.nc", ["tas"])
    assert "damaged" not in str(caught.value)
    found = check_climate(open_climate(tmp_path / "f.nc", {"tas": {"missing": ["T"]}}), gaps="mask")
    assert int(found.tas.isnull().sum()) == 2  # masked at both times


def test_a_variable_of_text_is_named_where_nothing_is_asked_for(tmp_path):
    with_text("1").to_netcdf(tmp_path / "f.nc")
    with pytest.raises(DataError, match=r"f.nc: tas holds text, not numbers; name it .*\['tas'\]"):
        open_climate(tmp_path / "f.nc")
    assert open_climate(tmp_path / "f.nc", ["tas"]).tas.dtype == np.float32


def test_missing_as_given_is_in_numbers_of_the_file():
    file = celsius()
    found = open_climate(file, {"tas": Variable(missing=(-5.0, 20.0))})
    assert np.isnan(found.tas.values).sum() == 2
    assert "tas: -5 is missing, as given" in notes_of(found)
    also = open_climate(file, {"tas": {"missing": -5}})
    assert np.isnan(also.tas.values).sum() == 1
    with pytest.raises(DataError, match=r"variables.tas.missing = 'x': it is a number or a list"):
        open_climate(file, {"tas": {"missing": "x"}})


def test_missing_as_given_of_packed_values_is_packed():
    file = archive(n_times=2)
    numbers = xr.Variable(("time", "lat", "lon"), np.arange(40, dtype="i2").reshape(2, 4, 5))
    file["tas"] = (numbers.dims, numbers.values, {"units": "degC", "scale_factor": 0.1, "add_offset": 5.0})
    found = open_climate(file, {"tas": Variable(missing=(7.0,))})
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(found.tas.values)), [7])


def test_no_coordinate_keeps_a_range_of_its_file():
    file = celsius()
    file = file.assign_coords(lon=("lon", file.lon.values % 360, {**file.lon.attrs, "valid_range": [0.0, 360.0]}))
    found = open_climate(file)
    assert found.lon.values.min() < 0 and "valid_range" not in found.lon.attrs


def test_a_range_in_other_units_than_the_values_is_named(tmp_path):
    file = celsius(valid_range=np.array([-90, 50], "f4"))
    file["tas"] = (file.tas + 273.15).assign_attrs(file.tas.attrs, units="K")  # as Subgrid 0.1.0 wrote it
    with pytest.raises(DataError, match=r"holds no value that its attributes call valid .*outside -90 to 50 K.*remove"):
        check_climate(open_climate(file))
    del file.tas.attrs["valid_range"]
    assert check_climate(open_climate(file)).tas.notnull().all()  # what the sentence advises


def test_what_reads_the_converted_values_masks_none_of_them(tmp_path):
    found = read(celsius(valid_range=np.array([-90, 50], "f4"), actual_range=np.array([-10, 29], "f4")), tmp_path)
    found.to_netcdf(tmp_path / "out.nc")
    with netCDF4.Dataset(tmp_path / "out.nc") as written:  # honours valid_range, as many readers do
        assert not np.ma.getmaskarray(written["tas"][:]).any()


def test_packing_of_data_without_a_file():
    field = archive().tas
    assert not packing_of(field).is_packed
    same, notes = without_missing(field, packing_of(field))
    xr.testing.assert_identical(same, field)
    assert notes == ()
