"""The main job through xarray, at tiny sizes: what comes back is named, located and constrained as promised."""

import inspect

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
import xarray as xr

import subgrid
from subgrid.data.fields import DataError, samples_of
from subgrid.data.normalise import Standardiser
from subgrid.data.store import OutputExists, write_zarr
from subgrid.diffusion.denoiser import Preconditioned
from subgrid.diffusion.gaussian_prior import GaussianPrior
from subgrid.diffusion.gaussian_steps import GaussianODE
from subgrid.diffusion.noise_levels import exponential_grid
from subgrid.diffusion.samplers import Heun
from subgrid.downscaling.debiasing.fit import apply_debiaser, fit_debiaser_array
from subgrid.downscaling.debiasing.settings import debias_settings
from subgrid.downscaling.ensemble_datasets import (
    conditions_dataset,
    ensemble_coordinates,
    ensemble_dataset,
    fine_coordinates,
)
from subgrid.downscaling.prior.model import Prior, PriorSettings
from subgrid.downscaling.upsampling.level_checks import LevelWarning
from subgrid.experiments.downscale import build
from subgrid.experiments.downscale.config import DownscaleConfig

from ..diffusion.gaussian_fields import as_prior, matrix_of, posterior, ring

FINE, FACTOR, LENGTH = 32, 4, 8.0
NETWORK = {"channels": (16,), "n_blocks": 1, "patch": 2}
TRAINING = {"n_steps": 20, "steps_per_dispatch": 20, "batch_size": 16}


class ExactNetwork(eqx.Module):
    """F of the preconditioned D = c_skip x + c_out F(c_in x, ¼ ln σ) for which D is a Gaussian's own denoiser."""

    gaussian: GaussianPrior

    def __call__(self, scaled, quarter_log):
        sigma = jnp.exp(4 * quarter_log)
        root = jnp.sqrt(1 + sigma**2)
        return (self.gaussian(scaled * root, sigma) - scaled / root) * root / sigma


def gaussian_model(mean: float, std: float) -> Prior:
    """A prior of 18 periodic points, N(mean, std²·ring(18)), whose denoiser is exact."""
    gaussian = as_prior(np.zeros(18), ring(18), (1, 18))
    standardiser = Standardiser(jnp.asarray([mean]), jnp.asarray([std]))
    return Prior(PriorSettings(1, (18,)), Preconditioned(ExactNetwork(gaussian)), standardiser, gaussian)


def waves(n_points: int, n_runs: int, n_times: int, seed: int, bias: float = 0.0) -> xr.DataArray:
    """Random waves of wavenumbers 1 and 2 about 3 + bias, dimensions (x, trajectory, time): space first on purpose."""
    draw = np.random.default_rng(seed)
    x = np.arange(n_points) * LENGTH / n_points
    phases = draw.uniform(0, 2 * np.pi, (2, n_runs, n_times, 1))
    angle = 2 * np.pi * x / LENGTH
    values = 3 + bias + np.cos(angle + phases[0]) + 0.5 * np.cos(2 * angle + phases[1])
    coords = {
        "x": ("x", x, {"units": "m"}),
        "time": ("time", np.arange(n_times) * 6.0, {"units": "hours"}),
        "height": ((), 2.0, {"units": "m"}),
    }
    field = xr.DataArray(values, coords, ("trajectory", "time", "x"), "u", {"units": "m s-1", "long_name": "velocity"})
    return field.transpose("x", "trajectory", "time")


@pytest.fixture(scope="module")
def fine():
    return waves(FINE, 8, 6, seed=0)


