"""Downscaling in one step: a Schrödinger bridge from interpolated coarse fields to fine fields, both unpaired.

The coarse field is interpolated to the fine grid (`starts.py`) and is where a diffusion starts that ends in a fine
field,

    dX = v(X, t) dt + σ dW,    X₀ = interpolation of y,    X₁ a fine field,

the one with the distributions of both archives at its ends that is closest to σ·Brownian motion: so a sample stays near
its own coarse field without being held to it. The source may be coarsened fine fields, the distribution that debiasing
aims at; or raw coarse fields, and then debiasing is part of the same step.

MODEL/bridge.json   what it was fitted for; written last: a folder that has it is whole
MODEL/weights/      the drift, the normalisation; of a Gaussian start, this too
MODEL/fit.json      what the fit was begun with
MODEL/fit/          checkpoints of the two drifts and of the simulated pairs
"""

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float

from subgrid.data.fields import DataError
from subgrid.data.normalise import Standardiser, fit_standardiser
from subgrid.data.store import write_json
from subgrid.downscaling.debiasing.dynamic import N_SIMULATED, bridge_drifts, linear_size, paired
from subgrid.downscaling.settings import require_at_least
from subgrid.downscaling.upsampling.starts import CubicStart, GaussianStart, blank_gaussian_start, cubic_start
from subgrid.networks.unet import UNet, UNetSettings
from subgrid.training.checkpoint import load_weights, save_weights
from subgrid.training.origin import digest, key_data, require_same_origin
from subgrid.transport.bridge import sample_bridge
from subgrid.transport.bridge_fitting import BridgeSettings, Drifts, fit_bridge
from subgrid.transport.ends import Ends, Pairs
from subgrid.transport.linear_velocity import N_TIMES, CorrectedVelocity, LinearVelocity
from subgrid.transport.partial_iteration import steps_done as saved_steps
from subgrid.transport.velocity import NetworkVelocity
from subgrid.types import Key

Source: TypeAlias = Literal["coarsened", "raw"]
Start: TypeAlias = CubicStart | GaussianStart


@dataclass(frozen=True)
class UpsamplerSettings:
    """The grids, the network and the fit of a bridge; JSON keeps it beside the weights.

    Args:
        n_channels: of the fields.
        coarse: points of the coarse grid along each axis.
        factors: fine points for each coarse one, along each axis, for a cubic start; () for a Gaussian one, of `grid`.
        centred: whether a coarse value lies in the middle of its fine points (block means) or on the first
            (subsampling).
        periodic: whether all space axes wrap around.
        translation_invariant: whether both distributions are, so that fields may be paired up to shifts.
        source: what the bridge starts from, "coarsened" fine fields or "raw" coarse fields.
        channels: of the UNet, by level.
        n_blocks: of the UNet, a level.
        patch: fine points along an axis that the UNet takes together.
        sigma: of the diffusion, in standard deviations of the fine fields.
        n_iterations: of Markovian fitting.
        n_steps: of training, each iteration.
        batch_size: pairs a step.
        learning_rate: its peak; it falls along a cosine in each iteration.
        n_sampling_steps: of Euler–Maruyama.
        grid: points of the fine grid along each axis, where `factors` do not say; default (), where they do.

    Raises:
        ValueError: for numbers below 1, σ or a rate that is not positive, and a source that does not exist.
    """

    n_channels: int
    coarse: tuple[int, ...]
    factors: tuple[int, ...]
    centred: bool = False
    periodic: bool = True
    translation_invariant: bool = False
    source: Source = "coarsened"
    channels: tuple[int, ...] = (64, 128)
    n_blocks: int = 2
    patch: int = 4
    sigma: float = 0.3
    n_iterations: int = 4
    n_steps: int = 2000
    batch_size: int = 64
    learning_rate: float = 1e-3
    n_sampling_steps: int = 30
    grid: tuple[int, ...] = ()

    def __post_init__(self):
        require_at_least(
            1, self, "channels", "n_blocks", "patch", "n_iterations", "n_steps", "batch_size", "n_sampling_steps"
        )
        for name in ("sigma", "learning_rate"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}.")
        if self.source not in get_args(Source):
            raise ValueError(f"source must be one of {', '.join(get_args(Source))}, got {self.source!r}.")

    @property
    def space(self) -> tuple[int, ...]:
        """Of the fine grid."""
        return self.grid or tuple(n * f for n, f in zip(self.coarse, self.factors, strict=True))

    @property
    def steps_per_dispatch(self) -> int:
        """The largest divisor of n_steps up to 50."""
        return max(k for k in range(1, 51) if self.n_steps % k == 0)


