"""Opening fields: every complaint names the file, the variable, the place."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings, strategies as st

from subgrid.data.fields import DataError, hold_out, open_field, samples_of


@pytest.fixture
def dataset():
    values = np.arange(2 * 3 * 4.0).reshape(2, 3, 4)
    coordinates = {"time": [0.0, 12.5, 25.0], "x": [0.0, 8.0, 16.0, 24.0]}
    return xr.Dataset({"u": (("trajectory", "time", "x"), values)}, coordinates)


@pytest.mark.parametrize("suffix", ["nc", "zarr"])
def test_netcdf_and_zarr(dataset, tmp_path, suffix):
    path = tmp_path / f"fine.{suffix}"
    dataset.to_netcdf(path) if suffix == "nc" else dataset.to_zarr(path)
    xr.testing.assert_equal(open_field(path).load(), dataset.u)
    xr.testing.assert_equal(open_field(path, "u").load(), dataset.u)


def test_missing_file_and_variable(dataset, tmp_path):
    with pytest.raises(DataError, match=r"gone\.nc: no such file or store"):
        open_field(tmp_path / "gone.nc")
    path = tmp_path / "fine.nc"
    dataset.assign(v=dataset.u).to_netcdf(path)
    with pytest.raises(DataError, match=r"fine\.nc: no variable 'w'; it holds u, v"):
        open_field(path, "w")
    with pytest.raises(DataError, match=r"holds the variables u, v; say which one with --variable or data\.variable"):
        open_field(path)


def test_what_is_no_archive(tmp_path):
    """The plain path opens files as the climate path does, and says the same of those that are none."""
    (tmp_path / "broken.nc").write_text("not data")
    with pytest.raises(DataError, match=r"broken\.nc: is text \('not data'\), and neither NetCDF nor Zarr"):
        open_field(tmp_path / "broken.nc")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty: this folder is no Zarr store and holds no NetCDF"):
        open_field(tmp_path / "empty")


def test_a_folder_of_several_files_is_no_single_field(dataset, tmp_path):
    for name in ("a", "b"):
        dataset.to_netcdf(tmp_path / f"{name}.nc")
    with pytest.raises(DataError, match="stands for 2 files; give one, or join them first"):
        open_field(tmp_path)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_bad_values_are_placed(dataset, bad):
    dataset.u[1, 2, 3] = bad
    dataset.u[1, 2, 1] = bad
    with pytest.raises(
        DataError, match=rf"fine\.nc: u is {bad} at trajectory = 1, time = 25\.0, x = 8\.0 \(2 such values"
    ):
        samples_of(dataset.u, source="fine.nc")


@pytest.mark.parametrize(
    "order", [("trajectory", "time", "x"), ("time", "trajectory", "x"), ("x", "time", "trajectory")]
)
def test_samples_whatever_the_order_of_dimensions(dataset, order):
    samples = samples_of(dataset.u.transpose(*order), source="f")
    assert samples.values.shape == (6, 1, 4)
    assert samples.values.dtype == np.float32
    assert samples.space_dims == ("x",)
    # Whichever way they are counted, each sample keeps its run: runs hold values below and above 12.
    np.testing.assert_array_equal(samples.trajectory, samples.values[:, 0, 0] >= 12)


def test_dimensions_that_cannot_be_used(dataset):
    with pytest.raises(DataError, match=r"f: u has dimensions \('x',\); it needs at least one of"):
        samples_of(dataset.u[0, 0], source="f")
    with pytest.raises(DataError, match="one of space"):
        samples_of(dataset.u[:, :, 0], source="f")


@pytest.mark.parametrize("name", ["number", "ens", "member_id", "realisation", "Ensemble", "valid_time", "t", "Time"])
def test_members_and_times_by_their_usual_names_are_samples(name):
    """ECMWF calls members `number`: a third axis of space would be learned from them without a word."""
    values = np.arange(2 * 3 * 4 * 5.0).reshape(2, 3, 4, 5)
    other = "member" if name in ("valid_time", "t", "Time") else "time"
    samples = samples_of(xr.DataArray(values, dims=(name, other, "y", "x")), source="f")
    assert samples.space_dims == ("y", "x")
    np.testing.assert_array_equal(samples.values[:, 0], values.reshape(6, 4, 5))


def test_members_and_times_by_their_meaning_are_samples():
    field = xr.DataArray(np.zeros((2, 3, 2, 4)), dims=("k", "when", "start", "x"), name="u").assign_coords(
        k=("k", [1, 2], {"standard_name": "realization"}),
        when=xr.date_range("2001-01-01", periods=3, calendar="noleap", use_cftime=True),
        start=np.array(["2001-01-01", "2002-01-01"], "datetime64[ns]"),
    )
    samples = samples_of(field.rename(when="days"), source="f")
    assert samples.space_dims == ("x",) and samples.values.shape == (12, 1, 4)
    height = field.isel(start=0).rename(when="z").assign_coords(z=[1.0, 2.0, 3.0])
    assert samples_of(height, source="f").space_dims == ("z", "x")


def test_hold_out_never_splits_a_run():
    values = np.arange(10 * 5 * 2.0).reshape(10, 5, 2)
    samples = samples_of(xr.DataArray(values, dims=("trajectory", "time", "x"), name="u"), source="f")
    parts = hold_out(samples, (0.5, 0.3, 0.2))
    assert [len(part) for part in parts] == [25, 15, 10]
    runs = [set(part.trajectory) for part in parts]
    assert sum(len(part) for part in runs) == len(set.union(*runs)) == 10
    assert np.concatenate([part.values for part in parts]).shape == samples.values.shape
    single = samples_of(xr.DataArray(values[0], dims=("time", "x"), name="u"), source="f")
    assert [len(part) for part in hold_out(single, (0.6, 0.4))] == [3, 2]
    with pytest.raises(DataError, match="f: 5 samples are too few to split into parts of"):
        hold_out(single, (0.9, 0.1))


def test_every_part_gets_a_run():
    values = np.arange(3 * 1000 * 2.0).reshape(3, 1000, 2)
    samples = samples_of(xr.DataArray(values, dims=("trajectory", "time", "x"), name="u"), source="f")
    parts = hold_out(samples, (0.8, 0.1, 0.1))
    assert [set(part.trajectory) for part in parts] == [{0}, {1}, {2}]
    assert [len(part) for part in hold_out(samples, (0.1, 0.2))] == [1000, 1000]
    with pytest.raises(DataError, match="f: 3000 samples of 3 runs cannot be split into 4 parts"):
        hold_out(samples, (0.7, 0.1, 0.1, 0.1))


@given(
    n=st.integers(8, 300),
    weights=st.lists(st.floats(0.01, 1.0), min_size=1, max_size=4),
    whole=st.floats(0.1, 1.0),
)
@settings(max_examples=50, deadline=None)
def test_parts_are_disjoint_consecutive_and_near_their_size(n, weights, whole):
    samples = samples_of(xr.DataArray(np.zeros((n, 2, 1)), dims=("trajectory", "time", "x")), source="f")
    fractions = [whole * w / sum(weights) for w in weights]
    parts = hold_out(samples, fractions)
    runs = np.concatenate([np.unique(part.trajectory) for part in parts])
    np.testing.assert_array_equal(runs, np.arange(len(runs)))
    # Rounding moves each edge by half a run; making room for one run each moves it by less than one a part.
    for part, fraction in zip(parts, fractions, strict=True):
        assert abs(len(part) / 2 - fraction * n) <= len(parts) + 1


def test_samples_keep_name_units_and_coordinates(dataset):
    field = dataset.u.assign_attrs(units="K").assign_coords(
        season=("trajectory", ["DJF", "JJA"]), mixed=(("time", "x"), np.zeros((3, 4))), height=2.0
    )
    samples = samples_of(field.transpose("x", "time", "trajectory"), source="f")
    assert (samples.name, samples.units) == ("u", "K")
    assert set(samples.coords.coords) == {"time", "x", "season", "height"}
    part = samples.take(np.array([4, 1]))  # samples are (trajectory, time): the second run's second, the first's second
    np.testing.assert_array_equal(part.coords.time, [12.5, 12.5])
    np.testing.assert_array_equal(part.coords.season, ["JJA", "DJF"])
    np.testing.assert_array_equal(part.coords.x, dataset.x)
    np.testing.assert_array_equal(part.values[:, 0], field.values[[1, 0], [1, 1]])
