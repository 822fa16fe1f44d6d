"""Where stamps come to lie: each time worked out by hand."""

import numpy as np
import pytest
import xarray as xr

from subgrid.data.canonical import open_climate
from subgrid.data.fields import DataError
from subgrid.data.inspection.inspection import inspect
from subgrid.data.pooling.pooling import notes_of
from subgrid.data.times.calendars import day_of_year_phase
from subgrid.data.times.forecasts import as_one_series
from subgrid.data.times.stamps import with_canonical_times

from ...cases import few
from ..climate_files import archive

JANUARY_TO_MARCH = np.array(["2001-01-01", "2001-02-01", "2001-03-01", "2001-04-01"], "datetime64[ns]")
MIDDLE = np.array(["2001-01-16T12", "2001-02-15", "2001-03-16T12"], "datetime64[ns]")


def with_bounds(stamps, edges, **attributes) -> xr.Dataset:
    """An archive with these stamps, for intervals between consecutive edges."""
    file = archive(n_times=len(stamps)).assign_coords(time=("time", stamps, {"bounds": "time_bnds"}))
    file.tas.attrs |= attributes
    return file.assign(time_bnds=(("time", "nbnd"), np.stack([edges[:-1], edges[1:]], 1)))


@pytest.mark.parametrize("stamps", [JANUARY_TO_MARCH[1:], JANUARY_TO_MARCH[:-1], MIDDLE])
def test_monthly_stamps_move_to_the_middle_of_their_bounds(stamps):
    found = open_climate(with_bounds(stamps, JANUARY_TO_MARCH))
    np.testing.assert_array_equal(found.time.values, MIDDLE)
    said = [note for note in notes_of(found) if "middle of their bounds" in note]
    assert bool(said) == (stamps is not MIDDLE)
    if stamps[0] == JANUARY_TO_MARCH[1]:
        assert said == [
            "time: stamps are moved to the middle of their bounds (2001-02-01 to 2001-01-16 12:00): they were at the "
            "end of the intervals"
        ]


@pytest.mark.parametrize("calendar", ["noleap", "360_day"])
def test_the_middle_in_other_calendars(calendar):
    edges = xr.date_range("2000-01-01", periods=4, freq="MS", calendar=calendar, use_cftime=True).values
    found = open_climate(with_bounds(edges[1:], edges))
    days = {"noleap": [(1, 16, 12), (2, 15, 0), (3, 16, 12)], "360_day": [(1, 16, 0), (2, 16, 0), (3, 16, 0)]}
    assert [(t.month, t.day, t.hour) for t in found.time.values] == days[calendar]


def test_daily_stamps_move_only_where_they_lie_outside_their_day():
    days = np.arange("2001-01-01", "2001-01-08", dtype="datetime64[D]").astype("datetime64[ns]")
    noon = days[:-1] + np.timedelta64(12, "h")
    for kept in (days[:-1], noon):  # at the start and inside
        found = open_climate(with_bounds(kept, days))
        np.testing.assert_array_equal(found.time.values, kept)
        assert not notes_of(found)
    found = open_climate(with_bounds(days[1:], days))
    np.testing.assert_array_equal(found.time.values, noon)
    assert "at the end of the intervals" in notes_of(found)[0]
    instants = open_climate(with_bounds(days[1:], days, cell_methods="time: point"))
    np.testing.assert_array_equal(instants.time.values, days[1:])


def test_stamps_far_from_their_bounds_name_both_readings():
    file = with_bounds(JANUARY_TO_MARCH[:-1] + np.timedelta64(400, "D"), JANUARY_TO_MARCH)
    with pytest.raises(DataError, match=r"time 2002-02-05 is far from its bounds, 2001-01-01 to 2001-02-01.*if it is"):
        open_climate(file)
    assert open_climate(file.drop_vars("time_bnds")).sizes["time"] == 3  # the advice


