"""Stamps at the end of their steps: a day is what ends from 01:00 to 24:00."""

import numpy as np
import pytest
import xarray as xr

from subgrid.data.canonical import open_climate
from subgrid.data.pooling.pooling import notes_of
from subgrid.data.times.ends import stamped_at_end

from ..climate_files import archive


def wet_and_dry(hours: int, *, name: str = "tp", calendar: str = "standard", **attributes: str) -> xr.Dataset:
    """24 mm on the first, third … day and none between, stamped at the ends of steps of so many hours."""
    n = 24 // hours
    file = archive("pr", n_times=6 * n).rename(pr=name)
    times = xr.date_range(
        f"2001-01-01T{hours:02d}", periods=6 * n, freq=f"{hours}h", calendar=calendar, use_cftime=calendar != "standard"
    )
    each = np.repeat([0.024 / n, 0.0] * 3, n)[:, None, None] * np.ones((1, 4, 5))
    return file.assign_coords(time=times).assign({name: (file[name].dims, each.astype("f4"), attributes)})


@pytest.mark.parametrize("hours", [1, 6])
@pytest.mark.parametrize("calendar", ["standard", "noleap"])
@pytest.mark.parametrize("attributes", [{"GRIB_stepType": "accum", "units": "metres"}, {"units": "m"}])
def test_a_day_is_made_of_the_hours_that_end_in_it(hours, calendar, attributes):
    found = open_climate(wet_and_dry(hours, calendar=calendar, **attributes), step="day")
    np.testing.assert_allclose(found.tp[:, 0, 0], [24, 0] * 3, rtol=1e-5)
    assert found.time.dt.day.values.tolist() == [1, 2, 3, 4, 5, 6]
    assert "stamps are taken for the ends of their steps" in notes_of(found)[-1]


def test_of_other_sums_it_is_said_how_their_stamps_are_taken():
    file = wet_and_dry(1, name="pr", units="m")
    found = open_climate(file, step="day")
    np.testing.assert_allclose(found.pr[:, 0, 0], [1, 23, 1, 23, 1], rtol=1e-5)  # 24:00 is 00:00 of the next day
    assert "taken for the beginnings of their steps: if they are the ends, write bounds" in notes_of(found)[-1]


def test_the_advice_works_and_bounds_go_before_all_else():
    file = wet_and_dry(1, name="pr", units="m")
    hour = np.timedelta64(1, "h")
    ends = np.stack([file.time.values - hour, file.time.values], -1)
    for name in ("pr", "tp"):
        bounded = file.rename(pr=name) if name != "pr" else file
        bounded = bounded.assign_coords(time_bnds=(("time", "nv"), ends))
        bounded.time.attrs["bounds"] = "time_bnds"
        found = open_climate(bounded, step="day")
        np.testing.assert_allclose(found[name][:, 0, 0], [24, 0] * 3, rtol=1e-5)
        assert "stamps are taken" not in notes_of(found)[-1]


def test_what_is_of_an_instant_is_not_stamped_at_an_end():
    field = xr.DataArray(0.0, name="t2m", attrs={"GRIB_stepType": "instant"})
    assert stamped_at_end(field, "K", bounded=False) is None
    assert stamped_at_end(field.rename("tp").drop_attrs(), "mm", bounded=False) is None
    assert stamped_at_end(field.rename("mx2t").drop_attrs(), "K", bounded=False) == "as in ERA5"
    assert stamped_at_end(field.rename("tp"), "m", bounded=True) == ""
