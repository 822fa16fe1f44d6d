"""Scores of moist turbulence, of sets whose difference is known."""

import numpy as np
import pytest

from subgrid.experiments.moist_turbulence.archives import Fields
from subgrid.experiments.moist_turbulence.scoring import (
    increments,
    quality,
    quantities,
    resampled_distances,
    similarity,
    spectral_error,
    without_pattern,
)
from subgrid.simulate.moist_turbulence import context


def test_scores_of_sets_whose_difference_is_known():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(6, 32, 32)).astype(np.float32)
    assert spectral_error(np.exp(0.7) * values, values) == pytest.approx(1.4, rel=1e-4)  # 2|ln a| in energy
    fields = np.stack([values, values], 1)
    reference = Fields(fields, np.repeat([1, 4], 3), np.tile(np.arange(3), 2))
    same = quality(reference, reference)
    assert all(score == pytest.approx(1.0 if "ratio" in metric else 0.0) for (_, metric), score in same.items())
    moved = quality(reference.with_values(fields + 0.5), reference)
    assert moved["vorticity", "W1 of means"] == pytest.approx(0.5, rel=1e-4)
    # N(½, 1) against N(0, 1): the gap is 2Φ(¼) − 1 = .197, known to 1/√n of 3072 values.
    assert moved["vorticity", "KS"] == pytest.approx(0.197, abs=3 / np.sqrt(3072))
    assert quantities(fields)["condensation rate"].min() == 0
    assert similarity(reference, reference, [2, 5]).max() < 1e-3


def test_anomalies_know_nothing_of_the_pattern_and_keep_all_else():
    values = np.random.default_rng(0).normal(size=(4, 2, 32, 32)).astype(np.float32)
    fields = Fields(values, np.array([1, 1, 4, 4]), np.array([0, 1, 0, 1]))
    patterns = np.stack([np.asarray(context(32, k)) for k in fields.wavenumbers.tolist()])
    moved = fields.with_values(values + np.array([0.0, 3.0], np.float32)[:, None, None] * patterns[:, None])
    np.testing.assert_allclose(without_pattern(moved).values, without_pattern(fields).values, atol=1e-5)
    assert np.abs(without_pattern(fields).values - values).max() < 0.2  # a mean of 2048 values of noise
    # What differs from its source by the pattern alone is at no distance from it, and has twice its amplitude.
    assert similarity(without_pattern(moved), without_pattern(fields), [2, 6]).max() < 1e-3
    twice = fields.with_values(2 * moved.values)
    assert quality(twice, moved)["supersaturation", "pattern ratio"] == pytest.approx(2, rel=1e-4)


def test_runs_are_drawn_alike_in_all_contexts_and_for_all_methods():
    values = np.random.default_rng(0).normal(size=(12, 2, 16, 16)).astype(np.float32)
    reference = Fields(values, np.repeat([1, 4], 6), np.tile(np.repeat([5, 6, 7], 2), 2))
    moved = reference.with_values(values + np.float32(0.7))
    near, far = (resampled_distances(fields, reference)["vorticity"] for fields in (reference, moved))
    assert near.shape == (200,) and far.std() > 0
    np.testing.assert_array_equal(far, resampled_distances(moved, reference)["vorticity"])
    assert (far > near).all()  # 2Φ(.35) − 1 = .27 above noise of .03


def test_increments_are_those_between_neighbours_and_wrap_around():
    field = np.arange(6.0).reshape(1, 2, 3)
    along_y, along_x = increments(field)
    assert along_y.tolist() == [[[3, 3, 3], [-3, -3, -3]]] and along_x.tolist() == [[[1, 1, -2], [1, 1, -2]]]
