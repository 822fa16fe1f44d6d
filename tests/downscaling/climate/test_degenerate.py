"""Data from which nothing can be learned, gaps and constant cells: one sentence, or finite fields; never NaN."""

from typing import Any, get_args

import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

from subgrid.data.canonical import check_climate, open_climate, valid_mask
from subgrid.data.fields import DataError
from subgrid.data.pooling.pooling import notes_of
from subgrid.downscaling.climate.degenerate import faults_in_words, require_finite_fields, require_variation
from subgrid.downscaling.debiasing.dynamic import TransportMethod
from subgrid.downscaling.debiasing.of_anomalies import fit_climate_debiaser
from subgrid.downscaling.debiasing.settings import ClimateDebiasMethod
from subgrid.downscaling.model.model import Model
from subgrid.downscaling.model.sides import grid_of_fields
from subgrid.downscaling.preparation.climatology import fit_change_signal
from subgrid.downscaling.preparation.series import series_of
from subgrid.downscaling.preparation.transforms import CensoredRoot, ChannelTransforms, Unchanged
from subgrid.transport.sinkhorn import SinkhornNotConverged

from ...cases import few
from ..climate_pair import COARSE, FINE, rain, temperature, with_sea
from ..dated import downscale, fit

NONE: dict[str, Any] = {"n_steps": 0, "debias": "quantile-mapping"}
DYNAMIC = get_args(TransportMethod)
OF_ALL_CELLS = ("none", "gaussian", "reduced-ot", *DYNAMIC)
"""Methods by which a cell that never changes need not come out at the level of the reference."""


def refusal(fine, coarse, tmp_path, variable: str = "pr") -> str:
    with pytest.raises(DataError) as caught:
        fit(tmp_path / "model", fine, coarse, (variable,), **NONE)
    assert not (tmp_path / "model").exists() or not any((tmp_path / "model").iterdir())
    return str(caught.value)


def test_a_variable_that_never_changes_is_named_with_its_file(tmp_path):
    dry = (rain(FINE, 1) * 0).assign_attrs(rain(FINE, 1).attrs)
    dry["pr"].attrs = rain(FINE, 1).pr.attrs
    dry.to_netcdf(tmp_path / "dry.nc")
    said = refusal(tmp_path / "dry.nc", rain(COARSE, 2), tmp_path)
    assert said.startswith(f"pr never changes in {tmp_path / 'dry.nc'}: it is 0 mm day-1 everywhere")
    coarse = rain(COARSE, 2)
    coarse["pr"] = (coarse.pr * 0).assign_attrs(coarse.pr.attrs)
    assert refusal(rain(FINE, 1), coarse, tmp_path).startswith("pr never changes in coarse: it is 0")
    assert refusal(tmp_path / "dry.nc", coarse, tmp_path).startswith(f"pr never changes in {tmp_path / 'dry.nc'}")


def test_drizzle_that_counts_as_dry_and_fields_that_stand_still(tmp_path):
    fine = rain(FINE, 1)
    fine["pr"] = (0.04 * np.random.default_rng(0).random(fine.pr.shape).astype("f4") + 0 * fine.pr).assign_attrs(
        fine.pr.attrs
    )
    said = refusal(fine, rain(COARSE, 2), tmp_path)
    assert "pr never exceeds 0.04 mm day-1 in fine, which counts as dry" in said
    still = temperature(FINE, 1)
    still["tas"] = still.tas[0].broadcast_like(still.tas).transpose(*still.tas.dims).assign_attrs(still.tas.attrs)
    said = refusal(still, temperature(COARSE, 2), tmp_path, "tas")
    assert said.startswith("tas never changes in fine: each cell has one value at all times")


def test_too_few_days_and_years(tmp_path):
    few = temperature(FINE, 1).isel(time=slice(0, 7))
    assert "fine: holds 7 fields to fit on; 10 are the fewest" in refusal(few, temperature(COARSE, 2), tmp_path, "tas")
    one = temperature(FINE, 1).isel(time=slice(0, 30))
    said = refusal(one, temperature(COARSE, 2), tmp_path, "tas")
    assert "fine: holds one season year to fit on (1990)" in said and "bring two or more" in said


def test_cells_that_never_change_are_said_and_stay(tmp_path):
    fine, coarse = temperature(FINE, 1), temperature(COARSE, 2)
    fine.tas[:, :3, :3] = 271.35  # a whole coarse cell
    coarse.tas[:, 0, 0] = 271.35
    series = series_of(coarse, ["tas"])
    (said,) = require_variation(coarse, series, ChannelTransforms((Unchanged(),)), name="coarse")
    assert said == "tas never changes at 1 of 20 cells of coarse, the first at lat = 36.75, lon = -8.25"
    model = fit(tmp_path / "model", fine, coarse, **NONE)
    out = downscale(coarse, model)
    assert f"coarse archive of the model: {said}" in out.attrs["history"]
    assert "fine archive of the model: tas never changes at 9 of 168 cells of fine" in out.attrs["history"]
    found = out.tas
    assert np.isfinite(found).all()
    # One variance of all that the components leave is shared by all cells, these too: a limit of the prior.
    np.testing.assert_allclose(found[:, :, :3, :3].mean(), 271.35, atol=0.1)


