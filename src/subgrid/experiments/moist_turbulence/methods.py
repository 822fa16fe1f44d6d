"""The methods of the moist-turbulence experiment: how each is fitted, kept, read back and used.

Fine fields are x₀ of a bridge and the far end of a flow; coarse ones, refined to the fine grid, the other. A context
belongs to the fine field. All networks are the same UNet.
"""

from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Float

from subgrid.diffusion.objective import denoising_loss, log_uniform_levels
from subgrid.diffusion.spectral_denoiser import SpectralDenoiser, residual_weight
from subgrid.downscaling.upsampling.diffusion_bridge import conditioned, decode, encode, noised, turnaround_level
from subgrid.experiments.moist_turbulence.archives import Archives, contexts
from subgrid.experiments.moist_turbulence.config import (
    BridgeTable,
    NetworkTable,
    TurbulenceConfig,
    TurbulenceTrainingTable,
)
from subgrid.networks.context import Context, Groups, of_group
from subgrid.networks.unet import UNet, UNetSettings
from subgrid.numerics.spectral import ModeStatistics, mode_statistics
from subgrid.simulate.moist_turbulence import context as saturation_pattern
from subgrid.training.checkpoint import Checkpoints, load_weights, save_weights
from subgrid.training.fitting import TrainingSchedule, fit, warmup_cosine
from subgrid.training.origin import digest, key_data, require_same_origin
from subgrid.training.steps import is_trained
from subgrid.transport.bridge import Bridge, sample_bridge
from subgrid.transport.bridge_fitting import BridgeSettings, Drifts, fit_bridge
from subgrid.transport.couplings import ExactTransport
from subgrid.transport.ends import Ends, Pairs, draw_pairs
from subgrid.transport.flow_matching import Flow, flow_map, flow_matching_loss
from subgrid.transport.interpolants import LinearInterpolant
from subgrid.transport.spectral_bridge import RefinedDrift, RefinedVelocity, SpectralBridge, projecting_independent_ends
from subgrid.types import Key, NotedReport

MODELS = {
    "diffusion-bridge": ("fine-denoiser",),
    "diffusion-bridge-ode": ("fine-denoiser", "coarse-denoiser"),
    "flow-matching": ("flow-matching",),
    "ot-flow-matching": ("ot-flow-matching",),
    "dsbm-ipf": ("dsbm-ipf",),
    "dsbm-imf": ("dsbm-imf",),
    "dsbm-gaussian": ("dsbm-gaussian",),
}
"""What has to be fitted for each method."""
KINDS: dict[str, Literal["bridge", "denoiser", "flow"]] = {
    "dsbm-imf": "bridge",
    "fine-denoiser": "denoiser",
    "flow-matching": "flow",
    "coarse-denoiser": "denoiser",
    "dsbm-ipf": "bridge",
    "ot-flow-matching": "flow",
    "dsbm-gaussian": "bridge",
}
"""All models, in the order of fitting, and what each is."""
NAMES = tuple(KINDS)
DISPATCH = 20
"""Training steps a call."""
AT_ONCE = 16
"""Fields downscaled together."""


def models_of(config: TurbulenceConfig) -> list[str]:
    """The models that the configured methods need, in the order of fitting."""
    needed = {name for method in config.evaluation.methods for name in MODELS[method]}
    return [name for name in NAMES if name in needed]


class ArchiveStatistics(NamedTuple):
    """Mean and spectrum of both archives, normalised and on the fine grid."""

    fine: list[ModeStatistics]
    """Of each context, in the order of their wavenumbers."""
    coarse: ModeStatistics


def statistics_of(archives: Archives) -> ArchiveStatistics:
    """A context leaves its pattern in the mean of c; ζ knows nothing of it."""

    def fine(wavenumber: int) -> ModeStatistics:
        fields = archives.fine.of(wavenumber)
        pattern = np.asarray(saturation_pattern(fields.shape[-1], wavenumber), np.float32)
        return mode_statistics(fields, np.stack([np.zeros_like(pattern), pattern]))

    return ArchiveStatistics([fine(k) for k in archives.wavenumbers], mode_statistics(archives.coarse.values))


