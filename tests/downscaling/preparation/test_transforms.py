"""The transform of precipitation: round trips, and what comes back for numbers that it never made."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings, strategies as st

from subgrid.data.variables.quantities import describe, describe_name
from subgrid.downscaling.preparation.transforms import (
    Arcsine,
    CensoredRoot,
    ChannelTransforms,
    Root,
    Unchanged,
    is_bounded,
    is_censored,
    transforms_of,
)

EXPONENTS = st.sampled_from([0.5, 1 / 3, 0.25, 1.0])
THRESHOLDS = st.sampled_from([0.01, 0.1, 0.3, 1.0])
FLOATS = st.floats(-1e6, 1e6, width=32)


@settings(max_examples=60, deadline=None)
@given(x=st.floats(0, 3000, width=32), threshold=THRESHOLDS, exponent=EXPONENTS)
def test_round_trip_on_precipitation(x, threshold, exponent):
    root = CensoredRoot(threshold, exponent)
    back = float(root.inverse(root.forward(jnp.asarray([x], jnp.float32)))[0])
    # float32 rounds the root by 6e-8 of itself and the power 1/p multiplies that by up to 4; `pow` adds a few ulp.
    assert back == pytest.approx(x if np.float32(x) >= np.float32(threshold) else 0.0, rel=3e-6)
    assert (back == 0) == (np.float32(x) < np.float32(threshold))  # wet stays wet and dry stays dry, exactly


@settings(max_examples=60, deadline=None)
@given(z=FLOATS, threshold=THRESHOLDS, exponent=EXPONENTS)
def test_any_number_comes_back_dry_or_wet_and_never_between(z, threshold, exponent):
    root = CensoredRoot(threshold, exponent)
    x = root.inverse(jnp.asarray([z], jnp.float32))
    assert x[0] == 0 or x[0] >= np.float32(threshold)
    again = root.inverse(root.forward(x))
    if jnp.isfinite(x).all():
        np.testing.assert_allclose(again, x, rtol=3e-6)  # a projection: a second time changes nothing


def test_it_is_monotone():
    z = CensoredRoot().forward(jnp.linspace(-1, 50, 2001))
    assert (jnp.diff(z) >= 0).all()
    assert (jnp.diff(CensoredRoot().inverse(jnp.linspace(-5, 9, 2001))) >= 0).all()


def test_it_stabilises_the_variance_of_gamma_rain():
    # Gamma of shape k and scale s has standard deviation √k·s. For its square root that is ½√s to first order in 1/k:
    # it depends on the scale of rain by a root, and on k not at all.
    rng = np.random.default_rng(0)
    wet = [3 + rng.gamma(k, 5.0, 50_000) for k in (8, 32)]
    spread = [float(CensoredRoot().forward(jnp.asarray(x, jnp.float32)).std()) for x in wet]
    assert spread[1] / spread[0] == pytest.approx(1.0, abs=0.05)
    assert wet[1].std() / wet[0].std() == pytest.approx(2.0, abs=0.05)


def test_gradients_and_masks():
    root = CensoredRoot()
    x = jnp.asarray([0.0, 0.05, 4.0, jnp.nan])
    assert jnp.isnan(root.inverse(root.forward(x))[3])
    slopes = jax.vmap(jax.grad(lambda v: root.forward(v[None])[0]))(x[:3])
    np.testing.assert_allclose(slopes, [0, 0, 0.25])  # 1/(2√4)
    assert jnp.isfinite(jax.vmap(jax.grad(lambda v: root.inverse(v[None])[0]))(jnp.asarray([-1.0, 0.0, 2.0]))).all()


def test_one_transform_a_channel():
    transforms = transforms_of([describe_name(name) for name in ("tas", "pr", "psl")])
    assert [type(part) for part in transforms.parts] == [Unchanged, CensoredRoot, Unchanged]
    x = jnp.stack([jnp.full((2, 3), 280.0), jnp.full((2, 3), 9.0), jnp.full((2, 3), 1e5)])
    z = transforms.forward(x)
    np.testing.assert_allclose(z[:, 0, 0], [280, 3, 1e5])
    np.testing.assert_allclose(transforms.inverse(z), x)
    np.testing.assert_allclose(transforms.inverse_series(transforms.forward_series(np.stack([x, x])))[1], x)


BOUNDED = [Root(0.0), Root(2.5), Root(None, 3.0), Arcsine(0.0, 100.0), Arcsine(-1.0, 2.0)]


@pytest.mark.parametrize("transform", BOUNDED, ids=repr)
@settings(max_examples=30, deadline=None)
@given(part=st.floats(0, 1, width=32), z=FLOATS)
def test_bounded_transforms_return_what_is_possible_and_keep_the_bounds(transform, part, z):
    low = -np.inf if transform.lowest is None else transform.lowest
    high = np.inf if transform.highest is None else transform.highest
    inside = {(True, False): low + 50 * part, (False, True): high - 50 * part, (True, True): low + (high - low) * part}
    x = jnp.asarray([inside[np.isfinite(low), np.isfinite(high)]], jnp.float32)
    # √ and arcsin √ have unbounded slopes at the bounds, so a rounding there counts as its square root: 4e-7 · 50.
    np.testing.assert_allclose(transform.inverse(transform.forward(x)), x, atol=3e-5)
    back = float(transform.inverse(jnp.asarray([z], jnp.float32))[0])
    assert low <= back <= high


@pytest.mark.parametrize("transform", BOUNDED, ids=repr)
def test_bounded_transforms_ascend_and_clip_what_lies_beyond(transform):
    z = transform.forward(jnp.linspace(-200, 300, 2001))
    assert (jnp.diff(z) >= 0).all() and jnp.isfinite(z).all()
    assert (jnp.diff(transform.inverse(jnp.linspace(-9, 9, 2001))) >= 0).all()
    assert jnp.isnan(transform.forward(jnp.asarray([jnp.nan])))[0]


def test_the_arcsine_evens_out_the_variance_of_proportions():
    # Of n trials with probability p the share has variance p(1 − p)/n, and its arcsine 1/(4n) whatever p is.
    rng = np.random.default_rng(0)
    spread = [Arcsine(0.0, 1.0).forward(jnp.asarray(rng.binomial(200, p, 50_000) / 200)).std() for p in (0.1, 0.5, 0.9)]
    np.testing.assert_allclose(spread, 0.5 / np.sqrt(200), rtol=0.02)  # and terms of order 1/n


def test_transforms_follow_from_what_a_variable_is():
    transforms = transforms_of([describe_name(name) for name in ("tas", "pr", "hurs", "sfcWind", "uas")])
    assert transforms.parts == (Unchanged(), CensoredRoot(), Arcsine(0.0, 100.0), Root(0.0), Unchanged())
    assert is_censored(transforms) == (False, True, False, False, False)
    assert is_bounded(transforms) == (False, True, True, True, False)
    assert transforms_of([describe(xr.DataArray(0.0, name="x"), bounds=(None, 3.0))]).parts == (Root(None, 3.0),)


def test_complaints():
    with pytest.raises(ValueError, match=r"Root needs one bound, got 0\.0 and 1\.0"):
        Root(0.0, 1.0)
    with pytest.raises(ValueError, match=r"bounds must ascend, got 1\.0 and 1\.0"):
        Arcsine(1.0, 1.0)
    with pytest.raises(ValueError, match="threshold must be positive, got 0"):
        CensoredRoot(0.0)
    with pytest.raises(ValueError, match="exponent must be in"):
        CensoredRoot(0.1, 2.0)
    with pytest.raises(ValueError, match="3 channels, but there are 1 transforms"):
        ChannelTransforms((Unchanged(),)).forward(jnp.ones((3, 2)))
