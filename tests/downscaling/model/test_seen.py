"""Fields of the archive's own distribution are inside, and others far outside, whichever way they differ."""

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import chi2

from subgrid.downscaling.model.seen import FAR, QUANTILE, SHARE, outside_in_words, seen_fields

SHAPE = (2, 3, 4)
RNG = np.random.default_rng(0)
ROOT = RNG.normal(size=(5, 24))


def fields(n: int, seed: int) -> np.ndarray:
    """Five directions and some noise, about 280 and in units of their own."""
    draw = np.random.default_rng(seed)
    values = draw.normal(size=(n, 5)) @ ROOT + 0.3 * draw.normal(size=(n, 24))
    return (280 + 3 * values).reshape(n, *SHAPE).astype(np.float32)


ARCHIVE = fields(2000, 1)
SEEN = seen_fields(ARCHIVE)


def said(of: np.ndarray) -> str | None:
    assert SEEN is not None
    return outside_in_words(SEEN, of, str)


def test_distances_of_gaussian_fields_are_those_of_two_chi_squared_variables():
    """Of one strong component in 24 values T² is χ²₁ and Q is χ²₂₃/23, independent of each other."""

    def strong(n: int, seed: int) -> np.ndarray:
        draw = np.random.default_rng(seed)
        return (10 * draw.normal(size=(n, 1)) + draw.normal(size=(n, 24))).reshape(n, *SHAPE).astype(np.float32)

    seen = seen_fields(strong(4000, 2))
    assert seen is not None and len(seen.variances) == 1
    limit = brentq(lambda d: chi2.cdf(d**2, 1) * chi2.cdf(23 * d**2, 23) - QUANTILE, 0.1, 10)
    # The quantile of 1024 distances is known to √(.01·.99/1024) = .003 of probability, over a density of .03: 4 %.
    assert seen.limit == pytest.approx(limit, rel=0.12)
    assert np.mean(seen.distance(strong(20_000, 3)) > seen.limit) == pytest.approx(1 - QUANTILE, abs=3 * 0.003)


def test_fields_that_follow_the_archive_say_nothing():
    assert said(fields(5000, 3)) is None
    assert said(fields(1, 4)) is None


@pytest.mark.parametrize(
    "changed",
    [
        lambda x: x - 273.15,
        lambda x: x + 40 * ROOT[0].reshape(SHAPE),
        lambda x: x[:, :, ::-1],
        lambda x: x + 6 * np.random.default_rng(5).normal(size=x.shape),
        lambda x: np.full_like(x, np.nan),
    ],
    ids=["units", "shift along what is known", "upside down", "noise", "no number"],
)
def test_fields_of_another_kind_are_far_outside(changed):
    found = said(changed(fields(400, 3)))
    assert found is not None and "of 400 coarse fields" in found
    assert int(found.split()[0]) > 100


def test_the_sentence_names_how_many_the_first_and_the_farthest():
    assert SEEN is not None
    some = fields(100, 3)
    some[[30, 70]] += np.array([50, 80]).reshape(2, 1, 1, 1)
    far = float(SEEN.distance(some[70:71])[0])
    found = said(some)
    assert found is not None and found.startswith("2 of 100 coarse fields") and "the first of them 30;" in found
    assert f"the farthest, 70, is {far / SEEN.limit:.3g} times" in found and "quantile 1)" in found
    assert far > FAR * SEEN.limit


def test_a_few_of_many_are_the_tail_of_real_fields():
    many = fields(2000, 3)
    many[: int(SHARE * 2000)] += 100
    assert said(many) is None


def test_few_fields_have_no_distribution_and_values_that_never_change_are_not_infinitely_far():
    assert seen_fields(ARCHIVE[:9]) is None
    still = ARCHIVE.copy()
    still[:, 0, 0, 0] = 280.0
    seen = seen_fields(still)
    assert seen is not None and np.isfinite(seen.distance(still)).all()
    assert seen_fields(np.ones((20, 1, 1), np.float32)) is not None
