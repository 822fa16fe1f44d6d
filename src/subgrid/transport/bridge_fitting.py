"""Iterative Markovian fitting: the outer loop that turns two networks into a Schrödinger bridge.

    pairs → train the backward drift → simulate it from π₁ → pairs → train the forward drift → simulate it from π₀ → …

Each training is a Markovian projection, each simulation a coupling for the next reciprocal projection (Shi et al. 2023,
arXiv:2303.16852, Algorithm 1). The state after every outer iteration — both networks, their optimisers, averages and
the pairs — is one checkpoint, and iteration k has a key of its own: what is killed goes on to the same bits. Ctrl-C
also saves what is done of an iteration (`partial_iteration.py`).
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import optax

from subgrid.numerics.noise import standard_normal
from subgrid.numerics.streams import substream
from subgrid.training.checkpoint import CheckpointMismatch, Checkpoints
from subgrid.training.feed import Dispatch
from subgrid.training.origin import digest, key_data, require_same_origin
from subgrid.training.steps import CompiledSteps, State, averaged_model, compile_steps, init_state, is_trained
from subgrid.transport.bridge import GRADING, Bridge, Direction, drift_loss, sample_bridge
from subgrid.transport.couplings import EntropicTransport, Independent
from subgrid.transport.ends import Ends, Pairs, draw_pairs, take_pairs
from subgrid.transport.partial_iteration import PartialIteration, stopping_between_steps
from subgrid.types import Key

Start: TypeAlias = Literal["independent", "reference", "entropic"]
DIRECTIONS: tuple[Direction, Direction] = ("backward", "forward")
"""Backward first: the first pairs hold true samples of the source distribution, which it has to reach."""


@dataclass(frozen=True)
class BridgeSettings:
    """How a bridge is fitted; the numbers of steps are those of Shi et al. (2023) for their Gaussian test.

    Raises:
        ValueError: σ ≤ 0, a start that does not exist, numbers below 1, or steps that do not divide.

    References:
        Shi, De Bortoli, Campbell & Doucet (2023), arXiv:2303.16852.

    Examples:
        >>> settings = BridgeSettings(sigma=0.5, n_iterations=20)
    """

    sigma: float = 1.0
    """σ > 0 of the reference motion, in units of the fields."""
    start: Start = "independent"
    """Of the first pairs: "independent" (DSBM-IMF); "reference", X₁ = X₀ + σε (DSBM-IPF); "entropic", minibatch
    entropic transport with ε = 2σ² (DSBM-IMF+)."""
    n_iterations: int = 40
    """Outer iterations, each training one direction."""
    n_steps: int = 10_000
    """Training steps an iteration."""
    batch_size: int = 128
    """Pairs of a training step."""
    learning_rate: float = 1e-3
    """At the start of an iteration; see `restarting_cosine`."""
    n_pairs: int = 16_384
    """Pairs simulated at a time."""
    n_refreshes: int = 1
    """How often an iteration simulates pairs afresh; the first draws its own for every dispatch."""
    n_simulation_steps: int = 20
    """Euler–Maruyama steps of a simulated path."""
    grading: float = GRADING
    """How fast the steps of the simulation shrink towards its end (`bridge_times`)."""
    ema_decay: float = 0.999
    """Of the average of the weights, a step."""
    steps_per_dispatch: int = 100
    """Training steps that are compiled as one call."""
    coupling_batch: int = 512
    """Samples coupled at a time by the entropic start."""
    simulate_at_once: int = 4096
    """Fields simulated together: bounds the memory of the networks' activations."""

    def __post_init__(self):
        if not self.sigma > 0:
            raise ValueError(f"sigma must be positive, got {self.sigma}; for paths without noise use a rectified flow.")
        if self.start not in ("independent", "reference", "entropic"):
            raise ValueError(f'start must be "independent", "reference" or "entropic", got {self.start!r}.')
        for name, value in asdict(self).items():
            if isinstance(value, int) and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}.")
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate must be positive, got {self.learning_rate}.")
        if self.grading < 1:
            raise ValueError(f"grading must be at least 1 (equal steps), got {self.grading}.")
        if self.n_steps % (self.n_refreshes * self.steps_per_dispatch):
            raise ValueError(
                f"n_steps = {self.n_steps} must be a multiple of n_refreshes x steps_per_dispatch = "
                f"{self.n_refreshes * self.steps_per_dispatch}."
            )


