"""Fill values that nothing declares: refused with number, place, share and what to do; and no false alarm."""

import re
import shutil

import netCDF4
import numpy as np
import pytest
import xarray as xr

from subgrid.data.canonical import check_climate, open_climate
from subgrid.data.checks.extremes import note_outside
from subgrid.data.checks.fills import KNOWN, STEP_DAYS, Stored, limits
from subgrid.data.checks.missing import Packing
from subgrid.data.fields import DataError
from subgrid.data.inspection.inspection import inspect
from subgrid.data.pooling.pooling import notes_of
from subgrid.data.variables.quantities import describe
from subgrid.data.variables.units import conversion

from ...cases import few
from ..climate_files import archive

FLOATS = (-9999.0, -999.0, -9999.9, 9999.0, 1e20, -1e20, 1e30, 1e36, -9e33, 9.999e20, 9.969209968386869e36, -32768.0)


def holed(variable: str, fill: float, *, times=slice(None), units: str | None = None, change=lambda x: x) -> xr.Dataset:
    """A fill value in the first of five columns, at some times."""
    file = archive(variable, n_times=8)
    field = change(file[variable]).assign_attrs(file[variable].attrs)
    field[times, :, 0] = fill
    file[variable] = field.astype(np.float32).assign_attrs(units=units or field.attrs["units"])
    return file


def refused(file, **options) -> str:
    with pytest.raises(DataError) as caught:
        check_climate(open_climate(file, **options))
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def declared(sentence: str) -> tuple[str, float]:
    """The variable and the number that a sentence tells to declare."""
    found = re.search(r"variables = \{(\w+) = \{missing = ([^}]*)\}\}", sentence)
    assert found is not None
    return found[1], float(found[2])


@pytest.mark.parametrize("fill", few(FLOATS, 4))
@pytest.mark.parametrize(
    ("variable", "units", "change"),
    [
        ("tas", "K", lambda x: x),
        ("tas", "degC", lambda x: x - 273.15),
        ("pr", "mm day-1", lambda x: x),
        ("pr", "kg m-2 s-1", lambda x: x / 86_400),
        ("psl", "hPa", lambda x: x / 100),
    ],
)
def test_a_fill_value_is_named_as_it_is_in_the_file_and_the_advice_works(tmp_path, variable, units, change, fill):
    file = holed(variable, fill, units=units, change=change)
    file.to_netcdf(tmp_path / "f.nc", encoding={variable: {"_FillValue": None}})
    said = refused(tmp_path / "f.nc")
    assert "f.nc: " in said and "_FillValue" in said and "20 % of the cells" in said
    assert "time = 2000-12-30, lat = 36, lon = -9" in said
    name, number = declared(said)
    assert name == variable and number == pytest.approx(fill, rel=1e-6)
    told = check_climate(open_climate(tmp_path / "f.nc", {variable: {"missing": number}}))
    assert told[variable].isnull().sum() == 8 * 4 and told[variable][:, :, 0].isnull().all()
    shutil.copy(tmp_path / "f.nc", tmp_path / "g.nc")  # the first is still open
    with netCDF4.Dataset(tmp_path / "g.nc", "a") as stored:
        stored[variable].missing_value = np.float32(number)
    also = check_climate(open_climate(tmp_path / "g.nc"))
    np.testing.assert_array_equal(also[variable], told[variable])


def test_a_fill_value_at_one_time_only_is_found_when_all_is_read(tmp_path):
    file = archive(n_times=40)
    file.tas[17, 2, 3] = -9999.0
    file.to_netcdf(tmp_path / "f.nc", encoding={"tas": {"_FillValue": None}})
    assert open_climate(tmp_path / "f.nc").tas.size == 800  # a few times are looked at
    said = refused(tmp_path / "f.nc")
    assert "tas is -9999 in the file" in said and "time = 2001-01-16, lat = 40, lon = 0 (5 % of the cells, 1 su" in said


