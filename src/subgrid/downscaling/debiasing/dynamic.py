"""Dynamic transports as debiasers: flows and bridges between two unpaired archives of coarse fields.

| method | path between the archives | pairs | the map T goes along |
|---|---|---|---|
| flow-matching | straight | of least squared distance in batches of 512 | the velocity |
| interpolant | straight, with noise σ√(t(1 − t)) | independent | the velocity |
| rectified-flow | straight | as flow-matching, then those of the first flow | the second velocity |
| schrodinger-bridge | Brownian bridges of σ | as flow-matching, then by Markovian fitting | the probability flow |

All are maps of one field, without noise. The velocities are those of Gaussians with the archives' moments, in closed
form, plus a network that starts at zero: an untrained transport is the linear one.
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float

from subgrid.data.normalise import Standardiser, fit_standardiser
from subgrid.downscaling.debiasing.settings import TransportSettings
from subgrid.networks.correlation import Padding
from subgrid.networks.mlp import MLP
from subgrid.networks.unet import UNet, UNetSettings
from subgrid.numerics.evenly import evenly_spaced
from subgrid.numerics.integration import midpoint_step
from subgrid.training.checkpoint import Checkpoints
from subgrid.training.fitting import TrainingSchedule, warmup_cosine
from subgrid.training.origin import digest, key_data, require_same_origin
from subgrid.transport.bridge import ProbabilityFlow
from subgrid.transport.bridge_fitting import BridgeSettings, Drifts, fit_bridge
from subgrid.transport.couplings import Coupling, ExactTransport, Independent
from subgrid.transport.ends import Ends, Pairs, draw_pairs
from subgrid.transport.flow_matching import Flow, fit_flow, flow_map
from subgrid.transport.gaussian_bridge import gaussian_schroedinger_bridge
from subgrid.transport.interpolants import LinearInterpolant, gaussian_velocity
from subgrid.transport.linear_velocity import CorrectedVelocity, tabulate
from subgrid.transport.rectified_flow import AT_ONCE, reflow_pairs, straightness
from subgrid.transport.shifts import ExactTransportUpToShifts, align_pairs
from subgrid.transport.shrinkage import ledoit_wolf
from subgrid.transport.velocity import NetworkVelocity
from subgrid.types import Key, NotedReport, Velocity

TransportMethod: TypeAlias = Literal["flow-matching", "interpolant", "rectified-flow", "schrodinger-bridge"]
MOST_LINEAR = 512
"""Values of a field up to which the whole covariance is used; beyond, the table of matrices would fill the memory, and
the closed form is that of white fields. *Merely convenient.*"""
N_SIMULATED, N_SIMULATION_STEPS = 16_384, 16
"""Pairs of a bridge, and steps of the diffusions that make them, while it is fitted."""
N_PAIRS, N_PARTNERS, COUPLED = 32_768, 4, 512
"""Pairs that a flow is fitted to, but no more than 4 for each field, and how many are assigned at a time."""
SEEN = 8
"""How often a pair that a network has to move is trained on at least: of a short training, moving more of them would
take longer than the training itself. *Merely convenient.*"""
EMA_DECAY = 0.99
"""Of the weights. The rate falls along a cosine, which averages too; a longer memory would hold untrained weights."""


class DynamicTransport(eqx.Module):
    """T(y): the field normalised, moved along dx/dt = v(x, t) from t = 0 to 1, and restored.

    The midpoint rule never evaluates v at t = 0 or 1, where it may be singular.
    """

    velocity: Velocity
    standardiser: Standardiser
    n_steps: int = eqx.field(static=True)

    def __call__(self, y: Float[Array, "channel *coarse"]) -> Float[Array, "channel *coarse"]:
        n_space = y.ndim - 1
        x = self.standardiser.normalise(y, n_space)
        moved = flow_map(self.velocity, n_steps=self.n_steps, step=midpoint_step)(x)
        return self.standardiser.restore(moved, n_space)


def fit_transport(
    ends: Ends,
    settings: TransportSettings = TransportSettings(),  # noqa: B008 frozen
    *,
    method: TransportMethod,
    padding: Padding | None = "periodic",
    translation_invariant: bool = False,
    folder: str | Path | None = None,
    report: NotedReport | None = None,
    key: Key,
) -> tuple[DynamicTransport, dict[str, Any]]:
    """A dynamic transport between two archives: T moves a field along dx/dt = v(x, t) from t = 0 to 1.

    Args:
        ends: (n, channel, *coarse), fields to move, and (m, channel, *coarse), those to move them onto, same unit;
            unpaired, without context.
        settings: of network and fit.
        method: "flow-matching", "interpolant", "rectified-flow" or "schrodinger-bridge"; see the module.
        padding: of the network's convolutions, "periodic", "reflect" or "zero", or None for fields whose last axis is a
            vector without neighbours, which get a perceptron.
        translation_invariant: whether fields may be paired up to shifts (see `shifts.py`).
        folder: for checkpoints, from which the same call resumes; none by default.
        report: `report(done, total, note)`, in steps of all rounds.
        key: of weights, pairs and training.

    Returns:
        The map T of one field, and what there is to report: the method, and of a rectified flow the straightness of
            each round.

    Raises:
        ValueError: for a method that does not exist, or a grid that the network cannot halve; and as `fit`.
        CheckpointMismatch: if the folder holds another fit.

    References:
        Lipman et al. (2023), arXiv:2210.02747; Albergo, Boffi & Vanden-Eijnden (2023), arXiv:2303.08797; Liu, Gong &
        Liu
            (2023), arXiv:2209.03003; Shi et al. (2023), arXiv:2303.16852.

    Examples:
        >>> transport, summary = fit_transport(Ends(coarse, coarsened_fine), method="rectified-flow", key=key)
        >>> debiased = jax.vmap(transport)(coarse)
    """
    if method not in get_args(TransportMethod):
        raise ValueError(f"method must be one of {get_args(TransportMethod)}, got {method!r}.")
    shape, n_space = ends.source.shape[1:], ends.source.ndim - 2
    standardiser = fit_standardiser(np.asarray(ends.target))
    first, second = (standardiser.normalise(fields, n_space) for fields in (ends.source, ends.target))
    ends = Ends(first, second)
    build_key, fit_key = jr.split(key)
    networks = [NetworkVelocity(_network(shape, settings, padding, k)) for k in jr.split(build_key)]
    if folder is not None:
        origin = {
            "method": method,
            **asdict(settings),
            "padding": padding,
            "translation_invariant": translation_invariant,
            "fields": digest(first, second),
            "key": key_data(key),
        }
        path = Path(folder) / "fit.json"
        require_same_origin(path, origin, resuming=path.exists())
    folder, n_shifted = None if folder is None else Path(folder), n_space if translation_invariant else 0
    if method == "schrodinger-bridge":
        velocity, summary = _fit_bridge(ends, networks, settings, n_shifted, folder, report, fit_key)
    else:
        velocity, summary = _fit_flow(ends, networks, settings, method, n_shifted, folder, report, fit_key)
    return DynamicTransport(velocity, standardiser, settings.n_flow_steps), {"method": method, **summary}


def _fit_flow(
    ends: Ends, networks: list[NetworkVelocity], settings: TransportSettings, method: str, n_shifted: int,
    folder: Path | None, report: NotedReport | None, key: Key,
) -> tuple[Velocity, dict[str, Any]]:  # fmt: skip
    """The velocity of one of the three flows; of two rounds for the rectified one."""
    noise = LinearInterpolant(settings.sigma if method == "interpolant" else 0.0)
    pair_key, first_key, second_key = jr.split(key, 3)
    data = paired(ends, method != "interpolant", n_shifted, key=pair_key)
    moments, cross = _joint_moments(data) if isinstance(data, Pairs) else (_moments(ends), None)
    linear = tabulate(gaussian_velocity(noise, *moments, coupling=cross), len(moments[0]))
    start, n_rounds = CorrectedVelocity(linear, networks[0]), 2 if method == "rectified-flow" else 1
    velocity = _train_flow(Flow(start, noise), data, settings, 0, n_rounds, folder, report, key=first_key)
    if n_rounds == 1:
        return velocity, {}
    some = ends.source[evenly_spaced(len(ends.source), _n_moved(settings, N_PAIRS))]
    straightened = reflow_pairs(velocity, some, n_steps=2 * settings.n_flow_steps)
    again = Flow(velocity, noise)
    second = _train_flow(again, straightened, settings, 1, n_rounds, folder, report, key=second_key)
    found = [straightness(v, some[:AT_ONCE], n_steps=2 * settings.n_flow_steps) for v in (velocity, second)]
    return second, {"rounds": [each._asdict() for each in found]}


def _n_moved(settings: TransportSettings, most: int) -> int:
    """Pairs that are worth moving for one round or iteration."""
    return min(most, max(settings.batch_size, settings.n_steps * settings.batch_size // SEEN))


def _train_flow(
    flow: Flow, pairs: Ends | Pairs, settings: TransportSettings, i: int, n_rounds: int,
    folder: Path | None, report: NotedReport | None, *, key: Key,
) -> Any:  # fmt: skip
    """The velocity of round i of `n_rounds`, counted together in the report."""

    def each(step: int, metrics: dict[str, float]) -> None:
        if report is not None:
            report(i * settings.n_steps + step, n_rounds * settings.n_steps, f"loss {metrics['loss']:.4f}")

    optimiser = warmup_cosine(settings.n_steps, peak=settings.learning_rate)
    schedule = TrainingSchedule(settings.n_steps, optimiser, EMA_DECAY, settings.steps_per_dispatch)
    checkpoints = None if folder is None else Checkpoints(folder / f"round_{i}")
    options = {"batch_size": settings.batch_size, "checkpoints": checkpoints, "report": each}
    return fit_flow(flow, pairs, schedule, **options, key=key).velocity


def _fit_bridge(
    ends: Ends, networks: list[NetworkVelocity], settings: TransportSettings, n_shifted: int,
    folder: Path | None, report: NotedReport | None, key: Key,
) -> tuple[Velocity, dict[str, Any]]:  # fmt: skip
    """The probability flow of a bridge whose drifts start from those of the bridge between Gaussians."""
    forward, backward = bridge_drifts(ends, networks, sigma=settings.sigma)
    pair_key, fit_key = jr.split(key)
    n = _n_moved(settings, N_SIMULATED)
    first_pairs = jax.tree.map(lambda part: part[:n], paired(ends, True, n_shifted, key=pair_key))
    assert isinstance(first_pairs, Pairs)  # they are assigned
    total = settings.n_iterations * settings.n_steps

    def each(k: int, step: int, metrics: dict[str, float]) -> None:
        if report is not None:
            report(k * settings.n_steps + step, total, f"loss {metrics['loss']:.4f}")

    bridge = fit_bridge(
        Drifts(forward, backward),
        ends,
        BridgeSettings(
            sigma=settings.sigma,
            n_iterations=settings.n_iterations,
            n_steps=settings.n_steps,
            batch_size=settings.batch_size,
            learning_rate=settings.learning_rate,
            n_pairs=len(first_pairs.x0),
            n_simulation_steps=N_SIMULATION_STEPS,
            simulate_at_once=AT_ONCE,
            ema_decay=EMA_DECAY,
            steps_per_dispatch=settings.steps_per_dispatch,
        ),
        first_pairs=first_pairs,
        folder=None if folder is None else folder / "bridge",
        report=each,
        key=fit_key,
    )
    return ProbabilityFlow(bridge), {}


def bridge_drifts(ends: Ends, networks: Sequence[Any], *, sigma: float) -> tuple[CorrectedVelocity, CorrectedVelocity]:
    """Drifts that a bridge is fitted from: those between Gaussians with the archives' moments, plus a network each.

    Args:
        ends: normalised fields of both archives.
        networks: of the forward and of the backward drift; they start at zero.
        sigma: of the diffusion.

    Returns:
        The forward and the backward drift.

    Examples:
        >>> forward, backward = bridge_drifts(Ends(coarse, fine), [network, other], sigma=0.5)
    """
    m0, c0, m1, c1 = _moments(ends)
    gaussian = gaussian_schroedinger_bridge(m0, c0, m1, c1, sigma=sigma)
    forward, backward = (tabulate(drift, len(m0)) for drift in (gaussian.forward, gaussian.backward))
    return CorrectedVelocity(forward, networks[0]), CorrectedVelocity(backward, networks[1])


def paired(ends: Ends, assigned: bool, n_shifted: int, *, key: Key) -> Ends | Pairs:
    """Pairs by the assignment of each batch, if wanted, and up to shifts, if the distributions allow; else the
    archives.

    Args:
        ends: fields of both archives.
        assigned: whether partners are those of least squared distance in batches of 512; else they are independent.
        n_shifted: how many of the last axes both distributions are translation invariant along.
        key: of batches and shifts.

    Returns:
        Pairs, up to 32,768 and 4 for each field; `ends` itself if neither is wanted.

    Examples:
        >>> pairs = paired(Ends(coarse, fine), True, 1, key=key)
    """
    if not (assigned or n_shifted):
        return ends
    exact = ExactTransportUpToShifts(n_shifted) if n_shifted else ExactTransport()
    coupling: Coupling = exact if assigned else Independent()
    coupled = min(COUPLED, len(ends.source), len(ends.target))
    n_pairs = min(N_PAIRS, N_PARTNERS * max(len(ends.source), len(ends.target)))

    @jax.jit
    def draw(key):
        draw_key, shift_key = jr.split(key)
        pairs = draw_pairs(ends, coupled, coupling=coupling, key=draw_key)
        return align_pairs(pairs, n_shifted, key=shift_key) if n_shifted else pairs

    batches = [draw(k) for k in jr.split(key, n_pairs // coupled)]
    return jax.tree.map(lambda *parts: jnp.concatenate(parts), *batches)


def _network(shape: tuple[int, ...], settings: TransportSettings, padding: Padding | None, key: Key) -> eqx.Module:
    """A UNet that sees every point of the grid, or a perceptron for vectors; both start at zero."""
    if padding is None:
        return MLP(shape, shape, hidden=settings.channels, key=key)
    n_channels, *space = shape
    check_levels(settings.channels, tuple(space), patch=settings.patch)
    size = UNetSettings(settings.channels, n_blocks=1, patch=settings.patch, padding=padding)
    return UNet(n_channels, n_channels, len(space), size, key=key)


def check_levels(channels: tuple[int, ...], space: tuple[int, ...], *, patch: int = 1) -> None:
    """Passes if every level of the network can halve the grid of the one above it.

    Args:
        channels: of the UNet, by level.
        space: points along each axis.
        patch: points an axis that the first level takes together.

    Returns:
        Nothing.

    Raises:
        ValueError: for points that the patch does not divide; naming the number of levels that the grid allows.
    """
    points = " x ".join(map(str, space))
    if any(n % patch for n in space):
        raise ValueError(f"debias.patch = {patch} does not divide a coarse grid of {points} points.")
    n_levels, possible = len(channels), min((n // patch & -(n // patch)).bit_length() for n in space)
    if n_levels > possible:
        raise ValueError(
            f"debias.channels = {list(channels)}: {n_levels} levels need a coarse grid divisible by "
            f"{patch * 2 ** (n_levels - 1)}, not of {points} points; name at most {possible}."
        )


def linear_size(n_values: int) -> int:
    """How many values of a field its linear part joins: all, or each by itself where that is too many.

    Args:
        n_values: of a field.

    Returns:
        `n_values` up to 512, else 1.
    """
    return n_values if n_values <= MOST_LINEAR else 1


def _vectors(fields: Array) -> Float[np.ndarray, "n d"]:
    """Whole fields as vectors where their covariance can be kept, single values where not."""
    flat = np.asarray(jax.device_get(fields), np.float64).reshape(len(fields), -1)
    return flat.reshape(-1, linear_size(flat.shape[1]))


def _moments(ends: Ends) -> tuple[Array, Array, Array, Array]:
    """Mean and shrunk covariance of either end: m₀, Σ₀, m₁, Σ₁."""
    first, second = _vectors(ends.source), _vectors(ends.target)
    parts = first.mean(0), ledoit_wolf(first)[0], second.mean(0), ledoit_wolf(second)[0]
    return tuple(jnp.asarray(part, jnp.float32) for part in parts)  # pyright: ignore[reportReturnType]


def _joint_moments(pairs: Pairs) -> tuple[tuple[Array, Array, Array, Array], Array]:
    """The same of pairs, and Cov(X₀, X₁)."""
    first, second = _vectors(pairs.x0), _vectors(pairs.x1)
    d = first.shape[1]
    joint = ledoit_wolf(np.concatenate([first, second], axis=1))[0]
    parts = first.mean(0), joint[:d, :d], second.mean(0), joint[d:, d:], joint[:d, d:]
    *moments, cross = (jnp.asarray(part, jnp.float32) for part in parts)
    return tuple(moments), cross  # pyright: ignore[reportReturnType]