@pytest.mark.parametrize("day", ["01", "15", "28"])
def test_monthly_stamps_without_bounds_are_those_of_the_month_that_they_lie_in(day):
    stamps = np.array([f"2001-{month:02d}-{day}" for month in (1, 2, 3)], "datetime64[ns]")
    found = open_climate(archive(n_times=3).assign_coords(time=stamps))
    np.testing.assert_array_equal(found.time.values, MIDDLE)
    np.testing.assert_allclose(day_of_year_phase(found.time), np.array([15.5, 45, 74.5]) / 365)
    assert any("moved to the middle of the months" in note for note in notes_of(found)) == (day != "15")


@pytest.mark.parametrize("day", ["01", "28"])
@pytest.mark.parametrize("cuts", [range(1, 14), [12]])
@pytest.mark.parametrize("variable", few(["pr", "tas"]))
def test_monthly_stamps_do_not_depend_on_how_an_archive_is_cut(day, cuts, variable, tmp_path):
    """A file a month, and a year whose next month is a file of its own."""
    months = np.arange("2001-01", "2002-02", dtype="datetime64[M]").astype("datetime64[ns]")
    whole = archive(variable, n_times=13).assign_coords(time=months + np.timedelta64(int(day) - 1, "D"))
    if variable == "pr":
        whole.pr.attrs = {"units": "mm"}
    for k, part in enumerate(np.split(np.arange(13), list(cuts))):
        if part.size:
            whole.isel(time=part).to_netcdf(tmp_path / f"{k}.nc")
    found, expected = open_climate(tmp_path), open_climate(whole)
    np.testing.assert_array_equal(found.time.values, expected.time.values)
    np.testing.assert_allclose(found[variable], expected[variable], rtol=1e-6)
    if variable == "tas":
        assert inspect(tmp_path).problems == inspect(whole).problems


def test_files_of_one_day_each_are_no_months():
    parts = archive(n_times=4)
    found = open_climate([parts.isel(time=[i]) for i in range(4)])
    np.testing.assert_array_equal(found.time.values, parts.time.values)


def test_steps_of_thirty_days_are_no_months():
    stamps = np.datetime64("2001-01-01", "ns") + 30 * np.timedelta64(1, "D") * np.arange(12)
    found = open_climate(archive(n_times=12).assign_coords(time=stamps))
    np.testing.assert_array_equal(found.time.values, stamps)


def test_amounts_are_divided_by_the_length_of_each_month():
    """310 mm in January, 280 mm in February and 310 mm in March are 10 mm a day, in a leap year not."""
    for bounds in (True, False):
        file = (
            with_bounds(JANUARY_TO_MARCH[1:], JANUARY_TO_MARCH)
            if bounds
            else archive(n_times=3).assign_coords(time=JANUARY_TO_MARCH[:-1])
        )
        amounts = np.array([310.0, 280.0, 310.0], np.float32)[:, None, None]
        file = file.assign(pr=(file.tas.dims, np.broadcast_to(amounts, file.tas.shape), {"units": "mm"}))
        np.testing.assert_allclose(open_climate(file, "pr").pr, 10.0, rtol=1e-6)


def test_a_single_time_is_a_time_of_length_one():
    file = archive(n_times=1)
    found = open_climate(file.isel(time=0))
    assert found.tas.dims == ("time", "lat", "lon")
    np.testing.assert_array_equal(found.time.values, file.time.values)
    parts = archive(n_times=3)
    joined = open_climate([parts.isel(time=i) for i in (2, 0, 1)])
    xr.testing.assert_equal(joined.tas.load(), parts.tas)


