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
from subgrid.downscaling.preparation.climatology import fit_change_signal
from subgrid.downscaling.climate.conditions import Conditions, TrainingAnomalies
from subgrid.downscaling.climate.domain import Anomalies, Domain, connect, fit_anomalies
from subgrid.downscaling.preparation.series import series_of
from subgrid.downscaling.climate.prior import ClimatePrior, train_climate_prior
from subgrid.downscaling.climate.refinement import RefinementSettings
from subgrid.downscaling.climate.sampler import (
    FieldSampler,
    climate_sampler,
    draw_anomalies,
    gaussian_conditional,
    load_domain,
    save_domain,
)
from subgrid.downscaling.preparation.transforms import is_bounded, is_censored, transforms_of
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


def parts_of(folder, *variables: str) -> tuple[Domain, Anomalies, np.ndarray, ClimatePrior]:
    fine, coarse = with_sea(temperature(FINE, seed=1)), temperature(COARSE, seed=2)
    fine, coarse = fine.merge(with_sea(rain(FINE, seed=1))), coarse.merge(rain(COARSE, seed=2))
    domain, series = connect(fine, coarse, variables), series_of(fine, variables)
    anomalies = fit_anomalies(series, domain.transforms)
    fields = np.nan_to_num(anomalies.of(series))
    settings = RefinementSettings(**TINY)
    training = TrainingAnomalies(fields, series.season_year, domain.mask.astype(np.float32))
    options = {"settings": settings, "n_components": (5, 10), "folder": folder / "model", "key": jr.key(0)}
    prior = train_climate_prior(training, conditions_of(domain, len(fields)), **options)
    return domain, anomalies, fields, replace(prior, gain=None)


def conditions_of(domain: Domain, n: int) -> Conditions:
    climatology = np.zeros((n, len(domain.variables), *domain.mask.shape), np.float32)
    return Conditions(domain.regridding.operator, domain.rows, domain.distances, climatology, domain.transforms)


@pytest.fixture(scope="module")
def calibrated(wet) -> PostProcessing:
    """Of four groups of 30 days."""
    domain, _, fields, prior = wet
    conditions, n_members = conditions_of(domain, len(fields)), 2
    conditional = gaussian_conditional(prior, conditions.operator)
    targets = np.repeat(domain.coarsen(fields), n_members, axis=0)
    keys = draw_keys(jr.key(4), np.arange(len(fields)), np.arange(n_members)).reshape(-1)

    def draws(calibration):
        each = calibration, np.zeros((len(targets), *fields.shape[1:]), np.float32)
        drawn = draw_anomalies(prior, conditional, targets, keys, n_levels=4, calibration=each)
        return prior.normalised(drawn).reshape(len(fields), n_members, *prior.denoiser.base.mean.shape)

    groups = np.arange(len(fields)) // 30
    return fit_post_processing(prior, conditional, conditions, fields, groups, domain.mask, draws)


@pytest.fixture(scope="module")
def warm(tmp_path_factory):
    return parts_of(tmp_path_factory.mktemp("warm"), "tas")


@pytest.fixture(scope="module")
def wet(tmp_path_factory):
    return parts_of(tmp_path_factory.mktemp("wet"), "tas", "pr")


def test_draws_keep_their_targets(warm):
    domain, _, fields, prior = warm
    targets = domain.coarsen(fields[:6])
    drawn = draw_anomalies(
        prior, gaussian_conditional(prior, domain.regridding.operator), targets, jr.split(jr.key(1), 6), n_levels=LEVELS
    )
    # The last noise level is sigma_min in units of the channel's spread; a coarse cell averages several fine ones.
    allowed = 5 * prior.settings.sigma_min * float(prior.scale[0])
    np.testing.assert_allclose(domain.coarsen(drawn), targets, atol=allowed)


def test_a_gaussian_priors_draws_have_the_conditional_mean_and_variance(warm):
    """E[x | y] = ΣC′ᵀ(C′ΣC′ᵀ)⁻¹y and its variance, from dense matrices of the fitted distribution."""
    domain, _, fields, prior = warm
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
    domain, _, fields, prior = warm
    targets, keys = domain.coarsen(fields[:7]), jr.split(jr.key(3), 7)
    conditional = gaussian_conditional(prior, domain.regridding.operator)

    def draw(chosen):
        return draw_anomalies(prior, conditional, targets[chosen], keys[chosen], n_levels=4, chunk=4)

    whole, later = draw(np.arange(7)), draw(np.array([6, 2]))
    np.testing.assert_array_equal(later, whole[[6, 2]])


def test_marginals_of_training_draws_become_those_of_the_training_fields(wet):
    domain, _, fields, prior = wet
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
        older = stored.load().assign_attrs(format=1)
    write_zarr(older, tmp_path / POST_PROCESSING, overwrite=True)
    with pytest.raises(DataError, match="of an earlier version; remove it and all ensembles"):
        load_post_processing(tmp_path)


def test_only_rain_has_marginals_and_a_spread_by_what_is_expected(calibrated, warm):
    transforms = transforms_of([describe_name("tas"), describe_name("pr")])
    assert is_censored(transforms) == is_bounded(transforms) == (False, True)
    table = calibrated.calibration.by_expected.scales
    np.testing.assert_array_equal(table[0], 1.0)
    assert (table[1] != 1).all() and np.isfinite(table).all()
    assert calibrated.marginals is not None


