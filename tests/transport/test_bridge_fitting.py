"""The outer loop: a small trained bridge against the closed form, the same bits after a stop, and refusals."""

from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from subgrid.networks.mlp import MLP
from subgrid.numerics.from_numpy import from_numpy
from subgrid.training.checkpoint import CheckpointMismatch
from subgrid.training.log import read_json_lines
from subgrid.transport.bridge_diagnostics import LOG_NAME, log_diagnostics
from subgrid.transport.bridge_fitting import BridgeSettings, Drifts, fit_bridge, restarting_cosine, simulate_pairs
from subgrid.transport.ends import Ends
from subgrid.transport.gaussian_bridge import gaussian_schroedinger_bridge
from subgrid.transport.velocity import NetworkVelocity

GOLDEN = (np.sqrt(5) - 1) / 2
RNG = np.random.default_rng(0)
ENDS = Ends(from_numpy(RNG.normal(-0.1, 1.0, (6000, 1))), from_numpy(RNG.normal(0.1, 1.0, (5000, 1))))
TINY = BridgeSettings(
    n_iterations=3, n_steps=20, batch_size=16, n_pairs=64, n_refreshes=2, steps_per_dispatch=5, n_simulation_steps=4
)


def network(seed, hidden=(8,), n_in=1):
    return NetworkVelocity(MLP((n_in,), (1,), hidden=hidden, key=jr.key(seed)))


def fit(settings, folder=None, ends=ENDS, **options):
    return fit_bridge(Drifts(network(0), network(1)), ends, settings, folder=folder, key=jr.key(2), **options)


def arrays(bridge):
    return jax.tree.leaves(eqx.filter(bridge, eqx.is_array))


@pytest.mark.slow
def test_a_small_bridge_between_gaussians(tmp_path):
    settings = BridgeSettings(n_iterations=6, n_steps=500, n_pairs=8192, ema_decay=0.99)
    fit_bridge(
        Drifts(network(3, (32, 32)), network(4, (32, 32))), ENDS, settings, folder=tmp_path, key=jr.key(5),
        after_iteration=log_diagnostics(tmp_path, ENDS, n=8192, key=jr.key(6)),
    )  # fmt: skip
    rows = read_json_lines(tmp_path / LOG_NAME)
    assert [row["step"] for row in rows] == list(range(6))
    last = rows[-1]
    # 8192 pairs: four standard errors of a covariance are .05. Iterative Markovian fitting starts at .546.
    assert last["forward_covariance"] == pytest.approx(GOLDEN, abs=0.08)
    assert last["backward_covariance"] == pytest.approx(GOLDEN, abs=0.08)
    # Two sets of 8192 draws from 5000 samples are .02 apart; networks this small leave as much again.
    assert last["source_error"] < 0.08 and last["target_error"] < 0.08
    assert rows[0]["target_error"] > 3 * last["target_error"]  # the forward drift was not trained yet


