"""Attributes that no file can hold are left out and named; what is kept is written to NetCDF and Zarr alike."""

from datetime import datetime

import numpy as np
import pytest
import xarray as xr

from subgrid.data.canonical import open_climate
from subgrid.data.fields import DataError
from subgrid.data.pooling.pooling import notes_of
from subgrid.data.sources.attributes import with_writable_attributes, writable
from subgrid.data.sources.sources import read_sources

from ..climate_files import archive

STRANGE = {
    "message": b"GRIB", "nested": {"a": np.zeros(2)}, "none": None, "made": np.datetime64("2024-01-01"),
    "day": datetime(2024, 1, 1), "mixed": ["a", 1], "table": np.zeros((2, 2)), "things": np.array([{}], object),
    "complex": 1j, "empty": [], "huge": 2**70, "torn": "\ud800", "set": {1},
}  # fmt: skip
USUAL = {
    "title": "é", "list": ["tas"], "one": 1, "half": 0.5, "low": np.float32(2), "many": [1, 2.5],
    "edges": np.array([0.0, 1.0]), "names": np.array(["a", "b"]), "pair": ("x", "y"), "nan": float("nan"),
}  # fmt: skip


@pytest.mark.parametrize("format", ["nc", "zarr"])
def test_what_is_kept_can_be_written(format, tmp_path):
    kept, dropped = writable({**USUAL, **STRANGE, "flag": True, 3: "three"})
    assert list(kept) == [*USUAL, "flag"] and kept["flag"] == 1
    assert [each.split(" ")[0] for each in dropped] == [*STRANGE, "3"]
    dataset = xr.Dataset({"u": ("x", np.zeros(2), kept)}, attrs=kept)
    path = tmp_path / f"out.{format}"
    dataset.to_netcdf(path) if format == "nc" else dataset.to_zarr(path)
    assert xr.open_dataset(path, engine=None if format == "nc" else "zarr").attrs["title"] == "é"


def test_a_dataset_of_another_program():
    """As earthkit and intake leave it: a dictionary with bytes on the variable, a date on the dataset."""
    dataset = archive()
    dataset.tas.attrs["_earthkit"] = {"message": b"GRIB"}
    dataset.lat.attrs["source"] = b"ecmwf"
    dataset.attrs = {"intake_esm_vars": ["tas"], "made": np.datetime64("2024-01-01")}
    before = dataset.copy(deep=True)
    [opened] = read_sources(dataset, name="fine")
    assert opened.notes == (
        "attributes that no file can hold are left out: made (datetime64), tas._earthkit (dict), lat.source (bytes)",
    )
    assert opened.dataset.attrs == {"intake_esm_vars": ["tas"]}
    assert "_earthkit" in dataset.tas.attrs and dataset.attrs == before.attrs
    assert "_earthkit" not in open_climate(dataset).tas.attrs


def test_nothing_is_said_where_all_is_usual():
    dataset = archive()
    assert with_writable_attributes(dataset) == (dataset, ())


def test_scale_factors_written_as_text_are_numbers(tmp_path):
    file, stored = archive(), archive()
    stored["tas"] = (
        np.round((file.tas - 280) * 10)
        .astype(np.int16)
        .assign_attrs(**file.tas.attrs, scale_factor="0.1", add_offset=" 280.0")
    )
    stored.to_netcdf(tmp_path / "tas.nc")
    for variables in (None, ["tas"]):
        found = open_climate(tmp_path / "tas.nc", variables)
        np.testing.assert_allclose(found.tas, file.tas, atol=0.0501)  # half a step of packed integers
        assert "tas: scale_factor is the text '0.1', read as a number" in notes_of(found)
    stored.tas.attrs["scale_factor"] = "0,1"
    with pytest.raises(DataError, match=r"'scale_factor' of tas is the text '0,1', not a number; write it as one"):
        open_climate(stored)
    assert stored.tas.attrs["scale_factor"] == "0,1"


@pytest.mark.parametrize("measures", ["area areacella", 1, "area: areacella"])
def test_references_to_what_is_not_there_or_cannot_be_read_stop_nothing(measures, recwarn):
    file = archive()
    file.tas.attrs["cell_measures"], file.time.attrs["bounds"] = measures, "time_bnds"
    before = {name: dict(variable.attrs) for name, variable in file.variables.items()}
    np.testing.assert_array_equal(open_climate(file).tas, file.tas)
    assert {name: dict(variable.attrs) for name, variable in file.variables.items()} == before
    assert not recwarn.list