def forecasts(starts, hours, variable="tas") -> xr.Dataset:
    """As cfgrib writes them: time, step, and valid_time of both."""
    starts, steps = np.array(starts, "datetime64[ns]"), np.array(hours, "timedelta64[h]")
    valid = starts[:, None] + steps
    one = archive(variable, n_times=valid.size)
    values = one[variable].values.reshape(*valid.shape, *one[variable].shape[1:])
    coords = {
        "time": ("time", starts, {"standard_name": "forecast_reference_time"}),
        "step": ("step", np.array(hours, float), {"units": "hours", "standard_name": "forecast_period"}),
        "valid_time": (("time", "step"), valid, {"standard_name": "time"}),
        "lat": one.lat, "lon": one.lon,
    }  # fmt: skip
    return xr.Dataset({variable: (("time", "step", "lat", "lon"), values, one[variable].attrs)}, coords)


def test_forecasts_are_one_series_of_valid_times():
    file = forecasts(["2001-01-01T06", "2001-01-01T18"], [3, 6, 9, 12])
    found = open_climate(file)
    expected = np.datetime64("2001-01-01T09", "ns") + np.timedelta64(3, "h") * np.arange(8)
    np.testing.assert_array_equal(found.time.values, expected)
    np.testing.assert_array_equal(found.tas.values, file.tas.values.reshape(8, 4, 5))
    assert notes_of(found) == ("time: 4 steps of 2 forecasts are one series of valid times",)
    without = open_climate(file.drop_vars("valid_time"))  # start + step
    np.testing.assert_array_equal(without.time.values, expected)


def test_forecasts_that_overlap_are_refused_and_either_advice_works():
    file = forecasts(["2001-01-01", "2001-01-02"], [0, 24, 48])
    with pytest.raises(DataError, match=r"forecasts of 3 steps from 2 starts, whose valid times overlap; choose"):
        open_climate(file)
    by_step, by_start = open_climate(file.isel(step=1)), open_climate(file.isel(time=0))
    np.testing.assert_array_equal(by_step.time.values, np.array(["2001-01-02", "2001-01-03"], "datetime64[ns]"))
    np.testing.assert_array_equal(by_start.time.values, file.valid_time.values[0])


def test_sums_since_the_start_of_a_forecast_are_refused_and_their_differences_taken():
    file = forecasts(["2001-01-01", "2001-01-02"], [0, 6, 12, 18, 24], "pr")
    each = np.abs(file.pr.values)
    file["pr"] = (file.pr.dims, np.cumsum(each, axis=1), {"units": "mm"})
    with pytest.raises(DataError, match=r"pr never decreases along 'step': it is .* first, dataset\.diff\('step'\)"):
        open_climate(file)
    found = open_climate(file.diff("step"))
    expected = 4 * each[:, 1:].reshape(8, 4, 5)  # of 6 hours each
    np.testing.assert_allclose(found.pr.values, expected, rtol=1e-5)


def test_steps_in_weeks_and_in_units_of_no_fixed_length():
    file = forecasts(["2001-01-01", "2001-02-01"], [0, 1, 2]).drop_vars("valid_time")
    file = file.isel(time=[0])
    file.step.attrs["units"] = "weeks"
    expected = np.array(["2001-01-01", "2001-01-08", "2001-01-15"], "datetime64[ns]")
    np.testing.assert_array_equal(open_climate(file).time.values, expected)
    for units, days in (("s", 1 / 86_400), ("h", 1 / 24), ("days", 1.0)):
        file.step.attrs["units"] = units
        after = (open_climate(file).time.values[1] - file.time.values[0]) / np.timedelta64(1, "D")
        assert after == pytest.approx(days)
    for units in ("months", "fortnights"):
        file.step.attrs["units"] = units
        with pytest.raises(DataError, match=f"forecast steps step are in '{units}', which is no fixed length"):
            open_climate(file)


