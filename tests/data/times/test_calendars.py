"""Calendars: phases against dates counted by cftime, season years against a hand-made list."""

import cftime
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings, strategies as st

from subgrid.data.fields import DataError
from subgrid.data.times.calendars import (
    calendar_of,
    check_calendar,
    count_years,
    day_of_year_phase,
    equal_step_days,
    season_name,
    season_years,
    split_by_parity,
    step_days,
    step_name,
)

CF_CALENDARS = ["standard", "proleptic_gregorian", "noleap", "all_leap", "360_day", "julian"]


def times(dates) -> xr.DataArray:
    return xr.DataArray(np.array(dates), dims="time", name="time")


@given(
    calendar=st.sampled_from(CF_CALENDARS),
    year=st.integers(1900, 2300),
    month=st.integers(1, 12),
    day=st.integers(1, 28),
    hour=st.integers(0, 23),
)
@settings(max_examples=60, deadline=None)
def test_phase_is_the_elapsed_part_of_the_year(calendar, year, month, day, hour):
    def date(*args):
        return cftime.datetime(*args, calendar=calendar)

    phase = day_of_year_phase(times([date(year, month, day, hour)]))[0]
    elapsed = date(year, month, day, hour) - date(year, 1, 1)
    assert phase == pytest.approx(elapsed / (date(year + 1, 1, 1) - date(year, 1, 1)), abs=1e-9)
    assert 0 <= phase < 1
    # The same date differs between calendars by two days at most (360 against 366 days a year).
    reference = day_of_year_phase(times([cftime.datetime(year, month, day, hour, calendar="noleap")]))[0]
    assert abs(phase - reference) < 3 / 360


def test_phase_of_datetime64():
    time = xr.DataArray(np.array(["2001-01-01", "2001-12-31T12", "2000-12-31"], "datetime64[ns]"), dims="time")
    np.testing.assert_allclose(day_of_year_phase(time), [0, 364.5 / 365, 365 / 366])


@pytest.mark.parametrize("calendar", ["standard", "noleap", "360_day"])
def test_december_counts_to_the_next_season_year(calendar):
    time = xr.DataArray(
        xr.date_range("1982-11-30", "1984-01-02", calendar=calendar, use_cftime=calendar != "standard"), dims="time"
    )
    label = season_years(time)
    dates = [(int(t.dt.year), int(t.dt.month)) for t in time]
    for (year, month), found in zip(dates, label, strict=True):
        assert found == {(1982, 11): 1982, (1982, 12): 1983, (1983, 12): 1984, (1984, 1): 1984}.get(
            (year, month), found
        )
        assert found == 1983 or (year, month) in [(1982, 11), (1983, 12), (1984, 1)]


def test_parity_splits_between_season_years():
    time = xr.date_range("1982-12-01", "1985-02-28")
    time = time[(time.month == 12) | (time.month <= 2)]
    dataset = xr.Dataset({"tas": ("time", np.arange(len(time)))}, {"time": time})
    odd, even = split_by_parity(dataset)
    assert set(season_years(odd.time)) == {1983, 1985}
    assert set(season_years(even.time)) == {1984}
    assert odd.sizes["time"] + even.sizes["time"] == len(time)
    assert even.sizes["time"] == 91  # 1984 is a leap year
    with pytest.raises(DataError, match=r"the archive holds only \[1984\]"):
        split_by_parity(even)


def test_steps_ignore_the_gaps_between_seasons():
    time = xr.date_range("1982-12-01", "1985-02-28")
    time = xr.DataArray(time[(time.month == 12) | (time.month <= 2)], dims="time")
    assert step_days(time) == 1.0
    assert equal_step_days(time) == 1.0
    months = xr.DataArray(xr.date_range("2000-01-01", periods=24, freq="MS"), dims="time")
    assert equal_step_days(months) is None
    assert step_name(step_days(months)) == "monthly"
    cf = xr.DataArray(xr.date_range("2000", periods=8, freq="6h", calendar="360_day", use_cftime=True), dims="time")
    assert step_name(step_days(cf)) == "6-hourly"
    assert calendar_of(cf) == "360_day"
    assert step_days(time[:1]) is None


@pytest.mark.parametrize(
    ("first", "last", "months", "n"),
    [
        ("2001-01-01", "2002-12-31", range(1, 13), 2),  # though they touch three season years
        ("2001-07-01", "2002-06-30", range(1, 13), 1),
        ("1982-12-01", "2002-02-28", (12, 1, 2), 20),
        ("2001-01-01", "2003-03-31", range(1, 13), 3),
    ],
)
def test_years_are_how_often_a_month_comes(first, last, months, n):
    time = xr.date_range(first, last)
    assert count_years(xr.DataArray(time[np.isin(time.month, months)], dims="time")) == n


@pytest.mark.parametrize(
    ("months", "name"),
    [
        ((1, 2, 12), "DJF"),
        ((6, 7, 8), "JJA"),
        (tuple(range(1, 13)), "all months"),
        ((1,), "month 1"),
        ((1, 7), "months 1, 7"),
        ((1, 2, 3, 10, 11, 12), "ONDJFM"),
    ],
)
def test_season_names(months, name):
    assert season_name(months) == name


def test_unknown_calendar_and_undecoded_times():
    with pytest.raises(DataError, match=r"f\.nc: time has the unknown calendar 'maya'; set its attribute 'calendar'"):
        check_calendar("maya", file="f.nc")
    with pytest.raises(DataError, match=r"time holds numbers \(float64\), not dates"):
        season_years(xr.DataArray([0.0, 1.0], dims="time"))
