"""Dynamic transport against peers: a flow-matching step, a Sinkhorn-coupled minibatch, a bridge's cycle.

The peers, torchcfm and POT under PyTorch, have an environment of their own, `pip install torch==2.13.0 torchcfm POT`.
Its interpreter is named by SUBGRID_PEER_PYTHON; without it those rows are left out.
"""

import json
import os
import subprocess
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import optax

from benchmarks.timing import median_seconds
from subgrid.networks.mlp import MLP
from subgrid.training.feed import Dispatch
from subgrid.training.steps import compile_steps, init_state
from subgrid.transport.bridge import bridge_times, drift_loss, sample_bridge
from subgrid.transport.couplings import Coupling, EntropicTransport, ExactTransport, Independent
from subgrid.transport.ends import Ends, Pairs, draw_pairs, take_pairs
from subgrid.transport.flow_matching import Flow, flow_matching_loss
from subgrid.transport.interpolants import LinearInterpolant
from subgrid.transport.velocity import NetworkVelocity

D = 2
BATCH = 256
HIDDEN = (256, 256)
N_STEPS = 100
EPSILON, TOLERANCE = 1.0, 1e-2
PEER = Path(__file__).parent / "peers" / "torch_flow_matching.py"


def run() -> list[tuple[str, float, str]]:
    """Rows of (name, ratio, meaning)."""
    return [*_against_peers(), _bridge_cycle()]


def _against_peers() -> list[tuple[str, float, str]]:
    python = os.environ.get("SUBGRID_PEER_PYTHON")
    if not python:
        return []
    # Ours before and after the peer: the machine's speed drifts.
    before, peer, after = _ours(), _peer(python), _ours()
    ours = {name: (before[name] + after[name]) / 2 for name in before}
    meaning = {
        "independent": "flow-matching step, torchcfm over ours (wanted: at least 1.5)",
        "exact": "OT-CFM step with exact minibatch transport, torchcfm over ours (wanted: at least 1.5)",
        "sinkhorn": f"entropic coupling of {BATCH} pairs, POT over ours (wanted: at least 1.5)",
    }
    return [(f"{name} coupling", peer[name] / ours[name], meaning[name]) for name in meaning]


def _peer(python: str) -> dict[str, float]:
    task = {
        "d": D, "batch": BATCH, "hidden": HIDDEN, "n_steps": N_STEPS, "epsilon": EPSILON, "tolerance": TOLERANCE
    }  # fmt: skip
    done = subprocess.run([python, str(PEER), json.dumps(task)], capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def _ends() -> Ends:
    return Ends(jr.normal(jr.key(0), (10_000, D)), jr.normal(jr.key(1), (10_000, D)) + 1)


def _ours() -> dict[str, float]:
    seconds = {name: _training_step(c) for name, c in [("independent", Independent()), ("exact", ExactTransport())]}
    ends, coupling = _ends(), EntropicTransport(EPSILON, tolerance=TOLERANCE)
    couple = eqx.filter_jit(lambda ends, key: coupling(ends.source[:BATCH], ends.target[:BATCH], key=key))
    return {**seconds, "sinkhorn": median_seconds(lambda: couple(ends, jr.key(2)), repeats=15)}


def _training_step(coupling: Coupling) -> float:
    flow = Flow(NetworkVelocity(MLP((D,), (D,), hidden=HIDDEN, key=jr.key(3))), LinearInterpolant())
    optimiser, ends = optax.adam(1e-3), _ends()
    steps = compile_steps(
        flow,
        lambda flow, pairs, key: flow_matching_loss(flow, pairs, key=key),
        lambda data, key: draw_pairs(data, BATCH, coupling=coupling, key=key),
        optimiser,
        ema_decay=0.999,
        steps_per_dispatch=N_STEPS,
    )
    state = init_state(flow, optimiser)

    def call():
        nonlocal state
        state, _ = steps(state, Dispatch(ends, None), jr.key(4))

    return median_seconds(call, repeats=5) / N_STEPS


def _bridge_cycle() -> tuple[str, float, str]:
    """Simulate 4096 pairs in 20 steps and train 200: compiled as `fit_bridge` does, and as a plain loop of calls."""
    n_pairs, n_simulation, n_train = 4096, 20, 200
    drift = NetworkVelocity(MLP((D,), (D,), hidden=HIDDEN, key=jr.key(5)))
    optimiser, starts = optax.adam(1e-4), jr.normal(jr.key(6), (n_pairs, D))
    loss = lambda drift, pairs, key: drift_loss(drift, pairs, direction="forward", sigma=1.0, key=key)  # noqa: E731
    draw = lambda pairs, key: take_pairs(pairs, BATCH, key=key)  # noqa: E731
    steps = compile_steps(drift, loss, draw, optimiser, ema_decay=0.999, steps_per_dispatch=N_STEPS)
    # Steps give their state away, and the drift is needed after them.
    state = init_state(jax.tree.map(lambda leaf: leaf.copy() if eqx.is_array(leaf) else leaf, drift), optimiser)

    @eqx.filter_jit
    def simulate(drift, starts, key):
        def move(x, k):
            options = {"direction": "forward", "sigma": 1.0, "n_steps": n_simulation, "grading": 1.0}
            return sample_bridge(drift, x, key=k, **options)

        return jax.vmap(move)(starts, jr.split(key, n_pairs))

    def compiled():
        nonlocal state
        pairs = Pairs(starts, simulate(drift, starts, jr.key(7)))
        for _ in range(n_train // N_STEPS):
            state, _ = steps(state, Dispatch(pairs, None), jr.key(8))

    evaluate = eqx.filter_jit(lambda drift, x, t: jax.vmap(lambda z: drift(z, t))(x))
    gradient = eqx.filter_jit(eqx.filter_grad(loss))
    choose = jax.jit(draw)
    plain_state = optimiser.init(eqx.filter(drift, eqx.is_inexact_array))

    @eqx.filter_jit
    def update(slope, optimiser_state, model):
        updates, optimiser_state = optimiser.update(slope, optimiser_state)
        return eqx.apply_updates(model, updates), optimiser_state

    def plain():
        x, times, model, optimiser_state = (
            starts,
            bridge_times("forward", n_simulation, grading=1.0),
            drift,
            plain_state,
        )
        for i in range(n_simulation):
            x = x + evaluate(drift, x, times[i]) / n_simulation
            x = x + jr.normal(jr.fold_in(jr.key(9), i), x.shape) * jnp.sqrt(1 / n_simulation)
        for i in range(n_train):
            batch = choose(Pairs(starts, x), jr.fold_in(jr.key(10), i))
            model, optimiser_state = update(gradient(model, batch, jr.key(i)), optimiser_state, model)
        return model

    ratio = median_seconds(lambda: eqx.filter(plain(), eqx.is_array), repeats=5) / median_seconds(compiled, repeats=5)
    return "bridge cycle", ratio, "simulate and train, a plain loop of compiled calls over ours (wanted: at least 1.5)"
