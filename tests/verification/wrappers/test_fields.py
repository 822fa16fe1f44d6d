"""The xarray wrappers: same numbers as the arrays, dimensions by name, labels kept, inputs left alone."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
import xarray as xr

from subgrid.verification import distributions, ensembles, spectra, wrappers

ATTRS = {"units": "K", "long_name": "temperature"}


def field(seed, sample_dim="sample", n=12, **sizes):
    sizes = {sample_dim: n, **(sizes or {"y": 4, "x": 6})}
    coords = {dim: 10.0 * np.arange(size) for dim, size in sizes.items() if dim != sample_dim} | {"height": 2.0}
    values = np.random.default_rng(seed).normal(size=tuple(sizes.values())).astype(np.float32)
    return xr.DataArray(values, dims=tuple(sizes), coords=coords, attrs=ATTRS, name="t2m")


def array(data):
    return jnp.asarray(data.values)


PRED, REF = field(0, n=9), field(1, n=12)
ENSEMBLE, TRUTH = field(2, "member", n=5), field(3).isel(sample=0)


@pytest.mark.parametrize(
    ("name", "unit"),
    [("covariance_rmse", "1"), ("wasserstein_1", "K"), ("maximum_mean_discrepancy", "1")],
)
def test_distances_of_sample_sets(name, unit):
    result = getattr(wrappers, name)(PRED, REF)
    assert result == getattr(distributions, name)(array(PRED), array(REF))
    assert result.name == name and result.dims == ()
    assert result.attrs == ATTRS | {"units": unit}
    assert set(result.coords) == {"height"}


def test_kl_divergence_per_point_lies_on_the_grid():
    result = wrappers.kl_divergence_per_point(REF, PRED)
    np.testing.assert_array_equal(result, distributions.kl_divergence_per_point(array(REF), array(PRED)))
    assert result.dims == ("y", "x") and result.attrs == ATTRS | {"units": "1"}
    xr.testing.assert_equal(result.x, REF.x)
    assert wrappers.kl_divergence(REF, PRED) == pytest.approx(float(result.sum()), rel=1e-5)


def test_the_order_of_dimensions_does_not_matter():
    turned = PRED.transpose("x", "sample", "y")
    xr.testing.assert_equal(wrappers.kl_divergence_per_point(REF, turned), wrappers.kl_divergence_per_point(REF, PRED))
    xr.testing.assert_equal(
        wrappers.energy_spectrum(turned, space_dims=("y", "x")), wrappers.energy_spectrum(PRED, space_dims=("y", "x"))
    )
    turned = ENSEMBLE.transpose("x", "member", "y")
    xr.testing.assert_equal(wrappers.fair_crps(turned, TRUTH), wrappers.fair_crps(ENSEMBLE, TRUTH))


def test_samples_may_have_another_name_and_a_calendar():
    time = xr.date_range("2000-01-01", periods=12)
    dated = REF.rename(sample="time").assign_coords(time=time)
    later = PRED.rename(sample="time").assign_coords(time=time[:9] + np.timedelta64(400, "D"))
    assert wrappers.wasserstein_1(later, dated, sample_dim="time") == wrappers.wasserstein_1(PRED, REF)


def test_energy_spectrum_has_a_wavenumber_axis():
    result = wrappers.energy_spectrum(PRED, space_dims="x")
    assert result.dims == ("y", "wavenumber")
    np.testing.assert_array_equal(result.wavenumber, [1, 2, 3])
    np.testing.assert_array_equal(result, spectra.energy_spectrum(array(PRED), 1))
    assert result.attrs["units"] == "(K)^2"
    xr.testing.assert_equal(result.y, PRED.y)
    # Without channels, and in two dimensions: Parseval.
    plane = wrappers.energy_spectrum(PRED, space_dims=("y", "x"))
    assert plane.dims == ("wavenumber",)
    assert plane.sum() == pytest.approx(float(PRED.var(("y", "x")).mean()), rel=1e-5)


def test_mean_energy_log_ratio_is_two_labelled_scalars():
    found = wrappers.mean_energy_log_ratio(2 * PRED.transpose("x", "y", "sample"), PRED, space_dims="x")
    assert [ratio.name for ratio in found] == ["mean_energy_log_ratio_unweighted", "mean_energy_log_ratio_weighted"]
    for ratio in found:
        assert ratio == pytest.approx(2 * np.log(2), rel=1e-5)


@pytest.mark.parametrize("name", ["crps", "fair_crps"])
def test_scores_lie_on_the_grid_of_the_truth(name):
    result = getattr(wrappers, name)(ENSEMBLE, TRUTH)
    np.testing.assert_array_equal(result, getattr(ensembles, name)(array(ENSEMBLE), array(TRUTH)))
    assert result.dims == ("y", "x") and result.attrs == ATTRS and result.name == name
    xr.testing.assert_equal(result.coords.to_dataset(), TRUTH.coords.to_dataset())


def test_spread_skill_and_ranks_pool_all_entries():
    members = jnp.moveaxis(array(ENSEMBLE), 0, 1)  # y as the case
    ratio = wrappers.spread_skill_ratio(ENSEMBLE, TRUTH)
    assert ratio == pytest.approx(float(ensembles.spread_skill_ratio(members, array(TRUTH))), rel=1e-5)
    counts = wrappers.rank_histogram(ENSEMBLE, TRUTH, key=jr.key(0))
    np.testing.assert_array_equal(counts, ensembles.rank_histogram(members, array(TRUTH), key=jr.key(1)))
    assert counts.dims == ("rank",) and list(counts["rank"]) == [0, 1, 2, 3, 4, 5]


def test_constraint_rmse_with_coarse_dimensions():
    coarse = PRED.isel(x=slice(None, None, 2))
    operator = lambda x: x[..., ::2]  # noqa: E731
    assert wrappers.constraint_rmse(operator, PRED, coarse, space_dims="x") == 0
    renamed = (1.5 * coarse).rename(x="x_coarse").transpose("x_coarse", "y", "sample")
    found = wrappers.constraint_rmse(operator, PRED, renamed, space_dims="x", coarse_dims="x_coarse")
    assert found == pytest.approx(0.5, rel=1e-5)


def test_sample_variability_by_name():
    data = field(4, condition=3, member=4, x=5).isel(sample=0).transpose("x", "member", "condition")
    expected = ensembles.sample_variability(array(data.transpose("condition", "member", "x")))
    assert wrappers.sample_variability(data) == expected
    assert wrappers.sample_variability(data).attrs == ATTRS


def test_inputs_are_not_changed_and_results_are_writable():
    pred, ref = PRED.copy(deep=True), REF.copy(deep=True)
    result = wrappers.kl_divergence_per_point(ref, pred)
    result[:] = 0
    result.attrs["units"] = "furlong"
    xr.testing.assert_identical(pred, PRED)
    xr.testing.assert_identical(ref, REF)


def test_bad_input_is_explained():
    with pytest.raises(ValueError, match="pred has no dimension 'time'; its dimensions are"):
        wrappers.covariance_rmse(PRED, REF, sample_dim="time")
    with pytest.raises(ValueError, match="differ in their coordinates or sizes"):
        wrappers.wasserstein_1(PRED.assign_coords(x=np.arange(6)), REF)
    with pytest.raises(ValueError, match="must have the same dimensions"):
        wrappers.wasserstein_1(PRED.isel(x=0), REF)
    with pytest.raises(ValueError, match="samples has no dimension 'lat'"):
        wrappers.energy_spectrum(PRED, space_dims="lat")
    with pytest.raises(ValueError, match="truth must not have the member dimension"):
        wrappers.crps(ENSEMBLE, ENSEMBLE)
    with pytest.raises(ValueError, match="needs at least 2 samples on axis 0, got 1"):
        wrappers.covariance_rmse(PRED.isel(sample=[0]), REF)
