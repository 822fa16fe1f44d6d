"""Inspection: facts of the real files, and faults reported without stopping at the first."""

import numpy as np
import pytest
import xarray as xr

from subgrid.data.canonical import check_climate, open_climate
from subgrid.data.fields import DataError
from subgrid.data.inspection.inspection import inspect
from subgrid.downscaling.model.fit import fit

from ..climate_files import DATA, archive, needs_data

EMPTY = "tas has no value (NaN) anywhere in this file; drop its times with gaps = 'drop', or fill them."


@needs_data
def test_iberia_fits_together():
    found = inspect(*sorted(path for path in (DATA / "iberia").glob("*.nc") if not path.name.startswith("CORDEX")))
    assert len(found.files) == 9
    assert found.problems == ()
    reports = {report.file.rsplit("/", 1)[-1]: report for report in found.files}
    rain, land = reports["EOBS_Iberia_pr.nc"], reports["EOBS_Iberia_tas.nc"]
    assert rain.variables[0].gappy == 4
    assert "gaps = 'mask'" in rain.advice[0]
    assert land.variables[0].masked == pytest.approx(221 / 551)
    assert (land.variables[0].units_found, land.variables[0].units) == ("degC", "K")
    period = reports["CMIP5_Iberia_tas.rcp85.nc"].period
    assert period is not None
    assert (period.n_times, period.n_years, period.season, period.step) == (1804, 20, "DJF", "daily")
    fit = found.fit
    assert fit is not None
    assert fit.variables == ("pr", "tas")
    assert fit.ratio == pytest.approx(1.4 / 0.5, rel=0.02)
    assert fit.overlap == pytest.approx(1.0)
    assert fit.shared_dates == 1805


@needs_data
def test_climdown_tells_calendars_and_short_archive():
    found = inspect(DATA / "climdown" / "tiny_obs.nc", DATA / "climdown" / "tiny_gcm.nc")
    assert found.fit is not None
    assert found.fit.coarse[0].endswith("tiny_gcm.nc")
    assert any("noleap" in remark for remark in found.fit.remarks)
    assert any("tiny_obs.nc holds 3 years only" in remark for remark in found.fit.remarks)


def test_faults_of_files_are_all_reported(tmp_path):
    archive().to_netcdf(tmp_path / "good.nc")
    (tmp_path / "text.nc").write_text("no data")
    bad = archive()
    bad["tas"] = (bad.tas - 273.15).assign_attrs(bad.tas.attrs)
    bad.to_netcdf(tmp_path / "celsius.nc")
    found = inspect(tmp_path, tmp_path / "gone.nc")
    reports = {report.file.rsplit("/", 1)[-1]: report for report in found.files}
    assert reports["good.nc"].problem is None
    assert "is text ('no data'), and neither NetCDF nor Zarr" in str(reports["text.nc"].problem)
    assert "look like degC" in str(reports["celsius.nc"].problem)
    assert "no such file" in str(reports["gone.nc"].problem)
    assert len(found.problems) == 3


def test_two_datasets_that_do_not_fit():
    coarse = archive(lat=np.arange(30, 40, 2.0), lon=np.arange(0, 10, 2.0))
    fine = archive("pr", lat=np.arange(60, 63, 0.5), lon=np.arange(0, 3, 0.5))
    found = inspect(coarse, fine)
    assert found.fit is not None
    assert found.fit.variables == ()
    assert "do not overlap" in found.problems[0]
    assert "no variable has the same name" in found.problems[1]


def test_suspiciously_dry():
    rain = archive("pr", n_times=120)
    rain["pr"] = (rain.pr / 86_400).assign_attrs(rain.pr.attrs)
    found = inspect(rain)
    assert "which would be a desert; are the values in kg m-2 s-1" in found.files[0].advice[0]
    assert found.fit is None


def test_members_are_counted(tmp_path):
    for i in (1, 2):
        archive(seed=i).expand_dims(member=[i]).to_netcdf(tmp_path / f"m{i}.nc")
    assert [report.n_members for report in inspect(tmp_path).files] == [1, 1]