@pytest.mark.parametrize(
    ("dtype", "number"),
    [("i2", -32767), ("i2", -32768), ("i2", 32767), ("u2", 65535), ("i4", -2147483647), ("i2", -9999), ("i1", -127)],
)
def test_a_default_fill_value_of_packed_integers_is_compared_in_the_file(tmp_path, dtype, number):
    scale, shift = {"i1": (0.5, 280.0), "i4": (1e-6, 280.0)}.get(dtype, (0.01, 280.0))
    file = archive(n_times=4)
    lowest, highest = {"i1": (-30, 30), "u2": (0, 1000)}.get(dtype, (-100_000_000, 100_000_000))
    numbers = np.round(np.clip((file.tas.values - shift) / scale, lowest, highest)).astype(dtype)
    numbers[:, 0, 0] = number
    with netCDF4.Dataset(tmp_path / "f.nc", "w") as stored:
        for name in ("time", "lat", "lon"):
            stored.createDimension(name, file.sizes[name])
            stored.createVariable(name, "f8", (name,))
        stored["time"][:], stored["time"].units = np.arange(4), "days since 2000-01-01"
        for name, units in (("lat", "degrees_north"), ("lon", "degrees_east")):
            stored[name][:], stored[name].units = file[name].values, units
        tas = stored.createVariable("tas", dtype, ("time", "lat", "lon"), fill_value=False)
        tas.setncatts({"units": "K", "scale_factor": scale, "add_offset": shift})
        tas.set_auto_maskandscale(False)
        tas[:] = numbers
    said = refused(tmp_path / "f.nc")
    assert f"tas is {number} in the file (packed; " in said and "5 % of the cells" in said
    assert declared(said) == ("tas", number)
    told = check_climate(open_climate(tmp_path / "f.nc", {"tas": {"missing": number}}))
    assert told.tas.isnull().sum() == 4 and told.tas[:, 0, 0].isnull().all()


def test_a_fill_value_that_nature_could_have_is_known_by_its_distance():
    """−99.9 degC is 173 K: colder than the record, but not implausible in the stratosphere."""
    file = holed("tas", -99.9, units="degC", change=lambda x: x - 273.15)
    assert "tas is -99.9 in the file" in refused(file)
    wide = holed("tas", -99.9, units="degC", change=lambda x: 8 * (x - 280.0))  # ±120 K: then it is one among others
    wide["tas"] = wide.tas.clip(-99.9, 60).assign_attrs(wide.tas.attrs)
    check_climate(open_climate(wide))


def orography(values: np.ndarray) -> xr.Dataset:
    return archive(n_times=1).isel(time=0, drop=True).assign(
        orog=(("lat", "lon"), values, {"units": "m", "standard_name": "surface_altitude"})
    )[["orog"]]  # fmt: skip


def test_ordinary_values_raise_no_alarm():
    heights = np.linspace(-99, 1500, 20).reshape(4, 5)
    assert float(check_climate(open_climate(orography(heights))).orog.min()) == -99
    exact = np.linspace(0, 1500, 20).reshape(4, 5)
    exact[0, 0], exact[0, 1], exact[1, 1] = 999.0, 888.0, 255.0
    check_climate(open_climate(orography(exact)))
    index = archive(n_times=20)
    values = np.random.default_rng(0).normal(0, 40, index.tas.shape)
    values[3, 0, 0] = -99.9
    index["soi"] = (index.tas.dims, values.astype("f4"), {"units": "1"})
    check_climate(open_climate(index[["soi"]]))
    anomaly = index.assign(tas=(index.tas.dims, (values / 12).astype("f4"), {"units": "K", "long_name": "anomaly"}))
    anomaly.tas[5, 1, 1] = -9.99
    check_climate(open_climate(anomaly[["tas"]]))


@pytest.mark.parametrize("fill", [-9999.0, -999.0, 1e20, -32768.0])
def test_a_variable_that_subgrid_does_not_know_is_looked_at_too(fill):
    heights = np.linspace(0, 900, 20).reshape(4, 5)
    heights[:, 0] = fill
    said = refused(orography(heights))
    assert declared(said) == ("orog", fill) and "20 % of the cells, 4 such values" in said


