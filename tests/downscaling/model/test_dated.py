"""Archives with dates from Python: everything fitted in one call, new fields downscaled in another."""

import json
from dataclasses import replace

import jax
import numpy as np
import pytest
import xarray as xr

import subgrid
from subgrid.data.canonical import open_climate
from subgrid.data.fields import DataError
from subgrid.data.store import OutputExists
from subgrid.data.variables.wanted import Variable
from subgrid.downscaling.climate.coarse_fit import FittedOn
from subgrid.downscaling.model import refined
from subgrid.downscaling.model.dated import open_dated, require_given
from subgrid.downscaling.model.model import Model
from subgrid.downscaling.model.settings import FitSettings
from subgrid.downscaling.preparation.series import series_of
from subgrid.downscaling.refined.prior import RefinedPrior

from ..climate_pair import COARSE, FINE, rain, temperature, with_sea
from ..dated import downscale, fit

NEW = temperature(COARSE, seed=9, bias=2.0, first=2001)


def prior_of(model: Model) -> RefinedPrior:
    assert isinstance(model.prior, RefinedPrior)
    return model.prior


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Model:
    return fit(tmp_path_factory.mktemp("climate") / "model")


@pytest.fixture(scope="module")
def ensemble(model) -> xr.Dataset:
    return downscale(NEW, model)


def test_the_output_has_names_coordinates_units_and_its_history(model, ensemble):
    assert ensemble.tas.dims == ("realization", "time", "lat", "lon")
    assert dict(ensemble.sizes) == {"realization": 3, "time": 120, "lat": 12, "lon": 14}
    np.testing.assert_array_equal(ensemble.lat, FINE[0])
    np.testing.assert_array_equal(ensemble.time, NEW.time)
    assert ensemble.tas.attrs["units"] == "K" and ensemble.tas.dtype == np.float32
    assert ensemble.lat.attrs["standard_name"] == "latitude"
    first, *rest = ensemble.attrs["history"].splitlines()
    assert "downscaled by subgrid.downscale" in first and rest == ["made by a test"]
    assert ensemble.attrs["Conventions"] == "CF-1.11"
    assert ensemble.attrs["subgrid_version"] == subgrid.__version__
    assert ensemble.attrs["checkpoint"] == model.checkpoint
    assert len(ensemble.attrs["configuration_hash"]) == 64 and ensemble.attrs["seed"] == "[0, 1]"
    assert json.loads(ensemble.attrs["configuration"])["n_members"] == 3


def test_a_netcdf_file_keeps_it_all(ensemble, tmp_path):
    ensemble.to_netcdf(tmp_path / "out.nc")
    with xr.open_dataset(tmp_path / "out.nc") as found:
        xr.testing.assert_identical(found.load(), ensemble)


def test_the_sea_holds_nothing_and_land_everything(ensemble):
    land = with_sea(temperature(FINE, seed=1)).tas.notnull().values[0]
    np.testing.assert_array_equal(ensemble.tas.notnull().values, np.broadcast_to(land, ensemble.tas.shape))


def test_every_member_coarsens_to_the_debiased_field(model, ensemble):
    series = series_of(NEW, ["tas"])
    targets = model.coarse.targets(series)
    fine = model.fine
    for member in range(3):
        values = np.where(fine.mask, ensemble.tas.values[member], 0)[:, None].astype(np.float32)
        coarsened = np.asarray(jax.vmap(fine.operator)(fine.chain.forward(values, series.phase)))
        # Last noise level .002 of a spread of 2 K, and float32 at 285 K.
        np.testing.assert_allclose(coarsened, targets, atol=0.03)


def test_the_bias_is_gone_and_the_members_differ(ensemble):
    truth = with_sea(temperature(FINE, seed=1)).tas
    # Two archives of 120 days, each mean of a spread of 2 K: half a kelvin; the bias was 2 K.
    assert abs(float(ensemble.tas.mean() - truth.mean())) < 0.6
    assert float(ensemble.tas.std("realization").mean()) > 0.05


@pytest.mark.slow
def test_the_same_key_gives_the_same_bits_from_a_path_a_dataset_or_a_folder(model, ensemble, tmp_path):
    NEW.to_netcdf(tmp_path / "new.nc")
    again = downscale(tmp_path / "new.nc", model.folder)
    np.testing.assert_array_equal(again.tas, ensemble.tas)
    other = downscale(NEW.isel(time=slice(30)), model, key=jax.random.key(2))
    assert not np.allclose(other.tas, ensemble.tas[:, :30], equal_nan=True)


