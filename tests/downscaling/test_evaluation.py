"""Scores of a run where the answer is known: identical, shifted and scaled sets, exchangeable and narrow ensembles."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from scipy.stats import chi2

from subgrid.downscaling.evaluation import (
    ABOUT,
    Row,
    compare,
    debiasing_error,
    distribution_scores,
    draw_conditions,
    ensemble_rows,
    perfect_model_rows,
    ranks,
)
from subgrid.numerics.operators import BlockMean, Subsample

RNG = np.random.default_rng(0)
FIELDS = RNG.normal(size=(400, 1, 8)).astype(np.float32)
CASES, MEMBERS, POINTS = 600, 10, 8


def exchangeable(width: float = 1.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Truth ~ N(c, 1), members ~ N(c, width²) about the same conditional mean c, and c itself."""
    centre = 3 * RNG.normal(size=(CASES, 1, POINTS))
    members = centre[:, None] + width * RNG.normal(size=(CASES, MEMBERS, 1, POINTS))
    return tuple(np.float32(a) for a in (centre + RNG.normal(size=centre.shape), members, centre))


def by_metric(rows: list[Row]) -> dict[str, Row]:
    return {row.metric: row for row in rows}


def test_a_set_is_at_no_distance_from_itself():
    scores = distribution_scores(FIELDS, FIELDS, 1)
    # The unbiased MMD² of a set with itself counts its n pairs i = j in the cross term alone: −2(1 − mean k)/n.
    assert -2 / len(FIELDS) < scores.pop("MMD") < 0
    for metric, score in scores.items():
        assert score == pytest.approx(0.0, abs=1e-5), metric


def test_a_shift_shows_in_the_marginals_alone():
    scores = distribution_scores(FIELDS + 0.5, FIELDS, 1)
    assert scores["W1"] == pytest.approx(0.5, rel=1e-4)
    assert scores["covRMSE"] == pytest.approx(0.0, abs=1e-5)
    assert scores["KLD mean"] == pytest.approx(scores["KLD"] / 8)
    # Kernel densities of 400 N(0, 1) samples are close to N(0, 1 + h²), h = 400^(−1/5): KL = δ²/2(1 + h²) = .115.
    assert scores["KLD mean"] == pytest.approx(0.115, rel=0.15)


def test_a_factor_shows_in_covariance_and_spectrum():
    scores = distribution_scores(1.5 * FIELDS, FIELDS, 1)
    assert scores["covRMSE"] == pytest.approx(1.5**2 - 1, rel=1e-4)
    assert scores["MELRu"] == pytest.approx(2 * np.log(1.5), rel=1e-4)
    assert scores["MELRw"] == pytest.approx(2 * np.log(1.5), rel=1e-4)


def test_columns_of_the_table():
    independent = RNG.normal(size=(300, 1, 8)).astype(np.float32)
    rows = compare("Fine grid", FIELDS, {"cubic": FIELDS + 1, "generated": independent}, independent, 1)
    for row in rows:
        assert row.group == "Fine grid"
        assert row.generated == row.floor  # the independent itself was the candidate
        assert row.raw is None
        assert row.as_dict()["about"] == ABOUT[row.metric].sentence
    assert by_metric(rows)["W1"].cubic == pytest.approx(1.0, rel=1e-4)


def test_an_exchangeable_ensemble_is_at_the_floor():
    truth, ensemble, centre = exchangeable()
    rows = by_metric(perfect_model_rows(truth, ensemble, centre))
    crps, spread = rows["CRPS"], rows["spread/skill"]
    # Fair CRPS of N(c, 1) against a draw of it: 1/√π. Standard error of 4800 scores of standard deviation .4: .006.
    assert crps.generated == pytest.approx(1 / np.sqrt(np.pi), abs=0.025)
    assert crps.floor == pytest.approx(1 / np.sqrt(np.pi), abs=0.025)
    # A single field is scored by its absolute error: E|N(0, 1)| = √(2/π).
    assert crps.cubic == pytest.approx(np.sqrt(2 / np.pi), abs=0.035)
    # Relative error of a ratio of roots of 4800 squares: 1/√(2·4800) = .01.
    assert spread.generated == pytest.approx(1.0, abs=0.04)
    assert spread.floor == pytest.approx(1.0, abs=0.04)
    assert spread.target == "1"


def test_a_narrow_ensemble_is_found_out():
    width = 0.5
    truth, ensemble, centre = exchangeable(width)
    rows = by_metric(perfect_model_rows(truth, ensemble, centre))
    # Spread² = (M + 1)/M·w² over an error of the mean of 1 + w²/M.
    expected = np.sqrt((MEMBERS + 1) / MEMBERS * width**2 / (1 + width**2 / MEMBERS))
    assert rows["spread/skill"].generated == pytest.approx(expected, abs=0.04)
    # CRPS of N(c, w²) against N(c, 1): √(2(1 + w²)/π) − w/√π; the floor is what a truth as narrow would score, w/√π.
    assert rows["CRPS"].generated == pytest.approx(
        np.sqrt(2 * (1 + width**2) / np.pi) - width / np.sqrt(np.pi), abs=0.03
    )
    assert rows["CRPS"].floor == pytest.approx(width / np.sqrt(np.pi), abs=0.02)


