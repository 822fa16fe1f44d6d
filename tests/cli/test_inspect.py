"""An inspection on the terminal: everything on one screen, problems last."""

import io
import re

import numpy as np
import pytest
import xarray as xr
from rich.console import Console

from subgrid.cli.inspect import print_inspection, wanted_of
from subgrid.data.canonical import check_climate, open_climate
from subgrid.data.fields import DataError
from subgrid.data.inspection.inspection import inspect

from ..data.climate_files import DATA, archive, needs_data
from ..tiny import called


def printed(*sources, width=120) -> str:
    stream = io.StringIO()
    print_inspection(inspect(*sources), console=Console(file=stream, width=width))
    return stream.getvalue()


@needs_data
def test_nine_real_files_on_one_screen():
    # Not those of the other reference, on a grid of its own, which lie beside them.
    text = printed(*sorted(path for path in (DATA / "iberia").glob("*.nc") if not path.name.startswith("CORDEX")))
    assert len(text.splitlines()) <= 45
    for fragment in (
        "pr: kg m-2 s-1 -> mm day-1",
        "1982-12-01..2002-02-28, 1805 daily, DJF",
        "regular grid 19 x 29, 0.5 degrees, 35.0 to 44.5 N, -10.0 to 4.5 E",
        "40 % masked",
        "cells 2.82 times as wide; 100 % of the fine region covered",
        "They fit together.",
    ):
        assert fragment in text


@needs_data
def test_on_80_columns_names_dates_and_ranges_are_whole():
    text = printed(DATA / "iberia" / "CMIP5_Iberia_psl.rcp85.nc", DATA / "iberia" / "EOBS_Iberia_pr.nc", width=80)
    assert max(map(len, text.splitlines())) <= 80 and "…" not in text
    for whole in (
        "CMIP5_Iberia_psl.rcp85.nc", "2080-12-01..2100-02-28,", "1804 daily, DJF", "97615..105152", "4 cells with gaps",
    ):  # fmt: skip
        assert whole in text


def test_a_row_is_a_variable(tmp_path):
    both = archive().assign(pr=archive("pr").pr)
    both.to_netcdf(tmp_path / "both.nc")
    rows = [line for line in printed(tmp_path / "both.nc", width=80).splitlines() if line.startswith(("both", " " * 8))]
    assert [line.split()[:2] for line in rows if ": " in line] == [["both.nc", "tas:"], ["pr:", "mm"]]


def test_problems_come_last():
    coarse = archive(lat=np.arange(30, 40, 2.0), lon=np.arange(0, 10, 2.0))
    fine = archive("pr", lat=np.arange(60, 63, 0.5), lon=np.arange(0, 3, 0.5))
    text = printed(coarse, fine, "gone.nc")
    last = " ".join(text.split("change: ", 1)[1].split())
    assert "gone.nc: no such file" in last and "do not overlap" in last
    assert "They fit together" not in text


def test_gaps_are_said_with_the_setting_that_a_fit_needs():
    fine, coarse = archive(n_times=9), archive(n_times=9, lat=np.arange(36, 43, 3.0), lon=np.arange(-9, 4, 4.0))
    coarse.tas[4, 1, 1] = np.nan
    text = " ".join(printed(fine, coarse, width=400).split())
    assert "They fit together with gaps = 'mask' or gaps = 'drop'" in text and "--set gaps=mask" in text
    with pytest.raises(DataError, match="gaps = 'drop', or leave these cells out with gaps = 'mask'"):
        check_climate(open_climate(coarse))
    for setting in ("mask", "drop"):  # the advice works
        assert np.isfinite(check_climate(open_climate(coarse), gaps=setting).tas).any()
    # All cells but that one have a gap on another day, so that masking them would leave none.
    coarse.tas[2] = np.where(np.arange(12).reshape(3, 4) == 5, coarse.tas[2], np.nan)
    assert "They fit together with gaps = 'drop' (" in " ".join(printed(fine, coarse, width=400).split())


def test_a_time_without_any_value_is_a_gap_that_dropping_bridges(tmp_path):
    fine, coarse = archive(n_times=9), archive(n_times=9, lat=np.arange(36, 43, 3.0), lon=np.arange(-9, 4, 4.0))
    coarse.tas[[3, 6]] = np.nan
    text = " ".join(printed(fine, coarse, width=400).split())
    day = str(coarse.time.values[3])[:10]
    assert (
        f"tas has no value (NaN) anywhere at time = {day} (2 such times); drop these times with gaps = 'drop'" in text
    )
    assert "They fit together with gaps = 'drop' (" in text
    assert "cells with gaps" not in text
    for file, data in (("fine.nc", fine), ("coarse.nc", coarse)):
        data.to_netcdf(tmp_path / file)
    assert called("inspect", tmp_path / "fine.nc", tmp_path / "coarse.nc").code == 0
    for setting in ("refuse", "mask"):  # as a fit by default, and by the other setting
        with pytest.raises(
            DataError, match=rf"anywhere at time = {day} \(2 such times\); drop these times with gaps = 'd"
        ):
            check_climate(open_climate(coarse), gaps=setting)
    dropped = check_climate(open_climate(coarse), gaps="drop")
    xr.testing.assert_equal(dropped.time, open_climate(coarse).time.isel(time=[0, 1, 2, 4, 5, 7, 8]))
    coarse.tas[1, 1, 1] = np.nan  # a cell beside them: masking is no way out, and is not advised
    text = " ".join(printed(fine, coarse, width=400).split())
    assert "1 cell with values at some times only; fill them, or leave out the times that lack them" in text
    assert "They fit together with gaps = 'drop' (" in text


