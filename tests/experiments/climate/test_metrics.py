"""Rows of days with a known truth, from ensembles whose scores are formulas."""

import numpy as np
import pytest

from subgrid.experiments.climate.metrics import (
    NOISE,
    PerfectModel,
    crps_by_time,
    perfect_rows,
    row_of,
    two_standard_errors,
)
from subgrid.experiments.climate.scored_fields import elapsed_days
from subgrid.verification.rank_tests import FlatnessTest

FLAT = FlatnessTest(0.5, 1.0, 4.0, 100.0, 1000, np.ones(5, int))
MASK = np.ones((20, 20), bool)
CORRELATION, N_YEARS, N_DAYS = 0.8, 10, 90


def white_members(step: float = 1.0, length: int = N_DAYS) -> PerfectModel:
    """Members that are reliable on each day and independent from day to day, of a truth that persists."""
    n, rng = N_YEARS * length, np.random.default_rng(0)
    truth = np.empty((n, *MASK.shape), np.float32)
    for t, noise in enumerate(rng.normal(size=truth.shape)):
        truth[t] = noise if t % length == 0 else CORRELATION * truth[t - 1] + np.sqrt(1 - CORRELATION**2) * noise
    members = rng.normal(size=(n, 6, *MASK.shape)).astype(np.float32)
    season_years = np.repeat(np.arange(N_YEARS), length)
    return PerfectModel(truth, members, season_years, season_years, step)


def rows_of(perfect: PerfectModel, **options) -> dict[str, dict]:
    given = {"mask": MASK, "units": "K", "noise": None, "flatness": FLAT, **options}
    return {row["metric"]: row for row in perfect_rows("tas", perfect, **given)}


def test_means_over_days_have_too_little_spread_where_members_are_drawn_day_by_day():
    rows = rows_of(white_members())
    for metric, k in {"spread/skill": 1, "spread/skill, 5-day means": 5, "spread/skill, 10-day means": 10}.items():
        lags = np.arange(1, k)
        persisting = 1 + 2 * np.sum((1 - lags / k) * CORRELATION**lags)  # k times the variance of the truth's means
        expected = np.sqrt((1 + 1 / 6) / (persisting + 1 / 6))
        # 400 cells of 90 blocks or more in all: less than 1/√(2 · 36000) = .4 %; correlated days, four times that.
        assert rows[metric]["generated"] == pytest.approx(expected, rel=0.015)
        assert rows[metric]["floor"] == pytest.approx(1, rel=0.015)  # a member as truth is as white as the others
        assert rows[metric]["target"] == rows[metric]["units"] == "1"
    assert rows["spread/skill, 10-day means"]["generated"] < 0.5


def test_of_months_and_of_stretches_that_are_too_short_there_are_no_means_over_days():
    single = {"CRPS", "spread/skill", "rank flatness p"}
    assert set(rows_of(white_members(step=30.4))) == single
    assert set(rows_of(white_members(length=9))) == single | {"spread/skill, 5-day means"}
    assert set(rows_of(white_members(), days_averaged=())) == single


def test_the_difference_of_the_crps_comes_with_two_standard_errors():
    perfect = white_members()
    daily = crps_by_time(perfect.ensemble, perfect.truth, MASK)
    # A baseline that is worse by 1 in all years but the last, and by 2 there: two standard errors are 2 · .1.
    noise = daily + 1 + (perfect.season_years == N_YEARS - 1)
    row = rows_of(perfect, noise=noise)["CRPS"]
    assert row["noise"] == pytest.approx(0.2, rel=1e-3)  # std(0 … 0, 1) = 1/√10, over √10
    assert row[NOISE] - row["generated"] == pytest.approx(1.1, rel=1e-3)
    assert row["generated"] == pytest.approx(1 / np.sqrt(np.pi), rel=0.01)  # of N(0, 1) against itself
    assert "noise" not in rows_of(perfect)["CRPS"]
    assert two_standard_errors(np.ones(5), np.ones(5, int)) is None  # a single year says nothing of others


def test_units_are_those_of_the_field_or_none():
    assert row_of("pr", "unpaired", "W1", units="mm day-1")["units"] == "mm day-1"
    assert row_of("pr", "unpaired", "wet spells", units="mm day-1")["units"] == "days"
    for metric in ("CorrRMSE", "wet days", "spread/skill", "rank flatness p", "return level inside"):
        assert row_of("pr", "unpaired", metric, units="mm day-1")["units"] == "1"


def test_days_are_counted_in_any_calendar():
    cftime = pytest.importorskip("cftime")
    found = elapsed_days(np.array([cftime.Datetime360Day(2000, 2, day) for day in (28, 30)]))
    np.testing.assert_allclose(found, [0, 2])
    np.testing.assert_allclose(elapsed_days(np.array(["2000-02-28", "2000-03-01T12"], "datetime64[h]")), [0, 2.5])
