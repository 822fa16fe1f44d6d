"""Rectified flow: reflow between Gaussians in closed form, and one small trained run."""

from dataclasses import replace
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from subgrid.networks.mlp import MLP
from subgrid.numerics.from_numpy import from_numpy
from subgrid.training.checkpoint import CheckpointMismatch, Checkpoints
from subgrid.training.fitting import TrainingSchedule
from subgrid.transport.ends import Ends
from subgrid.transport.flow_matching import Flow, flow_map
from subgrid.transport.interpolants import LinearInterpolant, gaussian_velocity
from subgrid.transport.rectified_flow import fit_rectified_flow, reflow_pairs, straightness
from subgrid.transport.velocity import NetworkVelocity

ZERO = from_numpy(np.zeros(2))
COV0, COV1 = np.array([[1.0, 0.6], [0.6, 1.0]]), np.array([[2.0, -0.5], [-0.5, 0.5]])
SOURCE = from_numpy(np.random.default_rng(0).normal(size=(3000, 2)) @ np.linalg.cholesky(COV0).T)


def flow_between(coupling):
    distributions = (ZERO, jnp.asarray(COV0), ZERO, jnp.asarray(COV1))
    return gaussian_velocity(LinearInterpolant(), *distributions, coupling=jnp.asarray(coupling))


def matrix_of(velocity):
    with jax.enable_x64(True):
        return np.asarray(jax.jit(jax.jacfwd(flow_map(velocity, n_steps=64)))(jnp.zeros(2)))


def cost(cross):
    """E‖X₁ − X₀‖² of a coupling with Cov(X₀, X₁) = cross."""
    return np.trace(COV0) + np.trace(COV1) - 2 * np.trace(cross)


def test_reflow_keeps_the_map_and_straightens_the_paths():
    with jax.enable_x64(True):
        first = flow_between(np.zeros((2, 2)))
        matrix = matrix_of(first)
        second = flow_between(COV0 @ matrix.T)  # the coupling of (X₀, MX₀)
        np.testing.assert_allclose(matrix_of(second), matrix, atol=2e-3)  # Heun, 64 steps
        x = jnp.asarray(SOURCE[:500], jnp.float64)
        before, after = straightness(first, x), straightness(second, x)
    assert before.curvature > 0.1 and before.one_step_error > 0.1
    assert after.curvature < 1e-4 and after.one_step_error < 1e-4
    assert after.cost == pytest.approx(before.cost, rel=5e-3)


@pytest.mark.parametrize("seed", range(4))
def test_rectification_never_raises_the_cost(seed):
    # Any coupling is Σ₀^½ K Σ₁^½ with singular values of K at most 1.
    k = np.random.default_rng(seed).normal(size=(2, 2))
    k *= 0.9 / np.linalg.norm(k, 2)
    cross = np.linalg.cholesky(COV0) @ k @ np.linalg.cholesky(COV1).T
    with jax.enable_x64(True):
        matrix = matrix_of(flow_between(cross))
    np.testing.assert_allclose(matrix @ COV0 @ matrix.T, COV1, atol=1e-2)  # the marginals stay; Heun's error
    assert cost(COV0 @ matrix.T) < cost(cross)


def test_straightness_of_known_paths():
    # v = 2t: paths x + t², moved by 1. ∫(1 − 2t)² = 1/3, by the left-hand sum of n steps: + 2/(3n²); one step misses 1.
    found = straightness(lambda x, t, context=None: 2 * t + 0 * x, SOURCE[:100], n_steps=32)
    assert found.curvature == pytest.approx(1 / 3 + 2 / (3 * 32**2), rel=1e-4)
    assert found.one_step_error == pytest.approx(1.0, rel=1e-4)
    assert found.cost == pytest.approx(1.0, rel=1e-4)


def test_reflow_pairs_belong_together_and_keep_their_context():
    context = SOURCE[:, :1]
    velocity = lambda x, t, c: c * jnp.ones(2)  # noqa: E731
    pairs = reflow_pairs(velocity, SOURCE, context)
    np.testing.assert_allclose(pairs.x1 - pairs.x0, jnp.repeat(context, 2, 1), atol=1e-5)
    np.testing.assert_array_equal(pairs.context, context)
    np.testing.assert_array_equal(pairs.x0, SOURCE)