def test_no_setting_is_named_where_none_leaves_anything():
    fine, coarse = archive(n_times=12), archive(n_times=12, lat=np.arange(36, 43, 3.0), lon=np.arange(-9, 4, 4.0))
    for k in range(12):
        coarse.tas[k, k // 4, k % 4] = np.nan  # a cell at every time, and a time of every cell
    (problem,) = inspect(fine, coarse).problems
    assert "none would be left; fill them" in problem
    for setting in ("mask", "drop"):
        with pytest.raises(DataError, match="would leave none"):
            check_climate(open_climate(coarse), gaps=setting)


def test_gaps_of_what_nobody_asks_for_need_nothing():
    fine, coarse = archive(n_times=9), archive(n_times=9, lat=np.arange(36, 43, 3.0), lon=np.arange(-9, 4, 4.0))
    coarse, fine = coarse.assign(pr=abs(coarse.tas) / 100), fine.assign(pr=abs(fine.tas) / 100)
    for each in (coarse, fine):
        each.pr.attrs = {"units": "mm day-1", "standard_name": "lwe_precipitation_rate"}
    coarse.pr[4, 1, 1] = np.nan
    assert inspect(fine, coarse, variables=["tas"]).fit.gaps == ()
    assert inspect(fine, coarse, variables=["pr"]).fit.gaps == ("mask", "drop")


def test_the_height_of_the_ground_is_no_unknown_variable():
    ground = archive(n_times=1).isel(time=0, drop=True).rename(tas="orog")
    ground["orog"] = (ground.orog * 3).assign_attrs(units="m", standard_name="surface_altitude")
    text = " ".join(printed(ground, width=400).split())
    assert "orog is the height of the ground (by its standard name)" in text and "orography =" in text
    assert "not known" not in text


@pytest.mark.parametrize("n_files", [3, 12])
def test_many_files_of_one_grid_are_summed_up(tmp_path, n_files):
    whole = archive(n_times=2 * n_files)
    for i in range(n_files):
        whole.isel(time=slice(2 * i, 2 * i + 2)).to_netcdf(tmp_path / f"part{i:02d}.nc")
    assert ("and 3 more" in printed(tmp_path)) == (n_files == 12)


def test_what_is_asked_for_on_the_command_line():
    assert wanted_of(None) is None
    found = wanted_of(["tas", "pr=pre", 'hum={names=["rh"], bounds=[0, 100]}'])
    assert found == {"tas": {}, "pr": "pre", "hum": {"names": ["rh"], "bounds": [0, 100]}}
    with pytest.raises(DataError, match=r"--variable x=\{bounds: cannot be read as a table"):
        wanted_of(["x={bounds"])


def test_what_variables_are_and_notes_are_said_once():
    humid = archive().rename(tas="hurs")
    humid["hurs"] = (humid.hurs * 0 + 0.5).assign_attrs(units="1", standard_name="relative_humidity")
    text = printed(humid)
    assert "hurs is taken for a relative humidity (standard_name 'relative_humidity'); 0 to 100 %" in text
    assert "modelled by its arcsine between the bounds" in " ".join(text.split())


def test_a_grid_whose_variables_cannot_be_used_is_shown_and_its_problem_said(subgrid, tmp_path):
    """The sea filled without a word in the file: the only variable is refused, and so is the only one of a month."""
    filled = archive()
    filled["tas"] = (filled.tas - 273.15).where(filled.lat > 37, -999.0).assign_attrs(units="degC")
    filled.tas.encoding["_FillValue"] = None
    filled.to_netcdf(tmp_path / "sea.nc")
    empty = archive()
    empty["tas"] = empty.tas.where(empty.time != empty.time[2]).assign_attrs(empty.tas.attrs)
    for source, said in ((tmp_path / "sea.nc", "change: .*missing = -999"), (empty * np.nan, "change: .*only NaN")):
        text = " ".join(printed(source).split())
        assert "none that can be used" in text and re.search(said, text), text
    outcome = subgrid("inspect", tmp_path / "sea.nc")
    assert outcome.code == 2 and "missing = -999" in " ".join(outcome.out.split())