@pytest.mark.slow
@pytest.mark.parametrize("start", ["independent", "reference", "entropic"])
def test_first_pairs_of_each_start(start):
    # What the first training sees is known from what it learns: the slope of the backward drift at t = 1 is
    # (Cov(X₀, X₁) − Var X₁)/Var X₁: −1 independent, −½ reference (Var X₁ = 2), −.382 entropic.
    settings = BridgeSettings(
        n_iterations=1, n_steps=400, n_pairs=8192, start=start, ema_decay=0.99, coupling_batch=256
    )
    bridge = fit_bridge(Drifts(network(0, (32,)), network(1, (32,))), ENDS, settings, key=jr.key(7))
    at = jax.vmap(lambda x: bridge.backward(x, jnp.asarray(0.95)))(jnp.asarray([[-1.0], [1.0]]))
    slope = float((at[1] - at[0])[0]) / 2
    expected = {"independent": -1.0, "reference": -0.5, "entropic": GOLDEN - 1}[start]
    assert slope == pytest.approx(expected, abs=0.15)  # a small network after 400 steps


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_simulated_pairs_start_at_the_archive_and_end_at_the_other_distribution(direction):
    one = jnp.ones((1, 1))
    oracle = gaussian_schroedinger_bridge(jnp.full(1, -0.1), one, jnp.full(1, 0.1), one, sigma=1.0)
    settings = BridgeSettings(n_pairs=20_000, simulate_at_once=20_000)
    pairs = simulate_pairs(getattr(oracle, direction), ENDS, direction, settings, key=jr.key(8))
    archive, starts = (ENDS.source, pairs.x0) if direction == "forward" else (ENDS.target, pairs.x1)
    assert set(np.unique(starts).tolist()) <= set(np.asarray(archive)[:, 0].tolist())
    joint = np.cov(np.float64(pairs.x0[:, 0]), np.float64(pairs.x1[:, 0]))
    # Five standard errors of archives of 5000 and 6000 samples, .1, and a percent or two of Euler's rule.
    np.testing.assert_allclose(joint, [[1, GOLDEN], [GOLDEN, 1]], atol=0.12)


@pytest.mark.slow
def test_stopped_and_resumed_it_ends_with_the_same_bits(tmp_path):
    whole = fit(TINY)
    seen = []
    fit(replace(TINY, n_iterations=1), tmp_path)
    resumed = fit(TINY, tmp_path, after_iteration=lambda k, bridge: seen.append(k))
    assert seen == [1, 2]
    for one, other in zip(arrays(whole), arrays(resumed), strict=True):
        np.testing.assert_array_equal(one, other)
    again = fit(TINY, tmp_path, after_iteration=lambda k, bridge: seen.append(k))  # nothing is left to do
    assert seen == [1, 2]
    np.testing.assert_array_equal(arrays(again)[0], arrays(whole)[0])


class Scaled(eqx.Module):
    """A drift with a constant: a NumPy array."""

    network: eqx.Module
    factor: np.ndarray

    def __call__(self, x, t, context=None):
        return self.factor * self.network(x, t, context)


def scaled(seed, factor=1.0):
    return Scaled(network(seed), np.float32([factor]))


@pytest.mark.slow
def test_a_drift_has_the_formula_of_the_iteration_that_trained_it(tmp_path):
    seen = []

    def shaped(k, bridge):
        seen.append((*bridge.backward.factor.tolist(), *bridge.forward.factor.tolist()))

    def fitted(settings, folder=None, change=lambda drift, k: replace(drift, factor=np.float32([k + 2]))):
        return fit_bridge(
            Drifts(scaled(0), scaled(1), change), ENDS, settings, folder=folder, after_iteration=shaped, key=jr.key(2)
        )

    whole = fitted(TINY)
    assert seen == [(2, 1), (2, 3), (4, 3)]  # backward, forward, backward; 1 is as it was given
    assert whole.backward.factor.tolist() == [4] and whole.forward.factor.tolist() == [3]
    fitted(replace(TINY, n_iterations=2), tmp_path)
    with pytest.raises(CheckpointMismatch, match="begun with constants"):
        fitted(TINY, tmp_path, change=None)
    for one, other in zip(arrays(whole), arrays(fitted(TINY, tmp_path)), strict=True):
        np.testing.assert_array_equal(one, other)
    with pytest.raises(ValueError, match="changed what is trained of the backward drift in iteration 0"):
        fitted(TINY, change=lambda drift, k: scaled(9))


@pytest.mark.slow
def test_killed_before_it_is_saved_an_iteration_is_measured_again(tmp_path):
    class Killed(Exception):
        pass

    seen = []

    def measure(k, bridge):
        seen.append(k)
        if seen == [0, 1]:
            raise Killed

    with pytest.raises(Killed):
        fit(TINY, tmp_path, after_iteration=measure)
    resumed = fit(TINY, tmp_path, after_iteration=measure)
    assert seen == [0, 1, 1, 2]
    np.testing.assert_array_equal(arrays(resumed)[0], arrays(fit(TINY))[0])


