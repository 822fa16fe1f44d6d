"""What an ensemble is asked for: the same from whatever source, and a word on the climate where it may be another."""

import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

from subgrid.data.fields import DataError
from subgrid.downscaling.model.request import Wanted, request_of
from subgrid.downscaling.preparation.series import series_of
from subgrid.downscaling.preparation.steps import Changed

from ..climate_pair import COARSE, rain, temperature, winters
from ..dated import fit


def years(first: int, n: int, *, warmer: float = 0.0, seed: int = 9) -> xr.Dataset:
    """tas and pr of the first days of n Januaries."""
    parts = [
        temperature(COARSE, seed=seed + i, first=first + 4 * i, bias=2 + warmer).merge(
            rain(COARSE, seed=seed + i, first=first + 4 * i)
        )
        for i in range(-(-n // 4))
    ]
    whole = xr.concat(parts, "time")
    return whole.isel(time=slice(len(winters(n=n))))


@pytest.mark.parametrize("first", [1990, 1985, 1998])
def test_fields_of_the_same_years_are_not_asked_about(dated_model, first):
    """Of 1990 to 1993 it was fitted; up to five years between the periods are one climate."""
    asked = request_of(years(first, 1), dated_model)
    assert asked.fine.chain.find(Changed) is None and len(asked.targets) == 30


@pytest.mark.parametrize("first", [1984, 1999, 2081])
def test_periods_far_apart_ask(dated_model, first):
    fields = years(first, 1)
    with pytest.raises(DataError) as caught:
        request_of(fields, dated_model)
    said = str(caught.value)
    assert f"its fields are of {first} to {first}, and the model was fitted on 1990 to 1993" in said
    assert 'change = "preserve" (on the command line --change preserve)' in said and "\n" not in said
    np.testing.assert_array_equal(
        request_of(fields, dated_model, change="none").targets,
        dated_model.coarse.targets(series_of(fields, ["tas", "pr"])),
    )


@pytest.mark.parametrize(("n", "words"), [(1, "1 season year of fields does"), (9, "9 season years of fields do")])
def test_a_few_years_tell_no_change_of_climate(dated_model, n, words):
    with pytest.raises(DataError, match=f"coarse: {words} not tell a change of climate, 10 and more do"):
        request_of(years(2081, n), dated_model, change="preserve")


def test_a_change_is_taken_out_of_the_targets_and_put_back_on_the_fine_grid(dated_model):
    """Three degrees: targets have the mean of the climate of the fit, and what 0 becomes is three degrees warmer."""
    coarse = dated_model.coarse
    fields = years(2081, 12, warmer=3.0)
    found = request_of(fields, dated_model, change="preserve")
    fitted = coarse.debiaser.adjust(coarse.debiaser.source)
    np.testing.assert_allclose(found.targets.mean(0), fitted.mean(0), atol=1e-3)
    zero, phase = np.zeros((1, 2, 12, 14), np.float32), found.phase[:1]
    warmer = (found.fine.restore(zero, phase) - dated_model.fine.restore(zero, phase))[0, 0]
    change = coarse.change_to(series_of(fields, ["tas", "pr"])).difference(jnp.asarray(phase, jnp.float32))[0, 0]
    # Bilinear interpolation keeps within the coarse values; 3 K, and the difference of two means of 120 and 360 days.
    inside = warmer[np.isfinite(warmer)]
    assert inside.min() >= float(change.min()) - 1e-3 and inside.max() <= float(change.max()) + 1e-3
    assert abs(inside.mean() - 3) < 1


def test_a_path_a_dataset_and_an_array_ask_the_same(dated_model, tmp_path):
    fields = years(1995, 1)
    fields.to_netcdf(tmp_path / "coarse.nc")
    wanted = request_of(fields, dated_model)
    found = request_of(tmp_path / "coarse.nc", dated_model)
    np.testing.assert_array_equal(found.targets, wanted.targets)
    np.testing.assert_array_equal(found.samples.time, fields.time)
    assert found.sizes == {"realization": 1, "time": 30} and found.members is None


@pytest.mark.slow
def test_one_variable_may_be_an_array(tmp_path):
    options = {"debias": "quantile-mapping", "debias_options": {"n_quantiles": 20, "strength": 1.0}, "n_steps": 0}
    model = fit(tmp_path / "model", **options)
    field = temperature(COARSE, seed=9, first=1995).tas.isel(time=slice(4))
    wanted = request_of(field.to_dataset(), model)
    np.testing.assert_array_equal(request_of(field, model).targets, wanted.targets)
    np.testing.assert_array_equal(request_of(field.rename(None), model).targets, wanted.targets)


def test_members_of_unequal_length_are_asked_for_the_times_that_they_have(dated_model, tmp_path):
    one, two = years(1995, 1), years(1995, 1, seed=20)
    for name, each in (("r1i1p1", one), ("r2i1p1", two.isel(time=slice(20)))):
        each.to_netcdf(tmp_path / f"both_{name}.nc")
    found = request_of(str(tmp_path / "both_*.nc"), dated_model)
    assert found.sizes == {"realization": 2, "time": 30} and list(found.members) == ["r1i1p1", "r2i1p1"]
    np.testing.assert_array_equal(found.there, [True] * 50 + [False] * 10)
    apart = [request_of(each, dated_model).targets for each in (one, two.isel(time=slice(20)))]
    np.testing.assert_array_equal(found.targets, np.concatenate(apart))


def test_units_and_names_of_new_files_are_those_of_the_model(dated_model):
    fields = years(1995, 1)
    celsius = fields.assign(tas=(fields.tas - 273.15).assign_attrs(fields.tas.attrs | {"units": "degC"}))
    found, wanted = (request_of(each, dated_model).targets for each in (celsius, fields))
    # Both in float32: near 280, steps of 3e-5, which the tables of quantiles may double.
    np.testing.assert_allclose(found, wanted, atol=3e-4)


def test_what_new_files_do_not_say_can_be_said(dated_model):
    fields = years(1995, 1)
    other = fields.rename(tas="t").assign(t=(fields.tas - 273.15).rename("t").assign_attrs(units="degrees"))
    with pytest.raises(DataError, match=r"no variable 'tas'"):
        request_of(other, dated_model)
    found = request_of(other, dated_model, wanted=Wanted(variables={"tas": {"names": "t", "units": "degC"}})).targets
    np.testing.assert_allclose(found, request_of(fields, dated_model).targets, atol=3e-4)
    with pytest.raises(DataError, match="variables: the model has no 'hurs', only tas, pr"):
        request_of(fields, dated_model, wanted=Wanted(variables=["hurs"]))


def test_another_grid_is_refused(dated_model):
    with pytest.raises(DataError, match=r"coarse: its lat, 3 values .* is not that of the archive"):
        request_of(years(1995, 1).isel(lat=slice(3)), dated_model)
