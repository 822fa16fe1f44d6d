"""Time steps: averages against means taken by hand, and what is refused."""

import itertools

import numpy as np
import pytest
import xarray as xr

from subgrid.data.canonical import check_climate, open_climate
from subgrid.data.fields import DataError
from subgrid.data.inspection.inspection import inspect
from subgrid.data.inspection.together import check_together, misfits
from subgrid.data.pooling.pooling import notes_of
from subgrid.data.times.steps import common_step, how_to_average

from ..climate_files import archive


def hourly(hours: int, n_days: int, *, variable: str = "tas", start: str = "2001-01-01", **attributes) -> xr.Dataset:
    file = archive(variable, n_times=n_days * 24 // hours)
    first = np.datetime64(start, "ns")
    file = file.assign_coords(time=first + np.timedelta64(hours, "h") * np.arange(file.sizes["time"]))
    file[variable].attrs |= attributes
    return file


def days_of(file: xr.Dataset, n: int, variable: str = "tas") -> np.ndarray:
    """(day, hour, lat, lon), in float64."""
    values = file[variable].values.astype(np.float64)
    return values.reshape(-1, n, *values.shape[1:])


def test_days_are_means_of_their_hours():
    file = hourly(3, 5)
    found = open_climate(file, step="day")
    np.testing.assert_allclose(found.tas, days_of(file, 8).mean(1), rtol=1e-7)  # stored in float32
    np.testing.assert_array_equal(
        found.time.values, np.arange("2001-01-01", "2001-01-06", dtype="M8[D]").astype("M8[ns]")
    )
    assert notes_of(found) == ("tas: 3-hourly values become 5 daily means, each day from 00:00 on",)
    assert found.chunks


@pytest.mark.parametrize("calendar", ["standard", "noleap"])
@pytest.mark.parametrize("hours", [1, 2, 3, 4, 6, 8, 12])
def test_every_step_that_fills_a_day_is_averaged(hours, calendar):
    file = hourly(hours, 3)
    if calendar != "standard":
        times = xr.date_range("2001-01-01", periods=file.sizes["time"], freq=f"{hours}h", calendar=calendar)
        file = file.assign_coords(time=times)
    found = open_climate(file, step="day")
    np.testing.assert_allclose(found.tas, days_of(file, 24 // hours).mean(1), rtol=1e-6)


def test_only_complete_days_count():
    file = hourly(6, 5).isel(time=slice(1, -2))  # the first day and the last lack hours
    file = file.isel(time=[i for i in range(file.sizes["time"]) if i != 8])  # and so does the third
    found = open_climate(file, step="day")
    assert found.time.dt.day.values.tolist() == [2, 4]
    assert "; 3 incomplete days are dropped" in notes_of(found)[0]
    whole = hourly(6, 5)
    np.testing.assert_allclose(found.tas, days_of(whole, 4).mean(1)[[1, 3]], rtol=1e-7)


def test_months_are_means_of_their_days_also_across_files():
    whole = hourly(24, 90)  # January to March 2001
    found = open_climate([whole.isel(time=slice(0, 40)), whole.isel(time=slice(40, None))], step="month")
    edges = np.cumsum([0, 31, 28, 31])
    expected = [whole.tas.values[a:b].astype(float).mean(0) for a, b in itertools.pairwise(edges)]
    np.testing.assert_allclose(found.tas, expected, rtol=1e-7)
    np.testing.assert_array_equal(
        found.time.values, np.array(["2001-01-16T12", "2001-02-15", "2001-03-16T12"], "M8[ns]")
    )


@pytest.mark.parametrize("calendar", ["noleap", "360_day"])
def test_months_of_other_calendars(calendar):
    n = {"noleap": 59, "360_day": 60}[calendar]
    file = archive(n_times=n, start="2000-01-01", calendar=calendar)
    found = open_climate(file, step="month")
    assert found.sizes["time"] == 2
    assert [(t.month, t.day) for t in found.time.values] == [(1, 16), (2, 15 if calendar == "noleap" else 16)]


@pytest.mark.parametrize(
    ("name", "methods", "how"),
    [
        ("tas", "", "mean"),
        ("tas", "time: point", "mean"),
        ("tas", "area: mean time: maximum", "maximum"),
        ("tas", "time: minimum within days", "minimum"),
        ("tasmax", "", "maximum"),
        ("tasminAdjust", "", "minimum"),
        ("tx", "", "maximum"),
        ("tn", "", "minimum"),
        ("climate_maxim", "", "mean"),
        ("runoff", "time: sum", "sum"),
        ("pr", "time: sum", "mean"),  # a rate by then
    ],
)
def test_how_a_day_is_made_of_hours(name, methods, how):
    assert how_to_average(xr.DataArray(0.0, name=name, attrs={"cell_methods": methods})) == how


def test_extremes_of_days_and_the_monthly_mean_of_them():
    file = hourly(6, 59, cell_methods="time: maximum")
    largest = days_of(file, 4).max(1)
    days = open_climate(file, step="day")
    np.testing.assert_array_equal(days.tas, largest.astype(np.float32))
    for source in (file, days):
        months = open_climate(source, step="month")
        np.testing.assert_allclose(months.tas, [largest[:31].mean(0), largest[31:].mean(0)], rtol=1e-6)
        assert "means of its daily maxima" in notes_of(months)[-1]
    lowest = open_climate(file.rename(tas="tasmin").assign_attrs(), {"tasmin": "tasmin"}, step="day")
    assert lowest.tasmin.attrs["cell_methods"] == "time: maximum"  # what the file says comes before the name


def test_amounts_become_rates_before_they_are_averaged():
    """2 mm every 6 hours are 8 mm a day."""
    file = hourly(6, 3, variable="pr")
    file["pr"] = (file.pr.dims, np.full(file.pr.shape, 2, np.float32), {"units": "mm"})
    np.testing.assert_allclose(open_climate(file, step="day").pr, 8.0, rtol=1e-6)


@pytest.mark.parametrize("fill", [-99.0, -9999.0])
@pytest.mark.parametrize("units", ["K", "degC", "1"])
def test_a_fill_value_is_not_averaged_away(fill, units, tmp_path):
    """In July of the second file; in units that are not known it only lies apart."""
    file = hourly(24, 365)
    name = "tas" if units != "1" else "index"
    file = file.rename(tas=name)
    file[name].attrs = {"units": units}
    if units != "K":
        file[name] = (file[name] - 273.15).assign_attrs(units=units)
    file.isel(time=slice(0, 181)).to_netcdf(tmp_path / "a.nc")
    rest = file.isel(time=slice(181, None)).copy(deep=True)
    months = open_climate([tmp_path / "a.nc", rest], step="month")
    assert months[name].notnull().all()
    rest[name][17, 2, 3] = fill
    rest.to_netcdf(tmp_path / "b.nc")
    with pytest.raises(DataError, match=rf"b\.nc: {name} is {fill:.0f} in the file.* at time = 2001-07-18, lat = 40"):
        check_climate(open_climate(tmp_path, step="month"))


def test_a_storm_of_an_hour_is_averaged():
    file = hourly(1, 3, variable="pr")
    file.pr.attrs = {"units": "mm hour-1"}
    file.pr[30, 1, 1] = 300.0
    assert check_climate(open_climate(file, step="day")).sizes["time"] == 3


def test_blocks_before_averages_are_placed_among_members():
    file = xr.concat([hourly(6, 62, start="2001-03-01"), hourly(6, 62, start="2001-03-01")], "number")
    file = file.assign_coords(number=[3, 7]).chunk(time=50, lat=2)
    file = file.assign(
        tas=file.tas.where(~((file.number == 7) & (file.time == np.datetime64("2001-04-05T06"))), -999.0)
    )
    with pytest.raises(DataError, match=r"tas is -999 .*realization = 7, time = 2001-04-05 06:00"):
        check_climate(open_climate(file, step="month"))


def test_a_missing_hour_leaves_no_day():
    file = hourly(6, 2)
    file.tas[5, 1, 2] = np.nan
    found = open_climate(file, step="day").tas.values
    assert np.isnan(found[1, 1, 2]) and np.isnan(found).sum() == 1


def test_what_cannot_be_averaged():
    months = archive(n_times=12).assign_coords(time=xr.date_range("2001-01-01", periods=12, freq="MS"))
    with pytest.raises(DataError, match="coarse: tas is monthly, which no average makes daily"):
        open_climate(months, step="day")
    five = archive(n_times=12).assign_coords(
        time=np.datetime64("2001-01-01", "ns") + 5 * np.timedelta64(1, "D") * np.arange(12)
    )
    with pytest.raises(DataError, match=r"steps of 120 hours, which do not fill a day.*resample\(time='MS'\)"):
        open_climate(five, step="month")
    with pytest.raises(DataError, match="holds no complete month"):
        open_climate(archive(n_times=20), step="month")


def test_archives_of_one_step_are_left_alone():
    file = archive()
    xr.testing.assert_equal(open_climate(file, step="day").load(), file)
    assert not notes_of(open_climate(file, step="day"))


@pytest.mark.parametrize(
    ("names", "step"),
    [
        (("3-hourly", "daily"), "day"),
        (("3-hourly", "6-hourly"), "day"),
        (("daily", "monthly"), "month"),
        (("3-hourly", "monthly"), "month"),
        (("daily", "yearly"), None),
        (("every 5 days", "daily"), None),
    ],
)
def test_the_step_that_two_archives_can_share(names, step):
    assert common_step(*names) == step


def pair(tmp_path):
    """3-hourly and daily files of 60 days, on a coarse and a fine grid."""
    coarse = hourly(3, 60)
    fine = archive(n_times=60, start="2001-01-01", lat=np.arange(36.5, 41, 0.5), lon=np.arange(-8, 2, 0.5))
    coarse.to_netcdf(tmp_path / "coarse.nc")
    fine.to_netcdf(tmp_path / "fine.nc")
    return tmp_path / "coarse.nc", tmp_path / "fine.nc"


def test_archives_of_other_steps_are_refused_and_the_advice_works(tmp_path):
    coarse, fine = pair(tmp_path)
    with pytest.raises(DataError, match=r"coarse is 3-hourly and fine daily.*average both with step = 'day'"):
        check_together(open_climate(coarse), open_climate(fine))
    check_together(*(open_climate(path, step="day") for path in (coarse, fine)))
    assert any("3-hourly" in problem for problem in inspect(coarse, fine).problems)
    assert not inspect(coarse, fine, step="day").problems
    monthly = open_climate(fine, step="month")
    assert "step = 'month'" in misfits(open_climate(coarse), monthly)[0]
    assert not misfits(open_climate(coarse, step="month"), monthly)


def test_files_of_other_steps_are_no_archive(tmp_path):
    """What a daily and a 6-hourly variable have in common would be one hour of each day."""
    files = [hourly(6, 5), archive("pr", n_times=5, start="2001-01-01")]
    for name, file in zip(("a", "b"), files, strict=True):
        file.to_netcdf(tmp_path / f"{name}.nc")
    with pytest.raises(DataError, match=r"a\.nc holds tas 6-hourly, and .*b\.nc holds pr daily; average both"):
        open_climate(tmp_path)
    found = open_climate(tmp_path, step="day")
    np.testing.assert_allclose(found.tas, days_of(files[0], 4).mean(1), rtol=1e-7)
    np.testing.assert_array_equal(found.pr, files[1].pr)
    with pytest.raises(DataError, match=r"holds tas 6-hourly, and .* holds tas daily"):
        open_climate([files[0], archive(n_times=5, start="2002-01-01")])
