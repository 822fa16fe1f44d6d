"""Spell lengths against itertools, Markov chains and xsdba."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from subgrid.verification.spells import (
    segments_by_gap,
    spell_lengths,
    spell_statistics,
    warm_spells,
    wet_and_dry_spells,
)


def markov_chain(stay, start, n, cells, seed=0):
    rng = np.random.default_rng(seed)
    on = np.empty((n, cells), bool)
    on[0] = rng.random(cells) < 0.5
    for day in range(1, n):
        on[day] = rng.random(cells) < np.where(on[day - 1], stay, start)
    return on


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=30))
def test_lengths_are_those_of_groups_of_equal_event_and_season(days):
    occurs, new = (np.array(column) for column in zip(*days, strict=True))
    segment = np.cumsum(new)
    groups = itertools.groupby(zip(occurs.tolist(), segment.tolist(), strict=True))
    expected = [sum(1 for _ in run) for (event, _), run in groups if event]
    lengths = spell_lengths(occurs, segment)
    assert lengths[lengths > 0].tolist() == expected


def test_season_years_are_not_joined():
    cold = np.ones(180, bool)
    assert spell_statistics(cold, np.repeat([1983, 1984], 90)).maximum == 90


def test_segments_begin_after_a_gap():
    days = np.concatenate([np.arange(90.0), 365 + np.arange(90.0)])
    np.testing.assert_array_equal(segments_by_gap(days), np.repeat([0, 1], 90))
    with pytest.raises(ValueError, match="they do not after index 1"):
        segments_by_gap(np.array([0.0, 1.0, 1.0]))


def test_spells_of_a_markov_chain_are_geometric():
    stay = 0.75
    found = spell_statistics(markov_chain(stay, 0.4, 4000, 20), np.zeros(4000, int))
    lengths = np.arange(1, 8)
    # 20 · 4000 days hold some 12,000 spells of standard deviation √p/(1 − p) = 3.5: four standard errors are .12 days.
    assert found.mean.mean() == pytest.approx(1 / (1 - stay), abs=0.12)
    # A share p of 12,000 spells is known to √(p(1 − p)/12000) ≤ .004.
    np.testing.assert_allclose(found.distribution[:7], stay ** (lengths - 1) * (1 - stay), atol=0.016)


def test_wet_and_dry_spells_share_the_days_of_valid_cells():
    rng = np.random.default_rng(0)
    rain = rng.gamma(0.5, 3.0, size=(180, 3, 2))
    rain[:, 0, 0] = np.nan
    segment = np.repeat([0, 1], 90)
    wet, dry = wet_and_dry_spells(rain, segment)
    assert np.isnan(wet.mean[0, 0]) and np.isnan(dry.count[0, 0])
    total = wet.mean * wet.count + dry.mean * dry.count
    np.testing.assert_allclose(total.ravel()[1:], 180, rtol=1e-6)
    # Each season alternates, so the numbers differ by at most one a season.
    assert np.nanmax(np.abs(wet.count - dry.count)) <= 2


def test_warm_spells_need_their_days_within_one_season():
    warm = np.zeros(20)
    warm[[1, 2, 3, 8, 9, 10, 11]] = 1.0
    segment = np.repeat([0, 1], 10)  # the boundary cuts 8–11 into 8, 9 and 10, 11
    found = warm_spells(warm, np.array(0.5), segment, minimum_days=2)
    np.testing.assert_array_equal(found.count, [2, 1])
    np.testing.assert_array_equal(found.days, [5, 2])
    np.testing.assert_array_equal(warm_spells(warm, np.array(0.5), segment, minimum_days=3).count, [1, 0])


def test_spells_agree_with_xsdba_spell_statistics():
    pytest.importorskip("xclim", reason="xsdba.properties needs xclim: pip install xclim")
    xr, properties = pytest.importorskip("xarray"), pytest.importorskip("xsdba.properties")
    values = np.random.default_rng(1).normal(size=(365, 1)).cumsum(axis=0)
    values -= values.mean(axis=0)
    time = xr.date_range("2001-01-01", periods=365)
    series = xr.DataArray(values[:, 0], dims="time", coords={"time": time}, attrs={"units": "K"})
    theirs = properties.spell_length_distribution(
        series, method="amount", op=">=", thresh="0 K", stat="mean", group="time", window=1
    )
    ours = spell_statistics(values[:, 0] >= 0, np.zeros(365, int))
    assert float(theirs) == pytest.approx(float(ours.mean), rel=1e-6)
    longest = properties.spell_length_distribution(
        series, method="amount", op=">=", thresh="0 K", stat="max", group="time", window=1
    )
    assert float(longest) == float(ours.maximum)


def test_bad_input_is_explained():
    # The checks of annotations in the tests see it first; without them it is a ValueError of ours.
    with pytest.raises((ValueError, TypeError), match=r"got 3 labels for 4 days|time=4"):
        spell_lengths(np.zeros(4, bool), np.zeros(3, int))
    with pytest.raises(ValueError, match="minimum_days must be at least 1"):
        warm_spells(np.zeros(4), np.array(0.0), np.zeros(4, int), minimum_days=0)
