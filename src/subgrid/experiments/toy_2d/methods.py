"""The transports of the 2-D table: a name becomes a drift, a diffusion and the times at which to step.

Every one is trained on points divided by one length, the standard deviation of the target, so that the networks see
numbers of order one; σ is divided by it too.
"""

from collections.abc import Callable
from itertools import count
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, Scalar

from subgrid.experiments.toy_2d.config import ToyMethod, ToyTable
from subgrid.networks.mlp import MLP
from subgrid.numerics.integration import euler_maruyama_path
from subgrid.training.fitting import TrainingSchedule, warmup_cosine
from subgrid.transport.bridge import bridge_times
from subgrid.transport.bridge_fitting import BridgeSettings, Drifts, Start, fit_bridge
from subgrid.transport.couplings import Coupling, EntropicTransport, ExactTransport, Independent
from subgrid.transport.ends import Ends, Pairs, draw_pairs
from subgrid.transport.flow_matching import TIME_MARGIN, Flow, fit_flow
from subgrid.transport.interpolants import LinearInterpolant
from subgrid.transport.rectified_flow import fit_rectified_flow
from subgrid.transport.velocity import NetworkVelocity
from subgrid.types import Key, Velocity

FractionReport = Callable[[float], None]
"""Called with the part of the training that is done, 0 to 1."""
STEPS_AT_ONCE = 100
"""Training steps between two reports."""


class Transport(NamedTuple):
    """dX = drift dt + diffusion dW at `times`, from the source to the target."""

    drift: Velocity
    diffusion: float
    times: Float[Array, " time"]


def fit_transport(
    method: ToyMethod, ends: Ends, sigma: float, table: ToyTable, *, report: FractionReport, key: Key
) -> Transport:
    """Trains one method between two sets of points of order one; `sigma` in their unit."""
    uniform = jnp.linspace(0.0, 1.0, table.n_sampling_steps + 1)
    graded = bridge_times("forward", table.n_sampling_steps)
    match method:
        case "dsbm-ipf":
            return Transport(_bridge("reference", ends, sigma, table, report, key), sigma, graded)
        case "dsbm-imf":
            return Transport(_bridge("independent", ends, sigma, table, report, key), sigma, graded)
        case "dsbm-imf+":
            return Transport(_bridge("entropic", ends, sigma, table, report, key), sigma, graded)
        case "rectified-flow":
            return Transport(_rectified(ends, table, report, key), 0.0, uniform)
        case "ot-cfm":
            return Transport(_flow(ExactTransport(), ends, table, report, key), 0.0, uniform)
        case "cfm":
            return Transport(_flow(Independent(), ends, table, report, key), 0.0, uniform)
        case "sf2m":
            # The score is singular at t = 0, where the path starts; a step from δ is one from 0 but for δ.
            times = jnp.maximum(graded, TIME_MARGIN)
            return Transport(_simulation_free_bridge(ends, sigma, table, report, key), sigma, times)


def _network(table: ToyTable, key: Key) -> NetworkVelocity:
    return NetworkVelocity(MLP((2,), (2,), hidden=table.hidden, key=key))


def _options(table: ToyTable, report: FractionReport, *, parts: int = 1) -> dict[str, Any]:
    """What all flows are fitted with; `report` sees each of `parts` trainings as an equal part of the whole."""
    steps = count(STEPS_AT_ONCE, STEPS_AT_ONCE)  # those of all trainings together, which each count from 0
    tell = lambda step, _: report(next(steps) / (parts * table.n_steps))  # noqa: E731
    optimiser = warmup_cosine(table.n_steps, peak=table.learning_rate)
    return {
        "schedule": TrainingSchedule(table.n_steps, optimiser, steps_per_dispatch=STEPS_AT_ONCE),
        "batch_size": table.batch_size,
        "report": tell,
    }


