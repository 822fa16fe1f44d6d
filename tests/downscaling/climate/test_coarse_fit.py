"""What is fitted on a coarse archive: kept and found again to the same bits, and changes that stay what they are."""

from dataclasses import replace
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from subgrid.data.fields import DataError
from subgrid.downscaling.climate.coarse_fit import AnomalyDebiasing, FittedOn, check_grid, fit_coarse
from subgrid.downscaling.climate.domain import connect, fit_anomalies
from subgrid.downscaling.debiasing.choice import AnomalySample
from subgrid.downscaling.debiasing.of_anomalies import check_quantiles
from subgrid.downscaling.model.sides import CoarseSide
from subgrid.downscaling.preparation.series import series_of
from subgrid.downscaling.stored.part import load_part, save_part

from ..climate_pair import COARSE, FINE, temperature, with_sea

FINE_DATA, COARSE_DATA = with_sea(temperature(FINE, seed=1)), temperature(COARSE, seed=2, bias=2.0)
DOMAIN = connect(FINE_DATA, COARSE_DATA, ["tas"])
SERIES = series_of(COARSE_DATA, ["tas"])
FINE_SERIES = series_of(FINE_DATA, ["tas"])
ANOMALIES = fit_anomalies(FINE_SERIES, DOMAIN.transforms).forward(FINE_SERIES.values, FINE_SERIES.phase)
TARGET = AnomalySample(DOMAIN.coarsen(ANOMALIES), FINE_SERIES.phase, FINE_SERIES.season_year)


def fit(trained=None, **options) -> CoarseSide:
    given = {"method": "gaussian", "strength": 1.0, "n_quantiles": 20}
    return fit_coarse(COARSE_DATA, SERIES, DOMAIN, TARGET, AnomalyDebiasing.of(given | options), trained=trained)


def fitted(side: CoarseSide) -> FittedOn:
    assert isinstance(side.debiaser, FittedOn)
    return side.debiaser


def kept_and_found(side: CoarseSide, folder: Path) -> CoarseSide:
    save_part(folder / "coarse.zarr", side)
    return load_part(folder / "coarse.zarr")


@pytest.mark.parametrize(
    "method",
    [
        *("none", "gaussian"),
        *(
            pytest.param(method, marks=pytest.mark.slow)
            for method in ("quantile-mapping", "quantile-delta-mapping", "reduced-ot", "flow-matching")
        ),
    ],
)
def test_every_debiasing_is_found_again_to_the_same_bits(tmp_path, method):
    tiny = {"n_steps": 10, "batch_size": 32, "hidden": [8], "n_flow_steps": 4}
    made = fit(method=method, trained=SERIES.season_year % 2 == 1, **tiny)
    found = kept_and_found(made, tmp_path)
    np.testing.assert_array_equal(found.targets(SERIES), made.targets(SERIES))
    change = made.change_to(SERIES)
    np.testing.assert_array_equal(found.targets_without(change, SERIES), made.targets_without(change, SERIES))
    assert fitted(found).options == fitted(made).options and found.names == ("tas",)


def test_what_left_out_years_chose_is_kept_with_all_that_was_tried(tmp_path):
    made = fit(method="auto", strength="auto")
    options = fitted(made).options
    assert made.choice is not None and options["method"] == made.choice.method
    assert options["strength"] == made.choice.strength
    found = kept_and_found(made, tmp_path)
    assert found.choice == made.choice and fitted(found).options == options
    np.testing.assert_array_equal(found.targets(SERIES), made.targets(SERIES))


def test_a_uniform_warming_is_the_change_and_leaves_the_targets_as_they_were():
    made, warmer = fit(), replace(SERIES, values=SERIES.values + np.float32(3))
    change = made.change_to(warmer)
    np.testing.assert_allclose(change.difference(jnp.asarray(SERIES.phase[:5], jnp.float32)), 3, atol=1e-3)
    # The same days less their own change: only the rounding of 288 K in float32 is left, times the map's slope.
    np.testing.assert_allclose(made.targets_without(change, warmer), made.targets(SERIES), atol=5e-3)


def test_the_debiasers_own_drift_is_taken_out():
    """A wider distribution through a curved map gets another mean; that is no change of the model's."""
    made = fit(method="quantile-mapping")
    middle = SERIES.values.mean(0)
    wider = replace(SERIES, values=(middle + 2 * (SERIES.values - middle)).astype(np.float32))
    change = made.change_to(wider)
    targets = made.targets_without(change, wider)
    before = made.debiaser.adjust(fitted(made).source)
    np.testing.assert_allclose(targets.mean(0), before.mean(0), atol=1e-5)  # rounding
    still = np.asarray(change.remove(jnp.asarray(wider.values), jnp.asarray(wider.phase, jnp.float32)))
    moved = made.targets(replace(wider, values=still))
    assert np.abs(moved.mean(0) - before.mean(0)).max() > 1e-3  # there is a drift,
    np.testing.assert_allclose(targets - targets.mean(0), moved - moved.mean(0), atol=1e-5)  # and nothing else goes


def test_another_grid_is_refused_with_both():
    check_grid(fit(), COARSE_DATA.assign_coords(lat=COARSE_DATA.lat.astype("float32")))
    with pytest.raises(DataError, match=r"its lat, 4 values from 37\.75 to .* 4 values from 36\.75 to"):
        check_grid(fit(), COARSE_DATA.assign_coords(lat=COARSE_DATA.lat + 1))
    with pytest.raises(DataError, match="its lon, 4 values"):
        check_grid(fit(), COARSE_DATA.isel(lon=slice(4)))


def test_a_hole_where_the_model_was_trained_is_refused():
    values = SERIES.values.copy()
    values[:, :, 1, 1] = np.nan
    with pytest.raises(DataError, match=r"1 of the \d+ cells that the model was trained with hold no value"):
        fit().targets(replace(SERIES, values=values))


@pytest.mark.parametrize(
    ("options", "complains"),
    [
        ({"method": "gaussian"}, True),
        ({"method": "gaussian", "marginals": False}, False),
        ({"method": "quantile-delta-mapping", "marginals": False}, True),
        ({"method": "dotc"}, False),
        ({"method": "none"}, False),
    ],
)
def test_only_methods_that_map_quantiles_need_as_many_days(options, complains):
    if not complains:
        check_quantiles(99, 400, **options)
        return
    check_quantiles(100, 100, **options)
    with pytest.raises(DataError, match=r"n_quantiles = 100 .* 99 coarse and 400 fine days"):
        check_quantiles(99, 400, **options)
