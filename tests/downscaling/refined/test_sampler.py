"""Draws of climate fields: they keep their constraint and their distribution, whatever block they are drawn in."""

from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
import xarray as xr

from subgrid.data.fields import DataError
from subgrid.data.store import write_zarr
from subgrid.data.variables.quantities import describe_name
from subgrid.downscaling.climate.domain import Domain, connect, fit_anomalies
from subgrid.downscaling.preparation.series import series_of
from subgrid.downscaling.preparation.transforms import is_bounded, is_censored, transforms_of
from subgrid.downscaling.refined.conditions import Conditions, TrainingAnomalies
from subgrid.downscaling.refined.prior import RefinedPrior, train_refined_prior
from subgrid.downscaling.refined.refinement import RefinementSettings
from subgrid.downscaling.refined.sampler import draw_anomalies, gaussian_conditional
from subgrid.downscaling.spread.calibration import widths
from subgrid.downscaling.spread.post_processing import (
    POST_PROCESSING,
    PostProcessing,
    apply_marginals,
    as_if_left_out,
    fit_marginals,
    fit_post_processing,
    load_post_processing,
    save_post_processing,
)
from subgrid.numerics.streams import draw_keys

from ..climate_pair import COARSE, FINE, TINY, rain, temperature, with_sea

LEVELS = 8


def parts_of(folder, *variables: str, **network: int) -> tuple[Domain, np.ndarray, RefinedPrior]:
    fine, coarse = with_sea(temperature(FINE, seed=1)), temperature(COARSE, seed=2)
    fine, coarse = fine.merge(with_sea(rain(FINE, seed=1))), coarse.merge(rain(COARSE, seed=2))
    domain, series = connect(fine, coarse, variables), series_of(fine, variables)
    fields = np.nan_to_num(fit_anomalies(series, domain.transforms).forward(series.values, series.phase))
    settings = RefinementSettings(**{**TINY, **network})
    training = TrainingAnomalies(fields, series.season_year, domain.mask.astype(np.float32))
    options = {"settings": settings, "n_components": (5, 10), "folder": folder / "model", "key": jr.key(0)}
    prior = train_refined_prior(training, conditions_of(domain, len(fields)), **options)
    return domain, fields, replace(prior, gain=None)


def conditions_of(domain: Domain, n: int) -> Conditions:
    climatology = np.zeros((n, len(domain.variables), *domain.mask.shape), np.float32)
    return Conditions(domain.regridding.operator, domain.rows, domain.distances, climatology, domain.transforms)


