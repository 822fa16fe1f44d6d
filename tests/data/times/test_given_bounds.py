"""Bounds of times that no attribute names, or that hold nothing: the right month, or words."""

import cftime
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from subgrid.data.canonical import open_climate
from subgrid.data.pooling.pooling import notes_of

from ..climate_files import archive

MONTHS = pd.date_range("2001-01-01", periods=13, freq="MS")
MIDDLE = MONTHS[:-1] + (MONTHS[1:] - MONTHS[:-1]) / 2


def numbers(dates) -> np.ndarray:
    """Days since 2001."""
    return np.asarray((dates - MONTHS[0]).days, np.float64)


def monthly(name="time_bnds", pairs=None, **attributes) -> xr.Dataset:
    """Twelve means stamped at the end of their months, their bounds numbers beside them."""
    stamps = ("time", numbers(MONTHS[1:]), {"units": "days since 2001-01-01", "calendar": "standard", **attributes})
    pairs = np.stack([numbers(MONTHS[:-1]), numbers(MONTHS[1:])], 1) if pairs is None else pairs
    return archive(n_times=12).drop_vars("time").assign_coords(time=stamps).assign({name: (("time", "nv"), pairs)})


def opened(file, tmp_path) -> tuple[np.ndarray, str]:
    """The stamps, and what is said of them."""
    file.to_netcdf(tmp_path / "file.nc", encoding={n: {"_FillValue": None} for n in file.variables})
    found = open_climate(tmp_path / "file.nc", ["tas"])
    return found.time.values, " | ".join(notes_of(found))


@pytest.mark.parametrize("name", ["time_bnds", "time_bounds", "time_bound", "time_edges"])
@pytest.mark.parametrize("attributes", [{}, {"bounds": "gone"}])
def test_bounds_that_nothing_names_are_found(tmp_path, name, attributes):
    times, said = opened(monthly(name, **attributes), tmp_path)
    np.testing.assert_array_equal(times, MIDDLE)
    assert f"time: '{name}' is taken for the bounds, though no attribute 'bounds' names it" in said


def test_they_are_found_in_any_calendar_and_in_units_of_their_own(tmp_path):
    pairs = 24 * np.stack([np.arange(12), np.arange(1, 13)], 1) * 30.0
    file = monthly(pairs=pairs)
    file.time_bnds.attrs.update(units="hours since 2001-01-01", calendar="360_day")
    file = file.assign_coords(time=("time", 30.0 * np.arange(1, 13), {**file.time.attrs, "calendar": "360_day"}))
    times, _ = opened(file, tmp_path)
    assert times[0] == cftime.Datetime360Day(2001, 1, 16)
    assert times[-1] == cftime.Datetime360Day(2001, 12, 16)


@pytest.mark.parametrize("shift", [400.0, -40.0])
def test_what_does_not_hold_the_stamps_is_no_bounds(tmp_path, shift):
    pairs = np.stack([numbers(MONTHS[:-1]), numbers(MONTHS[1:])], 1) + shift
    times, said = opened(monthly(pairs=pairs), tmp_path)
    assert "is taken for the bounds" not in said
    assert "if they mark the end of the month before, write bounds of the times" in said
    assert times[0] == np.datetime64("2001-02-15")


def test_a_missing_pair_lies_between_its_neighbours(tmp_path):
    pairs = np.stack([numbers(MONTHS[:-1]), numbers(MONTHS[1:])], 1)
    pairs[[4, 8]] = np.nan
    times, said = opened(monthly(pairs=pairs, bounds="time_bnds"), tmp_path)
    np.testing.assert_array_equal(times, MIDDLE)
    assert "time: bounds are missing at 2 times, and are taken from their neighbours" in said


def test_one_missing_pair_is_one_time(tmp_path):
    pairs = np.stack([numbers(MONTHS[:-1]), numbers(MONTHS[1:])], 1)
    pairs[1] = np.nan  # February, shorter than its neighbours by 10 % and more
    times, said = opened(monthly(pairs=pairs, bounds="time_bnds"), tmp_path)
    np.testing.assert_array_equal(times, MIDDLE)
    assert "bounds are missing at 1 time, and are taken" in said


def test_a_missing_pair_is_not_filled_across_the_months_between_winters(tmp_path):
    winters = np.array([[2001, 12], [2002, 1], [2002, 2], [2002, 12], [2003, 1], [2003, 2]])
    starts = pd.DatetimeIndex([f"{y}-{m:02d}-01" for y, m in winters])
    ends = starts + pd.offsets.MonthBegin()
    pairs = np.stack([numbers(starts), numbers(ends)], 1)
    pairs[3] = np.nan  # December 2002, between the end of February and the start of January
    file = monthly().isel(time=slice(6)).drop_vars("time_bnds").assign(time_bnds=(("time", "nv"), pairs))
    middle = ("time", numbers(starts) + 15, {**file.time.attrs, "bounds": "time_bnds"})
    times, said = opened(file.assign_coords(time=middle), tmp_path)
    assert times[3].astype("datetime64[M]") == np.datetime64("2002-12")
    assert "the bounds 'time_bnds' are not used: 1 of 6 are missing, and their neighbours do not tell them all" in said


def test_the_stamp_that_is_shown_is_one_that_moves(tmp_path):
    file = monthly(bounds="time_bnds")
    stamps = numbers(MONTHS[1:])
    stamps[0] = 15.5  # the middle of January already
    times, said = opened(file.assign_coords(time=("time", stamps, file.time.attrs)), tmp_path)
    np.testing.assert_array_equal(times, MIDDLE)
    assert "11 of 12 stamps are moved to the middle of their bounds (2001-03-01 to 2001-02-15" in said


@pytest.mark.parametrize(
    ("pairs", "why"),
    [(np.zeros((12, 2)), "12 of 12 are empty"), (np.full((12, 2), np.nan), "12 of 12 are missing")],
)
def test_bounds_that_hold_nothing_are_as_none_and_said(tmp_path, pairs, why):
    times, said = opened(monthly(pairs=pairs, bounds="time_bnds"), tmp_path)
    assert f"time: the bounds 'time_bnds' are not used: {why}" in said
    assert "monthly stamps without bounds are moved to the middle of the months that they lie in" in said
    assert times[0] == np.datetime64("2001-02-15")


def test_bounds_that_are_the_stamps_are_of_instants(tmp_path):
    times, said = opened(monthly(pairs=np.stack([numbers(MONTHS[1:])] * 2, 1), bounds="time_bnds"), tmp_path)
    np.testing.assert_array_equal(times, MONTHS[1:])
    assert "time:" not in said