@pytest.fixture(scope="module")
def coarse():
    return waves(FINE // FACTOR, 5, 4, seed=1, bias=0.4)


@pytest.fixture(scope="module")
def prior(fine, tmp_path_factory):
    folder = tmp_path_factory.mktemp("prior") / "model"
    return subgrid.train(fine, folder=folder, key=jr.key(0), **NETWORK, **TRAINING)


@pytest.fixture(scope="module")
def operator():
    return subgrid.Subsample((FINE,), FACTOR)


@pytest.fixture(scope="module")
def debiaser(coarse, fine, operator):
    return subgrid.fit_debiaser(coarse, fine, operator, epsilon=0.5, corrections=(), key=jr.key(1))


@pytest.fixture(scope="module")
def ensemble(coarse, prior, debiaser, operator):
    kept = coarse.copy(deep=True)
    result = subgrid.downscale(coarse, prior, debiaser, operator, n_members=3, key=jr.key(2))
    xr.testing.assert_identical(coarse, kept)
    return result


def test_dimensions_are_samples_then_member_then_fine_space(ensemble):
    assert ensemble.dims == ("trajectory", "time", "member", "x")
    assert dict(ensemble.sizes) == {"trajectory": 5, "time": 4, "member": 3, "x": FINE}


def test_name_attributes_and_coordinates_come_back(ensemble, coarse, fine):
    assert ensemble.name == "u"
    assert ensemble.attrs == coarse.attrs
    xr.testing.assert_identical(ensemble.time, coarse.time)
    xr.testing.assert_equal(ensemble.height, coarse.height)
    np.testing.assert_allclose(ensemble.x, fine.x)
    assert ensemble.x.attrs == {"units": "m"}


def test_coarsened_members_are_the_debiased_fields(ensemble, coarse, debiaser, operator):
    """C′x = T(y), with T applied here one field at a time and C′ by its definition, every fourth point."""
    for run, time in [(0, 0), (4, 3), (2, 1)]:
        y = coarse.transpose("trajectory", "time", "x").values[run, time].astype(np.float32)
        expected = np.asarray(debiaser(jax.numpy.asarray(y)[None]))[0]
        members = ensemble.isel(trajectory=run, time=time).values
        np.testing.assert_allclose(members[:, ::FACTOR], np.broadcast_to(expected, (3, FINE // FACTOR)), atol=2e-5)
        assert np.ptp(members, axis=0).max() > 1e-3  # and they are draws, not copies


def test_debiasing_removes_the_offset(coarse, fine, debiaser):
    y = coarse.transpose("trajectory", "time", "x").values.reshape(-1, 1, FINE // FACTOR).astype(np.float32)
    # The offset of .4 goes; what is left is sampling error: each of 20 fields has mean exactly 3.4, each image about 3.
    assert abs(apply_debiaser(debiaser, y).mean() - float(fine.mean())) < 0.05


def test_perfect_model_needs_no_debiaser(fine, prior, operator):
    """Coarsened fine fields downscaled without a debiaser keep the values that they were coarsened from."""
    truth = fine.isel(trajectory=slice(2), time=slice(2))
    ensemble = subgrid.downscale(
        truth.isel(x=slice(None, None, FACTOR)), prior, None, operator, n_members=2, key=jr.key(3)
    )
    kept = ensemble.isel(x=slice(None, None, FACTOR))
    # Within float32 rounding of values of order 4 that were normalised and restored; xarray aligns x by value.
    assert float(abs(kept - truth.astype("float32")).max()) < 2e-5
    assert kept.sizes["x"] == FINE // FACTOR


def test_a_factor_stands_for_every_nth_point(coarse, prior, debiaser, ensemble):
    again = subgrid.downscale(coarse, prior, debiaser, FACTOR, n_members=3, key=jr.key(2))
    xr.testing.assert_identical(again, ensemble)


def test_training_leaves_its_input_alone_and_can_be_loaded(fine, tmp_path, coarse, operator):
    kept = fine.copy(deep=True)
    prior = subgrid.train(fine, folder=tmp_path / "model", key=jr.key(0), **NETWORK, **TRAINING)
    xr.testing.assert_identical(fine, kept)
    one = coarse.isel(trajectory=slice(1), time=slice(1))
    priors = prior, subgrid.load_prior(tmp_path / "model")
    draws = [subgrid.downscale(one, p, None, operator, n_members=2, key=jr.key(4)) for p in priors]
    xr.testing.assert_identical(*draws)
    with pytest.raises(OutputExists, match="load_prior"):
        subgrid.train(fine, folder=tmp_path / "model", key=jr.key(0), **NETWORK, **TRAINING)


def test_quantile_mapping_and_none(coarse, fine, operator):
    y = jax.numpy.asarray(coarse.transpose("trajectory", "time", "x").values[0, 0][None], jax.numpy.float32)
    mapped = subgrid.fit_debiaser(coarse, fine, operator, method="quantile-mapping", n_quantiles=10, key=jr.key(0))
    assert mapped(y).shape == y.shape
    kept = subgrid.fit_debiaser(coarse, fine, operator, method="none", key=jr.key(0))
    np.testing.assert_array_equal(kept(y), y)


def test_fine_coordinates_of_block_means_average_to_the_coarse_ones():
    x = np.array([1.5, 5.5, 9.5])
    coarse = xr.DataArray(np.zeros((2, 3)), {"x": x}, ("sample", "x"))
    found = fine_coordinates(coarse, ("x",), subgrid.BlockMean((12,), 4))["x"][1]
    np.testing.assert_allclose(found.reshape(3, 4).mean(1), x)
    np.testing.assert_allclose(np.diff(found), 1.0)


def test_unequal_spacing_gives_no_fine_coordinate():
    coarse = xr.DataArray(np.zeros((2, 3)), {"x": [0.0, 1.0, 4.0]}, ("sample", "x"))
    assert fine_coordinates(coarse, ("x",), subgrid.Subsample((12,), 4)) == {}


def test_two_space_axes_stay_in_their_order():
    coarse = xr.DataArray(np.zeros((2, 3, 4)), dims=("time", "lat", "lon"), attrs={"units": "K"})
    dataset = ensemble_dataset(coarse, np.zeros((2, 5, 1, 6, 8)), np.zeros((2, 1, 3, 4)), subgrid.BlockMean((6, 8), 2))
    assert dataset.ensemble.dims == ("time", "member", "lat", "lon")
    assert dataset.target.dims == ("time", "lat_coarse", "lon_coarse")
    assert dataset.ensemble.attrs == {"units": "K"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c, f, o: subgrid.fit_debiaser(c, f, 8, key=jr.key(0)), r"\(32,\) points to \(4,\).*\(8,\)"),
        (lambda c, f, o: subgrid.fit_debiaser(c.where(c < 3), f, o, key=jr.key(0)), "coarse: u is nan at"),
        (
            lambda c, f, o: subgrid.fit_debiaser(c.isel(time=0, trajectory=0), f, o, key=jr.key(0)),
            "at least one of",
        ),
    ],
)
def test_bad_fields_get_one_clear_sentence(coarse, fine, operator, change, message):
    with pytest.raises(DataError, match=message):
        change(coarse, fine, operator)


def test_a_member_dimension_is_refused(coarse, prior, operator):
    members = coarse.rename(trajectory="member").isel(time=slice(1), member=slice(1))
    with pytest.raises(DataError, match="rename it"):
        subgrid.downscale(members, prior, None, operator, n_members=2, key=jr.key(0))


@pytest.mark.parametrize(
    "order", [("trajectory", "time", "x"), ("time", "trajectory", "x"), ("x", "time", "trajectory")]
)
def test_each_ensemble_belongs_to_its_own_sample(order):
    """Members that are copies of the coarse field itself, in the order of samples_of, come back where they were."""
    coarse = waves(8, 3, 4, seed=2).transpose(*order)
    values = samples_of(coarse, source="coarse").values
    members = np.repeat(values[:, None], 2, axis=1)
    dataset = ensemble_dataset(coarse, members, values, subgrid.Subsample((8,), 1))
    assert dataset.ensemble.dims == (*(d for d in order if d != "x"), "member", "x")
    for member in (0, 1):
        xr.testing.assert_equal(dataset.ensemble.isel(member=member).transpose(*order), coarse.astype("float32"))
    xr.testing.assert_equal(dataset.target.rename(x_coarse="x").transpose(*order), coarse.astype("float32"))


@pytest.mark.parametrize("name", ["ensemble", "target", "x_coarse"])
def test_names_that_the_result_needs_are_refused_before_sampling(coarse, prior, operator, name):
    def report(done, total):
        pytest.fail("sampled before complaining")

    taken = coarse.assign_coords({name: 1.0})
    with pytest.raises(DataError, match=f"a coordinate '{name}', a name that the result needs; rename or drop it"):
        subgrid.downscale(taken, prior, None, operator, n_members=2, report=report, key=jr.key(0))
    members = coarse.rename(trajectory="member")
    with pytest.raises(DataError, match="rename it"):
        subgrid.downscale(members, prior, None, operator, n_members=2, report=report, key=jr.key(0))


def test_an_input_of_another_zarr_format_can_be_written(tmp_path):
    """Coordinates read from a Zarr v2 store bring its codecs along, which a v3 store refuses."""
    coarse = waves(8, 2, 3, seed=0)
    coarse.to_dataset().to_zarr(tmp_path / "v2.zarr", zarr_format=2)
    field = xr.open_zarr(tmp_path / "v2.zarr").u
    samples = samples_of(field, source="v2.zarr")
    dataset = ensemble_dataset(field, samples.values[:, None], samples.values, subgrid.Subsample((8,), 1))
    write_zarr(dataset, tmp_path / "v3.zarr")
    back = xr.open_zarr(tmp_path / "v3.zarr")
    xr.testing.assert_equal(back.ensemble.isel(member=0).transpose("x", ...).load(), coarse.astype("float32"))
    assert field.time.encoding  # the input keeps its own
    assert not ensemble_coordinates(field, subgrid.Subsample((8,), 1)).time.encoding


def test_ensembles_of_single_samples_keep_time_place_name_and_units(tmp_path):
    fine, coarse = (samples_of(waves(n, 3, 4, seed=0), source="f") for n in (16, 4))
    chosen = np.array([1, 7, 10])
    members = np.repeat(fine.values[chosen][:, None], 2, axis=1)
    dataset = conditions_dataset(
        coarse.take(chosen), members, coarse.values[chosen], fine=fine, coarse=coarse, truth=fine.values[chosen]
    )
    write_zarr(dataset, tmp_path / "e.zarr")
    back = xr.open_zarr(tmp_path / "e.zarr")
    assert back.ensemble.dims == ("condition", "member", "channel", "x")
    assert back.truth.attrs == {"units": "m s-1", "long_name": "velocity"}
    np.testing.assert_array_equal(back.time, [6.0, 18.0, 12.0])  # 12 samples of 3 runs, six hours apart
    assert back.time.attrs == {"units": "hours"}
    np.testing.assert_allclose(back.x, np.arange(16) / 2)
    np.testing.assert_allclose(back.x_coarse, np.arange(4) * 2)
    # What was written is read as samples again: 3 conditions × 2 members.
    again = samples_of(back.ensemble, source="e.zarr")
    np.testing.assert_array_equal(again.values[::2], fine.values[chosen])


def test_channels_stay_channels():
    values = np.random.default_rng(0).normal(size=(5, 2, 4)).astype(np.float32)
    coarse = xr.DataArray(values, {"channel": ["tas", "pr"]}, ("time", "channel", "x"))
    samples = samples_of(coarse, source="coarse")
    np.testing.assert_array_equal(samples.values, values)
    dataset = ensemble_dataset(coarse, samples.values[:, None], samples.values, subgrid.Subsample((4,), 1))
    assert dataset.ensemble.dims == ("time", "member", "channel", "x")
    np.testing.assert_array_equal(dataset.ensemble[:, 0], values)


def test_settings_are_checked_by_name(fine, tmp_path):
    with pytest.raises(TypeError, match="did you mean 'n_steps'"):
        subgrid.train(fine, folder=tmp_path, key=jr.key(0), n_step=20)
    with pytest.raises(ValueError, match="needs periodic=True"):
        subgrid.train(fine, folder=tmp_path, key=jr.key(0), periodic=False, translation_invariant=True)


def test_defaults_are_those_of_the_command_line():
    config = DownscaleConfig()
    default = inspect.signature(fit_debiaser_array).parameters
    configured = config.debias.model_dump()
    assert default["method"].default == configured.pop("method")
    assert default["settings"].default == debias_settings(**configured)
    defaults = {name: p.default for name, p in inspect.signature(subgrid.downscale).parameters.items()}
    assert (defaults["n_members"], defaults["chunk"]) == (config.sampling.n_members, config.sampling.chunk)


def test_default_sampling_is_that_of_the_command_line(coarse, prior, operator):
    config, one = DownscaleConfig(), coarse.isel(trajectory=slice(1), time=slice(2))
    named = {
        "guide": build.guide_of(config, prior.gaussian),
        "method": build.method_of(config),
        "noise_levels": build.levels_for(config, prior),
    }
    draws = [
        subgrid.downscale(one, prior, None, operator, n_members=2, key=jr.key(5), **chosen) for chosen in ({}, named)
    ]
    xr.testing.assert_allclose(*draws, rtol=1e-4)  # the ends of the grid differ by rounding


@pytest.mark.parametrize("kind", [pytest.param("every 3rd", marks=pytest.mark.slow), "means of 3"])
def test_the_default_call_is_right_on_a_gaussian_field(kind):
    """Mean and spread of what `downscale` draws, nothing chosen, against dense algebra."""
    mean, std, n = 15.0, 4.0, 8000
    operator = subgrid.Subsample((18,), 3) if kind == "every 3rd" else subgrid.BlockMean((18,), 3)
    y = mean + std * np.random.default_rng(0).normal(size=(2, 6))
    coarse = xr.DataArray(y, dims=("time", "x"), name="u")
    drawn = subgrid.downscale(coarse, gaussian_model(mean, std), None, operator, n_members=n, chunk=2048, key=jr.key(0))
    matrix = matrix_of(operator, (1, 18))
    found = np.float64(drawn.transpose("time", "member", "x").values)
    variances = []
    for values, given in zip(found, y, strict=True):
        exact, spread = posterior(np.full(18, mean), std**2 * ring(18), matrix, given, 0.0)
        # Two standard errors of a mean's norm, √(tr P/n); it is a χ of some ten degrees, so two are rarely reached.
        assert np.linalg.norm(values.mean(0) - exact) < 2 * np.sqrt(np.trace(spread) / n)
        variances.append(values.var(0).sum() / np.trace(spread))
    # Standard error of √(variances): ½√(2 tr P²/(tr P)²/2n), below .003 with (tr P)²/tr P² above 3.5; three, and 1 %.
    assert np.trace(spread) ** 2 / np.trace(spread @ spread) > 3.5
    assert np.sqrt(np.mean(variances)) == pytest.approx(1.0, abs=0.01 + 3 * 0.003)
    np.testing.assert_allclose(found @ matrix.T, np.repeat(y[:, None], n, 1), atol=1e-3)


@pytest.fixture(scope="module", params=["diffusion", "flow"])
def conditional(request, fine, operator, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param) / "model"
    rough = fine + 0.2 * np.random.default_rng(9).normal(size=fine.shape)  # eight points determine smooth waves
    kept = rough.copy(deep=True)
    model = subgrid.train_conditional(
        rough, operator, folder=folder, kind=request.param, key=jr.key(0), **NETWORK, **TRAINING
    )
    xr.testing.assert_identical(rough, kept)
    return folder, model


def test_a_conditional_model_downscales_as_a_prior_does(conditional, coarse, debiaser, operator, ensemble):
    folder, model = conditional
    drawn = subgrid.downscale(coarse, model, debiaser, operator, n_members=3, key=jr.key(2))
    assert drawn.dims == ensemble.dims and drawn.attrs == ensemble.attrs
    xr.testing.assert_identical(drawn.coords.to_dataset(), ensemble.coords.to_dataset())
    # Both are tied to the same debiased fields, in float32.
    kept = {"x": slice(None, None, FACTOR)}
    np.testing.assert_allclose(drawn.isel(kept), ensemble.isel(kept), atol=5e-5)
    assert float(drawn.std("member").max()) > 1e-3
    again = subgrid.downscale(
        coarse, subgrid.load_conditional(folder, FACTOR), debiaser, FACTOR, n_members=3, key=jr.key(2)
    )
    xr.testing.assert_identical(again, drawn)


@pytest.mark.slow
@pytest.mark.parametrize(("chosen", "trained"), [({}, 12.0), ({"sigma_max": 10.0}, 10.0), ({"sigma_max": 5.0}, 5.0)])
def test_a_largest_level_that_is_given_wins(fine, tmp_path, monkeypatch, chosen, trained):
    """√λ = 4 of the leading direction asks for 12."""
    monkeypatch.setattr("subgrid.downscaling.conditional.model.leading_std", lambda gaussian: 4.0)
    short = {**TRAINING, "n_steps": TRAINING.get("steps_per_dispatch", 20)}
    model = subgrid.train_conditional(fine, FACTOR, folder=tmp_path / "m", key=jr.key(0), **NETWORK, **short, **chosen)
    assert model.settings.network.sigma_max == pytest.approx(trained)


def test_evaluations_are_those_asked_for(conditional, coarse):
    _, model = conditional
    one = coarse.isel(trajectory=slice(1), time=slice(1))
    draw = lambda n: subgrid.downscale(one, model, None, FACTOR, n_members=2, n_evaluations=n, key=jr.key(4))  # noqa: E731
    xr.testing.assert_identical(draw(None), draw(16 if model.settings.kind == "diffusion" else 8))
    assert float(abs(draw(None) - draw(3)).max()) > 1e-5
    with pytest.raises(ValueError, match="got 0"):
        draw(0)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"guide": lambda *_: None}, "guide does not go with a conditional model; give n_evaluations, or use a prior"),
        ({"n_particles": 4}, "n_particles does not go with a conditional model"),
        ({"noise_levels": jnp.asarray([10.0, 1.0])}, "noise_levels does not go with a conditional model"),
    ],
)
def test_options_of_priors_are_refused_with_a_conditional_model(conditional, coarse, option, message):
    with pytest.raises(ValueError, match=message):
        subgrid.downscale(coarse, conditional[1], None, FACTOR, key=jr.key(0), **option)


