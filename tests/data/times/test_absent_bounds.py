"""Times and places whose bounds are named and not there; archives are cut at days, months or years, which is known."""

import warnings

import numpy as np
import pytest
import xarray as xr

from subgrid.data.canonical import open_climate
from subgrid.data.inspection.inspection import inspect
from subgrid.data.pooling.pooling import notes_of

from ..climate_files import archive


def stamped(times, *, methods: str = "time: mean") -> xr.Dataset:
    """An archive whose times name bounds that are not there."""
    file = archive(n_times=len(times)).assign_coords(time=("time", np.asarray(times), {"bounds": "time_bnds"}))
    file.tas.attrs["cell_methods"] = methods
    return file


def series(start: str, end: str, step: str, calendar: str = "standard"):
    return xr.date_range(start, end, freq=step, calendar=calendar, use_cftime=calendar != "standard").values


def opened(file):
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # of a library: they are said by Subgrid, once
        found = open_climate(file)
    [note] = [note for note in notes_of(found) if "'time_bnds'" in note or "middle of their bounds" in note]
    return found.time, note


@pytest.mark.parametrize("calendar", ["standard", "noleap"])
def test_daily_stamps_of_whole_years_at_the_end_of_their_days(calendar):
    time, note = opened(stamped(series("2001-01-02", "2003-01-01", "D", calendar)))
    assert str(time.values[0]).replace("T", " ")[:19] == "2001-01-01 12:00:00"
    assert (int(time.dt.year[-1]), int(time.dt.dayofyear[-1])) == (2002, 365)
    assert "the stamps 2001-01-02 to 2003-01-01 begin or end with whole years, so they are taken for that" in note


@pytest.mark.parametrize("calendar", ["standard", "360_day"])
def test_monthly_stamps_of_whole_years_at_the_end_of_their_months(calendar):
    time, note = opened(stamped(series("2001-02-01", "2003-01-01", "MS", calendar)))
    np.testing.assert_array_equal(time.dt.month, np.tile(np.arange(1, 13), 2))
    assert set(np.asarray(time.dt.day).tolist()) <= {15, 16}  # their middles
    assert "taken for that, and moved to the middle" in note


def test_hourly_stamps_of_whole_days_at_the_end_of_their_hours():
    time, _ = opened(stamped(series("2001-01-05T03:00", "2001-01-09T00:00", "3h")))
    np.testing.assert_array_equal(time.values[[0, -1]], np.array(["2001-01-05T01:30", "2001-01-08T22:30"], "M8[ns]"))


@pytest.mark.parametrize(
    ("start", "end", "step", "says"),
    [
        (
            "2001-01-01",
            "2002-12-31",
            "D",
            "beginnings of their intervals, as these begin or end with whole years;",
        ),
        (
            "2001-03-14",
            "2001-05-20",
            "D",
            "for the beginnings of their intervals; if they are the ends, write the",
        ),
        (
            "2001-01-01",
            "2002-12-01",
            "MS",
            "beginnings of their intervals, as these begin or end with whole years;",
        ),
        ("2001-01-01T12:00", "2002-12-31T12:00", "D", "each stamp is taken for the interval that it lies in"),
    ],
)
def test_stamps_stay_where_their_span_says_so_or_nothing(start, end, step, says):
    file = stamped(series(start, end, step))
    time, note = opened(file)
    months = np.asarray(file.time.dt.month)
    np.testing.assert_array_equal(time.dt.month, months)
    if step == "D":
        np.testing.assert_array_equal(time.values, file.time.values)
    assert says in note


def test_a_part_of_a_series_at_the_ends_of_days_is_taken_as_its_other_parts():
    # The last file of a series of years: it begins with a year if its stamps are ends, and ends anywhere.
    time, _ = opened(stamped(series("2003-01-02", "2003-03-15", "D")))
    assert str(time.values[0])[:13] == "2003-01-01T12"


def test_instants_have_no_bounds_to_miss():
    file = stamped(series("2001-01-02", "2003-01-01", "D"), methods="time: point")
    found = open_climate(file)
    np.testing.assert_array_equal(found.time, file.time)
    assert not any("time_bnds" in note for note in notes_of(found))


def test_files_say_it_once_and_no_library_does(tmp_path, recwarn):
    file = stamped(series("2001-01-02", "2002-01-01", "D"))
    file.tas.attrs["cell_measures"] = "area: areacella"  # of another file, as CMIP has it
    file.lat.attrs["bounds"], file.lon.attrs["bounds"] = "lat_bnds", "lon_bnds"
    file.to_netcdf(tmp_path / "tas.nc")
    recwarn.clear()
    [report] = inspect(tmp_path / "tas.nc").files
    assert report.problem is None and not [str(each.message) for each in recwarn if "referenced" in str(each.message)]
    assert sum("time_bnds" in note for note in report.notes) == 1
    said = (
        "the bounds lat_bnds and lon_bnds are named, but not in the file: cells end in the middle between their centres"
    )
    assert report.notes.count(said) == 1


def test_bounds_of_another_shape_are_said():
    file = archive()
    file["lat_edges"] = (("lat", "k"), np.zeros((4, 3)))
    file.lat.attrs["bounds"] = "lat_edges"
    assert any("lat_edges (4 × 3) are no two edges or four corners" in note for note in notes_of(open_climate(file)))