def in_celsius(dataset: xr.Dataset) -> xr.Dataset:
    # float64, so that the way to degC and back is lost in the rounding to float32
    field = dataset.tas.astype("float64") - 273.15
    return dataset.assign(tas=field.assign_attrs(dataset.tas.attrs, units="degC"))


def around_the_globe(dataset: xr.Dataset) -> xr.Dataset:
    return dataset.assign_coords(lon=("lon", dataset.lon.values % 360, dataset.lon.attrs))


def upside_down(dataset: xr.Dataset) -> xr.Dataset:
    return dataset.isel(lat=slice(None, None, -1))


@pytest.mark.parametrize("disguise", [in_celsius, around_the_globe, upside_down])
def test_other_conventions_give_the_bits_of_their_canonical_twin(model, ensemble, disguise):
    np.testing.assert_array_equal(downscale(disguise(NEW), model).tas, ensemble.tas)


@pytest.mark.slow
def test_training_on_other_conventions_gives_the_same_model(model, tmp_path):
    fine = around_the_globe(upside_down(with_sea(temperature(FINE, seed=1))))
    independent = fit(
        tmp_path / "independent", fine=fine, coarse=around_the_globe(upside_down(temperature(COARSE, 2, bias=2.0)))
    )
    for a, b in zip(*(jax.tree.leaves(prior_of(m).denoiser.base) for m in (model, independent)), strict=True):
        np.testing.assert_array_equal(a, b)
    one, other = (m.coarse.debiaser for m in (model, independent))
    assert isinstance(one, FittedOn) and isinstance(other, FittedOn)
    np.testing.assert_array_equal(one.target, other.target)


def test_a_calendar_without_leap_days_keeps_its_dates(model, ensemble):
    """The same Januaries in both calendars, but a year is shorter: the phase of a day differs by a part in 1461."""
    noleap = temperature(COARSE, seed=9, bias=2.0, first=2001, calendar="noleap")
    found = downscale(noleap, model)
    assert found.time.dt.calendar == "noleap"
    assert [str(t)[:10] for t in found.time.values] == [str(t)[:10] for t in NEW.time.values]
    np.testing.assert_allclose(found.tas, ensemble.tas, atol=0.1)


def test_members_of_the_coarse_model_become_members_of_the_ensemble(model, ensemble):
    two = xr.concat([NEW, NEW + 1], "realization").assign_coords(realization=[3, 8])
    two.tas.attrs = NEW.tas.attrs
    found = downscale(two, model)
    assert found.sizes["realization"] == 6
    assert found.coarse_realization.values.tolist() == [3, 3, 3, 8, 8, 8]
    np.testing.assert_array_equal(found.tas[:3], ensemble.tas)
    # One kelvin more of a model whose variance is too small or large by some per cent.
    assert float(found.tas[3:].mean() - found.tas[:3].mean()) == pytest.approx(1, abs=0.3)


@pytest.mark.slow
def test_the_change_signal_is_preserved(model):
    """The model warms by 5 K − 2 K; output minus training climate warms as much, wherever the model does."""
    later = temperature(COARSE, seed=3, bias=5.0, first=2080, n=10)
    trained_on = temperature(COARSE, seed=2, bias=2.0)
    now, then = downscale(trained_on, model), downscale(later, model, change="preserve")
    given = float(later.tas.mean() - trained_on.tas.mean())
    # The same days of either: their means are fixed by the targets, so what is left is interpolation at the edges
    # and the fine cells that no coarse cell constrains.
    assert float(then.tas.mean() - now.tas.mean()) == pytest.approx(given, abs=0.25)
    without = float(downscale(later, model).tas.mean() - now.tas.mean())
    assert abs(without - given) > 0  # quantile mapping alone holds the tails it knows


@pytest.mark.slow
def test_rain_and_temperature_together(tmp_path):
    fine = with_sea(temperature(FINE, seed=1)).merge(with_sea(rain(FINE, seed=1)))
    coarse = temperature(COARSE, seed=2, bias=2.0).merge(rain(COARSE, seed=2, factor=0.7))
    model = fit(tmp_path / "model", fine=fine, coarse=coarse, variables=("tas", "pr"))
    found = downscale(coarse, model)
    amount = found.pr.values[np.isfinite(found.pr.values)]
    assert amount.min() == 0 and found.pr.attrs["units"] == "mm day-1"
    wanted = fine.pr.values[np.isfinite(fine.pr.values)]
    # 120 days of a few waves are some 30 independent fields: a standard error of .09 of a share of one half.
    assert (amount > 0.1).mean() == pytest.approx((wanted > 0.1).mean(), abs=0.1)


