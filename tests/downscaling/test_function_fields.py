"""Models of functions for labelled arrays: coordinates in, coordinates out, and what coordinates cannot be."""

import jax.random as jr
import numpy as np
import optax
import pytest
import xarray as xr

from subgrid.downscaling.function_fields import axis_of, fit_functions
from subgrid.functional.gaussian_field import GaussianField
from subgrid.functional.preparation import FunctionSettings
from subgrid.training.fitting import TrainingSchedule

from ..functional.small import Nothing

LENGTH = 1.0
WAVES = np.random.default_rng(0).normal(size=(48, 17, 2)) @ [1, 1j] / np.sqrt(2)
FIELDS = np.float32(np.fft.irfft(np.sqrt(GaussianField(2.5, 9.0).mode_variances((32,))) * WAVES, norm="forward"))


def at(n):
    return np.arange(n) / n * LENGTH + 5.0


@pytest.fixture(scope="module")
def model():
    fields = xr.DataArray(FIELDS.T, {"x": at(32)}, ("x", "time"), name="u", attrs={"units": "m s-1"})
    settings = FunctionSettings(schedule=TrainingSchedule(1, optax.sgd(0.0), steps_per_dispatch=1), batch_size=4)
    return fit_functions(fields, sample_dim="time", network=Nothing(), settings=settings, key=jr.key(1))


def test_samples_have_the_coordinates_that_were_asked_for_and_the_names_of_the_fields(model):
    drawn = model.sample({"x": at(48)}, n_samples=3, n_levels=4, key=jr.key(2))
    assert drawn.dims == ("realization", "x") and drawn.name == "u" and drawn.attrs["units"] == "m s-1"
    assert (drawn.x.values == at(48)).all()  # to the bit, or xarray would not align them
    coarse = xr.DataArray(at(48).astype("float32"), dims="x", attrs={"units": "m"})
    given = model.sample(xr.Dataset(coords={"x": ("x", coarse.values, coarse.attrs)}), n_levels=4, key=jr.key(2))
    assert given.x.attrs == {"units": "m"} and given.x.dtype == "float32"


def test_a_key_is_one_function_at_any_coordinates(model):
    """Every third of 96 points is one of 32. The operator of Gaussian data is the same on all grids; waves beyond the
    32 points add what they hold, a thousandth of the variance.
    """
    coarse, fine = (model.sample({"x": at(n)}, n_levels=8, key=jr.key(3)) for n in (32, 96))
    assert float(abs(fine.isel(x=slice(None, None, 3)).values - coarse.values).max()) < 0.15 * float(coarse.std())


def test_a_given_field_is_continued_and_its_drift_told(model):
    given = xr.DataArray(FIELDS[0], {"x": at(32)}, ("x",))
    fine = model.super_resolve(given, {"x": at(64)}, key=jr.key(4))
    assert fine.attrs["drift"] < 0.01 and fine.sizes == {"x": 64}
    box = model.model.space.noise.box
    kept = np.fft.rfft(fine.values, norm="forward")[:16] - np.fft.rfft(given.values, norm="forward")[:16]
    assert abs(kept).max() < 0.02 * float(given.std()) and box.length == (pytest.approx(1.0),)


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ({"y": at(32)}, r"no coordinate 'x'; it needs \['x'\]"),
        ({"x": at(32) ** 2}, "x is not uniform and rising: its steps lie between"),
        ({"x": at(64)[::-1]}, "x is not uniform and rising"),
        ({"x": at(64)[:32]}, "the model lives on a side of 1 that begins at 5"),
        ({"x": np.linspace(5, 6, 64)}, "of which 64 points go from 5 to 5.98"),
        ({"x": at(16)}, r"asked for \(16,\) points, which do not hold the modes"),
        ({"x": at(3)}, "at least 4 coordinates"),
    ],
)
def test_coordinates_that_no_grid_of_the_box_has_are_refused(model, target, said):
    with pytest.raises(ValueError, match=said):
        model.sample(target, n_levels=2, key=jr.key(0))


def test_between_walls_points_lie_in_the_middles_of_cells():
    axis = axis_of("y", (np.arange(8) + 0.5) / 4, "neumann")
    assert axis.start == pytest.approx(0) and axis.length == pytest.approx(2)
    np.testing.assert_allclose(axis.places(16), (np.arange(16) + 0.5) / 8)
    assert axis.n_points((np.arange(16) + 0.5) / 8) == 16


def test_fields_without_coordinates_or_samples_are_refused():
    fields = xr.DataArray(FIELDS, dims=("time", "x"))
    with pytest.raises(ValueError, match="x has no coordinates; assign uniform ones"):
        fit_functions(fields, sample_dim="time", key=jr.key(0))
    with pytest.raises(ValueError, match="need the dimension 'member' of samples"):
        fit_functions(fields, sample_dim="member", key=jr.key(0))