@pytest.mark.slow
def test_a_season_without_rain(tmp_path):
    fine, coarse = rain(FINE, 1), rain(COARSE, 2)
    for each in (fine, coarse):
        each.pr[60:] = 0.0  # two of four years
    found = downscale(coarse, fit(tmp_path / "model", fine, coarse, ("pr",), **NONE)).pr
    assert np.isfinite(found).all() and float(found.min()) >= 0


def sample(n: int, seed: int) -> np.ndarray:
    r = np.random.default_rng(seed)
    return (0.8 * r.normal(size=(n, 1, 1)) + 0.6 * r.normal(size=(n, 1, 4))).astype(np.float32)


METHODS = sorted(get_args(ClimateDebiasMethod), key=lambda name: name == "rectified-flow")
"""A rectified flow, which is slow, is that of flow matching trained once more."""


@pytest.mark.parametrize("method", few(METHODS, len(METHODS) - 1))
@pytest.mark.parametrize(
    "constant", few(["source", "target", "source and target", "series", "all cells of the source"])
)
def test_no_debiaser_makes_a_nan_of_a_constant_cell(method, constant):
    source, target, series = sample(60, 0), 1.3 * sample(70, 1), sample(50, 2)
    if "source" in constant:
        source[:, 0, 2] = series[:, 0, 2] = 0.25
    if "target" in constant:
        target[:, 0, 2] = -0.5
    if constant == "series":
        series[:, 0, 2] = 0.3
    if constant.startswith("all"):
        source[:] = series[:] = 0.25
    options = {"n_steps": 2, "hidden": (4,), "n_iterations": 1} if method in DYNAMIC else {}
    moved = fit_climate_debiaser(source, target, method=method, n_quantiles=20, **options).adjust(series)
    assert np.isfinite(moved).all()
    if method not in OF_ALL_CELLS and "source" in constant:
        # What the method knows of a constant cell is its level: it is the reference's, mean or median.
        level = float(target[:, 0, 2].mean())
        assert np.abs(moved[:, 0, 2] - level).max() < 0.35  # mean and median of 70 samples differ by less
        assert np.ptp(moved[:, 0, 2]) < 1e-5


def gappy(n: int = 4) -> xr.Dataset:
    coarse = temperature(COARSE, seed=2, bias=2.0, n=n)
    coarse.tas[50, 1, 2] = np.nan
    return coarse


def constraint(model: Model) -> np.ndarray:
    """Coarse cells in it."""
    assert model.coarse.kept is not None
    return model.coarse.kept


@pytest.mark.slow
def test_a_gap_of_the_coarse_model_and_every_advice_for_it(tmp_path):
    fine, coarse = with_sea(temperature(FINE, seed=1)), gappy()
    with pytest.raises(DataError, match=r"coarse: tas has no value .*fill them, drop .* 'drop', or leave .* 'mask'"):
        fit(tmp_path / "no", fine, coarse, **NONE)
    whole = fit(tmp_path / "whole", fine, coarse.ffill("time"), **NONE)
    masked = fit(tmp_path / "masked", fine, coarse, gaps="mask", **NONE)
    dropped = fit(tmp_path / "dropped", fine, coarse, gaps="drop", **NONE)
    inside, all_of, of_dropped = (constraint(model) for model in (masked, whole, dropped))
    assert inside.sum() == all_of.sum() - 1 and not inside[1, 2]
    assert of_dropped.sum() == all_of.sum() and dropped.coarse.debiaser.source.shape[0] == 119
    land = np.asarray(fine.tas[0].notnull())
    for change, given in (("none", coarse), ("preserve", gappy(n=10))):
        found = downscale(given, masked, change=change).tas
        assert found.sizes["time"] == given.sizes["time"]
        np.testing.assert_array_equal(found.notnull().values, np.broadcast_to(land, found.shape))
    with pytest.raises(DataError, match=r"such value\); fill them, or drop the times that lack them with gaps = 'dr"):
        downscale(coarse, whole)
    found = downscale(coarse, whole, gaps="drop")
    assert found.sizes["time"] == 119 and coarse.time.values[50] not in found.time.values
    assert "tas: 1 of 120 times with gaps are left out" in found.attrs["history"]