@dataclass(frozen=True)
class Drifts:
    """The two drifts of a bridge that is fitted, and what an iteration makes of them.

    Args:
        forward: v_f(x, t, context), a module (`NetworkDrift`); trained, and warm from iteration to iteration.
        backward: v_b, the same.
        in_iteration: called as in_iteration(drift, k): the drift as outer iteration k trains it, if its constants
            depend on the coupling that is projected (`projecting_independent_ends`); what is trained must not change.
            Default none.

    Examples:
        >>> drifts = Drifts(NetworkVelocity(f), NetworkVelocity(b))
    """

    forward: eqx.Module
    backward: eqx.Module
    in_iteration: Callable[[Any, int], Any] | None = None

    def of(self, k: int) -> dict[Direction, Any]:
        """Both as iteration k knows them: the one that it trains, and the other as iteration k − 1 trained it."""
        given: dict[Direction, Any] = {"forward": self.forward, "backward": self.backward}
        if self.in_iteration is None:
            return given
        trained, other = DIRECTIONS[k % 2], DIRECTIONS[(k + 1) % 2]
        before = self.in_iteration(given[other], k - 1) if k else given[other]
        drifts: dict[Direction, Any] = {trained: self.in_iteration(given[trained], k), other: before}
        for direction, drift in drifts.items():
            if not eqx.tree_equal(*(eqx.filter(each, is_trained) for each in (drift, given[direction]))):
                raise ValueError(f"in_iteration changed what is trained of the {direction} drift in iteration {k}.")
        return drifts


class Progress(NamedTuple):
    """All that the outer loop carries.

    Args:
        backward: weights, optimiser and average of the backward drift.
        forward: the same of the forward drift.
        pairs: endpoints that the next training sees.
    """

    backward: State
    forward: State
    pairs: Pairs


def restarting_cosine(n_steps: int, *, peak: float = 1e-3, end: float = 1e-5) -> optax.GradientTransformation:
    """Adam with gradients clipped at norm 1, whose rate falls from `peak` to `end` along a cosine in every iteration.

    Each iteration ends with weights that are averaged, not in the middle of their noise, and starts ready to move.

    Args:
        n_steps: training steps of an iteration.
        peak: learning rate at the start of each, default 1e-3.
        end: learning rate at its end, default 1e-5.

    Returns:
        The optimiser.

    Examples:
        >>> optimiser = restarting_cosine(10_000, peak=2e-4)
    """

    def rate(count):
        return end + (peak - end) * (1 + jnp.cos(jnp.pi * (count % n_steps) / n_steps)) / 2

    return optax.chain(optax.clip_by_global_norm(1.0), optax.adam(rate))


def fit_bridge(
    drifts: Drifts,
    ends: Ends,
    settings: BridgeSettings = BridgeSettings(),
    *,
    first_pairs: Pairs | None = None,
    folder: Path | None = None,
    report: Callable[[int, int, dict[str, float]], None] | None = None,
    after_iteration: Callable[[int, Bridge], None] | None = None,
    key: Key,
) -> Bridge:
    """Fits the Schrödinger bridge between two unpaired archives, by iterative Markovian fitting.

    Args:
        drifts: what is trained, forward and backward.
        ends: source at t = 0, target at t = 1.
        settings: σ, numbers of iterations, steps and pairs, learning rate.
        first_pairs: `settings.n_pairs` of them, a start of the caller's own in place of `settings.start`; their ends
            must have the distributions of the two archives.
        folder: where to save after every outer iteration, and to resume from. Settings but for the learning rate,
            archives, key, and the constants of the drifts in the first two iterations are compared.
        report: called as report(iteration, step, {"loss": …}) after each dispatch.
        after_iteration: called as after_iteration(k, bridge), with averaged weights, for diagnostics
            (`log_diagnostics`).
        key: random key.

    Returns:
        The bridge, with averaged weights.

    Raises:
        ValueError: another number of first pairs, or an `in_iteration` that changes what is trained.
        CheckpointMismatch: if the folder was made with other settings, constants or networks.
        ArithmeticError: if a loss is not finite.
        TrainingInterrupted: on Ctrl-C, after saving.

    References:
        Shi, De Bortoli, Campbell & Doucet (2023), arXiv:2303.16852, Algorithm 1.

    Examples:
        >>> drifts = Drifts(NetworkVelocity(f), NetworkVelocity(b))
        >>> bridge = fit_bridge(drifts, Ends(x0, x1), BridgeSettings(sigma=0.5), key=key)
    """
    if first_pairs is not None and len(first_pairs.x0) != settings.n_pairs:
        raise ValueError(f"first_pairs has {len(first_pairs.x0)} pairs; settings.n_pairs = {settings.n_pairs}.")
    optimiser = restarting_cosine(settings.n_steps, peak=settings.learning_rate)  # its state is kept across iterations
    progress, first, checkpoints = _start_or_resume(drifts, ends, settings, first_pairs, optimiser, folder, key)
    compiled: dict[Direction, tuple[Any, CompiledSteps]] = {}
    own_start = first_pairs is not None
    with stopping_between_steps(folder, settings.n_steps) as partial:
        for k in range(first, settings.n_iterations):
            train_key, simulate_key = jr.split(jr.fold_in(substream(key, "iterations"), k))
            models, direction = drifts.of(k), DIRECTIONS[k % 2]
            found = _constants(models[direction])
            if direction not in compiled or not eqx.tree_equal(found, compiled[direction][0]):
                compiled[direction] = found, _compile(models[direction], direction, settings, optimiser)
            iteration = _Iteration(k, models, compiled[direction][1], train_key, simulate_key, partial)
            progress = _iterate(iteration, progress, ends, settings, report, own_start)
            if after_iteration is not None:  # before it is saved: what is killed in between is measured again
                after_iteration(k, _bridge(progress, models, settings))
            if checkpoints is not None:
                checkpoints.save(k + 1, progress)
            partial.stop_after(k, last=k + 1 == settings.n_iterations)
    return _bridge(progress, drifts.of(settings.n_iterations - 1), settings)