def test_ranks_are_flat_for_the_honest_and_a_valley_for_the_narrow():
    truth, ensemble, _ = exchangeable()
    counts = ranks(truth, ensemble, BlockMean((8,), 4), key=jr.key(0))
    assert counts.sum() == truth.size
    expected = truth.size / (MEMBERS + 1)
    assert ((counts - expected) ** 2 / expected).sum() < chi2.ppf(0.999, MEMBERS)  # all points are independent here
    truth, ensemble, _ = exchangeable(0.5)
    counts = ranks(truth, ensemble, BlockMean((8,), 4), key=jr.key(0))
    assert counts[0] > 2 * expected
    assert counts[-1] > 2 * expected


def test_points_that_the_coarse_value_determines_have_no_rank():
    # Exchangeable everywhere, but every fourth point is known up to a rounding error that all members share.
    truth, ensemble, _ = exchangeable()
    ensemble[..., ::4] = truth[:, None, ..., ::4] + 1e-6
    counts = ranks(truth, ensemble, Subsample((8,), 4), key=jr.key(0))
    assert counts.sum() == truth.size * 3 // 4
    expected = counts.sum() / (MEMBERS + 1)
    assert ((counts - expected) ** 2 / expected).sum() < chi2.ppf(0.999, MEMBERS)


def test_constraint_and_variability_of_an_ensemble():
    operator = BlockMean((8,), 4)
    truth = 1 + RNG.uniform(size=(20, 1, 8)).astype(np.float32)
    targets = np.asarray(operator(jnp.asarray(truth)))
    # Members differ by ± a wave that block means do not see: exact, with an unbiased variance of 2·.3².
    wave = np.float32(0.3) * np.tile([1.0, -1.0], 4).astype(np.float32)
    ensemble = np.stack([truth + wave, truth - wave], axis=1)
    rows = by_metric(ensemble_rows("Fine grid", ensemble, 1.1 * truth, targets, operator))
    assert rows["constraint RMSE"].generated == pytest.approx(0.0, abs=1e-6)
    assert rows["constraint RMSE"].cubic == pytest.approx(0.1 / 1.1, rel=1e-4)  # |1.1 y − y| / |1.1 y|
    assert rows["variability"].generated == pytest.approx(0.3 * np.sqrt(2), rel=1e-4)
    assert rows["variability"].cubic == 0.0


def test_conditions_are_distinct_sorted_and_all_where_few():
    chosen = draw_conditions(100, 30, key=jr.key(0))
    assert len(set(chosen.tolist())) == 30
    assert (np.diff(chosen) > 0).all()
    np.testing.assert_array_equal(draw_conditions(5, 30, key=jr.key(0)), np.arange(5))


def test_debiasing_error_of_shifted_and_stretched_fields():
    """Quantiles of shifted fields lie δ apart; of fields stretched by s about zero, (s − 1)·√(mean square quantile)."""
    rng = np.random.default_rng(3)
    wanted = rng.normal(size=(8000, 1, 4))
    shifted = rng.normal(size=(8000, 1, 4)) + np.array([0.3, -0.3, 0.3, 0.3])
    # The difference of two means of 8000 values is known to √(2/8000) = .016, at four points to .008; four of those.
    assert debiasing_error(shifted, wanted) == pytest.approx(0.3, abs=0.032)
    # The mean square of the quantiles at (i + ½)/200 of a standard normal distribution is 1 within half a per cent.
    assert debiasing_error(1.5 * wanted, wanted) == pytest.approx(0.5, rel=0.02)


def test_debiasing_error_of_the_same_distribution_is_its_floor():
    rng = np.random.default_rng(4)
    errors = [debiasing_error(rng.normal(size=(n, 1, 50)), rng.normal(size=(1000, 1, 50))) for n in (250, 1000, 4000)]
    # Without the floor: √(1/n + 1/1000) of the means alone, .071, .045 and .035, and more of the outer quantiles.
    assert max(errors) < 0.05


def test_what_doubles_with_the_field_has_its_unit():
    """Every metric of the tables, of a field and of the field in units half as large; no name is listed here."""
    truth, ensemble, centre = exchangeable()
    operator = Subsample((POINTS,), 2)

    def scores(unit: float) -> dict[str, float]:
        a, b, c = unit * truth, unit * ensemble, unit * centre
        both = ensemble_rows("", b, c, a[..., ::2], operator) + perfect_model_rows(a, b, c)
        found = {row.metric: row.generated for row in both}
        return distribution_scores(b[:, 0], a, 1) | found

    once, twice = scores(1.0), scores(2.0)
    assert {*once} == {*ABOUT}
    for metric, about in ABOUT.items():
        # float32, in sums of some thousand values that nearly cancel
        factor = 2.0 if about.unit == "of the field" else 1.0
        assert twice[metric] == pytest.approx(factor * once[metric], rel=1e-3, abs=1e-6), metric
