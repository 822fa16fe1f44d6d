"""Diagnostics of a bridge whose every number is known."""

from functools import cache

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from scipy.stats import wasserstein_distance

from subgrid.numerics.from_numpy import from_numpy
from subgrid.training.log import read_json_lines
from subgrid.transport.bridge import Bridge
from subgrid.transport.bridge_diagnostics import LOG_NAME, diagnose, log_diagnostics, sliced_distance
from subgrid.transport.ends import Ends
from subgrid.transport.gaussian_bridge import gaussian_schroedinger_bridge

GOLDEN = (np.sqrt(5) - 1) / 2
MEANS, EYE = (from_numpy(np.full(2, -0.5)), from_numpy(np.full(2, 0.5))), from_numpy(np.eye(2))


@cache
def ends() -> Ends:
    return Ends(jr.normal(jr.key(0), (20_000, 2)) - 0.5, jr.normal(jr.key(1), (20_000, 2)) + 0.5)


@pytest.fixture(scope="module")
def oracle():
    return gaussian_schroedinger_bridge(MEANS[0], EYE, MEANS[1], EYE, sigma=1.0)


@pytest.fixture(scope="module")
def found(oracle):
    return diagnose(Bridge(oracle.forward, oracle.backward, 1.0), ends(), n=4096, key=jr.key(2))


@pytest.mark.slow
def test_the_oracle_is_at_the_floor(found):
    # W₁ between 4096 draws and the distribution is about .015; Euler's rule leaves 1 % of the spread.
    assert found.source_error < found.source_floor + 0.015
    assert found.target_error < found.target_floor + 0.015
    assert 0 < found.source_floor < 0.04  # two sets of 4096: about 1/√2048 = .022


@pytest.mark.slow
def test_coupling_of_the_oracle(found):
    assert found.forward_covariance == pytest.approx(GOLDEN, abs=0.06)  # five standard errors of 8192 products
    assert found.backward_covariance == pytest.approx(GOLDEN, abs=0.06)


def test_energy_of_the_oracle(found):
    # Along the flow, X_t = m_t + s_t ξ with s² = (1−t)² + t² + √5 t(1−t): E‖v‖² = ‖ṁ‖² + d ṡ² = 2(1 + ṡ²).
    t = (np.arange(2000) + 0.5) / 2000
    spread = (1 - t) ** 2 + t**2 + np.sqrt(5) * t * (1 - t)
    slope = (2 * t - 2 * (1 - t) + np.sqrt(5) * (1 - 2 * t)) / (2 * np.sqrt(spread))
    assert found.path_energy == pytest.approx(2 * (1 + np.mean(slope**2)), rel=0.01)


def test_losses_of_the_oracle(found):
    left = np.linspace(1e-3, 1 - 1e-3, 4001)
    spread = left**2 + (1 - left) ** 2 + left * (1 - left) * np.sqrt(5)
    at_minimum = np.mean((1 - (left * GOLDEN + 1 - left) ** 2 / spread) / left)  # as in test_bridge.py
    for loss in (found.forward_loss, found.backward_loss):
        assert loss == pytest.approx(at_minimum, rel=0.07)  # 8192 squares


def test_drifts_at_rest_are_distinguished_from_the_oracle():
    still = lambda x, t, context=None: 0 * x  # noqa: E731
    found = diagnose(Bridge(still, still, 1.0), ends(), n=2048, key=jr.key(3))
    # X₁ = X₀ + noise: a shift of 1 in every component and √2 the spread.
    assert found.target_error > 10 * found.target_floor
    assert found.forward_covariance == pytest.approx(1.0, abs=0.1) and found.path_energy == 0.0


def test_sliced_distance():
    x, y = jr.normal(jr.key(4), (500, 1)), 3 + 2 * jr.normal(jr.key(5), (500, 1))
    expected = wasserstein_distance(np.asarray(x)[:, 0], np.asarray(y)[:, 0]) / np.std(np.asarray(x))
    assert float(sliced_distance(x, y, key=jr.key(6))) == pytest.approx(expected, rel=1e-4)
    # A shift δ of all of x projects to |θ·δ|, whose mean over the plane's directions is 2|δ|/π.
    z = jr.normal(jr.key(7), (1000, 2))
    shifted = float(sliced_distance(z, z + jnp.asarray([3.0, 4.0]), n_slices=2048, key=jr.key(8)))
    assert shifted == pytest.approx(2 * 5 / np.pi / float(jnp.sqrt(jnp.mean(z.var(0)))), rel=0.03)


@pytest.mark.slow
def test_log_is_cut_where_a_loop_resumes(tmp_path, oracle):
    bridge = Bridge(oracle.forward, oracle.backward, 1.0)
    record = log_diagnostics(tmp_path / "run", ends(), n=64, n_steps=4, key=jr.key(9))
    for k in range(3):
        record(k, bridge)
    first = read_json_lines(tmp_path / "run" / LOG_NAME)
    log_diagnostics(tmp_path / "run", ends(), n=64, n_steps=4, key=jr.key(9))(1, bridge)
    second = read_json_lines(tmp_path / "run" / LOG_NAME)
    assert [row["step"] for row in second] == [0, 1]
    assert all(first[1][name] == second[1][name] for name in first[1] if name != "seconds")