def _flow(coupling: Coupling, ends: Ends, table: ToyTable, report: FractionReport, key: Key) -> Velocity:
    network_key, pairs_key, fit_key = jr.split(key, 3)
    pairs = coupled_pairs(ends, coupling, table.n_train, table.coupling_batch, key=pairs_key)
    return fit_flow(Flow(_network(table, network_key)), pairs, key=fit_key, **_options(table, report)).velocity


def _rectified(ends: Ends, table: ToyTable, report: FractionReport, key: Key) -> Velocity:
    network_key, fit_key = jr.split(key)
    options = _options(table, report, parts=table.n_rounds)
    flow = Flow(_network(table, network_key))
    return fit_rectified_flow(flow, ends, n_rounds=table.n_rounds, key=fit_key, **options)[-1].velocity


def _simulation_free_bridge(ends: Ends, sigma: float, table: ToyTable, report: FractionReport, key: Key) -> Velocity:
    """The drift v + ½σ² ∇log p of [SF]²M (Tong et al. 2023, arXiv:2307.03672)."""
    network_key, noise_key, pairs_key, fit_key = jr.split(key, 4)
    pairs = coupled_pairs(ends, EntropicTransport(2 * sigma**2), table.n_train, table.coupling_batch, key=pairs_key)
    flow = Flow(_network(table, network_key), LinearInterpolant(sigma), _network(table, noise_key))
    return DiffusionDrift(fit_flow(flow, pairs, key=fit_key, **_options(table, report)), sigma)


class DiffusionDrift(eqx.Module):
    """v + ½σ² ∇log p of a flow that has a score."""

    flow: Flow
    sigma: float = eqx.field(static=True)

    def __call__(self, x: Float[Array, "*shape"], t: Scalar, context: Any = None) -> Float[Array, "*shape"]:
        return self.flow.velocity(x, t, context) + self.sigma**2 / 2 * self.flow.score(x, t, context)


def _bridge(start: Start, ends: Ends, sigma: float, table: ToyTable, report: FractionReport, key: Key) -> Velocity:
    forward_key, backward_key, fit_key = jr.split(key, 3)
    settings = BridgeSettings(
        sigma=sigma,
        start=start,
        n_iterations=table.n_iterations,
        n_steps=table.n_steps_bridge,
        batch_size=table.batch_size,
        learning_rate=table.learning_rate,
        n_pairs=table.n_pairs,
        n_simulation_steps=table.n_sampling_steps,
        coupling_batch=table.coupling_batch,
    )
    whole = table.n_iterations * table.n_steps_bridge
    bridge = fit_bridge(
        Drifts(_network(table, forward_key), _network(table, backward_key)),
        ends,
        settings,
        report=lambda k, step, _: report((k * table.n_steps_bridge + step) / whole),
        key=fit_key,
    )
    return bridge.forward


def coupled_pairs(ends: Ends, coupling: Coupling, n: int, batch: int, *, key: Key) -> Pairs:
    """n pairs, coupled `batch` at a time, once and for all: the plans are most of what a step would cost."""
    draw = lambda k: draw_pairs(ends, batch, coupling=coupling, key=k)  # noqa: E731
    batches = jax.jit(lambda keys: jax.lax.map(draw, keys))(jr.split(key, -(-n // batch)))
    return jax.tree.map(lambda part: part.reshape(-1, *part.shape[2:])[:n], batches)


@eqx.filter_jit
def move(transport: Transport, x: Float[Array, "n 2"], *, key: Key) -> tuple[Float[Array, "n 2"], Float[Array, ""]]:
    """Where Euler steps take the points, and the energy of the paths, ∫E‖drift‖² dt by the same steps."""
    drift, times = transport.drift, transport.times

    def one(x, k):
        path = euler_maruyama_path(drift, x, times, diffusion=transport.diffusion, key=k)
        slopes = jax.vmap(drift)(path[:-1], times[:-1])
        return path[-1], jnp.sum(jnp.diff(times) * jnp.sum(slopes**2, axis=1))

    ends, energies = jax.vmap(one)(x, jr.split(key, len(x)))
    return ends, jnp.mean(energies)