def test_only_what_is_asked_for_can_be_a_problem():
    file = archive()
    file["odd"] = file.tas.assign_attrs(units="quux", standard_name="air_temperature")
    found = inspect(file)
    assert found.problems == ()
    assert "odd cannot be used" in found.files[0].advice[0] and "unknown units 'quux'" in found.files[0].advice[0]
    assert inspect(file, variables="tas").files[0].advice == ()
    assert "unknown units 'quux'" in inspect(file, variables=["tas", "odd"]).problems[0]
    assert "no variable 'pr' in any file" in inspect(file, variables="pr").problems[0]


def test_a_fault_of_what_the_other_archive_holds_is_a_problem():
    coarse = archive(lat=np.arange(0, 4.0), lon=np.arange(0, 4.0))
    coarse["tas"].attrs["units"] = "quux"
    coarse["pr"] = coarse.tas.assign_attrs(units="mm day-1", standard_name="precipitation_flux")
    assert any("unknown units 'quux'" in problem for problem in inspect(coarse, archive()).problems)


def test_what_a_variable_is_and_what_was_done_is_reported():
    file = archive().rename(tas="hurs")
    file["hurs"] = (file.hurs - file.hurs.max() + 104.0).assign_attrs(units="%", standard_name="relative_humidity")
    report = inspect(file, variables={"hum": "hurs"}).files[0]
    assert report.variables[0].described.quantity == "relative humidity"
    assert report.variables[0].described.bounds == (0.0, 100.0)
    assert report.advice == ("hum reaches 104 %, beyond its bound, which is taken instead.",)


def test_large_archives_are_looked_at_and_read_whole_only_on_request(monkeypatch):
    monkeypatch.setattr("subgrid.data.inspection.variable_reports.WHOLE_BELOW", 10)
    file = archive(n_times=40)
    assert inspect(file).files[0].variables[0].n_looked_at == 9
    assert inspect(file, values=True).files[0].variables[0].n_looked_at == 40


@pytest.mark.parametrize(("freq", "n", "step"), [("MS", 6, "monthly"), ("D", 5, "daily")])
def test_files_of_one_time_each_are_looked_at_together(freq, n, step, tmp_path):
    times = xr.date_range("2001-01-01", periods=n, freq=freq)
    whole = archive("pr", n_times=n).assign_coords(time=times)
    whole.pr.attrs |= {"units": "mm", "standard_name": "precipitation_amount"}
    for i in range(n):
        whole.isel(time=[i]).to_netcdf(tmp_path / f"pr_{i}.nc")
    coarse = archive("pr", lat=np.arange(36.0, 43.0, 3), lon=np.arange(-9.0, 4.0, 4), n_times=90)
    for given in ([str(tmp_path / "pr_*.nc")], sorted(tmp_path.glob("*.nc"))):
        found = inspect(*given, coarse, step="month" if freq == "MS" else None)
        assert not [report.problem for report in found.files if report.problem]
        assert all(f"amounts of each time step ({step})" in report.notes[-1] for report in found.files[:n])
    length = times.days_in_month if freq == "MS" else 1
    np.testing.assert_allclose(open_climate(tmp_path).pr, whole.pr / np.reshape(length, (-1, 1, 1)), rtol=1e-5)
    alone = inspect(tmp_path / "pr_0.nc").problems
    assert "an amount needs time steps of known length" in alone[0]


def test_two_single_days_tell_no_time_step(tmp_path):
    whole = archive("pr", n_times=2)
    whole.pr.attrs["units"] = "mm"
    files = [whole.isel(time=[i]) for i in range(2)]
    with pytest.raises(DataError, match="an amount needs time steps of known length"):
        open_climate(files)


def test_files_of_one_archive_that_cannot_be_joined_are_a_problem(tmp_path):
    archive().to_netcdf(tmp_path / "a.nc")
    archive(calendar="noleap", start="2005-01-01").to_netcdf(tmp_path / "b.nc")
    assert "has the calendar" in inspect(str(tmp_path / "*.nc")).problems[0]
    apart = inspect(tmp_path / "a.nc", tmp_path / "b.nc")  # these may be two archives
    assert apart.problems == () and "it makes no archive" in apart.files[0].advice[0]


def test_what_never_changes_is_a_problem_of_what_is_asked_for():
    coarse, fine = archive(lat=np.arange(36.0, 43.0, 3), lon=np.arange(-9.0, 4.0, 4)), archive()
    fine["tas"] = fine.tas.copy(data=np.full(fine.tas.shape, 280, np.float32))
    assert inspect(coarse, fine).problems == ("tas never changes in dataset 2: it is 280 K; bring other data.",)