@pytest.mark.slow
def test_a_gap_outside_of_the_constraint_is_no_matter(tmp_path):
    fine = with_sea(temperature(FINE, seed=1)).where(lambda d: d.lat > 39)  # coarse cells in the south are not kept
    coarse = temperature(COARSE, seed=2)
    model = fit(tmp_path / "model", fine, coarse, **NONE)
    later = temperature(COARSE, seed=3)
    later.tas[5, 0, 0] = np.nan
    assert not constraint(model)[0, 0]
    np.testing.assert_array_equal(downscale(later, model).tas, downscale(temperature(COARSE, seed=3), model).tas)
    assert downscale(later, model, gaps="drop").sizes["time"] == 120
    later.tas[:, 3, 3] = np.nan
    with pytest.raises(DataError, match=r"1 of the \d+ cells .* first at lat = 41.25, lon = -3.75; bring fields"):
        downscale(later, model)


def test_dropping_times_of_two_variables_drops_them_of_both():
    both = temperature(COARSE, 2).merge(rain(COARSE, 2))
    both.tas[3, 0, 0] = both.pr[7, 1, 1] = both.pr[9] = np.nan
    found = check_climate(open_climate(both), gaps="drop")
    assert found.sizes["time"] == 117 and found.tas.notnull().all() and found.pr.notnull().all()
    assert {"tas: 1 of 120 times with gaps are left out", "pr: 2 of 120 times with gaps are left out"} <= set(
        notes_of(found)
    )
    both.tas[:, 0, 0] = both.tas[0, 0, 0]
    both.tas[::2, 0, 0] = both.tas[1::2, 0, 1] = np.nan
    with pytest.raises(DataError, match="every time has a gap, so gaps = 'drop' would leave none"):
        check_climate(open_climate(both), gaps="drop")
    assert int(valid_mask(check_climate(open_climate(both[["tas"]]), gaps="mask")).sum()) == 18  # as it advises


def test_a_joint_mask_is_said():
    both = with_sea(temperature(FINE, 1)).merge(rain(FINE, 1))
    hidden = int(with_sea(temperature(FINE, 1)).tas[0].isnull().sum())
    (note,) = notes_of(check_climate(open_climate(both)))
    assert note == f"pr: a joint mask hides {hidden} cells of it where tas has no value"


def test_a_change_reaches_cells_next_to_those_without_values():
    r = np.random.default_rng(0)
    first, second = r.normal(size=(40, 1, 3, 4)), r.normal(size=(40, 1, 3, 4)) + 2
    phase = np.linspace(0, 1, 40, endpoint=False)
    whole = fit_change_signal(first, phase, second, phase, kinds=["additive"]).on(lambda x: x)
    first[:, :, 1, 1] = np.nan
    holed = fit_change_signal(first, phase, second, phase, kinds=["additive"]).on(lambda x: x)
    when = jnp.asarray(phase[:3], jnp.float32)
    difference = np.asarray(holed.difference(when) - whole.difference(when))
    assert np.isfinite(difference).all()
    difference = np.array(difference)
    difference[:, :, 1, 1] = 0
    np.testing.assert_allclose(difference, 0, atol=1e-6)


def test_samples_that_are_no_numbers_are_placed():
    grid = grid_of_fields(temperature(FINE, 1), ("tas",))
    mask = np.ones((12, 14), bool)
    mask[0, 0] = False
    fields = np.zeros((3, 2, 1, *mask.shape), np.float32)
    fields[..., 0, 0] = np.nan
    times = temperature(FINE, 1).time.values[:3]
    require_finite_fields(fields, mask, ("tas",), times, grid)
    fields[2, 1, 0, 4, 5] = np.inf
    place = r"tas is no number \(inf\) at time = 1990-01-03, lat = 38.25, lon = -6.25 \(1 such values\)"
    with pytest.raises(DataError, match=place):
        require_finite_fields(fields, mask, ("tas",), times, grid)


@pytest.mark.parametrize(
    "fault",
    [np.linalg.LinAlgError("SVD did not converge"), SinkhornNotConverged("Sinkhorn: nan"), FloatingPointError("y")],
)
def test_no_words_of_a_routine_reach_the_user(fault):
    with (
        pytest.raises(DataError, match="the fit of the prior has no solution for these fields") as caught,
        faults_in_words("the fit of the prior"),
    ):
        raise fault
    assert "SVD" not in str(caught.value) and "Sinkhorn" not in str(caught.value)


def test_only_what_is_modelled_needs_to_change():
    field = rain(COARSE, 2)
    field.pr[:, 0, 0] = 0.05  # below what counts as dry
    series = series_of(field, ["pr"])
    (said,) = require_variation(field, series, ChannelTransforms((CensoredRoot(),)), name="coarse")
    assert "never changes at 1 of 20 cells" in said
    cells = np.zeros((4, 5), bool)
    cells[0, 0] = True
    with pytest.raises(DataError, match="pr never changes in coarse"):
        require_variation(field, series, ChannelTransforms((CensoredRoot(),)), name="coarse", cells=cells)