def build(name: str, config: TurbulenceConfig, statistics: ArchiveStatistics, *, key: Key) -> eqx.Module:
    """An untrained model: the answer for Gaussian fields of the archives' spectra, to be refined by a network.

    The network sees the field, the Gaussian answer and, of the fine distribution, the context.
    """
    fine, coarse = Groups(statistics.fine), statistics.coarse
    match KINDS[name]:
        case "denoiser":
            distribution, n_channels = (fine, 5) if name == "fine-denoiser" else (coarse, 4)
            return SpectralDenoiser(distribution, _unet(config.network, n_channels, key=key))
        case "flow":
            return Flow(RefinedVelocity(coarse, fine, _unet(config.network, 5, key=key)), LinearInterpolant())
        case "bridge":
            sigma = float(np.sqrt(config.bridge.variance))
            base = Groups([SpectralBridge(each, coarse, sigma) for each in statistics.fine])
            first, second = (_unet(config.network, 5, key=k) for k in jr.split(key))
            return Bridge(RefinedDrift(base, first, "forward"), RefinedDrift(base, second, "backward"), sigma)


def fit_model(
    name: str, config: TurbulenceConfig, archives: Archives, folder: Path, *, report: NotedReport, key: Key
) -> None:
    """Fits one model and keeps it; what was stopped goes on from its last checkpoint."""
    build_key, fit_key, pair_key = jr.split(key, 3)
    statistics = statistics_of(archives)
    model = build(name, config, statistics, key=build_key)
    report_step = lambda step, numbers: report(step, config.training.n_steps, f"loss {numbers['loss']:.4f}")  # noqa: E731
    training = partial(_fit, config.training, folder=folder, report=report_step, key=fit_key)
    match KINDS[name]:
        case "denoiser":
            loss = _denoising(
                config, archives, Groups(statistics.fine) if name == "fine-denoiser" else statistics.coarse
            )
            fitted = training(model, loss, *_clean(name, archives, config.training.batch_size))
        case "flow":
            loss = lambda flow, pairs, key: flow_matching_loss(flow, pairs, key=key)  # noqa: E731
            order = _orders(archives, transport=name == "ot-flow-matching", key=pair_key)
            fitted = training(model, loss, *_paired(archives, order, config.training.batch_size))
        case "bridge":
            fitted = _fit_bridge(name, config, archives, model, folder, report, fit_key)
    save_weights(folder / "weights", eqx.filter(fitted, eqx.is_array))


def load_model(name: str, config: TurbulenceConfig, statistics: ArchiveStatistics, folder: Path) -> eqx.Module:
    """What `fit_model` kept: weights, and the constants of the Gaussian answer as the fit left them."""
    arrays, static = eqx.partition(build(name, config, statistics, key=jr.key(0)), eqx.is_array)
    return eqx.combine(load_weights(folder / "weights", like=arrays), static)


def level_of(config: TurbulenceConfig, archives: Archives) -> float:
    """Where the diffusion bridge turns around."""
    return turnaround_level(archives.fine.values, config.diffusion.cut_off)


def downscale(
    method: str,
    config: TurbulenceConfig,
    archives: Archives,
    folder: Path,
    coarse: Float[np.ndarray, "n channel y x"],
    context: Context,
    *,
    report: NotedReport,
    key: Key,
) -> np.ndarray:
    """One fine field for every coarse one, all normalised and on the fine grid."""
    statistics = statistics_of(archives)
    models = [load_model(name, config, statistics, folder / name) for name in MODELS[method]]
    one = _sampler(method, config, level_of(config, archives), models)
    many = jax.jit(jax.vmap(one))
    keys, found = jr.split(key, len(coarse)), []
    for start in range(0, len(coarse), AT_ONCE):
        # The last block goes back to full size: one shape is compiled once.
        rows = slice(max(min(start, len(coarse) - AT_ONCE), 0), start + AT_ONCE)
        block = np.asarray(many(*jax.tree.map(itemgetter(rows), (coarse, context, keys))))
        found.append(block[start - rows.start :])
        report(min(start + AT_ONCE, len(coarse)), len(coarse), "")
    return np.concatenate(found)