def test_plain_arrays_are_told_what_they_can_do():
    (said,) = inspect(archive().drop_vars(["lat", "lon"])).problems
    assert "`subgrid fit FINE COARSE -o MODEL`" in said and "--operator N" in said


def test_a_file_without_any_value_is_a_gap_beside_others_and_a_fault_alone(tmp_path):
    fine, coarse = archive(n_times=9), archive(n_times=9, lat=np.arange(36, 43, 3.0), lon=np.arange(-9, 4, 4.0))
    coarse.tas[3] = np.nan
    for k in range(9):
        coarse.isel(time=[k]).to_netcdf(tmp_path / f"tas_{k}.nc")
    found = inspect(fine, tmp_path / "tas_*.nc")
    assert found.problems == ()
    assert found.fit is not None
    assert found.fit.gaps == ("drop",)
    said = [(report.file[-8:], sentence) for report in found.files for sentence in report.advice]
    assert said == [("tas_3.nc", EMPTY)]
    kept = check_climate(open_climate(tmp_path / "tas_*.nc"), gaps="drop")  # the advice works
    np.testing.assert_array_equal(kept.time, open_climate(coarse).time[[0, 1, 2, 4, 5, 6, 7, 8]])
    assert "tas holds no value at all, only NaN" in inspect(tmp_path / "tas_3.nc").problems[0]
    (tmp_path / "all").mkdir()
    for k in range(2):
        coarse.isel(time=[3]).assign_coords(time=coarse.time[[k]]).to_netcdf(tmp_path / "all" / f"tas_{k}.nc")
    assert "tas holds no value at all, only NaN" in inspect(fine, tmp_path / "all").problems[0]


def test_a_member_without_any_value_is_a_fault_beside_others(tmp_path):
    fine, coarse = archive(n_times=8), archive(n_times=8, lat=np.arange(36, 43, 3.0), lon=np.arange(-9, 4, 4.0))
    hollow = coarse.where(False)
    coarse.to_netcdf(tmp_path / "tas_r1i1p1.nc")
    hollow.to_netcdf(tmp_path / "tas_r2i1p1.nc")
    assert "tas_r2i1p1.nc: tas holds no value at all, only NaN" in inspect(fine, tmp_path / "tas_*.nc").problems[0]
    with pytest.raises(DataError):  # no advice would help
        check_climate(open_climate(tmp_path / "tas_*.nc"), gaps="drop")
    (tmp_path / "tas_r2i1p1.nc").unlink()
    for k, data in enumerate((hollow, coarse)):  # the first half alone lacks values of this member
        data.isel(time=slice(4 * k, 4 * k + 4)).to_netcdf(tmp_path / f"tas_r2i1p1_{k}.nc")
    found = inspect(fine, tmp_path / "tas_*.nc")
    assert found.problems == ()
    assert found.fit is not None
    assert found.fit.gaps == ("drop",)
    assert check_climate(open_climate(tmp_path / "tas_*.nc"), gaps="drop").sizes["time"] == 4


def test_what_is_only_looked_at_is_said_to_be_so(monkeypatch):
    monkeypatch.setattr("subgrid.data.inspection.variable_reports.WHOLE_BELOW", 0)
    data = archive(n_times=400)
    data.tas[:100] = np.nan
    (said,) = inspect(data).files[0].advice
    assert "(3 such times of the 9 times looked at)" in said  # 0, 49 and 99
    (problem,) = inspect(data.where(False)).problems
    assert "tas holds no value, only NaN, at any of the 9 times looked at" in problem
    (whole,) = inspect(data, values=True).files[0].advice
    assert "(100 such times)" in whole


def test_one_season_year_is_said_to_be_too_few_for_a_fit(tmp_path):
    coarse = archive(n_times=12, lat=np.arange(36, 43, 3.0), lon=np.arange(-9, 4, 4.0))
    for n, told in ((12, True), (400, False)):
        found = inspect(coarse, archive(n_times=n))
        assert found.fit is not None
        said = [remark for remark in found.fit.remarks if "one season year only, which `subgrid fit` refuses" in remark]
        assert bool(said) == told
    with pytest.raises(DataError, match=r"holds one season year to fit on.*bring two or more"):
        fit(archive(n_times=12), coarse, folder=tmp_path / "m", key=0, progress=False)