def test_two_fill_values_at_both_ends():
    heights = np.linspace(0, 900, 20).reshape(4, 5)
    heights[0, 0], heights[1, 1], heights[2, 2] = -9999.0, 1e20, 1e20
    first = declared(refused(orography(heights)))[1]
    second = declared(refused(orography(heights), variables={"orog": {"missing": first}}))[1]
    assert {first, second} == {-9999.0, 1e20}
    found = check_climate(open_climate(orography(heights), {"orog": {"missing": [first, second]}}))
    assert found.orog.isnull().sum() == 3


def test_an_uncommon_number_that_comes_often_far_from_all_others():
    assert declared(refused(holed("pr", -43210.5)))[1] == -43210.5
    said = refused(holed("pr", -1234.5))  # no known fill value, and not absurd
    assert "pr is -1234.5 mm day-1 at" in said and "implausible" in said and "fill" not in said


def hourly(storm: float) -> xr.Dataset:
    """Rain in mm h-1, and a storm over a column for two hours."""
    file = archive("pr", n_times=8)
    file = file.assign_coords(time=xr.date_range("2000-01-01", periods=8, freq="h"))
    file["pr"] = (file.pr / 24).assign_attrs(file.pr.attrs, units="mm h-1")
    file.pr[3:5, :, 0] = storm
    return file


def test_a_storm_of_an_hour_is_stronger_than_one_of_a_day():
    assert float(check_climate(open_climate(hourly(130.0))).pr.max()) == pytest.approx(3120)
    assert float(check_climate(open_climate(hourly(401.0))).pr.max()) == pytest.approx(9624)  # the record
    said = refused(hourly(700.0))
    assert "implausible, outside -0.1 to 14696.9 mm day-1" in said and "'units' ('mm h-1')" in said
    assert "missing" not in said
    said = refused(holed("pr", 3120.0))
    assert "implausible, outside -0.1 to 3000 mm day-1" in said and "missing" not in said


def test_a_storm_of_an_hour_is_plausible_where_few_of_the_times_are_looked_at(monkeypatch, tmp_path):
    """An hour of three days: what is left has a longer step than the archive."""
    for name, size in (("WHOLE_BELOW", 0), ("LOOK_BYTES", 0)):
        monkeypatch.setattr(f"subgrid.data.inspection.variable_reports.{name}", size)
    hourly(130.0).isel(time=[0, 1, 2, 3, 4, 5, 6]).to_netcdf(tmp_path / "f.nc")  # looks at the hours 0, 3 and 6
    assert not inspect(tmp_path / "f.nc").problems
    few = hourly(130.0).isel(time=[0, 7])
    assert limits(few.pr)[1] == pytest.approx(3000 * (24 / 7) ** 0.5)
    few.pr.encoding[STEP_DAYS] = 1 / 24
    assert limits(few.pr)[1] == pytest.approx(14_696.9, rel=1e-4)


def test_what_regridding_leaves_of_rain_below_zero_is_set_to_zero():
    file = holed("pr", -2e-7, times=[3, 5], units="kg m-2 s-1", change=lambda x: x / 86_400)
    found = check_climate(open_climate(file))
    assert found.pr.dtype == np.float32 and found.pr.attrs["units"] == "mm day-1"
    assert (found.pr[[3, 5], :, 0] == 0).all() and (found.pr >= 0).all()
    assert "pr: 8 values below 0, down to -0.017 mm day-1, are set to 0" in notes_of(found)
    assert "implausible" in refused(holed("pr", -0.2))


@pytest.mark.parametrize("number", [255.0, 888.0, 999.0])
def test_an_ordinary_number_that_comes_once_is_no_fill_value(tmp_path, number):
    file = archive("pr", n_times=40)
    file.pr[17, 2, 3] = number
    assert float(check_climate(open_climate(file)).pr.max()) == number
    file.pr[18, 2, 3] = number
    said = refused(file)
    assert declared(said) == ("pr", number)
    assert said.endswith("If it is a value, keep it: variables = {pr = {missing = 'none'}}.")
    kept = check_climate(open_climate(file, {"pr": {"missing": "none"}}))
    assert int((kept.pr == number).sum()) == 2