def _sampler(method: str, config: TurbulenceConfig, level: float, models: list):
    """(coarse, context, key) → fine."""
    n, sigma_min = config.evaluation.n_sampling_steps, config.diffusion.sigma_min

    def with_noise(y, context, key):
        noise_key, sample_key = jr.split(key)
        x = noised(y, level, key=noise_key)
        return decode(conditioned(models[0], context), x, sigma_min=sigma_min, level=level, n_steps=n, key=sample_key)

    def by_flows(y, context, key):
        x = encode(models[1], y, sigma_min=sigma_min, level=level, n_steps=n // 2)
        options = {"sigma_min": sigma_min, "level": level, "n_steps": n, "stochastic": False}
        return decode(conditioned(models[0], context), x, **options, key=key)

    def bridged(y, context, key):
        (bridge,) = models
        return sample_bridge(bridge.backward, y, context, direction="backward", sigma=bridge.sigma, n_steps=n, key=key)

    match method:
        case "diffusion-bridge":
            return with_noise
        case "diffusion-bridge-ode":
            return by_flows
        case "flow-matching" | "ot-flow-matching":
            return lambda y, context, key: flow_map(models[0].velocity, n_steps=n // 2)(y, context)
        case _:
            return bridged


def _fit(table: TurbulenceTrainingTable, model, loss, data, draw, *, folder: Path, report, key: Key):
    checkpoints = Checkpoints(folder / "checkpoints")
    origin = {
        **table.model_dump(),
        "data": digest(*jax.tree.leaves(data)),
        "constants": digest(*jax.tree.leaves(eqx.filter(eqx.filter(model, is_trained, inverse=True), eqx.is_array))),
        "key": key_data(key),
    }
    require_same_origin(folder / "checkpoints" / "fit.json", origin, resuming=checkpoints.latest() is not None)
    optimiser = warmup_cosine(table.n_steps, peak=table.learning_rate)
    schedule = TrainingSchedule(table.n_steps, optimiser, table.ema_decay, DISPATCH)
    return fit(model, loss, data, draw, schedule, checkpoints=checkpoints, report=report, key=key)


def _fit_bridge(name: str, config: TurbulenceConfig, archives: Archives, model, folder: Path, report, key: Key):
    settings = bridge_settings(config.bridge, config, start="independent" if name == "dsbm-imf" else "reference")
    fine, coarse, context = _ends(archives)
    ends = Ends(fine, coarse, context, context_of_target=False)
    start_key, key = jr.split(key)
    total = settings.n_iterations * settings.n_steps
    return fit_bridge(
        Drifts(model.forward, model.backward, _started_independent if name == "dsbm-imf" else None),
        ends,
        settings,
        first_pairs=_gaussian_pairs(model.forward.base, ends, settings, key=start_key)
        if name == "dsbm-gaussian"
        else None,
        folder=folder / "checkpoints",
        report=lambda k, step, numbers: report(k * settings.n_steps + step, total, f"loss {numbers['loss']:.4f}"),
        key=key,
    )


def _started_independent(drift: RefinedDrift, k: int) -> RefinedDrift:
    """Whose Gaussian part belongs to independent ends in the first outer iteration, and to the bridge from then on."""
    return projecting_independent_ends(drift) if k == 0 else drift


def _gaussian_pairs(base: Groups[SpectralBridge], ends: Ends, settings: BridgeSettings, *, key: Key) -> Pairs:
    """Fine fields with the coarse ones that the Gaussian bridge of their context's spectra leads to."""
    draw_key, plan_key = jr.split(key)
    pairs = draw_pairs(ends, settings.n_pairs, key=draw_key)
    keys = jr.split(plan_key, settings.n_pairs)
    one = lambda x, context, k: of_group(base, context).draw(x, key=k)  # noqa: E731
    return pairs._replace(x1=jax.jit(jax.vmap(one))(pairs.x0, pairs.context, keys))


def bridge_settings(table: BridgeTable, config: TurbulenceConfig, *, start) -> BridgeSettings:
    """The table as the library's own settings."""
    return BridgeSettings(
        sigma=float(np.sqrt(table.variance)),
        start=start,
        n_iterations=table.n_iterations,
        n_steps=table.n_steps,
        batch_size=config.training.batch_size,
        learning_rate=table.learning_rate,
        n_pairs=table.n_pairs,
        n_refreshes=table.n_refreshes,
        n_simulation_steps=config.evaluation.n_sampling_steps,
        ema_decay=config.training.ema_decay,
        steps_per_dispatch=DISPATCH,
        simulate_at_once=AT_ONCE,
    )


def _unet(table: NetworkTable, n_channels: int, *, key: Key) -> UNet:
    return UNet(n_channels, 2, 2, UNetSettings(**table.model_dump()), key=key)


def _ends(archives: Archives):
    """Fine fields, coarse fields, and the contexts of the fine ones, on the device."""
    fine = archives.fine
    known = contexts(fine.values.shape[-1], fine.wavenumbers, archives.wavenumbers)
    return jax.tree.map(jnp.asarray, (fine.values, archives.coarse.values, known))


def _denoising(config: TurbulenceConfig, archives: Archives, statistics: ModeStatistics | Groups[ModeStatistics]):
    levels = log_uniform_levels(config.diffusion.sigma_min, config.diffusion.margin * level_of(config, archives))
    weight = residual_weight(statistics)

    def loss(denoiser, batch, key):
        fields, context = batch
        return denoising_loss(denoiser, fields, context=context, noise_levels=levels, weight=weight, key=key)

    return loss


def _clean(name: str, archives: Archives, batch_size: int):
    """What a denoiser is trained on, and how batches are drawn from it."""
    fine, coarse, context = _ends(archives)
    data = (fine, context) if name == "fine-denoiser" else (coarse, None)

    def draw(data, key):
        chosen = jr.randint(key, (batch_size,), 0, len(data[0]))
        return jax.tree.map(lambda part: part[chosen], data)

    return data, draw


def _paired(archives: Archives, orders: np.ndarray, batch_size: int):
    """What a flow is trained on, coarse to fine, and how batches are drawn: pair i of an order is (orders[·, i], i)."""
    fine, coarse, context = _ends(archives)

    def draw(data, key):
        fine, coarse, context, orders = data
        row_key, column_key = jr.split(key)
        row = jr.randint(row_key, (batch_size,), 0, len(orders))
        column = jr.randint(column_key, (batch_size,), 0, len(fine))
        return Pairs(coarse[orders[row, column]], *jax.tree.map(lambda part: part[column], (fine, context)))

    return (fine, coarse, context, jnp.asarray(orders)), draw


def _orders(archives: Archives, *, transport: bool, key: Key, n_orders: int = 64) -> np.ndarray:
    """Coarse partners of all fine fields, several times over, at random or by least ‖x₀ − x₁‖² within each context.

    Within a context, because there every coarse field must find a partner: transport between all fields together would
    give each context the coarse fields that suit it, and the flow would know nothing of the others.
    """
    fine, coarse = archives.fine, archives.coarse.values
    rng = np.random.default_rng(np.asarray(jr.key_data(key)).astype(np.uint64))
    orders = rng.integers(0, len(coarse), (n_orders, len(fine.values)))
    if not transport:
        return orders
    solve = jax.jit(lambda x0, x1: ExactTransport()(x0, x1, key=key)[1])  # exact transport draws nothing
    for k in np.unique(fine.wavenumbers):
        which = np.flatnonzero(fine.wavenumbers == k)
        for row in range(n_orders):
            order = orders[row, which]
            orders[row, which] = order[np.asarray(solve(jnp.asarray(fine.values[which]), jnp.asarray(coarse[order])))]
    return orders
