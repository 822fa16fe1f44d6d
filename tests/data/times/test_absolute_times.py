"""Dates written as numbers: each against the date that it spells."""

import numpy as np
import pytest
import xarray as xr

from subgrid.data.canonical import open_climate
from subgrid.data.fields import DataError
from subgrid.data.pooling.pooling import notes_of

from ..climate_files import archive


def stamped(values, calendar: str | None = None, **attributes) -> xr.Dataset:
    """An archive whose times are these numbers."""
    attributes |= {} if calendar is None else {"calendar": calendar}
    return archive(n_times=len(values)).assign_coords(time=("time", np.asarray(values), attributes))


def dates(*texts: str) -> np.ndarray:
    return np.array(texts, "datetime64[ns]")


@pytest.mark.parametrize(
    ("values", "units", "expected"),
    [
        ([20010131.5, 20010201.5], "day as %Y%m%d.%f", dates("2001-01-31T12", "2001-02-01T12")),
        ([20010131.25, 20010131.75], "day as %Y%m%d.%f", dates("2001-01-31T06", "2001-01-31T18")),
        ([20010131, 20010201], "day as %Y%m%d", dates("2001-01-31", "2001-02-01")),
        ([20010131, 20010201], "YYYYMMDD", dates("2001-01-31", "2001-02-01")),
        ([20010131, 20010201], "%Y%m%d", dates("2001-01-31", "2001-02-01")),
        ([20010131, 20010201], "", dates("2001-01-31", "2001-02-01")),
        ([2001013106, 2001013112], "YYYYMMDDHH", dates("2001-01-31T06", "2001-01-31T12")),
        # Months: of 31, 28 and 31 days, whose halves are 15.5, 14 and 15.5 days after their first.
        ([200101.5, 200102.5, 200103.5], "month as %Y%m.%f", dates("2001-01-16T12", "2001-02-15", "2001-03-16T12")),
        ([0, 1, 14], "months since 2001-01-16 12:00", dates("2001-01-16T12", "2001-02-15", "2002-03-16T12")),
    ],
)  # fmt: skip
def test_dates_written_as_numbers(values, units, expected):
    found = open_climate(stamped(values, **({"units": units} if units else {})))
    np.testing.assert_array_equal(found.time.values, expected)
    assert any(str(values[0])[:4] in note or units in note for note in notes_of(found) if note.startswith("time: "))


def test_years_with_their_fraction():
    found = open_climate(stamped([2001.5, 2002.5, 2004.0], units="year as %Y.%f"))
    np.testing.assert_array_equal(found.time.values, dates("2001-07-02T12", "2002-07-02T12", "2004-01-01"))


def test_a_calendar_of_its_own_and_bounds(tmp_path):
    file = stamped([20010228, 20010301], "noleap", units="YYYYMMDD", bounds="time_bnds")
    file = file.assign(time_bnds=(("time", "bnds"), np.array([[20010227, 20010228], [20010228, 20010301]])))
    file.to_netcdf(tmp_path / "f.nc")
    found = open_climate(tmp_path / "f.nc")
    # Each stamp is the end of its day, so it moves to the noon of the day before; 2001 has no leap day.
    assert [(t.month, t.day, t.hour) for t in found.time.values] == [(2, 27, 12), (2, 28, 12)]


def test_the_old_name_of_a_calendar():
    found = open_climate(stamped([0.5, 1.5, 2.5], "360", units="months since 1960-01-01"))
    assert [(t.year, t.month, t.day) for t in found.time.values] == [(1960, 1, 16), (1960, 2, 16), (1960, 3, 16)]
    assert str(found.time.dt.calendar) == "360_day"


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (stamped([1.0, 2.0]), r"coarse: time holds numbers \(float64\), not dates, such as 1\.0; give time the attr"),
        (stamped([20010230, 20010301], units="YYYYMMDD"), r"coarse: time in units 'YYYYMMDD' holds 20010230 and other"),
        (
            stamped(np.array([20010101.5, 20010103.5], np.float32), units="day as %Y%m%d.%f"),
            "dates such as 20010102 in single precision, which cannot tell one day from the next",
        ),
        (stamped([1, 2, 3], units="fortnights"), "time holds numbers .* in units 'fortnights'"),
    ],
)
def test_numbers_that_are_no_dates(file, message):
    with pytest.raises(DataError, match=message):
        open_climate(file)


def test_numbers_that_happen_to_be_small_are_not_read_as_dates():
    """Years alone could be a count of anything."""
    with pytest.raises(DataError, match="time holds numbers"):
        open_climate(stamped([2001, 2002]))
