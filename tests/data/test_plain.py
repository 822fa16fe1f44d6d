"""Plain fields from any source: one variable a channel, on one grid, in the units of the model."""

import numpy as np
import pytest
import xarray as xr

from subgrid.data.canonical import open_climate
from subgrid.data.fields import DataError, samples_of
from subgrid.data.plain import check_plain, has_dates_and_places, open_plain, split_channels, stacked, what_is_lacking
from subgrid.data.pooling.pooling import notes_of

from .climate_files import archive

RNG = np.random.default_rng(0)
U = xr.DataArray(RNG.normal(size=(3, 4)), {"x": np.arange(4.0)}, ("time", "x"), "u", {"units": "m s-1"})
V = (2 * U.transpose("x", "time")).rename("v").assign_attrs(units="km h-1")


def channels(*labels) -> xr.DataArray:
    coords = {"channel": list(labels)} if labels else {}
    return xr.DataArray(
        RNG.normal(size=(3, len(labels) or 2, 4)), coords, ("time", "channel", "x"), "w", {"units": "m"}
    )


def test_an_array_a_dataset_a_file_and_a_store_are_one(tmp_path):
    U.to_netcdf(tmp_path / "u.nc")
    U.to_dataset().to_zarr(tmp_path / "u.zarr")
    for source in (U, U.to_dataset(), tmp_path / "u.nc", str(tmp_path / "u.zarr")):
        found = open_plain(source)
        assert list(found.data_vars) == ["u"] and found.u.attrs["units"] == "m s-1"
        np.testing.assert_array_equal(found.u, U)


def test_an_array_without_a_name_is_a_field():
    assert list(open_plain(U.rename(None)).data_vars) == ["field"]


def test_variables_in_the_order_that_is_asked_for_and_of_one_order_of_dimensions():
    found = open_plain(xr.merge([U, V]), ["v", "u"])
    assert list(found.data_vars) == ["v", "u"] and found.u.dims == found.v.dims == V.dims
    np.testing.assert_array_equal(found.u, U.transpose("x", "time"))


def test_names_in_files_may_be_others():
    found = open_plain(xr.merge([U, V]), {"east": "u", "north": ["nothing", "v"]})
    assert list(found.data_vars) == ["east", "north"]
    np.testing.assert_array_equal(found.north, V.transpose(*found.north.dims))


@pytest.mark.parametrize(("labels", "names"), [((), ["w_0", "w_1"]), (("a", "b"), ["w_a", "w_b"]), ((7,), ["w"])])
def test_channels_are_variables(labels, names):
    field = channels(*labels)
    found = open_plain(field)
    assert list(found.data_vars) == names
    for i, name in enumerate(names):
        np.testing.assert_array_equal(found[name], field.isel(channel=i))
        assert found[name].attrs == {"units": "m"} and "channel" not in found[name].coords


def test_stacked_channels_come_back_as_they_were():
    field = channels("a", "b")
    found = stacked(open_plain(field))
    np.testing.assert_array_equal(found.transpose(*field.dims), field)
    np.testing.assert_array_equal(samples_of(found, source="u").values, field.values.astype(np.float32))


def test_split_variables_stay_beside_others():
    found = split_channels(xr.Dataset({"w": channels(), "u": U}, attrs={"title": "t"}))
    assert list(found.data_vars) == ["w_0", "w_1", "u"] and found.attrs == {"title": "t"}


def test_a_channel_is_not_put_over_a_variable():
    for order in (["w", "w_0"], ["w_0", "w"]):
        dataset = xr.Dataset({"w": channels(), "w_0": U})[order]
        with pytest.raises(DataError, match="the channel 0 of w would be w_0, as another variable"):
            split_channels(dataset)


@pytest.mark.parametrize("names", [("u", "v"), ("wind_u", "wind_v"), ("wind_u", "wind_u_error")])
def test_several_variables_are_asked_about_whatever_their_names(names):
    """Names that begin alike are no channels of one variable: one of them may be an error, or a count."""
    dataset = xr.Dataset(dict.fromkeys(names, U))
    with pytest.raises(DataError, match=f"fine: holds the variables {names[0]}, {names[1]}; say which"):
        open_plain(dataset)
    assert list(open_plain(dataset, names[0]).data_vars) == [names[0]]


def test_numbers_beside_the_fields_are_no_variables():
    found = open_plain(xr.Dataset({"u": U, "viscosity": 0.1, "weight": ("x", np.ones(4))}))
    assert list(found.data_vars) == ["u"]


@pytest.mark.parametrize(
    ("source", "variables", "message"),
    [
        (xr.Dataset(), None, r"fine: holds the variables \(none\)"),
        (xr.Dataset({"u": U}), ["w"], "fine: no variable 'w'; it holds u"),
        (
            xr.Dataset({"u": U, "z": (("time", "y"), np.zeros((3, 2)))}),
            ["u", "z"],
            "variables of one model share their",
        ),
    ],
)
def test_what_cannot_be_used_is_said(source, variables, message):
    with pytest.raises(DataError, match=message):
        open_plain(source, variables)


