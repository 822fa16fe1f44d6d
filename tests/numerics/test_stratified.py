"""Stratified uniforms: one in every stratum, each uniform, and a mean that varies as the theory says."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from scipy.stats import kstest

from subgrid.numerics.stratified import stratified_uniforms


def test_one_in_every_stratum():
    u = stratified_uniforms(100, key=jr.key(0))
    np.testing.assert_array_equal(jnp.floor(u * 100), jnp.arange(100))


def test_each_is_uniform_and_the_mean_of_a_slope_varies_like_a_stratum():
    u = np.asarray(jax.vmap(lambda key: stratified_uniforms(8, key=key))(jr.split(jr.key(1), 4000)), np.float64)
    assert kstest(u.ravel()[::8] * 8, "uniform").pvalue > 1e-3  # the common U
    # The mean of u is ½ + (U − ½)/n: variance 1/(12n²), against 1/(12n) of independent draws.
    assert abs(u.mean(1).var() * 12 * 8**2 - 1) < 0.1  # 4√((κ − 1)/4000) = .06 with a uniform's kurtosis 1.8