def test_other_settings_or_networks_are_refused(tmp_path):
    fit(replace(TINY, n_iterations=1), tmp_path)
    with pytest.raises(CheckpointMismatch, match=r"begun with sigma = 1\.0, not 0\.5; remove it"):
        fit(replace(TINY, sigma=0.5), tmp_path)
    with pytest.raises(CheckpointMismatch):
        fit_bridge(Drifts(network(0, (16,)), network(1, (16,))), ENDS, TINY, folder=tmp_path, key=jr.key(2))
    with pytest.raises(CheckpointMismatch, match="begun with fields"):
        fit(TINY, tmp_path, Ends(ENDS.source[:100], ENDS.target))
    fit(replace(TINY, n_iterations=2), tmp_path)
    with pytest.raises(CheckpointMismatch, match="holds 2 outer iterations, n_iterations = 1"):
        fit(replace(TINY, n_iterations=1), tmp_path)


def test_the_callers_networks_are_left_alone():
    forward, backward = network(0), network(1)
    before = [np.array(leaf) for leaf in arrays((forward, backward))]
    fit_bridge(Drifts(forward, backward), ENDS, replace(TINY, n_iterations=2), key=jr.key(2))
    for one, other in zip(before, arrays((forward, backward)), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_context_is_used():
    # Sources at ±2, given by the context, and a target that is the same for both: the way back needs the context.
    where = jnp.where(jnp.arange(400) % 2, 2.0, -2.0)[:, None]
    ends = Ends(where + 0.1 * jr.normal(jr.key(0), (400, 1)), 0.1 * jr.normal(jr.key(1), (300, 1)), where, False)
    settings = BridgeSettings(sigma=0.5, n_iterations=1, n_steps=400, n_pairs=2048, ema_decay=0.99)
    bridge = fit_bridge(Drifts(network(0, (32,), 2), network(1, (32,), 2)), ends, settings, key=jr.key(2))
    pairs = simulate_pairs(bridge.backward, ends, "backward", settings, key=jr.key(3))
    assert float(jnp.mean(jnp.abs(pairs.x0 - pairs.context) < 2)) > 0.99  # else half of them would be on the other side


def test_rate_restarts():
    update = restarting_cosine(10, peak=1e-2, end=1e-4)
    ones, step = np.ones(1, np.float32), jax.jit(update.update)
    state, sizes = update.init(ones), []
    for _ in range(21):
        change, state = step(ones, state)  # Adam's step of a constant gradient is the rate
        sizes.append(-float(change[0]))
    assert sizes[0] == pytest.approx(1e-2, rel=1e-3) and sizes[10] == pytest.approx(1e-2, rel=1e-3)
    assert sizes[5] == pytest.approx(5.05e-3, rel=1e-3) and sizes[9] < 5e-4
    assert sizes[20] == pytest.approx(1e-2, rel=1e-3)


def test_a_loss_that_is_not_finite_stops():
    with pytest.raises(ArithmeticError, match=r"the backward drift's loss became .* in outer iteration 0; lower the"):
        fit(replace(TINY, learning_rate=1e30))


def test_complaints():
    for wrong, message in (
        ({"sigma": 0.0}, r"sigma must be positive, got 0\.0; for paths without noise use a rectified flow"),
        ({"n_steps": 110}, "n_steps = 110 must be a multiple of n_refreshes x steps_per_dispatch = 100"),
        ({"n_pairs": 0}, "n_pairs must be at least 1, got 0"),
        ({"learning_rate": 0.0}, r"learning_rate must be positive, got 0\.0"),
        ({"grading": 0.5}, r"grading must be at least 1 \(equal steps\), got 0\.5"),
    ):
        with pytest.raises(ValueError, match=message):
            BridgeSettings(**wrong)
