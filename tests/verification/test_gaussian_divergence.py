"""The divergence of a diagonal Gaussian fit: torch-free closed forms and its floor."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from subgrid.verification.gaussian_divergence import diagonal_gaussian_divergence, divergence_floor


def test_two_point_samples_have_a_closed_divergence():
    # ±s about m: mean m and variance s², exactly. KL(N(1, 4) ‖ N(0, 1)) = ½(4 + 1 − 1 − ln 4)
    samples = jnp.array([[3.0], [-1.0]])
    got = diagonal_gaussian_divergence(samples, jnp.zeros(1), jnp.ones(1))
    assert float(got) == pytest.approx((4 - np.log(4)) / 2, rel=1e-6)


def test_scaling_the_samples_and_the_law_changes_nothing():
    x = jr.normal(jr.key(0), (100, 3)) * 1.1 + 0.2
    plain = diagonal_gaussian_divergence(x, jnp.zeros(3), jnp.ones(3))
    scaled = diagonal_gaussian_divergence(5 * x + 2, jnp.full(3, 2.0), jnp.full(3, 25.0))
    assert float(scaled) == pytest.approx(float(plain), rel=1e-4)  # float32 moments


def test_samples_of_the_law_score_the_floor():
    n, d = 2000, 200
    got = diagonal_gaussian_divergence(jr.normal(jr.key(1), (n, d)), jnp.zeros(d), jnp.ones(d))
    # ½(χ²₁ + χ²₁-like)/n a point: its deviation is 1/n, so that of the sum is √d/n, 7 % of d/n; three of those.
    assert float(got) == pytest.approx(divergence_floor(n, d), rel=0.21)
