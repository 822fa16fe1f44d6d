"""Whether an outer loop converges: errors of both marginals, the coupling, the path's energy and the losses.

Marginals are compared by the sliced Wasserstein distance rather than by moments: it sees the whole distribution, needs
no d × d covariance of large fields, and has a floor to be read against, the same distance between two halves of the
archive.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float, Scalar

from subgrid.numerics.integration import integrate_path, midpoint_step
from subgrid.numerics.noise import standard_normal
from subgrid.training.log import MetricsReport, json_lines
from subgrid.transport.bridge import Bridge, Direction, ProbabilityFlow, drift_loss, sample_bridge
from subgrid.transport.ends import Ends, Pairs, draw_pairs
from subgrid.types import Key

AT_ONCE = 1024
"""Fields simulated together: bounds the memory of a network's activations."""
TIME_MARGIN = 1e-3
"""How far the probability flow stays from the ends, where drifts may be singular; training stays as far."""
LOG_NAME = "diagnostics.jsonl"

_loss = eqx.filter_jit(drift_loss)


class BridgeDiagnostics(NamedTuple):
    """One look at a bridge; errors and floors in units of the archive's standard deviation."""

    source_error: float
    """Sliced W₁ between the source archive and the ends of backward paths."""
    source_floor: float
    """The same between two halves of the source archive."""
    target_error: float
    """Sliced W₁ between the target archive and the ends of forward paths."""
    target_floor: float
    """The same between two halves of the target archive."""
    forward_covariance: float
    """Mean of the diagonal of Cov(X₀, X₁) over forward paths; at the bridge it is that of the backward ones."""
    backward_covariance: float
    """The same over backward paths."""
    path_energy: float
    """E∫‖v‖² dt along the probability flow from the source, summed over the field."""
    forward_loss: float
    """`drift_loss` of the forward drift on the pairs of backward paths, which it should project."""
    backward_loss: float
    """`drift_loss` of the backward drift on the pairs of forward paths."""


def diagnose(bridge: Bridge, ends: Ends, *, n: int = 4096, n_steps: int = 20, key: Key) -> BridgeDiagnostics:
    """Errors of the ends of n paths simulated either way, with their floors, covariances, energy and losses.

    Args:
        bridge: to be evaluated.
        ends: the two archives.
        n: samples, drawn with replacement, default 4096.
        n_steps: of the simulations, default 20.
        key: random key.

    Returns:
        The diagnostics, as floats.

    Examples:
        >>> diagnose(bridge, ends, key=key).target_error
    """
    draw_key, *keys = jr.split(key, 8)
    drawn = draw_pairs(ends, n, key=draw_key)
    forward = _simulated(bridge, drawn, "forward", n_steps, keys[0])
    backward = _simulated(bridge, drawn, "backward", n_steps, keys[1])
    floor = lambda fields, k: sliced_distance(*_halves(fields, n, k), key=k)  # noqa: E731
    found = {
        "source_error": sliced_distance(drawn.x0, backward.x0, key=keys[2]),
        "source_floor": floor(ends.source, keys[3]),
        "target_error": sliced_distance(drawn.x1, forward.x1, key=keys[2]),
        "target_floor": floor(ends.target, keys[4]),
        "forward_covariance": _mean_covariance(forward),
        "backward_covariance": _mean_covariance(backward),
        "path_energy": _path_energy(bridge, drawn, n_steps),
        "forward_loss": _loss(bridge.forward, backward, direction="forward", sigma=bridge.sigma, key=keys[5]),
        "backward_loss": _loss(bridge.backward, forward, direction="backward", sigma=bridge.sigma, key=keys[6]),
    }
    return BridgeDiagnostics(**{name: float(value) for name, value in found.items()})