def test_an_ordinary_number_that_comes_once_in_packed_bytes_is_a_fill_value(tmp_path):
    file = archive("pr", n_times=40)
    file["pr"] = (file.pr.dims, np.full(file.pr.shape, 20, "u1"), {**file.pr.attrs, "scale_factor": 0.2})
    file.pr[:, :, :2] = 5
    file.pr[17, 2, 3] = 255
    file.to_netcdf(tmp_path / "f.nc")
    assert declared(refused(tmp_path / "f.nc")) == ("pr", 255)


def test_wrong_units_are_no_fill_value():
    file = archive(n_times=5)
    file["tas"] = (file.tas - 273.15).assign_attrs(file.tas.attrs)
    assert "look like degC" in refused(file) and "fill" not in refused(file)


def test_steps_of_unequal_lengths_are_converted_back():
    file = archive("pr", n_times=12).assign_coords(time=xr.date_range("2000-01-01", periods=12, freq="MS"))
    file["pr"] = (file.pr * 30).assign_attrs(units="mm", cell_methods="time: sum")
    file.pr[:, 0, 0] = -9999.0
    assert declared(refused(file)) == ("pr", -9999.0)


@pytest.mark.parametrize("units", ["degC", "degF", "K"])
@pytest.mark.parametrize("number", KNOWN[np.abs(KNOWN) < 1e30])
def test_every_known_fill_value_is_found_behind_a_conversion(units, number):
    field = archive().tas.assign_attrs(units=units)
    convert = conversion(field, describe(field), file="f")
    canonical = float(np.float32(number * convert.factor + convert.offset))
    stored = Stored(convert, Packing(np.dtype("f4")))
    found = stored.fill(canonical)
    assert found is not None and found == pytest.approx(number, rel=1e-6)
    assert stored.fill(canonical + 3e-4 * abs(canonical)) != found


def outside(number: float, *, n: int = 40, also: tuple[float, ...] = ()) -> xr.Dataset:
    """Relative humidity of 40 to 95 % with a number in n places, and some others."""
    file = archive(n_times=12).rename(tas="hurs")
    values = np.linspace(40, 95, file.hurs.size, dtype=np.float32)
    values[: n + len(also)] = [*[number] * n, *also]
    return file.assign(hurs=(file.hurs.dims, values.reshape(file.hurs.shape), {"units": "%"}))


@pytest.mark.parametrize("number", [-1, 127])
def test_one_whole_number_beyond_a_bound_is_a_fill_value_and_either_advice_works(number):
    file = outside(number)
    with pytest.raises(DataError, match=f"hurs is {number} in the file .*40 such values.*missing = {number}.*'none'"):
        check_climate(open_climate(file))
    said = check_climate(open_climate(file, {"hurs": {"missing": number}}), gaps="drop")
    assert float(said.hurs.min()) >= 40 and float(said.hurs.max()) <= 95
    assert float(np.abs(check_climate(open_climate(file, {"hurs": {"missing": "none"}})).hurs - number).min()) == 0


@pytest.mark.parametrize(
    "file",
    [outside(101), outside(127, n=5), outside(-1, also=(-0.5,)), outside(104.3), outside(120, also=(112, 118.5))],
)
def test_supersaturation_and_rounding_are_values(file):
    checked = check_climate(open_climate(file))
    assert int(checked.hurs.notnull().sum()) == file.hurs.size


def test_what_lies_beyond_a_bound_is_not_kept_for_every_block():
    file = archive(n_times=12).rename(tas="hurs")
    values = np.linspace(100.5, 120, file.hurs.size, dtype=np.float32).reshape(file.hurs.shape)
    field, found = file.hurs.copy(data=values), {}
    for i in range(12):
        note_outside(field[i : i + 1], field, values[i : i + 1], found, (0.0, 100.0))
    assert len(found) == 2