def _constants(drift: Any) -> Any:
    """All of a drift but what is trained."""
    return eqx.filter(drift, is_trained, inverse=True)


class _Iteration(NamedTuple):
    """What is fixed while one direction is trained and then simulated."""

    k: int
    models: dict[Direction, Any]
    run: CompiledSteps
    train_key: Key
    simulate_key: Key
    partial: PartialIteration


def _iterate(
    iteration: _Iteration, progress: Progress, ends: Ends, settings: BridgeSettings, report, own_start: bool
) -> Progress:
    """Trains one direction on the pairs that the other simulates, refreshing them, then simulates it."""
    k, models, run, train_key, simulate_key, partial = iteration
    direction: Direction = DIRECTIONS[k % 2]
    other: Direction = DIRECTIONS[(k + 1) % 2]
    state, pairs = getattr(progress, direction), progress.pairs
    state = state._replace(average=jax.tree.map(jnp.zeros_like, state.average))  # the average is of this iteration only
    done, (state, pairs) = partial.resumed(k, (state, pairs))
    n_refreshes = _refreshes(k, settings)
    refresh_key, end_key = jr.split(simulate_key)
    each = settings.n_steps // n_refreshes
    for first in range(done, settings.n_steps, settings.steps_per_dispatch):
        refresh = first // each
        if first % each == 0 and refresh and k:
            drift = averaged_model(models[other], getattr(progress, other))
            pairs = simulate_pairs(drift, ends, other, settings, key=jr.fold_in(refresh_key, refresh))
        elif first % each == 0 and refresh and not own_start:
            pairs = _first_pairs(ends, settings, key=jr.fold_in(refresh_key, refresh))
        state, metrics = run(state, Dispatch(pairs, None), train_key)
        _require_finite(metrics, direction, k)
        if report is not None:
            report(k, first + settings.steps_per_dispatch, metrics)
        partial.stop_if_asked(k, first + settings.steps_per_dispatch, (state, pairs))
    progress = progress._replace(**{direction: state})
    pairs = simulate_pairs(averaged_model(models[direction], state), ends, direction, settings, key=end_key)
    return progress._replace(pairs=pairs)


def _refreshes(k: int, settings: BridgeSettings) -> int:
    """How often iteration k changes its pairs: those of the first cost nothing, and few would be memorised."""
    if k == 0 and settings.start != "entropic":
        return settings.n_steps // settings.steps_per_dispatch
    return settings.n_refreshes


def simulate_pairs(drift: Any, ends: Ends, direction: Direction, settings: BridgeSettings, *, key: Key) -> Pairs:
    """Endpoint pairs of one direction's diffusion, started from random samples of its end of the archive.

    Args:
        drift: v(x, t, context) of the direction.
        ends: the two archives.
        direction: "forward" from the source, "backward" from the target.
        settings: `n_pairs`, σ and the steps of the simulation.
        key: random key.

    Returns:
        `settings.n_pairs` pairs (x₀, x₁), with the context drawn for them.
    """
    draw_key, path_key = jr.split(key)
    drawn = draw_pairs(ends, settings.n_pairs, key=draw_key)
    return _simulate(drift, drawn, path_key, direction, settings)


