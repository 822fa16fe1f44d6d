"""Members: labels, their order, what is merged and what is refused."""

import numpy as np
import pytest
import xarray as xr

from subgrid.data.canonical import open_climate
from subgrid.data.fields import DataError
from subgrid.data.pooling.members import natural_key, shared_labels
from subgrid.data.pooling.pooling import member_labels, notes_of
from subgrid.data.store import write_zarr

from ..climate_files import archive


def ensemble(dim: str = "member", n: int = 3, **coords) -> xr.Dataset:
    return xr.concat([archive(seed=i) for i in range(n)], dim).assign_coords(coords)


def test_labels_in_natural_order():
    labels = ["r10i1p1f1", "r2i1p1f1", "r1i1p1f2", "r1i1p1f1"]
    assert sorted(labels, key=natural_key) == ["r1i1p1f1", "r1i1p1f2", "r2i1p1f1", "r10i1p1f1"]
    assert sorted([10, 9, 1], key=natural_key) == [1, 9, 10]


@pytest.mark.parametrize(
    ("labels", "expected", "order"),
    [
        (np.array(["r10i1p1f1", "r2i1p1f1", "r1i1p1f1"], "S9"), ["r1i1p1f1", "r2i1p1f1", "r10i1p1f1"], [2, 1, 0]),
        (np.array(["b", "a", "c"]), ["a", "b", "c"], [1, 0, 2]),
        (np.array(["b", "a", "c"], object), ["a", "b", "c"], [1, 0, 2]),
        (np.array([3, 7, 5]), [3, 5, 7], [0, 2, 1]),
        (np.array([3.0, 7.0, 5.0]), [3, 5, 7], [0, 2, 1]),
    ],
)
def test_labels_of_any_type_are_kept(labels, expected, order, tmp_path):
    file = ensemble(member=labels)
    found = open_climate(file)
    assert found.realization.values.tolist() == expected
    np.testing.assert_array_equal(found.tas.values, file.tas.values[order])
    file.to_netcdf(tmp_path / "f.nc")
    write_zarr(file, tmp_path / "f.zarr")
    for name in ("f.nc", "f.zarr"):
        assert open_climate(tmp_path / name).realization.values.tolist() == expected
    assert member_labels(found) == tuple(map(str, expected))


@pytest.mark.parametrize("dim", ["number", "realisation", "ens", "Ensemble", "member_id", "nens"])
def test_members_by_the_names_of_their_dimension(dim):
    assert open_climate(ensemble(dim)).tas.dims == ("realization", "time", "lat", "lon")


def test_labels_beside_the_dimension():
    found = open_climate(ensemble("member", variant=("member", ["r3i1p1", "r1i1p1", "r2i1p1"]), member=[0, 1, 2]))
    assert found.realization.values.tolist() == ["r1i1p1", "r2i1p1", "r3i1p1"]
    by_labels = open_climate(ensemble("run", run=["r3i1p1", "r1i1p1", "r2i1p1"]))
    assert by_labels.realization.values.tolist() == ["r1i1p1", "r2i1p1", "r3i1p1"]


def test_a_label_that_comes_twice_is_refused_and_the_advice_works():
    file = ensemble("number", number=[0, 1, 1])
    with pytest.raises(DataError, match=r"member 1 comes 2 times along 'number'; .*drop_vars\('number'\)"):
        open_climate(file)
    assert open_climate(file.drop_vars("number")).sizes["realization"] == 3
    assert open_climate(file.isel(number=[0, 1])).realization.values.tolist() == [0, 1]


def test_files_of_members_in_natural_order(tmp_path):
    for i in (1, 2, 10):
        archive(seed=i).to_netcdf(tmp_path / f"tas_r{i}i1p1f1.nc")
    found = open_climate(tmp_path)
    assert found.realization.values.tolist() == ["r1i1p1f1", "r2i1p1f1", "r10i1p1f1"]
    np.testing.assert_array_equal(found.tas[2].values, archive(seed=10).tas.values)