def test_options_of_conditional_models_are_refused_with_a_prior(prior, coarse, conditional):
    with pytest.raises(ValueError, match="n_evaluations does not go with a prior; give noise_levels"):
        subgrid.downscale(coarse, prior, None, FACTOR, n_evaluations=8, key=jr.key(0))
    if conditional[1].settings.kind == "flow":
        with pytest.raises(ValueError, match='method does not go with a conditional model of the kind "flow"'):
            subgrid.downscale(coarse, conditional[1], None, FACTOR, method=GaussianODE, key=jr.key(0))


def test_a_conditional_model_is_of_its_own_coarsening(conditional, coarse):
    with pytest.raises(DataError, match="Subsample of 32 to 8 points, not BlockMean of 32 to 8 points"):
        subgrid.downscale(coarse, conditional[1], None, subgrid.BlockMean((FINE,), FACTOR), key=jr.key(0))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"kind": "bridge"}, (ValueError, TypeError), "kind"),  # a TypeError of the tests' own checks
        ({"jitter": -1.0}, ValueError, "jitter must be"),
        ({"operator": subgrid.Subsample((64,), 4)}, DataError, r"fields of \(64,\) points, the fine ones have \(32,\)"),
        ({"n_stepz": 4}, TypeError, "train_conditional has no setting 'n_stepz'; did you mean 'n_steps'"),
        ({"translation_invariant": True, "periodic": False}, ValueError, "needs periodic=True"),
    ],
)
def test_what_a_conditional_model_cannot_be_trained_with(fine, tmp_path, options, error, message):
    with pytest.raises(error, match=message):
        subgrid.train_conditional(fine, **{"operator": FACTOR, "folder": tmp_path / "m", "key": jr.key(0), **options})
    assert not (tmp_path / "m").exists()


def test_a_folder_with_a_model_of_either_kind_is_left_alone(conditional, fine):
    folder, _ = conditional
    for again in (
        lambda: subgrid.train(fine, folder=folder, key=jr.key(0)),
        lambda: subgrid.train_conditional(fine, FACTOR, folder=folder, key=jr.key(0)),
    ):
        with pytest.raises(OutputExists, match="holds a trained model already"):
            again()


def test_levels_that_do_not_suffice_are_warned_of(coarse, prior):
    one = coarse.isel(trajectory=slice(1), time=slice(1))
    given = {"n_members": 1, "key": jr.key(0)}
    with pytest.warns(LevelWarning, match="GaussianSDE at 4 noise levels .* two separate modes"):
        few = subgrid.downscale(one, prior, None, FACTOR, noise_levels=exponential_grid(4), **given)
    with pytest.warns(LevelWarning, match="Heun at 9 noise levels gives a unit Gaussian"):
        heun = subgrid.downscale(one, prior, None, FACTOR, method=Heun(), noise_levels=exponential_grid(9), **given)
    for drawn in (few, heun):  # a warning, and fields all the same
        assert drawn.sizes["member"] == 1 and np.isfinite(drawn.values).all()
