"""Couplings against POT and the closed form between Gaussians."""

import os
import subprocess
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import ot
import pytest
from scipy.stats import norm

from subgrid.transport.couplings import (
    EntropicTransport,
    ExactTransport,
    Independent,
    sinkhorn_plan,
    squared_distances,
)

RNG = np.random.default_rng(0)
X0, X1 = RNG.normal(size=(64, 3)), 0.5 + 1.5 * RNG.normal(size=(64, 3))
FIRST, SECOND = jax.device_put((np.float32(X0), np.float32(X1)))


@pytest.mark.parametrize(("epsilon", "m"), [(0.5, 64), (2.0, 40)])
def test_plan_is_pots(epsilon, m):
    cost = ot.dist(X0, X1[:m])
    expected = ot.sinkhorn(np.full(64, 1 / 64), np.full(m, 1 / m), cost, epsilon, numItermax=20_000, stopThr=1e-11)
    log_plan, error = sinkhorn_plan(jnp.asarray(cost / epsilon, jnp.float32), tolerance=2e-5)
    got = np.exp(np.float64(log_plan))
    assert float(error) <= 2e-5
    np.testing.assert_allclose(got, expected, atol=1e-3 * expected.max())  # potentials of order 100, in float32
    np.testing.assert_allclose(got.sum(0), 1 / m, rtol=1e-4)
    np.testing.assert_allclose(got.sum(1), 1 / 64, atol=4e-5)


@pytest.mark.parametrize(("epsilon", "slope"), [(0.1, 1.9752), (1.0, 1.7656), (4.0, 1.2361)])
def test_slopes_between_gaussians(epsilon, slope):
    # N(0, 1) → N(1, 4), cost |x − y|²: the barycentric projection has the slope ½√(16 + ε²/4) − ε/4.
    n = 500
    quantiles = norm.ppf((np.arange(n) + 0.5) / n)
    cost = (quantiles[:, None] - 1 - 2 * quantiles[None]) ** 2
    log_plan, _ = sinkhorn_plan(jnp.asarray(cost / epsilon, jnp.float32), tolerance=1e-4)
    plan = np.exp(np.float64(log_plan))
    projected = plan @ (1 + 2 * quantiles) / plan.sum(1)
    middle = np.abs(quantiles) < 1.5  # quantiles have no tails, which bends the ends
    got, mean = np.polyfit(quantiles[middle], projected[middle], 1)
    assert got == pytest.approx(slope, abs=0.015) and mean == pytest.approx(1.0, abs=1e-3)


def test_a_plan_far_from_done_says_so():
    cost = jnp.asarray(ot.dist(X0, X1) / 0.01, jnp.float32)
    assert float(sinkhorn_plan(cost, tolerance=1e-6, max_iterations=10)[1]) > 1e-2


def test_exact_transport_has_the_least_cost():
    i, j = ExactTransport()(FIRST, SECOND, key=jr.key(0))
    uniform = np.full(64, 1 / 64)
    least = ot.emd2(uniform, uniform, ot.dist(X0, X1))
    assert np.mean(np.sum((X0[i] - X1[j]) ** 2, 1)) == pytest.approx(least, rel=1e-6)
    np.testing.assert_array_equal(np.sort(i), np.arange(64))
    np.testing.assert_array_equal(np.sort(j), np.arange(64))


def test_exact_transport_inside_compiled_and_mapped_code():
    flipped = jnp.stack([SECOND, SECOND[::-1]])
    _, j = jax.jit(jax.vmap(lambda x1: ExactTransport()(FIRST, x1, key=jr.key(0))))(flipped)
    np.testing.assert_array_equal(j[0], 63 - j[1])


def test_entropic_pairs_are_draws_of_the_plan():
    epsilon, n = 1.0, 3000
    draw = lambda key: EntropicTransport(epsilon, 1e-4)(FIRST[:12], SECOND[:12], key=key)[1]  # noqa: E731
    drawn = np.asarray(jax.jit(lambda keys: jax.lax.map(draw, keys))(jr.split(jr.key(1), n)))
    uniform = np.full(12, 1 / 12)
    plan = ot.sinkhorn(uniform, uniform, ot.dist(X0[:12], X1[:12]), epsilon, numItermax=20_000, stopThr=1e-10) * 12
    got = np.stack([np.bincount(column, minlength=12) / n for column in drawn.T])
    # 144 frequencies: five binomial standard errors, and the tolerance of the plan.
    assert (np.abs(got - plan) < 5 * np.sqrt(plan / n) + 2e-3).all()


def test_independent_pairs_stay_as_they_come():
    i, j = Independent()(FIRST, SECOND, key=jr.key(0))
    np.testing.assert_array_equal(i, np.arange(64))
    np.testing.assert_array_equal(j, np.arange(64))


def test_distances_far_from_zero():
    fields = lambda x: jnp.asarray(np.round(x * 256) / 256, jnp.float32).reshape(64, 1, 3)  # noqa: E731
    near = squared_distances(fields(X0), fields(X1))
    far = squared_distances(fields(X0) + 512, fields(X1) + 512)  # multiples of 2⁻⁸ are exact near 512
    np.testing.assert_allclose(near, ot.dist(np.round(X0 * 256) / 256, np.round(X1 * 256) / 256), atol=1e-4)
    np.testing.assert_allclose(far, near, atol=1e-3)  # the mean near 512 is rounded to 6e-5


def test_complaints():
    with pytest.raises(ValueError, match="epsilon must be positive, got 0"):
        EntropicTransport(0.0)
    stiff = EntropicTransport(1e-3, tolerance=1e-6, max_iterations=10)
    with pytest.raises(eqx.EquinoxRuntimeError, match=r"after 10 Sinkhorn iterations at epsilon = 0\.001; raise"):
        jax.block_until_ready(eqx.filter_jit(stiff)(FIRST, SECOND, key=jr.key(0)))


ON_ONE_CORE = """
import os
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
import jax, jax.numpy as jnp, jax.random as jr, numpy as np
from subgrid.transport.couplings import ExactTransport

fields = np.random.default_rng(0).normal(size=(2, 256, 4096)).astype(np.float32)
solve = jax.jit(lambda x0, x1: ExactTransport()(x0, x1, key=jr.key(1))[1])
for _ in range(20):
    assert sorted(np.asarray(solve(*map(jnp.asarray, fields))).tolist()) == list(range(256))
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="cores are assigned to processes on Linux only")
def test_one_core_is_enough():
    # With the matrix, 256 KiB, as one operand this waits for ever: jax 0.10 copies it in the thread that waits for it.
    done = subprocess.run([sys.executable, "-c", ON_ONE_CORE], capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr.decode()
