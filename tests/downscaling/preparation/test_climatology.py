"""Climatology and change signal against known seasonal courses, conservation identities and the real model."""

import os
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings, strategies as st

from subgrid.data.variables.quantities import describe_name
from subgrid.downscaling.debiasing.series import Fieldwise, InTransformedSpace
from subgrid.downscaling.debiasing.static import Composed, fit_quantile_mapping
from subgrid.downscaling.preparation.climatology import (
    fit_change_preserving,
    fit_change_signal,
    fit_climatology,
)
from subgrid.downscaling.preparation.transforms import transforms_of
from subgrid.transport.shrinkage import fit_shrunk_gaussian_map

DATA = Path(os.environ.get("SUBGRID_DATA", Path(__file__).parents[3] / "../shared/data"))
DAYS = np.arange(365) / 365
WINTER = np.concatenate([DAYS[334:], DAYS[:59]])


def course(phase):
    """A yearly course as of temperature: (time, 1, 2), in K."""
    wave = 283 - 9 * np.cos(2 * np.pi * (phase - 0.06)) + 1.5 * np.sin(4 * np.pi * phase)
    return np.stack([wave, 2 * wave - 290], -1)[:, None]


def archive(phases, years, seed, noise=3.0):
    phase = np.tile(phases, years)
    return course(phase) + noise * np.random.default_rng(seed).normal(size=(len(phase), 1, 2)), phase


def as_jax(*arrays):
    return tuple(jnp.asarray(a, jnp.float32) for a in arrays)


def test_a_smooth_course_is_found_in_a_whole_year():
    clean = course(DAYS)
    climatology = fit_climatology(clean, DAYS)
    # Without noise what is missing is the penalty: 2e-4 of the first harmonic (18 K at most) and 3e-3 of the second.
    np.testing.assert_allclose(climatology.mean(*as_jax(DAYS)), clean, atol=0.02)


def test_noise_is_averaged_away():
    values, phase = archive(DAYS, 20, 0)
    error = np.asarray(fit_climatology(values, phase).mean(*as_jax(DAYS))) - course(DAYS)
    assert error.std() < 2 * 3.0 * np.sqrt(7 / len(values))  # 7 coefficients from n days of 3 K


def test_an_archive_of_winters():
    values, phase = archive(WINTER, 20, 1)
    climatology = fit_climatology(values, phase)
    error = np.asarray(climatology.mean(*as_jax(WINTER))) - course(WINTER)
    # At most 7 coefficients' noise, .19 K, and the cubic that the penalty damps, of about the same size.
    assert np.sqrt((error**2).mean()) < 0.4
    everywhere = np.asarray(climatology.mean(*as_jax(DAYS)))
    swing = np.ptp(course(DAYS), axis=0)
    assert (np.ptp(everywhere, axis=0) < 2 * swing).all()  # a smooth guess for the rest of the year, not an explosion


@settings(max_examples=8, deadline=None)
@given(
    seed=st.integers(0, 99),
    first=st.integers(0, 364),
    length=st.integers(5, 365),
    n_harmonics=st.integers(0, 4),
    years=st.integers(1, 3),
)
def test_the_mean_over_the_archive_is_kept(seed, first, length, n_harmonics, years):
    phase = np.tile((first + np.arange(length)) % 365 / 365, years)
    values = 280 + np.random.default_rng(seed).normal(size=(len(phase), 1, 2))
    mean = fit_climatology(values, phase, n_harmonics=n_harmonics).mean(*as_jax(phase))
    # β₀ is not penalised, so the residuals add up to zero; float32 knows 280 K to 3e-5.
    np.testing.assert_allclose(np.asarray(mean, np.float64).mean(0), values.mean(0), atol=2e-4)


def test_masked_points_stay_masked_and_anomalies_come_back():
    values, phase = archive(DAYS, 2, 3)
    values[:, :, 1] = np.nan
    climatology = fit_climatology(values, phase)
    y, when = as_jax(values, phase)
    anomalies = climatology.remove(y, when)
    assert np.isfinite(anomalies[:, :, 0]).all() and np.isnan(anomalies[:, :, 1]).all()
    np.testing.assert_allclose(climatology.restore(anomalies, when), y, atol=1e-4)  # two ulp of 280


