"""Rectified flow: fit a flow, pair every source with where the flow takes it, and fit again.

Each round (*reflow*) keeps the map's marginals, never raises a convex transport cost, and straightens the paths, so
that fewer steps are needed (Liu, Gong & Liu 2023, arXiv:2209.03003, Theorems 3.3–3.7). Straight is not optimal: between
correlated Gaussians the limit differs from the optimal map.
"""

import inspect
from collections.abc import Callable
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float

from subgrid.numerics.integration import integrate_path
from subgrid.training.checkpoint import Checkpoints
from subgrid.training.fitting import TrainingSchedule
from subgrid.training.origin import digest, key_data, require_same_origin
from subgrid.transport.ends import Ends, Pairs
from subgrid.transport.flow_matching import FLOW_SCHEDULE, Flow, fit_flow, flow_map
from subgrid.types import Key, Velocity

AT_ONCE = 1024
"""Samples moved together: bounds the memory of a network's activations."""


class Straightness(NamedTuple):
    """What reflow improves, and what it should leave alone; in units of the squared field, mean over its values."""

    curvature: float
    """∫E‖(Φ(x) − x) − v(X_t, t)‖² dt / d: zero for straight paths."""
    one_step_error: float
    """E‖x + v(x, 0) − Φ(x)‖² / d: of one Euler step instead of many."""
    cost: float
    """E‖Φ(x) − x‖² / d."""


def straightness(
    velocity: Velocity, x: Float[Array, "n *shape"], context: Any = None, *, n_steps: int = 32
) -> Straightness:
    """How straight the paths of a flow from the samples `x` are.

    Args:
        velocity: v(x, t, context).
        x: samples at t = 0.
        context: of each sample, default none.
        n_steps: Heun steps of a path, default 32.

    Returns:
        Curvature, one-step error and transport cost.

    References:
        Liu, Gong & Liu (2023), arXiv:2209.03003.

    Examples:
        >>> straightness(flow.velocity, coarse).curvature
    """
    times = jnp.linspace(0.0, 1.0, n_steps + 1)

    def one(x, context):
        path = integrate_path(lambda z, t: velocity(z, t, context), x, times)
        slopes = jax.vmap(lambda z, t: velocity(z, t, context))(path[:-1], times[:-1])
        whole = path[-1] - x
        return jnp.stack(
            [jnp.mean((whole - slopes) ** 2), jnp.mean((x + slopes[0] - path[-1]) ** 2), jnp.mean(whole**2)]
        )

    means = jax.jit(lambda x, c: jax.lax.map(lambda each: one(*each), (x, c), batch_size=min(AT_ONCE, len(x))).mean(0))
    return Straightness(*map(float, means(x, context)))


def reflow_pairs(
    velocity: Velocity, source: Float[Array, "n *shape"], context: Any = None, *, n_steps: int = 32
) -> Pairs:
    """(x₀, Φ(x₀)) for every source sample.

    Args:
        velocity: v(x, t, context).
        source: samples at t = 0.
        context: of each sample, default none.
        n_steps: Heun steps, default 32.

    Returns:
        n pairs, with their context.
    """
    move = flow_map(velocity, n_steps=n_steps)
    run = jax.jit(lambda x, c: jax.lax.map(lambda each: move(*each), (x, c), batch_size=min(AT_ONCE, len(x))))
    return Pairs(source, run(source, context), context)


def fit_rectified_flow(
    flow: Flow,
    ends: Ends,
    schedule: TrainingSchedule = FLOW_SCHEDULE,
    *,
    n_rounds: int = 2,
    n_steps_flow: int = 32,
    folder: Path | None = None,
    report_round: Callable[[int, Straightness], None] | None = None,
    key: Key,
    **options: Any,
) -> list[Flow]:
    """The flows of all rounds, the first fitted to independent pairs, each later one to the pairs of the one before.

    Args:
        flow: its velocity is trained from its own weights in the first round, and warm from the round before in later
            ones.
        ends: without context or with that of the source (a path must know its context before it knows its end).
        schedule: of the training of each round; default as for `fit_flow`.
        n_rounds: ≥ 1, default 2.
        n_steps_flow: Heun steps of the pairs, default 32.
        folder: for the checkpoints of each round, from which the same call resumes: fields, key, weights, and options
            but for the optimiser are compared, of functions the name alone. Default none.
        report_round: called as report_round(round, straightness) after each.
        key: random key.
        **options: `coupling`, `batch_size` and `report` of `fit_flow`.

    Returns:
        The flow of each round.

    Raises:
        ValueError: a context of the target's samples, or no round; and as `fit_flow`.
        CheckpointMismatch: if the folder was begun with something else.

    References:
        Liu, Gong & Liu (2023), arXiv:2209.03003.

    Examples:
        >>> first, second = fit_rectified_flow(Flow(velocity), Ends(x0, x1), n_rounds=2, key=key)
    """
    if n_rounds < 1:
        raise ValueError(f"n_rounds must be at least 1, got {n_rounds}.")
    if ends.context is not None and ends.context_of_target:
        raise ValueError("reflow starts from source samples, so the context must belong to them (context_of_target).")
    if folder is not None:
        begun = any(Checkpoints(folder / f"round_{i}").latest() is not None for i in range(n_rounds))
        origin = {"n_rounds": n_rounds, "n_steps_flow": n_steps_flow, **_origin(flow, ends, schedule, options, key)}
        require_same_origin(folder / "fit.json", origin, resuming=begun)
    flows, data = [], ends
    for i, k in enumerate(jr.split(key, n_rounds)):
        checkpoints = None if folder is None else Checkpoints(folder / f"round_{i}")
        start = Flow(flows[-1].velocity, flow.interpolant, flow.noise) if flows else flow
        fitted = fit_flow(start, data, schedule, checkpoints=checkpoints, key=k, **options)
        flows.append(fitted)
        if report_round is not None:
            some = slice(0, AT_ONCE)
            context = jax.tree.map(itemgetter(some), ends.context)
            report_round(i, straightness(fitted.velocity, ends.source[some], context, n_steps=n_steps_flow))
        if i + 1 < n_rounds:
            data = reflow_pairs(fitted.velocity, ends.source, ends.context, n_steps=n_steps_flow)
    return flows


def _origin(flow: Flow, ends: Ends, schedule: TrainingSchedule, options: dict[str, Any], key: Key) -> dict[str, Any]:
    """All that decides the bits of a fit, defaults included: numbers, modules, and the values in them."""
    given = {name: each.default for name, each in inspect.signature(fit_flow).parameters.items()} | options
    parts = flow.velocity, flow.noise, flow.interpolant, given["coupling"]
    return {
        "n_steps": schedule.n_steps,
        "batch_size": given["batch_size"],
        "ema_decay": schedule.ema_decay,
        "steps_per_dispatch": schedule.steps_per_dispatch,
        "parts": [eqx.tree_pformat(part) for part in parts],
        "arrays": digest(*jax.tree.leaves(eqx.filter((parts, ends), eqx.is_array))),
        "key": key_data(key),
    }
