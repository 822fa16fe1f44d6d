"""Chains of preparations: each step and each chain is undone by its way back, on whatever it can make."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from subgrid.downscaling.preparation.chain import Chain, Step
from subgrid.downscaling.preparation.climatology import ChangeSignal, Climatology
from subgrid.downscaling.preparation.steps import (
    Anomaly,
    Bounded,
    Cells,
    Centred,
    Changed,
    Filled,
    Masked,
    Transformed,
    expected,
)
from subgrid.downscaling.preparation.transforms import Arcsine, CensoredRoot, ChannelTransforms, Root, Unchanged
from subgrid.numerics.from_numpy import from_numpy

N, SPACE = 5, (3, 4)
MASK = np.array([[1, 1, 0, 1], [0, 1, 1, 1], [1, 0, 1, 1]], bool)
TRANSFORMS = ChannelTransforms((Unchanged(), CensoredRoot(), Root(), Arcsine(0.0, 100.0)))
LOWEST, HIGHEST = np.float32([-np.inf, 0, 0, 0]), np.float32([np.inf, np.inf, np.inf, 100])
SEEDS = st.integers(0, 2**31)
PHASE = np.array([0.0, 0.02, 0.4, 0.7, 0.99], np.float32)


def smooth(seed: int, base: float) -> Climatology:
    """A course of the year about `base` with one harmonic of a tenth of it."""
    rng = np.random.default_rng(seed)
    coefficients = base * (np.array([1, 0.1, 0.1])[:, None, None, None] + 0.02 * rng.normal(size=(3, 4, *SPACE)))
    return Climatology(from_numpy(coefficients))


def physical(seed: int) -> np.ndarray:
    """Temperature, rain with dry days and none between dry and wet, wind speed, humidity with both its atoms."""
    rng = np.random.default_rng(seed)
    fields = np.stack(
        [
            280 + 10 * rng.normal(size=(N, *SPACE)),
            np.where(rng.random((N, *SPACE)) < 0.5, 0.0, 0.1 + rng.gamma(0.5, 8.0, (N, *SPACE))),
            rng.gamma(2.0, 3.0, (N, *SPACE)),
            np.clip(rng.normal(60, 40, (N, *SPACE)), 0, 100),
        ],
        1,
    )
    return fields.astype(np.float32)


def steps(seed: int) -> dict[str, Step]:
    """One of each, on fields (N, 4, *SPACE)."""
    signal = ChangeSignal(smooth(seed, 3.0), smooth(seed + 1, 4.0), ("additive", "multiplicative") * 2)
    return {
        "bounds": Bounded(LOWEST, HIGHEST),
        "transform": Transformed(TRANSFORMS),
        "anomaly": Anomaly(smooth(seed, 5.0)),
        "change": Changed(signal),
        "centre": Centred(np.asarray(smooth(seed, 2.0).mean_coefficients[0])),
        "fill": Filled(MASK, np.float32([1, 2, 3, 4])),
        "mask": Masked(MASK),
        "cells": Cells(MASK),
    }


NAMES = ["bounds", "transform", "anomaly", "change", "centre", "fill", "mask", "cells"]
# Rounding: float32 keeps 6e-8 of 300; a square root and its inverse a few times that of the value, arcsine of 100.
CLOSE = {"rtol": 2e-6, "atol": 3e-4}


def require_undone(chain: Chain, x: np.ndarray, phase: np.ndarray | None = PHASE) -> None:
    there = np.broadcast_to(MASK, x.shape) if any(isinstance(s, Masked | Filled | Cells) for s in chain.steps) else True
    back = chain.inverse(chain.forward(x, phase), phase)
    assert back.dtype == np.float32 and back.shape == x.shape
    np.testing.assert_allclose(back, np.where(there, x, np.nan), **CLOSE)


@settings(max_examples=15, deadline=None)
@given(seed=SEEDS)
@pytest.mark.parametrize("name", NAMES)
def test_each_step_is_undone(name, seed):
    require_undone(Chain((steps(seed)[name],)), physical(seed))


@settings(max_examples=25, deadline=None)
@given(seed=SEEDS, order=st.permutations(NAMES[:-1]), n=st.integers(0, 5), cells=st.booleans())
def test_every_chain_is_undone(seed, order, n, cells):
    """In whatever order, as long as bounds and transforms, which are of physical values, come before all else."""
    chosen = sorted(order[:n], key=lambda name: NAMES.index(name) if name in ("bounds", "transform") else 9)
    made = steps(seed)
    parts = tuple(made[name] for name in chosen)
    if cells and not {"anomaly", "change", "centre"} & set(chosen):
        parts = (*(p for p in parts if not isinstance(p, Masked | Filled)), made["cells"])
    require_undone(Chain(parts), physical(seed))


@settings(max_examples=15, deadline=None)
@given(seed=SEEDS, scale=st.floats(0.1, 1e3))
def test_whatever_is_drawn_comes_back_possible_and_a_second_time_unchanged(seed, scale):
    """g g⁻¹ is a projection onto what is possible: rain dry or at least .1 mm, humidity between its bounds."""
    chain = Chain((Bounded(LOWEST, HIGHEST), Transformed(TRANSFORMS)))
    z = np.random.default_rng(seed).normal(size=(N, 4, *SPACE)).astype(np.float32) * np.float32(scale)
    x = chain.inverse(z)
    assert (x >= LOWEST[:, None, None]).all() and (x <= HIGHEST[:, None, None]).all()
    assert ((x[:, 1] == 0) | (x[:, 1] >= np.float32(0.1))).all()
    np.testing.assert_allclose(chain.inverse(chain.forward(x)), x, rtol=3e-6, atol=3e-4)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_missing_stays_missing(name):
    x = physical(0)
    x[1:3, :, 1, 1] = np.nan
    chain = Chain((steps(0)[name],))
    back = chain.inverse(chain.forward(x, PHASE), PHASE)
    hidden = np.broadcast_to(~MASK, x.shape) if name in ("fill", "mask", "cells") else np.zeros(x.shape, bool)
    np.testing.assert_array_equal(np.isnan(back), np.isnan(x) | hidden)


def test_masks_hide_and_cells_choose():
    x = physical(1)
    masked, chosen = Masked(MASK).forward(x, None), Cells(MASK).forward(x, None)
    np.testing.assert_array_equal(masked[:, :, ~MASK], 0.0)
    np.testing.assert_array_equal(masked[:, :, MASK], chosen)
    assert chosen.shape == (N, 4, MASK.sum())


def test_fields_without_dates_need_no_phase():
    made = steps(2)
    chain = Chain(tuple(made[name] for name in ("bounds", "transform", "mask")))
    require_undone(chain, physical(2), None)
    np.testing.assert_array_equal(expected(chain, None, 3, (4, *SPACE)), np.zeros((3, 4, *SPACE)))


def test_an_empty_chain_leaves_fields_as_they_are():
    x = physical(3)
    np.testing.assert_array_equal(Chain().forward(x), x)
    np.testing.assert_array_equal(Chain().inverse(x), x)


def test_steps_are_taken_inwards_and_back_in_reverse():
    """z = √x − c by hand, and x = max(z + c, 0)² within the bounds."""
    climatology = Climatology(jnp.full((1, 1, 1), 0.5))
    transforms = ChannelTransforms((Root(),))
    chain = Chain((Bounded(np.float32([0]), np.float32([9])), Transformed(transforms), Anomaly(climatology)))
    np.testing.assert_allclose(chain.forward(np.float32([[[4.0]]]), np.float32([0.3])), [[[1.5]]])
    z = np.float32([[[1.5]], [[-2.0]], [[5.0]]])
    np.testing.assert_allclose(chain.inverse(z, np.float32([0.3] * 3)).ravel(), [4.0, 0.0, 9.0])


def test_what_zero_stands_for_is_the_climatology():
    """c(φ) = 2 + cos 2πφ + 3 sin 2πφ, 0 where there is none."""
    coefficients = np.array([2.0, 1.0, 3.0], np.float32)[:, None, None] * np.array([[1.0, np.nan]], np.float32)
    chain = Chain((Anomaly(Climatology(jnp.asarray(coefficients))),))
    got = expected(chain, np.array([0.0, 0.25]), 2, (1, 2))
    np.testing.assert_allclose(got[:, 0], [[3.0, 0.0], [5.0, 0.0]], atol=1e-6)
    np.testing.assert_array_equal(expected(chain, None, 2, (1, 2)), np.zeros((2, 1, 2)))


def test_the_first_step_of_a_kind_is_found():
    one, two = Masked(MASK), Masked(~MASK)
    chain = Chain((Bounded(LOWEST, HIGHEST), one, two))
    assert chain.find(Masked) is one and chain.find(Anomaly) is None


def test_steps_keep_their_contract():
    assert all(isinstance(step, Step) for step in steps(0).values())