def test_signal_round_trip_and_other_grids():
    rain = lambda seed, mean: np.random.default_rng(seed).gamma(0.5, mean / 0.5, size=(365, 1, 2))  # noqa: E731
    first, second = (np.concatenate([course(DAYS) + w, rain(s, m)], 1) for w, s, m in ((0, 0, 4.0), (3, 1, 3.0)))
    signal = fit_change_signal(first, DAYS, second, DAYS, kinds=["additive", "multiplicative"])
    y, when = as_jax(second, DAYS)
    np.testing.assert_allclose(signal.add(signal.remove(y, when), when), y, rtol=1e-6, atol=1e-4)
    np.testing.assert_allclose(signal.difference(when)[:, 0], 3.0, atol=1e-3)
    np.testing.assert_allclose(signal.difference(when)[:, 1], 0.0)
    assert (signal.remove(y, when)[:, 1] >= 0).all()
    # Interpolation is linear, so it may act on the coefficients: Δ of the interpolated is the interpolated Δ.
    weights = jnp.asarray([[1.0, 0.0], [0.5, 0.5], [0.25, 0.75]])
    fine = signal.on(lambda field: field @ weights.T)
    expected = signal.difference(when)[:, 0] @ weights.T
    np.testing.assert_allclose(fine.difference(when)[:, 0], expected, atol=1e-4)


def test_a_ratio_where_it_never_rains():
    dry, wet = np.zeros((365, 1, 2)), np.full((365, 1, 2), 5.0)
    signal = fit_change_signal(dry, DAYS, wet, DAYS, kinds=["multiplicative"])
    assert float(signal.ratio(*as_jax(DAYS)).max()) == 10.0  # bounded: see LARGEST_RATIO
    assert np.isfinite(signal.remove(*as_jax(wet, DAYS))).all()


class Squashing:
    """A debiaser that is neither linear nor monotone nor good."""

    def adjust(self, fields):
        return np.asarray(270 + 20 * np.tanh((fields - 270) / 30) + np.sin(fields), np.float32)


class Random:
    """A debiaser that forgets its input."""

    def adjust(self, fields):
        return np.random.default_rng(len(fields)).normal(280, 5, size=fields.shape).astype(np.float32)


@pytest.mark.parametrize("debiaser", [Squashing(), Random()])
def test_the_mean_change_survives_any_debiaser(debiaser):
    # Winters only, and the second period is wider and skewed, so the debiaser sees another distribution.
    first, phase = (a.astype(np.float32) for a in archive(WINTER, 20, 4))
    second = (course(phase) + 4 + 5 * np.random.default_rng(5).gumbel(size=first.shape)).astype(np.float32)
    preserving = fit_change_preserving(debiaser, first, phase, second, phase, kinds=["additive"])
    output = preserving.restore(preserving.adjust(second, phase), phase)
    change = output.astype(np.float64).mean(0) - debiaser.adjust(first).astype(np.float64).mean(0)
    # An identity, up to rounding of values near 280 K.
    np.testing.assert_allclose(change, second.mean(0, np.float64) - first.mean(0, np.float64), atol=1e-3)


def winter_series(name, variable):
    path = DATA / "iberia" / name
    if not path.exists():
        pytest.skip(f"{path} is not there: the Iberia data lie beside the project (or set SUBGRID_DATA).")
    with xr.open_dataset(path) as dataset:
        field = dataset[variable].load()
    phase = ((field.time.dt.dayofyear - 1) / 366).values.astype(np.float32)
    winter = (field.time.dt.year + (field.time.dt.month == 12)).values
    return field.values[:, None], phase, winter


