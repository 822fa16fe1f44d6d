"""What counts as best and as failing, on rows whose answer is plain."""

import math

import pytest

from subgrid.report.verdicts import best_candidate, fails

CANDIDATES = ("raw", "cubic", "generated")


def row(target: str = "0", **numbers) -> dict:
    return {"group": "g", "metric": "m", "target": target, **numbers}


@pytest.mark.parametrize(
    ("value", "target", "failing"),
    [
        (1.5e-16, ">.05", True), (0.05, ">.05", True), (0.2, ">.05", False), (0.0, ">0", True), (2.0, ">0", False),
        (0.3, "<.1", True), (math.nan, ">.05", True), (None, ">.05", False), (7.0, "0", False), (0.5, "1", False),
        (0.5, "–", False),
    ],
)  # fmt: skip
def test_a_bound_is_kept_or_missed_and_a_best_value_is_no_bound(value, target, failing):
    assert fails(value, target) is failing


@pytest.mark.parametrize(
    ("numbers", "best"),
    [
        ({"raw": 0.5, "generated": 0.1, "floor": 0.2}, "generated"),  # .5 − .2, of the floor, is more than .2
        ({"raw": 0.35, "generated": 0.1, "floor": 0.2}, None),  # below the floor counts as the floor: .15
        ({"raw": 0.5, "generated": 0.35, "floor": 0.2}, None),
        ({"raw": 0.15, "generated": 0.1, "floor": 0.2}, None),  # both within the noise
        ({"raw": 0.9, "cubic": 0.3, "generated": 0.301, "floor": 0.01}, None),  # the next counts, not the worst
        ({"raw": 0.5, "generated": 0.1}, None),  # no noise is known
        ({"generated": 0.1, "floor": 0.001}, None),  # nothing to be better than
        ({"raw": math.nan, "generated": 0.1, "floor": 0.001}, None),
        ({"raw": 2e-3, "generated": -1e-5, "floor": -2e-5}, "generated"),  # an unbiased MMD may be below 0
    ],
)
def test_the_lowest_is_best_where_the_next_is_more_than_a_floor_away(numbers, best):
    assert best_candidate(row(**numbers), CANDIDATES) == best


@pytest.mark.parametrize(
    ("numbers", "best"),
    [
        ({"raw": 0.5, "generated": 1.1, "floor": 1.05}, "generated"),  # distances .5 and .1, noise .05
        ({"raw": 0.91, "generated": 1.1, "floor": 1.05}, None),  # on either side, but as far
        ({"raw": 0.13, "cubic": 0.33, "generated": 0.4, "floor": 0.58}, None),  # a share of which the floor has .58
        ({"raw": 0.5, "generated": 1.1}, None),
    ],
)
def test_where_1_is_best_the_distance_from_it_counts(numbers, best):
    assert best_candidate(row("1", **numbers), CANDIDATES) == best


def test_a_noise_of_its_own_takes_the_place_of_the_floor():
    crps = {"cubic": 0.7, "generated": 0.5, "floor": 0.5}
    assert best_candidate(row(**crps), CANDIDATES) is None
    assert best_candidate(row(**crps, noise=0.1), CANDIDATES) == "generated"
    assert best_candidate(row(**crps, noise=0.3), CANDIDATES) is None


def test_deviations_count_twice_and_together():
    numbers = {"raw": 0.7, "generated": 0.5}
    assert best_candidate(row(**numbers, deviations={"raw": 0.06, "generated": 0.07}), CANDIDATES) == "generated"
    # 2 √(.06² + .09²) = .216
    assert best_candidate(row(**numbers, deviations={"raw": 0.06, "generated": 0.09}), CANDIDATES) is None
    assert best_candidate(row(**numbers, deviations={"raw": 0.001}), CANDIDATES) is None


def test_nothing_is_best_of_a_test_or_of_the_floor():
    assert best_candidate(row(">.05", raw=0.9, generated=0.1, floor=0.01), CANDIDATES) is None
    assert best_candidate(row(raw=0.9, floor=0.01), CANDIDATES) is None
