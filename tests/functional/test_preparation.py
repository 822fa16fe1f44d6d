"""Standardisation, and what does not go together."""

import jax.numpy as jnp
import numpy as np
import pytest

from subgrid.functional.gaussian_field import GaussianField
from subgrid.functional.preparation import FunctionSettings, Standard, prepare
from subgrid.numerics.modes import Box

from .small import ROUGH

RNG = np.random.default_rng(0)
PHASES = RNG.uniform(size=(50, 2, 1))
FIELDS = 3 + np.array([[2.0], [0.5]]) * np.cos(2 * np.pi * (np.arange(16) / 16 + PHASES)) * np.sqrt(2)


def test_fields_become_standard_and_come_back():
    prepared = prepare(FIELDS, ROUGH)
    np.testing.assert_allclose(np.mean(prepared.fields, (0, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(np.std(prepared.fields, (0, 2)), 1, rtol=1e-5)
    standard = prepared.space.standard
    np.testing.assert_allclose(standard.scale, [2, 0.5], rtol=1e-6)
    np.testing.assert_allclose(standard.inverse(prepared.fields[7]), FIELDS[7], atol=1e-5)
    # One wave of variance 1: ½ of each sign.
    np.testing.assert_allclose(prepared.space.data.mode_variances((16,))[:, 1], 0.5, rtol=1e-5)
    assert prepared.space.n_channels == 2 and prepared.space.grid == (16,)


def test_smoothed_fields_come_back_sharp():
    standard = Standard((1.0,), (2.0,), Box((1.0,)), 1e-3)
    x = jnp.asarray(1 + 2 * np.cos(2 * np.pi * 3 * np.arange(16) / 16), jnp.float32)[None]
    z = standard.forward(x)
    np.testing.assert_allclose(z, (x - 1) / 2 * np.exp(-1e-3 * (6 * np.pi) ** 2), atol=1e-6)
    np.testing.assert_allclose(standard.inverse(z), x, atol=1e-5)


def test_known_fields_have_a_grid_and_units_of_their_own():
    space = prepare(FIELDS, ROUGH, known=5 + 10 * RNG.normal(size=(50, 1, 6))).space
    assert space.shown(jnp.full((1, 6), 5.0)).shape == (1, 6)
    assert float(jnp.abs(space.shown(jnp.full((1, 6), 5.0))).max()) < 0.2
    with pytest.raises(ValueError, match="was trained with known fields: give known="):
        space.shown(None)
    with pytest.raises(ValueError, match="knows no fields: leave known out"):
        prepare(FIELDS, ROUGH).space.shown(jnp.ones((1, 6)))
    with pytest.raises(ValueError, match="49 known fields for 50 fields"):
        prepare(FIELDS, ROUGH, known=RNG.normal(size=(49, 1, 6)))


def test_what_is_refused():
    with pytest.raises(
        ValueError, match=r"\(sample, channel, points\) of the noise's box, got the shape \(50, 2, 4, 4\)"
    ):
        prepare(FIELDS.reshape(50, 2, 4, 4), ROUGH)
    with pytest.raises(ValueError, match="constant in a channel"):
        prepare(np.ones((5, 1, 16)), ROUGH)
    ramps = np.arange(16.0) + RNG.normal(size=(5, 1, 1))
    with pytest.raises(ValueError, match="jump by 15 over the edge, and by 1 between neighbours"):
        prepare(ramps, ROUGH)
    assert prepare(ramps, GaussianField(1.0, 5.0, 1.0, "neumann")).space.grid == (16,)
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        FunctionSettings(batch_size=0)
    with pytest.raises(ValueError, match="sigma_min must lie between 0 and below 1, got 1"):
        FunctionSettings(sigma_min=1.0)
