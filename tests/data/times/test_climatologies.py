"""Climatologies, whose times are no dates."""

import numpy as np
import pytest
import xarray as xr

from subgrid.data.canonical import open_climate
from subgrid.data.fields import DataError

from ..climate_files import archive

METHODS = "time: mean within years time: mean over years"


def climatology(
    *, years: int = 30, bounds: bool = True, methods: str = METHODS, calendar: str = "standard"
) -> xr.Dataset:
    """Means of each month over some years, as CF has them."""
    options = {"calendar": calendar, "use_cftime": calendar != "standard"}
    file = archive(n_times=12).assign_coords(time=xr.date_range("1981-01-16", periods=12, freq="MS", **options))
    first = xr.date_range("1981-01-01", periods=12, freq="MS", **options)
    last = xr.date_range(f"{1980 + years}-02-01", periods=12, freq="MS", **options)
    file.tas.attrs["cell_methods"] = methods
    file.time.attrs["climatology"] = "climatology_bnds"
    ends = np.stack([first.values, last.values], -1)
    return file.assign_coords(climatology_bnds=(("time", "nv"), ends)) if bounds else file


@pytest.mark.parametrize(
    "options", [{}, {"bounds": False}, {"methods": ""}, {"methods": "", "calendar": "noleap"}], ids=str
)
def test_a_climatology_is_refused(options):
    with pytest.raises(DataError, match=r"tas is a climatology \(.*each of its 12 times stands for many years"):
        open_climate(climatology(**options))


def test_what_lies_within_a_year_is_a_series():
    """As means of the hours of each month are marked."""
    found = open_climate(climatology(years=1, methods="time: maximum within days time: mean over days"))
    assert found.sizes["time"] == 12


def test_a_climatology_in_a_file(tmp_path):
    climatology().to_netcdf(tmp_path / "normals.nc")
    with pytest.raises(DataError, match=r"normals.nc: tas is a climatology"):
        open_climate(tmp_path / "normals.nc")