class BridgeUpsampler(eqx.Module):
    """One draw of a fine field from one coarse field, in physical units: the bridge's diffusion from its interpolation.

    Args:
        drift: forward, of normalised fields.
        start: from a coarse field to the fine one that the diffusion starts from.
        standardiser: of the fine fields.
        sigma: of the diffusion, in normalised units.
        n_steps: of Euler–Maruyama.

    Examples:
        >>> upsample = load_upsampler("model")
        >>> x = upsample(y, key=key)
    """

    drift: Any
    start: Start
    standardiser: Standardiser
    sigma: float = eqx.field(static=True)
    n_steps: int = eqx.field(static=True)

    def __call__(self, y: Float[Array, "channel *coarse"], *, key: Key) -> Float[Array, "channel *fine"]:
        start = self.start(y)
        n_space = start.ndim - 1
        options = {"direction": "forward", "sigma": self.sigma, "n_steps": self.n_steps}
        normalised = self.standardiser.normalise(start, n_space)
        return self.standardiser.restore(sample_bridge(self.drift, normalised, **options, key=key), n_space)


def _own_start(settings: UpsamplerSettings) -> Start:
    """The cubic start of settings with `factors`; of others one of zeros, to load into."""
    if settings.factors:
        options = {"centred": settings.centred, "periodic": settings.periodic}
        return cubic_start(settings.coarse, settings.factors, **options)
    return blank_gaussian_start(settings.n_channels, settings.coarse, settings.grid)


def fit_upsampler(
    coarse: Float[np.ndarray, "n channel *coarse"],
    fine: Float[np.ndarray, "m channel *fine"],
    settings: UpsamplerSettings,
    *,
    start: GaussianStart | None = None,
    folder: str | Path,
    report: Callable[[int, int, float], None] | None = None,
    key: Key,
) -> BridgeUpsampler:
    """Fits the bridge from interpolated coarse fields to fine fields, and keeps it in `folder`.

    Args:
        coarse: (n, channel, *coarse), of the distribution that will be downscaled, physical units.
        fine: (m, channel, *fine), same unit; unpaired.
        settings: grids, network and fit.
        start: from coarse to fine fields, of settings without `factors`; by default the cubic one.
        folder: of the model: the same call resumes an unfinished fit.
        report: `report(done, total, loss)`, in steps of all iterations.
        key: of weights, pairs and training.

    Returns:
        The upsampler, also saved in `folder`.

    Raises:
        CheckpointMismatch: if the folder holds a fit of other settings, fields or key.
        ValueError: for a grid that does not fit the network.

    Examples:
        >>> upsample = fit_upsampler(coarse, fine, UpsamplerSettings(1, (24,), (8,)), folder="model", key=key)
        >>> ensemble = sample_ensemble(upsample, coarse, 16, key=key)
    """
    folder = Path(folder)
    build_key, pair_key, fit_key = jr.split(key, 3)
    n_space, standardiser = len(settings.space), fit_standardiser(fine)
    own: Start = _own_start(settings) if start is None else start
    interpolated = own(jnp.asarray(coarse))
    ends = Ends(standardiser.normalise(interpolated, n_space), standardiser.normalise(jnp.asarray(fine), n_space))
    networks = [NetworkVelocity(bridge_network(settings, key=k)) for k in jr.split(build_key)]
    origin = {**dataclasses.asdict(settings), "fields": digest(coarse, fine), "key": key_data(key)}
    require_same_origin(folder / "fit.json", origin, resuming=(folder / "fit.json").exists())
    forward, backward = bridge_drifts(ends, networks, sigma=settings.sigma)
    pairs = paired(ends, True, n_space if settings.translation_invariant else 0, key=pair_key)
    pairs = jax.tree.map(lambda part: part[:N_SIMULATED], pairs)
    drift = _fit(forward, backward, ends, pairs, settings, folder / "fit", report, fit_key)
    upsampler = BridgeUpsampler(drift, own, standardiser, settings.sigma, settings.n_sampling_steps)
    save_weights(folder / "weights", eqx.filter(_kept(upsampler, settings), eqx.is_array))
    write_json(folder / "bridge.json", dataclasses.asdict(settings))
    return upsampler