@eqx.filter_jit
def _simulate(drift, drawn: Pairs, key, direction: Direction, settings: BridgeSettings) -> Pairs:
    start = drawn.x0 if direction == "forward" else drawn.x1

    def one(each):
        x, context, k = each
        options = {"sigma": settings.sigma, "n_steps": settings.n_simulation_steps, "grading": settings.grading}
        return sample_bridge(drift, x, context, direction=direction, **options, key=k)

    keys = jr.split(key, len(start))
    end = jax.lax.map(one, (start, drawn.context, keys), batch_size=min(settings.simulate_at_once, len(start)))
    return Pairs(start, end, drawn.context) if direction == "forward" else Pairs(end, start, drawn.context)


def _first_pairs(ends: Ends, settings: BridgeSettings, *, key: Key) -> Pairs:
    """What the first training sees: independent ends, the reference's, or those of minibatch entropic transport."""
    draw_key, noise_key = jr.split(key)
    match settings.start:
        case "independent":
            return draw_pairs(ends, settings.n_pairs, coupling=Independent(), key=draw_key)
        case "reference":
            pairs = draw_pairs(ends, settings.n_pairs, key=draw_key)
            return pairs._replace(
                x1=pairs.x0 + settings.sigma * standard_normal(pairs.x0.shape, pairs.x0.dtype, key=noise_key)
            )
        case "entropic":
            coupling = EntropicTransport(2 * settings.sigma**2)
            draw = lambda k: draw_pairs(ends, settings.coupling_batch, coupling=coupling, key=k)  # noqa: E731
            n_batches = -(-settings.n_pairs // settings.coupling_batch)
            batches = jax.jit(lambda keys: jax.lax.map(draw, keys))(jr.split(draw_key, n_batches))
            return jax.tree.map(lambda part: part.reshape(-1, *part.shape[2:])[: settings.n_pairs], batches)


def _start_or_resume(
    drifts: Drifts, ends, settings, first_pairs: Pairs | None, optimiser, folder: Path | None, key: Key
):
    states = {direction: init_state(getattr(drifts, direction), optimiser) for direction in DIRECTIONS}
    copies = {direction: jax.tree.map(jnp.copy, state) for direction, state in states.items()}  # the steps reuse them
    first_key = substream(key, "first pairs")
    pairs = _first_pairs(ends, settings, key=first_key) if first_pairs is None else first_pairs
    progress = Progress(pairs=pairs, **copies)
    if folder is None:
        return progress, 0, None
    checkpoints = Checkpoints(folder)
    given = () if first_pairs is None else jax.tree.leaves(first_pairs)
    constants = [_constants(drift) for k in range(2) for drift in drifts.of(k).values()]
    arrays = jax.tree.leaves(eqx.filter(constants, eqx.is_array))
    digests = {"fields": digest(*jax.tree.leaves(ends), *given), "constants": digest(*arrays)}
    # The learning rate was not compared in folders of earlier versions, which are still resumed.
    compared = {name: value for name, value in asdict(settings).items() if name != "learning_rate"}
    origin = {**compared, **digests, "key": key_data(key)}
    first = checkpoints.latest() or 0
    if first > settings.n_iterations:
        raise CheckpointMismatch(
            f"{folder}: holds {first} outer iterations, n_iterations = {settings.n_iterations}; ask for as many or "
            "more, or choose another folder."
        )
    require_same_origin(folder / "fit.json", origin, resuming=first > 0, may_differ=("n_iterations",))
    if first:
        _, progress = checkpoints.restore(like=progress)
    return progress, first, checkpoints


def _compile(model: eqx.Module, direction: Direction, settings: BridgeSettings, optimiser) -> CompiledSteps:
    loss = lambda drift, pairs, key: drift_loss(drift, pairs, direction=direction, sigma=settings.sigma, key=key)  # noqa: E731
    draw = lambda pairs, key: take_pairs(pairs, settings.batch_size, key=key)  # noqa: E731
    return compile_steps(
        model, loss, draw, optimiser, ema_decay=settings.ema_decay, steps_per_dispatch=settings.steps_per_dispatch
    )


def _bridge(progress: Progress, models, settings: BridgeSettings) -> Bridge:
    forward, backward = (averaged_model(models[d], getattr(progress, d)) for d in ("forward", "backward"))
    return Bridge(forward, backward, settings.sigma)


def _require_finite(metrics: dict[str, float], direction: str, k: int) -> None:
    if not all(value == value and abs(value) != float("inf") for value in metrics.values()):
        raise ArithmeticError(
            f"the {direction} drift's loss became {metrics['loss']} in outer iteration {k}; lower the learning rate."
        )
