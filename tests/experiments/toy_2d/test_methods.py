"""The transports of the 2-D table: what moves points, what it costs, and what each name stands for."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from subgrid.experiments.toy_2d import methods
from subgrid.experiments.toy_2d.config import ToyTable
from subgrid.experiments.toy_2d.methods import Transport, coupled_pairs, fit_transport, move
from subgrid.transport.bridge import Bridge
from subgrid.transport.couplings import EntropicTransport, ExactTransport, Independent
from subgrid.transport.ends import Ends
from subgrid.transport.flow_matching import Flow
from subgrid.transport.gaussian_bridge import gaussian_schroedinger_bridge
from subgrid.transport.interpolants import LinearInterpolant


def test_constant_drifts_move_and_cost_what_they_say():
    transport = Transport(lambda x, t: jnp.array([3.0, 4.0]), 0.0, jnp.linspace(0.0, 1.0, 6))
    moved, energy = move(transport, jnp.zeros((4, 2)), key=jr.key(0))
    np.testing.assert_allclose(moved, np.tile([3.0, 4.0], (4, 1)), rtol=1e-6)
    assert float(energy) == pytest.approx(25, rel=1e-6)


def test_the_exact_bridge_moves_one_gaussian_onto_the_other():
    """Energy of the bridge between N(0, I) and itself, σ = 1: E‖v‖² has no mean part; by quadrature of its variance."""
    n, zeros, eye = 4000, jnp.zeros(2), jnp.eye(2)
    bridge = gaussian_schroedinger_bridge(zeros, eye, zeros, eye, sigma=1.0)
    times = jnp.linspace(0.0, 1.0, 41)
    moved, energy = move(Transport(bridge.forward, 1.0, times), jr.normal(jr.key(0), (n, 2)), key=jr.key(1))
    # 40 Euler steps add about 1 % of variance, the last one draws no noise and leaves out 1/40; 4000 samples ±4 %.
    np.testing.assert_allclose(np.cov(np.asarray(moved).T), np.eye(2), atol=0.08)
    t, c = np.asarray(times[:-1]), float(bridge.coupling[0, 0])
    variance = (1 - t) ** 2 + t**2 + 2 * t * (1 - t) * (c + 0.5)
    slope = (((1 - t) * c + t) / variance - 1) / (1 - t)
    assert float(energy) == pytest.approx(np.mean(2 * slope**2 * variance), rel=0.06)  # ±4 % again


def test_coupled_pairs_of_exact_transport_are_in_order_on_a_line():
    x = jr.normal(jr.key(0), (2, 64, 1))
    pairs = coupled_pairs(Ends(x[0], 3 * x[1]), ExactTransport(), 40, 16, key=jr.key(1))
    assert pairs.x0.shape == (40, 1)
    for i in (0, 16):
        x0, x1 = (np.asarray(part[i : i + 16, 0]) for part in pairs[:2])
        # Of equal points, which are drawn with replacement, either may come first: the costs are compared.
        assert np.sum((x0 - x1) ** 2) == pytest.approx(np.sum((np.sort(x0) - np.sort(x1)) ** 2), rel=1e-5)


class Still(eqx.Module):
    def __call__(self, x: Any, t: Any, context: Any = None):
        return jnp.zeros_like(x)


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("dsbm-ipf", ("bridge", "reference", 0.5)),
        ("dsbm-imf", ("bridge", "independent", 0.5)),
        ("dsbm-imf+", ("bridge", "entropic", 0.5)),
        ("rectified-flow", ("rectified", 2, 0.0)),
        ("ot-cfm", ("flow", ExactTransport(), 0.0)),
        ("cfm", ("flow", Independent(), 0.0)),
        ("sf2m", ("flow", EntropicTransport(0.5), 0.5)),
    ],
)
def test_names_become_the_right_objects(monkeypatch, method, expected):
    """No training: the fits are replaced by recorders, so that only what they are called with is looked at."""
    seen: list[Any] = []

    def fit_bridge(drifts, ends, settings, **options):
        seen.append(("bridge", settings.start, settings.sigma))
        return Bridge(Still(), Still(), settings.sigma)

    def fit_flow(flow, pairs, schedule, **options):
        seen.append(flow.interpolant)
        return Flow(Still(), flow.interpolant, flow.noise)

    def fit_rectified_flow(flow, ends, schedule, *, n_rounds, **options):
        seen.append(("rectified", n_rounds, 0.0))
        return [Flow(Still(), LinearInterpolant())] * n_rounds

    def coupled(ends, coupling, n, batch, *, key):
        seen.append(coupling)

    monkeypatch.setattr(methods, "fit_bridge", fit_bridge)
    monkeypatch.setattr(methods, "fit_flow", fit_flow)
    monkeypatch.setattr(methods, "fit_rectified_flow", fit_rectified_flow)
    monkeypatch.setattr(methods, "coupled_pairs", coupled)
    ends = Ends(jnp.zeros((2, 2)), jnp.zeros((2, 2)))
    transport = fit_transport(method, ends, 0.5, ToyTable(hidden=(4,)), report=lambda part: None, key=jr.key(0))
    kind, what, diffusion = expected
    assert transport.diffusion == diffusion
    assert float(transport.times[-1]) == 1.0 and len(transport.times) == 21
    assert seen[0] == (expected if kind != "flow" else what)
    if method == "sf2m":
        assert seen[1].sigma == 0.5 and float(transport.times[0]) > 0  # where its score is finite