def test_files_of_several_members_each_and_of_several_periods(tmp_path):
    """Two members in one file, a third in another; and a later period whose members are in another order."""
    early, late = archive(n_times=4), archive(n_times=4, start="2005-01-01")
    shift = lambda file, i: file.assign(tas=file.tas + np.float32(i))  # noqa: E731
    one = xr.concat([shift(early, 1), shift(early, 2)], "number").assign_coords(number=[1, 2])
    two = shift(early, 3).expand_dims(number=[3])
    three = xr.concat([shift(late, i) for i in (3, 1, 2)], "number").assign_coords(number=[3, 1, 2])
    found = open_climate([one, two, three])
    assert found.tas.shape == (3, 8, 4, 5) and found.realization.values.tolist() == [1, 2, 3]
    for i in (1, 2, 3):
        expected = np.concatenate([shift(early, i).tas, shift(late, i).tas])
        np.testing.assert_array_equal(found.tas.sel(realization=i).values, expected)


def test_single_labels_tell_files_apart_where_they_differ():
    same = [archive(n_times=3).assign_coords(number=0), archive(n_times=3, start="2002-01-01").assign_coords(number=0)]
    assert open_climate(same).tas.dims == ("time", "lat", "lon")
    files = [archive(seed=i).assign_coords(number=i) for i in (7, 3)]
    found = open_climate(files)
    assert found.realization.values.tolist() == ["3", "7"]
    np.testing.assert_array_equal(found.tas[1].values, files[0].tas.values)


def test_a_file_without_the_label_that_others_have(tmp_path):
    archive().to_netcdf(tmp_path / "tas_r1i1p1.nc")
    archive(start="2003-01-01").to_netcdf(tmp_path / "tas_later.nc")
    with pytest.raises(
        DataError, match=r"tas_r1i1p1\.nc is of member r1i1p1, and .*tas_later\.nc of a member that is not"
    ):
        open_climate(tmp_path)
    (tmp_path / "tas_later.nc").rename(tmp_path / "tas_later_r1i1p1.nc")
    assert open_climate(tmp_path).sizes["time"] == 12


def test_labels_that_no_file_gives_are_none():
    assert member_labels(open_climate([archive(seed=1), archive(seed=2)])) is None
    assert member_labels(open_climate(ensemble())) is None
    assert member_labels(open_climate(archive())) is None
    again = open_climate(open_climate([archive(seed=1), archive(seed=2)]))
    assert member_labels(again) is None


def test_the_label_of_one_file(tmp_path):
    archive().to_netcdf(tmp_path / "tas_r2i1p1f1.nc")
    assert member_labels(open_climate(tmp_path / "tas_r2i1p1f1.nc")) == ("r2i1p1f1",)


def test_shared_labels():
    assert shared_labels(("r10", "r1", "r2"), ("r2", "r10")) == ("r2", "r10")
    assert shared_labels(None, ("r1",)) == shared_labels(("r1",), None) == ()


@pytest.mark.parametrize("labels", [[1, 5], [5, 1], ["0001", "0005"]])
def test_the_two_versions_of_era5_are_one_series(labels, tmp_path):
    whole = archive(n_times=8)
    later = np.arange(8)[:, None, None] >= 5
    parts = {"1": whole.tas.where(~later), "5": whole.tas.where(later)}
    file = xr.concat([parts[str(int(label))] for label in labels], "expver").assign_coords(expver=labels)
    file = file.transpose("time", "expver", "lat", "lon").to_dataset(name="t2m")
    file.t2m.attrs = whole.tas.attrs
    file.to_netcdf(tmp_path / "era5.nc")
    found = open_climate(tmp_path / "era5.nc")
    np.testing.assert_array_equal(found.t2m.values, whole.tas.values)
    listed = ", ".join(map(str, sorted(labels)))
    assert notes_of(found) == (f"t2m: the 2 values of expver ({listed}) are merged, the first where both have a value",)
    assert found.chunks


def test_the_final_version_comes_first_where_both_have_a_value():
    whole = archive()
    file = xr.concat([whole.tas + 1, whole.tas], "expver").assign_coords(expver=[5, 1]).to_dataset()
    file.tas.attrs = whole.tas.attrs
    np.testing.assert_array_equal(open_climate(file).tas.values, whole.tas.values)


def test_versions_along_time_are_dropped_and_said():
    file = (
        archive(n_times=4)
        .rename(time="valid_time")
        .assign_coords(expver=("valid_time", ["0001", "0001", "0005", "0005"]))
    )
    found = open_climate(file)
    assert "expver" not in found.coords
    assert notes_of(found) == ("tas: expver (0001, 0005), final and preliminary data of one series, is dropped",)