def test_of_amounts_in_forecasts_a_few_cells_are_looked_at():
    asked = []

    class Watched(xr.backends.BackendArray):
        shape, dtype = (10, 50, 30, 200, 300), np.dtype(np.float32)

        def __getitem__(self, key):
            return xr.core.indexing.explicit_indexing_adapter(
                key, self.shape, xr.core.indexing.IndexingSupport.OUTER, self.read
            )

        def read(self, key):
            sizes = [
                len(range(*k.indices(n))) if isinstance(k, slice) else np.size(k)
                for k, n in zip(key, self.shape, strict=True)
            ]
            shape = [n for n, k in zip(sizes, key, strict=True) if not isinstance(k, int | np.integer)]
            asked.append(4 * np.prod(sizes))
            return np.ones(shape, np.float32)

    data = xr.core.indexing.LazilyIndexedArray(Watched())
    starts = np.datetime64("2001-01-01", "ns") + 50 * np.timedelta64(1, "D") * np.arange(10)
    coords = {
        "time": ("time", starts),
        "step": ("step", np.arange(50.0), {"units": "days", "standard_name": "forecast_period"}),
    }
    dims = ("time", "step", "number", "lat", "lon")
    file = xr.Dataset({"tp": (dims, data, {"units": "m"})}, coords)
    as_one_series(file, "tp", "a.nc")
    assert 0 < sum(asked) <= 2**20


@pytest.mark.parametrize(
    "make",
    [
        lambda file: file.rename(time="time_counter"),
        lambda file: file.rename(time="valid_time"),
        lambda file: file.rename(time="initial_time0_hours"),
        lambda file: file.rename_dims(time="Time").drop_vars("time").assign_coords(XTIME=("Time", file.time.values)),
        lambda file: file.rename(time="Times").assign_coords(
            Times=("Times", np.char.replace(np.datetime_as_string(file.time.values, "s"), "T", "_").astype("S19"))
        ),
        lambda file: file.rename(time="valid_time").assign_coords(time=np.datetime64("1990-01-01", "ns")),
    ],
)
def test_times_by_other_names(make):
    file = archive()
    found = open_climate(make(file))
    assert found.tas.dims == ("time", "lat", "lon")
    np.testing.assert_array_equal(found.time.values, file.time.values)


def test_a_fixed_field_has_no_time_though_it_was_taken_from_one():
    file = archive(n_times=1).isel(time=0).rename(tas="orog")
    file.orog.attrs = {"units": "m", "standard_name": "surface_altitude"}
    assert "time" not in open_climate(file).dims
    masks = {"lsm": "land_binary_mask", "frac": "land_area_fraction", "z": "geopotential"}
    for name, described in masks.items():
        file = archive(n_times=1).isel(time=0).rename(tas=name)
        file[name].attrs = {"units": "1" if name != "z" else "m2 s-2", "standard_name": described}
        file[name] = file[name] * 0.0 + 0.5
        assert "time" not in with_canonical_times(file, name, file="a.nc").dataset.dims


@pytest.mark.parametrize(
    ("name", "described"),
    [
        ("clt", "cloud_area_fraction"),
        ("siconc", "sea_ice_area_fraction"),
        ("zg", "geopotential_height"),
        ("hgt", "geopotential_height"),
        ("phi", "geopotential"),
        ("z", "geopotential"),
    ],
)
def test_a_field_that_changes_keeps_its_single_time(name, described):
    file = archive(n_times=1).isel(time=0).rename(tas=name)
    file[name].attrs = {"standard_name": described}
    if name == "z":
        file = file.assign_coords(pressure_level=500.0)
    stamped = with_canonical_times(file, name, file="a.nc").dataset
    assert stamped.sizes["time"] == 1


@pytest.mark.parametrize(("dim", "words"), [("time", "'time'"), ("valid_time", "'valid_time'"), ("Time", None)])
def test_advice_about_times_names_the_dimension_of_the_file(dim, words):
    file = archive()
    for order, method in (([0, 1, 1], "drop_duplicates"), ([1, 0, 2], "sortby")):
        wrong = file.isel(time=order)
        if dim != "time":
            wrong = wrong.rename(time=dim)
        if words is None:
            wrong = wrong.drop_vars("Time").assign_coords(XTIME=("Time", file.time.values[order]))
        advice = rf"dataset\.{method}\({words}\)" if words else "along its time dimension"
        with pytest.raises(DataError, match=advice):
            open_climate(wrong)