def log_diagnostics(
    folder: Path, ends: Ends, *, n: int = 4096, n_steps: int = 20, key: Key
) -> Callable[[int, Bridge], None]:
    """What `fit_bridge` may call after each iteration: appends a line to `folder`/diagnostics.jsonl, step = iteration.

    Iteration k draws from fold_in(key, k). Where a loop resumes, lines of the iterations that it repeats are cut.

    Args:
        folder: where the file is; made if it is not there.
        ends: the two archives.
        n: samples, default 4096.
        n_steps: of the simulations, default 20.
        key: random key.

    Returns:
        A function of the iteration and the bridge.

    Examples:
        >>> record = log_diagnostics(folder, ends, key=k1)
        >>> bridge = fit_bridge(Drifts(forward, backward), ends, folder=folder, after_iteration=record, key=k2)
    """
    log: list[MetricsReport] = []

    def after_iteration(k: int, bridge: Bridge) -> None:
        if not log:
            Path(folder).mkdir(parents=True, exist_ok=True)
            log.append(json_lines(Path(folder) / LOG_NAME, from_step=k - 1))
        log[0](k, diagnose(bridge, ends, n=n, n_steps=n_steps, key=jr.fold_in(key, k))._asdict())

    return after_iteration


def sliced_distance(x: Float[Array, "n *shape"], y: Float[Array, "n *shape"], *, n_slices: int = 64, key: Key) -> float:
    """The mean over random directions θ of W₁(θ·x, θ·y), in units of the root mean variance of x.

    Both sets hold n samples, so that each W₁ is the mean distance of sorted values. Sorted on the host, where it takes
    a tenth of the time.

    Args:
        x: samples.
        y: as many samples of the same shape and unit.
        n_slices: number of θ, default 64.
        key: random key.

    Returns:
        A number ≥ 0.

    References:
        Bonneel et al. (2015), doi:10.1007/s10851-014-0506-3.

    Examples:
        >>> sliced_distance(fields, fields, key=key)  # 0
    """
    a, b = x.reshape(len(x), -1), y.reshape(len(y), -1)
    centre, scale = a.mean(0), jnp.sqrt(jnp.mean(a.var(0)))
    theta = standard_normal((a.shape[1], n_slices), a.dtype, key=key)
    theta = theta / jnp.linalg.norm(theta, axis=0) / scale
    first, second = (np.sort(np.asarray(theta.T @ (fields - centre).T)) for fields in (a, b))
    return float(np.mean(np.abs(first - second)))


@eqx.filter_jit
def _simulated(bridge: Bridge, drawn: Pairs, direction: Direction, n_steps: int, key) -> Pairs:
    drift, start = (bridge.forward, drawn.x0) if direction == "forward" else (bridge.backward, drawn.x1)

    def one(each):
        x, context, k = each
        return sample_bridge(drift, x, context, direction=direction, sigma=bridge.sigma, n_steps=n_steps, key=k)

    end = _in_parts(one, (start, drawn.context, jr.split(key, len(start))))
    return Pairs(start, end, drawn.context) if direction == "forward" else Pairs(end, start, drawn.context)


@eqx.filter_jit
def _path_energy(bridge: Bridge, drawn: Pairs, n_steps: int) -> Scalar:
    """The midpoint rule for the path, and for the integral along it."""
    velocity, times = ProbabilityFlow(bridge), jnp.linspace(TIME_MARGIN, 1 - TIME_MARGIN, n_steps + 1)
    middles = (times[:-1] + times[1:]) / 2

    def one(each):
        x, context = each
        path = integrate_path(lambda z, t: velocity(z, t, context), x, times, step=midpoint_step)
        speeds = jax.vmap(lambda z, t: velocity(z, t, context))((path[:-1] + path[1:]) / 2, middles)
        return jnp.sum(speeds**2) / n_steps

    return jnp.mean(_in_parts(one, (drawn.x0, drawn.context)))


def _in_parts(function: Callable[[Any], Array], arguments: Any) -> Array:
    return jax.lax.map(function, arguments, batch_size=min(AT_ONCE, len(arguments[0])))


def _mean_covariance(pairs: Pairs) -> Scalar:
    return jnp.mean((pairs.x0 - pairs.x0.mean(0)) * (pairs.x1 - pairs.x1.mean(0)))


def _halves(fields: Array, n: int, key: Key) -> tuple[Array, Array]:
    """n of the even and n of the odd samples, or all of them if there are fewer, which makes the floor larger.

    Samples are taken to be independent: of neighbouring frames of a run one would lie in each half.
    """
    half = len(fields) // 2
    first, second = (jr.permutation(k, half)[:n] for k in jr.split(key))
    return fields[2 * first], fields[2 * second + 1]
