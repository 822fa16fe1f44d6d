"""Spread estimated from left-out years: coverage in worlds that are known, and the constraint."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from subgrid.diffusion.gaussian_conditional import condition
from subgrid.diffusion.gaussian_prior import fit_gaussian_prior
from subgrid.downscaling.spread.calibration import (
    conditional_means,
    fit_cells,
    fit_spread_calibration,
    leave_out,
    widths,
)
from subgrid.downscaling.spread.shape import Departures, match_shape
from subgrid.numerics.operators import BlockMean

SPACE, DAYS = (6, 6), 30
OPERATOR = BlockMean(SPACE, 3)
COARSE = (1, 2, 2)
SUPPORT = np.ones((1, *SPACE), np.float32)
Y, X = np.indices(SPACE).reshape(2, -1)
COVARIANCE = np.exp(-np.hypot(np.subtract.outer(Y, Y), np.subtract.outer(X, X)) / 3)
ROOT = np.linalg.cholesky(COVARIANCE)
NORMAL_90 = 1.6449


def world(years: int, *, seed: int, tails: float = np.inf) -> np.ndarray:
    """Gaussian fields, or with finite `tails` those of a multivariate t: one factor a day."""
    rng = np.random.default_rng(seed)
    fields = rng.normal(size=(years * DAYS, 36)) @ ROOT.T
    if np.isfinite(tails):
        fields *= np.sqrt((tails - 2) / rng.chisquare(tails, size=len(fields)))[:, None]
    return fields.reshape(-1, 1, *SPACE).astype(np.float32)


def calibrated(fields: np.ndarray, years: int):
    groups, rank = np.repeat(np.arange(years), DAYS), 30
    conditional = condition(fit_gaussian_prior(fields, rank), OPERATOR, COARSE)
    left_out = leave_out(fields, groups, OPERATOR, COARSE, n_components=rank, support=SUPPORT, taper=None)
    found = fit_spread_calibration(
        left_out, conditional.spread, np.zeros_like(fields), constrained=np.ones(SPACE, bool), active=(False,)
    )
    return conditional, left_out, found


def coverage(conditional, calibration, unseen: np.ndarray) -> tuple[float, float]:
    """Of 90 % intervals about the conditional mean: by the prior's own spread, and by the calibrated one."""
    means, distances = conditional_means(conditional, unseen)
    width = widths(calibration, means, distances, np.zeros_like(unseen))
    own = np.sqrt(np.asarray(conditional.spread.remainder + jnp.tensordot(
        conditional.spread.variances - conditional.spread.remainder, conditional.spread.directions**2, 1)))  # fmt: skip
    return tuple(float(np.mean(np.abs(unseen - means) < NORMAL_90 * w)) for w in (own, width))  # type: ignore[return]


@pytest.mark.slow
@pytest.mark.parametrize("years", [3, 10, 100])
def test_intervals_of_unseen_years_cover_what_they_say(years):
    own, ours = [], []
    for i in range(4):
        conditional, _, found = calibrated(world(years, seed=i), years)
        before, after = coverage(conditional, found, world(40, seed=100 + i))
        own.append(before)
        ours.append(after)
    assert np.mean(ours) == pytest.approx(0.9, abs=0.02)
    if years == 3:  # 90 fields of 36 values: the prior's own intervals are far too narrow
        assert np.mean(own) < 0.88


def test_days_that_lie_far_out_have_the_spread_that_a_t_distribution_gives_them():
    """Given y, a multivariate t has the variance of its Gaussian times (ν − 2 + n q)/(ν − 2 + n), n values in y."""
    nu, n = 5.0, 4
    _, _, found = calibrated(world(100, seed=7, tails=nu), 100)
    levels, scales = np.exp(np.asarray(found.by_day.levels[0])), np.asarray(found.by_day.scales[0]) ** 2
    wanted = (nu - 2 + n * levels) / (nu - 2 + n)
    np.testing.assert_allclose(scales / scales.mean(), wanted / wanted.mean(), rtol=0.12)  # 500 days a level
    assert scales[-1] > 2 * scales[0]


def test_the_shape_gives_draws_the_quantiles_of_the_errors():
    """Errors of a t distribution within a cell, beside Gaussian draws: after matching both have the same quantiles."""
    fields = world(10, seed=3)
    _, _, found = calibrated(fields, 10)
    rng = np.random.default_rng(0)
    errors = rng.standard_t(4, size=(len(fields), 1, 1, *SPACE)) / np.sqrt(2)
    drawn = rng.normal(size=(len(fields), 4, 1, *SPACE))
    expected = np.zeros((len(fields), 1, *SPACE))
    of_errors, of_draws = Departures(errors, expected), Departures(drawn, expected)
    matched = match_shape(found.shape, of_errors, of_draws, support=SUPPORT > 0, active=(False,))
    moved = jax.vmap(jax.vmap(matched, (0, None)), (0, 0))(jnp.asarray(drawn), jnp.asarray(expected))
    at = [0.001, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999]
    # 10800 errors: a quantile near .001 of this distribution is known to some tenth.
    np.testing.assert_allclose(np.quantile(moved, at), np.quantile(errors, at), atol=0.02, rtol=0.05)


def test_a_cell_that_never_varies_has_no_say_in_the_scales_of_others():
    fields = world(10, seed=5)
    dry = fields.copy()
    dry[:, 0, 2, 2] = 0.0
    everywhere = (np.ones((1, *SPACE), bool),)
    _, left_out, _ = calibrated(fields, 10)
    constant = replace(left_out, error=left_out.error * (dry[:1] != 0))
    one = np.ones_like(left_out.error)
    usual, found = (fit_cells(each, one, everywhere) for each in (left_out, constant))
    assert found[0, 2, 2] == 1
    others = np.arange(36).reshape(1, *SPACE) != 14
    np.testing.assert_allclose(found[others], usual[others], rtol=0.02)  # one of 36 cells fewer in the mean


def test_calibrated_draws_keep_the_constraint():
    fields = world(10, seed=4)
    conditional, _, found = calibrated(fields, 10)
    y = OPERATOR(jnp.asarray(fields[0]))
    draw = conditional.given(y).sample(key=jr.key(0))
    moved = found(conditional, y, draw, jnp.zeros((1, *SPACE)))
    np.testing.assert_allclose(OPERATOR(moved), y, atol=1e-5)
    assert np.abs(np.asarray(moved - draw)).max() > 1e-3


def test_one_year_cannot_be_left_out():
    with pytest.raises(ValueError, match="at least two groups"):
        leave_out(world(1, seed=0), np.zeros(DAYS), OPERATOR, COARSE, n_components=5, support=SUPPORT, taper=None)