def test_calibrated_draws_keep_their_targets(wet, calibrated):
    domain, _, fields, prior = wet
    targets, keys = domain.coarsen(fields[:6]), jr.split(jr.key(8), 6)
    conditional = gaussian_conditional(prior, domain.regridding.operator)
    each = calibrated.calibration, np.zeros_like(fields[:6])
    drawn = draw_anomalies(prior, conditional, targets, keys, n_levels=LEVELS, calibration=each)
    np.testing.assert_allclose(domain.coarsen(drawn), targets, atol=1e-4 * prior.scale.max())  # rounding


def test_a_folder_without_post_processing_is_unfinished(tmp_path):
    with pytest.raises(DataError, match=r"has no post_processing\.zarr; training was not finished"):
        load_post_processing(tmp_path)


def test_rain_is_never_negative_and_the_sea_holds_nothing(wet):
    domain, anomalies, fields, prior = wet
    series_phase = np.full(20, 0.03)
    fine = _fine(domain, anomalies, None)
    drawn = FieldSampler(prior, fine, None, 4)(
        domain.coarsen(fields[:20]), series_phase, keys=jr.split(jr.key(5), (20, 2))
    )
    assert drawn.shape == (20, 2, 2, 12, 14)
    np.testing.assert_array_equal(np.isnan(drawn), np.broadcast_to(~domain.mask, drawn.shape))
    amount = drawn[:, :, 1, domain.mask]
    assert amount.min() == 0
    assert amount[amount > 0].min() >= 0.1  # dry, or at least the threshold of the transform


def test_a_change_is_put_back_where_it_was_taken(warm):
    domain, anomalies, fields, prior = warm
    rng = np.random.default_rng(0)
    first = rng.normal(285, 1, (30, 1, 12, 14)).astype(np.float32)
    phase = np.linspace(0, 0.08, 30)
    signal = fit_change_signal(first, phase, first + 3, phase, kinds=["additive"])
    sampler = FieldSampler(prior, _fine(domain, anomalies, None), None, 4)
    targets, keys = domain.coarsen(fields[:3]), jr.split(jr.key(6), (3, 2))
    now, later = sampler(targets, phase[:3], keys=keys), sampler(targets, phase[:3], keys=keys, change=signal)
    np.testing.assert_allclose((later - now)[..., domain.mask], 3, atol=1e-3)  # rounding at 285 K


def test_a_domain_comes_back_from_disk(warm, tmp_path):
    domain, anomalies, fields, _ = warm
    first = np.random.default_rng(0).normal(285, 1, (30, 1, 12, 14)).astype(np.float32)
    phase = np.linspace(0, 0.08, 30)
    signal = fit_change_signal(first, phase, first + 3, phase, kinds=["additive"])
    for change in (None, signal):
        save_domain(tmp_path, domain, anomalies, change)
        found = load_domain(tmp_path)
        assert found.variables == ("tas",) and (found.change is None) == (change is None)
        np.testing.assert_array_equal(found.mask, domain.mask)
        given = jnp.asarray(fields[0])
        np.testing.assert_allclose(found.operator(given), domain.regridding.operator(given), atol=1e-6)  # sum order
        np.testing.assert_array_equal(found.anomalies.back(fields[:2], phase[:2])[..., domain.mask],
                                      anomalies.back(fields[:2], phase[:2])[..., domain.mask])  # fmt: skip


@pytest.mark.slow
def test_the_sampler_of_a_folder_is_that_of_its_parts(wet, calibrated, tmp_path):
    domain, anomalies, fields, _ = wet
    training = TrainingAnomalies(fields, np.repeat(np.arange(4), 30), domain.mask.astype(np.float32))
    options = {"settings": RefinementSettings(**TINY), "n_components": (5, 10), "key": jr.key(0)}
    train_climate_prior(training, conditions_of(domain, len(fields)), folder=tmp_path / "model", **options)
    save_post_processing(tmp_path / "model", calibrated)
    save_domain(tmp_path, domain, anomalies, None)
    phase, targets = np.linspace(0, 0.08, 5), domain.coarsen(fields[:5])
    stored = xr.Dataset({"target": (("sample", "channel", "kept"), targets), "phase": ("sample", phase)})
    write_zarr(stored, tmp_path / "targets.zarr")
    keys = jr.split(jr.key(7), (2, 3))
    draw = climate_sampler(folder=str(tmp_path), targets="targets", n_levels=4, with_change=True)
    found = draw(np.array([1, 4]), np.arange(3), keys=keys)
    assert found.shape == (2, 3, 2, 12, 14) and found.dtype == np.float32
    again = draw(np.array([4]), np.arange(1, 3), keys=keys[1:, 1:])
    # The same draws; only the way back from anomalies sees another number of days.
    np.testing.assert_allclose(again[0], found[1, 1:], rtol=1e-6)


def _fine(domain: Domain, anomalies: Anomalies, change):
    from subgrid.downscaling.climate.sampler import FineDomain

    clean = Anomalies(anomalies.transforms, jax.tree.map(jnp.nan_to_num, anomalies.climatology))
    return FineDomain(domain.variables, domain.descriptions, domain.mask, domain.regridding.operator, clean, change)