@pytest.mark.slow
def test_two_trained_rounds(tmp_path):
    target = jnp.asarray(np.random.default_rng(1).normal(size=(2000, 2)) @ np.linalg.cholesky(COV1).T, jnp.float32)
    found = []
    flows = fit_rectified_flow(
        Flow(NetworkVelocity(MLP((2,), (2,), hidden=(64, 64), key=jr.key(0)))),
        Ends(SOURCE, target),
        TrainingSchedule(1000, steps_per_dispatch=50),
        n_rounds=2,
        n_steps_flow=16,
        folder=tmp_path,
        report_round=lambda i, s: found.append((i, s)),
        batch_size=128,
        key=jr.key(1),
    )
    assert [i for i, _ in found] == [0, 1] and len(flows) == 2
    assert Checkpoints(tmp_path / "round_1").latest() == 1000
    (_, first), (_, second) = found
    # In closed form 0 is left after one reflow; 1000 steps leave a small part of what there was.
    assert second.curvature < first.curvature / 4
    assert second.one_step_error < first.one_step_error / 4
    assert second.cost < 1.15 * first.cost
    x = SOURCE[:200]
    moved = [jax.jit(jax.vmap(flow_map(flow.velocity, n_steps=16)))(x) for flow in flows]
    assert float(jnp.sqrt(jnp.mean((moved[0] - moved[1]) ** 2))) < 0.2  # the same map, for values of order one


def test_a_folder_is_resumed_with_what_it_was_begun_with(tmp_path):
    velocity = NetworkVelocity(MLP((2,), (2,), hidden=(8,), key=jr.key(0)))
    flow, ends = Flow(velocity), Ends(SOURCE[:64], SOURCE[64:128])
    schedule = TrainingSchedule(50, steps_per_dispatch=50)
    fit = partial(fit_rectified_flow, ends=ends, n_rounds=1, folder=tmp_path)
    (first,) = fit(flow, schedule=schedule, batch_size=8, key=jr.key(1))
    (again,) = fit(flow, schedule=schedule, batch_size=8, key=jr.key(1))
    assert eqx.tree_equal(first, again)
    with pytest.raises(CheckpointMismatch, match="was begun with batch_size = 8, not 256"):
        fit(flow, schedule=schedule, key=jr.key(1))
    as_by_default = replace(schedule, ema_decay=0.999)
    fit(Flow(velocity, LinearInterpolant()), schedule=as_by_default, batch_size=8, key=jr.key(1))
    with pytest.raises(CheckpointMismatch, match=r"was begun with ema_decay = 0\.999, not 0\.9"):
        fit(flow, schedule=replace(schedule, ema_decay=0.9), batch_size=8, key=jr.key(1))
    with pytest.raises(CheckpointMismatch, match="was begun with parts = "):
        fit(Flow(velocity, LinearInterpolant(0.1)), schedule=schedule, batch_size=8, key=jr.key(1))
    with pytest.raises(CheckpointMismatch, match="was begun with key = "):
        fit(flow, schedule=schedule, batch_size=8, key=jr.key(2))
    (tmp_path / "fit.json").unlink()
    with pytest.raises(CheckpointMismatch, match=r"holds checkpoints, but no readable fit.json"):
        fit(flow, schedule=schedule, batch_size=8, key=jr.key(1))


def test_complaints():
    ends, velocity = Ends(SOURCE[:10], SOURCE[:5], SOURCE[:5, :1]), NetworkVelocity(MLP((3,), (2,), key=jr.key(0)))
    with pytest.raises(ValueError, match=r"the context must belong to them \(context_of_target\)"):
        fit_rectified_flow(Flow(velocity), ends, key=jr.key(1))
    with pytest.raises(ValueError, match="n_rounds must be at least 1, got 0"):
        fit_rectified_flow(Flow(velocity), Ends(SOURCE, SOURCE), n_rounds=0, key=jr.key(1))
