"""Between canonical datasets and arrays: pooling, C′, anomalies and back, debiasing by name."""

from typing import get_args

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
import xarray as xr

from subgrid.data.fields import DataError
from subgrid.downscaling.climate.domain import connect, fit_anomalies, interpolation
from subgrid.downscaling.debiasing.of_anomalies import fit_climate_debiaser
from subgrid.downscaling.debiasing.settings import ClimateDebiasMethod
from subgrid.downscaling.preparation.series import series_of
from subgrid.numerics.operators import PaddedCoarsening

from ..climate_pair import COARSE, FINE, rain, temperature, with_sea

FINE_DATA = with_sea(temperature(FINE, seed=1)).merge(with_sea(rain(FINE, seed=1)))
COARSE_DATA = temperature(COARSE, seed=2).merge(rain(COARSE, seed=2))
VARIABLES = ["tas", "pr"]
DOMAIN = connect(FINE_DATA, COARSE_DATA, VARIABLES)


def test_members_are_pooled_along_time_each_with_its_own_dates():
    pair = xr.concat([COARSE_DATA, COARSE_DATA + 1], "realization").assign_coords(realization=[4, 7])
    series, n = series_of(pair, VARIABLES), COARSE_DATA.sizes["time"]
    np.testing.assert_array_equal(series.values[:n, 0], COARSE_DATA.tas.values)
    np.testing.assert_array_equal(series.values[n:, 1], COARSE_DATA.pr.values + 1)
    np.testing.assert_array_equal(series.member, np.repeat([0, 1], n))
    np.testing.assert_array_equal(series.time[:n], series.time[n:])
    assert sorted(set(series.season_year.tolist())) == [1990, 1991, 1992, 1993]
    assert series[series.member == 1].values.shape[0] == n


def test_a_missing_variable_is_named():
    with pytest.raises(DataError, match=r"no variable 'psl' among tas, pr"):
        series_of(COARSE_DATA, ["psl"])
    with pytest.raises(DataError, match=r"coarse: holds no variable 'pr', only tas"):
        connect(FINE_DATA, COARSE_DATA[["tas"]], VARIABLES)


def test_coarsening_keeps_constants_and_does_not_see_the_sea():
    fields = np.where(DOMAIN.mask, 7.0, np.nan).astype(np.float32)[None, None]
    np.testing.assert_allclose(DOMAIN.coarsen(fields), 7.0, rtol=1e-6)  # weights add up to one, in float32
    assert not DOMAIN.mask[0, 0] and DOMAIN.mask[-1, -1]


def test_anomalies_come_back_as_what_they_were():
    series = series_of(FINE_DATA, VARIABLES)
    anomalies = fit_anomalies(series, DOMAIN.transforms)
    found = anomalies.forward(series.values, series.phase)
    back = anomalies.inverse(found, series.phase)
    # float32 at 285 K resolves 3e-5 K; an anomaly loses and regains it.
    np.testing.assert_allclose(back[:, 0], series.values[:, 0], atol=2e-4)
    # Rain below .1 mm/day is dry; all else comes back, through a root and a square.
    wanted = np.where(series.values[:, 1] < 0.1, 0, series.values[:, 1])
    np.testing.assert_allclose(
        back[:, 1], np.where(np.isnan(series.values[:, 1]), np.nan, wanted), rtol=1e-4, atol=1e-4
    )
    assert np.nanmin(back[:, 1]) == 0
    # The penalised regression leaves its constant free, so the anomalies of a training archive add up to nothing.
    np.testing.assert_allclose(found[:, 0].mean(0)[DOMAIN.mask], 0, atol=1e-3)


def gaussian(n: int, seed: int, shift: float = 0.0, scale: float = 1.0) -> np.ndarray:
    mixing = np.array([[1.0, 0, 0], [0.8, 0.6, 0], [0, 0.3, 0.9]])
    noise = np.random.default_rng(seed).normal(size=(n, 1, 3))
    return (shift + scale * noise @ mixing.T).astype(np.float32)


SLOW = ("interpolant", "rectified-flow", "schrodinger-bridge")
"""Trained as flow-matching is, longer."""


@pytest.mark.parametrize(
    "method",
    [
        pytest.param(method, marks=pytest.mark.slow) if method in SLOW else method
        for method in get_args(ClimateDebiasMethod)
        if method != "none"
    ],
)
def test_debiasers_take_away_a_shift_and_a_scale(method):
    source, target = gaussian(600, 0, shift=2.0, scale=1.5), gaussian(600, 1)
    unseen, truth = gaussian(600, 2, shift=2.0, scale=1.5), gaussian(600, 3)
    tiny = {"n_steps": 10, "batch_size": 32, "hidden": (8,), "n_iterations": 2, "n_flow_steps": 4}
    moved = fit_climate_debiaser(source, target, method=method, n_quantiles=50, **tiny).adjust(unseen)
    # Standard errors of a mean and of a standard deviation of 600 are .041 and .029 times the standard deviation (1);
    # four samples come in, and four standard errors are allowed.
    np.testing.assert_allclose(moved.mean(0), truth.mean(0), atol=4 * 0.041 * np.sqrt(4))
    np.testing.assert_allclose(moved.std(0), truth.std(0), atol=4 * 0.029 * np.sqrt(4))


def test_no_debiasing_changes_nothing_and_unknown_methods_are_refused():
    source = gaussian(10, 0)
    np.testing.assert_array_equal(fit_climate_debiaser(source, source, method="none").adjust(source), source)
    with pytest.raises(Exception, match="method"):
        fit_climate_debiaser(source, source, method="magic")  # pyright: ignore[reportArgumentType]


def test_interpolation_is_exact_for_bilinear_fields():
    to_fine = interpolation(COARSE_DATA, FINE_DATA)
    plane = lambda lat, lon: 1 + 2 * lat[:, None] - 3 * lon + 0.1 * lat[:, None] * lon  # noqa: E731
    fine = np.asarray(to_fine(jnp.asarray(plane(*COARSE), jnp.float32)[None]))[0]
    inside = np.ix_(*((f >= c[0]) & (f <= c[-1]) for f, c in zip(FINE, COARSE, strict=True)))
    np.testing.assert_allclose(fine[inside], plane(*FINE)[inside], rtol=2e-6)  # float32


def test_padded_coarsening_has_an_adjoint_and_reads_the_field_only():
    operator = DOMAIN.regridding.operator
    padded = PaddedCoarsening(operator, (16, 16))
    x, y = jr.normal(jr.key(0), (2, 16, 16)), jr.normal(jr.key(1), (2, *operator.coarse_shape))
    # ⟨C′x, y⟩ = ⟨x, C′ᵀy⟩: sums of some hundred products in float32.
    assert jnp.vdot(padded(x), y) == pytest.approx(float(jnp.vdot(x, padded.adjoint(y))), rel=1e-4)
    np.testing.assert_array_equal(padded(x), padded(x.at[:, 12:].set(9.0)))
    np.testing.assert_allclose(padded(padded.pseudo_inverse(y)), y, atol=1e-3)  # C′C′⁺ = 1, a solve in float32
    assert jax.eval_shape(padded, x).shape == y.shape
