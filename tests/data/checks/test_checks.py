"""Faults of values and times: one sentence with file, variable, place and what to do."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings, strategies as st

from subgrid.data.canonical import check_climate, open_climate, valid_mask
from subgrid.data.checks.checks import blocks, check_values
from subgrid.data.fields import DataError

from ..climate_files import archive


def refuses(dataset: xr.Dataset, tmp_path, message: str, variable: str = "tas") -> None:
    path = tmp_path / f"{len(list(tmp_path.iterdir()))}f.nc"  # a new one each time: the last may still be open
    dataset.to_netcdf(path)
    with pytest.raises(DataError, match=rf"f\.nc: {message}") as caught:
        check_climate(open_climate(path, variable))
    assert len(str(caught.value).splitlines()) == 1


def test_infinite_value_is_placed(tmp_path):
    file = archive(n_times=40)
    file.tas[17, 1, 2] = np.inf
    place = r"time = 2001-01-16, lat = 38, lon = -3 \(1 such values"
    refuses(file, tmp_path, rf"tas is inf K at {place}")


def test_time_without_values(tmp_path):
    file = archive(n_times=40)
    file.tas[[7, 9]] = np.nan
    refuses(file, tmp_path, r"tas has no value \(NaN\) anywhere at time = 2001-01-06 \(2 such times\); drop")


def test_gap_inside_the_mask(tmp_path):
    file = archive(n_times=40)
    file.tas[:, 0, 0] = np.nan
    file.tas[[5, 6, 30], 2, 3] = np.nan
    gap = (
        r"time = 2001-01-04, lat = 40, lon = 0, but this cell has values at other times \(1 such cell, 3 such values\)"
    )
    refuses(file, tmp_path, rf"tas has no value \(NaN\) at {gap}; fill them, .* gaps = 'drop', or .* gaps = 'mask'")
    masked = check_climate(open_climate(tmp_path / "0f.nc"), gaps="mask")
    expected = np.ones((4, 5), bool)
    expected[0, 0] = expected[2, 3] = False
    np.testing.assert_array_equal(valid_mask(masked), expected)
    assert (masked.tas.notnull().values == expected).all()


def test_every_cell_with_gaps_leaves_nothing():
    file = archive(n_times=3)
    file.tas[0] = file.tas[0].where(file.lat > 38)
    file.tas[1] = file.tas[1].where(file.lat <= 38)
    with pytest.raises(DataError, match="every cell of tas has gaps, so gaps = 'mask' would leave none"):
        check_climate(open_climate(file), gaps="mask")


def test_nothing_but_nan(tmp_path):
    file = archive()
    file.tas[:] = np.nan
    refuses(file, tmp_path, "tas holds no value at all, only NaN")


@pytest.mark.parametrize(
    ("variable", "units", "change", "message"),
    [
        (
            "tas",
            "K",
            lambda x: x - 273.15,
            r"tas is -?\d.* K at time = .*'units' says 'K' but the values look like degC",
        ),
        ("tas", "degC", lambda x: x, "says 'degC' but the values look like K"),
        ("pr", "kg m-2 s-1", lambda x: x, "says 'kg m-2 s-1' but the values look like mm day-1"),
        (
            "pr",
            "mm day-1",
            lambda x: x - 20,
            r"pr is -\d+\.\d+ mm day-1 at time = .*outside -0.1 to 3000 mm day-1: check",
        ),
        ("psl", "hPa", lambda x: x, "says 'hPa' but the values look like Pa"),
    ],
)
def test_wrong_units_show_on_opening(tmp_path, variable, units, change, message):
    file = archive(variable)
    file[variable] = change(file[variable]).assign_attrs(file[variable].attrs, units=units)
    file.to_netcdf(tmp_path / "f.nc")
    with pytest.raises(DataError, match=message):
        open_climate(tmp_path / "f.nc")


def test_duplicate_and_unsorted_times(tmp_path):
    file = archive(n_times=6)
    twice = file.isel(time=[0, 1, 1, 2, 3])
    refuses(twice, tmp_path, r"time = 2000-12-31 comes twice \(1 such times\); keep one of each")
    refuses(file.isel(time=[0, 3, 1, 3]), tmp_path, "time = 2001-01-02 comes twice")
    unsorted = r"times are out of order, 2000-12-31 follows 2001-01-02; sort them with dataset\.sortby\('time'\)"
    refuses(file.isel(time=[0, 3, 1, 2]), tmp_path, unsorted)
    refuses(archive(n_times=6, calendar="noleap").isel(time=[1, 0]), tmp_path, "times are out of order, 2000-12-30")
    missing = file.assign_coords(time=[*file.time.values[:5], np.datetime64("NaT")])
    refuses(missing, tmp_path, r"time number 5 is missing \(NaT\)")
    refuses(file.isel(time=[]), tmp_path, "holds no time at all")


def test_missing_variable(tmp_path):
    refuses(archive(), tmp_path, "no variable 'pr'; on a grid there are tas", "pr")


def test_the_file_of_a_fault_is_named_among_many(tmp_path):
    whole = archive(n_times=30)
    whole.tas[21, 0, 0] = np.inf
    for i in range(3):
        whole.isel(time=slice(10 * i, 10 * i + 10)).to_netcdf(tmp_path / f"part{i}.nc")
    with pytest.raises(DataError, match=r"part2\.nc: tas is inf"):
        check_climate(open_climate(tmp_path))


@pytest.mark.slow
@given(data=st.data(), n_times=st.integers(1, 12), step=st.integers(1, 5))
@settings(max_examples=40, deadline=None)
def test_census_equals_a_count_in_memory(data, n_times, step):
    """Whatever the blocks, the counts are those of the whole array; and the mask is what checking leaves."""
    file = archive(n_times=n_times, lat=np.array([40.0, 41.0]), lon=np.array([0.0, 1.0, 2.0]))
    missing = np.reshape(
        data.draw(st.lists(st.booleans(), min_size=6 * n_times, max_size=6 * n_times)), (n_times, 2, 3)
    )
    missing[:, 0, 0] = False  # at least one cell has values
    file["tas"] = file.tas.where(~missing)
    found = open_climate(file)
    census = check_values(found.tas.chunk(time=step), name="f", gaps="mask")
    np.testing.assert_array_equal(census.missing, missing.sum(0).reshape(-1))
    assert census.low == float(file.tas.min()) and census.high == float(file.tas.max())
    np.testing.assert_array_equal(valid_mask(check_climate(found, gaps="mask")), ~missing.any(0))


def test_members_without_a_time_are_no_gap(tmp_path):
    archive(seed=1, n_times=8).to_netcdf(tmp_path / "tas_r1i1p1.nc")
    archive(seed=2, n_times=5).to_netcdf(tmp_path / "tas_r2i1p1.nc")
    checked = check_climate(open_climate(tmp_path))
    assert valid_mask(checked).all()
    bad = archive(seed=2, n_times=5)
    bad.tas[3] = np.nan
    bad.to_netcdf(tmp_path / "tas_r3i1p1.nc")
    with pytest.raises(DataError, match=r"r3i1p1\.nc: tas has no value .* time = 2001-01-02 of realization r3i1p1"):
        check_climate(open_climate(tmp_path))


def test_blocks_are_bounded_and_whole():
    field = archive(n_times=25).tas.chunk(time=4)
    found = list(blocks(field, n_bytes=4 * 20 * 9))
    assert [start for start, _ in found] == [0, 8, 16, 24]
    xr.testing.assert_equal(xr.concat([block for _, block in found], "time"), field)


@pytest.mark.parametrize(
    ("error", "raised", "words"),
    [
        (OSError("checksum"), DataError, "the file is damaged"),
        (ValueError("shapes"), DataError, r"\(shapes\); read it with xarray"),
        (MemoryError("8 GiB"), MemoryError, "8 GiB"),
    ],
)
def test_only_what_cannot_be_read_is_called_damaged(error, raised, words):
    def fails(block):
        raise error

    file = archive(n_times=4)
    tas = xr.apply_ufunc(fails, file.tas.chunk(), dask="parallelized", output_dtypes=[np.float32])
    with pytest.raises(raised, match=words):
        check_values(tas, name="f")
