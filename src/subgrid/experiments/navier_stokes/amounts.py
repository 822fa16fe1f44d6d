"""How much work each stage is, relative to the same stage of the default configuration.

Dry runs scale recorded times with it. Operations are counted up to a constant, those of attention not at all. Trainings
are worth as many steps as they have where these are of the default size: records of earlier versions counted so.
"""

from collections.abc import Callable

from subgrid.experiments.navier_stokes.calibration import candidates
from subgrid.experiments.navier_stokes.config import FlowTable, NavierStokesConfig, PriorTable
from subgrid.experiments.navier_stokes.debiasing import COST
from subgrid.experiments.navier_stokes.methods import (
    DETERMINISTIC,
    PARTICLES_SHARE,
    ModelName,
    debiasers_of,
    methods_of,
)
from subgrid.experiments.navier_stokes.models import OF_DIFFUSION, n_steps

OF_A_COUPLING = 288
"""Columns that the two outer convolutions of a coupling of a flow are worth, beside its product of width by width:
operations counted for 32 and 256 filters differ by 12, not by 64."""
EVALUATIONS_OF_OTHERS = 0.5
"""Of the UNet that a field by an upsampler without diffusion is worth, at most (`benchmarks.kolmogorov_methods`)."""
OF_A_PARTICLE = 1.6
"""Guided draws that a particle is worth, by the same benchmark."""


def simulation(config: NavierStokesConfig, which: str) -> float:
    """Of the fine or the coarse archive: points, trajectories and steps."""
    return _relative(lambda each: _steps(each.navier_stokes, which), config)


def calibration(config: NavierStokesConfig) -> float:
    """Of the scan: points and steps of every candidate, and how much of the archive the reference is."""

    def operations(each: NavierStokesConfig) -> float:
        table = each.navier_stokes
        held_out = table.n_trajectories * (1 - table.training_fraction)
        return sum(n**2 / dt for n, _, dt in candidates(each)) * _duration(table) * held_out

    return _relative(operations, config)


def debiasing(config: NavierStokesConfig) -> float:
    """Of all fits, each by what its method took on the default settings."""

    def operations(each: NavierStokesConfig) -> float:
        factors = each.navier_stokes.factors
        return 1.0 + sum(COST[name] * _fit(each, n, name) for n in factors for name in debiasers_of(each))

    return _relative(operations, config)


def training(config: NavierStokesConfig, name: ModelName) -> float:
    """Of one model."""
    return n_steps(config, name) * _relative(lambda each: _training_step(each, name), config)


def unpaired(config: NavierStokesConfig) -> float:
    """Of the members of debiased fields."""

    def operations(each: NavierStokesConfig) -> float:
        table, upsamplers = each.evaluation, [method.upsampler for method in methods_of(each)]
        return sum(_ensemble(each, name, table.n_unpaired, table.unpaired_members) for name in upsamplers)

    return _relative(operations, config)


def perfect(config: NavierStokesConfig) -> float:
    """Of the members of coarsened reference fields."""

    def operations(each: NavierStokesConfig) -> float:
        table, upsamplers = each.evaluation, {m.upsampler for m in methods_of(each) if not m.is_whole}
        return 1.0 + sum(_ensemble(each, name, table.n_conditions, table.n_members) for name in upsamplers)

    return _relative(operations, config)


def _relative(operations: Callable[[NavierStokesConfig], float], config: NavierStokesConfig) -> float:
    return operations(config) / operations(NavierStokesConfig())


def _steps(table: FlowTable, which: str) -> float:
    """Points times steps of all trajectories."""
    n, dt = (table.n_fine, table.time_step) if which == "fine" else (table.n_coarse, table.coarse_time_step)
    return table.n_trajectories * n**2 * _duration(table) / dt


def _duration(table: FlowTable) -> float:
    return table.spin_up + (table.n_snapshots - 1) * table.interval


def _fit(config: NavierStokesConfig, factor: int, name: str) -> float:
    """One fit relative to the default settings of its method, times the observed points."""
    table, default = config.debias, type(config.debias)()
    points = (config.navier_stokes.n_fine / factor) ** 2
    width = sum(n**2 for n in table.channels) / sum(n**2 for n in default.channels)
    noising_width = sum(n**2 for n in table.noising_channels) / sum(n**2 for n in default.noising_channels)
    batch = table.batch_size / default.batch_size
    match name:
        case "entropic-ot":
            return points * (table.n_samples / default.n_samples) ** 2
        case "rectified-flow":
            return points * batch * width * table.n_steps / default.n_steps
        case "schrodinger-bridge":
            return points * batch * width * table.n_bridge_steps / default.n_bridge_steps
        case "ddib" | "sdedit":
            return points * batch * noising_width * table.n_noising_steps / default.n_noising_steps
        case _:
            return points * table.n_images / default.n_images


def _training_step(config: NavierStokesConfig, name: ModelName) -> float:
    if name.kind in OF_DIFFUSION:
        return config.prior.batch_size * unet(config.prior, config.navier_stokes.n_fine)
    table, n = config.baselines, config.navier_stokes.n_fine
    match name.kind:
        case "vision-transformer":
            tokens = (n / (name.factor or 1) / table.transformer_patch) ** 2
            return table.batch_size * tokens * table.transformer_layers * table.transformer_width**2
        case "cycle-gan":
            return float(table.batch_size * n**2 * table.gan_channels**2)
        case _:
            filters = table.alignment_filters
            return float(table.batch_size * n**2 * filters * (OF_A_COUPLING + filters))


def _ensemble(config: NavierStokesConfig, name: str, n_conditions: int, n_members: int) -> float:
    """Of one upsampler at all factors: fields, network evaluations of each, operations of one."""
    fields = len(config.navier_stokes.factors) * n_conditions * (1 if name in DETERMINISTIC else n_members)
    return fields * _evaluations(config, name) * unet(config.prior, config.navier_stokes.n_fine)


def _evaluations(config: NavierStokesConfig, name: str) -> float:
    table = config.sampling
    match name:
        case "guided":
            return float(table.n_levels)
        case "particles":
            return OF_A_PARTICLE * table.n_particles * table.n_levels / PARTICLES_SHARE
        case "conditional-diffusion" | "conditional-flow":
            return float(table.n_conditional_levels)
        case _:
            return EVALUATIONS_OF_OTHERS


def unet(table: PriorTable, n_fine: int) -> float:
    """Operations of one evaluation: on each level a quarter of the points of the one before, width by width."""
    levels = sum(width**2 / 4**level for level, width in enumerate(table.channels))
    return (n_fine / table.patch) ** 2 * table.n_blocks * levels