@pytest.mark.slow
def test_a_static_predictor_and_another_debiaser(tmp_path):
    height = xr.Dataset(
        {"orog": (("lat", "lon"), np.add.outer(FINE[0], FINE[1]) ** 2, {"units": "m"})},
        {
            n: (n, a, {"units": u})
            for n, a, u in zip(("lat", "lon"), FINE, ("degrees_north", "degrees_east"), strict=True)
        },
    )
    options = {"orography": height, "debias": "quantile-delta-mapping"}
    found = fit(tmp_path / "model", **options)
    assert prior_of(found).denoiser.predictors.shape[0] == 2
    assert downscale(NEW.isel(time=slice(40)), subgrid.load(found.folder)).sizes["time"] == 40


def test_what_cannot_be_is_refused(model, tmp_path):
    with pytest.raises(OutputExists, match="finished model already"):
        fit(model.folder)
    with pytest.raises(DataError, match=r"its lat, .* is not that of the archive"):
        downscale(temperature((COARSE[0] + 1, COARSE[1]), seed=9), model)
    with pytest.raises(Exception, match="change"):
        downscale(NEW, model, change="double")
    with pytest.raises(ValueError, match="n_members must be at least 1"):
        downscale(NEW, model, n_members=0)
    with pytest.raises(TypeError, match="n_step"):
        fit(tmp_path / "other", n_step=20)
    with pytest.raises(DataError, match="there is no such folder"):
        subgrid.load(tmp_path / "absent")
    with pytest.raises(DataError, match=r"holds no model \(preparation.zarr is not there\)"):
        subgrid.load(tmp_path)


def test_a_model_knows_its_time_step(model):
    eighths = np.datetime64("2001-01-01", "ns") + np.timedelta64(3, "h") * np.arange(48)
    three_hourly = NEW.isel(time=slice(48)).assign_coords(time=eighths)
    with pytest.raises(ValueError, match=r"its fields are 3-hourly, and those that the model .* daily.*step = 'day'"):
        downscale(three_hourly, model)
    daily = open_climate(three_hourly, step="day")  # the advice
    assert downscale(daily, model).sizes["time"] == 6


def test_fields_of_another_period_need_a_word_on_their_climate(model):
    far = NEW.isel(time=slice(5))
    said = r'of 2001 to 2001, and the model was fitted on 1990 to 1993; .* change = "none"'
    with pytest.raises(DataError, match=said):
        downscale(far, model, change="ask")
    with pytest.raises(DataError, match="1 season year of fields does not tell a change of climate, 10 and more do"):
        downscale(far, model, change="preserve")
    near = temperature(COARSE, seed=9, bias=2.0, first=1995).isel(time=slice(5))
    np.testing.assert_array_equal(downscale(near, model, change="ask").tas, downscale(near, model).tas)


def test_archives_that_do_not_fit_together_are_refused_before_anything_is_trained(tmp_path):
    """As `subgrid inspect` would: the sentences are those of `check_together`."""
    summer = temperature(COARSE, seed=2)
    summer = summer.assign_coords(time=summer.time + np.timedelta64(181, "D"))
    with pytest.raises(DataError, match="the archives share no season"):
        fit(tmp_path / "model", coarse=summer)
    with pytest.raises(DataError, match=r"is finer than fine .*swap the two"):
        fit(tmp_path / "model", fine=temperature(COARSE, seed=2), coarse=temperature(FINE, seed=1))
    far = temperature((COARSE[0] - 60, COARSE[1]), seed=2)
    with pytest.raises(DataError, match="they do not overlap"):
        fit(tmp_path / "model", coarse=far)
    assert not (tmp_path / "model").exists()


def test_too_few_days_for_the_quantiles_are_reported_before_anything_is_trained(tmp_path):
    with pytest.raises(DataError, match=r"n_quantiles = 121 .* 120 coarse and 120 fine days. Lower debias.n_quantiles"):
        fit(tmp_path / "m", debias_options={"n_quantiles": 121})
    assert not (tmp_path / "m").exists()  # so the mended call may use the same folder