def load_upsampler(folder: str | Path) -> BridgeUpsampler:
    """The upsampler that `fit_upsampler` kept.

    Args:
        folder: of the model.

    Returns:
        The upsampler.

    Raises:
        DataError: if the folder holds none.

    Examples:
        >>> upsample = load_upsampler("model")
    """
    if not is_fitted(folder):
        raise DataError(f"{folder}: holds no fitted bridge (no bridge.json); fit one with fit_upsampler.")
    stored = json.loads((Path(folder) / "bridge.json").read_text(encoding="utf-8"))
    stored.pop("whole", None)
    keys: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in stored.items()}
    settings = UpsamplerSettings(**keys)
    channels, sizes = jnp.zeros(settings.n_channels), (settings.sigma, settings.n_sampling_steps)
    blank = BridgeUpsampler(_blank_drift(settings), _own_start(settings), Standardiser(channels, channels), *sizes)
    arrays, static = eqx.partition(_kept(blank, settings), eqx.is_array)
    drift, standardiser, *given = eqx.combine(load_weights(Path(folder) / "weights", like=arrays), static)
    return BridgeUpsampler(drift, given[0] if given else blank.start, standardiser, *sizes)


def _kept(upsampler: BridgeUpsampler, settings: UpsamplerSettings) -> tuple[Any, ...]:
    """What is written of an upsampler: a cubic start follows from its settings."""
    start = () if settings.factors else (upsampler.start,)
    return (upsampler.drift, upsampler.standardiser, *start)


def is_fitted(folder: str | Path) -> bool:
    """Whether the folder holds a whole bridge.

    Args:
        folder: of a model; it need not exist.

    Returns:
        True if `load_upsampler` can load it.
    """
    path = Path(folder) / "bridge.json"  # earlier versions wrote it at the start, and marked it
    return path.exists() and json.loads(path.read_text(encoding="utf-8")).get("whole", True)


def starts_raw(folder: str | Path) -> bool:
    """Whether the folder holds a bridge from raw coarse fields, which debiases as it downscales.

    Args:
        folder: of a model; it need not exist.

    Returns:
        True for a whole bridge whose source is "raw".
    """
    if not is_fitted(folder):
        return False
    return json.loads((Path(folder) / "bridge.json").read_text(encoding="utf-8"))["source"] == "raw"


def steps_done(folder: str | Path, settings: UpsamplerSettings) -> int:
    """Training steps that are saved: where a fit goes on.

    Args:
        folder: of the model.
        settings: of its fit.

    Returns:
        Steps of all iterations so far; 0 where nothing is saved.
    """
    return saved_steps(Path(folder) / "fit", settings.n_steps)


def _fit(forward, backward, ends: Ends, pairs: Pairs, settings: UpsamplerSettings, folder: Path, report, key: Key):
    """The forward drift."""
    total = settings.n_iterations * settings.n_steps

    def each(k: int, step: int, metrics: dict[str, float]) -> None:
        if report is not None:
            report(k * settings.n_steps + step, total, metrics["loss"])

    outer = BridgeSettings(
        sigma=settings.sigma,
        n_iterations=settings.n_iterations,
        n_steps=settings.n_steps,
        batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        n_pairs=len(pairs.x0),
        n_simulation_steps=settings.n_sampling_steps,
        ema_decay=0.99,  # the rate falls along a cosine, which averages too
        steps_per_dispatch=settings.steps_per_dispatch,
        simulate_at_once=256,
    )
    options = {"first_pairs": pairs, "folder": folder, "report": each}
    return fit_bridge(Drifts(forward, backward), ends, outer, **options, key=key).forward


def bridge_network(settings: UpsamplerSettings, *, key: Key) -> UNet:
    """The untrained network of a drift, which starts at zero.

    Args:
        settings: of grid and network.
        key: of the weights.

    Returns:
        The network.

    Raises:
        ValueError: if the fine grid does not fit it.
    """
    n = settings.n_channels
    padding = "periodic" if settings.periodic else "reflect"
    size = UNetSettings(settings.channels, settings.n_blocks, settings.patch, padding)
    network = UNet(n, n, len(settings.space), size, key=key)
    network.check(settings.space)
    return network


def _blank_drift(settings: UpsamplerSettings) -> CorrectedVelocity:
    """A drift of the right shape, to load weights into."""
    d = linear_size(settings.n_channels * int(np.prod(settings.space)))
    linear = LinearVelocity(jnp.zeros((N_TIMES, d, d)), jnp.zeros((N_TIMES, d)))
    return CorrectedVelocity(linear, NetworkVelocity(bridge_network(settings, key=jr.key(0))))