def test_warming_of_the_real_model_survives_the_debiaser():
    historical, phase1, winter = winter_series("CMIP5_Iberia_tas.nc", "tas")
    future, phase2, winter2 = winter_series("CMIP5_Iberia_tas.rcp85.nc", "tas")
    target = historical[:, :, ::-1] + 1.5  # a biased "truth" of the same shape: the mirrored map
    transport, _ = fit_shrunk_gaussian_map(*as_jax(historical, target))
    mapping = fit_quantile_mapping(*as_jax(Fieldwise(transport).adjust(historical), target))
    debiaser = Fieldwise(Composed((transport, mapping)))
    preserving = fit_change_preserving(debiaser, historical, phase1, future, phase2, kinds=["additive"])
    output = preserving.restore(preserving.adjust(future, phase2), phase2)
    warming = future.mean(0, np.float64) - historical.mean(0, np.float64)
    change = output.mean(0, np.float64) - debiaser.adjust(historical).mean(0, np.float64)
    assert warming.min() > 1.0  # there is something to preserve
    np.testing.assert_allclose(change, warming, atol=5e-3)  # one leap day of 1805, and rounding
    # Without the second correction it would still hold within the sampling error of 20 winters.
    plain = preserving.restore(debiaser.adjust(np.asarray(preserving.signal.remove(*as_jax(future, phase2)))), phase2)
    by_winter = [np.stack([y[w == k].mean(0) for k in np.unique(w)]) for y, w in
                 ((historical, winter), (future, winter2))]  # fmt: skip
    error = np.sqrt(sum(means.var(0, ddof=1) / len(means) for means in by_winter))
    unadjusted = plain.mean(0, np.float64) - debiaser.adjust(historical).mean(0, np.float64)
    assert (np.abs(unadjusted - warming) < 2 * error).all()


def test_relative_change_of_real_precipitation():
    historical, phase1, _ = winter_series("CMIP5_Iberia_pr.nc", "pr")
    future, phase2, _ = winter_series("CMIP5_Iberia_pr.rcp85.nc", "pr")
    historical, future = 86400 * historical, 86400 * future
    transforms = transforms_of([describe_name("pr")])
    target = transforms.forward_series(historical[:, :, ::-1] * 0.7)
    debiaser = InTransformedSpace(
        transforms, Fieldwise(fit_quantile_mapping(transforms.forward_series(historical), target))
    )
    preserving = fit_change_preserving(debiaser, historical, phase1, future, phase2, kinds=["multiplicative"])
    output = preserving.restore(preserving.adjust(future, phase2), phase2)
    debiased = debiaser.adjust(historical)
    # The ratio holds for every phase of the year; the winter's is its mean, weighted with the *debiased* course.
    course = np.asarray(fit_climatology(debiased, phase1).mean(jnp.asarray(phase1)))
    ratio = np.asarray(preserving.signal.ratio(jnp.asarray(phase1)))
    expected = (ratio * course).mean(0) / course.mean(0)
    np.testing.assert_allclose(output.mean(0) / debiased.mean(0), expected, rtol=0.05)
    # (the course of T(future) is not quite that of T(historical): 5 % is the sampling error of 20 dry winters)
    assert (output >= 0).all()


def test_complaints():
    values = np.ones((4, 1, 2))
    with pytest.raises(ValueError, match=r"phase must be in \[0, 1\), got 0.0 to 1.5"):
        fit_climatology(values, np.array([0.0, 0.5, 1.5, 0.2]))
    with pytest.raises(ValueError, match="got 4 and 3 phases"):
        fit_climatology(values, np.array([0.0, 0.5, 0.2]))
    with pytest.raises(ValueError, match="n_harmonics must not be negative"):
        fit_climatology(values, np.zeros(4), n_harmonics=-1)
    with pytest.raises(ValueError, match="2 kinds of change for 1 channels"):
        fit_change_signal(values, np.zeros(4), values, np.zeros(4), kinds=["additive", "additive"])
    # TypeError: the tests' check of annotations comes first.
    with pytest.raises((ValueError, TypeError), match="kinds"):
        fit_change_signal(values, np.zeros(4), values, np.zeros(4), kinds=["geometric"])