def orography(factor: float) -> xr.Dataset:
    """A slope on the fine grid."""
    axes = zip(("lat", "lon"), FINE, ("degrees_north", "degrees_east"), strict=True)
    height = (("lat", "lon"), factor * np.add.outer(FINE[0], FINE[1]) ** 2, {"units": "m"})
    return xr.Dataset({"orog": height}, {name: (name, axis, {"units": unit}) for name, axis, unit in axes})


def test_a_fit_is_known_by_the_values_of_its_orography():
    """Its name in a file or a path says nothing of them."""
    archives = with_sea(temperature(FINE, seed=1)), temperature(COARSE, seed=2)
    heights = (None, orography(1.0), orography(2.0), orography(1.0))
    given = [open_dated(*archives, {"tas": Variable()}, FitSettings(orography=each)).digests() for each in heights]
    assert given[1] == given[3] and len({tuple(each) for each in given}) == 3


def test_a_model_tells_which_static_field_it_was_given(tmp_path, capsys):
    mask = (("lat", "lon"), np.ones([len(axis) for axis in FINE], np.float32), {"standard_name": "land_binary_mask"})
    orography(1.0).assign(lsm=mask)[["lsm", "orog"]].to_netcdf(tmp_path / "static.nc")
    cheap = {"n_steps": 0, "calibrate": False, "debias": "none", "n_components": (4,)}
    found = fit(tmp_path / "m", orography=tmp_path / "static.nc", progress=True, **cheap)
    said = "orog of static.nc by its name"
    assert f"orography: {said}" in capsys.readouterr().err
    for model in (found, subgrid.load(found.folder)):
        assert model.facts()["orography"] == f"{said}; no network sees it"
        assert f"{said}; no network sees it" in repr(model)
    assert "orography" not in replace(found, fine=replace(found.fine, orography=None)).facts()


def test_orography_is_refused_where_nothing_would_see_it(tmp_path):
    with pytest.raises(ValueError, match="orography is a predictor of the network that refines a Gaussian"):
        subgrid.fit(NEW, NEW, folder=tmp_path / "m", orography=orography(1.0), prior="network", key=0)
    plain = NEW.drop_vars(["lat", "lon", "time"])
    with pytest.raises(ValueError, match="orography is of archives with dates and places"):
        subgrid.fit(plain, plain, folder=tmp_path / "m", orography=orography(1.0), key=0)


def test_archives_of_which_one_has_no_dates_are_not_taken_for_plain_arrays(tmp_path):
    undated = NEW.assign_coords(time=range(NEW.sizes["time"]))
    with pytest.raises(DataError, match=r'coarse: has no dates, and fine has both .* preparation = "standardise"'):
        subgrid.fit(with_sea(temperature(FINE, seed=1)), undated, folder=tmp_path / "m", key=0)


@pytest.mark.parametrize(
    ("fine", "coarse", "found"),
    [(["tas"], ["tas"], "tas"), (["tas", "tcc"], ["tas"], "tas"), (["pr", "tas"], ["psl", "tas"], "tas"),
     (["tg"], ["tas"], "tg")],
)  # fmt: skip
def test_the_variable_that_both_have_needs_no_name(fine, coarse, found):
    assert list(require_given(None, lambda: fine, lambda: coarse)) == [found]


@pytest.mark.parametrize(
    ("fine", "coarse", "words"),
    [(["tas", "pr"], ["tas", "pr"], "fine and coarse hold the variables tas, pr; say which with variables"),
     (["tg", "rr"], ["tas"], "fine holds tg, rr and coarse tas, which have no name in common")],
)  # fmt: skip
def test_several_variables_are_asked_about(fine, coarse, words):
    with pytest.raises(DataError, match=words):
        require_given(None, lambda: fine, lambda: coarse)


@pytest.mark.slow
def test_an_unfinished_model_of_other_options_is_refused_and_the_same_call_goes_on(model, tmp_path, monkeypatch):
    """Stopped between the prior and the post-processing of its draws; to the same bits as in one go."""

    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(refined, "fit_post_processing", stop)
        with pytest.raises(KeyboardInterrupt):
            fit(tmp_path / "model")
    with pytest.raises(DataError, match="its model is not finished"):
        subgrid.load(tmp_path / "model")
    with pytest.raises(OutputExists, match="other options"):
        fit(tmp_path / "model", n_harmonics=2)
    assert fit(tmp_path / "model").checkpoint == model.checkpoint
