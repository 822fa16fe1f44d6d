"""Normal scores against the closed form of a known distribution, and the way back."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.stats import expon, kstest, norm

from subgrid.downscaling.preparation.normal_score import REACH, fit_normal_score

SAMPLES = np.random.default_rng(0).exponential(2.0, (200, 40, 40))
SCORE = fit_normal_score(SAMPLES)


def test_it_is_the_inverse_normal_of_the_distribution_function():
    x = np.linspace(0.05, 12, 50)
    exact = norm.ppf(expon.cdf(x, scale=2.0))
    # Sampling error of a quantile of 320,000 values is .002 of a standard deviation in the bulk, .02 at three of them.
    np.testing.assert_allclose(SCORE.forward(jnp.asarray(x, jnp.float32)), exact, atol=0.03)


def test_unseen_values_become_standard_normal():
    unseen = np.random.default_rng(1).exponential(2.0, 20_000).astype(np.float32)
    scores = np.asarray(SCORE.forward(jnp.asarray(unseen)))
    assert kstest(scores, "norm").statistic < 1.36 / np.sqrt(len(unseen))  # 95 % point of Kolmogorov's distribution


@settings(max_examples=50, deadline=None)
@given(z=st.floats(-6, 6, width=32))
def test_any_score_comes_back(z):
    there = SCORE.inverse(jnp.asarray([z], jnp.float32))
    # Near zero an exponential has a density of ½, its scores one of almost none: float32 ends there.
    assert float(SCORE.forward(there)[0]) == pytest.approx(z, abs=2e-2 if z < -3 else 1e-4)


def test_it_rises_everywhere_also_beyond_what_was_seen():
    x = jnp.linspace(-1, 60, 1001)
    slope = jax.vmap(jax.grad(lambda v: SCORE.forward(v[None])[0]))(x)
    assert (slope > 0).all()
    assert jnp.isfinite(slope).all()
    assert SCORE.forward(jnp.asarray([60.0]))[0] > REACH  # above the largest of the sample, 27


def test_a_variable_with_an_atom_is_refused():
    with pytest.raises(ValueError, match="many values equal 0: a variable with an atom has no normal scores"):
        fit_normal_score(np.maximum(np.random.default_rng(0).normal(size=4000), 0))


def test_few_values_have_knots_that_reach_as_far_as_ten_of_them():
    few = fit_normal_score(np.random.default_rng(0).normal(size=1000))
    assert few.scores[-1] == 2.25  # Φ⁻¹(.99) = 2.33
    np.testing.assert_allclose(few.forward(jnp.asarray([-4.0, 4.0])), [-4, 4], atol=1)
    assert SCORE.scores[-1] == REACH  # of 320,000: Φ⁻¹(1 − 10/320,000) = 4.004


@pytest.mark.parametrize(
    ("values", "complaint"), [(np.ones(99), "at least 100 values, got 99"), (np.full(200, np.nan), "finite values")]
)
def test_what_has_no_histogram_is_refused(values, complaint):
    with pytest.raises(ValueError, match=complaint):
        fit_normal_score(values)