@pytest.fixture(scope="module")
def calibrated(wet) -> PostProcessing:
    """Of four groups of 30 days."""
    domain, fields, prior = wet
    conditions, n_members = conditions_of(domain, len(fields)), 2
    conditional = gaussian_conditional(prior, conditions.operator)

    def draws(calibration, chosen):
        targets = np.repeat(domain.coarsen(fields[chosen]), n_members, axis=0)
        keys = draw_keys(jr.key(4), chosen, np.arange(n_members)).reshape(-1)
        each = calibration, np.zeros((len(targets), *fields.shape[1:]), np.float32)
        drawn = draw_anomalies(prior, conditional, targets, keys, n_levels=4, calibration=each)
        return prior.normalised(drawn).reshape(len(chosen), n_members, *prior.denoiser.base.mean.shape)

    training = TrainingAnomalies(fields, np.arange(len(fields)) // 30, domain.mask.astype(np.float32))
    return fit_post_processing(prior, conditional, conditions, training, draws)


@pytest.fixture(scope="module")
def warm(tmp_path_factory):
    return parts_of(tmp_path_factory.mktemp("warm"), "tas")


@pytest.fixture(scope="module")
def wet(tmp_path_factory):
    """Without a network: post-processing sees draws, whatever drew them."""
    return parts_of(tmp_path_factory.mktemp("wet"), "tas", "pr", n_steps=0)


def test_draws_keep_their_targets(warm):
    domain, fields, prior = warm
    targets = domain.coarsen(fields[:6])
    drawn = draw_anomalies(
        prior, gaussian_conditional(prior, domain.regridding.operator), targets, jr.split(jr.key(1), 6), n_levels=LEVELS
    )
    # The last noise level is sigma_min in units of the channel's spread; a coarse cell averages several fine ones.
    allowed = 5 * prior.settings.sigma_min * float(prior.scale[0])
    np.testing.assert_allclose(domain.coarsen(drawn), targets, atol=allowed)


def test_a_gaussian_priors_draws_have_the_conditional_mean_and_variance(warm):
    """E[x | y] = ΣC′ᵀ(C′ΣC′ᵀ)⁻¹y and its variance, from dense matrices of the fitted distribution."""
    domain, fields, prior = warm
    base, n = prior.denoiser.base, 256
    y = domain.coarsen(fields[:1])
    drawn = draw_anomalies(
        prior,
        gaussian_conditional(prior, domain.regridding.operator),
        np.repeat(y, n, 0),
        jr.split(jr.key(2), n),
        n_levels=64,
    )[:, 0]
    inside = domain.mask
    mean, components = (np.asarray(a)[..., :12, :14][..., inside].astype(float) for a in (base.mean, base.directions))
    V = components.reshape(len(base.variances), -1)
    Σ = V.T @ np.diag(np.asarray(base.variances, float)) @ V + float(base.remainder) * (np.eye(inside.sum()) - V.T @ V)
    C = np.stack([domain.coarsen(_unit(inside, i))[0, 0] for i in range(int(inside.sum()))], 1).astype(float)
    gain = Σ @ C.T @ np.linalg.inv(C @ Σ @ C.T)
    wanted = (mean[0] + gain @ (y[0, 0] / prior.scale[0] - C @ mean[0])) * prior.scale[0]
    spread = np.sqrt(np.maximum(np.diag(Σ - gain @ C @ Σ), 0)) * prior.scale[0]
    found = drawn[:, inside]
    # Standard errors of 256 draws, at some 160 cells, times 4.5.
    np.testing.assert_allclose(found.mean(0), wanted, atol=4.5 * spread.max() / np.sqrt(n))
    # A standard deviation of 256 draws is .044 off, of ten or so independent components .014; the sampler's own
    # error at 64 levels is .01 (measured: .046 at 32).
    np.testing.assert_allclose(found.std(0).mean(), spread.mean(), rtol=0.05)


def _unit(inside: np.ndarray, i: int) -> np.ndarray:
    field = np.zeros(inside.shape, np.float32)
    field[tuple(np.argwhere(inside)[i])] = 1
    return field[None, None]


def test_each_draw_follows_from_its_key_alone_in_whatever_block(warm):
    domain, fields, prior = warm
    targets, keys = domain.coarsen(fields[:7]), jr.split(jr.key(3), 7)
    conditional = gaussian_conditional(prior, domain.regridding.operator)

    def draw(chosen):
        return draw_anomalies(prior, conditional, targets[chosen], keys[chosen], n_levels=4, chunk=4)

    whole, later = draw(np.arange(7)), draw(np.array([6, 2]))
    np.testing.assert_array_equal(later, whole[[6, 2]])


@pytest.mark.slow
def test_marginals_of_training_draws_become_those_of_the_training_fields(wet):
    domain, fields, prior = wet
    targets = domain.coarsen(fields)
    keys = jr.split(jr.key(4), len(targets))
    drawn = draw_anomalies(prior, gaussian_conditional(prior, domain.regridding.operator), targets, keys, n_levels=4)
    inside = domain.mask
    mapping = fit_marginals(drawn[:, :, inside], fields[:, :, inside])
    moved = apply_marginals(mapping, drawn, inside, is_bounded(domain.transforms))
    np.testing.assert_array_equal(moved[:, 0], drawn[:, 0])  # temperature stays
    # Every cell's sorted values become those of the training fields, up to interpolation between quantiles.
    before, after = (np.abs(np.sort(f[:, 1, inside], 0) - np.sort(fields[:, 1, inside], 0)) for f in (drawn, moved))
    assert after.mean() < 0.2 * before.mean()


@pytest.mark.slow
def test_training_days_are_drawn_as_wide_as_if_they_had_been_left_out(calibrated):
    """A prior that finds its own days nearer by a common factor: their spread is then that of left-out days, each."""
    left_out = np.exp(np.random.default_rng(0).normal(size=40)).astype(np.float32)
    own = 0.4 * left_out
    calibration = calibrated.calibration
    steep = jnp.linspace(0.5, 2.0, calibration.by_day.scales.shape[1]) * jnp.ones_like(calibration.by_day.scales)
    calibration = eqx.tree_at(lambda c: c.by_day.scales, calibration, steep)
    field = np.zeros((40, *calibration.cell_std.shape), np.float32)
    wanted = widths(calibration, field, left_out, field)
    np.testing.assert_allclose(widths(as_if_left_out(calibration, own, left_out), field, own, field), wanted, rtol=1e-5)
    assert widths(calibration, field, own, field).mean() < 0.9 * wanted.mean()


def test_post_processing_is_kept_and_found_again(calibrated, tmp_path):
    save_post_processing(tmp_path, calibrated)
    found = load_post_processing(tmp_path)
    assert jax.tree.structure(found.calibration) == jax.tree.structure(calibrated.calibration)
    jax.tree.map(np.testing.assert_array_equal, found.calibration, calibrated.calibration)
    jax.tree.map(np.testing.assert_array_equal, found.marginals, calibrated.marginals)
    with xr.open_zarr(tmp_path / POST_PROCESSING) as stored:
        other = stored.load().assign_attrs(format=3)
    write_zarr(other, tmp_path / POST_PROCESSING, overwrite=True)
    with pytest.raises(DataError, match="is of format 3, and this version of Subgrid reads 1"):
        load_post_processing(tmp_path)
    save_post_processing(tmp_path, None)  # that draws are left as they are is known to be meant
    assert load_post_processing(tmp_path) is None


def test_only_rain_has_marginals_and_a_spread_by_what_is_expected(calibrated, warm):
    transforms = transforms_of([describe_name("tas"), describe_name("pr")])
    assert is_censored(transforms) == is_bounded(transforms) == (False, True)
    table = calibrated.calibration.by_expected.scales
    np.testing.assert_array_equal(table[0], 1.0)
    assert (table[1] != 1).all() and np.isfinite(table).all()
    assert calibrated.marginals is not None


def test_calibrated_draws_keep_their_targets(wet, calibrated):
    domain, fields, prior = wet
    targets, keys = domain.coarsen(fields[:6]), jr.split(jr.key(8), 6)
    conditional = gaussian_conditional(prior, domain.regridding.operator)
    each = calibrated.calibration, np.zeros_like(fields[:6])
    drawn = draw_anomalies(prior, conditional, targets, keys, n_levels=LEVELS, calibration=each)
    np.testing.assert_allclose(domain.coarsen(drawn), targets, atol=1e-4 * prior.scale.max())  # rounding


def test_a_folder_without_post_processing_is_unfinished(tmp_path):
    with pytest.raises(DataError, match=r"has no post_processing\.zarr; training was not finished"):
        load_post_processing(tmp_path)