def test_units_are_those_of_the_model():
    found = open_plain(xr.merge([U, V]), ["u", "v"], units=["km h-1", "km h-1"])
    np.testing.assert_allclose(found.u, 3.6 * U.transpose(*found.u.dims), rtol=1e-12)
    np.testing.assert_array_equal(found.v, V.transpose(*found.v.dims))
    assert found.u.attrs["units"] == found.v.attrs["units"] == "km h-1"
    assert U.attrs["units"] == "m s-1"  # what was given is as it was


def test_what_has_no_units_stays_as_it_is():
    bare = U.drop_attrs()
    np.testing.assert_array_equal(open_plain(bare, units=["km h-1"]).u, bare)
    np.testing.assert_array_equal(open_plain(U, units=[""]).u, U)


def test_units_of_something_else_are_refused():
    with pytest.raises(DataError, match="coarse: u is in 'm s-1', and the model in 'kg'; convert it"):
        open_plain(U, units=["kg"], name="coarse")


def test_what_a_file_calls_no_value_is_none_and_its_attributes_are_left_out():
    found = open_plain(U.assign_attrs(valid_range=[-0.5, 0.5], actual_range=[-9.0, 9.0], missing_value=7.0))
    assert found.u.attrs == {"units": "m s-1"}
    np.testing.assert_array_equal(found.u, U.where(abs(U) <= 0.5))
    assert "values outside -0.5 to 0.5 m s-1 are missing, by its valid_range" in notes_of(found)[0]
    assert U.attrs == {"units": "m s-1"} and notes_of(open_plain(U)) == ()


PLACED = archive()


@pytest.mark.parametrize(
    ("dataset", "lacking"),
    [
        (PLACED, ""),
        (PLACED.rename(lat="nav_lat", lon="nav_lon", time="time_counter"), ""),
        (PLACED.rename(lat="yc", lon="xc"), ""),  # by their units
        (PLACED.assign_coords(time=range(6)), "dates"),
        (PLACED.drop_vars(["lat", "lon"]), "latitudes and longitudes"),
        (PLACED.drop_vars(["lat", "lon", "time"]), "latitudes and longitudes and dates"),
    ],
)
def test_dates_and_places_are_those_that_climate_archives_are_read_by(dataset, lacking):
    assert what_is_lacking(dataset) == lacking
    assert has_dates_and_places(dataset) == (not lacking)
    if not lacking:
        assert float(open_climate(dataset).tas.mean()) == pytest.approx(float(PLACED.tas.mean()), rel=1e-6)


def filled(value: float, n: int = 2) -> xr.DataArray:
    """Fields of which some points of the first variable hold a number that is no value."""
    field = U.copy(data=RNG.normal(size=(3, 4)))
    field[1:, :n] = value
    return field


def test_fill_values_that_nothing_declares_are_refused_with_number_place_and_share(tmp_path):
    for value, said in ((-9999.0, "-9999"), (1e20, r"1e\+20")):
        opened = open_plain(filled(value))
        with pytest.raises(
            DataError, match=rf"^fine: u is {said} .*at time = 1, x = 0.0 \(50 % of the cells, 4 such values\)"
        ) as refused:
            check_plain(opened, name="fine")
        assert f"variables = {{u = {{missing = {said.replace(chr(92), '')}}}}}" in str(refused.value)
        given = open_plain(filled(value), {"u": {"missing": value}})
        check_plain(given, name="fine")
        assert int(given.u.isnull().sum()) == 4
        check_plain(open_plain(filled(value), {"u": {"missing": "none"}}), name="fine")


def test_a_single_fill_value_and_one_in_other_units_are_found():
    with pytest.raises(DataError, match=r"u is 1e\+20 .*time = 1, x = 0.0 \(25 % of the cells, 2 such values\)"):
        check_plain(open_plain(filled(1e20, n=1)), name="fine")
    coarse = open_plain(filled(-9999.0), units=["km h-1"])
    assert notes_of(coarse) == ("u: converted from 'm s-1' to 'km h-1'",)
    with pytest.raises(DataError, match=r"u is -9999 in the file \(-35996.4 km h-1 as it is read\)"):
        check_plain(coarse, name="coarse")


def test_a_name_makes_no_quantity_of_plain_fields():
    """Values that no temperature could have, under the name of one."""
    fields = open_plain((1000 * U).rename("tas"))
    check_plain(fields, name="fine")  # nothing is refused, and nothing converted
    np.testing.assert_allclose(fields.tas, 1000 * U, rtol=1e-6)


def test_units_that_are_not_said_are():
    bare = U.drop_attrs()
    assert notes_of(open_plain(bare, units=["m s-1"])) == (
        "u: no attribute 'units', taken to be in 'm s-1' as those of the model are",
    )
